# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the objects around a volume add to a cause that CDI's words name: what blocks it, and whether it can heal. Pure
rules."""

from __future__ import annotations

import re
import typing as t

from .._cdi.names import CONTROLLER
from .._cdi.status import judge_deployment
from .._cdi.users import Consumers, Users, component, users_of
from .._clone.facts import may_write
from .._kubernetes.objects import Object
from .evidence import Evidence, RelatedObjects, Statement
from .helpers import age
from .refusals import QUOTA_EXCEEDED, quota_in, why_refused
from .rules import (
    CLAIM_MISSING,
    CLAIM_PENDING,
    CLAIM_RULES,
    CLONE_SOURCE_IN_USE,
    IMAGE_PULL_FAILED,
    LASTING,
    PULL_RULES,
    STORAGE_FULL,
    UNSHARED,
    WORKER_REFUSED,
    Diagnosis,
    Rule,
)

# What the helpers of other volumes use for a while, and then release.
_SHARED = (QUOTA_EXCEEDED, STORAGE_FULL)
# Causes that count only when the evidence confirms them.
NEEDS_EVIDENCE = (*_SHARED, WORKER_REFUSED, CLONE_SOURCE_IN_USE)
# The last line of a worker that waits for the first answer of the image server (cmd/cdi-importer/importer.go, v1.65.0).
_ASKED = "begin import process"
_SILENT_SECONDS = 15.0
_MEMORY_SECONDS = 8.0
# What CDI reports of a source that a pod uses (pkg/controller/clone/common.go, v1.65.0).
_USER = re.compile(r"pod ([^\s/]+)/\S+ using PersistentVolumeClaim ([^\s;]+)")
_NO_CLAIM = Diagnosis(
    CLAIM_MISSING,
    "CDI has not created its claim",
    "check what rejects the claim (a LimitRange, a webhook) in the log of CDI's controller",
)


def restarts_of(stored: Object) -> int:
    return int((stored.get("status") or {}).get("restartCount") or 0)


def no_progress(stored: Object, seconds: float) -> str:
    """`no progress for 20 s and 2 restarts`."""
    restarts = restarts_of(stored)
    lasted = f" for {seconds:.0f} s" if seconds >= 1 else ""
    return f"no progress{lasted}" + (f" and {restarts} restart{'s' * (restarts != 1)}" if restarts else "")


def first_match(statements: t.Iterable[Statement], rules: t.Sequence[Rule], restarts: int) -> Diagnosis | None:
    """The diagnosis of the first statement that a rule matches.

    How long the problem has lasted is in the events that the rule matches; a condition does not have it.
    """
    statements = list(statements)
    for text, _lasted, since in statements:
        for rule in rules:
            if re.search(rule.words, text):
                grace = rule.grace if restarts >= rule.restarts else None
                same = [other for other in statements if re.search(rule.words, other.text)]
                lasted = max(other.lasted for other in same)
                since = since or next((other.since for other in same if other.since), "")
                remaining = None if grace is None else max(0.0, grace - lasted)
                return Diagnosis(rule.cause, text, rule.remedy, remaining, since)
    return None


def claim_missing(stored: Object, evidence: Evidence) -> Diagnosis:
    """The diagnosis of a volume whose claim CDI has not created, with what rejects the claim if a trial was made."""
    message, _mark, remedy = evidence.refused_claims.get(stored["metadata"].get("uid", ""), "").rpartition("; ")
    return Diagnosis(CLAIM_MISSING, message, remedy, LASTING) if message else _NO_CLAIM


def refined(
    diagnosis: Diagnosis, stored: Object, evidence: Evidence, related: RelatedObjects, running: Object, still: float
) -> Diagnosis:
    """The diagnosis with what the evidence adds to it. `running`: the condition of the volume."""
    never = False
    if diagnosis.cause in (WORKER_REFUSED, QUOTA_EXCEEDED):
        worker = related.refused(stored)
        if worker and worker not in evidence.rooms:
            return diagnosis._replace(grace=None)  # The evidence is older than the rejection.
        refusal = why_refused(worker, evidence.rooms[worker]) if worker else None
        namespace = stored["metadata"].get("namespace") or ""
        refusal = refusal or quota_in(diagnosis.message, namespace, evidence.quotas.get(namespace))
        if refusal:
            never = refusal.never
            diagnosis = diagnosis._replace(
                cause=refusal.cause, message=refusal.message, remedy=refusal.remedy, grace=None if refusal.past else 0.0
            )
            if refusal.past:
                return diagnosis
    if diagnosis.cause in _SHARED and not never:
        waits = related.others_work() and not (diagnosis.cause == STORAGE_FULL and related.outsizes_others())
        return diagnosis._replace(grace=None if waits else max(diagnosis.grace or 0.0, UNSHARED))
    if diagnosis.cause == IMAGE_PULL_FAILED:
        # CDI names the image, and the kubelet the reason.
        return first_match(related.pods(), PULL_RULES, 0) or diagnosis
    if diagnosis.cause == CLONE_SOURCE_IN_USE:
        return _in_use(diagnosis, evidence)
    if diagnosis.cause == CLAIM_PENDING and evidence.drivers is not None:
        return _unprovisioned(diagnosis, evidence)
    if (
        diagnosis.cause == "worker_out_of_memory"
        and (running.get("message") or "").rstrip().endswith(_ASKED)
        and related.failed_after() > _MEMORY_SECONDS
    ):
        return _silent(stored, max(still, related.failed_after()), ", until its memory was full")
    return diagnosis


def beside_a_pod(
    stored: Object, evidence: Evidence, related: RelatedObjects, of_claim: t.Iterable[Statement], still: float
) -> Diagnosis | None:
    """What keeps CDI from filling a volume although a pod runs for it."""
    if re.match(r"\d", (stored.get("status") or {}).get("progress") or ""):
        return None
    in_use = first_match(of_claim, [rule for rule in CLAIM_RULES if rule.cause == CLONE_SOURCE_IN_USE], 0)
    if in_use:
        return _in_use(in_use, evidence)
    for pod in related.running():
        seconds = worked_for(pod)
        if seconds >= _SILENT_SECONDS and evidence.logs.get(pod["metadata"]["uid"], "").rstrip().endswith(_ASKED):
            return _silent(stored, max(still, seconds), "")
    return None


def worked_for(pod: Object) -> float:
    """The seconds since the last start of a worker's container; 0 if none runs."""
    states = [each.get("state") or {} for each in (pod.get("status") or {}).get("containerStatuses") or ()]
    return max((age(state["running"].get("startedAt")) for state in states if "running" in state), default=0.0)


def may_be_silent(stored: Object, evidence: Evidence) -> list[Object]:
    """The pods of an import over HTTP that have run for some time without reporting progress."""
    status = stored.get("status") or {}
    source = (stored.get("spec") or {}).get("source") or {}
    if status.get("phase") != "ImportInProgress" or "http" not in source or status.get("progress") not in (None, "N/A"):
        return []
    return [pod for pod in RelatedObjects(stored, evidence).running() if worked_for(pod) >= _SILENT_SECONDS]


def _silent(stored: Object, seconds: float, until: str) -> Diagnosis:
    return Diagnosis(
        "source_silent",
        f"{no_progress(stored, seconds)}: CDI's importer sent a request to the image server and got no usable "
        f"response{until}",
        "run `curl --location` with the URL: its redirects may form a loop, or its server does not respond",
        0.0,
    )


def _in_use(diagnosis: Diagnosis, evidence: Evidence) -> Diagnosis:
    """The diagnosis with the pods that use the source of a clone."""
    key = claim_in_use(diagnosis.message)
    if key is None or key[0] not in evidence.users:
        return diagnosis
    users = _writers(key, evidence)
    message = f"CloneSourceInUse: CDI waits, because the source claim '{'/'.join(key)}' is in use by {users.sentence}"
    return diagnosis._replace(message=message, remedy=f"{users.remedy}, or clone from a snapshot of it", grace=LASTING)


def is_past_use(text: str, evidence: Evidence) -> bool:
    """Whether an event names a pod that uses the source of a clone, and no pod uses it any more."""
    key = claim_in_use(text)
    return key is not None and key[0] in evidence.users and not _writers(key, evidence).pods


def _writers(key: tuple[str, str], evidence: Evidence) -> Users:
    """The pods that CDI waits for. CDI's own pods, which inspect or fill the claim, end soon."""
    return users_of(
        key, Consumers([pod for pod in evidence.users[key[0]] if may_write(pod, key[1]) and component(pod) is None])
    )


def claim_in_use(text: str) -> tuple[str, str] | None:
    """Namespace and name of the source claim in CDI's message that it is in use; None for any other text."""
    found = _USER.search(text)
    return (found.group(1), found.group(2)) if found else None


def _unprovisioned(diagnosis: Diagnosis, evidence: Evidence) -> Diagnosis:
    """The diagnosis of a pending claim, which cannot heal if the cluster does not have the provisioner of its class."""
    found = re.search("storage class ([^ ]+) is not bound", diagnosis.message)
    name = found.group(1) if found else ""
    provisioner = next(
        (each.get("provisioner") or "" for each in evidence.classes or () if each["metadata"]["name"] == name), ""
    )
    if not provisioner or provisioner in (evidence.drivers or ()) or provisioner == "kubernetes.io/no-provisioner":
        return diagnosis
    return diagnosis._replace(
        cause="provisioner_missing",
        message=f"{diagnosis.message}: the cluster has no storage driver {provisioner!r}, the provisioner of the class",
        remedy="install the driver, or name another storage class",
        grace=LASTING,
    )


def controller_down(stored: Object, controllers: t.Sequence[Object] | None) -> Diagnosis | None:
    """The diagnosis when CDI's controller is down, and so does and reports nothing. `controllers` None: they were not
    read."""
    if controllers is None:
        if stored.get("status"):
            return None
        return Diagnosis(
            "controller_down",
            "CDI's controller has not processed it yet",
            f"ask an administrator to check that Deployment {CONTROLLER} runs",
        )
    if not controllers:
        return Diagnosis(
            "controller_down", "CDI's controller is not installed", "install CDI (module kubevirt.cdi.cdi)", LASTING
        )
    for controller in controllers:
        verdict = judge_deployment(controller)
        if not (controller.get("status") or {}).get("availableReplicas"):
            name = f"{controller['metadata']['namespace']}/{controller['metadata']['name']}"
            return Diagnosis(
                "controller_down",
                f"CDI's controller (Deployment {name}) does not run: {verdict.reason or 'it has no pods'}",
                "check the events and logs of its pods, and that CDI's operator runs",
                LASTING,
            )
    return None
