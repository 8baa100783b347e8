# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's container images in one OCI layout tar, ready for `ctr images import`."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.build.cdi import MODULE, PROGRAMS
from tests.cluster.build.golang import module_dir
from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.errors import ClusterError
from tests.cluster.versions import HELPER_IMAGE, PAUSE_IMAGE, VERSIONS, cdi_image

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_FORMAT = "application/vnd.oci.image"
# Command lines of the released images; the operator takes no logging flags.
_ENTRYPOINTS = {
    "operator": ["/usr/bin/cdi-operator"],
    "controller": ["/usr/bin/cdi-controller", "-alsologtostderr"],
    "apiserver": ["/usr/bin/cdi-apiserver", "-alsologtostderr"],
    "uploadproxy": ["/usr/bin/cdi-uploadproxy", "-alsologtostderr"],
    "uploadserver": ["/usr/bin/cdi-uploadserver", "-alsologtostderr"],
    "cloner": ["/usr/bin/cloner_startup.sh"],
    "importer": ["/usr/bin/cdi-importer", "-alsologtostderr"],
}
_IMPORTER_TOOLS = ("cdi-containerimage-server", "cdi-image-size-detection", "cdi-source-update-poller")


class _Layout:
    """An OCI image layout in a directory; every blob is named by its sha256."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs/sha256"
        self._blobs.mkdir(parents=True)
        self._manifests: list[dict[str, Any]] = []

    def add_file(self, source: Path, media_type: str) -> dict[str, Any]:
        """Move a file in; answers its descriptor."""
        with source.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        descriptor = {"mediaType": media_type, "digest": f"sha256:{digest}", "size": source.stat().st_size}
        source.rename(self._blobs / digest)
        return descriptor

    def add_json(self, value: Mapping[str, Any], media_type: str) -> dict[str, Any]:
        """Write a JSON document; answers its descriptor."""
        partial = self.root / "document"
        partial.write_text(json.dumps(value, sort_keys=True))
        return self.add_file(partial, media_type)

    def add_image(self, name: str, layers: list[dict[str, Any]], config: Mapping[str, Any]) -> None:
        """An image of uncompressed layers, whose digests are therefore their diff ids too."""
        document = {
            "architecture": _architecture(),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        media_type = f"{_FORMAT}.manifest.v1+json"
        manifest = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": self.add_json(document, f"{_FORMAT}.config.v1+json"),
            "layers": layers,
        }
        annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
        self._manifests.append(self.add_json(manifest, media_type) | {"annotations": annotations})

    def write(self, archive: Path) -> None:
        """Put the whole layout into one tar file."""
        (self.root / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
        (self.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self._manifests}))
        with tarfile.open(archive, "w") as tar:
            tar.add(self.root, arcname=".")


def _architecture() -> str:
    """Go's name for this machine."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise ClusterError(f"No image is built for {machine}: use one of {', '.join(_ARCHITECTURES)}.")
    return _ARCHITECTURES[machine]


def _layer(layout: _Layout, files: Mapping[str, Path]) -> dict[str, Any]:
    """A layer with these executable files, by their path in the image."""
    partial = layout.root / "layer"
    with tarfile.open(partial, "w") as tar:
        for path, source in files.items():
            entry = tar.gettarinfo(source, arcname=path)
            entry.mode, entry.uid, entry.gid, entry.uname, entry.gname = 0o755, 0, 0, "root", "root"
            with source.open("rb") as stream:
                tar.addfile(entry, stream)
    return layout.add_file(partial, f"{_FORMAT}.layer.v1.tar")


def _build(target: Path, built: Built) -> None:
    """Fill `target` with images.tar."""
    layout = _Layout(target / "layout")
    base_copy = shutil.copyfile(built["base"] / "layer.tar", target / "layer.tar")
    base = layout.add_file(base_copy, f"{_FORMAT}.layer.v1.tar")
    environment = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    layout.add_image(HELPER_IMAGE, [base], environment | {"Cmd": ["sh"]})
    pause = _layer(layout, {"pause": built["pause"] / "pause"})
    layout.add_image(PAUSE_IMAGE, [pause], {"Entrypoint": ["/pause"], "User": "65535:65535"})
    for version in VERSIONS.cdi:
        programs = built[f"cdi-v{version}"]
        startup = module_dir(f"cdi-v{version}", MODULE) / "cmd/cdi-cloner/cloner_startup.sh"
        for component, entrypoint in _ENTRYPOINTS.items():
            files = {f"usr/bin/cdi-{component}": programs / f"cdi-{component}"}
            if component == "importer":
                files |= {f"usr/bin/{tool}": programs / tool for tool in _IMPORTER_TOOLS}
            if component == "cloner":
                files["usr/bin/cloner_startup.sh"] = startup
            config = environment | {"Entrypoint": entrypoint, "User": "1001"}
            layout.add_image(cdi_image(component, version), [base, _layer(layout, files)], config)
    layout.write(target / "images.tar")
    shutil.rmtree(layout.root)


IMAGES = Recipe("images", (Path(__file__),), _build, needs=("base", "pause", *(each.name for each in PROGRAMS)))
