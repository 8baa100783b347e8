# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes of users, with what the error of each contains: option, value and remedy."""

from __future__ import annotations

from typing import Any

Options = dict[str, Any]
SIZE = {"size": "64Mi"}
IMAGE = {"url": "http://images.example.com/disk.qcow2"}
CLASSES = "available: block-only, plain, thin (default), thin-fixed, thin-wffc"


def volume(**options: Any) -> tuple[str, dict[str, Any]]:
    return "data_volume", {"name": "disk", "source": {"blank": {}}, "storage": SIZE, "wait_timeout": 60, **options}


def http(**options: Any) -> tuple[str, dict[str, Any]]:
    return volume(source={"http": {**IMAGE, **options}})


def clone(**source: Any) -> tuple[str, dict[str, Any]]:
    return volume(source=source)


def config(**options: Any) -> tuple[str, dict[str, Any]]:
    return "cdi_config", options


# By name: module and options, and parts of the error. NS stands for the namespace of the test.
MISTAKES: dict[str, tuple[tuple[str, dict[str, Any]], list[str]]] = {
    "namespace-missing": (
        volume(namespace="nowhere"),
        ["namespace 'nowhere' does not exist", "create_namespace=true"],
    ),
    "namespace-with-a-dot": (volume(namespace="team.a"), ["namespace is 'team.a'", "contains '.'"]),
    "class-misspelt": (
        volume(storage={**SIZE, "storage_class_name": "fats"}),
        ["storage class 'fats' (storage.storage_class_name) does not exist", CLASSES],
    ),
    "class-in-capitals": (
        volume(storage={**SIZE, "storage_class_name": "Thin"}),
        ["storage class 'Thin'", "does not exist", CLASSES],
    ),
    "class-of-a-claim": (
        volume(storage=None, pvc={**SIZE, "access_modes": ["ReadWriteOnce"], "storage_class_name": "nope"}),
        ["storage class 'nope' (pvc.storage_class_name) does not exist", CLASSES],
    ),
    "class-empty": (
        volume(storage={**SIZE, "storage_class_name": ""}),
        [
            "storage.storage_class_name is ''",
            "omit the option to use the default class 'thin'",
            "block-only, plain",
        ],
    ),
    "class-of-white-space": (
        volume(storage={**SIZE, "storage_class_name": " "}),
        ["storage.storage_class_name is ' '", "only white space"],
    ),
    "source-missing": (
        clone(pvc={"name": "goldn"}),
        [
            "PersistentVolumeClaim 'NS/goldn' (source.pvc) does not exist; similar: golden",
            "correct the name, or create it first",
        ],
    ),
    "source-in-no-namespace": (
        clone(pvc={"name": "golden", "namespace": "imags"}),
        ["namespace 'imags' of source.pvc does not exist", "source.pvc.namespace"],
    ),
    "source-being-deleted": (
        clone(pvc={"name": "going"}),
        ["'NS/going' (source.pvc) has been marked for deletion since", "use another source"],
    ),
    "snapshot-missing": (
        clone(snapshot={"name": "yesterday"}),
        ["VolumeSnapshot 'NS/yesterday' (source.snapshot) does not exist"],
    ),
    "data-source-missing": (
        volume(source=None, source_ref={"name": "fedora"}),
        ["DataSource 'NS/fedora' (source_ref) does not exist"],
    ),
    "populator-source-missing": (
        volume(source=None, storage={**SIZE, "data_source_ref": {"kind": "PersistentVolumeClaim", "name": "goldn"}}),
        ["PersistentVolumeClaim 'NS/goldn' (storage.data_source_ref) does not exist"],
    ),
    "claim-above-the-limit": (
        volume(storage={"size": "300Mi"}),
        [
            "its claim of 318Mi (storage.size 300Mi and the overhead of the file system) is rejected by a LimitRange",
            "is 200Mi",
            "request at most storage.size=188Mi",
        ],
    ),
    "claim-above-the-limit-by-overhead": (
        volume(storage={"size": "195Mi"}),
        ["is rejected by a LimitRange", "request at most storage.size=188Mi"],
    ),
    "claim-below-the-limit": (
        volume(storage={"size": "5Mi"}),
        ["its claim of 6Mi", "minimum storage usage", "request at least storage.size=10Mi"],
    ),
    "quota-exceeded": (
        volume(storage={"size": "180Mi"}),
        ["exceeded quota: storage, requested: requests.storage=", "have the quota raised"],
    ),
    "size-with-overhead-too-large": (
        volume(storage={"size": "7900Pi"}),
        ["storage.size is 7900Pi", "with the overhead of the file system is not below 8Ei"],
    ),
    "size-too-large": (
        volume(storage={"size": "9223372036854775808"}),
        ["storage.size is '9223372036854775808'", "request less"],
    ),
    "size-unreadable": (
        volume(storage={"size": "10 GB"}),
        ["'10 GB' is not a Kubernetes quantity", "write for example 10Gi"],
    ),
    "size-missing": (volume(storage={"volume_mode": "Block"}), ["has no size; give storage.size"]),
    "port-too-large": (
        http(url="http://images.example.com:99999/disk"),
        ["source.http.url is 'http://images.example.com:99999/disk'", "port"],
    ),
    "url-in-two-lines": (http(url="http://images.example.com/a\nb"), ["source.http.url is", "white space"]),
    "url-of-files": (http(url="file:///images/disk"), ["source.http.url", "starts with http:// or https://"]),
    "image-without-scheme": (
        clone(registry={"url": "quay.io/fedora:40"}),
        ["source.registry.url=quay.io/fedora:40", "docker://"],
    ),
    "checksum-cut": (http(checksum="sha256:abc"), ["source.http.checksum=sha256:abc", "64 hexadecimal digits"]),
    "name-with-a-dash": (volume(name="-x"), ["name is '-x', which starts with '-'"]),
    "name-with-two-dots": (volume(name="a..b"), ["name is 'a..b', which has nothing between two dots"]),
    "name-empty": (volume(name=""), ["name is empty; give a name"]),
    "label-too-long": (volume(labels={"team": "x" * 64}), ["labels.team is 'xxx", "at most 63"]),
    "label-key": (volume(labels={"my team": "x"}), ["labels has the key 'my team'", "white space"]),
    "priority-class-missing": (
        volume(priority_class_name="urgent"),
        ["PriorityClass 'urgent' (priority_class_name) does not exist"],
    ),
    "volume-missing": (
        volume(storage={**SIZE, "volume_name": "pv-1"}),
        ["PersistentVolume 'pv-1' (storage.volume_name) does not exist"],
    ),
    "two-sources": (
        volume(source={"blank": {}, "http": IMAGE}),
        ["exactly one source", "source.http and source.blank"],
    ),
    "option-misspelt": (volume(sourc={"blank": {}}), ["sourc", "Supported parameters include"]),
    "file-missing": (
        ("volume_upload", {"name": "disk", "path": "/nowhere/disk.qcow2"}),
        ["/nowhere/disk.qcow2", "path"],
    ),
    "upload-namespace-missing": (
        ("volume_upload", {"name": "disk", "path": "FILE", "namespace": "nowhere"}),
        ["namespace 'nowhere' does not exist", "create_namespace"],
    ),
    "upload-class-missing": (
        ("volume_upload", {"name": "disk", "path": "FILE", "storage": {"storage_class_name": "fats"}}),
        ["storage class 'fats' (storage.storage_class_name) does not exist", CLASSES],
    ),
    "upload-above-the-limit": (
        ("volume_upload", {"name": "disk", "path": "FILE", "storage": {"size": "300Mi"}}),
        ["LimitRange", "request at most storage.size=188Mi"],
    ),
    "gate-misspelt": (
        config(feature_gates=["HonorWaitForFirstConsumr"]),
        ["feature_gates has 'HonorWaitForFirstConsumr'", "did you mean 'HonorWaitForFirstConsumer'?"],
    ),
    "scratch-class-missing": (
        config(scratch_space_storage_class="fats"),
        ["scratch_space_storage_class: storage class 'fats' does not exist", CLASSES],
    ),
    "scratch-class-unfit": (
        config(scratch_space_storage_class="block-only"),
        ["scratch_space_storage_class to 'block-only'", "use another class"],
    ),
    "scratch-class-of-white-space": (
        config(scratch_space_storage_class=" "),
        ["scratch_space_storage_class is ' '", "only white space"],
    ),
    "overhead-in-percent": (
        config(filesystem_overhead={"global": "6%"}),
        ["filesystem_overhead.global is '6%'", "a fraction between 0 and 1"],
    ),
    "overhead-of-no-class": (
        config(filesystem_overhead={"storage_class": {"fats": "0.1"}}),
        ["filesystem_overhead.storage_class: storage class 'fats' does not exist"],
    ),
    "profile-of-no-class": (
        ("storage_profile", {"name": "fats", "clone_strategy": "copy"}),
        ["There is no StorageClass fats", "use one of: block-only"],
    ),
    "snapshot-class-missing": (
        ("storage_profile", {"name": "block-only", "snapshot_class": "gone"}),
        ["snapshot_class is gone", "create it first"],
    ),
}
# In check mode these are only warnings, because an earlier task may create the object.
ONLY_WARNED = ("priority-class-missing", "volume-missing")
