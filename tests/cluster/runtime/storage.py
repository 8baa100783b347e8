# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage drivers with their sidecars, and the objects that define storage classes for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.csi.faults import faults_file
from tests.cluster.runtime.component import Component
from tests.cluster.runtime.extras import saved
from tests.cluster.runtime.node import KUBELET_DIRECTORY, Node, first
from tests.cluster.runtime.profile import Profile

THIN = "thin.csi.kubevirt-cdi.test"
PLAIN = "plain.csi.kubevirt-cdi.test"
SMALL = "small.csi.kubevirt-cdi.test"
# The default of 5 requests a second delays the events of many failures by a minute.
_SWIFT = ("--kube-api-qps=50", "--kube-api-burst=100")
_SIDECARS = {
    THIN: ("csi-provisioner", "csi-snapshotter", "csi-resizer"),
    PLAIN: ("csi-provisioner",),
    SMALL: ("csi-provisioner",),
}


@dataclass(frozen=True)
class Pool:
    """A sparse file, which takes up only what volumes have written, and where it is mounted."""

    image: Path
    mount_point: Path
    size_bytes: int


def _drivers(profile: Profile) -> dict[str, str]:
    """The drivers of a cluster with their features."""
    return {THIN: "snapshot,clone,expand", PLAIN: "", **({SMALL: ""} if saved(profile).kubevirt else {})}


def _pool(profile: Profile, driver: str) -> Pool:
    # Volumes can fill the small one. XFS needs 300 MiB.
    name, size_bytes = ("small-pool", 320 << 20) if driver == SMALL else ("pool", 60 << 30)
    return Pool(profile.state / f"{name}.img", profile.state / name, size_bytes)


def pools(profile: Profile) -> list[Pool]:
    """The pools of all drivers."""
    return list(dict.fromkeys(_pool(profile, name) for name in _drivers(profile)))


def drivers(node: Node) -> list[Component]:
    """The drivers on a node. Those on the second node only mount volumes, which those on the first one manage."""
    profile, components = node.profile, []
    for name, features in _drivers(profile).items():
        options = ["--features", features] if features else []
        if node != first(profile):
            options.append("--node-only")
        command = [
            *(sys.executable, "-m", "tests.cluster.csi", "--driver-name", name, *options),
            *("--endpoint", f"unix://{_socket(node, name)}", "--node-id", node.name),
            *("--registration-dir", str(KUBELET_DIRECTORY / "plugins_registry")),
            *("--pool", str(_pool(profile, name).mount_point), "--faults", str(faults_file(profile.name))),
        ]
        components.append(Component(f"csi-{name.partition('.')[0]}{node.suffix}", command))
    return components


def sidecars(profile: Profile, binaries: Mapping[str, Path]) -> list[Component]:
    """The sidecars that call the drivers. Each one exits when its driver ends, and is restarted."""
    components = []
    for driver in _drivers(profile):
        for name in _SIDECARS[driver]:
            options = [
                f"--csi-address=unix://{_socket(first(profile), driver)}",
                f"--kubeconfig={profile.kubeconfig}",
                *_SWIFT,
            ]
            if name != "csi-resizer":
                options.append("--extra-create-metadata")
            components.append(Component(f"{name}-{driver.partition('.')[0]}", [str(binaries[name]), *options]))
    # It first waits this long for the CRDs of group snapshots, which are not installed.
    controller = [
        str(binaries["snapshot-controller"]),
        f"--kubeconfig={profile.kubeconfig}",
        "--retry-crd-interval-max=2s",
    ]
    return [*components, Component("snapshot-controller", controller)]


def objects(profile: Profile) -> list[dict[str, Any]]:
    """CSIDriver, StorageClass and VolumeSnapshotClass objects."""
    names = _drivers(profile)
    return [
        *(_csi_driver(name) for name in names),
        _storage_class("thin", THIN, default=True),
        _storage_class("thin-wffc", THIN, binding="WaitForFirstConsumer"),
        _storage_class("thin-fixed", THIN, expansion=False),
        _storage_class("plain", PLAIN, expansion=False),
        _storage_class("block-only", THIN, parameters={"volumeModes": "Block"}),
        *([_storage_class("small", SMALL, expansion=False)] if SMALL in names else []),
        {
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshotClass",
            "metadata": {"name": "thin"},
            "driver": THIN,
            "deletionPolicy": "Delete",
        },
    ]


def _csi_driver(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": name},
        "spec": {"attachRequired": False, "fsGroupPolicy": "File"},
    }


def _storage_class(
    name: str,
    driver: str,
    *,
    default: bool = False,
    binding: str = "Immediate",
    expansion: bool = True,
    parameters: dict[str, str] | None = None,
) -> dict[str, Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": driver,
        "parameters": parameters or {},
        "volumeBindingMode": binding,
        "allowVolumeExpansion": expansion,
    }


def _socket(node: Node, driver: str) -> Path:
    return node.file(driver.partition(".")[0], ".sock")
