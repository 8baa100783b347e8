# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data in use are kept, unfilled volumes are replaced, and a task waits until a volume has grown."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.spec import desired
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
)

from tests.cluster.versions import HELPER_IMAGE
from tests.real.objects import Module, Ok, create, create_pod, existing, until
from tests.refused_volumes import volume

HTTP = os.environ["KUBEVIRT_CDI_TEST_HTTP"]
BLANK: dict[str, Any] = {"source": {"blank": {}}, "storage": {"size": "64Mi", "storage_class_name": "thin"}}
IMAGE: dict[str, Any] = {
    "source": {"http": {"url": f"{HTTP}/disk.qcow2"}},
    "storage": {"size": "128Mi", "storage_class_name": "thin"},
}
VDDK = {
    "url": "https://vcenter.example.com",
    "uuid": "u",
    "backing_file": "[d] vm.vmdk",
    "thumbprint": "20:6C",
    "secret_ref": "none",
}


def mount(connection: Connection, namespace: str, name: str, claim: str) -> None:
    """Create a pod that uses a claim, and wait until it runs."""
    create_pod(connection, name, namespace, claim)

    def running() -> bool:
        return bool(existing(connection, POD, name, namespace)["status"]["phase"] == "Running")

    until(running, 300, f"pod {name} does not run")


def uids(connection: Connection, namespace: str, name: str) -> list[str]:
    found = (connection.get(resource, name, namespace) for resource in (DATA_VOLUME, PERSISTENT_VOLUME_CLAIM))
    return [stored["metadata"]["uid"] for stored in found if stored and not stored["metadata"].get("deletionTimestamp")]


@pytest.mark.alone("tries to remove CDI, with the volumes of all namespaces")
def test_data_of_a_running_pod_are_deleted_only_on_request(
    connection: Connection, module: Module, ok: Ok, namespace: str
) -> None:
    ok("data_volume", name="disk", namespace=namespace, **BLANK)
    mount(connection, namespace, "app", "disk")
    before = uids(connection, namespace, "disk")
    other = {**BLANK, "storage": {**BLANK["storage"], "size": "32Mi"}}
    target: dict[str, Any] = {"name": "disk", "namespace": namespace, "wait_timeout": 20}
    for change in ({"state": "absent"}, {**other, "on_drift": "recreate"}):
        for check in (True, False):
            refused = module("data_volume", check=check, **target, **change).result
            assert refused["failed"] and not refused["changed"]
            assert f"DataVolume {namespace}/disk is in use by pod {namespace}/app" in refused["msg"], refused["msg"]
    refused = module("cdi", state="absent", delete_data_volumes=True).result
    assert refused["failed"] and f"DataVolume {namespace}/disk by pod {namespace}/app" in refused["msg"], refused["msg"]
    assert existing(connection, CDI, "cdi")["metadata"].get("deletionTimestamp") is None
    assert uids(connection, namespace, "disk") == before and len(before) == 2

    insisted = module("data_volume", **target, **other, on_drift="recreate", when_in_use="delete").result
    assert insisted["failed"] and insisted["changed"] and insisted["drift"] == "recreate", insisted["msg"]
    assert f"PersistentVolumeClaim {namespace}/disk was not deleted within" in insisted["msg"]
    assert f"pod {namespace}/app still uses it" in insisted["msg"]
    assert connection.get(DATA_VOLUME, "disk", namespace) is None
    connection.delete(POD, "app", namespace, dry_run=False)
    made = ok("data_volume", name="disk", namespace=namespace, **other)
    assert made["drift"] == "missing" and made["phase"] == "Succeeded" and made["size"] == "32Mi"


# CDI creates these volumes, which stay in Pending or fail for ever.
WRONG: dict[str, dict[str, Any]] = {
    "class": {**IMAGE, "storage": {**IMAGE["storage"], "storage_class_name": "thinn"}},
    "url": {**IMAGE, "source": {"http": {"url": f"{HTTP}/no-such-disk.qcow2"}}},
    "source": {**IMAGE, "source": {"pvc": {"name": "goldn"}}},
    "size": {**IMAGE, "storage": {**IMAGE["storage"], "size": "16Mi"}},
}


@pytest.mark.parametrize("what", list(WRONG))
def test_corrected_run_succeeds(connection: Connection, module: Module, ok: Ok, namespace: str, what: str) -> None:
    # Without the module, which refuses some of them before a write.
    wanted = desired(volume(name="disk", namespace=namespace, **WRONG[what]))
    connection.apply(
        DATA_VOLUME, {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, **wanted}, dry_run=False
    )
    failed = module("data_volume", name="disk", namespace=namespace, wait_timeout=45, **WRONG[what]).result
    assert failed["failed"] and not failed["changed"]
    predicted = module("data_volume", check=True, name="disk", namespace=namespace, **IMAGE).result
    corrected = ok("data_volume", name="disk", namespace=namespace, wait_timeout=300, **IMAGE)
    for result in (predicted, corrected):
        assert (
            result["changed"]
            and result["drift"] == "unfilled"
            and result["reason"].startswith("recreated because it was never filled, and ")
        ), result
    assert corrected["phase"] == "Succeeded"
    # The volume has data now.
    refused = module("data_volume", name="disk", namespace=namespace, **WRONG[what]).result
    assert refused["failed"] and not refused["changed"] and "differs from the requested spec" in refused["msg"]


def test_unfilled_volume_is_not_recreated_while_a_pod_waits_for_it(
    connection: Connection, module: Module, namespace: str
) -> None:
    waiting: dict[str, Any] = {"source": {"blank": {}}, "storage": {"size": "64Mi", "storage_class_name": "thin-wffc"}}
    module("data_volume", name="disk", namespace=namespace, **waiting)
    spec = {
        "nodeSelector": {"no": "node"},
        "containers": [{"name": "sleeps", "image": HELPER_IMAGE}],
        "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}],
    }
    create(connection, POD, "app", namespace, spec=spec)
    larger = {**waiting, "storage": {**waiting["storage"], "size": "128Mi"}}
    refused = module("data_volume", name="disk", namespace=namespace, **larger).result
    assert refused["failed"] and "cannot grow to 128Mi in phase PendingPopulation" in refused["msg"], refused["msg"]
    connection.delete(POD, "app", namespace, dry_run=False)
    until(lambda: connection.get(POD, "app", namespace) is None, 300, "the pod still exists")
    assert module("data_volume", name="disk", namespace=namespace, **larger).result["drift"] == "unfilled"


def test_clone_fails_immediately_with_its_source_in_the_same_task(module: Module, namespace: str) -> None:
    volumes = [
        {"name": "clone", **IMAGE, "source": {"pvc": {"name": "golden"}}},
        {"name": "golden", **WRONG["url"], "check_source": "never"},
    ]
    started = time.monotonic()
    result = module("data_volume", namespace=namespace, data_volumes=volumes, wait_timeout=300).result
    assert result["failed"] and time.monotonic() - started < 150
    clone, golden = result["data_volumes"]
    assert "404" in golden["error"] and "404" in clone["error"] and "its source failed" in clone["error"], clone[
        "error"
    ]


def test_task_waits_until_the_volume_has_grown(connection: Connection, module: Module, ok: Ok, namespace: str) -> None:
    def grown(size: str) -> dict[str, Any]:
        return {"name": "disk", "namespace": namespace, **IMAGE, "storage": {**IMAGE["storage"], "size": size}}

    ok("data_volume", **grown("128Mi"))
    assert ok("data_volume", **grown("0.3Gi"))["drift"] == "growable"
    # This size is not a whole number of bytes.
    assert not ok("data_volume", **grown("0.3Gi"))["changed"]
    # The file system has not grown, because no pod has used it.
    second = module("data_volume", **grown("10Ti"), wait_timeout=300).result
    claim = existing(connection, PERSISTENT_VOLUME_CLAIM, "disk", namespace)
    assert second["failed"] and "after 300 s" not in second["msg"], (second, claim["status"])
    assert "Growth of DataVolume" in second["msg"] and "requests" in second["msg"], second["msg"]
    again = module("data_volume", **grown("10Ti"), wait_timeout=60).result
    assert again["failed"] and not again["changed"]
    print(second["msg"], claim["status"])


def test_volume_without_expansion_is_recreated_without_waiting_for_growth(ok: Ok, namespace: str) -> None:
    fixed: dict[str, Any] = {**BLANK, "storage": {"size": "64Mi", "storage_class_name": "thin-fixed"}}
    ok("data_volume", name="disk", namespace=namespace, **fixed)
    larger = {**fixed, "storage": {**fixed["storage"], "size": "96Mi"}}
    recreated = ok("data_volume", name="disk", namespace=namespace, on_drift="recreate", **larger)
    assert recreated["drift"] == "recreate" and recreated["phase"] == "Succeeded" and recreated["size"] == "96Mi"
    assert (
        "does not allow it" not in recreated["reason"]
        and "storage.size: '64Mi' on the cluster, '96Mi' requested" in recreated["reason"]
    )


def test_cdi_accepts_further_checkpoints(connection: Connection, module: Module, ok: Ok, namespace: str) -> None:
    """Without a vCenter, the first stage never starts, but the webhook of CDI accepts or refuses the changes."""
    create(connection, SECRET, VDDK["secret_ref"], namespace)
    stages = [{"previous": "", "current": "one"}, {"previous": "one", "current": "two"}]
    volume_options: dict[str, Any] = {
        "name": "disk",
        "namespace": namespace,
        "source": {"vddk": VDDK},
        "storage": BLANK["storage"],
        "wait": False,
    }
    ok("data_volume", **volume_options, checkpoints=stages[:1], final_checkpoint=False)
    uid = existing(connection, DATA_VOLUME, "disk", namespace)["metadata"]["uid"]
    for checkpoints, final in ((stages, False), (stages, True), (stages[:1], None)):
        options = {**volume_options, "checkpoints": checkpoints, "final_checkpoint": final}
        predicted = module("data_volume", check=True, **options).result
        changed = ok("data_volume", **options)
        assert (
            (changed["changed"], changed["drift"]) == (True, "metadata") == (predicted["changed"], predicted["drift"])
        ), predicted
        stored = existing(connection, DATA_VOLUME, "disk", namespace)
        assert stored["metadata"]["uid"] == uid and stored["spec"]["checkpoints"] == checkpoints
        assert not ok("data_volume", **options)["changed"]
