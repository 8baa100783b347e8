# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Waits for DataVolumes, looks closely at those that do not move, and says what is wrong with those that do not get there."""

from __future__ import annotations

from . import _diagnosis as diagnosis
from ._collected import as_volume, is_collected
from ._connection import Object
from ._data_volume_ensure import Item
from ._diagnosis import Evidence
from ._errors import CdiError
from ._module import Task
from ._resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from ._evidence_reader import EvidenceReader
from ._verdict import FAILED, REACHED, WAITING, Verdict
from ._wait import StallProbe, wait_for


def wait_for_volumes(task: Task, items: list[Item], deadline: float) -> None:
    """Wait by one watch for all volumes of a namespace that are not there yet.

    Each item gets the volume as it is then and, when that is not as wanted, its `diagnosis` and `error`.
    """
    waiting = {
        item.key[1]: item for item in items if item.stored is not None and not item.error and diagnosis.judge(item.volume, item.stored).state != REACHED
    }
    if not waiting:
        return
    namespace = items[0].key[0]
    reader = EvidenceReader(task.connection, namespace)

    def judge(name: str, stored: Object | None, around: Evidence | None = None) -> Verdict:
        item = waiting[name]
        if stored is None:
            item.claim = task.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
            stored = as_volume(item.claim) if item.claim and is_collected(item.claim) else None
        item.diagnosis = diagnosis.explain(stored, around)
        verdict = diagnosis.judge(item.volume, stored, around)
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
    for name, outcome in outcomes.items():
        item = waiting[name]
        item.stored = outcome.object or item.stored
        if name not in late:
            item.diagnosis = None
            if outcome.object is None:  # CDI has collected it: its claim is what there is.
                item.stored = None
            continue
        if outcome.verdict.state == WAITING:
            item.diagnosis = diagnosis.explain(outcome.object, around, late=True)
        how = "failed" if outcome.verdict.state == FAILED else f"is not ready after {task.params['wait_timeout']} s"
        item.error = f"DataVolume {item.title} {how}: {diagnosis.sentence(item.diagnosis, late=outcome.verdict.state == WAITING)}"
        told = diagnosis.warnings_about(item.stored, around, item.diagnosis or {}) if item.stored else []
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
