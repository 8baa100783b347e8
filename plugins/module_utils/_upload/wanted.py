# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DataVolume that an image requires: content type and size. Pure rules."""

from __future__ import annotations

import copy
import re
import shlex
import typing as t

from .._ansible.fields import field_name
from .._cdi.names import BIND_IMMEDIATELY
from .._data_volume.spec import desired
from .._image.formats import Image
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.quantity import MIB, parse
from .._storage.overhead import NO_OVERHEAD, Overhead, enough_space, required_space
from .options import SPEC_FIELDS, declared
from .target import inherited
from .url import file_name, is_url

NO_ZSTD = "it is compressed with zstd and this Python has no decompressor for it"
INSTALL_ZSTD = "install one on the host that runs the task: pip install backports.zstd"
_ARCHIVE_NAME = re.compile(r"\.(tar|tar\.(gz|xz|zst)|tgz|txz|tzst)$", re.IGNORECASE)


def content_type(upload: t.Mapping[str, t.Any], image: Image, *, for_archives: bool = False) -> str | None:
    """`archive`, `kubevirt`, or None if neither is requested.

    Without a request, a tar archive is one if its name says so, or if the target is a volume `for_archives`. Raises
    CdiError if the file is of the other kind.
    """
    requested, name, path = upload["content_type"], upload["name"], upload["path"]
    if image.format is None:  # It cannot be decompressed here.
        return requested or ("archive" if for_archives or _ARCHIVE_NAME.search(file_name(path)) else None)
    undecided = image.format == "tar" and requested is None and not for_archives
    if undecided and image.wraps:
        raise CdiError(
            f"{path} is {image.wraps}. To unpack the archive itself into the volume, set content_type=archive."
        )
    if undecided and not _ARCHIVE_NAME.search(file_name(path)):
        raise CdiError(
            f"{path} is a tar archive, perhaps an exported volume, but does not have the suffix of one; set "
            "content_type=archive to unpack it into a file system, "
            f"or unpack it first (tar -xf {shlex.quote(path)}) and give the disk image inside it as path."
        )
    if requested == "archive" and image.format != "tar":
        raise CdiError(
            f"{name} has content_type=archive, but {path} is a disk image ({image.format}); "
            "give a tar archive, or omit content_type."
        )
    if requested == "kubevirt" and image.format == "tar":
        raise CdiError(
            f"{name} has content_type=kubevirt, but {path} is a tar archive; give a disk image, or omit content_type."
        )
    return "archive" if image.format == "tar" else t.cast("str | None", requested)


def wanted_volume(upload: t.Mapping[str, t.Any], image: Image, overhead: Overhead, stored: Object | None) -> Object:
    """The DataVolume for the image. What is not requested is as in the stored one, whose size is kept if it is large
    enough.

    `overhead` is the share of the file system that CDI takes from a claim given by `pvc`. Raises CdiError if no size
    is known.
    """
    volume = copy.deepcopy(declared(upload))
    spec = (stored or {}).get("spec") or {}
    for_archives = spec.get("contentType") == "archive"
    # For a volume for archives, CDI would only detect a disk image after all of it has been sent.
    volume["content_type"] = content_type(upload, image, for_archives=for_archives) or (
        "kubevirt" if for_archives else None
    )
    target = "pvc" if volume["pvc"] or ("pvc" in spec and not volume["storage"]) else "storage"
    given = volume[target] or {}
    before = spec.get(target) or {}
    wanted = desired({**volume, "storage": None, "pvc": None, target: given})
    for option in SPEC_FIELDS:
        field = field_name(option)
        if volume[option] is None and field in spec:
            wanted["spec"][field] = spec[field]
    if volume[target] is None and before:
        wanted["spec"][target] = copy.deepcopy(before)
    size = _size(upload, image, overhead if target == "pvc" else NO_OVERHEAD, target, given, before)
    wanted["spec"][target]["resources"] = {"requests": {"storage": size}}
    for kind, keep in (("labels", ()), ("annotations", (BIND_IMMEDIATELY,))):
        wanted["metadata"][kind] = {
            **inherited((stored or {}).get("metadata", {}).get(kind), keep),
            **wanted["metadata"][kind],
        }
    return wanted


def _size(
    upload: t.Mapping[str, t.Any], image: Image, overhead: Overhead, target: str, given: Object, before: Object
) -> str:
    size, disk = given.get("size"), image.needed_size
    needed = required_space(disk, *overhead) if disk is not None and overhead.share else disk
    if size is not None:
        remedy = "request at least that, or omit the size"
        refuse_too_small(upload, image, int(parse(size)), needed, f"size is {size!r}", remedy)
        return str(size)
    requested = ((before.get("resources") or {}).get("requests") or {}).get("storage")
    if requested is not None and (needed is None or parse(requested) >= needed):
        return str(requested)
    if disk is None:
        why, install = "decompressing it requires too much memory or time", ""
        if is_url(upload["path"]):
            why = "the first and the last bytes of the file at this URL do not reveal it"
        if image.format is None:
            why, install = NO_ZSTD, f", or {INSTALL_ZSTD}"
        raise CdiError(
            f"Cannot read the size of the disk in {upload['path']}, because {why}; "
            f"give {target}.size for {upload['name']}, for example 10Gi{install}."
        )
    return f"{-(-enough_space(disk, *overhead) // MIB)}Mi"


def refuse_too_small(
    upload: t.Mapping[str, t.Any], image: Image, size: int, needed: int | None, finding: str, remedy: str
) -> None:
    """Refuse a target of `size` bytes for an image that needs more:

    CDI would only detect it after all has been sent. Raises CdiError.
    """
    if needed is not None and size < needed:
        what = f"{upload['path']} ({describe(image)})"
        raise CdiError(f"{upload['name']}: {finding}, but {what} needs {-(-needed // MIB)}Mi; {remedy}.")


def describe(image: Image) -> str:
    """For example `qcow2 in gz of 1024 MiB`."""
    what = " in ".join(filter(None, (image.format, image.compression)))
    return what if image.virtual_size is None else f"{what} of {-(-image.virtual_size // MIB)} MiB"
