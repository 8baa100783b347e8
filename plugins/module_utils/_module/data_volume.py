# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declares DataVolumes: one LIST or GET, at most one write for each that differs, one watch for all that are waited for."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._ansible.argspec import CREATE_NAMESPACE, FORCE_CONFLICTS, PROGRESS, ArgumentSpec, wait_spec
from .._ansible.batch import by_namespace, guarded, guarded_all, options_of, read
from .._ansible.module import Task
from .._cdi.phases import reached
from .._cdi.status import active
from .._cdi.users import UserReader
from .._data_volume import resize as growth
from .._data_volume.clone_order import check as check_clone
from .._data_volume.clone_order import (
    clones_of,
    fail_without_source,
    method_mismatch,
    skip_without_source,
    source_claim,
    sources_first,
    with_source_users,
)
from .._data_volume.collected import as_volume
from .._data_volume.collected_reconcile import ensure_any
from .._data_volume.facts import volume_facts
from .._data_volume.options import VOLUME_OPTIONS
from .._data_volume.preflight_items import Looked, create_namespaces, look_before_writing
from .._data_volume.reconcile import Item, Run, needs_claim, needs_release
from .._data_volume.source_size import keep_stored_sizes
from .._data_volume.validation import check as check_volume
from .._kubernetes.client import Connection
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import CDI, DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .._storage.scratch_facts import ObservedScratch, VolumeAndClaim

if t.TYPE_CHECKING:
    from .._clone.prediction import Prediction
    from .._storage.scratch import Settings


# What a task does not need it does not load: Ansible gives each task a process, which would compile all of it.

_PARALLEL_WRITES = 8
# What no clone was made for.
_NOT_MADE = ("none", "metadata", "growable")
_TOLD_ERRORS = 3
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
    _volumes(params)


def _volumes(params: dict[str, t.Any], connection: Connection | None = None) -> list[dict[str, t.Any]]:
    """The options of each volume, checked. That a volume is its own source may show only when the connection says where it is."""
    volumes = options_of(params, "data_volumes", connection)
    for volume in volumes:
        check_volume(volume)
        check_clone(volume)
    return volumes


def run(task: Task) -> dict[str, t.Any]:
    started = time.monotonic()
    deadline = started + task.params["wait_timeout"]
    items = [Item(volume) for volume in _volumes(task.params, task.connection)]
    read(task, items, DATA_VOLUME, "stored")
    keep_stored_sizes(items)
    _read_claims(task, [item for item in items if needs_claim(item)])
    looked = look_before_writing(task, items)
    release = _release(looked.reader) if any(map(needs_release, items)) else ""
    leaving = {item.key for item in items if not item.present}
    predicted = _make(
        Run(task, release, deadline, UserReader(Reader(task.connection), task.warn, leaving)), items, looked
    )
    written = [item for item in items if item.changed and item.stored is not None]
    settings = _scratch_settings(task, written, looked.settings) if written else None
    if task.params["wait"] and not task.check_mode:
        for namespace, some in _sources_before_clones(items):
            _wait_filled(task, items, some, deadline)
            _wait_grown(task, namespace, [item for item in some if item.grows and not item.error], deadline)
        _read_claims(task, written)
    results = [
        {**result, "source_image": looked.source_image(item)}
        for item, result in zip(items, _results(task, items, settings, predicted))
    ]
    changed = any(item.changed for item in items) or bool(looked.created_namespaces)
    facts: dict[str, t.Any] = {"changed": changed, "duration": round(time.monotonic() - started, 1)}
    facts["created_namespaces"] = looked.created_namespaces
    if task.params["data_volumes"] is None:
        facts.update({**results[0], "changed": changed}, diff=items[0].diff)
    else:
        facts["data_volumes"] = results
        facts["diff"] = [
            {"before_header": item.title, "after_header": item.title, **item.diff} for item in items if item.diff
        ]
    if any(item.error for item in items):
        raise CdiError(_told([item.error for item in items]), **facts)
    return facts


def _make(run: Run, items: list[Item], looked: Looked) -> dict[tuple[str, str], Prediction]:
    """Predict and write all items, at once but for clones whose method can be told only when this task has made their sources."""
    task, predicted = run.task, {}
    rest = items
    while rest:
        now, rest = sources_first(rest) if task.params["wait"] and not task.check_mode else (rest, [])
        skip_without_source(items, now)
        if clones := clones_of(now):
            from .._data_volume.clone_guard import predict_and_check

            predicted.update(predict_and_check(task, clones, run.deadline, looked.reader))
        create_namespaces(looked, now)
        for some in _in_order(now):
            skip_without_source(items, some)
            with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
                list(pool.map(lambda item: guarded(item, lambda: ensure_any(run, item)), some))
        wanted = {source_claim(item) for item in rest}
        for _namespace, some in _sources_before_clones([item for item in now if item.key in wanted]):
            _wait_filled(task, items, some, run.deadline)
        run = run._replace(users=run.users.again())
    return predicted


def _in_order(items: list[Item]) -> t.Iterator[list[Item]]:
    """Clones after what they are cloned from, so that none is made when that failed."""
    while items:
        keys = {item.key for item in items}
        first = [item for item in items if source_claim(item) not in keys - {item.key}] or items
        yield first
        made = {item.key for item in first}
        items = [item for item in items if item.key not in made]


def _sources_before_clones(items: list[Item]) -> list[tuple[str, list[Item]]]:
    """The items by their namespaces, those first that others clone from."""
    order = {item.key[0]: number for number, some in enumerate(_in_order(items)) for item in some}
    return sorted(by_namespace(items), key=lambda group: order[group[0]])


def _wait_filled(task: Task, items: list[Item], some: list[Item], deadline: float) -> None:
    fail_without_source(items, some)
    waiting = [
        item
        for item in some
        if not item.error
        and item.stored is not None
        and (item.restaged is not None or not reached(item.volume, item.stored))
    ]
    if waiting:
        from .._data_volume.wait import wait_for_volumes

        wait_for_volumes(task, waiting, deadline)


def _told(errors: list[str]) -> str:
    """The different errors of the volumes; of many the first, and how many there are."""
    different = list(dict.fromkeys(filter(None, errors)))
    if len(different) <= _TOLD_ERRORS:
        return " ".join(different)
    failed = len(list(filter(None, errors)))
    return f"{failed} of {len(errors)} DataVolumes failed: {' '.join(different[:_TOLD_ERRORS])} The error of each is in data_volumes."


def _read_claims(task: Task, items: list[Item]) -> None:
    read(task, items, PERSISTENT_VOLUME_CLAIM, "claim")


def _release(reader: Reader) -> str:
    """CDI's release, empty when it may not be read: then the API server alone says what it does not know."""
    return str((active(reader.try_read(CDI).items).get("status") or {}).get("observedVersion", ""))


def _scratch_settings(task: Task, written: list[Item], known: Settings | None) -> Settings | None:
    """What CDI goes by for the scratch space of volumes that were written; warns of what will go wrong."""
    from .._storage.scratch_claims import predicted_problems, read_settings

    pairs = _volumes_and_claims(written)
    settings = guarded_all(written, lambda: read_settings(task.connection, pairs, known), None)
    for problem in predicted_problems(settings, pairs):
        task.warn(problem)
    return settings


def _wait_grown(task: Task, namespace: str, items: list[Item], deadline: float) -> None:
    """Wait until the claims that grow have their size."""
    growing = {item.key[1]: item for item in items if growth.judge_growth(item.claim).state != REACHED}
    if not growing:
        return

    def judge(name: str, claim: Object | None) -> Verdict:
        verdict = growth.judge_growth(claim)
        if verdict.state == WAITING:
            task.progress.waits(growing[name].title, "growing", None, verdict.reason)
        else:
            task.progress.ends(growing[name].title, "grown")
        return verdict

    from .._kubernetes.wait import wait_for

    try:
        outcomes = wait_for(task.connection, PERSISTENT_VOLUME_CLAIM, namespace, list(growing), judge, deadline)
    except CdiError as exc:
        for item in growing.values():
            item.error = str(exc)
        return
    for name, outcome in outcomes.items():
        item = growing[name]
        item.claim = outcome.object
        if outcome.verdict.state != REACHED:
            how = (
                "failed" if outcome.verdict.state == FAILED else f"has not ended after {task.params['wait_timeout']} s"
            )
            size = (item.volume["storage"] or item.volume["pvc"])["size"]
            item.error = f"Growth of DataVolume {item.title} to {size} {how}: {outcome.verdict.reason}."


def _volumes_and_claims(items: list[Item]) -> list[VolumeAndClaim]:
    return [VolumeAndClaim(item.stored or {}, item.claim) for item in items]


def _results(
    task: Task, items: list[Item], settings: Settings | None, predicted: dict[tuple[str, str], Prediction]
) -> list[dict[str, t.Any]]:
    seen: dict[tuple[str, str], ObservedScratch] = {}
    written = [item for item in items if item.changed and item.stored is not None]
    if written and task.params["wait"] and not task.check_mode:
        from .._storage.scratch_claims import look_for

        for namespace, some in by_namespace(written):
            # No claims: a scratch claim that is there at once after the end is about to go.
            seen.update(look_for(task.connection, namespace, _volumes_and_claims(some), []))
    allocated: dict[tuple[str, str], Object] = {}
    if task.params["verify_allocation"]:
        from .._storage.allocation_pod import measure

        present = [
            item for item in items if item.present and (item.stored is not None or item.collected) and not item.error
        ]
        _read_claims(task, [item for item in present if item.claim is None])
        pairs = [VolumeAndClaim(item.stored or as_volume(t.cast(Object, item.claim)), item.claim) for item in present]
        allocated = guarded_all(present, lambda: measure(task, pairs), {})
    results = []
    for item in items:
        facts = volume_facts(
            item.stored, item.claim, settings, seen.get(item.key, ObservedScratch()), allocated.get(item.key)
        )
        prediction = predicted.get(item.key) if item.drift not in _NOT_MADE else None
        facts["clone"]["predicted"] = prediction.facts if prediction else None
        if prediction:
            item.error = with_source_users(item, prediction.users) or method_mismatch(item, facts["clone"]["method"])
        if item.changed and (facts["preallocation"] or {}).get("ignored"):
            task.warn(f"DataVolume {item.title} is not preallocated: {facts['preallocation']['ignored']}")
        namespace, name = item.key
        result = {
            "name": name,
            "namespace": namespace,
            "changed": item.changed,
            "drift": item.drift,
            "reason": item.reason,
            **facts,
            "diagnosis": item.diagnosis,
        }
        results.append({**result, "error": item.error} if item.error else result)
    return results
