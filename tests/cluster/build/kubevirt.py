# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""KubeVirt as its maintainers release it: programs, release manifest and images."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.build.commands import output
from tests.cluster.build.golang import module_dir, programs
from tests.cluster.build.oci import PATH, Layout
from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.versions import GUEST_IMAGE, IMAGE_REGISTRY, VERSIONS, kubevirt_image

_MODULE = "kubevirt.io/kubevirt"
_VERSION = f"v{VERSIONS.kubevirt}"
# Without the first two tags, cgo changes the package `net`, and everything above it compiles a second time. With the
# third, libvirt's library is opened at run time, and no header of it is needed.
_TAGS = "netgo,osusergo,libvirt_dlopen"
# The user of each component; virt-handler and virt-launcher start as root.
_USERS = {
    "virt-operator": "1001",
    "virt-api": "1001",
    "virt-controller": "1001",
    "virt-exportproxy": "1001",
    "virt-exportserver": "1001",
    "virt-handler": "0",
    "virt-launcher": "0",
}
# Beside the program with the name of the image.
_TOOLS = {
    "virt-handler": ("virt-chroot",),
    "virt-launcher": ("virt-launcher-monitor", "virt-freezer", "virt-probe", "virt-tail"),
}
_LAUNCHER_FILES = {
    "qemu.conf": "etc/libvirt/qemu.conf",
    "virtqemud.conf": "etc/libvirt/virtqemud.conf",
    "qemu": "etc/libvirt/hooks/qemu",
    "nsswitch.conf": "etc/nsswitch.conf",
    "node-labeller/node-labeller.sh": "usr/bin/node-labeller.sh",
}
_CAPABILITIES = {"usr/bin/virt-launcher-monitor": "cap_net_bind_service"}


def _build_container_disk(target: Path, _built: Built) -> None:
    """Build the program that serves a containerDisk inside the container of its image, which has nothing else."""
    source = module_dir("kubevirt", _MODULE) / "cmd/container-disk-v2alpha/main.c"
    output(["gcc", "-static", "-O2", "-s", "-o", str(target / "container-disk"), str(source)], cwd=target)


def _build_manifest(target: Path, built: Built) -> None:
    """Fill `target` with kubevirt-operator.yaml, by both passes of KubeVirt's build script."""
    source = module_dir("kubevirt", _MODULE)
    templator = str(built["kubevirt"] / "manifest-templator")
    template = target / "template"
    files = [
        f"--generated-manifests-dir={source / 'manifests/generated'}/",
        f"--input-file={source / 'manifests/release/kubevirt-operator.yaml.in'}",
    ]
    template.write_text(output([templator, "--process-files", *files], cwd=target))
    values = {
        "namespace": "kubevirt",
        "cdi-namespace": "cdi",
        "csv-namespace": "placeholder",
        "container-prefix": f"{IMAGE_REGISTRY}/kubevirt",
        "container-tag": _VERSION,
        "csv-version": VERSIONS.kubevirt,
        "image-pull-policy": "IfNotPresent",
        "verbosity": "2",
        "kubevirt-logo-path": str(source / "assets/kubevirt_logo.png"),
        "input-file": str(template),
    }
    options = [f"--{name}={value}" for name, value in values.items()]
    manifest = output([templator, "--process-vars", *options], cwd=target)
    (target / "kubevirt-operator.yaml").write_text(manifest)
    template.unlink()


def _build_images(target: Path, built: Built) -> None:
    """Fill `target` with images.tar."""
    layout = Layout(target / "layout")
    base = layout.add_base(built["kubevirt-base"] / "layer.tar")
    for component, user in _USERS.items():
        names = (component, *_TOOLS.get(component, ()))
        files = {f"usr/bin/{name}": built["kubevirt"] / name for name in names}
        if component == "virt-launcher":
            files["usr/bin/container-disk"] = built["container-disk"] / "container-disk"
            sources = module_dir("kubevirt", _MODULE) / "cmd/virt-launcher"
            files |= {path: sources / name for name, path in _LAUNCHER_FILES.items()}
        layer = layout.add_layer(files, _CAPABILITIES)
        config = PATH | {"Entrypoint": [f"/usr/bin/{component}"], "User": user}
        layout.add_image(kubevirt_image(component, VERSIONS.kubevirt), [base, layer], config)
    layout.add_image(GUEST_IMAGE, [layout.add_layer({"disk/guest.iso": built["guest"] / "guest.iso"})], {})
    layout.write(target / "images.tar")


PROGRAMS = programs(
    "kubevirt",
    "kubevirt",
    "tool",
    ldflags=f"-X kubevirt.io/client-go/version.gitVersion={_VERSION}",
    tags=_TAGS,
    cgo=True,
)
_HERE = Path(__file__)
CONTAINER_DISK = Recipe("container-disk", (_HERE, _VERSION), _build_container_disk)
MANIFEST = Recipe("kubevirt-manifest", (_HERE,), _build_manifest, needs=("kubevirt",))
IMAGES = Recipe(
    "kubevirt-images",
    (_HERE, _HERE.with_name("oci.py")),
    _build_images,
    needs=("kubevirt-base", "kubevirt", "container-disk", "guest"),
)
