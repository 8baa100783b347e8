# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file on its way into its volume: the volume made, the file sent until CDI has taken it, and what CDI makes of it."""

from __future__ import annotations

import datetime
import time
import typing as t
import uuid

from .._cdi.names import BIND_IMMEDIATELY
from .._data_volume.collected import as_volume, is_collected, will_be_collected
from .._diagnosis import diagnose as diagnosis
from .._diagnosis.evidence import Evidence, warnings_about
from .._diagnosis.evidence_reader import EvidenceReader
from .._diagnosis.rules import BEGUN, INTENDED, UPLOADED
from .._kubernetes.apply import write
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, UPLOAD_TOKEN_REQUEST, Resource
from .._kubernetes.secrets import remember
from .._kubernetes.verdict import FAILED, REACHED, Verdict
from .._kubernetes.wait import Outcome, StallProbe, wait_for, wait_gone
from . import plan as rules
from .session import Item, Session
from .transfer import Answer, Unreachable, is_forbidden, send

# CDI's tokens live for 300 s and are looked at when a request begins (pkg/token/token.go, v1.65.0).
_TOKEN_SECONDS = 240
_LONGEST_PAUSE_SECONDS = 16
# Before 1.65 CDI's proxy goes by the address of a Service, which nodes may learn of later than the upload server is ready.
_ADDRESS_SECONDS = 15
# No answer, success, or the upload proxy's word that it got no answer.
_NO_REFUSAL = (0, 200, 502, 504)
# The token, or that another upload is under way: not a byte was taken (validateShouldHandleRequest in pkg/uploadserver/uploadserver.go, v1.65.0).
_NOTHING_TAKEN = (401, 503)


def recorded_digest(item: Item) -> str | None:
    return annotations_of(item.claim).get(UPLOADED) or annotations_of(item.claim).get(INTENDED)


def create(session: Session, item: Item) -> None:
    change = write(session.connection, DATA_VOLUME, t.cast(Object, item.wanted), None, check_mode=session.check_mode)
    item.volume, item.claim = change.object, None
    if not session.check_mode:
        item.made = item.volume["metadata"]["uid"]
        item.done(rules.EMPTIED if item.action == rules.DELETED else rules.CREATED)


def replace(session: Session, item: Item, why: str) -> None:
    """Delete the target with its data, as the user said or because nothing but an unfinished upload is in it, and make it anew.

    Nothing is deleted that belongs to something else or is in use, or that the API server would not let us make again.
    """
    namespace, name = item.key
    stored = t.cast(Object, item.claim if item.volume is None else item.volume)
    rules.refuse_owned(item.resource.kind, stored)
    session.refuse_users(item)
    claim = rules.recreated_claim(stored) if item.volume is None and not is_collected(stored) else None
    try_out(session, DATA_VOLUME if claim is None else PERSISTENT_VOLUME_CLAIM, t.cast(Object, claim or item.wanted))
    session.progress.say(item.title, f"replacing it: {why}")
    session.connection.delete(item.resource, name, namespace, dry_run=session.check_mode, uid=stored["metadata"]["uid"])
    if session.check_mode:
        return
    left = session.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace) if will_be_collected(stored) else None
    if left and is_collected(left):  # CDI was faster.
        session.connection.delete(PERSISTENT_VOLUME_CLAIM, name, namespace, dry_run=False, uid=left["metadata"]["uid"])
    if item.made == stored["metadata"]["uid"]:
        item.undo_creation()
    else:
        item.done(rules.DELETED)
    for kind in (DATA_VOLUME, PERSISTENT_VOLUME_CLAIM):
        wait_gone(session.connection, kind, namespace, name, session.timeout)
    if claim is None:
        create(session, item)
    else:
        item.claim = write(session.connection, PERSISTENT_VOLUME_CLAIM, claim, None, check_mode=False).object
        item.done(rules.EMPTIED)


def try_out(session: Session, resource: Resource, wanted: Object) -> None:
    """Have the API server, its quotas and its webhooks judge an object under a name that is free. Raises ApiError."""
    metadata = {**wanted["metadata"], "name": f"{wanted['metadata']['name'][:40].rstrip('-.')}-{uuid.uuid4().hex[:8]}"}
    body = {"apiVersion": resource.api_version, "kind": resource.kind, **wanted, "metadata": metadata}
    session.connection.apply(resource, body, dry_run=True)


def settle_failure(session: Session, item: Item) -> str:
    """Take away what the task itself has made, unless CDI or somebody else may still fill it, and say in a sentence what is left.

    Each volume that waits for data has a pod with a share of its node's processors.
    """
    if item.made and not item.may_finish and item.upload["on_failure"] == "delete":
        namespace, name = item.key
        try:
            volume = session.connection.get(DATA_VOLUME, name, namespace)
            claim = session.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
            if volume and volume["metadata"]["uid"] == item.made and not _is_anothers(item, volume, claim):
                session.connection.delete(DATA_VOLUME, name, namespace, dry_run=False, uid=item.made)
                item.volume = item.claim = None
                item.undo_creation()
                before = " The one before it was deleted with its data." if item.changed else ""
                return f"DataVolume {item.title}, which the task had created, was deleted again.{before}"
        except CdiError as exc:
            return f"DataVolume {item.title}, which the task has created, remains: {exc}"
    left = rules.LEFT_BEHIND.get(item.action)
    return f"{left.format(what=item.what)}." if left and not item.may_finish else ""


def _is_anothers(item: Item, volume: Object, claim: Object | None) -> bool:
    """Whether somebody else has filled the volume, or is about to."""
    return rules.is_populated(volume, None) or annotations_of(claim).get(INTENDED) not in (None, item.digest)


def annotate(session: Session, item: Item, annotations_: dict[str, str | None]) -> Object:
    namespace, name = item.key
    return session.connection.merge(
        PERSISTENT_VOLUME_CLAIM,
        name,
        namespace,
        {"metadata": {"annotations": annotations_}},
        dry_run=session.check_mode,
    )


def send_until_taken(session: Session, item: Item) -> None:
    """Send until CDI has taken it, each time from the first byte: its upload server keeps nothing of a broken attempt.

    A server that is busy may be at work on all of an attempt before: it is waited for, and no attempt counts. So is one that was not reached yet.
    """
    token, token_time, told, busy_since, unreached_since = "", 0.0, "", 0.0, 0.0
    remains = may_be_taken = may_be_begun = annotations_of(item.claim).get(INTENDED) == item.digest
    if item.claim is not None:
        # Nobody who waits for a consumer could take the bytes.
        item.claim = annotate(session, item, {BIND_IMMEDIATELY: "true"})
    attempts, pause = 0, 1
    while attempts <= session.task.params["retries"]:
        item.retries = attempts
        if told:
            session.progress.say(item.title, f"trying again: {told}")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        target = _ready(session, item)
        if _is_populated(item, target):
            if may_be_taken:
                break  # CDI had taken all of an attempt before, although its answer got lost.
            _forget(session, item)
            raise CdiError(
                f"{item.what} was filled by another client during this upload; run the task again to compare."
            )
        if not token or time.monotonic() - token_time > _TOKEN_SECONDS:
            token, token_time = _token(session, item), time.monotonic()
        try:
            answer = _attempt(session, item, token)
        except ApiError:
            if not may_be_begun:
                _forget(session, item)
            raise
        if item.bytes_sent and item.action not in (rules.CREATED, rules.EMPTIED):
            item.done(rules.BEGUN_ACTION)
        unreached = rules.is_unreached(answer.status, answer.text)
        nothing_taken = unreached or answer.status in _NOTHING_TAKEN
        all_sent = answer.status in _NO_REFUSAL and not unreached and item.bytes_sent == item.source.sent_size
        item.may_finish = all_sent or (item.may_finish and (nothing_taken or not answer.status))
        may_be_taken = may_be_taken or item.may_finish
        may_be_begun = may_be_begun or not nothing_taken
        told = rules.told(answer.status, answer.text)
        unreached_since = (unreached_since or time.monotonic()) if unreached else 0.0
        if unreached and time.monotonic() - unreached_since < _ADDRESS_SECONDS:
            continue
        if rules.is_busy(answer.status, answer.text):
            busy_since = busy_since or time.monotonic()
            if time.monotonic() - busy_since > session.timeout:
                if not may_be_begun:
                    _forget(session, item)
                raise CdiError(
                    f"The upload server of {item.title} was busy for {session.timeout} s with what it was sent before ({told}); "
                    "wait until the volume is filled, or give a longer wait_timeout, and run the task again."
                )
            continue
        attempts += 1
        if answer.status == 401:
            token = ""
        elif answer.status == 200:
            verdict = _finish(session, item, target)
            if verdict.state == REACHED:
                break
            told, item.may_finish = verdict.reason, False
        elif (
            rules.is_full(answer.text)
            and remains
            and item.volume is not None
            and attempts <= session.task.params["retries"]
        ):
            # What a killed server has written of a raw disk stays, and the next takes it for lost space. Nothing else is in there.
            replace(session, item, told)
            remains = False
            continue
        elif not rules.is_worth_a_retry(answer.status, answer.text):
            raise CdiError(
                f"The upload of {item.upload['path']} into {item.title} failed: {told}.{rules.remedy(answer.status, answer.text, item.image)}"
            )
        remains = remains or (item.bytes_sent > 0 and not nothing_taken)
    else:
        if not may_be_begun:
            _forget(session, item)
        raise CdiError(
            f"The upload of {item.upload['path']} into {item.title} failed after {attempts} attempts; last error: {told}.{_warnings(session, item)}"
        )
    if item.volume is not None:
        item.volume = session.connection.get(DATA_VOLUME, item.key[1], item.key[0])
    item.claim = annotate(session, item, {UPLOADED: item.digest, BEGUN: None})
    item.done(rules.ACTION_LABELS[item.plan])
    session.progress.say(item.title, "done")


def _forget(session: Session, item: Item) -> None:
    """Take back what the target was meant to hold: the next run would take what somebody else fills it with for that."""
    if annotations_of(item.claim).get(INTENDED) == item.digest:
        item.claim = annotate(session, item, {INTENDED: None, BEGUN: None})


def _is_populated(item: Item, target: Object) -> bool:
    return rules.is_populated(None, target) if item.volume is None else rules.is_populated(target, None)


def _ready(session: Session, item: Item) -> Object:
    """Wait until the upload server listens, and write down what the target is meant to hold, unless another task has."""
    namespace, name = item.key
    session.progress.say(item.title, "waiting for the upload server")
    volume = rules.declared(item.upload)

    looked: dict[str, Evidence] = {}

    def judge(_name: str, stored: Object | None, around: Evidence | None = None) -> Verdict:
        around = around or looked.get(name)
        return (
            rules.judge_claim_ready(stored, around) if item.volume is None else diagnosis.judge(volume, stored, around)
        )

    reader = EvidenceReader(session.connection, namespace)

    def probe(quiet: dict[str, Object | None], seconds: float) -> dict[str, Verdict]:
        around = looked[name] = reader.probe(quiet.values(), seconds)
        return {each: judge(each, stored, around) for each, stored in quiet.items()}

    deadline = time.monotonic() + session.timeout
    outcome = wait_for(
        session.connection, item.resource, namespace, [name], judge, deadline, StallProbe(diagnosis.moved, probe)
    )[name]
    collected = _collected(session, item, outcome)
    if collected:
        return collected
    if outcome.verdict.state != REACHED or outcome.object is None:
        how = (
            "cannot take the upload"
            if outcome.verdict.state == FAILED
            else f"is not ready for the upload after {session.timeout} s"
        )
        raise CdiError(f"{item.what} {how}: {outcome.verdict.reason}.{_warnings(session, item)}")
    item.claim = session.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
    intended = annotations_of(item.claim).get(INTENDED)
    if intended is None and not _is_populated(item, outcome.object):
        begun = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        item.claim = annotate(session, item, {INTENDED: item.digest, BEGUN: begun})
    if intended not in (None, item.digest):
        remedy = "wait for its end, and run the task again to compare"
        raise CdiError(f"Another task is uploading a different file (SHA-256 {intended}) into {item.title}; {remedy}.")
    return outcome.object


def _collected(session: Session, item: Item, outcome: Outcome) -> Object | None:
    """The volume that was waited for, and that CDI has deleted after it had succeeded."""
    if outcome.object is not None or item.volume is None:
        return None
    item.claim = session.connection.get(PERSISTENT_VOLUME_CLAIM, item.key[1], item.key[0])
    return as_volume(item.claim) if item.claim and is_collected(item.claim) else None


def _warnings(session: Session, item: Item) -> str:
    if item.volume is None:
        return ""
    around = EvidenceReader(session.connection, item.key[0]).probe([item.volume])
    told = warnings_about(item.volume, around, diagnosis.explain(item.volume, around, late=True) or {"message": ""})
    return f" Warnings: {'; '.join(told)}." if told else ""


def _token(session: Session, item: Item) -> str:
    namespace, name = item.key
    body = {
        "apiVersion": UPLOAD_TOKEN_REQUEST.api_version,
        "kind": UPLOAD_TOKEN_REQUEST.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"pvcName": name},
    }
    token = (session.connection.create(UPLOAD_TOKEN_REQUEST, body, namespace, dry_run=False).get("status") or {}).get(
        "token"
    )
    if not token:
        raise CdiError(
            f"CDI gave no upload token for {item.title}; see that Deployment cdi-apiserver runs, and run the task again."
        )
    remember({str(token)})
    return str(token)


def _attempt(session: Session, item: Item, token: str) -> Answer:
    source, route = item.source, session.route()
    item.transport, item.bytes_sent = route.name, 0
    started = time.monotonic()

    def progress(sent: int) -> None:
        item.bytes_sent = sent
        session.progress.sent(item.title, sent, source.sent_size, time.monotonic() - started)

    try:
        return send(route, token, source, session.timeout, progress)
    except (Unreachable, ApiError) as exc:
        if is_forbidden(exc):
            raise
        return Answer(0, str(exc))
    finally:
        item.seconds = time.monotonic() - started


def _finish(session: Session, item: Item, target: Object) -> Verdict:
    """Wait until CDI has made a disk of what it was sent."""
    session.progress.say(item.title, "sent; CDI writes the disk")
    namespace, name = item.key
    finish = rules.CompletionJudge(target, is_claim=item.volume is None)
    outcome = wait_for(
        session.connection,
        item.resource,
        namespace,
        [name],
        lambda _name, stored: finish.judge(stored),
        time.monotonic() + session.timeout,
    )[name]
    if _collected(session, item, outcome):
        return Verdict(REACHED)
    if outcome.verdict.state not in (REACHED, FAILED):
        raise CdiError(
            f"{item.what} is not filled {session.timeout} s after its last byte was sent: {outcome.verdict.reason}."
            f"{_warnings(session, item)}"
        )
    return outcome.verdict
