# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that are in use stay, data that never were are no obstacle, and a growth is done when it is done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
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
from tests.modules import Ran
from tests.real.clone_setup import until
from tests.refused_volumes import volume

HTTP = os.environ["KUBEVIRT_CDI_TEST_HTTP"]
BLANK = {"source": {"blank": {}}, "storage": {"size": "64Mi", "storage_class_name": "thin"}}
IMAGE = {"source": {"http": {"url": f"{HTTP}/disk.qcow2"}}, "storage": {"size": "128Mi", "storage_class_name": "thin"}}
VDDK = {
    "url": "https://vcenter.example.com",
    "uuid": "u",
    "backing_file": "[d] vm.vmdk",
    "thumbprint": "20:6C",
    "secret_ref": "none",
}


def mount(connection: Connection, namespace: str, name: str, claim: str) -> None:
    """A running pod that uses a claim."""
    container = {
        "name": "sleeps",
        "image": HELPER_IMAGE,
        "command": ["sleep", "600"],
        "volumeMounts": [{"name": "disk", "mountPath": "/disk"}],
    }
    spec = {
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": claim}}],
    }
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    connection.create(POD, body, namespace, dry_run=False)
    until(lambda: connection.get(POD, name, namespace)["status"]["phase"] == "Running", 120, "the pod runs")


def uids(connection: Connection, namespace: str, name: str) -> list[str]:
    found = (connection.get(resource, name, namespace) for resource in (DATA_VOLUME, PERSISTENT_VOLUME_CLAIM))
    return [stored["metadata"]["uid"] for stored in found if stored and not stored["metadata"].get("deletionTimestamp")]


@pytest.mark.alone("tries to remove CDI, with the volumes of all namespaces")
def test_the_data_of_a_running_pod_are_deleted_only_when_that_is_said(
    connection: Connection, module: Callable[..., Ran], ok: Callable[..., dict[str, Any]], namespace: str
) -> None:
    ok("data_volume", name="disk", namespace=namespace, **BLANK)
    mount(connection, namespace, "app", "disk")
    before = uids(connection, namespace, "disk")
    other = {**BLANK, "storage": {**BLANK["storage"], "size": "32Mi"}}
    asked = {"name": "disk", "namespace": namespace, "wait_timeout": 20}
    for change in ({"state": "absent"}, {**other, "on_drift": "recreate"}):
        for check in (True, False):
            refused = module("data_volume", check=check, **asked, **change).result
            assert refused["failed"] and not refused["changed"]
            assert f"DataVolume {namespace}/disk is in use by pod {namespace}/app" in refused["msg"], refused["msg"]
    refused = module("cdi", state="absent", delete_data_volumes=True).result
    assert refused["failed"] and f"DataVolume {namespace}/disk by pod {namespace}/app" in refused["msg"], refused["msg"]
    assert connection.get(CDI, "cdi")["metadata"].get("deletionTimestamp") is None
    assert uids(connection, namespace, "disk") == before and len(before) == 2

    insisted = module("data_volume", **asked, **other, on_drift="recreate", when_in_use="delete").result
    assert insisted["failed"] and insisted["changed"] and insisted["drift"] == "recreate", insisted["msg"]
    assert f"PersistentVolumeClaim {namespace}/disk was not deleted within" in insisted["msg"]
    assert f"pod {namespace}/app still uses it" in insisted["msg"]
    assert connection.get(DATA_VOLUME, "disk", namespace) is None
    connection.delete(POD, "app", namespace, dry_run=False)
    made = ok("data_volume", name="disk", namespace=namespace, **other)
    assert made["drift"] == "missing" and made["phase"] == "Succeeded" and made["size"] == "32Mi"


# Made, and left in Pending or failing for ever.
WRONG: dict[str, dict[str, Any]] = {
    "class": {**IMAGE, "storage": {**IMAGE["storage"], "storage_class_name": "thinn"}},
    "url": {**IMAGE, "source": {"http": {"url": f"{HTTP}/no-such-disk.qcow2"}}},
    "source": {**IMAGE, "source": {"pvc": {"name": "goldn"}}},
    "size": {**IMAGE, "storage": {**IMAGE["storage"], "size": "16Mi"}},
}


@pytest.mark.parametrize("what", list(WRONG))
def test_a_corrected_run_succeeds(
    connection: Connection, module: Callable[..., Ran], ok: Callable[..., dict[str, Any]], namespace: str, what: str
) -> None:
    # Not by the module, which refuses some of them before it writes.
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
    # Now it holds data.
    refused = module("data_volume", name="disk", namespace=namespace, **WRONG[what]).result
    assert refused["failed"] and not refused["changed"] and "differs from the requested spec" in refused["msg"]


def test_a_volume_that_a_pod_waits_for_is_not_recreated_unasked(
    connection: Connection, module: Callable[..., Ran], namespace: str
) -> None:
    waiting = {"source": {"blank": {}}, "storage": {"size": "64Mi", "storage_class_name": "thin-wffc"}}
    module("data_volume", name="disk", namespace=namespace, **waiting)
    body = {
        "metadata": {"name": "app"},
        "spec": {
            "nodeSelector": {"no": "node"},
            "containers": [{"name": "sleeps", "image": HELPER_IMAGE}],
            "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}],
        },
    }
    connection.create(POD, body, namespace, dry_run=False)
    larger = {**waiting, "storage": {**waiting["storage"], "size": "128Mi"}}
    refused = module("data_volume", name="disk", namespace=namespace, **larger).result
    assert refused["failed"] and "cannot grow to 128Mi in phase PendingPopulation" in refused["msg"], refused["msg"]
    connection.delete(POD, "app", namespace, dry_run=False)
    until(lambda: connection.get(POD, "app", namespace) is None, 60, "the pod is gone")
    assert module("data_volume", name="disk", namespace=namespace, **larger).result["drift"] == "unfilled"


def test_clones_fail_at_once_with_the_source_of_their_task(module: Callable[..., Ran], namespace: str) -> None:
    volumes = [
        {"name": "clone", **IMAGE, "source": {"pvc": {"name": "golden"}}},
        {"name": "golden", **WRONG["url"], "check_source": "never"},
    ]
    started = time.monotonic()
    result = module("data_volume", namespace=namespace, data_volumes=volumes, wait_timeout=300).result
    assert result["failed"] and time.monotonic() - started < 90
    clone, golden = result["data_volumes"]
    assert "404" in golden["error"] and "404" in clone["error"] and "its source failed" in clone["error"], clone[
        "error"
    ]


def test_a_growth_is_done_when_it_is_done_and_not_before(
    connection: Connection, module: Callable[..., Ran], ok: Callable[..., dict[str, Any]], namespace: str
) -> None:
    def asked(size: str) -> dict[str, Any]:
        return {"name": "disk", "namespace": namespace, **IMAGE, "storage": {**IMAGE["storage"], "size": size}}

    ok("data_volume", **asked("128Mi"))
    assert ok("data_volume", **asked("0.3Gi"))["drift"] == "growable"
    # No whole number of bytes.
    assert not ok("data_volume", **asked("0.3Gi"))["changed"]
    # Its file system has not grown, because no pod has used it.
    second = module("data_volume", **asked("10Ti"), wait_timeout=60).result
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, "disk", namespace)
    assert second["failed"] and second["duration"] < 45, (second, claim["status"])
    assert "Growth of DataVolume" in second["msg"] and "requests" in second["msg"], second["msg"]
    again = module("data_volume", **asked("10Ti"), wait_timeout=60).result
    assert again["failed"] and not again["changed"]
    print(second["msg"], claim["status"])


def test_a_volume_that_was_recreated_because_it_cannot_grow_is_not_waited_for_as_one_that_grows(
    ok: Callable[..., dict[str, Any]], namespace: str
) -> None:
    fixed = {**BLANK, "storage": {"size": "64Mi", "storage_class_name": "thin-fixed"}}
    ok("data_volume", name="disk", namespace=namespace, **fixed)
    larger = {**fixed, "storage": {**fixed["storage"], "size": "96Mi"}}
    anew = ok("data_volume", name="disk", namespace=namespace, on_drift="recreate", **larger)
    assert anew["drift"] == "recreate" and anew["phase"] == "Succeeded" and anew["size"] == "96Mi"
    assert (
        "does not allow it" not in anew["reason"]
        and "storage.size: '64Mi' on the cluster, '96Mi' requested" in anew["reason"]
    )


def test_cdi_takes_further_stages_and_no_other_change(
    connection: Connection, module: Callable[..., Ran], ok: Callable[..., dict[str, Any]], namespace: str
) -> None:
    """There is no vCenter: the first stage never begins. What CDI's webhook takes is seen all the same."""
    connection.create(
        SECRET,
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": VDDK["secret_ref"]}},
        namespace,
        dry_run=False,
    )
    stages = [{"previous": "", "current": "one"}, {"previous": "one", "current": "two"}]
    asked = {
        "name": "disk",
        "namespace": namespace,
        "source": {"vddk": VDDK},
        "storage": BLANK["storage"],
        "wait": False,
    }
    ok("data_volume", **asked, checkpoints=stages[:1], final_checkpoint=False)
    uid = connection.get(DATA_VOLUME, "disk", namespace)["metadata"]["uid"]
    for checkpoints, final in ((stages, False), (stages, True), (stages[:1], None)):
        options = {**asked, "checkpoints": checkpoints, "final_checkpoint": final}
        predicted = module("data_volume", check=True, **options).result
        changed = ok("data_volume", **options)
        assert (
            (changed["changed"], changed["drift"]) == (True, "metadata") == (predicted["changed"], predicted["drift"])
        ), predicted
        stored = connection.get(DATA_VOLUME, "disk", namespace)
        assert stored["metadata"]["uid"] == uid and stored["spec"]["checkpoints"] == checkpoints
        assert not ok("data_volume", **options)["changed"]
