# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for DataVolumes, and finds out what is wrong with those that do not advance, fail, or are late."""

from __future__ import annotations

import time
import typing as t

from .._ansible.module import Task
from .._cdi.phases import OF_EARLIER_CLAIM, is_of_earlier_claim
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
from .drift import paused_since
from .volume import RECREATED, Outcome, Outcomes

_Diagnosis = t.Mapping[str, t.Any]


def wait_for_volumes(task: Task, outcomes: list[Outcome], deadline: float) -> Outcomes:
    """Wait by one watch for volumes of a namespace that have not reached what is waited for.

    Returns each with its DataVolume as it is then and, when that is not as wanted, its `diagnosis` and `error`.
    """
    waiting = {outcome.key[1]: outcome for outcome in outcomes}
    namespace = outcomes[0].key[0]
    reader = EvidenceReader(task.connection, namespace)
    judge = VolumeJudge(waiting, lambda name: task.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace))

    def show(name: str, _stored: Object | None, verdict: Verdict) -> None:
        _show(task, waiting[name].volume.title, judge.seen(name), verdict, judge.diagnoses.get(name))

    def probe(quiet: dict[str, Object | None], seconds: float) -> dict[str, Verdict]:
        judge.note(quiet, reader.probe(quiet.values(), seconds))
        return {name: judge.update(name, stored) for name, stored in quiet.items()}

    try:
        ended = wait_for(
            task.connection,
            DATA_VOLUME,
            namespace,
            list(waiting),
            judge.update,
            deadline,
            StallProbe(judge.advance.moved, probe),
            observe=show,
        )
    except CdiError as exc:
        return {outcome.key: judge.noted(outcome)._replace(error=str(exc)) for outcome in outcomes}
    late = [outcome.object for outcome in ended.values() if outcome.verdict.state != REACHED]
    around = reader.probe(late) if late else Evidence()
    results: Outcomes = {}
    for name in sources_first(ended, judge.sources):
        verdict, stored = ended[name]
        outcome = judge.noted(waiting[name])
        source = results.get((namespace, judge.sources.get(name, "")))
        if verdict.state == REACHED:
            # Without a DataVolume CDI has collected it: its claim is what there is.
            results[outcome.key] = outcome.with_volume(stored=stored)._replace(diagnosis=None)
            continue
        outcome = outcome.with_volume(stored=stored or outcome.volume.stored)
        if verdict.state == WAITING:
            still = judge.advance.still(name, stored)
            outcome = outcome._replace(diagnosis=diagnosis.explain(stored, around, late=True, still=still))
        results[outcome.key] = _failed(outcome, verdict, source, around, task.params["wait_timeout"])
    return results


def _failed(outcome: Outcome, verdict: Verdict, source: Outcome | None, around: Evidence, seconds: float) -> Outcome:
    """The outcome of a volume that failed or is late. `source`: what it is cloned from, if that was also awaited."""
    stored, explained, late = outcome.volume.data_volume, outcome.diagnosis, verdict.state == WAITING
    warnings = warnings_about(stored, around, explained or {}) if stored and not source else []
    if source and source.error:
        phase = str(((stored or {}).get("status") or {}).get("phase") or "Pending")
        message = f"its source failed: {source.error.rstrip('.')}"
        explained = {"phase": phase, "cause": "source_failed", "message": message, "remedy": "", "since": None}
    how = f"is not ready after {seconds} s" if late else "failed"
    error = f"DataVolume {outcome.volume.title} {how}: {diagnosis.sentence(explained, late=late)}"
    if warnings:
        error += f" Warnings: {'; '.join(warnings)}."
    return outcome._replace(diagnosis=explained, error=error)


class VolumeJudge:
    """What is known of volumes while they are waited for, by their names in one namespace.

    A volume is judged by itself, by how long it has not advanced, by what a probe found, and by its source's verdict.
    """

    def __init__(
        self,
        waiting: t.Mapping[str, Outcome],
        read_claim: t.Callable[[str], Object | None],
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self.advance = Advance(clock)
        self.diagnoses: dict[str, _Diagnosis | None] = {}
        self._waiting, self._read_claim = waiting, read_claim
        self._claims: dict[str, Object | None] = {}
        self._seen: dict[str, Object | None] = {}
        self._evidence: dict[str, Evidence] = {}
        self._verdicts: dict[str, Verdict] = {}
        sources = {name: source_claim(outcome.volume) for name, outcome in waiting.items()}
        self.sources = {
            name: source[1]
            for name, source in sources.items()
            if source and source[1] in waiting and source[0] == waiting[name].key[0]
        }

    def note(self, names: t.Iterable[str], around: Evidence) -> None:
        """What a probe found holds until the next one, also when the volume's own status changes."""
        self._evidence.update(dict.fromkeys(names, around))

    def update(self, name: str, stored: Object | None) -> Verdict:
        """Judge a volume as it is now: `stored` is its DataVolume, None when it does not exist."""
        outcome, around = self._waiting[name], self._evidence.get(name)
        if stored is None:
            claim = self._claims[name] = self._read_claim(name)
            stored = as_volume(claim) if claim and is_collected(claim) else None
        self._seen[name] = stored
        still = self.advance.still(name, stored)
        self.diagnoses[name] = diagnosis.explain(stored, around, still=still)
        verdict = diagnosis.judge(outcome.volume.options, stored, around, still)
        if outcome.paused_at is not None and paused_since(stored) == outcome.paused_at:
            verdict = Verdict(WAITING, "the import of its next stage has not begun")
        if stored and verdict.state == REACHED and outcome.drift in RECREATED:
            claim = self._claims[name] = self._read_claim(name)
            if not is_collected(claim) and is_of_earlier_claim(stored, claim):
                verdict = Verdict(WAITING, OF_EARLIER_CLAIM)
        source = self._verdicts.get(self.sources.get(name, ""))
        if verdict.state == WAITING and source and source.state == FAILED:
            verdict = source  # The final error names it.
        self._verdicts[name] = verdict
        return verdict

    def seen(self, name: str) -> Object | None:
        """The DataVolume as it was judged: of one that CDI collected, what its claim shows of it."""
        return self._seen.get(name)

    def noted(self, outcome: Outcome) -> Outcome:
        """The outcome with what was found out of its volume."""
        name = outcome.key[1]
        if name in self._claims:
            outcome = outcome.with_volume(claim=self._claims[name])
        return outcome._replace(diagnosis=self.diagnoses.get(name, outcome.diagnosis))


class Advance:
    """How far each volume is, and when it last advanced. A worker that starts again from nothing does not advance."""

    def __init__(self, clock: t.Callable[[], float]) -> None:
        self._clock = clock
        self._reached: dict[str, tuple[set[str | None], float]] = {}
        self._at: dict[str, float] = {}
        self._steps: dict[str, int] = {}

    def still(self, name: str, stored: Object | None) -> float:
        """The seconds since a volume last advanced."""
        status = (stored or {}).get("status") or {}
        phases, percent = self._reached.get(name, (set(), -1.0))
        phase, now = status.get("phase"), _percent(status.get("progress")) or 0.0
        if phase not in phases or now > percent:
            self._reached[name] = {*phases, phase}, max(percent, now)
            self._at[name] = self._clock()
            self._steps[name] = self._steps.get(name, 0) + 1
        return self._clock() - self._at[name]

    def moved(self, stored: Object | None) -> t.Hashable:
        """What changes when a volume advances."""
        return self._steps[stored["metadata"]["name"]] if stored else None


def _show(task: Task, title: str, stored: Object | None, verdict: Verdict, explained: _Diagnosis | None) -> None:
    """Phase, percent and what is known to be wrong, for those who watch the task."""
    status = (stored or {}).get("status") or {}
    phase = status.get("phase") or "Pending"
    if verdict.state == REACHED:
        task.progress.ends(title, phase)
    elif stored is not None:
        message, seconds = explained["message"] if explained else "", diagnosis.seconds_since(explained)
        task.progress.waits(title, phase, _percent(status.get("progress")), message, seconds)


def _percent(progress: str | None) -> float | None:
    """`34.5%` as 34.5; CDI writes N/A when it does not know."""
    try:
        return float((progress or "").rstrip("%"))
    except ValueError:
        return None


def sources_first(names: t.Iterable[str], sources: t.Mapping[str, str]) -> list[str]:
    """Clones after what they are cloned from, however long the chain is."""

    def depth(name: str) -> int:
        seen = [name]
        while (name := sources.get(name, "")) and name not in seen:
            seen.append(name)
        return len(seen)

    return sorted(names, key=depth)
