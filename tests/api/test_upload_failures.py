# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads that fail: each result reports what was done, and no data are deleted in vain."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME, POD

from tests.api.objects import body, fetch
from tests.api.upload_service import CA_PATH, MIB, Upload, UploadService, ca_bundle
from tests.wire import Fault, Wire

FAULTS: dict[str, list[Fault]] = {
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
def test_each_item_reports_its_state_whatever_request_fails(
    wire: Wire, upload: Upload, service: UploadService, image: Path, fault: str
) -> None:
    """Three files: for one a volume is created, one is uploaded already, and one is refused."""
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
        exists, items = service.settled("made"), {item["name"]: item for item in result["uploads"]}
        assert [item["name"] for item in result["uploads"]] == ["made", "filled", "refused"]
        assert not items["refused"]["changed"] and items["refused"]["error"]
        assert not items["filled"]["changed"] and items["filled"]["action"] == "unchanged"
        made = items["made"]
        # A write whose answer is lost and that cannot be verified counts as a change.
        unknown = "it may have been written" in made.get("error", "")
        assert made["changed"] == (exists or unknown), (number, made)
        assert (made["action"] != "unchanged") == exists, (number, made)
        if made["action"] == "uploaded" and "error" not in made:
            assert made["phase"] == "Succeeded"
        failed += "error" in made
        service.remove("made")
        if not reached:
            break
        number += 1
    assert failed >= 5 and number >= 10, (failed, number)


def test_missing_namespace_changes_nothing(upload: Upload, image: Path) -> None:
    result = upload(name="disk", namespace="nowhere-at-all", path=str(image))
    assert result["failed"] and (result["changed"], result["action"]) == (False, "unchanged")
    assert "namespace" in result["msg"] and "nowhere-at-all" in result["msg"]


@pytest.mark.parametrize(
    ("answers", "options", "expected"),
    [
        ({CA_PATH: ca_bundle({})}, {}, "There is no ConfigMap cdi/cdi-uploadproxy-signer-bundle"),
        ({}, {"upload_proxy_url": "https://127.0.0.1:1"}, "No upload proxy answers at https://127.0.0.1:1"),
        ({}, {"upload_proxy_url": "https://[::1"}, "upload_proxy_url is "),
        ({}, {"upload_proxy_ca": "no PEM"}, "CA of the upload proxy in upload_proxy_ca cannot be read"),
        (
            {
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": (
                    b'{"kind": "SelfSubjectAccessReview", "metadata": {}, "status": {"allowed": false}}'
                )
            },
            {},
            'the account may not create uploadtokenrequests.upload.cdi.kubevirt.io there; grant the verb "create"',
        ),
    ],
)
@pytest.mark.parametrize("overwrite", [None, "always"])
def test_upload_that_cannot_succeed_is_refused_before_a_write(
    wire: Wire,
    upload: Upload,
    image: Path,
    answers: dict[str, bytes],
    options: dict[str, Any],
    expected: str,
    overwrite: str | None,
) -> None:
    if overwrite:
        assert upload(name="disk", path=str(image))["action"] == "uploaded"
        options = {**options, "overwrite": overwrite}
    wire.answers.update(answers)
    wire.requests.clear()
    result = upload(name="disk", path=str(image), labels={"a": "b"}, **options)
    assert result["failed"] and expected in result["msg"], result["msg"]
    assert (result["changed"], result["action"]) == (False, "unchanged")
    assert [request for request in wire.writes() if "accessreviews" not in request[1]] == []


def test_given_url_and_ca_need_no_objects_of_cdi(
    wire: Wire, upload: Upload, service: UploadService, image: Path
) -> None:
    result = upload(name="disk", path=str(image), upload_proxy_ca=service.ca, cdi_namespace="kube-system")
    assert "127.0.0.1" in result["msg"] and "is not trusted" in result["msg"], "the certificate is for another name"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(
    upload: Upload, service: UploadService, image: Path, status: int, direct: Connection, namespace: str, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with UploadService(direct, namespace, tmp_path / "other") as other:
        service.status, service.headers = status, {"Location": f"{other.proxy_url}/v1beta1/upload-async?token=s3cret"}
        result = upload(name="disk", path=str(image))
    assert result["failed"] and other.received == [] and other.tokens == []
    assert f"it redirects to {other.proxy_url}" in result["msg"] and "s3cret" not in result["msg"]
    assert "for this address only" in result["msg"] and result["retries"] == 0


@pytest.fixture
def start_pod(direct: Connection, namespace: str) -> Callable[[str], None]:
    """Creates a pod that uses a claim. There is no node to run it."""

    def use(claim: str) -> None:
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
        spec = {"containers": [{"name": "user", "image": "nothing"}], "volumes": [volume]}
        direct.create(POD, body(POD, "user", spec=spec), namespace, dry_run=False)

    return use


@pytest.mark.parametrize("overwrite", ["different", "always"])
def test_data_in_use_are_not_deleted(
    wire: Wire,
    upload: Upload,
    image: Path,
    start_pod: Callable[[str], None],
    direct: Connection,
    namespace: str,
    overwrite: str,
) -> None:
    assert upload(name="disk", path=str(image))["action"] == "uploaded"
    uid = fetch(direct, DATA_VOLUME, "disk", namespace)["metadata"]["uid"]
    start_pod("disk")
    image.write_bytes(os.urandom(2 * MIB))
    wire.requests.clear()
    result = upload(name="disk", path=str(image), overwrite=overwrite)
    assert result["failed"] and "is in use by pod" in result["msg"] and "when_in_use=delete" in result["msg"]
    assert (result["changed"], result["action"]) == (False, "unchanged")
    assert [request for request in wire.writes() if "accessreviews" not in request[1]] == []
    assert fetch(direct, DATA_VOLUME, "disk", namespace)["metadata"]["uid"] == uid
    insisted = upload(name="disk", path=str(image), overwrite=overwrite, when_in_use="delete")
    assert insisted["action"] == "replaced", insisted


def test_incomplete_upload_is_not_deleted_while_a_pod_waits_for_it(
    upload: Upload,
    service: UploadService,
    image: Path,
    start_pod: Callable[[str], None],
    direct: Connection,
    namespace: str,
) -> None:
    service.status = 400
    assert upload(name="disk", path=str(image), on_failure="keep")["action"] == "created"
    start_pod("disk")
    image.write_bytes(os.urandom(2 * MIB))
    result = upload(name="disk", path=str(image))
    assert result["failed"] and "is in use by pod" in result["msg"] and not result["changed"]


def test_created_volume_is_deleted_after_a_failure(upload: Upload, service: UploadService, image: Path) -> None:
    service.status = 400
    result = upload(name="disk", path=str(image))
    assert (
        result["failed"]
        and "(HTTP 400)" in result["msg"]
        and "which the task created, was deleted again" in result["msg"]
    )
    assert (result["changed"], result["action"], result["data_volume"]) == (False, "unchanged", {})
    assert not service.settled("disk")


def test_created_volume_is_kept_with_on_failure_keep(upload: Upload, service: UploadService, image: Path) -> None:
    service.status = 400
    result = upload(name="disk", path=str(image), on_failure="keep")
    assert result["failed"] and (result["changed"], result["action"]) == (True, "created")
    assert "DataVolume" in result["msg"] and "was created and is empty; run the task again to fill it" in result["msg"]
    assert service.settled("disk")
    service.status = 200
    assert upload(name="disk", path=str(image))["action"] == "uploaded"


def test_existing_volume_is_kept_after_a_failure(upload: Upload, service: UploadService, image: Path) -> None:
    service.status = 400
    upload(name="disk", path=str(image), on_failure="keep")
    result = upload(name="disk", path=str(image))
    assert result["failed"] and (result["changed"], result["action"]) == (True, "begun")
    assert "has begun and is not finished" in result["msg"] and service.settled("disk")


def test_failed_replacement_reports_that_the_data_are_deleted(
    upload: Upload, service: UploadService, image: Path
) -> None:
    assert upload(name="disk", path=str(image))["action"] == "uploaded"
    service.status = 400
    image.write_bytes(os.urandom(2 * MIB))
    result = upload(name="disk", path=str(image), overwrite="different")
    assert result["failed"] and (result["changed"], result["action"]) == (True, "deleted")
    assert "The previous volume was deleted with its data." in result["msg"] and not service.settled("disk")


def test_replacement_that_the_api_server_refuses_deletes_nothing(
    wire: Wire, upload: Upload, service: UploadService, image: Path
) -> None:
    """For a quota, a webhook or a missing right: the dry run of the replacement, which has a name of its own, fails."""
    assert upload(name="disk", path=str(image))["action"] == "uploaded"
    image.write_bytes(os.urandom(2 * MIB))
    assert upload(name="disk", path=str(image), overwrite="different")["action"] == "replaced"
    tried = [path.partition("?")[0] for method, path in wire.requests if method == "PATCH" and "dryRun=All" in path]
    assert len(tried) == 1 and tried[0].rpartition("/")[2].startswith("disk-")
    image.write_bytes(os.urandom(2 * MIB))
    wire.requests.clear()
    status = {"kind": "Status", "reason": "Forbidden", "message": "exceeded quota: claims", "code": 403}
    wire.fault = (403, {"Content-Type": "application/json"}, json.dumps(status).encode())
    wire.trouble = lambda method, path: "fault" if method == "PATCH" and "dryRun=All" in path else ""
    result = upload(name="disk", path=str(image), overwrite="different")
    assert result["failed"] and "exceeded quota" in result["msg"]
    assert (result["changed"], result["action"]) == (False, "unchanged")
    assert service.settled("disk") and "DELETE" not in {method for method, _path in wire.requests}
