# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of uploads, and storage without space: a task reports each with its remedy, before it times out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    PERSISTENT_VOLUME_CLAIM,
    Resource,
)

from tests.real.fault_setup import IMAGE, Fault, FaultSetup, Seen, blank, check, storage_faults, upload

VOLUME_UPLOAD_SOURCE = Resource("cdi.kubevirt.io", "v1beta1", "volumeuploadsources", "VolumeUploadSource", True)
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "128Mi"}}, "storageClassName": "thin"}
FILE = {"path": IMAGE}
QUOTA = ("exceeded quota", "raise the namespace's quota")
POOL_FULL = ("no space left in the pool", "free space in the storage")

# By the names of the volumes.
FAULTS = {
    # Refused before a volume is created
    "file-missing": Fault("", "File /nowhere/disk.raw was not found", "check path", upload("/nowhere/disk.raw")),
    "checksum-wrong": Fault(
        "", "does not match checksum", "Correct checksum, or the file", {**upload(), "checksum": f"sha256:{'0' * 64}"}
    ),
    "image-too-large": Fault("", "needs 64Mi", "request at least that", upload(size="32Mi")),
    "claim-takes-no-uploads": Fault("", "accepts no uploads", "set the annotation", FILE),
    "filled-otherwise": Fault("", "is filled from another source", "give another name", upload()),
    # The storage
    "class-unknown": Fault(
        "",
        "storage class 'nothing' (storage.storage_class_name) does not exist",
        "thin (default)",
        upload(storage_class_name="nothing"),
    ),
    "quota-for-the-claim": Fault("", "exceeded quota", "have the quota raised", upload(), "quota-0"),
    "quota-for-scratch-space": Fault("", *QUOTA, upload(), "quota-2"),
    "pool-full": Fault("storage_full", *POOL_FULL, blank(), "full"),
    "pool-full-for-an-upload": Fault("", *POOL_FULL, upload(), "full-2"),
    # Claims without a DataVolume: `populated` by a VolumeUploadSource, or `annotated` as a target
    "populated-of-a-class-unknown": Fault("", '"nothing" not found', "name an existing storage class", FILE),
    "annotated-of-a-class-unknown": Fault("", '"nothing" not found', "name an existing storage class", FILE),
    "populated-over-quota": Fault("", *QUOTA, FILE, "quota-1"),
    "populated-in-a-full-pool": Fault("", *POOL_FULL, FILE, "full-for-a-claim"),
    # The pods that CDI starts
    "no-node-fits": Fault("", "node affinity", "make a node accept", {"storage_class": "elsewhere"}),
    "service-account-missing": Fault(
        "", "(service_account_name) does not exist", "create it first", {**upload(), "service_account_name": "nothing"}
    ),
}


@pytest.fixture(scope="module")
def setup(connection: Connection) -> Iterator[FaultSetup]:
    """A claim that is no target, a filled volume, quotas, and a class without a node."""
    setup = FaultSetup(connection)
    setup.make(PERSISTENT_VOLUME_CLAIM, "claim-takes-no-uploads", setup.namespace("main"), spec=CLAIM)
    assert setup.declare("filled-otherwise", Fault("", "", "", blank())).result.get("phase") == "Succeeded"
    for claims in range(3):
        setup.namespace_with_quota(claims)
    setup.make_class_elsewhere()
    yield setup
    setup.remove()


def _make_claim(setup: FaultSetup, name: str, namespace: str) -> None:
    """Create a claim that accepts uploads without a DataVolume."""
    metadata: dict[str, Any] = {}
    spec: dict[str, Any] = {**CLAIM, "storageClassName": "nothing" if name.endswith("class-unknown") else "thin"}
    if name.startswith("populated-"):
        setup.make(VOLUME_UPLOAD_SOURCE, name, namespace, spec={})
        spec["dataSourceRef"] = {
            "apiGroup": VOLUME_UPLOAD_SOURCE.group,
            "kind": VOLUME_UPLOAD_SOURCE.kind,
            "name": name,
        }
    else:
        metadata["annotations"] = {"cdi.kubevirt.io/storage.upload.target": ""}
    setup.make(PERSISTENT_VOLUME_CLAIM, name, namespace, metadata=metadata, spec=spec)


@pytest.fixture(scope="module")
def seen(setup: FaultSetup) -> dict[str, Seen]:
    """The results of all tasks, while the pool is full for some namespaces."""
    elsewhere = upload(storage_class_name=setup.name("elsewhere"))
    faults = {name: _at(fault, elsewhere) for name, fault in FAULTS.items()}
    full = {"code": "RESOURCE_EXHAUSTED", "message": "no space left in the pool", "match": setup.namespace("full")}
    with storage_faults(CreateVolume=full):
        # Not before: the driver would provide their volumes while this process waits for its turn.
        for name, fault in FAULTS.items():
            if name.startswith(("populated-", "annotated-")):
                _make_claim(setup, name, setup.namespace(fault.namespace))
        return setup.all(setup.induce, faults)


def _at(fault: Fault, elsewhere: dict[str, Any]) -> Fault:
    options = elsewhere if "storage_class" in fault.options else fault.options
    return Fault(fault.cause, fault.words, fault.remedy, options, fault.namespace)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_reported_with_its_remedy(name: str, seen: dict[str, Seen], record_property: Any) -> None:
    check(FAULTS[name], seen[name], record_property)
