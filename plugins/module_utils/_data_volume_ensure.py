# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Makes one DataVolume as it is declared: created, adopted, grown, made anew or deleted."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field

from . import _data_volume as rules
from . import _data_volume_growth as growth
from ._apply import diff_of, patch, write
from ._cdi import release as release_numbers
from ._cdi_config import CONFIG_NAME
from ._clone import annotations
from ._collected import collected_drift, is_collected
from ._connection import Object
from ._data_volume_checks import needs_newer, uses_newer
from ._diagnosis import NEEDS_CONSUMER
from ._errors import ApiError, CdiError
from ._module import Task
from ._resources import CDI_CONFIG, DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, Resource
from ._scratch import Settings, target_bytes
from ._wait import wait_gone


@dataclass
class Item:
    """One volume on its way through the task. `claim` is what was last read of it, None before that; `refusal` says why it must not be made anew."""

    volume: dict[str, t.Any]
    stored: Object | None = None
    claim: Object | None = None
    drift: str | None = None
    changed: bool = False
    grows: bool = False
    diff: dict[str, t.Any] = field(default_factory=dict)
    error: str = ""
    refusal: str = ""
    diagnosis: dict[str, str] | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.volume["namespace"], self.volume["name"]

    @property
    def title(self) -> str:
        return "/".join(self.key)

    @property
    def present(self) -> bool:
        return bool(self.volume["state"] == "present")

    @property
    def collected(self) -> bool:
        """Whether CDI has deleted the volume after it had succeeded, and left its claim."""
        return self.stored is None and is_collected(self.claim)

    @property
    def terminating(self) -> bool:
        return bool(self.stored and self.stored["metadata"].get("deletionTimestamp"))


def wanted_of(item: Item) -> Object:
    """The DataVolume that is declared; of one that is there, without what CDI has chosen as it is asked for."""
    wanted = rules.desired(item.volume)
    return wanted if item.stored is None else rules.without_chosen(wanted, item.stored, item.claim)


def drift_of(item: Item) -> rules.Drift:
    """How the stored volume differs from the declared one."""
    return rules.spec_drift(wanted_of(item), t.cast(Object, item.stored))


def needs_claim(item: Item) -> bool:
    """Whether it depends on the claim what has to be done."""
    if item.stored is None:
        return True
    if not item.present or item.terminating:
        return False
    return bool(drift_of(item).lines) or _binds_now(rules.desired(item.volume), item.stored)


def needs_release(item: Item) -> bool:
    """Whether it depends on CDI's release whether the volume can be made, or how large its claim has to be."""
    if not item.present:
        return False
    if item.collected and collected_drift(item.volume, t.cast(Object, item.claim)).grows_to is not None:
        return True
    if item.stored is None or item.terminating:
        return uses_newer(item.volume)
    drift = drift_of(item)
    if drift.grows_to is not None:
        return item.claim is not None and growth.grown_to(item.claim) != drift.grows_to
    return bool(drift.lines) and uses_newer(item.volume)


def ensure(task: Task, item: Item, release: str, deadline: float) -> None:
    """Bring one volume to its declared state. `release` is CDI's, empty when it does not matter or is not known."""
    if not item.present:
        _remove(task, item, deadline)
        return
    wanted = wanted_of(item)
    if item.collected:
        _ensure_collected(task, item, wanted, release, deadline)
        return
    if item.stored is None:
        _create(task, item, wanted, release, deadline)
        return
    drift = rules.spec_drift(wanted, item.stored)
    if item.terminating or (drift.lines and not _grow(task, item, wanted, drift, release)):
        _replace(task, item, rules.desired(item.volume), release, deadline)
        return
    binds = _binds_now(wanted, item.stored)
    _write(task, item, wanted)
    item.drift = item.drift or ("metadata" if item.changed else "none")
    if binds and item.claim is not None:
        # CDI gives a volume's annotations to its claim only when it makes the claim.
        bound = {"metadata": {"annotations": {rules.BIND_IMMEDIATELY: "true"}}}
        patch(task.connection, PERSISTENT_VOLUME_CLAIM, item.claim, bound, check_mode=task.check_mode)


def _ensure_collected(task: Task, item: Item, wanted: Object, release: str, deadline: float) -> None:
    """What is left of a volume that has succeeded is its claim: it is the volume."""
    drift = collected_drift(item.volume, t.cast(Object, item.claim))
    if not drift.lines:
        item.drift = "none"
    elif drift.grows_to is not None:
        _grow_claim(task, item, wanted, drift.grows_to, release)
        item.drift = item.drift or "none"
    elif item.volume["on_drift"] != "recreate":
        raise CdiError(
            f"DataVolume {item.title} was deleted by CDI after it had succeeded, and the claim that it left differs from the requested spec: "
            f"{'; '.join(drift.lines)}; correct the options, or say on_drift=recreate to delete the claim with its data and make the volume anew."
        )
    else:
        _replace_collected(task, item, wanted, release, deadline)


def _replace_collected(task: Task, item: Item, wanted: Object, release: str, deadline: float) -> None:
    if item.refusal:
        raise CdiError(item.refusal)
    _refuse_newer(item, release)
    before = item.claim
    _delete_claim(task, item, deadline, wait=True)
    if task.check_mode:
        item.stored = {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, **wanted}
    else:
        _create(task, item, wanted, release, deadline)
    item.drift, item.diff = "recreate", diff_of(before, item.stored)


def _delete_claim(task: Task, item: Item, deadline: float, *, wait: bool) -> None:
    """Delete the claim of a collected volume, with its data."""
    claim = t.cast(Object, item.claim)
    owners = [owner for owner in claim["metadata"].get("ownerReferences") or [] if owner.get("controller")]
    if owners:
        raise CdiError(f"PersistentVolumeClaim {item.title} belongs to {owners[0]['kind']} {owners[0]['name']}; delete that, or remove the volume from it.")
    namespace, name = item.key
    task.connection.delete(PERSISTENT_VOLUME_CLAIM, name, namespace, dry_run=task.check_mode, uid=claim["metadata"]["uid"])
    item.claim, item.changed, item.diff = None, True, diff_of(claim, None)
    if wait:
        _wait_gone(task, item, PERSISTENT_VOLUME_CLAIM, deadline)


def _binds_now(wanted: Object, stored: Object) -> bool:
    waits = (stored.get("status") or {}).get("phase") in NEEDS_CONSUMER
    return waits and rules.BIND_IMMEDIATELY in annotations(wanted) and rules.BIND_IMMEDIATELY not in annotations(stored)


def _write(task: Task, item: Item, wanted: Object) -> None:
    change = write(task.connection, DATA_VOLUME, wanted, item.stored, check_mode=task.check_mode, force=task.params["force_conflicts"])
    item.stored = change.object
    item.changed = item.changed or change.changed
    item.diff = {side: {**item.diff.get(side, {}), **value} for side, value in change.diff.items()} or item.diff


def _create(task: Task, item: Item, wanted: Object, release: str, deadline: float) -> None:
    _refuse_newer(item, release)
    item.drift = "missing"
    if item.claim is not None:
        if rules.is_terminating(item.claim):
            # CDI would take the old volume's claim for one that is in the way.
            _wait_gone(task, item, PERSISTENT_VOLUME_CLAIM, deadline)
        else:
            rules.refuse_claim(item.volume, item.claim)
            item.drift = "adoptable"
    _write(task, item, wanted)


def _refuse_newer(item: Item, release: str) -> None:
    reason = needs_newer(item.volume, release)
    if reason:
        raise CdiError(f"DataVolume {item.title} cannot be made: {reason}.")


def _grow(task: Task, item: Item, wanted: Object, drift: rules.Drift, release: str) -> bool:
    """Whether the difference is gone by growing; False when the volume has to be made anew, CdiError when that was not said."""
    stored = t.cast(Object, item.stored)
    try:
        if drift.grows_to is None:
            raise CdiError(
                f"DataVolume {item.title} differs from the requested spec: {'; '.join(drift.lines)}; a DataVolume's spec is immutable: "
                "correct the options, or say on_drift=recreate to delete the volume with its data and make it anew."
            )
        growth.refuse_growth(stored, item.claim, drift.grows_to)
        _grow_claim(task, item, wanted, drift.grows_to, release)
    except CdiError as exc:
        if item.volume["on_drift"] != "recreate" or isinstance(exc, ApiError):
            raise
        return False
    target = "storage" if "storage" in wanted["spec"] else "pvc"
    wanted["spec"][target]["resources"] = stored["spec"][target].get("resources") or {}
    return True


def _grow_claim(task: Task, item: Item, wanted: Object, size: int, release: str) -> None:
    claim = t.cast(Object, item.claim)
    item.grows = True
    if growth.grown_to(claim) == size:
        return
    settings = Settings(task.connection.get(CDI_CONFIG, CONFIG_NAME) or {}, release_numbers(release))
    needed = target_bytes(settings, wanted["spec"], claim["spec"].get("storageClassName"), claim["spec"].get("volumeMode") == "Block") or 0
    if growth.requested(claim) >= needed:
        return
    asked = (item.volume["storage"] or item.volume["pvc"])["size"]
    values = {"metadata": {"annotations": {growth.GROWN_TO: asked}}, "spec": {"resources": {"requests": {"storage": str(needed)}}}}
    try:
        change = patch(task.connection, PERSISTENT_VOLUME_CLAIM, claim, values, check_mode=task.check_mode)
    except ApiError as exc:
        if "can be resized" not in str(exc):
            raise
        raise CdiError(
            f"DataVolume {item.title} cannot grow to {asked}: its storage class {claim['spec'].get('storageClassName')} does not allow it; "
            "set allowVolumeExpansion on the class if its driver can, or say on_drift=recreate to delete the volume with its data and make it anew."
        ) from exc
    item.claim, item.drift, item.changed = change.object, "growable", True
    item.diff = {side: {"claim": value} for side, value in change.diff.items()}


def _replace(task: Task, item: Item, wanted: Object, release: str, deadline: float) -> None:
    """Delete, unless it is on its way already, and make anew."""
    before = t.cast(Object, item.stored)
    if item.refusal:
        raise CdiError(item.refusal)
    _refuse_newer(item, release)
    _delete(task, item)
    if task.check_mode:
        # The server cannot try the new volume out while the old one is there.
        item.stored = {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, **wanted}
    else:
        _wait_gone(task, item, DATA_VOLUME, deadline)
        item.stored, item.claim = None, _claim(task, item)
        _create(task, item, wanted, release, deadline)
    item.drift, item.changed, item.diff = "recreate", True, diff_of(before, item.stored)


def _remove(task: Task, item: Item, deadline: float) -> None:
    if item.collected and not item.volume["keep_claim"]:
        _delete_claim(task, item, deadline, wait=task.params["wait"])
    if item.stored is None:
        return
    phase = (item.stored.get("status") or {}).get("phase") or "Pending"
    if item.volume["keep_claim"] and not item.terminating and phase != "Succeeded":
        raise CdiError(f"DataVolume {item.title} is not filled (phase {phase}), so its claim is not worth keeping; wait, or leave keep_claim out.")
    item.changed, item.diff = not item.terminating, {} if item.terminating else diff_of(item.stored, None)
    _delete(task, item)
    item.stored = None
    if task.params["wait"]:
        _wait_gone(task, item, DATA_VOLUME, deadline)
        if not item.volume["keep_claim"]:
            _wait_gone(task, item, PERSISTENT_VOLUME_CLAIM, deadline)
        task.progress.ends(item.title, "deleted")


def _delete(task: Task, item: Item) -> None:
    if item.terminating:
        return
    propagation = "Orphan" if item.volume["keep_claim"] else "Background"
    namespace, name = item.key
    uid = t.cast(Object, item.stored)["metadata"]["uid"]
    task.connection.delete(DATA_VOLUME, name, namespace, dry_run=task.check_mode, propagation=propagation, uid=uid)


def _claim(task: Task, item: Item) -> Object | None:
    namespace, name = item.key
    return task.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)


def _wait_gone(task: Task, item: Item, resource: Resource, deadline: float) -> None:
    if not task.check_mode:
        namespace, name = item.key
        task.progress.waits(item.title, f"{resource.kind} is being deleted")
        wait_gone(task.connection, resource, namespace, name, max(deadline - time.monotonic(), 0))
