# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's docker-registry on the node's address, with containerDisks in it."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError, URLError

from tests.cluster.errors import ClusterError
from tests.cluster.runtime.component import Component

REGISTRY_PORT = 5000
CONTAINER_DISK = ("container-disk", "1")
# The same disk in other formats; the tag names the format. CDI cannot read all of them from a registry.
OTHER_FORMATS = ("raw", "raw.gz", "raw.xz", "qcow2.gz", "qcow2.xz")
_QEMU = 107  # The user and group that own the image of a containerDisk.
_START_SECONDS = 20
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MANIFEST, _CONFIG, _LAYER = (
    f"application/vnd.oci.image.{kind}" for kind in ("manifest.v1+json", "config.v1+json", "layer.v1.tar")
)


def registry_components(state: Path, address: str) -> list[Component]:
    """Serves plain HTTP and keeps its data in `state`/registry."""
    directory = state / "registry"
    directory.mkdir(exist_ok=True)
    config = directory / "config.yml"
    settings = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(directory)}},
        "http": {"addr": f"{address}:{REGISTRY_PORT}"},
    }
    config.write_text(json.dumps(settings, indent=1))
    return [Component("registry", ["/usr/bin/docker-registry", "serve", str(config)])]


def push_container_disks(registry: str, images: Path) -> None:
    """Push CONTAINER_DISK (qcow2) and OTHER_FORMATS, each with its own tag, to `registry` (HOST:PORT).

    The registry may still be starting.
    """
    name, tag = CONTAINER_DISK
    _push(registry, images / "disk.qcow2", name, tag)
    for other in OTHER_FORMATS:
        _push(registry, images / f"disk.{other}", name, other)


def push_known_image(registry: str, state: Path, name: str, tag: str, manifest: bytes) -> None:
    """Push an image that containerd has. Its blobs become hard links in the registry's storage: no data is copied."""
    storage = state / "registry/docker/registry/v2"
    content = json.loads(manifest)
    for blob in (content["config"], *content["layers"]):
        digest = blob["digest"].removeprefix("sha256:")
        data = storage / "blobs/sha256" / digest[:2] / digest / "data"
        link = storage / "repositories" / name / "_layers/sha256" / digest / "link"
        for path in (data, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not data.exists():
            data.hardlink_to(state / "containerd/io.containerd.content.v1.content/blobs/sha256" / digest)
        link.write_text(blob["digest"])
    _put_manifest(registry, name, tag, manifest)


def _put_manifest(registry: str, name: str, tag: str, manifest: bytes) -> None:
    _send("PUT", f"http://{registry}/v2/{name}/manifests/{tag}", manifest, _MANIFEST)


def _push(registry: str, disk: Path, name: str, tag: str) -> None:
    """Push an image that has `disk` in the directory /disk."""
    base = f"http://{registry}/v2/{name}"
    _wait_for(registry)
    layer = _layer(disk)
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    config = json.dumps(
        {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]}}
    ).encode()
    for blob in (layer, config):
        location = _send("POST", f"{base}/blobs/uploads/", b"", "application/octet-stream")
        _send("PUT", f"{location}&digest={_digest(blob)}", blob, "application/octet-stream")
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(_CONFIG, config),
        "layers": [_descriptor(_LAYER, layer)],
    }
    _put_manifest(registry, name, tag, json.dumps(manifest).encode())


def _layer(disk: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        directory = tarfile.TarInfo("disk")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o555
        file = archive.gettarinfo(disk, f"disk/{disk.name}")
        file.mode = 0o444
        for entry in (directory, file):
            entry.uid = entry.gid = _QEMU
            entry.uname = entry.gname = ""
        archive.addfile(directory)
        with disk.open("rb") as content:
            archive.addfile(file, content)
    return stream.getvalue()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _send(method: str, url: str, body: bytes, media_type: str) -> str:
    """Send a request and return the Location header of the response, empty without one."""
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": media_type})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.headers.get("Location", ""))
    except HTTPError as error:
        raise ClusterError(
            f"The registry refuses {method} {url} ({error.read().decode().strip()}): see `logs registry`."
        ) from None


def _wait_for(registry: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://{registry}/v2/", timeout=2):
                return
        except (URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise ClusterError(f"The registry {registry} does not answer ({error}): see `logs registry`.") from None
            time.sleep(0.1)
