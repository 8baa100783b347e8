# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes one DataVolume as it is declared: created, adopted, grown, made anew or deleted."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field

from .._ansible.module import Task
from .._cdi.phases import NEEDS_CONSUMER
from .._cdi.status import release as release_numbers
from .._kubernetes.apply import patch, write
from .._kubernetes.compare import diff_of
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object, annotations_of, conditions
from .._kubernetes.resources import CDI_CONFIG, CONFIG_NAME, DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, Resource
from .._storage.scratch import Settings, target_bytes
from . import resize as growth
from . import spec as rules
from .collected import collected_drift, is_collected, will_be_collected
from .unfilled import never_filled
from .validation import needs_newer, uses_newer

if t.TYPE_CHECKING:
    from .._cdi.users import UserReader


# A volume that CDI works on changes all the time; so often it is read again before it is deleted as one that was never filled.
_TRIES = 5


@dataclass
class Item:
    """One volume on its way through the task. `claim` is what was last read of it, None before that; `refusal` says why it must not be made anew.

    `drift`, `reason`, `changed` and `diff` say what was done to it, also when an error came later. `restaged`: when its import had last paused
    before it was given other stages.
    """

    volume: dict[str, t.Any]
    stored: Object | None = None
    claim: Object | None = None
    drift: str | None = None
    reason: str | None = None
    changed: bool = False
    grows: bool = False
    restaged: str | None = None
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


class Collected(Exception):
    """CDI has deleted the volume, which had succeeded, since it was read: its claim is what there is."""


def wanted_of(item: Item) -> Object:
    """The DataVolume that is declared; of one that is there, without what CDI has chosen as it is asked for."""
    wanted = rules.desired(item.volume)
    return wanted if item.stored is None else rules.without_chosen(wanted, item.stored, item.claim)


def drift_of(item: Item) -> rules.Drift:
    """How the stored volume, or what is left of it, differs from the declared one."""
    if item.collected:
        return collected_drift(item.volume, t.cast(Object, item.claim))
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
    if item.collected and drift_of(item).grows_to is not None:
        return True
    if item.stored is None or item.terminating:
        return uses_newer(item.volume)
    drift = drift_of(item)
    if drift.grows_to is not None:
        return item.claim is not None and growth.grown_to(item.claim) != drift.grows_to
    return bool(drift.lines) and uses_newer(item.volume)


class Run(t.NamedTuple):
    """What all volumes of a task share. `release` is CDI's, empty when it does not matter or is not known."""

    task: Task
    release: str
    deadline: float
    users: UserReader


def ensure(run: Run, item: Item) -> None:
    """Bring one volume to its declared state."""
    if not item.present:
        _remove(run, item)
        return
    wanted = wanted_of(item)
    if item.stored is None:
        create(run, item, wanted)
        return
    drift = rules.spec_drift(wanted, item.stored)
    if item.terminating:
        _replace(run, item, "it was being deleted")
        return
    if drift.lines and not _settle(run, item, wanted, drift):
        return
    binds = _binds_now(wanted, item.stored)
    if rules.changes_stages(wanted, item.stored):
        item.restaged = paused_since(item.stored)
    _write(run, item, wanted)
    item.drift = item.drift or ("metadata" if item.changed else "none")
    if binds and item.claim is not None:
        # CDI gives a volume's annotations to its claim only when it makes the claim.
        bound = {"metadata": {"annotations": {rules.BIND_IMMEDIATELY: "true"}}}
        patch(run.task.connection, PERSISTENT_VOLUME_CLAIM, item.claim, bound, check_mode=run.task.check_mode)


def paused_since(stored: Object | None) -> str | None:
    """When the import of a volume last paused after a stage, None when it is not paused."""
    if ((stored or {}).get("status") or {}).get("phase") != "Paused":
        return None
    return str(conditions(stored).get("Running", {}).get("lastTransitionTime", ""))


def _binds_now(wanted: Object, stored: Object) -> bool:
    waits = (stored.get("status") or {}).get("phase") in NEEDS_CONSUMER
    return (
        waits
        and rules.BIND_IMMEDIATELY in annotations_of(wanted)
        and rules.BIND_IMMEDIATELY not in annotations_of(stored)
    )


def _write(run: Run, item: Item, wanted: Object) -> None:
    task = run.task
    try:
        change = write(
            task.connection,
            DATA_VOLUME,
            wanted,
            item.stored,
            check_mode=task.check_mode,
            force=task.params["force_conflicts"],
        )
    except ApiError:
        _raise_if_collected(run, item)
        raise
    item.stored = change.object
    item.changed = item.changed or change.changed
    item.diff = {side: {**item.diff.get(side, {}), **value} for side, value in change.diff.items()} or item.diff


def create(run: Run, item: Item, wanted: Object) -> None:
    refuse_newer(run, item)
    drift = "missing"
    if item.claim is not None:
        if rules.is_terminating(item.claim):
            # CDI would take the old volume's claim for one that is in the way.
            until_gone(run, item, PERSISTENT_VOLUME_CLAIM)
        else:
            rules.refuse_claim(item.volume, item.claim)
            drift = "adoptable"
    item.drift = item.drift or drift
    _write(run, item, wanted)


def refuse_newer(run: Run, item: Item) -> None:
    reason = needs_newer(item.volume, run.release)
    if reason:
        raise CdiError(f"DataVolume {item.title} cannot be created: {reason}.")


def _settle(run: Run, item: Item, wanted: Object, drift: rules.Drift) -> bool:
    """Whether the difference is gone by growing. Else the volume is made anew, or CdiError says that this was not allowed."""
    try:
        _grow(run, item, wanted, drift)
        return True
    except ApiError:
        raise
    except CdiError:
        unfilled = _is_unfilled(run, item)
        if not unfilled and item.volume["on_drift"] != "recreate":
            raise
    differences = "; ".join(drift.lines)
    _replace(
        run,
        item,
        f"it was never filled, and {differences}" if unfilled else f"on_drift=recreate, and {differences}",
        unfilled,
    )
    return False


def _is_unfilled(run: Run, item: Item) -> bool:
    """Whether the volume never held data, and no pod waits for them."""
    if not never_filled(t.cast(Object, item.stored), item.claim):
        return False
    try:
        return not run.users.users(item.key).pods
    except CdiError:
        return False


def _grow(run: Run, item: Item, wanted: Object, drift: rules.Drift) -> None:
    """Raises CdiError when the difference is not one that is gone by growing."""
    stored = t.cast(Object, item.stored)
    if drift.grows_to is None:
        raise CdiError(
            f"DataVolume {item.title} differs from the requested spec: {'; '.join(drift.lines)}; a DataVolume's spec is immutable: "
            "correct the options, or set on_drift=recreate to delete the volume with its data and create it again."
        )
    growth.refuse_growth(stored, item.claim, drift.grows_to, _typed_size(item))
    grow_claim(run, item, wanted, drift.grows_to)
    item.grows = True
    target = "storage" if "storage" in wanted["spec"] else "pvc"
    wanted["spec"][target]["resources"] = stored["spec"][target].get("resources") or {}


def _typed_size(item: Item) -> str:
    return str((item.volume["storage"] or item.volume["pvc"])["size"])


def grow_claim(run: Run, item: Item, wanted: Object, size: int) -> None:
    task, claim = run.task, t.cast(Object, item.claim)
    if growth.grown_to(claim) == size:
        return
    settings = Settings(task.connection.get(CDI_CONFIG, CONFIG_NAME) or {}, release_numbers(run.release))
    needed = (
        target_bytes(
            settings, wanted["spec"], claim["spec"].get("storageClassName"), claim["spec"].get("volumeMode") == "Block"
        )
        or 0
    )
    if growth.requested(claim) >= needed:
        return
    asked = _typed_size(item)
    values = {
        "metadata": {"annotations": {growth.GROWN_TO: asked}},
        "spec": {"resources": {"requests": {"storage": str(needed)}}},
    }
    try:
        change = patch(task.connection, PERSISTENT_VOLUME_CLAIM, claim, values, check_mode=task.check_mode)
    except ApiError as exc:
        if "can be resized" in str(exc):
            raise CdiError(
                f"DataVolume {item.title} cannot grow to {asked}: its storage class {claim['spec'].get('storageClassName')!r} does not allow it; "
                "set allowVolumeExpansion on the class if its driver can, or set on_drift=recreate to delete the volume with its data and create it again."
            ) from exc
        raise
    item.claim, item.drift, item.changed = change.object, "growable", True
    item.diff = {side: {"claim": value} for side, value in change.diff.items()}


def _replace(run: Run, item: Item, reason: str, unfilled: bool = False) -> None:
    """Delete, unless it is on its way already, and make anew."""
    before, wanted = t.cast(Object, item.stored), rules.desired(item.volume)
    if item.refusal:
        raise CdiError(item.refusal)
    refuse_newer(run, item)
    _delete(run, item, unfilled)
    item.drift, item.reason = "unfilled" if unfilled else "recreate", f"deleted and not created again, because {reason}"
    if run.task.check_mode:
        # The server cannot try the new volume out while the old one is there.
        item.stored, item.changed = {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, **wanted}, True
    else:
        until_gone(run, item, DATA_VOLUME)
        item.stored = None
        item.claim = _claim(run, item)
        create(run, item, wanted)
    item.reason, item.diff = f"recreated because {reason}", diff_of(before, item.stored)


def _remove(run: Run, item: Item) -> None:
    if item.stored is None:
        return
    phase = (item.stored.get("status") or {}).get("phase") or "Pending"
    if item.volume["keep_claim"] and not item.terminating and phase != "Succeeded":
        raise CdiError(
            f"DataVolume {item.title} is not filled (phase {phase}), so its claim holds nothing to keep; wait, or leave keep_claim out."
        )
    _delete(run, item)
    if run.task.params["wait"]:
        until_gone(run, item, DATA_VOLUME)
    item.stored = None
    if run.task.params["wait"] and not item.volume["keep_claim"]:
        until_gone(run, item, PERSISTENT_VOLUME_CLAIM)
    run.task.progress.ends(item.title, "deleted")


def _delete(run: Run, item: Item, unfilled: bool = False) -> None:
    """Ask for the volume's deletion, and note it, unless it is on its way already. Raises CdiError when somebody uses the data."""
    if item.terminating:
        return
    if unfilled:
        _delete_unfilled(run, item)
        return
    if not item.volume["keep_claim"] and item.volume["when_in_use"] == "fail":
        run.users.refuse(f"DataVolume {item.title}", item.key)
    _send_deletion(run, item)


def _delete_unfilled(run: Run, item: Item) -> None:
    """CDI may fill the volume in this very moment: it is deleted only as it was read, and read again if it has changed."""
    connection, (namespace, name) = run.task.connection, item.key
    for _try in range(_TRIES):
        item.claim = _claim(run, item)
        stored = connection.get(DATA_VOLUME, name, namespace)
        if stored is None:
            return
        if not never_filled(stored, item.claim):
            raise CdiError(
                f"DataVolume {item.title} was filled while it was about to be recreated; run the task again."
            )
        item.stored = stored
        try:
            _send_deletion(run, item, stored["metadata"]["resourceVersion"])
            return
        except ApiError as exc:
            if exc.code != 409:
                raise
    raise CdiError(
        f"DataVolume {item.title} changed {_TRIES} times while it was about to be recreated; run the task again."
    )


def _send_deletion(run: Run, item: Item, version: str | None = None) -> None:
    stored, (namespace, name) = t.cast(Object, item.stored), item.key
    propagation = "Orphan" if item.volume["keep_claim"] else "Background"
    uid, check_mode = stored["metadata"]["uid"], run.task.check_mode
    run.task.connection.delete(
        DATA_VOLUME, name, namespace, dry_run=check_mode, propagation=propagation, uid=uid, version=version
    )
    _raise_if_collected(run, item)
    item.changed, item.diff = True, diff_of(stored, None)


def _raise_if_collected(run: Run, item: Item) -> None:
    """One request for a volume that CDI collects, none for others."""
    if not will_be_collected(item.stored):
        return
    try:
        claim = _claim(run, item)
    except ApiError:
        return  # What was written, or went wrong, before counts.
    if is_collected(claim):
        item.stored, item.claim = None, claim
        raise Collected


def _claim(run: Run, item: Item) -> Object | None:
    namespace, name = item.key
    return run.task.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)


def until_gone(run: Run, item: Item, resource: Resource) -> None:
    if not run.task.check_mode:
        from .._kubernetes.wait import wait_gone

        namespace, name = item.key
        run.task.progress.waits(item.title, f"{resource.kind} is being deleted")
        wait_gone(run.task.connection, resource, namespace, name, max(run.deadline - time.monotonic(), 0))
