# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for DataVolumes, looks closely at those that do not move, and says what is wrong with those that do not get there."""

from __future__ import annotations

import time
import typing as t

from .._ansible.module import Task
from .._diagnosis import diagnose as diagnosis
from .._diagnosis.evidence import Evidence, warnings_about
from .._diagnosis.evidence_reader import EvidenceReader
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .._kubernetes.wait import StallProbe, wait_for
from .clone_order import source_claim
from .collected import as_volume, is_collected
from .reconcile import Item, paused_since


def wait_for_volumes(task: Task, items: list[Item], deadline: float) -> None:
    """Wait by one watch for volumes of a namespace that are not there yet.

    Each item gets the volume as it is then and, when that is not as wanted, its `diagnosis` and `error`.
    """
    waiting = {item.key[1]: item for item in items}
    namespace = items[0].key[0]
    reader = EvidenceReader(task.connection, namespace)
    advance = _Advance()
    looked: dict[str, Evidence] = {}
    verdicts: dict[str, Verdict] = {}
    sources = {
        name: source[1]
        for name, item in waiting.items()
        if (source := source_claim(item)) and source[0] == namespace and source[1] in waiting
    }

    def judge(name: str, stored: Object | None, around: Evidence | None = None) -> Verdict:
        item = waiting[name]
        if stored is None:
            item.claim = task.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
            stored = as_volume(item.claim) if item.claim and is_collected(item.claim) else None
        around = around or looked.get(name)  # What a look has found is not forgotten when the volume's words change.
        still = advance.still(name, stored)
        item.diagnosis = diagnosis.explain(stored, around, still=still)
        verdict = diagnosis.judge(item.volume, stored, around, still)
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
        looked.update(dict.fromkeys(quiet, around))
        return {name: judge(name, stored, around) for name, stored in quiet.items()}

    try:
        outcomes = wait_for(
            task.connection, DATA_VOLUME, namespace, list(waiting), judge, deadline, StallProbe(advance.moved, probe)
        )
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
            item.diagnosis = diagnosis.explain(
                outcome.object, around, late=True, still=advance.still(name, outcome.object)
            )
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


class _Advance:
    """How far each volume has got, and when it last got further: a worker that starts again from nothing does not."""

    def __init__(self) -> None:
        self._reached: dict[str, tuple[set[str | None], float]] = {}
        self._at: dict[str, float] = {}
        self._steps: dict[str, int] = {}

    def still(self, name: str, stored: Object | None) -> float:
        """The seconds since a volume has last got further."""
        status = (stored or {}).get("status") or {}
        phases, percent = self._reached.get(name, (set(), -1.0))
        phase, now = status.get("phase"), _percent(status.get("progress")) or 0.0
        if phase not in phases or now > percent:
            self._reached[name] = {*phases, phase}, max(percent, now)
            self._at[name] = time.monotonic()
            self._steps[name] = self._steps.get(name, 0) + 1
        return time.monotonic() - self._at[name]

    def moved(self, stored: Object | None) -> t.Hashable:
        """What changes when a volume gets further."""
        return self._steps[stored["metadata"]["name"]] if stored else None


def _show(task: Task, item: Item, stored: Object | None, verdict: Verdict) -> None:
    """Phase, percent and what is known to be wrong, for who watches the task."""
    status = (stored or {}).get("status") or {}
    phase = status.get("phase") or "Pending"
    if verdict.state == REACHED:
        task.progress.ends(item.title, phase)
    elif stored is not None:
        found = item.diagnosis
        task.progress.waits(
            item.title,
            phase,
            _percent(status.get("progress")),
            found["message"] if found else "",
            diagnosis.seconds_since(found),
        )


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
