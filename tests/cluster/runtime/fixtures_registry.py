# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container registry, Debian's docker-registry, with a containerDisk in it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

from tests.cluster.errors import ClusterError
from tests.cluster.runtime.component import Component

CONTAINER_DISK = "container-disk"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_QEMU_USER = 107
_START_SECONDS = 20


def registry_components(state: Path, address: str, *, port: int = 5000) -> list[Component]:
    """A registry without TLS that keeps its images in the state directory."""
    directory = state / "registry"
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "config.json"
    settings = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "images")}},
        "http": {"addr": f"{address}:{port}"},
    }
    config.write_text(json.dumps(settings))
    return [Component("registry", ["/usr/bin/docker-registry", "serve", str(config)])]


def push_container_disk(registry: str, image: Path) -> None:
    """Push `container-disk:1`, whose one layer holds the image as /disk/NAME, to `registry` (HOST:PORT)."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = archive.gettarinfo(image, arcname=f"disk/{image.name}")
        entry.uid = entry.gid = _QEMU_USER
        entry.mtime = 0
        with image.open("rb") as stream:
            archive.addfile(entry, stream)
    blob = layer.getvalue()
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [_digest(blob)]}}).encode()
    _wait_for(registry)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "size": len(config), "digest": _push_blob(registry, config)},
        "layers": [{"mediaType": _LAYER, "size": len(blob), "digest": _push_blob(registry, blob)}],
    }
    url = f"http://{registry}/v2/{CONTAINER_DISK}/manifests/1"
    _send("PUT", url, json.dumps(manifest).encode(), _MANIFEST)


def _wait_for(registry: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            _send("GET", f"http://{registry}/v2/", None, "")
            return
        except URLError as error:
            if time.monotonic() > deadline:
                raise ClusterError(f"The registry {registry} does not answer ({error.reason}): see `logs registry`.") from None
            time.sleep(0.1)


def _push_blob(registry: str, blob: bytes) -> str:
    digest = _digest(blob)
    location = _send("POST", f"http://{registry}/v2/{CONTAINER_DISK}/blobs/uploads/", b"", "")["Location"]
    joint = "&" if "?" in location else "?"
    _send("PUT", f"{location}{joint}digest={digest}", blob, "application/octet-stream")
    return digest


def _send(method: str, url: str, body: bytes | None, content_type: str) -> dict[str, str]:
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": content_type} if content_type else {})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return dict(answer.headers)


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
