# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a DataVolume has got to, and what keeps it from getting further. Pure rules.

CDI hardly ever gives a volume up: it says what went wrong and tries again. So what is said is weighed by whether it can heal.
"""

from __future__ import annotations

import re
import typing as t
from datetime import datetime, timezone

from .._ansible.progress import lasting
from .._cdi.names import CONTROLLER
from .._cdi.phases import NEEDS_CONSUMER, is_unproven, phase_of, reached
from .._cdi.status import judge_deployment
from .._cdi.users import Consumers, Users, component, users_of
from .._clone.facts import may_write
from .._kubernetes.objects import Object, conditions, timestamp
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .._storage.claims import Planned
from .._storage.classes import class_problem
from .evidence import Evidence, RelatedObjects, Statement, condition_text, is_claim, stated
from .others import age
from .refusals import QUOTA_EXCEEDED, quota_in, why_refused
from .rules import (
    BEGUN,
    CLAIM_PENDING,
    CLAIM_RULES,
    CLASS_MISSING,
    CLONE_SOURCE_IN_USE,
    INTENDED,
    LASTING,
    STORAGE_FULL,
    TRANSFER_BROKEN,
    UNSHARED,
    WORKER_REFUSED,
    WORKER_RULES,
    Rule,
)

# CDI's own threshold for an unusual number of restarts (pkg/common/common.go, v1.65.0).
_RESTARTS = 3
_FAILED_WORKER = ("Error", "OOMKilled", "ImagePullFailed")
# What a clone says of itself while it has no worker (pkg/controller/populators/clone-populator.go, v1.65.0).
_NO_WORKER = "Populator is running"
# What other volumes' helpers use for a while, and give back.
_SHARED = (QUOTA_EXCEEDED, STORAGE_FULL)
# What has to be looked at before it counts.
_LOOKED_AT = (*_SHARED, WORKER_REFUSED, CLONE_SOURCE_IN_USE)
# A worker whose last words are these waits for the first answer of the image's server (cmd/cdi-importer/importer.go, v1.65.0).
_ASKED = "begin import process"
_SILENT_SECONDS = 15.0
_MEMORY_SECONDS = 8.0
# A volume that has not got further for so long does not progress.
STILL_SECONDS = 15.0
# What CDI says of a source that a pod uses (pkg/controller/clone/common.go, v1.65.0).
_USER = re.compile(r"pod ([^\s/]+)/\S+ using PersistentVolumeClaim ([^\s;]+)")


class Diagnosis(t.NamedTuple):
    """What is wrong: a code, what was said, what helps; the seconds for which it has to last to be a failure, None if it never is; since when it is so."""

    cause: str
    message: str
    remedy: str
    grace: float | None = None
    since: str = ""


CLAIM_MISSING = "claim_missing"
_NO_CLAIM = Diagnosis(
    CLAIM_MISSING,
    "CDI has made no claim for it",
    "see what refuses the claim (a LimitRange, a webhook): CDI's controller logs it",
)


def moved(stored: Object | None) -> t.Hashable:
    """What changes when a volume gets on."""
    status = (stored or {}).get("status") or {}
    return status.get("phase"), status.get("progress")


def judge(
    volume: t.Mapping[str, t.Any], stored: Object | None, around: Evidence | None = None, still: float = 0
) -> Verdict:
    """Whether a stored DataVolume has got where it should, or cannot get there. `still`: for so many seconds it has not got further."""
    if stored is None:
        return Verdict(FAILED, "it was deleted")
    if reached(volume, stored):
        return Verdict(REACHED)
    return weigh(stored, around, still) or Verdict(
        WAITING, sentence(explain(stored, around, late=True, still=still), late=True).rstrip(".")
    )


def weigh(stored: Object, around: Evidence | None, still: float = 0) -> Verdict | None:
    """Whether what is wrong with a volume, or with a claim that CDI fills without one, can heal; None when nothing is known to be wrong."""
    found = diagnose(stored, around, still)
    if found is None:
        return None
    told = sentence(explain(stored, around, still=still), late=found.grace is None).rstrip(".")
    return Verdict(WAITING, told) if found.grace is None else Verdict(FAILED, told, found.grace)


def explain(
    stored: Object | None, around: Evidence | None = None, *, late: bool = False, still: float = 0
) -> dict[str, t.Any] | None:
    """The result key `diagnosis` of a volume: phase, cause, message, remedy and since when; None when nothing is known to be wrong.

    `late` says that the volume should have got further by now, `still` for how many seconds it has not.
    """
    if stored is None:
        return {
            "phase": "",
            "cause": "deleted",
            "message": "it was deleted while it was waited for",
            "remedy": "declare it again",
            "since": None,
        }
    phase = phase_of(stored)
    found = diagnose(stored, around, still)
    if found is None and phase in NEEDS_CONSUMER:
        told = "its storage class uses WaitForFirstConsumer: the claim binds when a pod uses it"
        found = Diagnosis("waiting_for_consumer", told, "start such a pod or VM, or give binding=immediate")
    if found is None and around is not None and phase == "UploadReady":
        found = _unfinished_upload(RelatedObjects(stored, around).uploads())
    if found is None and late:
        found = _unfinished(stored, around, still)
    if found is None:
        return None
    return {
        "phase": phase,
        "cause": found.cause,
        "message": found.message,
        "remedy": found.remedy,
        "since": found.since or None,
    }


def _unfinished(stored: Object, around: Evidence | None, still: float) -> Diagnosis:
    """What is said of a volume of which nothing bad is known: that it gets on, or since when it does not."""
    if phase_of(stored) == "UploadReady":
        return Diagnosis(
            "waiting_for_upload", "CDI waits for a file", "send it, for example with module kubevirt.cdi.volume_upload"
        )
    progress = (stored.get("status") or {}).get("progress") or "N/A"
    if still < STILL_SECONDS:
        return Diagnosis(
            "unfinished",
            f"CDI is still at work, progress {progress}",
            "give a longer wait_timeout, or see what its pod says",
        )
    last = RelatedObjects(stored, around).last_error() if around else ""
    message = f"{_no_progress(stored, still)}, progress {progress}{f', last error: {last}' if last else ''}"
    return Diagnosis(
        "no_progress",
        message,
        "see what its pod and CDI's controller say, as a longer wait_timeout alone does not help",
    )


def _no_progress(stored: Object, seconds: float) -> str:
    restarts = _restarts(stored)
    lasted = f" since {seconds:.0f} s" if seconds >= 1 else ""
    return f"no progress{lasted}" + (f" and {restarts} restart{'s' * (restarts != 1)}" if restarts else "")


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


def _restarts(stored: Object) -> int:
    return int((stored.get("status") or {}).get("restartCount") or 0)


def diagnose(stored: Object, around: Evidence | None = None, still: float = 0) -> Diagnosis | None:
    """What is wrong with a volume that has not succeeded, as far as it, and what is around it, tell."""
    phase = phase_of(stored)
    found = conditions(stored)
    running, bound = found.get("Running", {}), found.get("Bound", {})
    if phase == "Succeeded" and not is_unproven(stored):
        return None
    restarts = _restarts(stored)
    mine = RelatedObjects(stored, around) if around else None
    said_of_claim = [*([] if bound.get("status") == "True" else [stated(bound)]), *(mine.claims() if mine else ())]
    if around:
        said_of_claim = [said for said in said_of_claim if not _is_past_use(said.text, around)]
    if running.get("status") == "True" and running.get("reason") != _NO_WORKER:
        return _beside_a_pod(stored, around, mine, said_of_claim, still) if around and mine else None
    said_of_worker = [stated(running), *([*mine.conditions(), *mine.pods()] if mine else ())]
    diagnosis = _first(said_of_worker, WORKER_RULES, restarts) or _first(said_of_claim, CLAIM_RULES, restarts)
    if (
        diagnosis
        and diagnosis.cause == CLASS_MISSING
        and around
        and around.classes is not None
        and not is_claim(stored)
    ):
        told = class_problem(Planned(stored), around.classes, lambda: None)
        diagnosis = diagnosis._replace(
            message=told or diagnosis.message, remedy="correct the class" if told else diagnosis.remedy
        )
    if diagnosis and around and mine:
        diagnosis = _completed(diagnosis, stored, around, mine, running, still)
    elif diagnosis and diagnosis.cause in _LOOKED_AT:
        diagnosis = diagnosis._replace(grace=None)
    if diagnosis and diagnosis.cause == TRANSFER_BROKEN:
        diagnosis = diagnosis._replace(message=f"{_no_progress(stored, still)}, last error: {diagnosis.message}")
    if diagnosis and diagnosis.cause == "worker_unschedulable" and mine:
        diagnosis = diagnosis._replace(message=diagnosis.message + mine.requests())
    if phase == "Failed":
        return (diagnosis or Diagnosis("failed", condition_text(running), ""))._replace(grace=0.0)
    if running.get("reason") in _FAILED_WORKER and restarts >= _RESTARTS:
        diagnosis = diagnosis or Diagnosis("worker_restarts", condition_text(running), "see what its pod says")
        counted = "" if "restart" in diagnosis.message else f" (after {restarts} restarts)"
        return diagnosis._replace(message=f"{diagnosis.message}{counted}", grace=0.0)
    if diagnosis or around is None or mine is None:
        return diagnosis
    down = _controller_down(stored, around.controllers)
    return down or (_no_claim(stored, around) if bound.get("reason") == "NotFound" and not mine.has_claims() else None)


def _no_claim(stored: Object, around: Evidence) -> Diagnosis:
    """What refuses the claim, where a trial has told."""
    message, _mark, remedy = around.refused_claims.get(stored["metadata"].get("uid", ""), "").rpartition("; ")
    return Diagnosis(CLAIM_MISSING, message, remedy, LASTING) if message else _NO_CLAIM


def _completed(
    diagnosis: Diagnosis, stored: Object, around: Evidence, mine: RelatedObjects, running: Object, still: float
) -> Diagnosis:
    """What was found, with what had to be read to name it."""
    never = False
    if diagnosis.cause in (WORKER_REFUSED, QUOTA_EXCEEDED):
        worker = mine.refused(stored)
        refusal = why_refused(worker, around.rooms[worker]) if worker in around.rooms else None
        namespace = stored["metadata"].get("namespace") or ""
        refusal = refusal or quota_in(diagnosis.message, namespace, around.quotas.get(namespace))
        if refusal:
            never = refusal.never
            diagnosis = diagnosis._replace(
                cause=refusal.cause, message=refusal.message, remedy=refusal.remedy, grace=None if refusal.past else 0.0
            )
            if refusal.past:
                return diagnosis
    if diagnosis.cause in _SHARED and not never:
        waits = mine.others_work() and not (diagnosis.cause == STORAGE_FULL and mine.outsizes_others())
        return diagnosis._replace(grace=None if waits else max(diagnosis.grace or 0.0, UNSHARED))
    if diagnosis.cause == CLONE_SOURCE_IN_USE:
        return _in_use(diagnosis, around)
    if diagnosis.cause == CLAIM_PENDING and around.drivers is not None:
        return _unprovisioned(diagnosis, around)
    if (
        diagnosis.cause == "worker_out_of_memory"
        and (running.get("message") or "").rstrip().endswith(_ASKED)
        and mine.lasted() > _MEMORY_SECONDS
    ):
        return _silent(stored, max(still, mine.lasted()), ", until its memory was full")
    return diagnosis


def _beside_a_pod(
    stored: Object, around: Evidence, mine: RelatedObjects, said_of_claim: t.Iterable[Statement], still: float
) -> Diagnosis | None:
    """What keeps a volume from being filled although a pod runs for it."""
    if re.match(r"\d", (stored.get("status") or {}).get("progress") or ""):
        return None
    in_use = _first(said_of_claim, [rule for rule in CLAIM_RULES if rule.cause == CLONE_SOURCE_IN_USE], 0)
    if in_use:
        return _in_use(in_use, around)
    for pod in mine.running():
        seconds = worked_for(pod)
        if seconds >= _SILENT_SECONDS and around.logs.get(pod["metadata"]["uid"], "").rstrip().endswith(_ASKED):
            return _silent(stored, max(still, seconds), "")
    return None


def worked_for(pod: Object) -> float:
    """For how many seconds the container of a worker has run since its last start."""
    states = [each.get("state") or {} for each in (pod.get("status") or {}).get("containerStatuses") or ()]
    return max((age(state["running"].get("startedAt")) for state in states if "running" in state), default=0.0)


def may_be_silent(stored: Object, around: Evidence) -> list[Object]:
    """The pods of an import over HTTP that run for some time, and of which nothing is known."""
    status = stored.get("status") or {}
    source = (stored.get("spec") or {}).get("source") or {}
    if status.get("phase") != "ImportInProgress" or "http" not in source or status.get("progress") not in (None, "N/A"):
        return []
    return [pod for pod in RelatedObjects(stored, around).running() if worked_for(pod) >= _SILENT_SECONDS]


def _silent(stored: Object, seconds: float, until: str) -> Diagnosis:
    return Diagnosis(
        "source_silent",
        f"{_no_progress(stored, seconds)}: CDI's importer has asked the image's server, and has had no answer that it can use{until}",
        "see what `curl --location` says of the URL: its redirects may go round in a circle, or its server does not answer",
        0.0,
    )


def _in_use(diagnosis: Diagnosis, around: Evidence) -> Diagnosis:
    """Which pods use the source of a clone."""
    key = claim_in_use(diagnosis.message)
    if key is None or key[0] not in around.users:
        return diagnosis
    users = _writers(key, around)
    message = f"CloneSourceInUse: the source claim '{'/'.join(key)}' is in use by {users.sentence}, and CDI waits until it is not"
    return diagnosis._replace(message=message, remedy=f"{users.remedy}, or clone from a snapshot of it", grace=LASTING)


def _is_past_use(text: str, around: Evidence) -> bool:
    """Whether CDI has said that a pod uses the source, and it is gone: the event stays."""
    key = claim_in_use(text)
    return key is not None and key[0] in around.users and not _writers(key, around).pods


def _writers(key: tuple[str, str], around: Evidence) -> Users:
    """Who uses a claim in a way that CDI waits for. Its own pods, which look at the claim or fill it, are soon done."""
    return users_of(
        key, Consumers([pod for pod in around.users[key[0]] if may_write(pod, key[1]) and component(pod) is None])
    )


def claim_in_use(text: str) -> tuple[str, str] | None:
    """Namespace and name of the source that a clone waits for, as CDI says it."""
    found = _USER.search(text)
    return (found.group(1), found.group(2)) if found else None


def _unprovisioned(diagnosis: Diagnosis, around: Evidence) -> Diagnosis:
    """Whether the provisioner of a claim that stays pending is known to the cluster."""
    found = re.search("storage class ([^ ]+) is not bound", diagnosis.message)
    name = found.group(1) if found else ""
    provisioner = next(
        (each.get("provisioner") or "" for each in around.classes or () if each["metadata"]["name"] == name), ""
    )
    if not provisioner or provisioner in (around.drivers or ()) or provisioner == "kubernetes.io/no-provisioner":
        return diagnosis
    message = (
        f"{diagnosis.message}: the cluster has no storage driver {provisioner!r}, which is the class's provisioner"
    )
    return diagnosis._replace(
        cause="provisioner_missing",
        message=message,
        remedy="install the driver, or name another storage class",
        grace=LASTING,
    )


def unexplained(stored: Object, around: Evidence) -> bool:
    """Whether only CDI's controller can tell what is wrong, if anything is."""
    found = diagnose(stored, around)
    return found is None or found.cause in ("controller_down", CLAIM_MISSING)


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
                return Diagnosis(
                    rule.cause, text, rule.remedy, None if patience is None else max(0.0, patience - lasted), since
                )
    return None


def _controller_down(stored: Object, controllers: t.Sequence[Object] | None) -> Diagnosis | None:
    """CDI's controller does nothing, and so says nothing, while it is down."""
    if controllers is None:
        told = "CDI's controller has not looked at it yet"
        return (
            None
            if stored.get("status")
            else Diagnosis("controller_down", told, f"have an administrator see that Deployment {CONTROLLER} runs")
        )
    if not controllers:
        return Diagnosis(
            "controller_down", "CDI's controller is not installed", "install CDI (module kubevirt.cdi.cdi)", LASTING
        )
    for controller in controllers:
        verdict = judge_deployment(controller)
        if not (controller.get("status") or {}).get("availableReplicas"):
            name = f"{controller['metadata']['namespace']}/{controller['metadata']['name']}"
            remedy = "see its pods' events and logs, and that CDI's operator runs"
            return Diagnosis(
                "controller_down",
                f"CDI's controller (Deployment {name}) does not run: {verdict.reason or 'it has no pods'}",
                remedy,
                LASTING,
            )
    return None
