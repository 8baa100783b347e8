# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands for a cluster: up, down, reset, status, env and logs."""

from __future__ import annotations

import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.cluster.build import ensure
from tests.cluster.csi.faults import clear_faults
from tests.cluster.errors import ClusterError
from tests.cluster.runtime import control_plane, lifecycle, machine, node, objects, storage
from tests.cluster.runtime.certificates import make_certificates
from tests.cluster.runtime.extras import Extras, save, saved
from tests.cluster.runtime.fixtures_http import HTTP_PORT, HTTPS_PORT, PRIVATE_REGISTRY_PORT, http_components
from tests.cluster.runtime.fixtures_objects import (
    OBJECTS_PORT,
    OBJECTS_TLS_PORT,
    fill_object_store,
    object_store_components,
)
from tests.cluster.runtime.fixtures_registry import REGISTRY_PORT, push_container_disks, registry_components
from tests.cluster.runtime.imported import forget_images, import_images
from tests.cluster.runtime.lifecycle import Stage
from tests.cluster.runtime.profile import Profile
from tests.cluster.runtime.second_node import second_node
from tests.cluster.versions import VERSIONS

PRODUCTS = {
    "api": ("kubernetes", "etcd", "cdi-manifests", "crds-snapshot"),
    "full": (
        *("kubernetes", "etcd", "coredns", "cdi-manifests", "crds-snapshot", "images", "protos"),
        *("csi-provisioner", "csi-snapshotter", "csi-resizer", "snapshot-controller", "versitygw", "disk-images"),
    ),
}
KUBEVIRT_PRODUCTS = ("kubevirt-images", "kubevirt-manifest")


def up(profile: Profile, extras: Extras | None = None) -> None:
    """Build missing programs, start the cluster and wait until it is usable. A running cluster stays unchanged.

    Raises ClusterError when the running cluster has not the `extras`.
    """
    extras = extras or Extras()
    if lifecycle.is_up(profile):
        if not saved(profile).covers(extras):
            raise ClusterError(
                f"The {profile.name} cluster is up without what{extras.option()} adds: run `down` first."
            )
        print(f"The {profile.name} cluster is up.", file=sys.stderr)
        return
    machine.check_machine(profile)
    _clear(profile)
    machine.check_address(profile)
    machine.install_packages()
    if extras.kubevirt:
        machine.install_kubevirt_tools()
    started = time.monotonic()
    products = ensure(*PRODUCTS[profile.name], *(KUBEVIRT_PRODUCTS if extras.kubevirt else ()))
    built = time.monotonic()
    save(profile, extras)
    try:
        _start(profile, products, extras.nodes)
    except BaseException:
        lifecycle.stop(profile)
        raise
    ready = "API server ready" if profile.name == "api" else "node Ready, storage and fixtures in place"
    print(f"built in {built - started:.1f} s; {ready} in {time.monotonic() - built:.1f} s", file=sys.stderr, flush=True)


def down(profile: Profile) -> None:
    """End the cluster and remove everything that belongs to it."""
    lifecycle.stop(profile)
    lifecycle.remove_state(profile)


def reset(profile: Profile) -> None:
    """Empty the cluster: end it and start a new one with the same extras. Only the imported images are kept."""
    extras = saved(profile)
    _clear(profile)
    up(profile, extras)


def _clear(profile: Profile) -> None:
    """End the cluster, or clean up after one that ended with its machine."""
    lifecycle.stop(profile)
    lifecycle.remove_state(profile, keep=[f"containerd{suffix}" for suffix in node.SUFFIXES])


def status(profile: Profile) -> list[dict[str, Any]]:
    """One row for each component: name, pid (inside the cluster), up_seconds, restarts."""
    if not lifecycle.is_up(profile):
        raise ClusterError(f"The {profile.name} cluster is not up: run `up --profile {profile.name}`.")
    rows: dict[str, Any] = {}
    for suffix in node.SUFFIXES:
        if (file := profile.state / f"status{suffix}.json").exists():
            rows |= json.loads(file.read_text())
    return [
        {
            "name": name,
            "pid": row["pid"],
            "up_seconds": round(time.time() - row["started"]),
            "restarts": row["restarts"],
        }
        for name, row in rows.items()
    ]


def environment(profile: Profile) -> dict[str, str]:
    """KUBECONFIG and the addresses, as variables for a shell."""
    if not lifecycle.is_up(profile):
        raise ClusterError(f"The {profile.name} cluster is not up: run `up --profile {profile.name}`.")
    variables = {
        "KUBECONFIG": str(profile.kubeconfig),
        "K8S_AUTH_KUBECONFIG": str(profile.kubeconfig),
        "KUBEVIRT_CDI_TEST_SERVER": profile.server,
        "KUBEVIRT_CDI_TEST_CA": str(profile.certificates / "ca.crt"),
        "KUBEVIRT_CDI_TEST_MANIFESTS": str(ensure("cdi-manifests")["cdi-manifests"]),
    }
    if profile.name == "full":
        variables |= {
            "KUBEVIRT_CDI_TEST_HTTP": f"http://{profile.address}:{HTTP_PORT}",
            "KUBEVIRT_CDI_TEST_HTTPS": f"https://{profile.address}:{HTTPS_PORT}",
            "KUBEVIRT_CDI_TEST_REGISTRY": f"{profile.address}:{REGISTRY_PORT}",
            "KUBEVIRT_CDI_TEST_PRIVATE_REGISTRY": f"{profile.address}:{PRIVATE_REGISTRY_PORT}",
            "KUBEVIRT_CDI_TEST_OBJECTS": f"http://{profile.address}:{OBJECTS_PORT}",
            "KUBEVIRT_CDI_TEST_OBJECTS_TLS": f"https://{profile.address}:{OBJECTS_TLS_PORT}",
            "KUBEVIRT_CDI_TEST_IMAGES": str(profile.state / "images"),
        }
    if saved(profile).kubevirt:
        built = ensure("guest", "kubevirt-manifest")
        variables["KUBEVIRT_CDI_TEST_GUEST"] = str(built["guest"])
        variables["KUBEVIRT_CDI_TEST_KUBEVIRT_MANIFEST"] = str(built["kubevirt-manifest"])
    return variables


def log_file(profile: Profile, name: str) -> Path:
    path = profile.state / "logs" / f"{name}.log"
    if not path.is_file():
        names = sorted(entry.stem for entry in path.parent.glob("*.log"))
        raise ClusterError(
            f"There is no log of {name!r}: use one of {', '.join(names) or 'no component, because none has run yet'}."
        )
    return path


def _start(profile: Profile, products: dict[str, Path], node_count: int) -> None:
    make_certificates(profile)
    kubernetes = products["kubernetes"]
    first = [control_plane.etcd(profile, products["etcd"]), control_plane.api_server(profile, kubernetes)]
    if profile.name == "api":
        lifecycle.start(profile, [Stage(first, waits=True)])
        objects.wait_for_server(profile.kubeconfig, 60)
        _apply_definitions(profile, products, with_cdi=True)
        # Storage classes exist, one of them the default, as on any cluster. No driver provisions volumes.
        classes = [item for item in storage.objects(profile) if item["kind"] == "StorageClass"]
        objects.apply(objects.connect(profile.kubeconfig), classes)
        return
    registry = f"{profile.address}:{REGISTRY_PORT}"
    registries = (registry, f"{profile.address}:{PRIVATE_REGISTRY_PORT}")
    # Copies, because tests add files.
    shutil.copytree(products["disk-images"], profile.state / "images", dirs_exist_ok=True)
    clear_faults(profile.name)
    pki = profile.certificates
    fixtures = [
        *http_components(profile.state, profile.address, pki / "http.crt", pki / "http.key"),
        *registry_components(profile.state, profile.address),
        *object_store_components(profile.state, profile.address, products["versitygw"]),
    ]
    nodes = [node.first(profile), node.second(profile)][:node_count]
    second = [
        *control_plane.controllers(profile, kubernetes),
        node.kubelet(nodes[0], kubernetes),
        node.kube_proxy(profile, kubernetes),
        node.coredns(profile, products["coredns"]),
    ]
    # The sidecars exit while the CRDs of snapshots are missing; the supervisor restarts them.
    third = [*storage.drivers(nodes[0]), *storage.sidecars(profile, products)]
    for other in nodes[1:]:
        components = [node.containerd(other, registries), node.kubelet(other, kubernetes), *storage.drivers(other)]
        third.append(second_node(other, components))
    lifecycle.start(
        profile,
        [Stage([node.containerd(nodes[0], registries), *fixtures, *first], waits=True), Stage([*second, *third])],
        node.DIRECTORIES,
    )
    archives = [products[name] for name in ("images", "kubevirt-images") if name in products]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda each: import_images(each, archives), nodes))
    for each in nodes:
        forget_images(each, registries)
    objects.wait_for_server(profile.kubeconfig, 60)
    _apply_definitions(profile, products, with_cdi=False)
    objects.apply(objects.connect(profile.kubeconfig), storage.objects(profile))
    push_container_disks(registry, profile.state / "images")
    fill_object_store(profile.address, profile.state / "images")
    for each in nodes:
        objects.wait_for_node(profile.kubeconfig, each.name, 60)
    objects.apply(objects.connect(profile.kubeconfig), [node.labels()])


def _apply_definitions(profile: Profile, products: dict[str, Path], *, with_cdi: bool) -> None:
    paths = sorted(products["crds-snapshot"].glob("*.yaml"))
    if with_cdi:
        paths.append(products["cdi-manifests"] / f"v{VERSIONS.cdi[0]}" / "crds.yaml")
    definitions = [document for document in objects.load(paths) if document["kind"] == "CustomResourceDefinition"]
    cluster = objects.connect(profile.kubeconfig)
    objects.apply(cluster, definitions)
    objects.wait_established(cluster, [definition["metadata"]["name"] for definition in definitions])
