# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of namespaces, sources and servers, each in a namespace where other volumes also fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    LIMIT_RANGE,
    POD,
    RESOURCE_QUOTA,
    STORAGE_CLASS,
    Resource,
)

from tests.cluster.versions import HELPER_IMAGE
from tests.real.clone_setup import NO_DRIVER
from tests.real.fault_setup import HTTP, STORAGE, Fault, FaultSetup, Seen, blank, check, http

_NO_ROOM = "has no room for CDI's pod: "
_LIMIT = "have the LimitRange changed"
_PER_CLASS = "thin.storageclass.storage.k8s.io/requests.storage"

# By the short names of the namespaces.
QUOTAS = {
    "cpu": {"limits.cpu": "1m"},
    "memory": {"requests.memory": "50M"},
    "pods": {"pods": "1"},
    "count": {"count/pods": "0"},
    "storage": {"requests.storage": "450Mi"},
    "per-class": {"requests.storage": "1Ti", _PER_CLASS: "450Mi"},
}
LIMITS = {
    "most": {"type": "Container", "max": {"cpu": "500m"}},
    "least": {"type": "Pod", "min": {"memory": "1Gi"}},
    "ratio": {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
}


def _quota(namespace: str, words: str, options: dict[str, Any] | None = None) -> Fault:
    return Fault("quota_exceeded", words, "raise the namespace's quota", options or http(), namespace)


def _limit(namespace: str, words: str) -> Fault:
    return Fault("limit_range", words, _LIMIT, http(), namespace)


def _copy() -> dict[str, Any]:
    return {
        "source": {"pvc": {"name": "golden"}},
        "storage": {**STORAGE, "size": "64Mi", "storage_class_name": "plain"},
    }


# By the names of the volumes. Those that end with -1 and -2 share a namespace and fail at the same time.
FAULTS = {
    "quota-of-cpu-1": _quota("cpu", _NO_ROOM + "limits.cpu (hard 1m, used 0, requested 750m)"),
    "quota-of-cpu-2": _quota("cpu", _NO_ROOM + "limits.cpu (hard 1m, used 0, requested 750m)"),
    "quota-of-memory-1": _quota("memory", _NO_ROOM + "requests.memory (hard 50M, used 0, requested 60M)"),
    "quota-of-memory-2": _quota("memory", _NO_ROOM + "requests.memory (hard 50M, used 0, requested 60M)"),
    "quota-of-pods-1": _quota("pods", _NO_ROOM + "pods (hard 1, used 1, requested 1)"),
    "quota-of-pods-2": _quota("pods", _NO_ROOM + "pods (hard 1, used 1, requested 1)"),
    "quota-of-a-count-1": _quota("count", _NO_ROOM + "count/pods (hard 0, used 0, requested 1)"),
    "quota-of-a-count-2": _quota(
        "count", _NO_ROOM + "count/pods (hard 0, used 0, requested 1)", {"source": {"upload": {}}, "storage": STORAGE}
    ),
    "quota-of-storage": _quota("storage", "has no room for the claim: requests.storage (hard 450Mi, used "),
    "quota-of-a-class": _quota("per-class", f"has no room for the claim: {_PER_CLASS} (hard 450Mi, used "),
    "limit-of-a-container": _limit("most", "allows at most 500m of cpu in a container, and CDI's has a limit of 750m"),
    "limit-of-a-pod": _limit("least", "requires at least 1Gi of memory in a pod, and CDI's has a request of 60M"),
    "limit-of-a-ratio": _limit(
        "ratio", "at most 2 times the request of cpu in a container, and CDI's has a limit of 750m, 7.5 times"
    ),
    # Only a dry run finds these.
    "policy": Fault(
        "worker_refused",
        "denied request: no pods here",
        "make the policy or webhook accept CDI's pods",
        http(),
        "policy",
    ),
    "larger-than-the-pool": Fault(
        "storage_full", "the storage pool is full", "free space in the storage", blank(size="100Ti")
    ),
    "driver-missing": Fault(
        "provisioner_missing", f"no storage driver '{NO_DRIVER}'", "install the driver", {"storage_class": "no-driver"}
    ),
    # CDI starts the pod of the target, and reports the use of the source 6 to 10 s after the claim was created.
    "copy-of-a-used-claim": Fault(
        "clone_source_in_use", "golden' is in use by pod ", "or clone from a snapshot", _copy()
    ),
    # Created without the module, which would refuse missing objects.
    "priority-class-missing": Fault(
        "priority_class_missing",
        "PriorityClass 'nothing' (priority_class_name) does not exist",
        "create it",
        {**http(), "priority_class_name": "nothing"},
    ),
    "service-account-missing": Fault(
        "service_account_missing",
        "/nothing' (service_account_name) does not exist",
        "create it",
        {**http(), "service_account_name": "nothing"},
    ),
    "secret-missing": Fault(
        "secret_missing", 'secret "nothing" not found', "create the Secret", http(secret_ref="nothing")
    ),
    "ca-missing": Fault(
        "config_map_missing", 'configmap "nothing" not found', "create the ConfigMap", http(cert_config_map="nothing")
    ),
    # The server of the image
    "status-405": Fault(
        "source_refused",
        "got 405",
        "log of the image server, which rejects the request",
        http(f"{HTTP}/status/405/disk"),
    ),
    "status-410": Fault(
        "source_refused",
        "got 410",
        "log of the image server, which rejects the request",
        http(f"{HTTP}/status/410/disk"),
    ),
    "status-500": Fault(
        "source_server_failed", "got 500", "check the log of the image server", http(f"{HTTP}/status/500/disk")
    ),
    "status-503": Fault(
        "source_server_failed", "got 503", "check the log of the image server", http(f"{HTTP}/status/503/disk")
    ),
    "redirect-loop": Fault(
        "source_silent",
        "no progress for ",
        "its redirects may form a loop",
        http(f"{HTTP}/loop/disk"),
    ),
    "silent-server": Fault(
        "source_silent",
        "no progress for ",
        "its server does not respond",
        http(f"{HTTP}/silent/disk.qcow2"),
    ),
    "cut-answer": Fault(
        "transfer_broken",
        "and 1 restart, last error: ",
        "ends the response before",
        http(f"{HTTP}/broken/disk.qcow2"),
    ),
}
_DECLARED = {
    "priority-class-missing": {"priorityClassName": "nothing"},
    "service-account-missing": {"serviceAccountName": "nothing"},
    "secret-missing": {"secretRef": "nothing"},
    "ca-missing": {"certConfigMap": "nothing"},
}
_NAMESPACES = ("main", "policy", *QUOTAS, *LIMITS)
POLICY = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", False
)
POLICY_BINDING = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", False
)


def _volume(url: str, secretRef: str = "", certConfigMap: str = "", **spec: str) -> dict[str, Any]:
    named = {key: value for key, value in (("secretRef", secretRef), ("certConfigMap", certConfigMap)) if value}
    target = {
        "storageClassName": "thin",
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": "128Mi"}},
    }
    return {"source": {"http": {"url": url, **named}}, "storage": target, **spec}


@pytest.fixture(scope="module")
def setup(connection: Connection) -> Iterator[FaultSetup]:
    """Namespaces with limits, quotas and volumes that never become ready, and a source that a pod uses."""
    setup = FaultSetup(connection)
    main = setup.namespace("main")
    golden = Fault("", "", "", {**blank(), "storage": {**STORAGE, "size": "64Mi", "storage_class_name": "plain"}})
    assert not setup.declare("golden", golden).result.get("failed")
    setup.use("golden", main)
    setup.make(STORAGE_CLASS, setup.name("no-driver"), provisioner=NO_DRIVER)
    idle = {"name": "idle", "image": HELPER_IMAGE, "command": ["sleep", "600"]}
    setup.make(POD, "idle", setup.namespace("pods"), spec={"containers": [idle], "terminationGracePeriodSeconds": 0})
    for name, limits in LIMITS.items():
        setup.make(LIMIT_RANGE, "limits", setup.namespace(name), spec={"limits": [limits]})
    _forbid_pods(setup, setup.namespace("policy"))
    for name in ("main", *LIMITS, "storage", "per-class"):
        setup.make(
            DATA_VOLUME, "stuck", setup.namespace(name), spec=_volume(f"{HTTP}/disk.qcow2", serviceAccountName="nobody")
        )
    setup.make(DATA_VOLUME, "stuck-2", main, spec=_volume("http://nowhere.invalid/disk"))
    for name, hard in QUOTAS.items():
        setup.make(RESOURCE_QUOTA, "quota", setup.namespace(name), spec={"hard": hard})
    yield setup
    for name in _NAMESPACES:
        for volume in connection.list(DATA_VOLUME, setup.namespace(name))[0]:
            connection.delete(DATA_VOLUME, volume["metadata"]["name"], setup.namespace(name), dry_run=False)
    setup.remove()


def _forbid_pods(setup: FaultSetup, namespace: str) -> None:
    name = setup.name("no-pods")
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    setup.make(
        POLICY,
        name,
        spec={
            "matchConstraints": {"resourceRules": rules},
            "validations": [{"expression": "false", "message": "no pods here"}],
        },
    )
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    setup.make(POLICY_BINDING, name, spec={"policyName": name, "validationActions": ["Deny"], "matchResources": here})


@pytest.fixture(scope="module")
def seen(setup: FaultSetup) -> dict[str, Seen]:
    """The results of all tasks; the two volumes of a pair fail at the same time."""

    def induce(name: str, fault: Fault) -> Seen:
        if name in _DECLARED:
            setup.make(
                DATA_VOLUME, name, setup.namespace("main"), spec=_volume(f"{HTTP}/disk.qcow2", **_DECLARED[name])
            )
        return setup.induce(name, fault)

    return setup.all(induce, {name: _ready(setup, fault) for name, fault in FAULTS.items()})


def _ready(setup: FaultSetup, fault: Fault) -> Fault:
    options = dict(fault.options)
    if "storage_class" in options:
        options = blank(storage_class_name=setup.name(options["storage_class"]))
    return Fault(fault.cause, fault.words, fault.remedy, options, fault.namespace)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_reported_with_its_remedy(name: str, seen: dict[str, Seen], record_property: Any) -> None:
    check(FAULTS[name], seen[name], record_property)
    assert "wait_timeout" not in seen[name].result["msg"]
