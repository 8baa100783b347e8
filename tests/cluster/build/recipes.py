# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All recipes in build order, and the products of them that the test cluster uses."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.build import cdi, debian, disk_images, guest, images, kubevirt, kubevirt_base
from tests.cluster.build.golang import MODULES, compile_programs, fetcher, module_dir, programs
from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.versions import VERSIONS

_COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")


def _build_kubernetes(target: Path, _built: Built) -> None:
    """Build one program with a link for each component. Without its version, clients take it for v0.0.0."""
    major, minor, _patch = VERSIONS.kubernetes.split(".")
    values = {"gitVersion": f"v{VERSIONS.kubernetes}", "gitMajor": major, "gitMinor": minor}
    ldflags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())
    compile_programs("kubernetes", target / "kubernetes", ".", ldflags=ldflags)
    for component in _COMPONENTS:
        (target / component).symlink_to("kubernetes")


def _build_snapshot_definitions(target: Path, _built: Built) -> None:
    """Copy the CRDs of the snapshot API from the release of the snapshot controller."""
    client = module_dir("sidecars", "github.com/kubernetes-csi/external-snapshotter/client/v8")
    for source in (client / "config/crd").glob("snapshot.storage.k8s.io_*.yaml"):
        shutil.copyfile(source, target / source.name)


def _build_protos(target: Path, _built: Built) -> None:
    """Copy the two gRPC interfaces of a CSI driver."""
    spec = module_dir("sidecars", "github.com/container-storage-interface/spec")
    kubelet = module_dir("kubernetes", "k8s.io/kubelet")
    shutil.copyfile(spec / "csi.proto", target / "csi.proto")
    registration = kubelet / "pkg/apis/pluginregistration/v1/api.proto"
    shutil.copyfile(registration, target / "pluginregistration.proto")


_HERE = Path(__file__).parent
_KUBERNETES = (_HERE / "recipes.py", _HERE / "golang.py", MODULES / "kubernetes")
_SOURCES = (_HERE / "recipes.py", MODULES / "sidecars", MODULES / "kubernetes")
_ALL = (
    Recipe("kubernetes", _KUBERNETES, _build_kubernetes, fetch=fetcher("kubernetes", ".")),
    programs("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    *cdi.GENERATORS,
    cdi.MANIFESTS,
    Recipe("crds-snapshot", _SOURCES, _build_snapshot_definitions),
    Recipe("protos", _SOURCES, _build_protos),
    debian.BASE,
    *cdi.PROGRAMS,
    programs("pause", "pause", "."),
    images.IMAGES,
    programs("coredns", "coredns", "github.com/coredns/coredns"),
    programs("csi-provisioner", "csi-provisioner", "tool"),
    programs("sidecars", "sidecars", "tool"),
    programs("versitygw", "versitygw", "tool"),
    disk_images.DISK_IMAGES,
    kubevirt_base.BASE,
    guest.GUEST,
    kubevirt.PROGRAMS,
    kubevirt.CONTAINER_DISK,
    kubevirt.MANIFEST,
    kubevirt.IMAGES,
)
RECIPES = {recipe.name: recipe for recipe in _ALL}


@dataclass(frozen=True)
class Product:
    """A file or directory that a recipe builds; `path` is relative to the directory of the recipe."""

    recipe: str
    path: str = "."


PRODUCTS = {
    "kubernetes": Product("kubernetes"),
    "etcd": Product("etcd", "server"),
    "cdi-manifests": Product("cdi-manifests"),
    "crds-snapshot": Product("crds-snapshot"),
    "protos": Product("protos"),
    "images": Product("images", "images.tar"),
    "coredns": Product("coredns", "coredns"),
    "csi-provisioner": Product("csi-provisioner", "csi-provisioner"),
    "csi-snapshotter": Product("sidecars", "csi-snapshotter"),
    "snapshot-controller": Product("sidecars", "snapshot-controller"),
    "csi-resizer": Product("sidecars", "csi-resizer"),
    "csi-sanity": Product("sidecars", "csi-sanity"),
    "versitygw": Product("versitygw", "versitygw"),
    "guest": Product("guest", "guest.iso"),
    "disk-images": Product("disk-images"),
    "kubevirt-manifest": Product("kubevirt-manifest", "kubevirt-operator.yaml"),
    "kubevirt-images": Product("kubevirt-images", "images.tar"),
}
