# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upload that fails has done: nothing that its result does not say, whatever request fails, and no data deleted for nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import Task
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME, POD
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import volume_upload as _upload_task

from tests.api.conftest import ADMIN
from tests.api.upload_bed import CA_PATH, UploadBed, ca_bundle, running
from tests.wire import Wire

MIB = 1024 * 1024
Upload = Callable[..., dict[str, Any]]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(os.urandom(2 * MIB))
    return path


@pytest.fixture
def bed(direct: Connection, wire: Wire, namespace: str, tmp_path: Path) -> Iterator[UploadBed]:
    with running(UploadBed(direct, os.environ["KUBECONFIG"], namespace, tmp_path), wire) as made:
        yield made


@pytest.fixture
def upload(wire: Wire, namespace: str, bed: UploadBed) -> Upload:
    """Module volume_upload in this process, through the wire."""

    def run(**options: Any) -> dict[str, Any]:
        spec = _upload_task.SPEC.options
        defaults = {option: each.get("default") for option, each in spec.items()}
        of_item = {option: each.get("default") for option, each in spec["uploads"]["options"].items()}
        given = {
            **defaults,
            "namespace": namespace,
            "upload_proxy_url": bed.proxy_url,
            "wait_timeout": 3,
            "retries": 1,
            "parallel": 1,
            **options,
        }
        if given["uploads"]:
            given["uploads"] = [{**of_item, **item} for item in given["uploads"]]
        warnings: list[str] = []
        try:
            return {
                **_upload_task.run(Task(given, connect({"host": wire.url, "api_key": ADMIN}), False, warnings.append)),
                "warnings": warnings,
            }
        except CdiError as exc:
            return {"failed": True, "msg": str(exc), **exc.result, "warnings": warnings}

    return run


def test_an_upload_by_its_requests(wire: Wire, upload: Upload, bed: UploadBed, image: Path) -> None:
    result = upload(name="disk", path=str(image))
    assert (result.get("msg"), result["action"], result["changed"], result["phase"]) == (
        None,
        "uploaded",
        True,
        "Succeeded",
    )
    assert bed.taken == [2 * MIB]
    noted = result["persistent_volume_claim"]["metadata"]["annotations"]
    assert noted["kubevirt.cdi/uploaded-sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert "kubevirt.cdi/upload-begun" not in noted
    assert not upload(name="disk", path=str(image))["changed"]


FAULTS = {
    "forbidden": [
        (
            403,
            {"Content-Type": "application/json"},
            b'{"kind": "Status", "reason": "Forbidden", "message": "x cannot y", "code": 403}',
        )
    ],
    "broken": [(500, {}, b"broken")],
    "lost for good": [(0, {}, b"")] * 400,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_request_fails_each_item_says_what_became_of_it(
    wire: Wire, upload: Upload, bed: UploadBed, image: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three files: one whose volume is made, one whose volume is filled, and one that is refused."""
    monkeypatch.setattr(
        "ansible_collections.kubevirt.cdi.plugins.module_utils._upload.sender.time.sleep", lambda _seconds: None
    )
    assert upload(name="filled", path=str(image))["changed"]
    wire.requests.clear()
    uploads = [
        {"name": "made", "path": str(image)},
        {"name": "filled", "path": str(image)},
        {"name": "refused", "path": "/nowhere"},
    ]
    number, failed = 1, 0
    while True:
        assert number < 60
        wire.requests.clear()
        wire.faults, wire.faults_after = list(FAULTS[fault]), number
        result = upload(uploads=uploads, retries=0)
        wire.faults, reached = [], len(wire.requests) > number
        exists, told = bed.settled("made"), {item["name"]: item for item in result["uploads"]}
        assert [item["name"] for item in result["uploads"]] == ["made", "filled", "refused"]
        assert not told["refused"]["changed"] and told["refused"]["error"]
        assert not told["filled"]["changed"] and told["filled"]["action"] == "unchanged"
        made = told["made"]
        # A write whose answer is lost, and that cannot be read, counts as one.
        unknown = "it may have been written" in made.get("error", "")
        assert made["changed"] == (exists or unknown), (number, made)
        assert (made["action"] != "unchanged") == exists, (number, made)
        if made["action"] == "uploaded" and "error" not in made:
            assert made["phase"] == "Succeeded"
        failed += "error" in made
        bed.remove("made")
        if not reached:
            break
        number += 1
    assert failed >= 5 and number >= 10, (failed, number)


def test_a_namespace_that_is_missing_leaves_nothing(upload: Upload, image: Path) -> None:
    result = upload(name="disk", namespace="nowhere-at-all", path=str(image))
    assert result["failed"] and (result["changed"], result["action"]) == (False, "unchanged")
    assert "namespace" in result["msg"] and "nowhere-at-all" in result["msg"]


@pytest.mark.parametrize(
    ("answers", "options", "named"),
    [
        ({CA_PATH: ca_bundle({})}, {}, "There is no ConfigMap cdi/cdi-uploadproxy-signer-bundle"),
        ({}, {"upload_proxy_url": "https://127.0.0.1:1"}, "No upload proxy answers at https://127.0.0.1:1"),
        ({}, {"upload_proxy_url": "https://[::1"}, "upload_proxy_url is "),
        ({}, {"upload_proxy_ca": "no PEM"}, "CA of the upload proxy in upload_proxy_ca cannot be read"),
        (
            {
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": b'{"kind": "SelfSubjectAccessReview", "metadata": {}, "status": {"allowed": false}}'
            },
            {},
            'the account may not create uploadtokenrequests.upload.cdi.kubevirt.io there; grant the verb "create"',
        ),
    ],
)
@pytest.mark.parametrize("overwrite", [None, "always"])
def test_a_way_that_is_shut_is_found_before_anything_is_written(
    wire: Wire,
    upload: Upload,
    image: Path,
    answers: dict[str, bytes],
    options: dict[str, Any],
    named: str,
    overwrite: str | None,
) -> None:
    if overwrite:
        assert upload(name="disk", path=str(image))["action"] == "uploaded"
        options = {**options, "overwrite": overwrite}
    wire.answers.update(answers)
    wire.requests.clear()
    result = upload(name="disk", path=str(image), labels={"a": "b"}, **options)
    assert result["failed"] and named in result["msg"], result["msg"]
    assert (result["changed"], result["action"]) == (False, "unchanged")
    assert [request for request in wire.writes() if "accessreviews" not in request[1]] == []


def test_who_gives_url_and_ca_needs_nothing_in_the_namespace_of_cdi(
    wire: Wire, upload: Upload, bed: UploadBed, image: Path
) -> None:
    result = upload(name="disk", path=str(image), upload_proxy_ca=bed.ca, cdi_namespace="kube-system")
    assert "127.0.0.1" in result["msg"] and "is not trusted" in result["msg"], "its certificate is for another name"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_takes_the_token_nowhere(
    upload: Upload, bed: UploadBed, image: Path, status: int, direct: Connection, namespace: str, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with UploadBed(direct, os.environ["KUBECONFIG"], namespace, tmp_path / "other") as other:
        bed.status, bed.headers = status, {"Location": f"{other.proxy_url}/v1beta1/upload-async?token=s3cret"}
        result = upload(name="disk", path=str(image))
    assert result["failed"] and other.taken == [] and other.tokens == []
    assert f"it redirects to {other.proxy_url}" in result["msg"] and "s3cret" not in result["msg"]
    assert "for this address only" in result["msg"] and result["retries"] == 0


# In use


@pytest.fixture
def used(direct: Connection, namespace: str) -> Callable[[str], None]:
    """Starts a pod that uses a claim, as far as anybody can see who asks."""

    def use(claim: str) -> None:
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
        spec = {"containers": [{"name": "user", "image": "nothing"}], "volumes": [volume]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user"}, "spec": spec}
        direct.create(POD, body, namespace, dry_run=False)

    return use


@pytest.mark.parametrize("overwrite", ["different", "always"])
def test_data_in_use_are_not_deleted(
    wire: Wire,
    upload: Upload,
    image: Path,
    used: Callable[[str], None],
    direct: Connection,
    namespace: str,
    overwrite: str,
) -> None:
    assert upload(name="disk", path=str(image))["action"] == "uploaded"
    uid = direct.get(DATA_VOLUME, "disk", namespace)["metadata"]["uid"]  # type: ignore[index]
    used("disk")
    image.write_bytes(os.urandom(2 * MIB))
    wire.requests.clear()
    result = upload(name="disk", path=str(image), overwrite=overwrite)
    assert result["failed"] and "is in use by pod" in result["msg"] and "when_in_use=delete" in result["msg"]
    assert (result["changed"], result["action"]) == (False, "unchanged")
    assert [request for request in wire.writes() if "accessreviews" not in request[1]] == []
    assert direct.get(DATA_VOLUME, "disk", namespace)["metadata"]["uid"] == uid  # type: ignore[index]
    insisted = upload(name="disk", path=str(image), overwrite=overwrite, when_in_use="delete")
    assert insisted["action"] == "replaced", insisted


def test_the_remains_of_another_file_that_a_pod_waits_for_are_not_deleted(
    upload: Upload, bed: UploadBed, image: Path, used: Callable[[str], None], direct: Connection, namespace: str
) -> None:
    bed.status = 400
    assert upload(name="disk", path=str(image), on_failure="keep")["action"] == "created"
    used("disk")
    image.write_bytes(os.urandom(2 * MIB))
    result = upload(name="disk", path=str(image))
    assert result["failed"] and "is in use by pod" in result["msg"] and not result["changed"]


# After a failure


def test_what_the_task_made_in_vain_is_taken_away_again(upload: Upload, bed: UploadBed, image: Path) -> None:
    bed.status = 400
    result = upload(name="disk", path=str(image))
    assert (
        result["failed"]
        and "(HTTP 400)" in result["msg"]
        and "which the task had created, was deleted again" in result["msg"]
    )
    assert (result["changed"], result["action"], result["data_volume"]) == (False, "unchanged", {})
    assert not bed.settled("disk")


def test_what_the_task_made_in_vain_is_kept_on_request(upload: Upload, bed: UploadBed, image: Path) -> None:
    bed.status = 400
    result = upload(name="disk", path=str(image), on_failure="keep")
    assert result["failed"] and (result["changed"], result["action"]) == (True, "created")
    assert "DataVolume" in result["msg"] and "was created and is empty; run the task again to fill it" in result["msg"]
    assert bed.settled("disk")
    bed.status = 200
    assert upload(name="disk", path=str(image))["action"] == "uploaded"


def test_a_volume_that_was_there_before_is_left_to_its_owner(upload: Upload, bed: UploadBed, image: Path) -> None:
    bed.status = 400
    upload(name="disk", path=str(image), on_failure="keep")
    result = upload(name="disk", path=str(image))
    assert result["failed"] and (result["changed"], result["action"]) == (True, "begun")
    assert "was begun and is not finished" in result["msg"] and bed.settled("disk")


def test_a_replacement_that_fails_says_that_the_data_are_gone(upload: Upload, bed: UploadBed, image: Path) -> None:
    assert upload(name="disk", path=str(image))["action"] == "uploaded"
    bed.status = 400
    image.write_bytes(os.urandom(2 * MIB))
    result = upload(name="disk", path=str(image), overwrite="different")
    assert result["failed"] and (result["changed"], result["action"]) == (True, "deleted")
    assert "The one before it was deleted with its data." in result["msg"] and not bed.settled("disk")


def test_a_replacement_that_the_api_server_would_not_let_us_make_deletes_nothing(
    wire: Wire, upload: Upload, bed: UploadBed, image: Path, namespace: str
) -> None:
    """A quota, a webhook, a missing right: here for whatever name is tried first."""
    assert upload(name="disk", path=str(image))["action"] == "uploaded"
    image.write_bytes(os.urandom(2 * MIB))
    before = upload(name="disk", path=str(image), overwrite="different")
    assert before["action"] == "replaced"
    tried = [path.partition("?")[0] for method, path in wire.requests if method == "PATCH" and "dryRun=All" in path]
    assert len(tried) == 1 and tried[0].rpartition("/")[2].startswith("disk-")
    image.write_bytes(os.urandom(2 * MIB))
    number = next(
        number for number, request in enumerate(wire.requests) if request[0] == "PATCH" and "dryRun=All" in request[1]
    )
    first = next(
        number
        for number, request in enumerate(wire.requests)
        if request[0] == "GET" and "/datavolumes/disk" in request[1] and number > 0
    )
    wire.requests.clear()
    says = {"kind": "Status", "reason": "Forbidden", "message": "exceeded quota: claims", "code": 403}
    del first

    class Refusing(list):  # type: ignore[type-arg]
        """Faults that only meet the trial."""

        def __bool__(self) -> bool:
            return bool(wire.requests) and "dryRun=All" in wire.requests[-1][1] and wire.requests[-1][0] == "PATCH"

        def pop(self, _index: Any = -1) -> Any:
            return 403, {"Content-Type": "application/json"}, json.dumps(says).encode()

    assert number > 0
    wire.faults = Refusing()
    result = upload(name="disk", path=str(image), overwrite="different")
    assert (
        result["failed"]
        and "exceeded quota" in result["msg"]
        and (result["changed"], result["action"]) == (False, "unchanged")
    )
    assert bed.settled("disk") and "DELETE" not in {method for method, _path in wire.requests}


# What is sent


def test_the_tail_of_a_packed_file_is_not_sent_and_the_user_hears_of_it(
    upload: Upload, bed: UploadBed, tmp_path: Path
) -> None:
    import gzip

    path = tmp_path / "router.img.gz"
    packed = gzip.compress(b"\xeb\x63\x90\0" + os.urandom(MIB))
    path.write_bytes(packed + b"metadata")
    result = upload(name="disk", path=str(path))
    assert result["action"] == "uploaded" and bed.taken == [len(packed)] and result["bytes_sent"] == len(packed)
    assert result["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert any(f"The last 8 bytes of {path} are behind the end" in warning for warning in result["warnings"])
    assert not upload(name="disk", path=str(path))["changed"]


@pytest.mark.parametrize("name", ["page.qcow2", "cut.gz", "twice.gz"])
def test_a_refused_file_makes_nothing(wire: Wire, upload: Upload, bed: UploadBed, tmp_path: Path, name: str) -> None:
    import gzip

    content = gzip.compress(os.urandom(MIB))
    path = tmp_path / name
    path.write_bytes(
        {"page.qcow2": b"<html>" + b"no such file " * 99, "cut.gz": content[:-9], "twice.gz": gzip.compress(content)}[
            name
        ]
    )
    wire.requests.clear()
    result = upload(name="disk", path=str(path))
    assert result["failed"] and (result["changed"], result["action"], result["retries"]) == (False, "unchanged", 0)
    assert wire.writes() == [] and bed.taken == []


def test_raw_is_insisted_on_in_words(upload: Upload, bed: UploadBed, tmp_path: Path) -> None:
    path = tmp_path / "page.img"
    path.write_bytes(b"<html>" + b"no such file " * 99)
    assert upload(name="disk", path=str(path))["failed"]
    result = upload(name="disk", path=str(path), format="raw")
    assert (result["action"], result["format"]) == ("uploaded", "raw") and bed.taken == [path.stat().st_size]


@pytest.mark.parametrize("changes", [False, True])
def test_a_block_device_is_sent_and_its_changes_are_seen(
    upload: Upload, bed: UploadBed, tmp_path: Path, changes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    backing = tmp_path / "backing"
    backing.write_bytes(b"\xeb\x63\x90\0" + os.urandom(3 * MIB - 4))
    device = subprocess.run(
        ["losetup", "--show", "-f", str(backing)], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        if changes:
            taken = _upload_task._sha256

            def change_after(*arguments: Any) -> str:
                digest = taken(*arguments)
                with open(device, "r+b") as opened:
                    opened.seek(MIB)
                    opened.write(b"changed")
                return digest

            monkeypatch.setattr(_upload_task, "_sha256", change_after)
        result = upload(name="disk", path=device)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)
    if changes:
        assert result["failed"] and "changed during the upload" in result["msg"] and not result["changed"]
    else:
        assert result["action"] == "uploaded" and bed.taken == [3 * MIB]
        assert result["sha256"] == hashlib.sha256(backing.read_bytes()).hexdigest()
