# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images in one OCI layout tar, ready for `ctr images import`."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError

PATH = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_FORMAT = "application/vnd.oci.image"
_LAYER = f"{_FORMAT}.layer.v1.tar"
# From linux/capability.h: version 2 of the extended attribute, and its flag that makes a capability effective.
_CAPABILITY_VERSION, _EFFECTIVE = 0x02000000, 1
_CAPABILITIES = {"cap_net_bind_service": 10}


class Layout:
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
            "architecture": architecture(),
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

    def add_base(self, archive: Path) -> dict[str, Any]:
        """Copy a layer of a recipe in; answers its descriptor."""
        return self.add_file(Path(shutil.copyfile(archive, self.root / "layer")), _LAYER)

    def add_layer(self, files: Mapping[str, Path], capabilities: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A layer with these executable files, by their path in the image; some of them have a file capability."""
        partial = self.root / "layer"
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
            for path, source in files.items():
                entry = tar.gettarinfo(source, arcname=path)
                entry.mode, entry.uid, entry.gid, entry.uname, entry.gname = 0o755, 0, 0, "root", "root"
                if capabilities and path in capabilities:
                    entry.pax_headers = {"SCHILY.xattr.security.capability": _file_capability(capabilities[path])}
                with source.open("rb") as stream:
                    tar.addfile(entry, stream)
        return self.add_file(partial, _LAYER)

    def write(self, archive: Path) -> None:
        """Put the whole layout into one tar file, and remove the directory."""
        (self.root / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
        (self.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self._manifests}))
        with tarfile.open(archive, "w") as tar:
            tar.add(self.root, arcname=".")
        shutil.rmtree(self.root)


def architecture() -> str:
    """Go's name for this machine."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise ClusterError(f"No image is built for {machine}: use one of {', '.join(_ARCHITECTURES)}.")
    return _ARCHITECTURES[machine]


def _file_capability(name: str) -> str:
    """The extended attribute that gives a program this capability, effective and permitted, as a PAX value."""
    permitted = 1 << _CAPABILITIES[name]
    value = struct.pack("<5I", _CAPABILITY_VERSION | _EFFECTIVE, permitted, 0, 0, 0)
    return value.decode("utf-8", "surrogateescape")
