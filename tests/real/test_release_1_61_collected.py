# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DataVolumes that CDI 1.61.1 deletes after their success (garbage collection); the last test upgrades to 1.65.0."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.quantity import parse
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
)

from tests.cluster.build.disk_images import DISK_BYTES
from tests.cluster.runtime.control_plane import ADMIN_TOKEN
from tests.modules import run_module, run_on_cluster
from tests.real.objects import Lookup, Module, Ok, Results, existing, new_namespace, until
from tests.real.scratch_setup import cdi_config
from tests.real.test_data_in_use import mount
from tests.real.uploads import Images
from tests.runner.site import INVENTORY
from tests.wire import counting_proxy

pytestmark = pytest.mark.alone("upgrades CDI", for_good=True)

NEWEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml"
HTTP = os.environ["KUBEVIRT_CDI_TEST_HTTP"]
IMAGES = Path(os.environ["KUBEVIRT_CDI_TEST_IMAGES"])
THIN: dict[str, Any] = {"size": "128Mi", "storage_class_name": "thin"}
VOLUMES: list[dict[str, Any]] = [
    {"name": "golden", "source": {"http": {"url": f"{HTTP}/disk.qcow2"}}, "storage": THIN},
    {"name": "device", "source": {"http": {"url": f"{HTTP}/disk.qcow2"}}, "storage": {**THIN, "volume_mode": "Block"}},
    {"name": "blank", "source": {"blank": {}}, "storage": {**THIN, "storage_class_name": "plain"}},
]
CLONES: list[dict[str, Any]] = [
    {"name": "by-snapshot", "source": {"pvc": {"name": "golden"}}, "storage": THIN},
    {"name": "by-csi", "source": {"pvc": {"name": "golden"}}, "storage": {**THIN, "storage_class_name": "thin-fixed"}},
    {"name": "by-copy", "source": {"pvc": {"name": "golden"}}, "storage": {**THIN, "storage_class_name": "plain"}},
]
ALL = [volume["name"] for volume in [*VOLUMES, *CLONES]] + ["uploaded"]


@pytest.fixture(scope="module")
def place(connection: Connection) -> Iterator[str]:
    with new_namespace(connection) as name:
        yield name


@pytest.fixture
def declare(place: str, module: Module) -> Ok:
    """Declares a volume, or a list of volumes, and returns the result, or the results by name."""

    def run(volumes: list[dict[str, Any]] | dict[str, Any], **options: Any) -> dict[str, Any]:
        if isinstance(volumes, dict):
            return module("data_volume", namespace=place, **volumes, **options).result
        result = module("data_volume", namespace=place, data_volumes=volumes, **options).result
        assert not result.get("failed"), result["msg"]
        return {item["name"]: item for item in result["data_volumes"]}

    return run


@pytest.fixture(scope="module")
def upload(place: str, images: Images) -> dict[str, Any]:
    return {
        "name": "uploaded",
        "namespace": place,
        "path": images.disks["qcow2"],
        "storage": {"storage_class_name": "thin"},
    }


def _uid(connection: Connection, place: str, name: str) -> str:
    return str(existing(connection, PERSISTENT_VOLUME_CLAIM, name, place)["metadata"]["uid"])


def _is_collected(connection: Connection, place: str, name: str) -> bool:
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, place)
    return claim is not None and connection.get(DATA_VOLUME, name, place) is None


def test_volume_that_is_collected_during_the_wait_has_succeeded(
    connection: Connection, ok: Ok, declare: Ok, place: str, upload: dict[str, Any]
) -> None:
    """CDI deletes the volume immediately after its success."""
    ok("cdi_config", data_volume_ttl_seconds=0)
    made = declare(VOLUMES) | declare(CLONES)
    assert {name: item["phase"] for name, item in made.items()} == dict.fromkeys(made, "Succeeded")
    assert all(item["changed"] for item in made.values())
    methods = {item["name"]: item["clone"]["method"] for name, item in made.items() if name.startswith("by-")}
    assert methods == {"by-snapshot": "snapshot", "by-csi": "csi-clone", "by-copy": "copy"}
    sent = ok("volume_upload", **upload)
    assert (sent["action"], sent["phase"]) == ("uploaded", "Succeeded")
    until(lambda: all(_is_collected(connection, place, name) for name in ALL), 300, "not all DataVolumes are collected")


def test_second_run_changes_nothing(declare: Ok, ok: Ok, upload: dict[str, Any]) -> None:
    again = declare([*VOLUMES, *CLONES])
    assert not any(item["changed"] for item in again.values())
    assert all(
        (item["phase"], item["drift"], item["collected"]) == ("Succeeded", "none", True) for item in again.values()
    )
    sent = ok("volume_upload", **upload)
    assert (sent["changed"], sent["action"], sent["bytes_sent"], sent["phase"]) == (False, "unchanged", 0, "Succeeded")
    checksum = f"sha256:{hashlib.sha256(Path(upload['path']).read_bytes()).hexdigest()}"
    assert ok("volume_upload", **upload, checksum=checksum)["action"] == "unchanged"


def test_volumes_have_their_data(
    digest: Callable[..., str], place: str, declare: Ok, images: Images, upload: dict[str, Any]
) -> None:
    wanted = (IMAGES / "disk.raw.sha256").read_text().split()[0]
    for name in ("golden", "device", "by-snapshot", "by-csi", "by-copy"):
        assert digest(place, name, DISK_BYTES) == wanted, name
    assert digest(place, "uploaded", images.size) == images.sha256


def test_allocation_is_measured(declare: Ok, ok: Ok, place: str) -> None:
    measured = declare({**VOLUMES[0]}, verify_allocation=True)
    assert not measured["changed"] and measured["collected"], measured
    facts = ok("data_volume_info", namespace=place, name="golden", verify_allocation=True)["data_volumes"][0]
    assert measured["allocation"]["allocated_bytes"] > 0 and measured["allocation"] == facts["allocation"], facts


def test_info_and_lookup_report_collected_volumes(ok: Ok, lookup: Lookup, place: str) -> None:
    facts = {item["name"]: item for item in ok("data_volume_info", namespace=place)["data_volumes"]}
    assert sorted(facts) == sorted(ALL)
    assert all(
        (item["phase"], item["collected"], item["diagnosis"]) == ("Succeeded", True, None) for item in facts.values()
    )
    assert facts["by-csi"]["clone"]["method"] == "csi-clone" and facts["uploaded"]["source"] == "upload"
    (one,) = ok("data_volume_info", namespace=place, name="golden")["data_volumes"]
    assert one["collected"]
    assert ok("data_volume_info", namespace=place, label_selectors=["app=nothing"])["data_volumes"] == []
    (answer,) = lookup(f"{place}/by-snapshot")
    assert answer["exists"] and answer["waits_for"] == []
    assert (answer["method"], answer["phase"]) == ("snapshot", "Succeeded")
    (declared,) = lookup({**CLONES[2], "namespace": place})
    assert declared["method"] == "copy" and declared["observed"] and declared["waits_for"] == []


def test_report_has_collected_volumes(place: str, tmp_path: Path) -> None:
    variables = {
        "cdi_namespace": place,
        "cdi_data_volumes": [*VOLUMES, *CLONES],
        "cdi_report_json": str(tmp_path / "report.json"),
    }
    command = ["ansible-playbook", f"--inventory={INVENTORY}", "--extra-vars", json.dumps(variables)]
    command.append("kubevirt.cdi.volumes")
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0 and "changed=0 " in ran.stdout, ran.stdout + ran.stderr
    volumes = {item["name"]: item for item in json.loads((tmp_path / "report.json").read_text())["volumes"]}
    assert {volumes[name]["phase"] for name in ALL} == {"Succeeded"}


def test_drift_is_found_from_the_claim(declare: Ok, connection: Connection, place: str) -> None:
    other = {**VOLUMES[0], "storage": {**THIN, "storage_class_name": "plain"}}
    refused = declare(other)
    assert refused["failed"] and not refused["changed"]
    assert "storage.storage_class_name: 'thin' on the claim, 'plain' requested" in refused["msg"]
    assert "on_drift=recreate" in refused["msg"]
    refused = declare({**VOLUMES[0], "source": {"upload": {}}})
    assert refused["failed"]
    assert "source: 'VolumeImportSource' on the claim, 'VolumeUploadSource' requested" in refused["msg"]
    claim = existing(connection, PERSISTENT_VOLUME_CLAIM, "golden", place)
    assert claim["spec"]["storageClassName"] == "thin"


def test_impossible_replacement_is_refused_before_the_deletion(declare: Ok, connection: Connection, place: str) -> None:
    before = _uid(connection, place, "by-copy")
    replacement = {**CLONES[2], "storage": THIN, "on_drift": "recreate"}
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        (
            {"storage": {**THIN, "storage_class_name": "thinn"}},
            "storage class 'thinn' (storage.storage_class_name) does not exist",
        ),
        ({"source": {"pvc": {"name": "goldn"}}}, f"PersistentVolumeClaim '{place}/goldn' (source.pvc) does not exist"),
        ({"storage": {**THIN, "size": "32Mi"}}, "32Mi is smaller than the source's 128Mi"),
        ({"require_clone_method": ["copy"]}, "by-copy would be cloned by snapshot, and require_clone_method is copy"),
    )
    for change, refusal in changes:
        for check in (True, False):
            refused = declare({**replacement, **change}, check=check)
            assert refused["failed"] and not refused["changed"] and refusal in refused["msg"], refused
    assert _uid(connection, place, "by-copy") == before


def test_collected_volume_grows(declare: Ok, connection: Connection, place: str) -> None:
    larger = {**VOLUMES[1], "storage": {**VOLUMES[1]["storage"], "size": "192Mi"}}
    grown = declare(larger)
    assert not grown.get("failed"), grown
    assert grown["changed"] and grown["drift"] == "growable" and grown["collected"]
    claim = existing(connection, PERSISTENT_VOLUME_CLAIM, "device", place)
    assert parse(claim["status"]["capacity"]["storage"]) >= 192 << 20
    assert not declare(larger)["changed"]


def test_collected_volume_without_expansion_is_recreated_on_request(
    declare: Ok, connection: Connection, place: str
) -> None:
    larger = {**CLONES[1], "storage": {**CLONES[1]["storage"], "size": "192Mi"}}
    refused = declare(larger)
    assert refused["failed"] and not refused["changed"], refused
    assert "its storage class 'thin-fixed' does not allow it" in refused["msg"]
    made = declare({**larger, "on_drift": "recreate"})
    assert not made.get("failed"), made
    assert (made["changed"], made["drift"], made["phase"]) == (True, "recreate", "Succeeded")
    claim = existing(connection, PERSISTENT_VOLUME_CLAIM, "by-csi", place)
    assert parse(claim["spec"]["resources"]["requests"]["storage"]) >= 192 << 20
    until(lambda: _is_collected(connection, place, "by-csi"), 300, "the new DataVolume is not collected")
    assert not declare({**larger, "on_drift": "recreate"})["changed"]


def test_collected_volume_is_recreated_on_request(declare: Ok, connection: Connection, place: str) -> None:
    before = _uid(connection, place, "blank")
    other = {**VOLUMES[2], "storage": {**THIN, "storage_class_name": "thin"}, "on_drift": "recreate"}
    assert declare(other, check=True)["drift"] == "recreate"
    assert _uid(connection, place, "blank") == before
    made = declare(other)
    assert not made.get("failed"), made
    assert (made["drift"], made["phase"]) == ("recreate", "Succeeded")
    assert _uid(connection, place, "blank") != before
    until(lambda: _is_collected(connection, place, "blank"), 300, "the new DataVolume is not collected")
    assert not declare(other)["changed"]


def test_collected_upload_is_replaced_on_request(
    ok: Ok, module: Module, connection: Connection, place: str, upload: dict[str, Any], images: Images
) -> None:
    other = {**upload, "path": images.iso}
    refused = module("volume_upload", **other).result
    assert refused["failed"] and "overwrite=different" in refused["msg"]
    replaced = ok("volume_upload", **other, overwrite="different")
    assert (replaced["action"], replaced["phase"]) == ("replaced", "Succeeded")
    until(lambda: _is_collected(connection, place, "uploaded"), 300, "the new DataVolume is not collected")
    assert ok("volume_upload", **other)["action"] == "unchanged"


def test_collected_volume_is_cloned(
    declare: Ok, connection: Connection, place: str, digest: Callable[..., str]
) -> None:
    made = declare({**CLONES[0], "name": "of-collected"})
    assert not made.get("failed"), made
    assert (made["changed"], made["phase"], made["clone"]["method"]) == (True, "Succeeded", "snapshot")
    assert digest(place, "of-collected", DISK_BYTES) == (IMAGES / "disk.raw.sha256").read_text().split()[0]
    until(lambda: _is_collected(connection, place, "of-collected"), 300, "the clone is not collected")
    assert not declare({**CLONES[0], "name": "of-collected"})["changed"]


def test_collected_volume_in_use_is_kept(
    declare: Ok, module: Module, connection: Connection, place: str, upload: dict[str, Any], images: Images
) -> None:
    """Volumes and uploads in use are not deleted or recreated, and check mode reports the refusal."""
    for name in ("of-collected", "uploaded"):
        mount(connection, place, f"uses-{name}", name)
    before = [_uid(connection, place, name) for name in ("of-collected", "uploaded")]
    other: dict[str, Any] = {
        **CLONES[0],
        "name": "of-collected",
        "storage": {**THIN, "storage_class_name": "plain"},
        "on_drift": "recreate",
    }
    for check in (True, False):
        for change in ({"name": "of-collected", "state": "absent"}, other):
            refused = declare(change, check=check)
            assert refused["failed"] and not refused["changed"], refused
            assert f"is in use by pod {place}/uses-of-collected" in refused["msg"]
        other_file = {**upload, "path": images.disks["raw"], "overwrite": "different"}
        refused = module("volume_upload", check=check, **other_file).result
        assert refused["failed"] and not refused["changed"], refused
        assert f"is in use by pod {place}/uses-uploaded" in refused["msg"]
    assert before == [_uid(connection, place, name) for name in ("of-collected", "uploaded")]
    for name in ("of-collected", "uploaded"):
        connection.delete(POD, f"uses-{name}", place, dry_run=False)


def test_collected_volume_is_deleted_with_its_data(declare: Ok, connection: Connection, place: str) -> None:
    kept = declare({"name": "by-copy", "state": "absent", "keep_claim": True})
    assert not kept["changed"] and connection.get(PERSISTENT_VOLUME_CLAIM, "by-copy", place)
    gone = {"name": "by-copy", "state": "absent"}
    assert declare(gone, check=True)["changed"] and connection.get(PERSISTENT_VOLUME_CLAIM, "by-copy", place)
    assert declare(gone)["changed"] and connection.get(PERSISTENT_VOLUME_CLAIM, "by-copy", place) is None
    assert not declare(gone)["changed"]


def test_volume_with_the_annotation_is_not_collected(declare: Ok, connection: Connection, place: str) -> None:
    kept = {**VOLUMES[2], "name": "kept", "annotations": {"cdi.kubevirt.io/storage.deleteAfterCompletion": "false"}}
    assert declare(kept)["phase"] == "Succeeded"
    time.sleep(3)
    assert connection.get(DATA_VOLUME, "kept", place)
    again = declare(kept)
    assert not again["changed"] and not again["collected"]


@pytest.fixture(scope="module")
def late(connection: Connection, place: str, images: Images) -> dict[str, dict[str, Any]]:
    """Options for volumes that CDI collects after the module has read them and before it writes."""

    def ttl() -> Any:
        return existing(connection, CDI_CONFIG, "config")["spec"].get("dataVolumeTTLSeconds")

    named: Results = {name: {**VOLUMES[2], "name": name} for name in ("late-label", "late-absent", "late-other")}
    sent: dict[str, Any] = {
        "name": "late-upload",
        "path": images.disks["qcow2"],
        "storage": {"storage_class_name": "thin"},
    }
    with cdi_config(connection, dataVolumeTTLSeconds=3600):
        until(lambda: ttl() == 3600, 300, "the setting is not in effect")
        made = run_on_cluster("data_volume", namespace=place, data_volumes=list(named.values())).result
        assert not made.get("failed") and not any(item["collected"] for item in made["data_volumes"]), made
        assert not run_on_cluster("volume_upload", namespace=place, **sent).result.get("failed")
    until(lambda: ttl() == 0, 300, "the setting is not in effect")
    return {**named, "late-upload": {**sent, "path": images.iso, "overwrite": "different"}}


@pytest.mark.parametrize(
    ("name", "method", "change", "expected"),
    [
        ("late-label", "PATCH", {"labels": {"tier": "one"}}, {"changed": False, "drift": "none", "collected": True}),
        ("late-absent", "DELETE", {"state": "absent"}, {"changed": True, "collected": False}),
        (
            "late-other",
            "DELETE",
            {"storage": THIN, "on_drift": "recreate"},
            {"changed": True, "drift": "recreate", "phase": "Succeeded"},
        ),
        ("late-upload", "DELETE", {}, {"changed": True, "action": "replaced", "phase": "Succeeded"}),
    ],
)
def test_volume_that_is_collected_before_the_write_is_no_error(
    late: Results,
    connection: Connection,
    place: str,
    proxy_url: str,
    name: str,
    method: str,
    change: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    """A proxy holds the first write of the module until CDI has collected the volume."""
    before = _uid(connection, place, name)
    held: list[str] = []

    def collect_before_the_write(request_method: str, path: str) -> str:
        if not held and request_method == method and f"/datavolumes/{name}" in path and "dryRun" not in path:
            held.append(path)
            assert connection.get(DATA_VOLUME, name, place), "CDI has collected the volume too early"
            # CDI reconciles a volume when it changes.
            touched = {"metadata": {"annotations": {"tests/touched": "true"}}}
            connection.merge(DATA_VOLUME, name, place, touched, dry_run=False)
            until(lambda: _is_collected(connection, place, name), 300, "CDI does not collect the volume")
        return ""

    module_name = "volume_upload" if name == "late-upload" else "data_volume"
    options = {"namespace": place, "api_key": ADMIN_TOKEN, **late[name], **change}
    if name == "late-upload":
        options["upload_proxy_url"] = proxy_url
    with counting_proxy(os.environ["KUBEVIRT_CDI_TEST_SERVER"], os.environ["KUBEVIRT_CDI_TEST_CA"]) as wire:
        wire.trouble = collect_before_the_write
        result = run_module(module_name, {"host": wire.url, **options}).result
    assert held and not result.get("failed"), result
    assert {key: result[key] for key in expected} == expected
    after = connection.get(PERSISTENT_VOLUME_CLAIM, name, place)
    assert (after and after["metadata"]["uid"] == before) is {"late-label": True, "late-absent": None}.get(name, False)


def test_collected_volumes_are_unchanged_after_an_upgrade(
    ok: Ok, connection: Connection, declare: Ok, place: str
) -> None:
    upgraded = ok("cdi", manifest=NEWEST)
    assert upgraded["version"] == {"from": "v1.61.1", "to": "v1.65.0"}
    assert existing(connection, CDI, "cdi")["status"]["observedVersion"] == "v1.65.0"
    again = declare([VOLUMES[0], *CLONES[:2]])
    assert not any(item["changed"] for item in again.values()) and all(item["collected"] for item in again.values())
    ok("cdi_config", data_volume_ttl_seconds=-1)
