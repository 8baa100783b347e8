# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCI image of a container disk, made from a file: one layer, with the disk as the only file in /disk.

KubeVirt takes the only file of that directory (pkg/container-disk/container-disk.go, v1.8.2), and starts QEMU as user
107, who must be able to read it. The same file always gives the same image, because nothing in it depends on the time.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import tarfile
import typing as t

from .._kubernetes.errors import CdiError
from .._kubernetes.quantity import MIB
from .file import FileIdentity, open_source, unreadable
from .formats import Image, inspect
from .kinds import renamed, unpack_command

_USER = 107
_DIRECTORY, _NAME = "disk", "disk/disk.img"
_BLOCK = tarfile.BLOCKSIZE
_MEDIA_TYPE = "application/vnd.oci.image."
# Formats that KubeVirt starts (pkg/os/disk/validation.go, v1.8.2); QEMU reads an ISO as a raw disk.
_STARTED = ("raw", "iso", "qcow2")


class Layer:
    """The tar archive that contains the disk, as an iterable of bytes whose length is known.

    Each iteration reads the file again. `sent` is called with the number of bytes so far. Raises CdiError when the file
    has changed since its digest was computed.
    """

    def __init__(self, path: str, identity: FileIdentity, sent: t.Callable[[int], t.Any] = lambda _done: None) -> None:
        self._path, self._identity, self._sent = path, identity, sent
        self._head, self._tail = _around(identity.size)

    def __len__(self) -> int:
        return len(self._head) + self._identity.size + len(self._tail)

    def __iter__(self) -> t.Iterator[bytes]:
        sent = 0
        for piece in self._pieces():
            yield piece
            sent += len(piece)
            self._sent(sent)

    def _pieces(self) -> t.Iterator[bytes]:
        yield self._head
        try:
            with open_source(self._path) as file:
                left = self._identity.size
                while left and (piece := file.read(min(MIB, left))):
                    left -= len(piece)
                    yield piece
                if left or FileIdentity.of(file.fileno()) != self._identity:
                    raise CdiError(
                        f"{self._path} was changed while it was read; the image was not pushed. "
                        "Run the task again when nothing writes to the file."
                    )
        except OSError as exc:
            raise unreadable(self._path, exc) from exc
        yield self._tail


class ContainerDisk(t.NamedTuple):
    """An image that is ready to be pushed. Digests begin with `sha256:`."""

    path: str
    identity: FileIdentity
    image: Image
    layer_digest: str
    layer_size: int
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """The digest of the image, which is that of its manifest."""
        return digest_of(self.manifest)

    def layer(self, sent: t.Callable[[int], t.Any]) -> Layer:
        return Layer(self.path, self.identity, sent)


def container_disk(path: str, architecture: str) -> ContainerDisk:
    """The image for a file or block device, which is read once.

    `architecture` is a name of Go, for example amd64. Raises CdiError for a file that KubeVirt cannot start.
    """
    try:
        identity = FileIdentity.of(path)
        image = inspect(path)
    except OSError as exc:
        raise unreadable(path, exc) from exc
    _refuse_others(path, image)
    layer = Layer(path, identity)
    digest = hashlib.sha256()
    for piece in layer:
        digest.update(piece)
    layer_digest = f"sha256:{digest.hexdigest()}"
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA_TYPE}manifest.v1+json",
            "config": _descriptor("config.v1+json", digest_of(config), len(config)),
            "layers": [_descriptor("layer.v1.tar", layer_digest, len(layer))],
        }
    )
    return ContainerDisk(path, identity, image, layer_digest, len(layer), config, manifest)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _refuse_others(path: str, image: Image) -> None:
    if image.compression:
        raise CdiError(
            f"{path} is compressed ({image.compression}), and KubeVirt does not decompress the disk of a container "
            f"image; decompress it with: {unpack_command(image.compression, path)}."
        )
    if image.format not in _STARTED:
        converted = shlex.quote(renamed(path, ".qcow2"))
        raise CdiError(
            f"{path} is {image.format}, and KubeVirt starts only raw and qcow2 images from a container image; "
            f"convert it with: qemu-img convert -O qcow2 {shlex.quote(path)} {converted}."
        )


def _around(size: int) -> tuple[bytes, bytes]:
    """What precedes and follows the content of the disk, `size` bytes long, in the layer."""
    directory = tarfile.TarInfo(_DIRECTORY)
    directory.type, directory.mode = tarfile.DIRTYPE, 0o555
    file = tarfile.TarInfo(_NAME)
    file.size, file.mode = size, 0o440
    for entry in (directory, file):
        entry.uid = entry.gid = _USER
    head = b"".join(entry.tobuf(tarfile.PAX_FORMAT) for entry in (directory, file))
    return head, bytes(-size % _BLOCK + 2 * _BLOCK)


def _descriptor(kind: str, digest: str, size: int) -> dict[str, t.Any]:
    return {"mediaType": _MEDIA_TYPE + kind, "digest": digest, "size": size}


def _json(value: t.Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
