# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a file into its target until CDI has taken it, and waits for what CDI makes of it.

`sending_steps` decides what to do next.
"""

from __future__ import annotations

import datetime
import typing as t

from .._cdi.names import API_SERVER, BIND_IMMEDIATELY
from .._cdi.phases import OF_EARLIER_CLAIM, is_of_earlier_claim
from .._data_volume.collected import as_volume, is_collected
from .._diagnosis import diagnose as diagnosis
from .._diagnosis.evidence import Evidence, warnings_about
from .._diagnosis.evidence_reader import EvidenceReader
from .._diagnosis.rules import BEGUN, INTENDED, UPLOADED
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, UPLOAD_TOKEN_REQUEST
from .._kubernetes.secrets import remember
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .._kubernetes.wait import Outcome as Waited
from .._kubernetes.wait import StallProbe
from . import outcome as results
from . import sending_steps as steps
from .answers import Answer
from .changes import annotate, replace
from .completion import Completion
from .content import verify_content
from .options import declared
from .outcome import File, Outcome, Steps, Target
from .remote import Remote, SourceUrl
from .session import Session
from .source import Interrupted, Reached, Source, SourceDisk, SourceFile
from .target import is_populated, judge_claim_ready
from .transfer import Unreachable, is_forbidden


def send_until_taken(session: Session, outcome: Outcome, file: File, wanted: Object | None, action: str) -> Steps:
    """Send the file until CDI has taken it, and record its digest. `action` is the result's then.

    `wanted` is the DataVolume in case it has to be recreated. Raises CdiError.
    """
    claim, outside = outcome.target.known_claim, session.outside
    may_remain = annotations_of(claim).get(INTENDED) == file.digest
    if claim is not None:
        # A claim that waits for its first consumer would never accept the data.
        outcome = outcome.with_target(claim=annotate(session, outcome.target, {BIND_IMMEDIATELY: "true"}))
    source = _source(outcome, file)
    state = steps.State(
        retries=session.task.params["retries"],
        patience=session.timeout,
        can_replace=not outcome.target.is_claim,
        remains=may_remain,
        may_be_begun=may_remain,
        may_be_taken=may_remain,
    )
    event: steps.Event = steps.Started()
    server: Object = {}
    answer, refusal = Answer(0, ""), CdiError("")
    while True:
        state, command = steps.next_step(state, event)
        outcome = _with_transfer(outcome, may_finish=state.may_finish)
        yield outcome
        if command.forget:
            outcome = _forget(session, outcome, file)
            yield outcome
        if command.name == steps.RECORD:
            break
        if command.name == steps.PAUSE:
            session.progress.say(outcome.target.title, f"trying again: {state.reason}")
            outside.sleep(command.seconds)
            event = steps.Started()
        elif command.name == steps.WAIT_READY:
            outcome = _with_transfer(outcome, retries=state.attempts)
            yield outcome
            outcome, server = yield from _wait_ready(session, outcome, file)
            event = steps.Ready(_is_populated(outcome.target, server), outside.clock())
        elif command.name == steps.REQUEST_TOKEN:
            event = steps.TokenIssued(_token(session, outcome.target), outside.clock())
        elif command.name == steps.SEND:
            try:
                outcome, answer, all_sent = yield from _attempt(session, outcome, source, state.token)
                event = steps.Answered(answer, outcome.transfer.bytes_sent > 0, all_sent, outside.clock())
            except ApiError as exc:
                refusal, event = exc, steps.Forbidden()
        elif command.name == steps.WAIT_FINISHED:
            event = steps.Judged(_wait_finished(session, outcome.target, server))
        elif command.name == steps.REPLACE:
            outcome = yield from replace(session, outcome, state.reason, wanted)
            event = steps.Replaced()
        elif command.name == steps.FORBIDDEN:
            raise refusal
        else:
            raise CdiError(_failure(session, outcome.target, file, state, command, answer))
    target = outcome.target
    if target.volume is not None:
        outcome = outcome.with_target(volume=session.connection.get(DATA_VOLUME, target.key[1], target.key[0]))
    outcome = verify_content(session, outcome, file)
    outcome = outcome.with_target(claim=annotate(session, target, {UPLOADED: file.digest, BEGUN: None})).done(action)
    session.progress.say(target.title, "done")
    return outcome


def _source(outcome: Outcome, file: File) -> Source:
    if isinstance(file.identity, Remote):
        return SourceUrl(file.identity, file.digest, file.image.sent_size, bool(outcome.upload["checksum"]))
    stream = outcome.encoding and outcome.encoding.stream
    if stream and file.survey:
        return SourceDisk(file.path, file.identity, file.image, file.survey, stream, file.unpacked)
    return SourceFile(file.path, file.identity, file.sha256, file.image.sent_size)


def _with_transfer(outcome: Outcome, **values: t.Any) -> Outcome:
    return outcome._replace(transfer=outcome.transfer._replace(**values))


def _failure(
    session: Session, target: Target, file: File, state: steps.State, command: steps.Command, answer: Answer
) -> str:
    """Why the upload ends without success."""
    upload = f"The upload of {file.path} into {target.title} failed"
    if command.name == steps.FILLED_BY_OTHER:
        return f"{target.what} was filled by another client during this upload; run the task again to compare."
    if command.name == steps.BUSY:
        return (
            f"The upload server of {target.title} was busy for {session.timeout} s with an earlier upload "
            f"({state.reason}); "
            "wait until the volume is filled, or increase wait_timeout, and run the task again."
        )
    if command.name == steps.REFUSED:
        return f"{upload}: {state.reason}.{answer.remedy(file.image)}"
    return f"{upload} after {state.attempts} attempts; last error: {state.reason}.{_warnings(session, target)}"


def _forget(session: Session, outcome: Outcome, file: File) -> Outcome:
    """Remove the record of the file: otherwise, the next run would take the data of another client for this file."""
    if annotations_of(outcome.target.known_claim).get(INTENDED) != file.digest:
        return outcome
    return outcome.with_target(claim=annotate(session, outcome.target, {INTENDED: None, BEGUN: None}))


def _is_populated(target: Target, stored: Object) -> bool:
    return is_populated(None, stored) if target.is_claim else is_populated(stored, None)


def _wait_ready(session: Session, outcome: Outcome, file: File) -> t.Generator[Outcome, None, tuple[Outcome, Object]]:
    """Wait until the upload server listens, and record the file on the claim unless another task has recorded one.

    Returns the target as it is then.
    """
    target = outcome.target
    namespace, name = target.key
    session.progress.say(target.title, "waiting for the upload server")
    volume = declared(outcome.upload)
    probed: dict[str, Evidence] = {}

    def judge(_name: str, stored: Object | None, evidence: Evidence | None = None) -> Verdict:
        evidence = evidence or probed.get(name)
        if target.is_claim:
            return judge_claim_ready(stored, evidence)
        verdict = diagnosis.judge(volume, stored, evidence)
        if stored and verdict.state == REACHED and outcome.made == stored["metadata"]["uid"]:
            claim = session.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
            if is_of_earlier_claim(stored, claim):
                return Verdict(WAITING, OF_EARLIER_CLAIM)
        return verdict

    reader = EvidenceReader(session.connection, namespace)

    def probe(quiet: dict[str, Object | None], seconds: float) -> dict[str, Verdict]:
        evidence = probed[name] = reader.probe(quiet.values(), seconds)
        return {each: judge(each, stored, evidence) for each, stored in quiet.items()}

    deadline = session.outside.clock() + session.timeout
    waited = session.outside.wait_for(
        session.connection, target.resource, namespace, [name], judge, deadline, StallProbe(diagnosis.moved, probe)
    )[name]
    claim = _collected_claim(session, target, waited)
    if claim is not None:
        return outcome.with_target(claim=claim), as_volume(claim)
    if waited.verdict.state != REACHED or waited.object is None:
        how = "cannot accept the upload"
        if waited.verdict.state != FAILED:
            how = f"is not ready for the upload after {session.timeout} s"
        raise CdiError(f"{target.what} {how}: {waited.verdict.reason}.{_warnings(session, target)}")
    outcome = outcome.with_target(claim=session.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace))
    yield outcome
    intended = annotations_of(outcome.target.known_claim).get(INTENDED)
    if intended is None and not _is_populated(target, waited.object):
        begun = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        claim = annotate(session, target, {INTENDED: file.digest, BEGUN: begun})
        outcome = outcome.with_target(claim=claim)
    if intended not in (None, file.digest):
        raise CdiError(
            f"Another task is uploading a different file (digest {intended}) into {target.title}; "
            "wait until it ends, and run the task again to compare."
        )
    return outcome, waited.object


def _collected_claim(session: Session, target: Target, waited: Waited) -> Object | None:
    """The claim of a DataVolume that CDI deleted during the wait, after it had succeeded."""
    if waited.object is not None or target.is_claim:
        return None
    claim = session.connection.get(PERSISTENT_VOLUME_CLAIM, target.key[1], target.key[0])
    return claim if claim and is_collected(claim) else None


def _warnings(session: Session, target: Target) -> str:
    if target.volume is None:
        return ""
    evidence = EvidenceReader(session.connection, target.key[0]).probe([target.volume])
    explained = diagnosis.explain(target.volume, evidence, late=True) or {"message": ""}
    warnings = warnings_about(target.volume, evidence, explained)
    return f" Warnings: {'; '.join(warnings)}." if warnings else ""


def _token(session: Session, target: Target) -> str:
    namespace, name = target.key
    body = {
        "apiVersion": UPLOAD_TOKEN_REQUEST.api_version,
        "kind": UPLOAD_TOKEN_REQUEST.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"pvcName": name},
    }
    made = session.connection.create(UPLOAD_TOKEN_REQUEST, body, namespace, dry_run=False)
    token = (made.get("status") or {}).get("token")
    if not token:
        raise CdiError(
            f"CDI issued no upload token for {target.title}; check that Deployment {API_SERVER} is running, and run "
            "the task again."
        )
    remember({str(token)})
    return str(token)


def _attempt(
    session: Session, outcome: Outcome, source: Source, token: str
) -> t.Generator[Outcome, None, tuple[Outcome, Answer, bool]]:
    """Send once. Returns the answer, and whether all was sent.

    Raises ApiError when the next attempt would not be allowed, either, and CdiError when the file has changed.
    """
    route, clock = session.route(), session.outside.clock
    sent, all_sent, started = 0, False, clock()

    def progress(bytes_sent: int, reached: Reached | None, is_all: bool) -> None:
        nonlocal sent, all_sent
        sent, all_sent = bytes_sent, is_all
        size = sent if is_all else source.sent_size
        session.progress.sent(outcome.target.title, sent, size, clock() - started, reached)

    failure: CdiError | None = None
    try:
        answer = session.outside.send(route, token, source, session.timeout, progress)
    except CdiError as exc:
        answer, failure = Answer(0, str(exc)), exc
    outcome = _with_transfer(outcome, bytes_sent=sent, seconds=clock() - started, route=route.name)
    yield outcome
    if failure and (is_forbidden(failure) or not isinstance(failure, Unreachable | Interrupted | ApiError)):
        raise failure
    if sent and outcome.action not in (results.CREATED, results.EMPTIED):
        outcome = outcome.done(results.BEGUN)
        yield outcome
    return outcome, answer, all_sent


def _wait_finished(session: Session, target: Target, server: Object) -> Verdict:
    """Wait until CDI has processed the data. `server` is the target as it was before the data was sent."""
    session.progress.say(target.title, "sent; CDI writes the disk")
    namespace, name = target.key
    completion = Completion.of(server, is_claim=target.is_claim)

    def judge(_name: str, stored: Object | None) -> Verdict:
        nonlocal completion
        verdict, completion = completion.judge(stored), completion.after(stored)
        return verdict

    deadline = session.outside.clock() + session.timeout
    waited = session.outside.wait_for(session.connection, target.resource, namespace, [name], judge, deadline)[name]
    if _collected_claim(session, target, waited) is not None:
        return Verdict(REACHED)
    if waited.verdict.state not in (REACHED, FAILED):
        raise CdiError(
            f"{target.what} is not filled {session.timeout} s after its last byte was sent: {waited.verdict.reason}."
            f"{_warnings(session, target)}"
        )
    return waited.verdict
