# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declares DataVolumes: one LIST or GET, at most one write for each that differs, one watch for all that are awaited.

Each task is a process that compiles all that it imports: what only changes need is imported when something changes.
"""

from __future__ import annotations

import time
import typing as t

from .._ansible.argspec import CREATE_NAMESPACE, FORCE_CONFLICTS, PROGRESS, ArgumentSpec, wait_spec
from .._ansible.batch import by_namespace, find, options_of
from .._ansible.module import Task
from .._data_volume.drift import is_settled, needs_claim
from .._data_volume.facts import volume_facts
from .._data_volume.options import VOLUME_OPTIONS
from .._data_volume.source_size import keep_stored_size
from .._data_volume.validation import check as check_volume
from .._data_volume.validation import check_clone_method
from .._data_volume.volume import NotRead, Outcome, Outcomes, Volume, known, unfailed, with_errors
from .._kubernetes.client import Connection
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from .._storage.scratch_facts import ObservedScratch, VolumeAndClaim

if t.TYPE_CHECKING:
    from .._data_volume.changes import Changes
    from .._kubernetes.objects import Key
    from .._storage.scratch import Settings


# No clone was created for a volume with one of these.
_NOT_CLONED = ("none", "metadata", "growable")
_ITEM_OPTIONS = {"name": {"type": "str", "required": True}, **VOLUME_OPTIONS}
SPEC = (
    ArgumentSpec(
        {
            "name": {"type": "str"},
            **VOLUME_OPTIONS,
            "data_volumes": {"type": "list", "elements": "dict", "options": _ITEM_OPTIONS},
            "verify_allocation": {"type": "bool", "default": False},
            "planned_sources": {"type": "list", "elements": "str", "default": []},
        },
        required_one_of=[("name", "data_volumes")],
        mutually_exclusive=[("name", "data_volumes")],
    )
    + FORCE_CONFLICTS
    + CREATE_NAMESPACE
    + wait_spec(600)
    + PROGRESS
)


def check(params: dict[str, t.Any]) -> None:
    _checked_options(params)


def _checked_options(params: dict[str, t.Any], connection: Connection | None = None) -> list[dict[str, t.Any]]:
    """The options of each volume, validated. Without a connection, the default namespace is not known."""
    options = options_of(params, "data_volumes", connection)
    for each in options:
        check_volume(each)
        check_clone_method(each)
    return options


def run(task: Task) -> dict[str, t.Any]:
    started = time.monotonic()
    deadline = started + task.params["wait_timeout"]
    outcomes, changes = _read(task, [Volume(each) for each in _checked_options(task.params, task.connection)]), None
    if not all(map(is_settled, unfailed(outcomes))):
        from .._data_volume.changes import apply_changes

        changes = apply_changes(task, outcomes, deadline)
        outcomes = changes.outcomes
    written = [key for key, outcome in outcomes.items() if _is_written(outcome)]
    settings = None
    if written:
        outcomes, settings = _read_settings(task, outcomes, written, changes.looked.settings if changes else None)
    if task.params["wait"] and not task.check_mode:
        outcomes = _wait(task, outcomes, deadline)
        outcomes = _read_claims(task, outcomes, written)
    outcomes, allocated = _measure(task, outcomes)
    outcomes, results = _results(task, outcomes, changes, settings, allocated)
    namespaces = changes.looked.created_namespaces if changes else []
    changed = bool(namespaces) or any(outcome.changed for outcome in outcomes.values())
    facts = {"duration": round(time.monotonic() - started, 1), "created_namespaces": namespaces}
    if task.params["data_volumes"] is None:
        (only,) = outcomes.values()
        facts |= {**results[0], "diff": only.diff}
    else:
        facts |= {"data_volumes": results, "diff": [_titled(each) for each in outcomes.values() if each.diff]}
    facts["changed"] = changed
    errors = [outcome.error for outcome in outcomes.values()]
    if any(errors):
        from .._ansible.steps import summary

        raise CdiError(summary(errors, "DataVolume", "data_volumes"), **facts)
    return facts


def _titled(outcome: Outcome) -> dict[str, t.Any]:
    title = outcome.volume.title
    return {"before_header": title, "after_header": title, **outcome.diff}


def _is_written(outcome: Outcome) -> bool:
    return outcome.changed and outcome.volume.data_volume is not None


def _read(task: Task, volumes: list[Volume]) -> Outcomes:
    """Read the DataVolumes, and the claims where they matter. Volumes that need no change get the drift `none`."""
    needed = any(volume.present for volume in volumes)
    found = find(task, [volume.key for volume in volumes], DATA_VOLUME, needed=needed)
    outcomes = {volume.key: Outcome(volume, error=found.errors.get(volume.key, "")) for volume in volumes}
    for key, stored in found.objects.items():
        volume = outcomes[key].volume._replace(stored=stored)
        outcomes[key] = outcomes[key]._replace(volume=keep_stored_size(volume))
    outcomes = _read_claims(task, outcomes, [volume.key for volume in unfailed(outcomes) if needs_claim(volume)])
    settled = {volume.key for volume in unfailed(outcomes) if volume.present and is_settled(volume)}
    return {key: outcome._replace(drift="none") if key in settled else outcome for key, outcome in outcomes.items()}


def _read_claims(task: Task, outcomes: Outcomes, keys: t.Iterable[Key]) -> Outcomes:
    """Read the claims of these volumes, but for those that have failed."""
    wanted = [key for key in keys if not outcomes[key].error]
    needed = any(outcomes[key].volume.present for key in wanted)
    found = find(task, wanted, PERSISTENT_VOLUME_CLAIM, needed=needed)
    read = {key: outcomes[key].with_volume(claim=claim) for key, claim in found.objects.items()}
    return with_errors({**outcomes, **read}, found.errors)


def _wait(task: Task, outcomes: Outcomes, deadline: float) -> Outcomes:
    if not any(outcome.error or outcome.grows or outcome.is_awaited for outcome in outcomes.values()):
        return outcomes
    from .._data_volume.wait_order import wait_until_done

    return wait_until_done(task, outcomes, deadline)


def _read_settings(
    task: Task, outcomes: Outcomes, written: list[Key], known_settings: Settings | None
) -> tuple[Outcomes, Settings | None]:
    """The settings by which CDI creates the scratch space of volumes that were written. Warns of what will go wrong."""
    from .._storage.scratch_claims import predicted_problems, read_settings

    pairs = [_pair(outcomes[key].volume) for key in written]
    try:
        settings = read_settings(task.connection, pairs, known_settings)
    except CdiError as exc:
        return with_errors(outcomes, dict.fromkeys(written, str(exc))), None
    for problem in predicted_problems(settings, pairs):
        task.warn(problem)
    return outcomes, settings


def _pair(volume: Volume) -> VolumeAndClaim:
    """The DataVolume, or what is left of it, and its claim."""
    claim = known(volume.claim)
    if claim is None or not volume.collected:
        return VolumeAndClaim(volume.data_volume or {}, claim)
    from .._data_volume.collected import as_volume

    return VolumeAndClaim(as_volume(claim), claim)


def _observed_scratch(task: Task, outcomes: Outcomes) -> dict[Key, ObservedScratch]:
    """The scratch claims of volumes that were written and waited for."""
    written = [outcome for outcome in outcomes.values() if _is_written(outcome)]
    if not written or not task.params["wait"] or task.check_mode:
        return {}
    from .._storage.scratch_claims import look_for

    seen: dict[Key, ObservedScratch] = {}
    for namespace, some in by_namespace(written):
        # No claims: a scratch claim that exists directly after the end is about to be deleted.
        seen.update(look_for(task.connection, namespace, [_pair(outcome.volume) for outcome in some], []))
    return seen


def _measure(task: Task, outcomes: Outcomes) -> tuple[Outcomes, dict[Key, Object]]:
    """What the storage has allocated for volumes that exist, if the task verifies it."""
    if not task.params["verify_allocation"]:
        return outcomes, {}
    from .._storage.allocation_pod import measure

    there = [
        volume
        for volume in unfailed(outcomes)
        if volume.present and (volume.data_volume is not None or volume.collected)
    ]
    outcomes = _read_claims(task, outcomes, [volume.key for volume in there if isinstance(volume.claim, NotRead)])
    keys = [volume.key for volume in there]
    try:
        return outcomes, measure(task, [_pair(outcomes[key].volume) for key in keys])
    except CdiError as exc:
        return with_errors(outcomes, dict.fromkeys(keys, str(exc))), {}


def _results(
    task: Task, outcomes: Outcomes, changes: Changes | None, settings: Settings | None, allocated: dict[Key, Object]
) -> tuple[Outcomes, list[dict[str, t.Any]]]:
    """The result of each volume, and the outcomes with the errors that only the results show."""
    seen = _observed_scratch(task, outcomes)
    results = []
    ended: Outcomes = {}
    for key, outcome in outcomes.items():
        volume = outcome.volume
        scratch, allocation = seen.get(key, ObservedScratch()), allocated.get(key)
        facts = volume_facts(volume.data_volume, known(volume.claim), settings, scratch, allocation)
        prediction = changes.predictions.get(key) if changes and outcome.drift not in _NOT_CLONED else None
        facts["clone"]["predicted"] = prediction.facts if prediction else None
        if prediction:
            from .._data_volume.clone_order import method_mismatch, with_source_users

            mismatch = method_mismatch(volume, facts["clone"]["method"]) if outcome.changed else ""
            outcome = outcome._replace(error=with_source_users(outcome.error, prediction.users) or mismatch)
        if outcome.changed and (facts["preallocation"] or {}).get("ignored"):
            task.warn(f"DataVolume {volume.title} is not preallocated: {facts['preallocation']['ignored']}")
        ended[key] = outcome
        results.append(
            {
                "name": key[1],
                "namespace": key[0],
                "changed": outcome.changed,
                "drift": outcome.drift,
                "reason": outcome.reason,
                **facts,
                "diagnosis": outcome.diagnosis,
                "source_image": changes.looked.images.get(key) if changes else None,
                **({"error": outcome.error} if outcome.error else {}),
            }
        )
    return ended, results
