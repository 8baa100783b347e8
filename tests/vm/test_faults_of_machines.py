# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of machines on the real KubeVirt: module vm_disks names the cause and the remedy of each.

Each test prints the seconds that the report took. They are no assertion: a busy machine takes longer.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    RESOURCE_QUOTA,
    VIRTUAL_MACHINE,
    Resource,
)

from tests.cluster.versions import HELPER_IMAGE
from tests.modules import run_module, run_on_cluster
from tests.real.objects import create, create_pod, new_namespace
from tests.vm.guest import BOOT_DISK, Guest, machine
from tests.vm.state import state_of
from tests.vm_disks.spec import Entry, Spec, disk, template

HTTP, REGISTRY = os.environ["KUBEVIRT_CDI_TEST_HTTP"], os.environ["KUBEVIRT_CDI_TEST_REGISTRY"]
NODE = Resource("", "v1", "nodes", "Node", False)
# The faults are there at once, but a machine comes to them in minutes when others use all processors.
_SECONDS = 900
_PAUSE = 1.0
_MANIFEST, _INDEX = (f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "index"))
EMPTY: Entry = {"empty_disk": {"capacity": "1Mi"}}
NO_FIELDS: Entry = {}
# Two machines that use one claim have to be on one node: QEMU locks the image there.
_TOGETHER: Entry = {"nodeSelector": {"node-role.kubernetes.io/control-plane": ""}}


class Fault(NamedTuple):
    """A machine that does not run: the cause, and parts of message and remedy. `fields` add to its template."""

    cause: str
    words: str
    remedy: str
    disk: Entry
    fields: Entry = NO_FIELDS
    namespace: str = "main"


def claim(name: str, **more: Any) -> Entry:
    return disk(persistent_volume_claim={"claim_name": name, **more})


def volume(name: str, **more: Any) -> Entry:
    return disk(data_volume={"name": name}, **more)


def made(name: str, source: Entry, **storage: Any) -> Entry:
    return template(name=name, source=source, storage={"size": "32Mi", **storage})


def image(name: str, **more: Any) -> Entry:
    return disk(container_disk={"image": name, **more})


# By the names of the machines. `{main}` and `{images}` are the names of namespaces.
FAULTS = {
    "claim-missing": Fault(
        "claim_missing", "claim 'nothing' of disk 'd' does not exist", "create it", claim("nothing")
    ),
    "volume-missing": Fault(
        "claim_missing", "DataVolume 'nothing' of disk 'd' does not exist", "create it", volume("nothing")
    ),
    "importing": Fault(
        "volume_filling",
        "disk 'd' waits for DataVolume of its template 'slow' (phase ",
        "wait until CDI has filled it",
        made("slow", {"http": {"url": f"{HTTP}/slow/disk.raw"}}, size="128Mi"),
    ),
    "not-uploaded": Fault(
        "waiting_for_upload", "waits for DataVolume 'upload' (phase UploadReady)", "volume_upload", volume("upload")
    ),
    "template-404": Fault(
        "source_not_found",
        "disk 'd' waits for DataVolume of its template 'missing'",
        "correct the URL",
        made("missing", {"http": {"url": f"{HTTP}/nothing"}}),
    ),
    "template-clone": Fault(
        "clone_not_permitted",
        "ServiceAccount {main}/default, which is not permitted to clone from namespace '{images}'",
        "kubevirt.cdi.clone_permission (namespace={images}, service_accounts=[{{name: default, namespace: {main}}}])",
        made("clone", {"pvc": {"name": "golden", "namespace": "{images}"}}),
    ),
    "template-class": Fault(
        "storage_class_missing",
        "waits for DataVolume of its template 'class'",
        "correct the class",
        made("class", {"blank": {}}, storage_class_name="nothing"),
    ),
    "template-quota": Fault(
        "quota_exceeded",
        "has no room for the claim",
        "raise the namespace's quota",
        made("quota", {"blank": {}}),
        namespace="claims",
    ),
    "pod-quota": Fault(
        "quota_exceeded",
        "the machine's pod is rejected",
        "raise ResourceQuota 'quota'",
        disk(**EMPTY),
        NO_FIELDS,
        "pods",
    ),
    "class-missing": Fault(
        "storage_class_missing", "claim 'unbound' of disk 'd' is not bound", "existing storage class", claim("unbound")
    ),
    "wrong-mode": Fault(
        "wrong_volume_mode", "volumeMode=Filesystem", "set type=disk", volume("file", type="lun", bus="scsi")
    ),
    "used-by-a-pod": Fault("claim_in_use", "ReadWriteOncePod", "stop that pod", claim("single")),
    "read-only": Fault(
        "volume_read_only", "disk 'd' is mounted read-only", "set read_only=true", claim("locked", read_only=True)
    ),
    "image-missing": Fault(
        "image_pull_failed", "nothing:1", "correct container_disk.image", image(f"{REGISTRY}/nothing:1")
    ),
    "image-architecture": Fault(
        "image_architecture",
        "/arm:1' has no image for the architecture",
        "use an image with a part for this architecture",
        image(f"{REGISTRY}/{{main}}/arm:1"),
    ),
    "image-without-disk": Fault(
        "image_without_disk", "image of disk 'd' has no disk image at <nil>", "container_disk.path", image(HELPER_IMAGE)
    ),
    "machine-architecture": Fault(
        "unschedulable", "node affinity/selector", "correct architecture", disk(**EMPTY), {"architecture": "arm64"}
    ),
    "nothing-to-boot": Fault(
        "nothing_to_boot",
        "finds nothing to boot (Boot failed: not a bootable disk)",
        "fill the disk",
        made("empty", {"blank": {}}),
        {"domain": {"firmware": {"bootloader": {"bios": {"useSerial": True}}}}},
    ),
    "secret-missing": Fault(
        "secret_missing",
        "Secret 'nothing' of volume 'd-udata' does not exist",
        "create it",
        disk(cloud_init_no_cloud={"secret_ref": {"name": "nothing"}}),
    ),
    "config-map-missing": Fault(
        "config_map_missing",
        "ConfigMap 'nothing' of volume 'd' does not exist",
        "create it",
        disk(config_map={"name": "nothing"}),
    ),
    "used-by-a-machine": Fault(
        "claim_in_use", "disk 'd' is in use by another machine", "stop the other machine", volume("used"), _TOGETHER
    ),
}


class Report(NamedTuple):
    """The result `diagnosis` of a machine, and its warnings; seconds since its creation and of the task."""

    diagnosis: dict[str, Any]
    warnings: list[str]
    since_creation: float
    of_task: float


class Places:
    """The namespaces of the tests by their short names."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def filled(self, value: Any) -> Any:
        """The same with the names of namespaces in its texts."""
        if isinstance(value, dict):
            return {key: self.filled(each) for key, each in value.items()}
        return value.format(**self.names) if isinstance(value, str) and "{" in value else value


@pytest.fixture(scope="module")
def places(connection: Connection) -> Iterator[Places]:
    """Four namespaces, and what the disks of the machines need."""
    with (
        new_namespace(connection) as main,
        new_namespace(connection) as images,
        new_namespace(connection) as claims,
        new_namespace(connection) as pods,
    ):
        places = Places({"main": main, "images": images, "claims": claims, "pods": pods})
        for name, kind in (("claims", "persistentvolumeclaims"), ("pods", "pods")):
            create(connection, RESOURCE_QUOTA, "quota", places.names[name], spec={"hard": {kind: "0"}})
        sources: dict[str, Entry] = {name: {"blank": {}} for name in ("file", "used", "locked")}
        sources["upload"] = {"upload": {}}
        for name, source in sources.items():
            storage: Entry = {"resources": {"requests": {"storage": "32Mi"}}}
            storage |= {"volumeMode": "Filesystem", "accessModes": ["ReadWriteOnce"]}
            create(connection, DATA_VOLUME, name, main, spec={"source": source, "storage": storage})
        blank = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "32Mi"}}}}
        create(connection, DATA_VOLUME, "golden", images, spec=blank)
        for name, mode, storage_class in (("single", "ReadWriteOncePod", "thin"), ("unbound", "ReadWriteOnce", "none")):
            spec = {
                "accessModes": [mode],
                "resources": {"requests": {"storage": "32Mi"}},
                "storageClassName": storage_class,
            }
            create(connection, PERSISTENT_VOLUME_CLAIM, name, main, spec=spec)
        create_pod(connection, "user", main, "single")
        _push_for_another_architecture(f"{REGISTRY}/{main}/arm:1")
        yield places


def _push_for_another_architecture(name: str) -> None:
    """Push an index with a disk for arm64 only. Without an index, every node takes the image."""
    path = os.environ["KUBEVIRT_CDI_TEST_GUEST"]
    pushed = run_module("container_disk", {"path": path, "image": name, "architecture": "arm64", "plain_http": True})
    assert not pushed.result.get("failed"), pushed.result
    place = f"http://{REGISTRY}/v2/{name.removeprefix(f'{REGISTRY}/').rpartition(':')[0]}/manifests/"
    digest = pushed.result["reference"].rpartition("@")[2]
    manifest = urllib.request.Request(f"{place}{digest}", headers={"Accept": _MANIFEST})
    with urllib.request.urlopen(manifest, timeout=60) as answer:
        size = len(answer.read())
    platform = {"architecture": "arm64", "os": "linux"}
    entries = [{"mediaType": _MANIFEST, "digest": digest, "size": size, "platform": platform}]
    index = json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}).encode()
    written = urllib.request.Request(f"{place}1", index, {"Content-Type": _INDEX}, method="PUT")
    urllib.request.urlopen(written, timeout=60).close()


@pytest.fixture(scope="module")
def reports(connection: Connection, places: Places) -> Iterator[dict[str, Report]]:
    """What vm_disks reports of each machine, once its cause is the expected one."""
    user = Guest(connection, places.names["main"], "user")
    user.post(VIRTUAL_MACHINE, _spec(volume("used"), _TOGETHER))
    guests = {name: Guest(connection, places.names[fault.namespace], name) for name, fault in FAULTS.items()}
    for name, guest in guests.items():
        if name == "used-by-a-machine":
            user.until(lambda: user.phase() == "Running", "does not run")
        guest.post(VIRTUAL_MACHINE, _spec(places.filled(FAULTS[name].disk), FAULTS[name].fields))
    yield _reported(connection, guests)
    for guest in [*guests.values(), user]:
        connection.delete(VIRTUAL_MACHINE, guest.name, guest.namespace, dry_run=False)


def _spec(entry: Entry, fields: Entry) -> dict[str, Any]:
    domain = fields.get("domain", {})
    disks = [entry] if domain else [entry, BOOT_DISK]
    spec = machine(Spec("fault", disks).fragment, memory={"guest": "64Mi"}, **domain)
    spec["template"]["spec"] |= {key: value for key, value in fields.items() if key != "domain"}
    return spec


def _reported(connection: Connection, guests: dict[str, Guest]) -> dict[str, Report]:
    """The first report with the expected cause of each machine. One task looks at all of them."""
    created, found = time.monotonic(), dict[str, Report]()
    machines = [{"name": name, "namespace": guest.namespace, "disks": []} for name, guest in guests.items()]
    while len(found) < len(guests):
        started = time.monotonic()
        ran = run_on_cluster("vm_disks", machines=machines)
        now = time.monotonic()
        assert not ran.result.get("failed"), ran.result["msg"]
        for result in ran.result["machines"]:
            name, diagnosis = result["name"], result["diagnosis"]
            if name not in found and diagnosis and diagnosis["cause"] == FAULTS[name].cause:
                warnings = [text for text in ran.warnings if f"/{name} does not " in text]
                found[name] = Report(diagnosis, warnings, now - created, now - started)
        if now - created > _SECONDS:
            missing = {each["name"]: each["diagnosis"] for each in ran.result["machines"] if each["name"] not in found}
            states = "\n".join(state_of(connection, each) for each in {guest.namespace for guest in guests.values()})
            raise AssertionError(f"Not reported as expected: {missing}\n{states}")
        time.sleep(_PAUSE)
    return found


@pytest.mark.parametrize("name", FAULTS)
def test_machine_does_not_run_and_its_fault_is_reported(reports: dict[str, Report], places: Places, name: str) -> None:
    fault, report = FAULTS[name], reports[name]
    print(
        f"{name}: {report.since_creation:.1f} s after the machine was created, by a task of {report.of_task:.1f} s: "
        f"{report.diagnosis['message']}; {report.diagnosis['remedy']}"
    )
    assert report.diagnosis["cause"] == fault.cause
    assert places.filled(fault.words) in report.diagnosis["message"]
    assert places.filled(fault.remedy) in report.diagnosis["remedy"]
    # What CDI is still filling is no reason to warn.
    assert len(report.warnings) == (fault.cause != "volume_filling")
