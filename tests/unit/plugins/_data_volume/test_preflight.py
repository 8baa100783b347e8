# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a DataVolume from being filled: its class, its claim, the objects that it names, and refused dry runs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume import preflight_rules as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.spec import desired
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.diagnose import explain
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.claims import (
    Planned,
    claim_of,
    claim_refusal,
    claimed_bytes,
    too_small,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.classes import (
    available,
    class_problem,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.scratch import Settings

from tests.refused_volumes import volume

MIB = 1 << 20
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}
VIRTUALIZATION = {"storageclass.kubevirt.io/is-default-virt-class": "true"}


def _class(name: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": annotations or {}}, "provisioner": "a.csi"}


def _planned(**options: Any) -> Planned:
    return Planned(desired(volume(**options)))


def _settings(version: tuple[int, ...] = (1, 65, 0), **profile: Any) -> Settings:
    config = {"status": {"filesystemOverhead": {"global": "0.06", "storageClass": {"thin": "0.06"}}}}
    stored = {"metadata": {"name": "thin", "annotations": profile.pop("annotations", {})}, "status": profile}
    return Settings(config, version, {"thin": stored}, "thin", "thin")


def _of_class(planned: Planned, *classes: dict[str, Any], volumes: Any = None) -> str:
    return class_problem(planned, classes, lambda: volumes)


def test_missing_class_is_reported_with_its_option_and_the_default() -> None:
    classes = (_class("plain"), _class("thin", DEFAULT), _class("fast", VIRTUALIZATION))
    assert available(classes) == "fast (default for virtual machines), plain, thin (default)"
    many = [_class(f"c{number:02}") for number in range(25)]
    assert available(many).endswith("c19 and 5 more") and available([]) == "none"
    # The default is not among the classes that are only counted.
    assert available([*many, classes[1]]).startswith("thin (default), c00, c01")
    problem = _of_class(_planned(storage={"size": "1Gi", "storage_class_name": "fats"}), *classes)
    assert problem.startswith("storage class 'fats' (storage.storage_class_name) does not exist; available: fast")
    assert _of_class(_planned(storage={"size": "1Gi", "storage_class_name": "thin"}), *classes) == ""
    assert _of_class(_planned(), *classes) == ""


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "storage.storage_class_name is not set, and no storage class is the default; name one of: plain"),
        ({"content_type": "archive", "source": {"upload": {}}}, "and no storage class is the default"),
        (
            {"storage": {"size": "1Gi", "storage_class_name": ""}},
            "omit the option and make a class the default, or name one of: plain",
        ),
        ({"storage": {"size": "1Gi", "storage_class_name": "plain"}}, ""),
        ({"storage": {"size": "1Gi", "storage_class_name": "", "volume_name": "pv"}}, ""),
        ({"storage": {"size": "1Gi", "storage_class_name": "gone", "selector": {"match_labels": {"a": "b"}}}}, ""),
    ],
)
def test_class_is_required_without_a_default(options: dict[str, Any], problem: str) -> None:
    found = _of_class(_planned(**options), _class("plain"))
    assert problem in found and bool(problem) == bool(found)
    assert "the cluster has no storage class; install" in _of_class(_planned())


def test_archive_does_not_use_the_default_class_for_virtual_machines() -> None:
    virtualization = _class("fast", VIRTUALIZATION)
    assert _of_class(_planned(), virtualization) == ""
    assert "is the default" in _of_class(_planned(content_type="archive", source={"upload": {}}), virtualization)


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({}, True),
        ({"claimRef": {"namespace": "demo", "name": "disk"}}, True),
        ({"claimRef": {"namespace": "demo", "name": "other"}}, False),
        ({"storageClassName": "other"}, False),
    ],
)
def test_class_without_an_object_requires_an_available_volume(fields: dict[str, Any], fits: bool) -> None:
    planned = _planned(storage={"size": "1Gi", "storage_class_name": "manual"})
    held = {"metadata": {"name": "pv"}, "spec": {"storageClassName": "manual", **fields}}
    assert (_of_class(planned, _class("thin", DEFAULT), volumes=[held]) == "") is fits
    going = {**held, "metadata": {"name": "pv", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert _of_class(planned, _class("thin", DEFAULT), volumes=[going]) != ""


@pytest.mark.parametrize(
    ("options", "settings", "size", "mode", "modes"),
    [
        ({"storage": {"size": "100Mi"}}, _settings(), 106 * MIB, "Filesystem", ["ReadWriteOnce"]),
        ({"storage": {"size": "100Mi"}}, _settings((1, 61, 1)), 111550639, "Filesystem", ["ReadWriteOnce"]),
        (
            {"storage": {"size": "100Mi"}},
            _settings(claimPropertySets=[{"volumeMode": "Block", "accessModes": ["ReadWriteMany"]}]),
            100 * MIB,
            "Block",
            ["ReadWriteMany"],
        ),
        (
            {"storage": None, "pvc": {"size": "100Mi", "access_modes": ["ReadWriteOncePod"]}},
            _settings(),
            100 * MIB,
            "Filesystem",
            ["ReadWriteOncePod"],
        ),
        (
            {"storage": {"size": "100Mi", "volume_mode": "Block"}},
            _settings(annotations={"cdi.kubevirt.io/minimumSupportedPvcSize": "1Gi"}),
            1024 * MIB,
            "Block",
            ["ReadWriteOnce"],
        ),
    ],
)
def test_claim_is_the_one_that_cdi_would_create(
    options: dict[str, Any], settings: Settings, size: int, mode: str, modes: list[str]
) -> None:
    claim = claim_of(_planned(labels={"a": 1}, **options), settings)
    assert claim is not None and claimed_bytes(claim) == size
    assert (claim["spec"]["volumeMode"], claim["spec"]["accessModes"], claim["spec"]["storageClassName"]) == (
        mode,
        modes,
        "thin",
    )
    assert claim["metadata"]["labels"] == {"a": "1", "app": "containerized-data-importer"}


def test_claim_of_a_clone_is_unknown_without_its_source() -> None:
    assert (
        claim_of(_planned(source={"pvc": {"name": "golden"}}, storage={"storage_class_name": "thin"}), _settings())
        is None
    )


FORBIDDEN = 'persistentvolumeclaims "disk" is forbidden'
MAXIMUM = "maximum storage usage per PersistentVolumeClaim"
REFUSALS = [
    (
        'persistentvolumeclaims is forbidden: User "u" cannot create resource "persistentvolumeclaims" in API group ""',
        403,
        "",
    ),
    ('admission webhook "x" does not support dry run', 400, ""),
    ('persistentvolumeclaims "disk" already exists', 409, ""),
    ("etcd is away", 500, ""),
    (
        'persistentvolumeclaims "disk" is forbidden: exceeded quota: q, requested: persistentvolumeclaims=1',
        403,
        "exceeded quota: q",
    ),
    ('admission webhook "x" denied the request: no claims today', 400, "no claims today"),
    (
        f"{FORBIDDEN}: unable to create new content in namespace demo because it is being terminated",
        403,
        "is being deleted",
    ),
    (
        f"{FORBIDDEN}: {MAXIMUM} is 64Mi, but request is 111149056",
        403,
        f"by a LimitRange: {MAXIMUM} is 64Mi, but request is 111149056; request at most storage.size=60Mi",
    ),
    (
        f"{FORBIDDEN}: {MAXIMUM} is 1Mi, but request is 111149056",
        403,
        "no disk fits into that",
    ),
]


@pytest.mark.parametrize(("said", "code", "problem"), REFUSALS)
def test_refused_dry_run_is_explained(said: str, code: int, problem: str) -> None:
    planned, settings = _planned(storage={"size": "100Mi"}), _settings()
    claim = claim_of(planned, settings)
    assert claim is not None
    found = claim_refusal(
        planned, claim, settings, ApiError(f"Cannot create PersistentVolumeClaims in demo: {said} (HTTP {code}).", code)
    )
    assert problem in found and bool(problem) == bool(found)
    replaced = claim_refusal(
        planned._replace(replaces=True), claim, settings, ApiError(f"Cannot create x: {said} (HTTP {code}).", code)
    )
    assert bool(replaced) == bool(problem and "quota" not in said)


def test_references_are_all_objects_that_a_volume_names() -> None:
    http = {"url": "http://x/", "secret_ref": "s", "cert_config_map": "c", "secret_extra_headers": ["h1", "h2"]}
    planned = _planned(
        source={"http": http},
        priority_class_name="p",
        service_account_name="a",
        storage={"size": "1Gi", "volume_name": "v"},
    )
    found = {(each.resource.kind, each.namespace, each.name, each.option) for each in rules.references(planned)}
    assert found == {
        ("Secret", "demo", "s", "source.http.secret_ref"),
        ("ConfigMap", "demo", "c", "source.http.cert_config_map"),
        ("Secret", "demo", "h1", "source.http.secret_extra_headers"),
        ("Secret", "demo", "h2", "source.http.secret_extra_headers"),
        ("PriorityClass", "", "p", "priority_class_name"),
        ("ServiceAccount", "demo", "a", "service_account_name"),
        ("PersistentVolume", "", "v", "storage.volume_name"),
    }
    clone = rules.references(_planned(source={"pvc": {"name": "golden", "namespace": "images"}}))
    assert [(each.resource.kind, each.namespace, each.name, each.option) for each in clone] == [
        ("PersistentVolumeClaim", "images", "golden", "source.pvc")
    ]
    vddk = {
        "url": "https://v/",
        "uuid": "u",
        "backing_file": "b",
        "thumbprint": "t",
        "secret_ref": "s",
        "extra_args": "x",
    }
    assert {each.option for each in rules.references(_planned(source={"vddk": vddk}))} == {
        "source.vddk.secret_ref",
        "source.vddk.extra_args",
    }


PEM, CRT = {"ca.pem": "-----BEGIN"}, {"a.txt": "", "ca.crt": "-----BEGIN"}


@pytest.mark.parametrize(
    ("version", "stored", "reported"),
    [
        ((1, 61, 1), {"data": CRT}, ""),
        ((1, 61, 1), {"binaryData": CRT}, ""),
        (
            (1, 61, 1),
            {"data": PEM},
            "for a registry, CDI before 1.65 only reads keys that end in .crt, and its keys are ca.pem",
        ),
        ((1, 65, 0), {"data": PEM}, ""),
        ((), {"data": PEM}, ""),
        (
            (1, 65, 0),
            {"data": {"a": "", "b.cer": ""}},
            ": for a registry, CDI only reads keys that end in .crt or .pem, and its keys are a, b.cer",
        ),
        ((1, 65, 0), {"metadata": {}}, "and it has no keys"),
        ((1, 65, 0), {}, ""),  # It cannot be read.
    ],
)
def test_config_map_without_a_ca_for_a_registry_is_reported_with_its_keys(
    version: tuple[int, ...], stored: dict[str, Any], reported: str
) -> None:
    registry = {"url": "docker://x/y", "cert_config_map": "c"}
    planned = _planned(source={"registry": registry})
    (reference,) = rules.references(planned)
    found = rules.problem_of_ca(planned, reference, stored, version)
    assert found.endswith(reported) and bool(found) is bool(reported)
    assert not reported or found.startswith("ConfigMap 'demo/c' (source.registry.cert_config_map) gives no CA: ")
    # The node has CAs of its own, and for HTTP CDI reads each key.
    for source in (
        {"registry": {**registry, "pull_method": "node"}},
        {"http": {"url": "https://x/", "cert_config_map": "c"}},
    ):
        other = _planned(source=source)
        assert rules.problem_of_ca(other, rules.references(other)[0], stored, version) == ""


@pytest.mark.parametrize(
    ("options", "disk", "problem"),
    [
        ({"storage": {"size": "64Mi"}}, 64 * MIB, ""),
        (
            {"storage": {"size": "32Mi"}},
            64 * MIB,
            "storage.size is 32Mi, and the image holds a disk of 64Mi (qcow2); request at least 64Mi, or omit the size",
        ),
        (
            {"storage": None, "pvc": {"size": "64Mi", "access_modes": ["ReadWriteOnce"]}},
            64 * MIB,
            "request at least 68Mi",
        ),
        (
            {"storage": None, "pvc": {"size": "64Mi", "access_modes": ["ReadWriteOnce"], "volume_mode": "Block"}},
            64 * MIB,
            "",
        ),
        ({"storage": {"size": "32Mi"}}, None, ""),
    ],
)
def test_disk_larger_than_its_volume_is_refused(options: dict[str, Any], disk: int | None, problem: str) -> None:
    planned = _planned(source={"http": {"url": "http://x/"}}, **options)
    found = too_small(planned, _settings(), Image("qcow2", None, disk, None, MIB))
    assert problem in found and bool(problem) == bool(found)


def test_diagnosis_names_the_classes_when_they_were_read() -> None:
    said = "PVC spec is missing accessMode and no storageClass to choose profile"
    stored = {
        **desired(volume(storage={"size": "1Gi", "storage_class_name": "fats"})),
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "Bound", "status": "False", "reason": "ErrClaimNotValid", "message": said}],
        },
    }
    reported = explain(stored, Evidence())
    assert (
        reported
        and reported["cause"] == "storage_class_missing"
        and "no storageClass to choose profile" in reported["message"]
    )
    reported = explain(stored, Evidence(classes=[_class("thin", DEFAULT)]))
    assert (
        reported
        and reported["message"]
        == "storage class 'fats' (storage.storage_class_name) does not exist; available: thin (default)"
    )
