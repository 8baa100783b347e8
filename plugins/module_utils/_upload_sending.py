# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""One file on its way into its volume: the volume made, the file sent until CDI has taken it, and what CDI makes of it."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t
from dataclasses import dataclass, field

from . import _data_volume as data_volume
from . import _data_volume_growth as growth
from . import _diagnosis as diagnosis
from . import _upload as rules
from ._apply import write
from ._cdi_config import CONFIG_NAME
from ._clone import annotations
from ._clone_facts import DEFAULT_CLASS, default_class
from ._collected import as_volume, is_collected
from ._connection import Object
from ._diagnosis import Evidence
from ._errors import ApiError, CdiError
from ._image import Image
from ._module import Task
from ._resources import CDI_CONFIG, DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS, UPLOAD_TOKEN_REQUEST, Resource
from ._scratch import Settings, overhead_of, target_bytes
from ._evidence_reader import EvidenceReader
from ._upload_transport import Answer, Route, FileIdentity, Unreachable, find_route, is_forbidden, send
from ._verdict import FAILED, REACHED, Verdict
from ._wait import Outcome, StallProbe, wait_for, wait_gone

# CDI's tokens live for 300 s and are looked at when a request begins (pkg/token/token.go, v1.65.0).
_TOKEN_SECONDS = 240
_LONGEST_PAUSE_SECONDS = 16
# No answer, success, or the upload proxy's word that it got no answer.
_NO_REFUSAL = (0, 200, 502, 504)
# The token, or that another upload is under way: not a byte was taken (validateShouldHandleRequest in pkg/uploadserver/uploadserver.go, v1.65.0).
_NOTHING_TAKEN = (401, 503)


@dataclass
class Item:
    """One file on its way through the task."""

    upload: dict[str, t.Any]
    volume: Object | None = None
    claim: Object | None = None
    identity: FileIdentity | None = None
    image: Image | None = None
    digest: str = ""
    action: str = rules.NOTHING
    reason: str = ""
    error: str = ""
    bytes_sent: int = 0
    seconds: float = 0.0
    retries: int = 0
    transport: str | None = None
    diff: dict[str, t.Any] = field(default_factory=dict)
    changed: bool = False
    wanted: Object | None = None
    present: t.ClassVar[bool] = True

    @property
    def key(self) -> tuple[str, str]:
        return self.upload["namespace"], self.upload["name"]

    @property
    def title(self) -> str:
        return "/".join(self.key)


class Session:
    """What the uploads of one task share: the connection, and the way to the proxy, which is looked for once."""

    def __init__(self, task: Task) -> None:
        self.task, self.progress = task, task.progress
        self.connection, self.check_mode = task.connection, task.check_mode
        self.timeout = task.params["wait_timeout"]
        self._lock = threading.Lock()
        self._route: Route | None = None
        self._settings: Settings | None = None

    def route(self) -> Route:
        params = self.task.params
        with self._lock:
            if self._route is None:
                self._route = find_route(
                    self.connection, params["upload_proxy_url"], params["upload_proxy_ca"], params["cdi_namespace"], self.task.warn
                )
            return self._route

    def overhead(self, target: t.Mapping[str, t.Any] | None) -> float:
        """The share of a file system that CDI leaves alone, by the options (or the spec) of a claim."""
        target = target or {}
        if (target.get("volume_mode") or target.get("volumeMode")) == "Block":
            return 0.0
        name = target.get("storage_class_name") or target.get("storageClassName")
        return overhead_of(self._settings_for(name), name)

    def is_large_enough(self, claim: Object, spec: Object, size: int) -> bool:
        """Whether a claim has been made to grow to the `size` of a DataVolume's spec, by us or by somebody else."""
        name, is_block = claim["spec"].get("storageClassName"), claim["spec"].get("volumeMode") == "Block"
        needed = target_bytes(self._settings_for(name), spec, name, is_block) or 0
        return growth.grown_to(claim) == size or growth.requested(claim) >= needed

    def _settings_for(self, class_name: str | None) -> Settings:
        with self._lock:
            if self._settings is None:
                self._settings = Settings(self.connection.get(CDI_CONFIG, CONFIG_NAME) or {})
            if not class_name and self._settings.default_class is None:
                with contextlib.suppress(ApiError):  # Who may not list classes is given the global overhead.
                    self._settings.default_class = default_class(self.connection.list(STORAGE_CLASS)[0], DEFAULT_CLASS)
            return self._settings


def recorded_digest(item: Item) -> str | None:
    return annotations(item.claim).get(rules.UPLOADED) or annotations(item.claim).get(rules.INTENDED)


def create(session: Session, item: Item) -> None:
    change = write(session.connection, DATA_VOLUME, t.cast(Object, item.wanted), None, check_mode=session.check_mode)
    item.volume, item.claim = change.object, None


def replace(session: Session, item: Item, why: str) -> None:
    """Delete the target with its data, as the user said or because nothing but an unfinished upload is in it, and make it anew."""
    namespace, name = item.key
    session.progress.say(item.title, f"replacing it: {why}")
    stored = t.cast(Object, item.claim if item.volume is None else item.volume)
    rules.refuse_owned(_resource(item).kind, stored)
    claim = rules.recreated_claim(stored) if item.volume is None and not is_collected(stored) else None
    session.connection.delete(_resource(item), name, namespace, dry_run=session.check_mode, uid=stored["metadata"]["uid"])
    if session.check_mode:
        return
    for kind in (DATA_VOLUME, PERSISTENT_VOLUME_CLAIM):
        wait_gone(session.connection, kind, namespace, name, session.timeout)
    if claim is None:
        create(session, item)
    else:
        item.claim = write(session.connection, PERSISTENT_VOLUME_CLAIM, claim, None, check_mode=False).object


def annotate(session: Session, item: Item, annotations_: dict[str, str | None]) -> Object:
    namespace, name = item.key
    return session.connection.merge(PERSISTENT_VOLUME_CLAIM, name, namespace, {"metadata": {"annotations": annotations_}}, dry_run=session.check_mode)


def send_until_taken(session: Session, item: Item) -> None:
    """Send until CDI has taken it, each time from the first byte: its upload server keeps nothing of a broken attempt.

    A server that is busy may be at work on all of an attempt before: it is waited for, and no attempt counts.
    """
    token, token_time, told, busy_since = "", 0.0, "", 0.0
    remains = may_be_taken = may_be_begun = annotations(item.claim).get(rules.INTENDED) == item.digest
    if item.claim is not None:
        # Nobody who waits for a consumer could take the bytes.
        item.claim = annotate(session, item, {data_volume.BIND_IMMEDIATELY: "true"})
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
            raise CdiError(f"{_resource(item).kind} {item.title} was filled by another client during this upload; run the task again to compare.")
        if not token or time.monotonic() - token_time > _TOKEN_SECONDS:
            token, token_time = _token(session, item), time.monotonic()
        try:
            answer = _attempt(session, item, token)
        except ApiError:
            if not may_be_begun:
                _forget(session, item)
            raise
        may_be_taken = may_be_taken or (answer.status in _NO_REFUSAL and item.bytes_sent == t.cast(FileIdentity, item.identity).size)
        may_be_begun = may_be_begun or answer.status not in _NOTHING_TAKEN
        told = rules.told(answer.status, answer.text)
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
            told = verdict.reason
        elif rules.is_full(answer.text) and remains and item.volume is not None and attempts <= session.task.params["retries"]:
            # What a killed server has written of a raw disk stays, and the next takes it for lost space. Nothing else is in there.
            replace(session, item, told)
            remains = False
            continue
        elif not rules.is_worth_a_retry(answer.status, answer.text):
            raise CdiError(f"The upload of {item.upload['path']} into {item.title} failed: {told}.{rules.remedy(answer.status, answer.text)}")
        remains = remains or item.bytes_sent > 0
    else:
        if not may_be_begun:
            _forget(session, item)
        raise CdiError(f"The upload of {item.upload['path']} into {item.title} failed after {attempts} attempts; last error: {told}.{_warnings(session, item)}")
    if item.volume is not None:
        item.volume = session.connection.get(DATA_VOLUME, item.key[1], item.key[0])
    item.claim = annotate(session, item, {rules.UPLOADED: item.digest})
    session.progress.say(item.title, "done")


def _forget(session: Session, item: Item) -> None:
    """Take back what the target was meant to hold: the next run would take what somebody else fills it with for that."""
    if annotations(item.claim).get(rules.INTENDED) == item.digest:
        item.claim = annotate(session, item, {rules.INTENDED: None})


def _resource(item: Item) -> Resource:
    return PERSISTENT_VOLUME_CLAIM if item.volume is None else DATA_VOLUME


def _is_populated(item: Item, target: Object) -> bool:
    return rules.is_populated(None, target) if item.volume is None else rules.is_populated(target, None)


def _ready(session: Session, item: Item) -> Object:
    """Wait until the upload server listens, and write down what the target is meant to hold, unless another task has."""
    namespace, name = item.key
    session.progress.say(item.title, "waiting for the upload server")
    volume = rules.declared(item.upload)

    def judge(_name: str, stored: Object | None, around: Evidence | None = None) -> Verdict:
        return rules.judge_claim_ready(stored, around) if item.volume is None else diagnosis.judge(volume, stored, around)

    reader = EvidenceReader(session.connection, namespace)

    def probe(quiet: dict[str, Object | None], seconds: float) -> dict[str, Verdict]:
        around = reader.probe(quiet.values(), seconds)
        return {each: judge(each, stored, around) for each, stored in quiet.items()}

    deadline = time.monotonic() + session.timeout
    outcome = wait_for(session.connection, _resource(item), namespace, [name], judge, deadline, StallProbe(diagnosis.moved, probe))[name]
    collected = _collected(session, item, outcome)
    if collected:
        return collected
    if outcome.verdict.state != REACHED or outcome.object is None:
        how = "cannot take the upload" if outcome.verdict.state == FAILED else f"is not ready for the upload after {session.timeout} s"
        raise CdiError(f"{_resource(item).kind} {item.title} {how}: {outcome.verdict.reason}.{_warnings(session, item)}")
    item.claim = session.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
    intended = annotations(item.claim).get(rules.INTENDED)
    if intended is None and not _is_populated(item, outcome.object):
        item.claim = annotate(session, item, {rules.INTENDED: item.digest})
    if intended not in (None, item.digest):
        raise CdiError(f"Another task is uploading a different file (SHA-256 {intended}) into {item.title}; wait for its end, and run the task again to compare.")
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
    told = diagnosis.warnings_about(item.volume, around, diagnosis.explain(item.volume, around, late=True) or {"message": ""})
    return f" Warnings: {'; '.join(told)}." if told else ""


def _token(session: Session, item: Item) -> str:
    namespace, name = item.key
    body = {
        "apiVersion": UPLOAD_TOKEN_REQUEST.api_version,
        "kind": UPLOAD_TOKEN_REQUEST.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"pvcName": name},
    }
    return str(session.connection.create(UPLOAD_TOKEN_REQUEST, body, namespace, dry_run=False)["status"]["token"])


def _attempt(session: Session, item: Item, token: str) -> Answer:
    identity = t.cast(FileIdentity, item.identity)
    route = session.route()
    item.transport, item.bytes_sent = route.name, 0
    started = time.monotonic()

    def progress(sent: int) -> None:
        item.bytes_sent = sent
        session.progress.sent(item.title, sent, identity.size, time.monotonic() - started)

    try:
        return send(route, token, item.upload["path"], identity, session.timeout, progress)
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
        session.connection, _resource(item), namespace, [name], lambda _name, stored: finish.judge(stored), time.monotonic() + session.timeout
    )[name]
    if _collected(session, item, outcome):
        return Verdict(REACHED)
    if outcome.verdict.state not in (REACHED, FAILED):
        raise CdiError(
            f"{_resource(item).kind} {item.title} is not filled {session.timeout} s after its last byte was sent: {outcome.verdict.reason}."
            f"{_warnings(session, item)}"
        )
    return outcome.verdict
