# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of sources, storage, quotas and clones: a task reports each with its remedy, before it times out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CONFIG_MAP,
    LIMIT_RANGE,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    SECRET,
    STORAGE_CLASS,
    Resource,
)

from tests.cluster.runtime.fixtures_objects import ACCESS_KEY, OBJECT, PRIVATE_BUCKET, PUBLIC_BUCKET, SECRET_KEY
from tests.real.clone_setup import THIN
from tests.real.fault_setup import (
    HTTP,
    HTTPS,
    NODE,
    STORAGE,
    Fault,
    FaultSetup,
    Seen,
    blank,
    check,
    http,
    storage_faults,
)

_RBAC = "rbac.authorization.k8s.io"
ROLE_BINDING = Resource(_RBAC, "v1", "rolebindings", "RoleBinding", True)

REGISTRY = HTTPS.replace("https://", "docker://")
OBJECTS = os.environ["KUBEVIRT_CDI_TEST_OBJECTS"]
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}, "storageClassName": "thin"}


def _clone(name: str, size: str = "128Mi", **source: Any) -> dict[str, Any]:
    return {"source": {"pvc": {"name": name, **source}}, "storage": {**STORAGE, "size": size}}


def _registry(image: str, **source: Any) -> dict[str, Any]:
    return {"source": {"registry": {"url": f"{REGISTRY}/{image}", **source}}, "storage": STORAGE}


def _s3(bucket: str, name: str) -> dict[str, Any]:
    return {"source": {"s3": {"url": f"{OBJECTS}/{bucket}/{name}", "secret_ref": f"s3-{bucket}"}}, "storage": STORAGE}


def _of_class(name: str, **storage: Any) -> dict[str, Any]:
    return {"source": {"blank": {}}, "storage": {"size": "64Mi", "storage_class_name": name, **storage}}


# By the names of the volumes. The fixture `setup` creates the classes and namespaces that options refer to.
FAULTS = {
    # First, because a provisioner reports its failures after all its other events, of which there are many.
    "provisioner-refuses": Fault(
        "provisioning_failed",
        "no Filesystem volumes",
        "what the driver rejects",
        blank(storage_class_name="block-only"),
    ),
    "provisioner-fails": Fault(
        "provisioning_failed", "the array is on fire", "log of the storage driver", blank(), "broken"
    ),
    # The source
    "host-unknown": Fault(
        "source_unreachable", "lookup nowhere.invalid", "correct the host", http("http://nowhere.invalid/disk")
    ),
    "connection-refused": Fault(
        "source_unreachable", "connection refused", "check that the server runs", http(f"http://{NODE}:9/disk")
    ),
    "url-not-found": Fault("source_not_found", "got 404", "correct the URL", http(f"{HTTP}/nothing")),
    "password-missing": Fault("source_unauthorized", "got 401", "set secret_ref", http(f"{HTTP}/auth/disk.qcow2")),
    "ca-unknown": Fault("certificate_untrusted", "x509", "cert_config_map", http(f"{HTTPS}/disk.qcow2")),
    "checksum-wrong": Fault(
        "checksum_mismatch", "expected sha256:00", "correct the checksum", http(checksum=f"sha256:{'0' * 64}")
    ),
    "image-invalid": Fault(
        "image_invalid", "image header", "use an image that CDI reads", http(f"{HTTP}/disk.raw.sha256")
    ),
    "image-too-large": Fault(
        "image_too_large", "too small", "request a larger size", {**http(), "storage": {**STORAGE, "size": "32Mi"}}
    ),
    "s3-key-wrong": Fault("source_unauthorized", "SignatureDoesNotMatch", "secret_ref", _s3(PRIVATE_BUCKET, OBJECT)),
    "s3-object-missing": Fault("source_not_found", "NoSuchKey", "correct the URL", _s3(PUBLIC_BUCKET, "nothing")),
    "s3-bucket-missing": Fault("source_not_found", "NoSuchBucket", "correct the URL", _s3("nothing", OBJECT)),
    "registry-image-missing": Fault(
        "source_not_found", "manifest unknown", "correct the URL", _registry("nothing:1", cert_config_map="ca")
    ),
    "node-distrusts-the-registry": Fault(
        "image_pull_failed",
        "nothing:1",
        "runtime of the nodes to trust the registry's CA",
        _registry("nothing:1", pull_method="node"),
    ),
    # The pods that CDI starts
    "secret-missing": Fault(
        "", "(source.http.secret_ref) does not exist", "create it first", http(secret_ref="nothing")
    ),
    "ca-map-missing": Fault(
        "", "(source.http.cert_config_map) does not exist", "create it first", http(cert_config_map="nothing")
    ),
    "priority-class-missing": Fault(
        "",
        "PriorityClass 'nothing' (priority_class_name) does not exist",
        "create it first",
        {**http(), "priority_class_name": "nothing"},
    ),
    "service-account-missing": Fault(
        "", "(service_account_name) does not exist", "create it first", {**http(), "service_account_name": "nothing"}
    ),
    "no-node-fits": Fault(
        "worker_unschedulable", "node affinity", "make a node accept", {"storage_class": "elsewhere"}
    ),
    # The storage
    "class-unknown": Fault(
        "",
        "storage class 'nothing' (storage.storage_class_name) does not exist",
        "thin (default)",
        blank(storage_class_name="nothing"),
    ),
    "class-unknown-to-the-profile": Fault(
        "",
        "storage class 'nothing' (storage.storage_class_name) does not exist",
        "thin (default)",
        _of_class("nothing"),
    ),
    "profile-incomplete": Fault(
        "storage_profile_incomplete", "accessMode", "storage profile", {"storage_class": "no-profile"}
    ),
    "quota-for-the-claim": Fault("", "exceeded quota", "have the quota raised", http(), "quota-0"),
    "quota-for-the-helper-claim": Fault(
        "quota_exceeded", "exceeded quota", "raise the namespace's quota", http(), "quota-1"
    ),
    "quota-for-scratch-space": Fault(
        "quota_exceeded", "exceeded quota", "raise the namespace's quota", http(), "quota-2"
    ),
    # Clones
    "clone-source-missing": Fault("", "/nothing' (source.pvc) does not exist", "create it first", _clone("nothing")),
    "snapshot-missing": Fault(
        "",
        "/nothing' (source.snapshot) does not exist",
        "create it first",
        {"source": {"snapshot": {"name": "nothing"}}, "storage": STORAGE},
    ),
    # What the check of the image finds
    "checked-url-not-found": Fault(
        "", "returned 404", "correct source.http.url", {**http(f"{HTTP}/nothing"), "check_source": "auto"}
    ),
    "checked-password-missing": Fault(
        "", "returned 401", "give source.http.secret_ref", {**http(f"{HTTP}/auth/disk.qcow2"), "check_source": "auto"}
    ),
    "checked-no-image": Fault(
        "",
        "CDI accepts no image below 512",
        "list of checksums",
        {**http(f"{HTTP}/disk.raw.sha256"), "check_source": "auto"},
    ),
    "checked-too-large": Fault(
        "",
        "the image holds a disk of 64Mi (qcow2)",
        "request at least 64Mi",
        {**http(), "storage": {**STORAGE, "size": "32Mi"}, "check_source": "auto"},
    ),
    "clone-too-small": Fault(
        "", "is smaller than the source's 64Mi", "request at least 64Mi or omit the size", _clone("source", "32Mi")
    ),
    "clone-source-in-use": Fault("clone_source_in_use", "is in use by pod", "or clone from a snapshot", _clone("used")),
    "snapshot-fails": Fault("snapshot_failed", "no snapshots today", "or copy: clone_strategy=copy", _clone("source")),
    # What the module refuses before a write
    "claim-refused": Fault("", "is rejected by a LimitRange", "request at most storage.size=94Mi", http(), "limited"),
    "class-empty": Fault(
        "",
        "pvc.storage_class_name is ''",
        "omit the option to use the default class 'thin'",
        {"source": {"blank": {}}, "pvc": {"size": "64Mi", "access_modes": ["ReadWriteOnce"], "storage_class_name": ""}},
    ),
    "no-right-to-clone": Fault(
        "", 'the right to "create" datavolumes/source', "have it granted", _clone("source"), "other"
    ),
    "claim-is-there": Fault("", "claim-is-there", "another name", http()),
    "namespace-is-going": Fault("", "is being deleted", "use another namespace", http(), "going"),
}


@pytest.fixture(scope="module")
def setup(connection: Connection) -> Iterator[FaultSetup]:
    """Sources of clones, quotas, storage classes, a user with few rights, and a namespace that is being deleted."""
    setup = FaultSetup(connection)
    main = setup.namespace("main")
    ca = Path(os.environ["KUBEVIRT_CDI_TEST_CA"]).read_text(encoding="utf-8")
    setup.make(CONFIG_MAP, "ca", main, data={"ca.pem": ca})
    for bucket, secret_key in ((PRIVATE_BUCKET, "wrong"), (PUBLIC_BUCKET, SECRET_KEY), ("nothing", SECRET_KEY)):
        keys = {"accessKeyId": ACCESS_KEY, "secretKey": secret_key}
        setup.make(SECRET, f"s3-{bucket}", main, stringData=keys)
    setup.make(PERSISTENT_VOLUME_CLAIM, "claim-is-there", main, spec=CLAIM)
    for claims in range(3):
        setup.namespace_with_quota(claims)
    most = {"type": "PersistentVolumeClaim", "max": {"storage": "100Mi"}}
    setup.make(LIMIT_RANGE, "limits", setup.namespace("limited"), spec={"limits": [most]})
    setup.make(STORAGE_CLASS, setup.name("no-profile"), provisioner=THIN)
    setup.make_class_elsewhere()
    setup.make(
        ROLE_BINDING,
        "edit",
        setup.namespace("other"),
        roleRef={"apiGroup": _RBAC, "kind": "ClusterRole", "name": "edit"},
        subjects=[{"kind": "User", "apiGroup": _RBAC, "name": "limited"}],
    )
    setup.make(
        CONFIG_MAP, "stays", setup.namespace("going"), metadata={"finalizers": ["tests.kubevirt-cdi.test/stays"]}
    )
    connection.delete(NAMESPACE, setup.namespace("going"), dry_run=False)
    sources = setup.all(setup.declare, {name: Fault("", "", "", blank()) for name in ("source", "used")})
    assert not any(seen.result.get("failed") for seen in sources.values()), sources
    setup.use("used", main)
    yield setup
    connection.merge(CONFIG_MAP, "stays", setup.namespace("going"), {"metadata": {"finalizers": None}}, dry_run=False)
    setup.remove()


def _ready(setup: FaultSetup, name: str, fault: Fault) -> Fault:
    """The fault with the full names of the objects that the fixture creates."""
    options = dict(fault.options)
    if "storage_class" in options:
        storage_class = options.pop("storage_class")
        target = {"size": "64Mi", "storage_class_name": setup.name(storage_class)}
        options |= {**http(), "storage": target}
        if storage_class == "elsewhere":
            options["storage"] = {**target, "access_modes": ["ReadWriteOnce"]}
    clone = (options.get("source") or {}).get("pvc")
    if clone and fault.namespace != "main":
        options["source"] = {"pvc": {**clone, "namespace": setup.namespace("main")}}
    user = (
        {"impersonate_user": "limited", "impersonate_groups": ["system:authenticated"]}
        if name == "no-right-to-clone"
        else {}
    )
    return Fault(fault.cause, fault.words, fault.remedy, options, fault.namespace, user)


# No report says that these will never succeed.
SUSPICIOUS = {
    "no-persistent-volume": Fault(
        "claim_pending",
        "no PersistentVolume matches",
        "create a PersistentVolume",
        {
            "source": {"blank": {}},
            "pvc": {
                "size": "64Mi",
                "access_modes": ["ReadWriteOnce"],
                "storage_class_name": "",
                "selector": {"match_labels": {"is": "nowhere"}},
            },
            "wait_timeout": 8,
        },
    ),
}
HEALTHY = {
    # 9 MiB at 1 MiB/s, two times.
    "slow-server": Fault("", "", "", {**http(f"{HTTP}/slow/disk.qcow2"), "wait_timeout": 300}),
}


@pytest.fixture(scope="module")
def seen(setup: FaultSetup) -> dict[str, Seen]:
    """The results of all tasks, while the storage fails in some namespaces."""
    everything = {name: _ready(setup, name, fault) for name, fault in {**FAULTS, **HEALTHY, **SUSPICIOUS}.items()}
    snapshots = {"code": "INTERNAL", "message": "no snapshots today", "match": setup.namespace("main")}
    volumes = {"code": "INTERNAL", "message": "the array is on fire", "match": setup.namespace("broken")}
    with storage_faults(CreateSnapshot=snapshots, CreateVolume=volumes):
        return setup.all(setup.induce, everything)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_reported_with_its_remedy(name: str, seen: dict[str, Seen], record_property: Any) -> None:
    check(FAULTS[name], seen[name], record_property)


@pytest.mark.parametrize("name", SUSPICIOUS)
def test_possibly_transient_fault_is_reported_at_the_timeout(
    name: str, seen: dict[str, Seen], record_property: Any
) -> None:
    check(SUSPICIOUS[name], seen[name], record_property)
    assert "is not ready after 8 s" in seen[name].result["msg"]


@pytest.mark.parametrize("name", HEALTHY)
def test_slow_volume_succeeds(name: str, seen: dict[str, Seen]) -> None:
    result = seen[name].result
    assert not result.get("failed"), result["msg"]
    assert result["phase"] == "Succeeded" and result["diagnosis"] is None
