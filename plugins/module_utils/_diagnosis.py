# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Where a DataVolume has got to, and what keeps it from getting further. Pure rules.

CDI hardly ever gives a volume up: it says what went wrong and tries again. So what is said is weighed by whether it can heal.
"""

from __future__ import annotations

import re
import typing as t
from datetime import datetime, timezone

from ._cdi import conditions, judge_deployment
from ._data_volume_goal import NEEDS_CONSUMER, is_unproven, phase_of, reached
from ._diagnosis_objects import Evidence, RelatedObjects, Statement, condition_text, is_claim, stated
from ._diagnosis_rules import BEGUN, CLAIM_RULES, INTENDED, LASTING, WORKER_RULES, Rule
from ._preflight import Planned, class_problem
from ._progress import lasting
from ._scratch import timestamp
from ._verdict import FAILED, REACHED, WAITING, Verdict

Object = t.Dict[str, t.Any]

# CDI's own threshold for an unusual number of restarts (pkg/common/common.go, v1.65.0).
_RESTARTS = 3
_FAILED_WORKER = ("Error", "OOMKilled", "ImagePullFailed")
# What a clone says of itself while it has no worker (pkg/controller/populators/clone-populator.go, v1.65.0).
_NO_WORKER = "Populator is running"
# What other volumes' helpers use for a while, and give back.
_SHARED = ("quota_exceeded", "storage_full")
CLASS_MISSING = "storage_class_missing"


class Diagnosis(t.NamedTuple):
    """What is wrong: a code, what was said, what helps; the seconds for which it has to last to be a failure, None if it never is; since when it is so."""

    cause: str
    message: str
    remedy: str
    grace: float | None = None
    since: str = ""


_NO_CLAIM = Diagnosis("claim_missing", "CDI has made no claim for it", "see what refuses the claim (a LimitRange, a webhook): CDI's controller logs it")


def moved(stored: Object | None) -> t.Hashable:
    """What changes when a volume gets on."""
    status = (stored or {}).get("status") or {}
    return status.get("phase"), status.get("progress")


def judge(volume: t.Mapping[str, t.Any], stored: Object | None, around: Evidence | None = None) -> Verdict:
    """Whether a stored DataVolume has got where it should, or cannot get there."""
    if stored is None:
        return Verdict(FAILED, "it was deleted")
    if reached(volume, stored):
        return Verdict(REACHED)
    return weigh(stored, around) or Verdict(WAITING, sentence(explain(stored, around, late=True), late=True).rstrip("."))


def weigh(stored: Object, around: Evidence | None) -> Verdict | None:
    """Whether what is wrong with a volume, or with a claim that CDI fills without one, can heal; None when nothing is known to be wrong."""
    found = diagnose(stored, around)
    if found is None:
        return None
    told = sentence(explain(stored, around), late=found.grace is None).rstrip(".")
    return Verdict(WAITING, told) if found.grace is None else Verdict(FAILED, told, found.grace)


def explain(stored: Object | None, around: Evidence | None = None, *, late: bool = False) -> dict[str, t.Any] | None:
    """The result key `diagnosis` of a volume: phase, cause, message, remedy and since when; None when nothing is known to be wrong.

    `late` says that the volume should have got further by now.
    """
    if stored is None:
        return {"phase": "", "cause": "deleted", "message": "it was deleted while it was waited for", "remedy": "declare it again", "since": None}
    phase = phase_of(stored)
    found = diagnose(stored, around)
    if found is None and phase in NEEDS_CONSUMER:
        told = "its storage class uses WaitForFirstConsumer: the claim binds when a pod uses it"
        found = Diagnosis("waiting_for_consumer", told, "start such a pod or VM, or give binding=immediate")
    if found is None and around is not None and phase == "UploadReady":
        found = _unfinished_upload(RelatedObjects(stored, around).uploads())
    if found is None and late:
        progress = (stored.get("status") or {}).get("progress") or "N/A"
        found = Diagnosis("unfinished", f"CDI is still at work, progress {progress}", "give a longer wait_timeout, or see what its pod says")
    if found is None:
        return None
    return {"phase": phase, "cause": found.cause, "message": found.message, "remedy": found.remedy, "since": found.since or None}


def _unfinished_upload(noted: t.Iterable[t.Mapping[str, str]]) -> Diagnosis | None:
    """A client has begun to send, and CDI still waits for the end. Where the client runs nobody can see."""
    begun = next((each for each in noted if INTENDED in each), None)
    if begun is None:
        return None
    since = f" since {begun[BEGUN]}" if BEGUN in begun else ""
    return Diagnosis(
        "upload_unfinished",
        f"an upload was begun and not finished{since} (file with SHA-256 {begun[INTENDED][:12]}...)",
        "if no task is sending it any more, run the upload again or delete the volume",
    )


def sentence(explained: t.Mapping[str, t.Any] | None, *, late: bool = False) -> str:
    """What `explain` found, in one sentence; `late`, of what was waited for in vain, with the seconds that it has lasted."""
    if not explained:
        return "nothing is known to be wrong."
    message = lasting(explained["message"], seconds_since(explained) if late else 0)
    return "; ".join(filter(None, (f"phase {explained['phase'] or 'unknown'}, {message}", explained["remedy"]))) + "."


def seconds_since(explained: t.Mapping[str, t.Any] | None) -> float:
    """For how long it has been so, by the cluster's clock; 0 when that is not known."""
    moment = timestamp((explained or {}).get("since"))
    return max(0.0, (datetime.now(timezone.utc) - moment).total_seconds()) if moment else 0.0


def diagnose(stored: Object, around: Evidence | None = None) -> Diagnosis | None:
    """What is wrong with a volume that has not succeeded, as far as it, and what is around it, tell."""
    phase = phase_of(stored)
    found = conditions(stored)
    running, bound = found.get("Running", {}), found.get("Bound", {})
    if (phase == "Succeeded" and not is_unproven(stored)) or (running.get("status") == "True" and running.get("reason") != _NO_WORKER):
        return None
    restarts = (stored.get("status") or {}).get("restartCount", 0)
    mine = RelatedObjects(stored, around) if around else None
    said_of_worker = [stated(running), *(mine.pods() if mine else ())]
    said_of_claim = [*([] if bound.get("status") == "True" else [stated(bound)]), *(mine.claims() if mine else ())]
    diagnosis = _first(said_of_worker, WORKER_RULES, restarts) or _first(said_of_claim, CLAIM_RULES, restarts)
    if diagnosis and diagnosis.cause == CLASS_MISSING and around and around.classes is not None and not is_claim(stored):
        told = class_problem(Planned(stored), around.classes, lambda: None)
        diagnosis = diagnosis._replace(message=told or diagnosis.message, remedy="correct the class" if told else diagnosis.remedy)
    if diagnosis and diagnosis.cause in _SHARED and (mine is None or mine.others_work()):
        diagnosis = diagnosis._replace(grace=None)
    if diagnosis and diagnosis.cause == "worker_unschedulable" and mine:
        diagnosis = diagnosis._replace(message=diagnosis.message + mine.requests())
    if phase == "Failed":
        return (diagnosis or Diagnosis("failed", condition_text(running), ""))._replace(grace=0.0)
    if running.get("reason") in _FAILED_WORKER and restarts >= _RESTARTS:
        diagnosis = diagnosis or Diagnosis("worker_restarts", condition_text(running), "see what its pod says")
        return diagnosis._replace(message=f"{diagnosis.message} (after {restarts} restarts)", grace=0.0)
    if diagnosis or around is None or mine is None:
        return diagnosis
    return _controller_down(stored, around.controllers) or (_NO_CLAIM if bound.get("reason") == "NotFound" and not mine.has_claims() else None)


def unexplained(stored: Object, around: Evidence) -> bool:
    """Whether only CDI's controller can tell what is wrong, if anything is."""
    found = diagnose(stored, around)
    return found is None or found.cause in ("controller_down", _NO_CLAIM.cause)


def _first(said: t.Iterable[Statement], rules: t.Sequence[Rule], restarts: int) -> Diagnosis | None:
    """What the first words mean that a rule knows; an event of that meaning tells for how long it has been so, a condition does not."""
    said = list(said)
    for text, _lasted, since in said:
        for rule in rules:
            if re.search(rule.words, text):
                patience = rule.grace if restarts >= rule.restarts else None
                same = [other for other in said if re.search(rule.words, other.text)]
                lasted = max(other.lasted for other in same)
                since = since or next((other.since for other in same if other.since), "")
                return Diagnosis(rule.cause, text, rule.remedy, None if patience is None else max(0.0, patience - lasted), since)
    return None


def _controller_down(stored: Object, controllers: t.Sequence[Object] | None) -> Diagnosis | None:
    """CDI's controller does nothing, and so says nothing, while it is down."""
    if controllers is None:
        told = "CDI's controller has not looked at it yet"
        return None if stored.get("status") else Diagnosis("controller_down", told, "have an administrator see that Deployment cdi-deployment runs")
    if not controllers:
        return Diagnosis("controller_down", "CDI's controller is not installed", "install CDI (module kubevirt.cdi.cdi)", LASTING)
    for controller in controllers:
        verdict = judge_deployment(controller)
        if not (controller.get("status") or {}).get("availableReplicas"):
            name = f"{controller['metadata']['namespace']}/{controller['metadata']['name']}"
            remedy = "see its pods' events and logs, and that CDI's operator runs"
            return Diagnosis("controller_down", f"CDI's controller (Deployment {name}) does not run: {verdict.reason or 'it has no pods'}", remedy, LASTING)
    return None
