# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CDI 1.61.1: the whole site, and DataVolumes that CDI deletes after they have succeeded; the last test upgrades to 1.65.0."""

from __future__ import annotations

import json
import os
import re
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
    CONFIG_MAP,
    DATA_VOLUME,
    DEPLOYMENT,
    PERSISTENT_VOLUME_CLAIM,
    POD,
)

from tests.cluster.runtime.fixtures_images import DISK_BYTES
from tests.cluster.runtime.fixtures_registry import CONTAINER_DISK
from tests.modules import run_in_process, run_on_cluster
from tests.real.clone_setup import without_default_class
from tests.real.conftest import MANIFEST
from tests.real.objects import Lookup, Module, Ok, existing, until
from tests.real.scratch_setup import ScratchWatch, cdi_config, effective, namespace_of_its_own
from tests.real.test_data_in_use import mount
from tests.real.uploads import Images, namespace_of
from tests.runner.site import INVENTORY, OWN_VARIABLES
from tests.runner.tree import ROOT

pytestmark = pytest.mark.alone("installs and upgrades CDI", for_good=True)

NEWEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml"
HTTP = os.environ["KUBEVIRT_CDI_TEST_HTTP"]
IMAGES = Path(os.environ["KUBEVIRT_CDI_TEST_IMAGES"])
THIN = {"size": "128Mi", "storage_class_name": "thin"}
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


def test_the_installation_has_started_each_component_once(connection: Connection) -> None:
    """Each change of what its pods look like is a revision of a Deployment."""
    deployments = {item["metadata"]["name"]: item for item in connection.list(DEPLOYMENT, "cdi")[0]}
    revisions = {
        name: item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for name, item in deployments.items()
    }
    assert revisions == dict.fromkeys(("cdi-operator", "cdi-apiserver", "cdi-deployment", "cdi-uploadproxy"), "1")
    assert existing(connection, CDI, "cdi")["spec"]["infra"]["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_the_whole_site_runs_and_changes_nothing_the_second_time() -> None:
    variables = json.dumps({"cdi_manifest": MANIFEST, "cdi_preallocation": False})
    command = [
        "ansible-playbook",
        f"--inventory={INVENTORY}",
        f"--extra-vars=@{OWN_VARIABLES}",
        "--extra-vars",
        variables,
    ]
    outputs = []
    for _run in range(2):
        ran = subprocess.run(
            [*command, str(ROOT / "playbooks" / "site.yml")], check=False, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        outputs.append(ran.stdout)
    assert re.search(r"changed=[1-9]", outputs[0]) and "changed=0 " in outputs[1], outputs[1]
    assert "v1.61.1" in outputs[1]


def test_without_a_class_that_exists_scratch_space_is_of_the_default_class_and_then_of_the_targets_own(
    connection: Connection, ok: Ok
) -> None:
    """CDI 1.65 leaves the default class out of account (config-controller.go, v1.61.1 and v1.65.0)."""
    volume = {"source": VOLUMES[0]["source"], "storage": {**THIN, "storage_class_name": "plain"}}
    with namespace_of_its_own(connection) as own, cdi_config(connection, scratchSpaceStorageClass="no-such-class"):
        watch = ScratchWatch(own).start()
        until(
            lambda: effective(connection).get("scratchSpaceStorageClass") == "thin",
            30,
            "the default class is not in effect",
        )
        by_default = ok("data_volume", name="by-default", namespace=own, **volume)
        with without_default_class(connection):
            until(lambda: "scratchSpaceStorageClass" not in effective(connection), 30, "a class is in effect")
            by_target = ok("data_volume", name="by-target", namespace=own, **volume)
        seen = {name: watch.of(connection, name) for name in ("by-default", "by-target")}
    classes = {name: claim["spec"]["storageClassName"] for name, claim in seen.items() if claim}
    assert classes == {"by-default": "thin", "by-target": "plain"}
    assert by_default["scratch"]["storage_class_name"] == "thin"
    assert "CDI before 1.65 takes" in by_default["scratch"]["storage_class_rule"]
    assert by_target["scratch"]["storage_class_name"] == "plain"
    assert "the cluster has no default class" in by_target["scratch"]["storage_class_rule"]


def test_a_ca_for_a_registry_is_taken_from_keys_that_end_in_crt_and_of_others_it_is_said(
    connection: Connection, module: Module, ok: Ok
) -> None:
    """CDI 1.65 takes `.pem`, too (registry-datasource.go, v1.61.1 and v1.65.0)."""
    address = os.environ["KUBEVIRT_CDI_TEST_HTTPS"].removeprefix("https://")
    registry = {"url": f"docker://{address}/{CONTAINER_DISK[0]}:{CONTAINER_DISK[1]}", "cert_config_map": "pem"}
    volume = {"source": {"registry": registry}, "storage": THIN}
    with namespace_of_its_own(connection) as own:
        authority = existing(connection, CONFIG_MAP, "ca", own)["data"]["ca.crt"]
        other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pem"}, "data": {"ca.pem": authority}}
        connection.create(CONFIG_MAP, other, own, dry_run=False)
        ran = module("data_volume", name="pem", namespace=own, **volume)
        assert any(
            "CDI before 1.65 only takes keys that end in .crt for a registry, and its keys are ca.pem" in told
            for told in ran.warnings
        ), ran.output
        assert ran.result["failed"] and ran.result["diagnosis"]["cause"] == "certificate_untrusted"
        assert "under a key that ends in .crt" in ran.result["msg"]
        volume["source"] = {"registry": {**registry, "cert_config_map": "ca"}}
        corrected = ok("data_volume", name="pem", namespace=own, **volume)
        assert (corrected["drift"], corrected["phase"]) == ("unfilled", "Succeeded")


@pytest.fixture(scope="module")
def place(connection: Connection) -> Iterator[str]:
    yield from namespace_of(connection)


@pytest.fixture
def declare(place: str, module: Module) -> Ok:
    """Declares volumes, and returns the result, by name when it is a list."""

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


def _is_collected(connection: Connection, place: str, name: str) -> bool:
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, place)
    return claim is not None and connection.get(DATA_VOLUME, name, place) is None


def test_a_volume_that_is_collected_while_it_is_waited_for_has_succeeded(
    connection: Connection, ok: Ok, declare, place, upload
) -> None:
    """CDI deletes it in the moment in which it has succeeded."""
    ok("cdi_config", data_volume_ttl_seconds=0)
    made = declare(VOLUMES) | declare(CLONES)
    assert {name: item["phase"] for name, item in made.items()} == dict.fromkeys(made, "Succeeded")
    assert all(item["changed"] for item in made.values())
    methods = {item["name"]: item["clone"]["method"] for name, item in made.items() if name.startswith("by-")}
    assert methods == {"by-snapshot": "snapshot", "by-csi": "csi-clone", "by-copy": "copy"}
    sent = ok("volume_upload", **upload)
    assert (sent["action"], sent["phase"]) == ("uploaded", "Succeeded")
    until(lambda: all(_is_collected(connection, place, name) for name in ALL), 60, "not all DataVolumes are collected")


def test_the_second_run_changes_nothing(declare, ok: Ok, upload) -> None:
    again = declare([*VOLUMES, *CLONES])
    assert not any(item["changed"] for item in again.values())
    assert all(
        (item["phase"], item["drift"], item["collected"]) == ("Succeeded", "none", True) for item in again.values()
    )
    told = ok("volume_upload", **upload)
    assert (told["changed"], told["action"], told["bytes_sent"], told["phase"]) == (False, "unchanged", 0, "Succeeded")
    checksum = f"sha256:{told['sha256']}"
    assert ok("volume_upload", **upload, checksum=checksum)["action"] == "unchanged"


def test_the_data_are_there(digest: Callable[..., str], place, declare, images: Images, upload) -> None:
    wanted = (IMAGES / "disk.raw.sha256").read_text().split()[0]
    for name in ("golden", "device", "by-snapshot", "by-csi", "by-copy"):
        assert digest(place, name, DISK_BYTES) == wanted, name
    assert digest(place, "uploaded", images.size) == images.sha256


def test_what_their_disks_occupy_is_measured(declare, ok: Ok, place) -> None:
    measured = declare({**VOLUMES[0]}, verify_allocation=True)
    assert not measured["changed"] and measured["collected"], measured
    told = ok("data_volume_info", namespace=place, name="golden", verify_allocation=True)["data_volumes"][0]
    assert measured["allocation"]["allocated_bytes"] > 0 and measured["allocation"] == told["allocation"], told


def test_info_and_lookup_tell_of_them(ok: Ok, lookup: Lookup, place) -> None:
    told = {item["name"]: item for item in ok("data_volume_info", namespace=place)["data_volumes"]}
    assert sorted(told) == sorted(ALL)
    assert all(
        (item["phase"], item["collected"], item["diagnosis"]) == ("Succeeded", True, None) for item in told.values()
    )
    assert told["by-csi"]["clone"]["method"] == "csi-clone" and told["uploaded"]["source"] == "upload"
    (one,) = ok("data_volume_info", namespace=place, name="golden")["data_volumes"]
    assert one["collected"]
    assert ok("data_volume_info", namespace=place, label_selectors=["app=nothing"])["data_volumes"] == []
    (answer,) = lookup(f"{place}/by-snapshot")
    assert (
        answer["exists"]
        and answer["method"] == "snapshot"
        and answer["phase"] == "Succeeded"
        and answer["waits_for"] == []
    )
    (declared,) = lookup({**CLONES[2], "namespace": place})
    assert declared["method"] == "copy" and declared["observed"] and declared["waits_for"] == []


def test_the_report_tells_of_them(place, tmp_path: Path) -> None:
    variables = {
        "cdi_namespace": place,
        "cdi_data_volumes": [*VOLUMES, *CLONES],
        "cdi_report_json": str(tmp_path / "report.json"),
    }
    command = [
        "ansible-playbook",
        f"--inventory={INVENTORY}",
        "--extra-vars",
        json.dumps(variables),
        "kubevirt.cdi.volumes",
    ]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0 and "changed=0 " in ran.stdout, ran.stdout + ran.stderr
    volumes = {item["name"]: item for item in json.loads((tmp_path / "report.json").read_text())["volumes"]}
    assert {volumes[name]["phase"] for name in ALL} == {"Succeeded"}


def test_drift_is_found_by_the_claim(declare, connection: Connection, place) -> None:
    other = {**VOLUMES[0], "storage": {**THIN, "storage_class_name": "plain"}}
    told = declare(other)
    assert told["failed"] and not told["changed"]
    assert "storage.storage_class_name is thin and not plain" in told["msg"] and "on_drift=recreate" in told["msg"]
    told = declare({**VOLUMES[0], "source": {"upload": {}}})
    assert told["failed"] and "source is VolumeImportSource" in told["msg"]
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, "golden", place)
    assert claim["spec"]["storageClassName"] == "thin"


def test_what_could_not_be_made_in_its_place_is_refused_before_it_is_deleted(
    declare, connection: Connection, place
) -> None:
    before = existing(connection, PERSISTENT_VOLUME_CLAIM, "by-copy", place)["metadata"]["uid"]
    anew = {**CLONES[2], "storage": THIN, "on_drift": "recreate"}
    for change, refusal in (
        (
            {"storage": {**THIN, "storage_class_name": "thinn"}},
            "storage class 'thinn' (storage.storage_class_name) does not exist",
        ),
        ({"source": {"pvc": {"name": "goldn"}}}, f"PersistentVolumeClaim '{place}/goldn' (source.pvc) does not exist"),
        ({"storage": {**THIN, "size": "32Mi"}}, "32Mi is smaller than the source's 128Mi"),
        ({"require_clone_method": ["copy"]}, "by-copy would be cloned by snapshot, and require_clone_method is copy"),
    ):
        for check in (True, False):
            refused = declare({**anew, **change}, check=check)
            assert refused["failed"] and not refused["changed"] and refusal in refused["msg"], refused
    assert existing(connection, PERSISTENT_VOLUME_CLAIM, "by-copy", place)["metadata"]["uid"] == before


def test_a_collected_volume_grows(declare, connection: Connection, place) -> None:
    larger = {**VOLUMES[1], "storage": {**VOLUMES[1]["storage"], "size": "192Mi"}}
    grown = declare(larger)
    assert not grown.get("failed"), grown
    assert grown["changed"] and grown["drift"] == "growable" and grown["collected"]
    assert (
        parse(existing(connection, PERSISTENT_VOLUME_CLAIM, "device", place)["status"]["capacity"]["storage"])
        >= 192 << 20
    )
    assert not declare(larger)["changed"]


def test_a_collected_volume_that_cannot_grow_is_made_anew_when_that_is_said(
    declare, connection: Connection, place
) -> None:
    larger = {**CLONES[1], "storage": {**CLONES[1]["storage"], "size": "192Mi"}}
    refused = declare(larger)
    assert (
        refused["failed"]
        and not refused["changed"]
        and "its storage class 'thin-fixed' does not allow it" in refused["msg"]
    ), refused
    made = declare({**larger, "on_drift": "recreate"})
    assert not made.get("failed"), made
    assert (made["changed"], made["drift"], made["phase"]) == (True, "recreate", "Succeeded")
    assert (
        parse(
            existing(connection, PERSISTENT_VOLUME_CLAIM, "by-csi", place)["spec"]["resources"]["requests"]["storage"]
        )
        >= 192 << 20
    )
    until(lambda: _is_collected(connection, place, "by-csi"), 30, "the new DataVolume is not collected")
    assert not declare({**larger, "on_drift": "recreate"})["changed"]


def test_a_collected_volume_is_made_anew_when_that_is_said(declare, connection: Connection, place) -> None:
    before = existing(connection, PERSISTENT_VOLUME_CLAIM, "blank", place)["metadata"]["uid"]
    other = {**VOLUMES[2], "storage": {**THIN, "storage_class_name": "thin"}, "on_drift": "recreate"}
    assert declare(other, check=True)["drift"] == "recreate"
    assert existing(connection, PERSISTENT_VOLUME_CLAIM, "blank", place)["metadata"]["uid"] == before
    made = declare(other)
    assert not made.get("failed"), made
    assert (made["drift"], made["phase"]) == ("recreate", "Succeeded")
    assert existing(connection, PERSISTENT_VOLUME_CLAIM, "blank", place)["metadata"]["uid"] != before
    until(lambda: _is_collected(connection, place, "blank"), 30, "the new DataVolume is not collected")
    assert not declare(other)["changed"]


def test_another_file_replaces_a_collected_upload_when_that_is_said(
    ok: Ok, module: Module, connection: Connection, place, upload, images: Images
) -> None:
    other = {**upload, "path": images.iso}
    refused = module("volume_upload", **other).result
    assert refused["failed"] and "overwrite=different" in refused["msg"]
    replaced = ok("volume_upload", **other, overwrite="different")
    assert (replaced["action"], replaced["phase"]) == ("replaced", "Succeeded")
    until(lambda: _is_collected(connection, place, "uploaded"), 30, "the new DataVolume is not collected")
    assert ok("volume_upload", **other)["action"] == "unchanged"


def test_a_collected_volume_is_cloned(declare, connection: Connection, place, digest: Callable[..., str]) -> None:
    made = declare({**CLONES[0], "name": "of-collected"})
    assert not made.get("failed"), made
    assert (made["changed"], made["phase"], made["clone"]["method"]) == (True, "Succeeded", "snapshot")
    assert digest(place, "of-collected", DISK_BYTES) == (IMAGES / "disk.raw.sha256").read_text().split()[0]
    until(lambda: _is_collected(connection, place, "of-collected"), 30, "the clone is not collected")
    assert not declare({**CLONES[0], "name": "of-collected"})["changed"]


def test_a_collected_volume_that_a_pod_uses_stays(
    declare, module: Module, connection: Connection, place, upload, images: Images
) -> None:
    """Of volumes and uploads alike: neither is deleted or made anew, also not by a prediction."""
    for name in ("of-collected", "uploaded"):
        mount(connection, place, f"uses-{name}", name)
    before = [
        existing(connection, PERSISTENT_VOLUME_CLAIM, name, place)["metadata"]["uid"]
        for name in ("of-collected", "uploaded")
    ]
    other = {
        **CLONES[0],
        "name": "of-collected",
        "storage": {**THIN, "storage_class_name": "plain"},
        "on_drift": "recreate",
    }
    for check in (True, False):
        for change in ({"name": "of-collected", "state": "absent"}, other):
            refused = declare(change, check=check)
            assert (
                refused["failed"]
                and not refused["changed"]
                and f"is in use by pod {place}/uses-of-collected" in refused["msg"]
            ), refused
        refused = module(
            "volume_upload", check=check, **{**upload, "path": images.disks["raw"]}, overwrite="different"
        ).result
        assert (
            refused["failed"] and not refused["changed"] and f"is in use by pod {place}/uses-uploaded" in refused["msg"]
        ), refused
    assert before == [
        existing(connection, PERSISTENT_VOLUME_CLAIM, name, place)["metadata"]["uid"]
        for name in ("of-collected", "uploaded")
    ]
    for name in ("of-collected", "uploaded"):
        connection.delete(POD, f"uses-{name}", place, dry_run=False)


def test_a_collected_volume_is_deleted_with_its_data(declare, connection: Connection, place) -> None:
    kept = declare({"name": "by-copy", "state": "absent", "keep_claim": True})
    assert not kept["changed"] and connection.get(PERSISTENT_VOLUME_CLAIM, "by-copy", place)
    gone = {"name": "by-copy", "state": "absent"}
    assert declare(gone, check=True)["changed"] and connection.get(PERSISTENT_VOLUME_CLAIM, "by-copy", place)
    assert declare(gone)["changed"] and connection.get(PERSISTENT_VOLUME_CLAIM, "by-copy", place) is None
    assert not declare(gone)["changed"]


def test_a_volume_that_says_so_is_kept(declare, connection: Connection, place) -> None:
    kept = {**VOLUMES[2], "name": "kept", "annotations": {"cdi.kubevirt.io/storage.deleteAfterCompletion": "false"}}
    assert declare(kept)["phase"] == "Succeeded"
    time.sleep(3)
    assert connection.get(DATA_VOLUME, "kept", place)
    again = declare(kept)
    assert not again["changed"] and not again["collected"]


@pytest.fixture(scope="module")
def late(connection: Connection, place: str, images: Images) -> dict[str, dict[str, Any]]:
    """What is done to volumes that CDI collects when they have been read, and before they are written."""
    named = {name: {**VOLUMES[2], "name": name} for name in ("late-label", "late-absent", "late-other")}
    sent = {"name": "late-upload", "path": images.disks["qcow2"], "storage": {"storage_class_name": "thin"}}
    with cdi_config(connection, dataVolumeTTLSeconds=3600):
        until(
            lambda: existing(connection, CDI_CONFIG, "config")["spec"].get("dataVolumeTTLSeconds") == 3600,
            30,
            "the setting is not in effect",
        )
        made = run_on_cluster("data_volume", namespace=place, data_volumes=list(named.values())).result
        assert not made.get("failed") and not any(item["collected"] for item in made["data_volumes"]), made
        assert not run_on_cluster("volume_upload", namespace=place, **sent).result.get("failed")
    until(
        lambda: existing(connection, CDI_CONFIG, "config")["spec"].get("dataVolumeTTLSeconds") == 0,
        30,
        "the setting is not in effect",
    )
    return {**named, "late-upload": {**sent, "path": images.iso, "overwrite": "different"}}


@pytest.mark.parametrize(
    ("name", "request_", "change", "expected"),
    [
        ("late-label", "apply", {"labels": {"tier": "one"}}, {"changed": False, "drift": "none", "collected": True}),
        ("late-absent", "delete", {"state": "absent"}, {"changed": True, "collected": False}),
        (
            "late-other",
            "delete",
            {"storage": THIN, "on_drift": "recreate"},
            {"changed": True, "drift": "recreate", "phase": "Succeeded"},
        ),
        ("late-upload", "delete", {}, {"changed": True, "action": "replaced", "phase": "Succeeded"}),
    ],
)
def test_a_volume_that_is_collected_before_it_is_written_is_no_error(
    late, connection: Connection, place, monkeypatch, name, request_, change, expected
) -> None:
    before = existing(connection, PERSISTENT_VOLUME_CLAIM, name, place)["metadata"]["uid"]
    send, asked = getattr(Connection, request_), []

    def sent(own: Connection, *arguments: Any, **options: Any) -> Any:
        if not asked:
            asked.append(name)
            assert connection.get(DATA_VOLUME, name, place), "it is collected too early"
            # CDI looks at a volume again when it changes.
            connection.merge(
                DATA_VOLUME, name, place, {"metadata": {"annotations": {"tests/looked-at": "again"}}}, dry_run=False
            )
            until(lambda: _is_collected(connection, place, name), 30, "it is not collected")
        return send(own, *arguments, **options)

    monkeypatch.setattr(Connection, request_, sent)
    module_name = "volume_upload" if name == "late-upload" else "data_volume"
    result = run_in_process(
        module_name, {"kubeconfig": os.environ["KUBECONFIG"], "namespace": place, **late[name], **change}
    ).result
    assert asked and not result.get("failed"), result
    assert {key: result[key] for key in expected} == expected
    after = connection.get(PERSISTENT_VOLUME_CLAIM, name, place)
    assert (after and after["metadata"]["uid"] == before) is {"late-label": True, "late-absent": None}.get(name, False)


def test_after_an_upgrade_the_collected_volumes_are_still_unchanged(
    ok: Ok, connection: Connection, declare, place
) -> None:
    upgraded = ok("cdi", manifest=NEWEST)
    assert upgraded["version"] == {"from": "v1.61.1", "to": "v1.65.0"}
    assert existing(connection, CDI, "cdi")["status"]["observedVersion"] == "v1.65.0"
    again = declare([VOLUMES[0], *CLONES[:2]])
    assert not any(item["changed"] for item in again.values()) and all(item["collected"] for item in again.values())
    ok("cdi_config", data_volume_ttl_seconds=-1)
