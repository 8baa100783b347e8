# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Waits for DataVolumes, looks closely at those that do not move, and says what is wrong with those that do not get there."""

from __future__ import annotations

import typing as t

from . import _diagnosis as diagnosis
from ._clone_order import source_claim
from ._collected import as_volume, is_collected
from ._connection import Object
from ._data_volume_ensure import Item, paused_since
from ._diagnosis_objects import Evidence, warnings_about
from ._errors import CdiError
from ._module import Task
from ._resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from ._evidence_reader import EvidenceReader
from ._verdict import FAILED, REACHED, WAITING, Verdict
from ._wait import StallProbe, wait_for


def wait_for_volumes(task: Task, items: list[Item], deadline: float) -> None:
    """Wait by one watch for volumes of a namespace that are not there yet.

    Each item gets the volume as it is then and, when that is not as wanted, its `diagnosis` and `error`.
    """
    waiting = {item.key[1]: item for item in items}
    namespace = items[0].key[0]
    reader = EvidenceReader(task.connection, namespace)
    verdicts: dict[str, Verdict] = {}
    sources = {name: source[1] for name, item in waiting.items() if (source := source_claim(item)) and source[0] == namespace and source[1] in waiting}

    def judge(name: str, stored: Object | None, around: Evidence | None = None) -> Verdict:
        item = waiting[name]
        if stored is None:
            item.claim = task.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
            stored = as_volume(item.claim) if item.claim and is_collected(item.claim) else None
        item.diagnosis = diagnosis.explain(stored, around)
        verdict = diagnosis.judge(item.volume, stored, around)
        if item.restaged is not None and paused_since(stored) == item.restaged:
            verdict = Verdict(WAITING, "the import of its next stage has not begun")
        source = verdicts.get(sources.get(name, ""))
        if verdict.state == WAITING and source and source.state == FAILED:
            verdict = source  # What is said of it is said at the end.
        verdicts[name] = verdict
        _show(task, item, stored, verdict)
        return verdict

    def probe(quiet: dict[str, Object | None], seconds: float) -> dict[str, Verdict]:
        around = reader.probe(quiet.values(), seconds)
        return {name: judge(name, stored, around) for name, stored in quiet.items()}

    try:
        outcomes = wait_for(task.connection, DATA_VOLUME, namespace, list(waiting), judge, deadline, StallProbe(diagnosis.moved, probe))
    except CdiError as exc:
        for item in waiting.values():
            item.error = str(exc)
        return
    late = {name: outcome for name, outcome in outcomes.items() if outcome.verdict.state != REACHED}
    around = reader.probe(outcome.object for outcome in late.values()) if late else Evidence()
    for name in _sources_first(outcomes, sources):
        item, outcome = waiting[name], outcomes[name]
        item.stored = outcome.object or item.stored
        if name not in late:
            item.diagnosis = None
            if outcome.object is None:  # CDI has collected it: its claim is what there is.
                item.stored = None
            continue
        if outcome.verdict.state == WAITING:
            item.diagnosis = diagnosis.explain(outcome.object, around, late=True)
        source = waiting.get(sources.get(name, ""))
        if source and source.error:
            phase = str(((item.stored or {}).get("status") or {}).get("phase") or "Pending")
            message = f"its source failed: {source.error.rstrip('.')}"
            item.diagnosis = {"phase": phase, "cause": "source_failed", "message": message, "remedy": "", "since": None}
        how = "failed" if outcome.verdict.state == FAILED else f"is not ready after {task.params['wait_timeout']} s"
        item.error = f"DataVolume {item.title} {how}: {diagnosis.sentence(item.diagnosis, late=outcome.verdict.state == WAITING)}"
        told = warnings_about(item.stored, around, item.diagnosis or {}) if item.stored and not source else []
        if told:
            item.error += f" Warnings: {'; '.join(told)}."


def _show(task: Task, item: Item, stored: Object | None, verdict: Verdict) -> None:
    """Phase, percent and what is known to be wrong, for who watches the task."""
    status = (stored or {}).get("status") or {}
    phase = status.get("phase") or "Pending"
    if verdict.state == REACHED:
        task.progress.ends(item.title, phase)
    elif stored is not None:
        found = item.diagnosis
        task.progress.waits(item.title, phase, _percent(status.get("progress")), found["message"] if found else "", diagnosis.seconds_since(found))


def _percent(progress: str | None) -> float | None:
    """`34.5%` as 34.5; CDI says N/A when it cannot tell."""
    try:
        return float((progress or "").rstrip("%"))
    except ValueError:
        return None


def _sources_first(names: t.Iterable[str], sources: dict[str, str]) -> list[str]:
    """Clones after what they are cloned from, however long the chain is."""

    def depth(name: str) -> int:
        seen = [name]
        while (name := sources.get(name, "")) and name not in seen:
            seen.append(name)
        return len(seen)

    return sorted(names, key=depth)
