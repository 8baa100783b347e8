# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a DataVolume from its phase, what to do about it, and whether it can heal. Pure rules.

CDI hardly ever gives up on a volume: it reports what went wrong, and tries again.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from .._ansible.progress import lasting
from .._cdi.phases import NEEDS_CONSUMER, is_unproven, phase_of, reached
from .._kubernetes.objects import Object, conditions, timestamp
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .._storage.claims import Planned
from .._storage.classes import class_problem
from .evidence import Evidence, RelatedObjects, condition_text, is_claim, stated
from .refine import (
    NEEDS_EVIDENCE,
    beside_a_pod,
    claim_missing,
    controller_down,
    first_match,
    is_past_use,
    no_progress,
    refined,
    restarts_of,
)
from .rules import (
    BEGUN,
    CLAIM_MISSING,
    CLAIM_RULES,
    CLASS_MISSING,
    INTENDED,
    TRANSFER_BROKEN,
    WORKER_RULES,
    Diagnosis,
)

# CDI's threshold for an unusual number of restarts (pkg/common/common.go, v1.65.0).
_RESTARTS = 3
_FAILED_WORKER = ("Error", "OOMKilled", "ImagePullFailed")
# What CDI reports of a clone while it has no worker (pkg/controller/populators/clone-populator.go, v1.65.0).
_NO_WORKER = "Populator is running"
# A volume makes no progress when nothing has changed for so many seconds.
_STALLED_SECONDS = 15.0


def moved(stored: Object | None) -> t.Hashable:
    """What changes when a volume makes progress."""
    status = (stored or {}).get("status") or {}
    return status.get("phase"), status.get("progress")


def judge(
    volume: t.Mapping[str, t.Any], stored: Object | None, evidence: Evidence | None = None, still: float = 0
) -> Verdict:
    """Whether a stored DataVolume has reached the phase to wait for, or cannot reach it.

    `volume` has the options of module data_volume; `still`: the seconds without progress.
    """
    if stored is None:
        return Verdict(FAILED, "it was deleted")
    if reached(volume, stored):
        return Verdict(REACHED)
    return weigh(stored, evidence, still) or Verdict(
        WAITING, sentence(explain(stored, evidence, late=True, still=still), late=True).rstrip(".")
    )


def weigh(stored: Object, evidence: Evidence | None, still: float = 0) -> Verdict | None:
    """Whether the problem of a DataVolume, or of a claim that CDI fills without one, can heal; None without a known
    problem."""
    found = diagnose(stored, evidence, still)
    if found is None:
        return None
    why = sentence(explain(stored, evidence, still=still), late=found.grace is None).rstrip(".")
    return Verdict(WAITING, why) if found.grace is None else Verdict(FAILED, why, found.grace)


def explain(
    stored: Object | None, evidence: Evidence | None = None, *, late: bool = False, still: float = 0
) -> dict[str, t.Any] | None:
    """The result key `diagnosis` of a volume: phase, cause, message, remedy and since when; None without a known
    problem.

    `late`: the volume should be further by now; `still`: the seconds without progress.
    """
    if stored is None:
        return {
            "phase": "",
            "cause": "deleted",
            "message": "it was deleted while the task waited for it",
            "remedy": "declare it again",
            "since": None,
        }
    phase = phase_of(stored)
    found = diagnose(stored, evidence, still)
    if found is None and phase in NEEDS_CONSUMER:
        message = "its storage class uses WaitForFirstConsumer: the claim binds when a pod uses it"
        found = Diagnosis("waiting_for_consumer", message, "start a pod or VM that uses it, or set binding=immediate")
    if found is None and evidence is not None and phase == "UploadReady":
        found = _unfinished_upload(RelatedObjects(stored, evidence).uploads())
    if found is None and late:
        found = _unfinished(stored, evidence, still)
    if found is None:
        return None
    return {
        "phase": phase,
        "cause": found.cause,
        "message": found.message,
        "remedy": found.remedy,
        "since": found.since or None,
    }


def _unfinished(stored: Object, evidence: Evidence | None, still: float) -> Diagnosis:
    """The state of a volume without a known problem: in progress, or without progress."""
    if phase_of(stored) == "UploadReady":
        return Diagnosis(
            "waiting_for_upload",
            "CDI waits for a file",
            "upload it, for example with module kubevirt.cdi.volume_upload",
        )
    progress = (stored.get("status") or {}).get("progress") or "N/A"
    if still < _STALLED_SECONDS:
        return Diagnosis(
            "unfinished",
            f"CDI is still working, progress {progress}",
            "set a longer wait_timeout, or check the log of its pod",
        )
    last = RelatedObjects(stored, evidence).last_error() if evidence else ""
    message = f"{no_progress(stored, still)}, progress {progress}{f', last error: {last}' if last else ''}"
    return Diagnosis(
        "no_progress",
        message,
        "check the logs of its pod and of CDI's controller, as a longer wait_timeout alone does not help",
    )


def _unfinished_upload(claims: t.Iterable[t.Mapping[str, str]]) -> Diagnosis | None:
    """An upload that a client has started and not finished, by the annotations of claims. The client itself cannot be
    seen."""
    begun = next((annotations for annotations in claims if INTENDED in annotations), None)
    if begun is None:
        return None
    when = f" at {begun[BEGUN]}" if BEGUN in begun else ""
    return Diagnosis(
        "upload_unfinished",
        f"an upload was started{when} and not finished (file with digest {begun[INTENDED][:12]}...)",
        "if no task is still sending it, run the upload again or delete the volume",
    )


def sentence(explained: t.Mapping[str, t.Any] | None, *, late: bool = False) -> str:
    """What `explain` found, in one sentence; `late`: with the seconds that it has lasted."""
    if not explained:
        return "no problem is known."
    message = lasting(explained["message"], seconds_since(explained) if late else 0)
    return "; ".join(filter(None, (f"phase {explained['phase'] or 'unknown'}, {message}", explained["remedy"]))) + "."


def seconds_since(explained: t.Mapping[str, t.Any] | None) -> float:
    """The seconds since the problem began, by the cluster's clock; 0 if unknown."""
    moment = timestamp((explained or {}).get("since"))
    return max(0.0, (datetime.now(timezone.utc) - moment).total_seconds()) if moment else 0.0


def diagnose(stored: Object, evidence: Evidence | None = None, still: float = 0) -> Diagnosis | None:
    """The problem of a volume that has not succeeded, by the volume itself and the evidence; None if none is known."""
    phase = phase_of(stored)
    found = conditions(stored)
    running, bound = found.get("Running", {}), found.get("Bound", {})
    if phase == "Succeeded" and not is_unproven(stored):
        return None
    restarts = restarts_of(stored)
    related = RelatedObjects(stored, evidence) if evidence else None
    of_claim = [*([] if bound.get("status") == "True" else [stated(bound)]), *(related.claims() if related else ())]
    if evidence:
        of_claim = [statement for statement in of_claim if not is_past_use(statement.text, evidence)]
    if running.get("status") == "True" and running.get("reason") != _NO_WORKER:
        return beside_a_pod(stored, evidence, related, of_claim, still) if evidence and related else None
    of_worker = [stated(running), *([*related.conditions(), *related.pods()] if related else ())]
    if related:
        of_worker = [statement for statement in of_worker if not related.is_past_refusal(statement.text)]
    diagnosis = first_match(of_worker, WORKER_RULES, restarts) or first_match(of_claim, CLAIM_RULES, restarts)
    if diagnosis and diagnosis.cause == CLASS_MISSING and evidence:
        diagnosis = _class_missing(diagnosis, stored, evidence.classes)
    if diagnosis and evidence and related:
        diagnosis = refined(diagnosis, stored, evidence, related, running, still)
    elif diagnosis and diagnosis.cause in NEEDS_EVIDENCE:
        diagnosis = diagnosis._replace(grace=None)
    if diagnosis and diagnosis.cause == TRANSFER_BROKEN:
        diagnosis = diagnosis._replace(message=f"{no_progress(stored, still)}, last error: {diagnosis.message}")
    if diagnosis and diagnosis.cause == "worker_unschedulable" and related:
        diagnosis = diagnosis._replace(message=diagnosis.message + related.requests())
    if phase == "Failed":
        return (diagnosis or Diagnosis("failed", condition_text(running), ""))._replace(grace=0.0)
    if running.get("reason") in _FAILED_WORKER and restarts >= _RESTARTS:
        diagnosis = diagnosis or Diagnosis("worker_restarts", condition_text(running), "check the log of its pod")
        counted = "" if "restart" in diagnosis.message else f" (after {restarts} restarts)"
        return diagnosis._replace(message=f"{diagnosis.message}{counted}", grace=0.0)
    if diagnosis or evidence is None or related is None:
        return diagnosis
    down = controller_down(stored, evidence.controllers)
    if down or bound.get("reason") != "NotFound" or related.has_claims():
        return down
    return claim_missing(stored, evidence)


def _class_missing(diagnosis: Diagnosis, stored: Object, classes: t.Sequence[Object] | None) -> Diagnosis:
    """The diagnosis with the names of the classes that exist, if they were read."""
    if classes is None or is_claim(stored):
        return diagnosis
    problem = class_problem(Planned(stored), classes, lambda: None)
    return diagnosis._replace(message=problem, remedy="correct the class") if problem else diagnosis


def unexplained(stored: Object, evidence: Evidence) -> bool:
    """Whether only CDI's controller can explain the state of the volume."""
    found = diagnose(stored, evidence)
    return found is None or found.cause in ("controller_down", CLAIM_MISSING)
