# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the file of an upload: what it is, and its digests where they decide.

The digest that is kept for a file is its SHA-256, or, with the prefix `disk:`, the digest of the disk in it
(`_disk/blocks.py`), which costs what the data cost, and is the same for each format.
"""

from __future__ import annotations

import hashlib
import typing as t

from .._disk.blocks import Survey, Surveyor, ignore, surveyed
from .._disk.opening import open_disk
from .._disk.spool import Spool
from .._disk.xz_blocks import content_of
from .._image import xz
from .._image.compression import Update
from .._image.file import FileIdentity, open_source, unreadable
from .._image.formats import Image, inspect
from .._kubernetes.errors import CdiError
from .._kubernetes.quantity import MIB
from .encoding import FILE
from .options import TARGETS, digest_of
from .outcome import File
from .remote import Remote, look, read_whole
from .source import FileChanged
from .url import is_url, shown

OF_DISK = "disk:"
_HASH_BYTES = MIB

Say = t.Callable[[str], None]


def inspected(
    upload: t.Mapping[str, t.Any], say: Say, patience: float, *, whole: bool, spool: Spool | None = None
) -> File:
    """What the file is. `whole`: a compressed file is decompressed to its end, to verify it, and hashed.

    `patience`: the time in seconds for which a web server can send nothing. With `spool`, a disk in xz is kept there,
    because decompressing xz takes long.
    """
    if is_url(upload["path"]):
        return _inspected_url(upload, say, patience, whole=whole)
    identity = FileIdentity.of(upload["path"])
    if not whole:
        return File(upload["path"], identity, _image(upload))
    say(f"reading {upload['path']}")
    spool = spool if spool and upload["encoding"] != FILE and _is_xz(upload["path"]) else None
    hashed, surveyor = hashlib.sha256(), Surveyor(spool.add if spool else ignore, with_content=upload["verify_content"])
    image = _image(upload, hashed.update, surveyor.feed)
    file = File(upload["path"], identity, image)
    if not image.compression:
        return file
    is_disk = image.format == "raw" and image.stored_size == surveyor.fed
    survey = surveyor.survey(surveyor.fed) if is_disk else None
    unpacked = spool.disk(survey.size) if spool and survey else None
    return file._replace(sha256=_checked(upload, hashed.hexdigest()), survey=survey, unpacked=unpacked)


def _is_xz(path: str) -> bool:
    with open_source(path) as file:
        return file.read(len(xz.MAGIC)) == xz.MAGIC


def _inspected_url(upload: t.Mapping[str, t.Any], say: Say, patience: float, *, whole: bool) -> File:
    """With `checksum`, only the ends are fetched, unless the size of the disk would not be known."""
    say(f"reading {shown(upload['path'])}")
    remote, image = look(upload["path"], patience, insist=upload["format"] == "raw")
    file = File(remote.shown, remote, image)
    has_size = image.virtual_size is not None or any((upload[target] or {}).get("size") for target in TARGETS)
    if whole and image.compression and not (upload["checksum"] and has_size):
        file = with_sha256(upload, file, say)
    return file


def complete(upload: t.Mapping[str, t.Any], file: File, say: Say, patience: float, spool: Spool | None) -> File:
    """With what is read of a file before data is deleted for it, so that it is known to be whole."""
    if isinstance(file.identity, Remote):
        return with_sha256(upload, file._replace(sha256=""), say) if upload["checksum"] else file
    if file.image.compression:
        return inspected(upload, say, patience, whole=True, spool=spool)._replace(digest=file.digest)
    return file


def _image(upload: t.Mapping[str, t.Any], *read: Update) -> Image:
    try:
        return inspect(upload["path"], *read, insist=upload["format"] == "raw", read=content_of)
    except OSError as exc:
        raise unreadable(upload["path"], exc) from exc


def with_digest(upload: t.Mapping[str, t.Any], file: File, recorded: str | None, say: Say) -> File:
    """With the digest of the kind that is `recorded` for the target.

    For a new target it is that of the file if `checksum` is given, so that the next run need not read it, else that of
    the disk, if the file can be read as one. Raises CdiError if the file does not match `checksum`.

    For a URL it is that of the file, or `checksum`, which is verified while the file is sent.
    """
    if isinstance(file.identity, Remote):
        expected = digest_of(upload["checksum"]) if upload["checksum"] else ""
        file = file._replace(sha256=expected) if expected else with_sha256(upload, file, say)
        return file._replace(digest=file.sha256)
    if upload["checksum"] or (recorded and not recorded.startswith(OF_DISK)):
        file = with_sha256(upload, file, say)
        if recorded is None or not recorded.startswith(OF_DISK):
            return file._replace(digest=file.sha256)
    file = with_survey(upload, file, say)
    if file.survey is None:
        file = with_sha256(upload, file, say)
    return file._replace(digest=OF_DISK + file.survey.digest if file.survey else file.sha256)


def with_survey(upload: t.Mapping[str, t.Any], file: File, say: Say) -> File:
    """With the survey of the disk, if the file can be read as one, which is not the case at a URL.

    Only its content shows that a device has changed: both of its digests are computed at once. That is not possible for
    a device with a qcow2, which is sent as it is.
    """
    if isinstance(file.identity, Remote):
        return file
    is_device = file.identity.is_device and not file.image.compression
    if file.survey is not None or (is_device and file.image.format != "raw"):
        return file
    say(f"reading {file.path}")
    survey = _survey(file, with_content=upload["verify_content"] or is_device)
    if survey and is_device:
        if file.sha256 not in ("", survey.content_sha256):
            raise FileChanged(file.path)
        file = file._replace(sha256=_checked(upload, survey.content_sha256))
    return file._replace(survey=survey)


def _survey(file: File, *, with_content: bool) -> Survey | None:
    try:
        with open_disk(file.path, file.image) as disk:
            return surveyed(disk, with_content=with_content) if disk else None
    except EOFError as exc:
        raise CdiError(f"{file.path} is truncated or damaged: {exc}; use a complete image.") from exc
    except OSError as exc:
        raise unreadable(file.path, exc) from exc


def with_sha256(upload: t.Mapping[str, t.Any], file: File, say: Say) -> File:
    """With the SHA-256 of the file. Raises CdiError if it does not match `checksum`."""
    if file.sha256:
        return file
    say(f"reading {file.path}")
    if isinstance(file.identity, Remote):
        found, image = read_whole(file.identity, file.image)
        return file._replace(sha256=_checked(upload, found), image=image)
    digest = hashlib.sha256()
    try:
        with open_source(file.path) as opened:
            while chunk := opened.read(_HASH_BYTES):
                digest.update(chunk)
    except OSError as exc:
        raise unreadable(file.path, exc) from exc
    return file._replace(sha256=_checked(upload, digest.hexdigest()))


def _checked(upload: t.Mapping[str, t.Any], found: str) -> str:
    checksum = upload["checksum"]
    if checksum and found != digest_of(checksum):
        differs = f"expected {checksum.lower()}, got sha256:{found}"
        raise CdiError(
            f"{upload['path']} does not match checksum: {differs}; nothing was sent. Correct checksum, or the file."
        )
    return found
