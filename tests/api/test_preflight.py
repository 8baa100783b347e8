# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes of users: each ends before a write, in check mode, too, in a sentence that names option, value and remedy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils import _resources as resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import Resource
from kubernetes import client

from tests.api.conftest import LIMITED
from tests.modules import RunModule, official_client
from tests.wire import Wire

LIMIT_RANGE = Resource("", "v1", "limitranges", "LimitRange", True)
RESOURCE_QUOTA = Resource("", "v1", "resourcequotas", "ResourceQuota", True)
CLUSTER_ROLE_BINDING = resources.CLUSTER_ROLE_BINDING
SIZE = {"size": "64Mi"}
IMAGE = {"url": "http://images.example.com/disk.qcow2"}
CLASSES = "available: block-only, plain, thin (default), thin-fixed, thin-wffc"


def _object(resource: Resource, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **fields}


def _claim(name: str, finalizers: tuple[str, ...] = ()) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
    return {"metadata": {"name": name, "finalizers": list(finalizers)}, "spec": spec}


@pytest.fixture(scope="module")
def cdi() -> Iterator[None]:
    """CDI and its configuration as CDI leaves them, and the profile of a class that has no file systems."""
    from os import environ

    from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import connect

    direct = connect({"kubeconfig": environ["KUBECONFIG"]})
    overhead = {"status": {"filesystemOverhead": {"global": "0.06", "storageClass": {}}}}
    made = (
        (resources.CDI, _object(resources.CDI, "cdi", spec={})),
        (resources.CDI_CONFIG, _object(resources.CDI_CONFIG, "config", spec={}, **overhead)),
        (resources.STORAGE_PROFILE, _object(resources.STORAGE_PROFILE, "block-only", spec={})),
    )
    for resource, body in made:
        direct.create(resource, body, dry_run=False)
    block = [{"volumeMode": "Block", "accessModes": ["ReadWriteOnce"]}]
    kind = (resources.STORAGE_PROFILE.group, resources.STORAGE_PROFILE.version, resources.STORAGE_PROFILE.plural)
    client.CustomObjectsApi(official_client()).patch_cluster_custom_object_status(
        *kind, "block-only", {"status": {"claimPropertySets": block}}
    )
    yield
    for resource, body in made:
        direct.delete(resource, body["metadata"]["name"], dry_run=False)


@pytest.fixture
def limited_claims(connection: Connection, namespace: str) -> str:
    """A namespace whose claims are bounded, and that is nearly full."""
    limits = [{"type": "PersistentVolumeClaim", "max": {"storage": "200Mi"}, "min": {"storage": "10Mi"}}]
    connection.create(LIMIT_RANGE, _object(LIMIT_RANGE, "claims", spec={"limits": limits}), namespace, dry_run=False)
    hard = {"requests.storage": "250Mi"}
    connection.create(RESOURCE_QUOTA, _object(RESOURCE_QUOTA, "storage", spec={"hard": hard}), namespace, dry_run=False)
    status = {"status": {"hard": hard, "used": {"requests.storage": "0"}}}
    client.CoreV1Api(official_client()).patch_namespaced_resource_quota_status("storage", namespace, status)
    return namespace


@pytest.fixture
def sources(connection: Connection, namespace: str) -> Iterator[str]:
    for body in (_claim("golden"), _claim("going", ("tests.kubevirt-cdi.test/stays",))):
        connection.create(resources.PERSISTENT_VOLUME_CLAIM, body, namespace, dry_run=False)
    connection.delete(resources.PERSISTENT_VOLUME_CLAIM, "going", namespace, dry_run=False)
    yield namespace
    connection.merge(
        resources.PERSISTENT_VOLUME_CLAIM, "going", namespace, {"metadata": {"finalizers": None}}, dry_run=False
    )


def _volume(**options: Any) -> tuple[str, dict[str, Any]]:
    return "data_volume", {"name": "disk", "source": {"blank": {}}, "storage": SIZE, "wait_timeout": 60, **options}


def _http(**options: Any) -> tuple[str, dict[str, Any]]:
    return _volume(source={"http": {**IMAGE, **options}})


def _clone(**source: Any) -> tuple[str, dict[str, Any]]:
    return _volume(source=source)


def _config(**options: Any) -> tuple[str, dict[str, Any]]:
    return "cdi_config", options


# Module and options, and the words of the sentence. NS stands for the test's namespace.
MISTAKES: dict[str, tuple[tuple[str, dict[str, Any]], list[str]]] = {
    "namespace-missing": (_volume(namespace="nowhere"), ["namespace 'nowhere' does not exist", "create_namespace=true"]),
    "namespace-with-a-dot": (_volume(namespace="team.a"), ["namespace is 'team.a'", "contains '.'"]),
    "class-misspelt": (_volume(storage={**SIZE, "storage_class_name": "fats"}), ["storage class 'fats' (storage.storage_class_name) does not exist", CLASSES]),
    "class-in-capitals": (_volume(storage={**SIZE, "storage_class_name": "Thin"}), ["storage class 'Thin'", "does not exist", CLASSES]),
    "class-of-a-claim": (
        _volume(storage=None, pvc={**SIZE, "access_modes": ["ReadWriteOnce"], "storage_class_name": "nope"}),
        ["storage class 'nope' (pvc.storage_class_name) does not exist", CLASSES],
    ),
    "class-empty": (
        _volume(storage={**SIZE, "storage_class_name": ""}),
        ["storage.storage_class_name is ''", "leave the option out to get the default class 'thin'", "block-only, plain"],
    ),
    "class-of-white-space": (_volume(storage={**SIZE, "storage_class_name": " "}), ["storage.storage_class_name is ' '", "only white space"]),
    "source-missing": (
        _clone(pvc={"name": "goldn"}),
        ["PersistentVolumeClaim 'NS/goldn' (source.pvc) does not exist; similar: golden", "correct the name, or create it first"],
    ),
    "source-in-no-namespace": (
        _clone(pvc={"name": "golden", "namespace": "imags"}), ["namespace 'imags' of source.pvc does not exist", "source.pvc.namespace"]
    ),
    "source-going": (_clone(pvc={"name": "going"}), ["'NS/going' (source.pvc) has been marked for deletion since", "use another source"]),
    "snapshot-missing": (_clone(snapshot={"name": "yesterday"}), ["VolumeSnapshot 'NS/yesterday' (source.snapshot) does not exist"]),
    "data-source-missing": (_volume(source=None, source_ref={"name": "fedora"}), ["DataSource 'NS/fedora' (source_ref) does not exist"]),
    "populator-source-missing": (
        _volume(source=None, storage={**SIZE, "data_source_ref": {"kind": "PersistentVolumeClaim", "name": "goldn"}}),
        ["PersistentVolumeClaim 'NS/goldn' (storage.data_source_ref) does not exist"],
    ),
    "claim-above-the-limit": (
        _volume(storage={"size": "300Mi"}),
        ["its claim of 318Mi (storage.size 300Mi and the file system's overhead) is refused by a LimitRange", "is 200Mi", "ask for storage.size=188Mi at most"],
    ),
    "claim-above-the-limit-by-overhead": (_volume(storage={"size": "195Mi"}), ["is refused by a LimitRange", "ask for storage.size=188Mi at most"]),
    "claim-below-the-limit": (
        _volume(storage={"size": "5Mi"}), ["its claim of 6Mi", "minimum storage usage", "ask for storage.size=10Mi at least"]
    ),  # fmt: skip
    "quota-exceeded": (_volume(storage={"size": "180Mi"}), ["exceeded quota: storage, requested: requests.storage=", "have the quota raised"]),
    "size-with-overhead-too-large": (_volume(storage={"size": "7900Pi"}), ["storage.size is 7900Pi", "with the file system's overhead is not below 8Ei"]),
    "size-too-large": (_volume(storage={"size": "9223372036854775808"}), ["storage.size is '9223372036854775808'", "ask for less"]),
    "size-unreadable": (_volume(storage={"size": "10 GB"}), ["'10 GB' is not a Kubernetes quantity", "write for example 10Gi"]),
    "size-missing": (_volume(storage={"volume_mode": "Block"}), ["has no size; give storage.size"]),
    "port-too-large": (_http(url="http://images.example.com:99999/disk"), ["source.http.url is 'http://images.example.com:99999/disk'", "port"]),
    "url-in-two-lines": (_http(url="http://images.example.com/a\nb"), ["source.http.url is", "white space"]),
    "url-of-files": (_http(url="file:///images/disk"), ["source.http.url", "starts with http:// or https://"]),
    "image-without-scheme": (_clone(registry={"url": "quay.io/fedora:40"}), ["source.registry.url=quay.io/fedora:40", "docker://"]),
    "checksum-cut": (_http(checksum="sha256:abc"), ["source.http.checksum=sha256:abc", "64 hexadecimal digits"]),
    "name-with-a-dash": (_volume(name="-x"), ["name is '-x', which starts with '-'"]),
    "name-with-two-dots": (_volume(name="a..b"), ["name is 'a..b', which has nothing between two dots"]),
    "name-empty": (_volume(name=""), ["name is empty; give a name"]),
    "label-too-long": (_volume(labels={"team": "x" * 64}), ["labels.team is 'xxx", "at most 63"]),
    "label-key": (_volume(labels={"my team": "x"}), ["labels has the key 'my team'", "white space"]),
    "priority-class-missing": (_volume(priority_class_name="urgent"), ["PriorityClass 'urgent' (priority_class_name) does not exist"]),
    "volume-missing": (_volume(storage={**SIZE, "volume_name": "pv-1"}), ["PersistentVolume 'pv-1' (storage.volume_name) does not exist"]),
    "two-sources": (_volume(source={"blank": {}, "http": IMAGE}), ["exactly one source", "source.http and source.blank"]),
    "option-misspelt": (_volume(sourc={"blank": {}}), ["sourc", "Supported parameters include"]),
    "file-missing": (("volume_upload", {"name": "disk", "path": "/nowhere/disk.qcow2"}), ["/nowhere/disk.qcow2", "path"]),
    "upload-namespace-missing": (
        ("volume_upload", {"name": "disk", "path": "FILE", "namespace": "nowhere"}), ["namespace 'nowhere' does not exist", "create_namespace"]
    ),
    "upload-class-missing": (
        ("volume_upload", {"name": "disk", "path": "FILE", "storage": {"storage_class_name": "fats"}}),
        ["storage class 'fats' (storage.storage_class_name) does not exist", CLASSES],
    ),
    "upload-above-the-limit": (("volume_upload", {"name": "disk", "path": "FILE", "storage": {"size": "300Mi"}}), ["LimitRange", "storage.size=188Mi at most"]),
    "gate-misspelt": (
        _config(feature_gates=["HonorWaitForFirstConsumr"]), ["feature_gates has 'HonorWaitForFirstConsumr'", "did you mean 'HonorWaitForFirstConsumer'?"]
    ),
    "scratch-class-missing": (_config(scratch_space_storage_class="fats"), ["scratch_space_storage_class: storage class 'fats' does not exist", CLASSES]),
    "scratch-class-unfit": (_config(scratch_space_storage_class="block-only"), ["scratch_space_storage_class to 'block-only'", "use another class"]),
    "scratch-class-of-white-space": (_config(scratch_space_storage_class=" "), ["scratch_space_storage_class is ' '", "only white space"]),
    "overhead-in-percent": (_config(filesystem_overhead={"global": "6%"}), ["filesystem_overhead.global is '6%'", "a fraction between 0 and 1"]),
    "overhead-of-no-class": (
        _config(filesystem_overhead={"storage_class": {"fats": "0.1"}}), ["filesystem_overhead.storage_class: storage class 'fats' does not exist"]
    ),  # fmt: skip
    "profile-of-no-class": (("storage_profile", {"name": "fats", "clone_strategy": "copy"}), ["There is no StorageClass fats", "use one of: block-only"]),
    "snapshot-class-missing": (("storage_profile", {"name": "block-only", "snapshot_class": "gone"}), ["snapshot_class is gone", "create it first"]),
}  # fmt: skip
# In check mode an earlier task may be about to make these, and nothing says so: a warning.
ONLY_WARNED = ("priority-class-missing", "volume-missing")


@pytest.mark.usefixtures("cdi", "limited_claims")
@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_before_a_write(
    wire: Wire, module: RunModule, sources: str, tmp_path: Path, name: str, check: bool
) -> None:
    (module_name, options), words = MISTAKES[name]
    file = tmp_path / "disk.raw"
    file.write_bytes(bytes(1 << 20))
    options = {key: str(file) if value == "FILE" else value for key, value in options.items()}
    if module_name in ("data_volume", "volume_upload"):
        options = {"namespace": sources, **options}
    wire.requests.clear()
    ran = module(module_name, check=check, **options)
    warned = check and name in ONLY_WARNED
    told = " ".join(ran.warnings) if warned else ran.result.get("msg", "")
    print(f"{name}: {len(wire.requests)} requests: {told}")
    assert warned != bool(ran.result.get("failed")), ran.result
    for word in words:
        assert word.replace("NS", sources) in told, told
    assert wire.writes() == [] and "Traceback" not in ran.output and "\n" not in told
    # No polling and no waiting: what takes long on a busy machine is Python's start.
    assert len(wire.requests) <= 16 and bool(ran.result.get("changed")) == warned


def test_what_is_missing_for_secrets_is_named(wire: Wire, module: RunModule, namespace: str) -> None:
    for option, kind in (("secret_ref", "Secret"), ("cert_config_map", "ConfigMap")):
        ran = module(
            "data_volume", namespace=namespace, name="disk", storage=SIZE, source={"http": {**IMAGE, option: "nope"}}
        )
        assert f"{kind} '{namespace}/nope' (source.http.{option}) does not exist" in ran.result["msg"], ran.result[
            "msg"
        ]
    ran = module(
        "data_volume",
        namespace=namespace,
        name="disk",
        storage=SIZE,
        source={"http": {**IMAGE, "secret_extra_headers": ["nope"]}},
    )
    assert "(source.http.secret_extra_headers) does not exist" in ran.result["msg"]
    ran = module(
        "data_volume",
        namespace=namespace,
        name="disk",
        storage=SIZE,
        source={"blank": {}},
        service_account_name="nobody",
    )
    assert f"ServiceAccount '{namespace}/nobody' (service_account_name) does not exist" in ran.result["msg"]
    assert wire.writes() == []


def _paths(wire: Wire) -> list[str]:
    return [path.partition("?")[0].rpartition("/")[2] for _method, path in wire.requests]


def test_what_looking_costs(wire: Wire, module: RunModule, namespace: str) -> None:
    """Of a hundred volumes that are alike as much as of one."""
    volumes = [{"name": f"disk-{number}", "source": {"blank": {}}, "storage": SIZE} for number in range(100)]
    assert not module("data_volume", namespace=namespace, data_volumes=volumes, wait=False).result.get("failed")
    asked = sorted(path for path in _paths(wire) if not path.startswith("disk-"))
    assert asked == [
        "cdis",
        "config",
        "datavolumes",
        "persistentvolumeclaims",
        "persistentvolumeclaims",
        "storageclasses",
        "storageprofiles",
    ]
    trials = [request for request in wire.requests if request[0] == "POST"]
    assert len(trials) == 1 and "dryRun=All" in trials[0][1] and len(wire.writes()) == 100


@pytest.mark.parametrize("check", [False, True])
def test_a_missing_namespace_is_created_where_that_is_asked_for(
    wire: Wire, module: RunModule, connection: Connection, namespace: str, check: bool
) -> None:
    new = f"{namespace}-new"
    volumes = [{"name": name, "namespace": new, "source": {"blank": {}}, "storage": SIZE} for name in ("a", "b")]
    ran = module("data_volume", data_volumes=volumes, wait=False, create_namespace=True, check=check)
    assert not ran.result.get("failed"), ran.result["msg"]
    assert ran.result["changed"] and ran.result["created_namespaces"] == [new]
    assert [item["changed"] for item in ran.result["data_volumes"]] == [True, True]
    assert (connection.get(resources.NAMESPACE, new) is None) == check and bool(wire.writes()) != check
    if not check:
        again = module("data_volume", data_volumes=volumes, wait=False, create_namespace=True).result
        assert not again["changed"] and again["created_namespaces"] == []
        connection.delete(resources.NAMESPACE, new, dry_run=False)


def test_no_namespace_is_created_for_a_volume_that_is_refused(
    module: RunModule, connection: Connection, namespace: str
) -> None:
    new = f"{namespace}-new"
    ran = module(
        "data_volume",
        name="a",
        namespace=new,
        source={"blank": {}},
        storage={**SIZE, "storage_class_name": "fats"},
        create_namespace=True,
    )
    assert "storage class 'fats'" in ran.result["msg"] and not ran.result["changed"]
    assert connection.get(resources.NAMESPACE, new) is None


def test_a_namespace_that_is_going_is_told(
    wire: Wire, module: RunModule, connection: Connection, namespace: str
) -> None:
    connection.create(resources.CONFIG_MAP, {"metadata": {"name": "stays"}}, namespace, dry_run=False)
    connection.delete(resources.NAMESPACE, namespace, dry_run=False)
    wire.requests.clear()
    for check in (False, True):
        ran = module("data_volume", name="a", namespace=namespace, source={"blank": {}}, storage=SIZE, check=check)
        assert f"namespace '{namespace}' is being deleted; wait until it is gone" in ran.result["msg"], ran.result[
            "msg"
        ]
    assert wire.writes() == []


def test_one_bad_volume_leaves_the_others(module: RunModule, connection: Connection, namespace: str) -> None:
    volumes = [
        {"name": "good", "source": {"blank": {}}, "storage": SIZE},
        {"name": "bad", "source": {"blank": {}}, "storage": {**SIZE, "storage_class_name": "fats"}},
        {"name": "orphan", "source": {"pvc": {"name": "nothing"}}, "storage": SIZE},
        {"name": "clone", "source": {"pvc": {"name": "good"}}, "storage": SIZE},
    ]
    result = module("data_volume", namespace=namespace, data_volumes=volumes, wait=False).result
    assert [item["changed"] for item in result["data_volumes"]] == [True, False, False, True]
    assert (
        result["changed"]
        and "'fats'" in result["data_volumes"][1]["error"]
        and "nothing" in result["data_volumes"][2]["error"]
    )


def test_check_mode_takes_a_source_for_granted_that_an_earlier_task_makes(module: RunModule, namespace: str) -> None:
    clone: dict[str, Any] = {"name": "clone", "source": {"pvc": {"name": "golden"}}, "storage": SIZE}
    refused = module("data_volume", namespace=namespace, check=True, **clone).result
    assert refused["failed"] and "name it in planned_sources" in refused["msg"]
    for named in ("golden", f"{namespace}/golden"):
        assert not module("data_volume", namespace=namespace, check=True, planned_sources=[named], **clone).result.get(
            "failed"
        )
    assert module("data_volume", namespace=namespace, planned_sources=["golden"], **clone).result["failed"]


def _persistent_volume(name: str, class_name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/nowhere"},
    }
    return _object(
        resources.PERSISTENT_VOLUME, name, spec={**spec, "storageClassName": class_name} if class_name else spec
    )


@pytest.mark.parametrize("class_name", ["", "manual"])
@pytest.mark.parametrize("given", [{}, {"volume_name": "PV"}, {"selector": {"match_labels": {"a": "b"}}}])
def test_a_class_without_an_object_is_good_for_a_volume_that_is_there(
    module: RunModule, connection: Connection, namespace: str, class_name: str, given: dict[str, Any]
) -> None:
    connection.create(resources.PERSISTENT_VOLUME, _persistent_volume(namespace, class_name), dry_run=False)
    given = {key: namespace if value == "PV" else value for key, value in given.items()}
    storage = {**SIZE, "storage_class_name": class_name, "access_modes": ["ReadWriteOnce"], **given}
    ran = module("data_volume", name="disk", namespace=namespace, source={"blank": {}}, storage=storage, wait=False)
    connection.delete(resources.PERSISTENT_VOLUME, namespace, dry_run=False)
    connection.merge(resources.PERSISTENT_VOLUME, namespace, None, {"metadata": {"finalizers": None}}, dry_run=False)
    assert ran.result["changed"], ran.result.get("msg")


def test_without_a_default_class_one_has_to_be_named(
    wire: Wire, module: RunModule, connection: Connection, namespace: str
) -> None:
    mark = "storageclass.kubernetes.io/is-default-class"
    connection.merge(resources.STORAGE_CLASS, "thin", None, {"metadata": {"annotations": {mark: None}}}, dry_run=False)
    wire.requests.clear()
    try:
        ran = module("data_volume", name="disk", namespace=namespace, source={"blank": {}}, storage=SIZE)
        assert (
            "no storage.storage_class_name is given, and no storage class is the default; name one of: block-only, plain, thin,"
            in ran.result["msg"]
        )
        assert wire.writes() == []
    finally:
        connection.merge(
            resources.STORAGE_CLASS, "thin", None, {"metadata": {"annotations": {mark: "true"}}}, dry_run=False
        )


@pytest.fixture
def tenant(connection: Connection, namespace: str) -> Iterator[Callable[..., None]]:
    """The user with few rights may do everything with DataVolumes, read claims, and nothing else."""
    rules = [
        {"apiGroups": ["cdi.kubevirt.io"], "resources": ["datavolumes"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "list", "watch"]},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"}
    subjects = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "token-limited"}]
    connection.create(resources.ROLE, _object(resources.ROLE, "tenant", rules=rules), namespace, dry_run=False)
    connection.create(
        resources.ROLE_BINDING,
        _object(resources.ROLE_BINDING, "tenant", roleRef=role, subjects=subjects),
        namespace,
        dry_run=False,
    )
    return None


@pytest.mark.usefixtures("tenant")
def test_what_a_tenant_may_not_read_is_no_obstacle(module: RunModule, namespace: str) -> None:
    deadline = time.monotonic() + 10
    options: dict[str, Any] = {
        "source": {"http": {**IMAGE, "secret_ref": "unknown"}},
        "storage": {**SIZE, "storage_class_name": "unknown"},
        "wait": False,
    }
    while True:
        ran = module("data_volume", token=LIMITED, name="disk", namespace=namespace, **options)
        if "cannot" not in ran.result.get("msg", "") or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert ran.result["changed"], ran.result.get("msg")


def test_a_volume_that_nobody_says_where_is_warned_of(
    module: RunModule, connection: Connection, namespace: str
) -> None:
    name = f"disk-{namespace}"
    ran = module("data_volume", name=name, source={"blank": {}}, storage=SIZE, wait=False)
    assert [
        text for text in ran.warnings if f"No namespace is given for {name}: created in namespace 'default'" in text
    ], ran.warnings
    again = module("data_volume", name=name, source={"blank": {}}, storage=SIZE, wait=False)
    assert not again.result["changed"] and again.warnings == []
    assert module("data_volume", name=name, state="absent", wait=False).warnings == []


def test_a_policy_that_refuses_the_claim_is_named(
    wire: Wire, module: RunModule, connection: Connection, namespace: str
) -> None:
    """As a webhook's would be, its reason is in the sentence."""
    admission = client.AdmissionregistrationV1Api(official_client())
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["persistentvolumeclaims"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": "claims need a cost centre"}],
    }
    admission.create_validating_admission_policy({"metadata": {"name": namespace}, "spec": spec})
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": namespace, "validationActions": ["Deny"], "matchResources": selector}
    admission.create_validating_admission_policy_binding({"metadata": {"name": namespace}, "spec": binding})
    try:
        deadline = time.monotonic() + 30
        while True:  # Until the API server has taken the policy up.
            ran = module(
                "data_volume", name="disk", namespace=namespace, source={"blank": {}}, storage=SIZE, check=True
            )
            if ran.result.get("failed") or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        assert "is refused" in ran.result["msg"] and "claims need a cost centre" in ran.result["msg"], ran.result
    finally:
        admission.delete_validating_admission_policy_binding(namespace)
        admission.delete_validating_admission_policy(namespace)
