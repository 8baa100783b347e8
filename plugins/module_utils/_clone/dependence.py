# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a volume still depends on, as far as the API shows it. Pure rules.

Kubernetes does not say whether a volume shares blocks with the one from which its storage driver made it.
"""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object
from .model import COPY, CSI_CLONE, SNAPSHOT
from .record import clone_facts, is_clone
from .source import data_source_key, source_reference

_KINDS = {"pvc": "PersistentVolumeClaim", "snapshot": "VolumeSnapshot"}
_NOT_FILLED = "The volume is not filled yet."
_SHARES = (
    "{what} can share blocks with its source until the storage driver separates them, and the API does not report "
    "whether it has."
)
_BY_METHOD = {
    SNAPSHOT: _SHARES.format(what="A snapshot clone"),
    CSI_CLONE: _SHARES.format(what="A csi-clone"),
    None: "CDI has not recorded how it cloned the volume, which can share blocks with its source.",
}
_RESTORED = _SHARES.format(what="A volume that the storage driver restores or clones")


class Source(t.NamedTuple):
    """An object of the cluster from which a volume is filled."""

    kind: str
    namespace: str
    name: str


def depends_on(volume: Object | None, claim: Object | None) -> list[dict[str, str | None]]:
    """`kind`, `namespace`, `name` and `reason` of what a volume depends on; empty for a volume that is independent.

    `volume` is None for a volume whose DataVolume CDI has collected. Sources outside the cluster are not listed.
    """
    source = _source(volume, claim)
    if source is None:
        return []
    if volume is not None and (volume.get("status") or {}).get("phase") != "Succeeded":
        reason = _NOT_FILLED
    elif is_clone(volume, claim):
        method = clone_facts(volume, claim)["method"]
        if method == COPY:
            return []
        reason = _BY_METHOD.get(method, _BY_METHOD[None])
    elif source.kind in _KINDS.values():
        reason = _RESTORED
    else:
        return []  # A populator has filled it.
    return [{**source._asdict(), "reason": reason}]


def _source(volume: Object | None, claim: Object | None) -> Source | None:
    stored = volume if volume is not None else claim or {}
    own = (stored.get("metadata") or {}).get("namespace") or ""
    spec = stored.get("spec") or {}
    if volume is None:
        if is_clone(None, claim) and not spec.get("dataSourceRef"):
            return None  # Without a populator, CDI always copies.
        return _referred(spec, own)
    cloned, reference = source_reference(spec, own, {}), data_source_key(spec, own)
    if reference:
        return Source(spec["sourceRef"].get("kind") or "DataSource", *reference)
    if cloned:
        kind, namespace, name = cloned
        return Source(_KINDS[kind], namespace, name)
    return None if spec.get("source") else _referred(spec.get("storage") or spec.get("pvc") or {}, own)


def _referred(spec: Object, namespace: str) -> Source | None:
    """The data source in the spec of a claim."""
    reference = spec.get("dataSourceRef") or spec.get("dataSource") or {}
    if not reference.get("name"):
        return None
    return Source(str(reference.get("kind")), reference.get("namespace") or namespace, reference["name"])
