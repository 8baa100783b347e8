# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a DataVolume's spec requests: its source, its size, and whether CDI needs scratch space to fill it. Pure rules.

Results of unchanged volumes contain these, but not the rest of the rules in scratch.py. True for CDI 1.60 and later.
"""

from __future__ import annotations

import posixpath
import typing as t
from urllib.parse import urlsplit

from .._kubernetes.objects import Object

_PACKED = (".gz", ".xz", ".zst")
_RAW = (".raw", ".iso")
_CONVERTED = (".qcow2", ".vmdk", ".vdi", ".vhd", ".vhdx")


class Need(t.NamedTuple):
    """Whether CDI will create a scratch claim (None: it depends on the content of the image), and why."""

    needed: bool | None
    rule: str


def source_kind(spec: Object) -> str | None:
    """`http`, `pvc`, ..., `source_ref`; None for a volume that an external populator fills."""
    if spec.get("sourceRef"):
        return "source_ref"
    return next(iter(spec.get("source") or {}), None)


def need(spec: Object) -> Need:
    """Whether CDI requires a scratch claim to fill a DataVolume with this spec.

    From requiresScratchSpace in pkg/controller/import-controller.go, pkg/controller/upload-controller.go, which always
    makes one, and Info() of each pkg/importer/*-datasource.go; read in 1.60.0, 1.61.1, 1.63.0, 1.65.0 and 1.66.0.
    """
    kind = source_kind(spec)
    source = (spec.get("source") or {}).get(kind) or {}
    if kind in ("pvc", "snapshot", "source_ref"):
        return Need(False, "CDI clones without scratch space.")
    if kind is None:
        return Need(False, "A volume populator fills the volume, not CDI.")
    if kind == "upload":
        return Need(
            True,
            "CDI gives every upload a scratch claim; "
            "raw images, also compressed ones, and archives bypass it and go straight into the volume.",
        )
    if spec.get("contentType") == "archive":
        return Need(
            True, "CDI gives every import of an archive a scratch claim; the files bypass it and go into the volume."
        )
    if kind == "http":
        return Need(True, "Since 1.60 CDI stores every disk image from HTTP in scratch space before it converts it.")
    if kind == "registry":
        if source.get("pullMethod") == "node":
            return Need(
                False, "With pull method node CDI reads the image from a container of the node, without scratch space."
            )
        return Need(
            True, "CDI stores the layers of a registry image in scratch space before it converts the disk in them."
        )
    if kind in ("s3", "gcs"):
        return _by_format(source.get("url") or "", "S3" if kind == "s3" else "Google Cloud Storage")
    if kind == "imageio":
        staged = any(stage.get("current") for stage in spec.get("checkpoints") or [])
        if staged:
            return Need(
                True, "CDI stores a stage of a multi-stage import from oVirt in scratch space before it applies it."
            )
        return Need(False, "CDI requests a raw disk from oVirt, which goes straight into the volume.")
    if kind == "vddk":
        return Need(False, "CDI reads a disk of vSphere block by block straight into the volume.")
    return Need(False, "CDI creates an empty disk in place.")


def _by_format(url: str, where: str) -> Need:
    """CDI streams a raw object, also a compressed one, into the volume, and converts all else from scratch space."""
    name = posixpath.basename(urlsplit(url).path).lower()
    stem, ending = posixpath.splitext(name)
    if ending in _PACKED:
        ending = posixpath.splitext(stem)[1]
    if ending in _CONVERTED:
        return Need(True, f"CDI stores an image from {where} that it must convert ({ending[1:]}) in scratch space.")
    if ending in _RAW:
        return Need(False, f"CDI writes a raw image from {where}, also a compressed one, straight into the volume.")
    return Need(
        None,
        f"CDI stores an image from {where} in scratch space unless its content is raw, "
        f"which {name or 'the URL'} does not show.",
    )


def asked_size(spec: Object) -> str | None:
    """The size that a DataVolume's spec requests, as it is written there; None without one."""
    target = spec.get("storage") or spec.get("pvc") or {}
    size = ((target.get("resources") or {}).get("requests") or {}).get("storage")
    return None if size is None else str(size)
