# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Declares DataVolumes: one LIST or GET, at most one write for each that differs, one watch for all that are waited for."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from . import _data_volume as rules
from . import _diagnosis as diagnosis
from ._apply import difference, normalise, write
from ._argspec import FORCE_CONFLICTS, ArgumentSpec, wait_spec
from ._connection import Object
from ._data_volume_facts import ScratchSeen, volume_facts
from ._data_volume_options import VOLUME_OPTIONS
from ._errors import ApiError, CdiError, NotServed
from ._module import Task
from ._resources import DATA_VOLUME, EVENT, PERSISTENT_VOLUME_CLAIM
from ._scratch import Settings
from ._scratch_task import Pair, foreseen_problems, look_for, read_settings
from ._wait import FAILED, REACHED, wait_for, wait_gone

_PARALLEL_WRITES = 8
_ITEM_OPTIONS = {"name": {"type": "str", "required": True}, **VOLUME_OPTIONS}
SPEC = (
    ArgumentSpec(
        {
            "name": {"type": "str"},
            **VOLUME_OPTIONS,
            "data_volumes": {"type": "list", "elements": "dict", "options": _ITEM_OPTIONS},
        },
        required_one_of=[("name", "data_volumes")],
        mutually_exclusive=[("name", "data_volumes")],
    )
    + FORCE_CONFLICTS
    + wait_spec(600)
)


@dataclass
class _Item:
    """One volume on its way through the task."""

    volume: dict[str, t.Any]
    stored: Object | None = None
    changed: bool = False
    diff: dict[str, t.Any] = field(default_factory=dict)
    claim: Object | None = None
    error: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.volume["namespace"], self.volume["name"]

    @property
    def pair(self) -> Pair:
        return Pair(self.stored or {}, self.claim)

    @property
    def title(self) -> str:
        return "/".join(self.key)


def volumes_of(params: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """The volumes that the task declares; an item without a namespace is in the task's."""
    volumes = params["data_volumes"] if params["data_volumes"] is not None else [params]
    return [{**volume, "namespace": volume["namespace"] or params["namespace"] or "default"} for volume in volumes]


def check(params: dict[str, t.Any]) -> None:
    seen = set()
    for volume in volumes_of(params):
        rules.check(volume)
        key = (volume["namespace"], volume["name"])
        if key in seen:
            raise CdiError(f"data_volumes has {'/'.join(key)} twice; leave one of them out.")
        seen.add(key)


def run(task: Task) -> dict[str, t.Any]:
    started = time.monotonic()
    deadline = started + task.params["wait_timeout"]
    items = [_Item(volume) for volume in volumes_of(task.params)]
    _read(task, items)
    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        list(pool.map(lambda item: _guarded(item, lambda: _ensure(task, item, deadline)), items))
    written = [item for item in items if item.changed and item.stored is not None]
    settings = read_settings(task.connection, [item.pair for item in written])
    for problem in foreseen_problems(settings, [item.pair for item in written]):
        task.warn(problem)
    seen: dict[tuple[str, str], ScratchSeen] = {}
    if task.params["wait"] and not task.check_mode:
        for namespace in sorted({item.key[0] for item in items}):
            _wait(task, [item for item in items if item.key[0] == namespace], deadline)
        for item in items:
            if item.changed and item.stored is not None and not item.error:
                _guarded(item, lambda item=item: _read_claim(task, item))
        for namespace in sorted({item.key[0] for item in written}):
            # No claims: a scratch claim that is there at once after the end is about to go.
            seen.update(look_for(task.connection, namespace, [item.pair for item in written if item.key[0] == namespace], []))
    results = [_result(item, settings, seen.get(item.key, ScratchSeen())) for item in items]
    for result in results:
        if (result["preallocation"] or {}).get("ignored") and result["changed"]:
            task.warn(f"DataVolume {result['namespace']}/{result['name']} is not preallocated: {result['preallocation']['ignored']}")
    changed = any(item.changed for item in items)
    facts: dict[str, t.Any] = {"changed": changed, "duration": round(time.monotonic() - started, 1)}
    if task.params["data_volumes"] is None:
        facts.update(results[0])
    else:
        facts["data_volumes"] = results
        facts["diff"] = [{"before_header": item.title, "after_header": item.title, **item.diff} for item in items if item.diff]
    errors = [item.error for item in items if item.error]
    if errors:
        raise CdiError(" ".join(errors), **facts)
    return facts


def _guarded(item: _Item, step: t.Callable[[], None]) -> None:
    """One volume's error must not hide the others' results."""
    if item.error:
        return
    try:
        step()
    except CdiError as exc:
        item.error = str(exc)


def _read(task: Task, items: list[_Item]) -> None:
    """One volume is read by a GET, several by one LIST of each namespace."""
    try:
        if len(items) == 1:
            namespace, name = items[0].key
            items[0].stored = task.connection.get(DATA_VOLUME, name, namespace)
            return
        found: dict[tuple[str, str], Object] = {}
        for namespace in sorted({item.key[0] for item in items}):
            stored, _version = task.connection.list(DATA_VOLUME, namespace)
            found.update(((namespace, volume["metadata"]["name"]), volume) for volume in stored)
        for item in items:
            item.stored = found.get(item.key)
    except NotServed:
        # Without CDI there is nothing to delete, and check mode predicts what an earlier task would have made possible.
        if not task.check_mode and any(item.volume["state"] == "present" for item in items):
            raise


def _ensure(task: Task, item: _Item, deadline: float) -> None:
    if item.volume["state"] == "absent":
        if item.stored is not None:
            _delete(task, item, deadline)
        return
    wanted = rules.desired(item.volume)
    before = item.stored
    if item.stored is not None:
        drift = rules.spec_drift(wanted, item.stored)
        if drift and item.volume["on_drift"] == "fail":
            raise CdiError(
                f"DataVolume {item.title} is another one: {'; '.join(drift)}; CDI cannot change a volume's spec: "
                "correct the options, or say on_drift=recreate to delete the volume with its data and make it anew."
            )
        if drift:
            _recreate(task, item, wanted, before, deadline)
            return
    change = write(task.connection, DATA_VOLUME, wanted, item.stored, check_mode=task.check_mode, force=task.params["force_conflicts"])
    item.stored, item.changed, item.diff = change.object, change.changed, change.diff


def _recreate(task: Task, item: _Item, wanted: Object, before: Object | None, deadline: float) -> None:
    _delete(task, item, deadline)
    if task.check_mode:
        # The server cannot try the new volume out while the old one is there.
        item.stored = {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, **wanted}
    else:
        item.stored = write(task.connection, DATA_VOLUME, wanted, None, check_mode=False, force=task.params["force_conflicts"]).object
    item.diff = difference(normalise(before), normalise(item.stored))


def _delete(task: Task, item: _Item, deadline: float) -> None:
    stored = t.cast(Object, item.stored)
    propagation = "Orphan" if item.volume["keep_claim"] else "Background"
    namespace, name = item.key
    task.connection.delete(DATA_VOLUME, name, namespace, dry_run=task.check_mode, propagation=propagation, uid=stored["metadata"]["uid"])
    item.stored, item.changed, item.diff = None, True, {"before": normalise(stored), "after": {}}
    recreating = item.volume["state"] == "present"
    if task.check_mode or not (task.params["wait"] or recreating):
        return
    # A new volume of the name would be given the old claim, or refused because of it.
    kinds = [DATA_VOLUME] if item.volume["keep_claim"] else [DATA_VOLUME, PERSISTENT_VOLUME_CLAIM]
    for resource in kinds:
        wait_gone(task.connection, resource, namespace, name, max(deadline - time.monotonic(), 0))


def _wait(task: Task, items: list[_Item], deadline: float) -> None:
    """Wait by one watch for all volumes of a namespace that are not there yet; what goes wrong is theirs."""
    waiting = {
        item.key[1]: item for item in items if item.stored is not None and not item.error and diagnosis.judge(item.volume, item.stored).state != REACHED
    }
    if not waiting:
        return
    namespace = items[0].key[0]
    try:
        outcomes = wait_for(
            task.connection, DATA_VOLUME, namespace, list(waiting), lambda name, stored: diagnosis.judge(waiting[name].volume, stored), deadline
        )
    except CdiError as exc:
        for item in waiting.values():
            item.error = str(exc)
        return
    late = [name for name, outcome in outcomes.items() if outcome.verdict.state != REACHED]
    events = _events(task, namespace) if late else []
    for name, outcome in outcomes.items():
        item = waiting[name]
        item.stored = outcome.object or item.stored
        if outcome.verdict.state == REACHED:
            continue
        uid = (outcome.object or {}).get("metadata", {}).get("uid")
        told = diagnosis.warnings_about(events, name, uid)
        how = "failed" if outcome.verdict.state == FAILED else f"is not ready after {task.params['wait_timeout']} s"
        item.error = f"DataVolume {item.title} {how}: {outcome.verdict.reason}." + (f" Warnings: {'; '.join(told)}." if told else "")


def _events(task: Task, namespace: str) -> list[Object]:
    try:
        return task.connection.list(EVENT, namespace)[0]
    except ApiError:
        return []  # Events only say more about an error that is told anyway.


def _read_claim(task: Task, item: _Item) -> None:
    namespace, name = item.key
    item.claim = task.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)


def _result(item: _Item, settings: Settings | None, seen: ScratchSeen) -> dict[str, t.Any]:
    namespace, name = item.key
    result = {
        "name": name,
        "namespace": namespace,
        "changed": item.changed,
        **volume_facts(item.stored, item.claim, settings, seen),
        "diff": item.diff,
    }
    return {**result, "error": item.error} if item.error else result
