# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""One file on its way into its volume: the volume made, the file sent until CDI has taken it, and what CDI makes of it."""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
import typing as t
import uuid
from dataclasses import dataclass, field

from . import _data_volume as data_volume
from . import _data_volume_growth as growth
from . import _diagnosis as diagnosis
from . import _upload as rules
from ._apply import write
from ._cdi_config import CONFIG_NAME
from ._clone import annotations
from ._clone_facts import DEFAULT_CLASS, default_class
from ._connection import Object
from ._diagnosis import Evidence
from ._errors import ApiError, CdiError
from ._image import Image
from ._module import Task
from ._preflight_task import Preflight
from ._resources import (
    CDI_CONFIG,
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    SELF_SUBJECT_ACCESS_REVIEW,
    STORAGE_CLASS,
    UPLOAD_TOKEN_REQUEST,
    Resource,
)
from ._scratch import Settings, overhead_of, target_bytes
from ._evidence_reader import EvidenceReader
from ._upload_progress import Progress
from ._upload_source import FileIdentity
from ._upload_transport import Answer, Route, SourceFile, Unreachable, find_route, is_forbidden, send
from ._users import UserReader
from ._wait import FAILED, REACHED, StallProbe, Verdict, wait_for, wait_gone

# CDI's tokens live for 300 s and are looked at when a request begins (pkg/token/token.go, v1.65.0).
_TOKEN_SECONDS = 240
_LONGEST_PAUSE_SECONDS = 16
# No answer, success, or the upload proxy's word that it got no answer.
_NO_REFUSAL = (0, 200, 502, 504)
# The token, or that another upload is under way: not a byte was taken (validateShouldHandleRequest in pkg/uploadserver/uploadserver.go, v1.65.0).
_NOTHING_TAKEN = (401, 503)


@dataclass
class Item:
    """One file on its way through the task.

    `plan` is what is to be done, `action` and `changed` what has been done (in check mode, what would be). `made` is the uid of a DataVolume that
    the task has made; `may_finish` says that CDI may be at work on all that it needs, so that the volume may be filled later.
    """

    upload: dict[str, t.Any]
    volume: Object | None = None
    claim: Object | None = None
    identity: FileIdentity | None = None
    image: Image | None = None
    digest: str = ""
    plan: str = rules.NOTHING
    action: str = rules.ACTION_LABELS[rules.NOTHING]
    reason: str = ""
    made: str = ""
    may_finish: bool = False
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

    @property
    def what(self) -> str:
        """`DataVolume demo/disk`."""
        return f"{_resource(self).kind} {self.title}"

    @property
    def source(self) -> SourceFile:
        """The file, as it was when its digest was taken."""
        image = t.cast(Image, self.image)
        return SourceFile(self.upload["path"], t.cast(FileIdentity, self.identity), self.digest, image.sent_size)

    def done(self, action: str) -> None:
        """Note what has been written, whatever comes next."""
        self.action, self.changed = action, True


class Session:
    """What the uploads of one task share: the connection, the progress file, and the way to the proxy, which is looked for once."""

    def __init__(self, task: Task, progress: Progress) -> None:
        self.task, self.progress = task, progress
        self.connection, self.check_mode = task.connection, task.check_mode
        self.timeout = task.params["wait_timeout"]
        self.preflight = Preflight(task)
        self._lock = threading.Lock()
        self._route: Route | None = None
        self._allowed: set[str] = set()
        self._settings: Settings | None = None

    def route(self) -> Route:
        params = self.task.params
        with self._lock:
            if self._route is None:
                url, ca, namespace = ((params[option] or "").strip() for option in ("upload_proxy_url", "upload_proxy_ca", "cdi_namespace"))
                self._route = find_route(self.connection, url, ca, namespace, self.task.warn)
            return self._route

    def check_rights(self, namespace: str) -> None:
        """Raises CdiError for a right that would be missed after the first write. One request for each right and namespace."""
        with self._lock:
            if namespace in self._allowed:
                return
            for resource, verb in ((UPLOAD_TOKEN_REQUEST, "create"), (PERSISTENT_VOLUME_CLAIM, "patch")):
                asked = {"namespace": namespace, "verb": verb, "group": resource.group, "resource": resource.plural}
                body = {
                    "apiVersion": SELF_SUBJECT_ACCESS_REVIEW.api_version,
                    "kind": SELF_SUBJECT_ACCESS_REVIEW.kind,
                    "spec": {"resourceAttributes": asked},
                }
                answer = self.connection.create(SELF_SUBJECT_ACCESS_REVIEW, body, dry_run=False)
                if (answer.get("status") or {}).get("allowed") is False:
                    what = resource.plural + (f".{resource.group}" if resource.group else "")
                    raise CdiError(f'Cannot upload into namespace {namespace}: the account may not {verb} {what} there; grant the verb "{verb}" on {what}.')
            self._allowed.add(namespace)

    def refuse_users(self, item: Item) -> None:
        """Raises CdiError while somebody uses the data that are about to be deleted."""
        if item.upload["when_in_use"] == "fail":
            UserReader(self.connection, self.task.warn, [item.key]).refuse(item.what, item.key)

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
    if not session.check_mode:
        item.made = item.volume["metadata"]["uid"]
        item.done(rules.EMPTIED if item.action == rules.DELETED else rules.CREATED)


def replace(session: Session, item: Item, why: str) -> None:
    """Delete the target with its data, as the user said or because nothing but an unfinished upload is in it, and make it anew.

    Nothing is deleted that belongs to something else or is in use, or that the API server would not let us make again.
    """
    namespace, name = item.key
    stored = t.cast(Object, item.claim if item.volume is None else item.volume)
    rules.refuse_owned(_resource(item).kind, stored)
    session.refuse_users(item)
    claim = rules.recreated_claim(stored) if item.volume is None else None
    try_out(session, _resource(item), t.cast(Object, claim or item.wanted))
    session.progress.say(item.title, f"replacing it: {why}")
    session.connection.delete(_resource(item), name, namespace, dry_run=session.check_mode, uid=stored["metadata"]["uid"])
    if session.check_mode:
        return
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
                was_replaced = item.action == rules.EMPTIED or item.plan == rules.REPLACE
                item.volume = item.claim = None
                item.action, item.changed, item.diff = (rules.DELETED, True, item.diff) if was_replaced else (rules.ACTION_LABELS[rules.NOTHING], False, {})
                before = " The one before it was deleted with its data." if was_replaced else ""
                return f"DataVolume {item.title}, which the task had created, was deleted again.{before}"
        except CdiError as exc:
            return f"DataVolume {item.title}, which the task has created, remains: {exc}"
    left = rules.LEFT_BEHIND.get(item.action)
    return f"{left.format(what=item.what)}." if left and not item.may_finish else ""


def _is_anothers(item: Item, volume: Object, claim: Object | None) -> bool:
    """Whether somebody else has filled the volume, or is about to."""
    return rules.is_populated(volume, None) or annotations(claim).get(rules.INTENDED) not in (None, item.digest)


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
        all_sent = answer.status in _NO_REFUSAL and item.bytes_sent == item.source.sent_size
        item.may_finish = all_sent or (item.may_finish and answer.status in (0, *_NOTHING_TAKEN))
        may_be_taken = may_be_taken or item.may_finish
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
            told, item.may_finish = verdict.reason, False
        elif rules.is_full(answer.text) and remains and item.volume is not None and attempts <= session.task.params["retries"]:
            # What a killed server has written of a raw disk stays, and the next takes it for lost space. Nothing else is in there.
            replace(session, item, told)
            remains = False
            continue
        elif not rules.is_worth_a_retry(answer.status, answer.text):
            raise CdiError(f"The upload of {item.upload['path']} into {item.title} failed: {told}.{rules.remedy(answer.status, answer.text, item.image)}")
        remains = remains or item.bytes_sent > 0
        if remains and item.action not in (rules.CREATED, rules.EMPTIED):
            item.done(rules.BEGUN_ACTION)
    else:
        if not may_be_begun:
            _forget(session, item)
        raise CdiError(f"The upload of {item.upload['path']} into {item.title} failed after {attempts} attempts; last error: {told}.{_warnings(session, item)}")
    if item.volume is not None:
        item.volume = session.connection.get(DATA_VOLUME, item.key[1], item.key[0])
    item.claim = annotate(session, item, {rules.UPLOADED: item.digest, rules.BEGUN: None})
    item.done(rules.ACTION_LABELS[item.plan])
    session.progress.say(item.title, "done")


def _forget(session: Session, item: Item) -> None:
    """Take back what the target was meant to hold: the next run would take what somebody else fills it with for that."""
    if annotations(item.claim).get(rules.INTENDED) == item.digest:
        item.claim = annotate(session, item, {rules.INTENDED: None, rules.BEGUN: None})


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
    if outcome.verdict.state != REACHED or outcome.object is None:
        how = "cannot take the upload" if outcome.verdict.state == FAILED else f"is not ready for the upload after {session.timeout} s"
        raise CdiError(f"{_resource(item).kind} {item.title} {how}: {outcome.verdict.reason}.{_warnings(session, item)}")
    item.claim = session.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
    intended = annotations(item.claim).get(rules.INTENDED)
    if intended is None and not _is_populated(item, outcome.object):
        begun = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        item.claim = annotate(session, item, {rules.INTENDED: item.digest, rules.BEGUN: begun})
    if intended not in (None, item.digest):
        raise CdiError(f"Another task is uploading a different file (SHA-256 {intended}) into {item.title}; wait for its end, and run the task again to compare.")
    return outcome.object


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
    token = (session.connection.create(UPLOAD_TOKEN_REQUEST, body, namespace, dry_run=False).get("status") or {}).get("token")
    if not token:
        raise CdiError(f"CDI gave no upload token for {item.title}; see that Deployment cdi-apiserver runs, and run the task again.")
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
        session.connection, _resource(item), namespace, [name], lambda _name, stored: finish.judge(stored), time.monotonic() + session.timeout
    )[name]
    if outcome.verdict.state not in (REACHED, FAILED):
        raise CdiError(
            f"{_resource(item).kind} {item.title} is not filled {session.timeout} s after its last byte was sent: {outcome.verdict.reason}."
            f"{_warnings(session, item)}"
        )
    return outcome.verdict
