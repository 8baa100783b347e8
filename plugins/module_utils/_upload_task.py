# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Uploads files into volumes: what is there is compared before a byte moves, what was sent is proven afterwards."""

from __future__ import annotations

import hashlib
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from . import _data_volume as data_volume
from . import _diagnosis as diagnosis
from . import _upload as rules
from ._apply import normalise, shown, write
from ._argspec import ArgumentSpec
from ._clone import annotations
from ._connection import Object
from ._errors import ApiError, CdiError, NotServed
from ._image import Image, inspect
from ._module import Task
from ._overhead import required_space
from ._preallocation import preallocation_facts
from ._resources import CDI_CONFIG, DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, UPLOAD_TOKEN_REQUEST, Resource
from ._surroundings import Lookout
from ._upload_progress import Progress
from ._upload_transport import Answer, Route, Unreachable, find_route, send
from ._wait import FAILED, REACHED, Closer, Verdict, wait_for, wait_gone

_OPTIONS: dict[str, t.Any] = {
    **rules.OPTIONS,
    "checksum": {"type": "str"},
    "overwrite": {"type": "str", "choices": ["never", "different", "always"], "default": "never"},
}
_REQUIRED = {"name": {"type": "str", "required": True}, "path": {"type": "path", "required": True, "aliases": ["src"]}}
SPEC = ArgumentSpec(
    {
        "name": {"type": "str"},
        "path": {"type": "path", "aliases": ["src"]},
        **_OPTIONS,
        "uploads": {"type": "list", "elements": "dict", "options": {**_REQUIRED, **_OPTIONS}},
        "parallel": {"type": "int", "default": 2},
        "retries": {"type": "int", "default": 4},
        "upload_proxy_url": {"type": "str"},
        "upload_proxy_ca": {"type": "str"},
        "cdi_namespace": {"type": "str"},
        "progress_file": {"type": "path"},
        "wait_timeout": {"type": "int", "default": 600},
    },
    required_one_of=[("name", "uploads")],
    mutually_exclusive=[("name", "uploads"), ("path", "uploads")],
    required_by={"name": ["path"]},
)
# CDI's tokens live for 300 s and are looked at when a request begins (pkg/token/token.go, v1.65.0).
_TOKEN_SECONDS = 240
_HASH_BYTES = 1024 * 1024
_LONGEST_PAUSE_SECONDS = 16


@dataclass
class _Item:
    """One file on its way through the task."""

    upload: dict[str, t.Any]
    volume: Object | None = None
    claim: Object | None = None
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

    @property
    def key(self) -> tuple[str, str]:
        return self.upload["namespace"], self.upload["name"]

    @property
    def title(self) -> str:
        return "/".join(self.key)


def uploads_of(params: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """The uploads of the task; an item without a namespace is in the task's."""
    uploads = params["uploads"] if params["uploads"] is not None else [params]
    return [{**upload, "namespace": upload["namespace"] or params["namespace"] or "default"} for upload in uploads]


def check(params: dict[str, t.Any]) -> None:
    seen = set()
    for upload in uploads_of(params):
        rules.check(upload)
        key = (upload["namespace"], upload["name"])
        if key in seen:
            raise CdiError(f"uploads has {'/'.join(key)} twice; leave one of them out.")
        seen.add(key)
    for option, least in (("parallel", 1), ("retries", 0), ("wait_timeout", 1)):
        if params[option] < least:
            raise CdiError(f"{option} is {params[option]}; give at least {least}.")


def run(task: Task) -> dict[str, t.Any]:
    started = time.monotonic()
    items = [_Item(upload) for upload in uploads_of(task.params)]
    _read(task, items)
    with Progress(task.params["progress_file"]) as progress, ThreadPoolExecutor(task.params["parallel"]) as pool:
        session = _Session(task, progress)
        list(pool.map(lambda item: _guarded(item, lambda: _upload(session, item)), items))
    results = [_result(item) for item in items]
    facts: dict[str, t.Any] = {"changed": any(item.changed for item in items), "duration": round(time.monotonic() - started, 1)}
    if task.params["uploads"] is None:
        facts.update(results[0])
    else:
        facts["uploads"] = results
        facts["diff"] = [{"before_header": item.title, "after_header": item.title, **item.diff} for item in items if item.diff]
    errors = [item.error for item in items if item.error]
    if errors:
        raise CdiError(" ".join(errors), **facts)
    return facts


def _guarded(item: _Item, step: t.Callable[[], None]) -> None:
    """One file's error must not hide the others' results."""
    try:
        step()
    except CdiError as exc:
        item.error = str(exc)
    except OSError as exc:
        item.error = f"Cannot read {item.upload['path']} on the host that runs this task: {exc.strerror or exc}; correct path."


def _read(task: Task, items: list[_Item]) -> None:
    """One target is read by two GETs, several by two LISTs of each namespace."""
    for resource, attribute in ((DATA_VOLUME, "volume"), (PERSISTENT_VOLUME_CLAIM, "claim")):
        try:
            if len(items) == 1:
                setattr(items[0], attribute, task.connection.get(resource, items[0].key[1], items[0].key[0]))
                continue
            found: dict[tuple[str, str], Object] = {}
            for namespace in sorted({item.key[0] for item in items}):
                stored, _version = task.connection.list(resource, namespace)
                found.update(((namespace, target["metadata"]["name"]), target) for target in stored)
            for item in items:
                setattr(item, attribute, found.get(item.key))
        except NotServed:
            # Check mode predicts what an earlier task would have made possible.
            if not task.check_mode:
                raise


class _Session:
    """What the uploads of one task share: the connection, the progress file, and the way to the proxy, which is looked for once."""

    def __init__(self, task: Task, progress: Progress) -> None:
        self.task, self.progress = task, progress
        self.connection, self.check_mode = task.connection, task.check_mode
        self.timeout = task.params["wait_timeout"]
        self._lock = threading.Lock()
        self._route: Route | None = None
        self._overheads: Object | None = None

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
        with self._lock:
            if self._overheads is None:
                status = (self.connection.get(CDI_CONFIG, "config") or {}).get("status") or {}
                self._overheads = status.get("filesystemOverhead") or {}
        name = target.get("storage_class_name") or target.get("storageClassName")
        return float((self._overheads.get("storageClass") or {}).get(name) or self._overheads.get("global") or 0.06)


def _upload(session: _Session, item: _Item) -> None:
    """Decide, make the target, send, and see it through."""
    if _holds_checksum(item):
        return
    if item.volume is None and item.claim is not None and data_volume.goes_away(item.claim):
        if not session.check_mode:
            wait_gone(session.connection, PERSISTENT_VOLUME_CLAIM, *item.key, session.timeout)
        item.claim = None
    item.image = inspect(item.upload["path"])
    if item.upload["checksum"] or item.volume is not None or item.claim is not None:
        item.digest = _sha256(session, item)
    item.wanted, drift = _wanted(session, item)
    item.action, item.reason = rules.plan(item.upload, item.digest, item.volume, item.claim, drift)
    item.changed = item.action != rules.NOTHING
    before = _held(item)
    if item.action == rules.NOTHING:
        _label(session, item)
        return
    if item.action == rules.RECORD:
        item.claim = _annotate(session, item, {rules.UPLOADED: item.digest})
    elif item.action == rules.REPLACE:
        _replace(session, item, item.reason)
    elif item.action == rules.CREATE:
        _create(session, item)
        # CDI makes the volume meanwhile.
        item.digest = item.digest or _sha256(session, item)
    item.diff = {"before": {"sha256": before}, "after": {"sha256": item.digest}}
    if item.action != rules.RECORD and not session.check_mode:
        _send(session, item)


def _wanted(session: _Session, item: _Item) -> tuple[Object | None, list[str]]:
    """The DataVolume to have and what differs from the stored one; an existing claim is only checked."""
    image = t.cast(Image, item.image)
    if item.volume is None and item.claim is not None:
        _check_claim(session, item, image, item.claim)
        return None, []
    by_claim = item.upload["pvc"] or ((item.volume or {}).get("spec") or {}).get("pvc")
    wanted = rules.wanted_volume(item.upload, image, session.overhead(by_claim) if by_claim else 0.0, item.volume)
    if item.volume is None:
        return wanted, []
    drift = data_volume.spec_drift(wanted, item.volume)
    has_grown = drift.grows_to is not None and item.claim is not None and rules.claim_size(item.claim) >= drift.grows_to
    return wanted, [] if has_grown else drift.lines


def _holds_checksum(item: _Item) -> bool:
    """Whether the target is known to hold the file with the given checksum: then the file is not even read."""
    checksum = item.upload["checksum"]
    if not checksum or item.upload["overwrite"] == "always" or any(item.upload[target] for target in ("storage", "pvc")):
        return False
    item.digest = rules.digest_of(checksum)
    populated = rules.is_populated(item.volume, item.claim) and (item.volume or item.claim) is not None
    return populated and annotations(item.claim).get(rules.UPLOADED) == item.digest


def _sha256(session: _Session, item: _Item) -> str:
    """The digest of the file, compared with the checksum that was given."""
    session.progress.say(item.title, f"reading {item.upload['path']}")
    digest = hashlib.sha256()
    with open(item.upload["path"], "rb", buffering=0) as file:
        while chunk := file.read(_HASH_BYTES):
            digest.update(chunk)
    found, checksum = digest.hexdigest(), item.upload["checksum"]
    if checksum and found != rules.digest_of(checksum):
        raise CdiError(f"{item.upload['path']} has the checksum sha256:{found} and not {checksum.lower()}; give the right file or the right checksum. Nothing was sent.")
    return found


def _check_claim(session: _Session, item: _Item, image: Image, claim: Object) -> None:
    """An existing claim has to be of the file's kind and large enough."""
    archive = rules.content_type(item.upload, image) == "archive"
    if rules.is_archive_claim(claim) != archive and rules.populated_by_source(claim) is None:
        raise CdiError(
            f"PersistentVolumeClaim {item.title} is for {'an archive' if not archive else 'a disk image'}, and {item.upload['path']} is none; "
            "give the other kind of file, or change the claim's annotation cdi.kubevirt.io/storage.contentType."
        )
    if image.needed_size is not None:
        needed = required_space(image.needed_size, session.overhead(claim["spec"]), ())
        rules.refuse_too_small(item.upload, image, rules.claim_size(claim), needed, "the claim's size is too small")


def _label(session: _Session, item: _Item) -> None:
    """Labels and annotations can change on a volume that is there; those of others stay."""
    if item.volume is None:
        return
    metadata = item.volume["metadata"]
    missing = {
        kind: given
        for kind in ("labels", "annotations")
        if (given := {key: value for key, value in (item.upload[kind] or {}).items() if (metadata.get(kind) or {}).get(key) != value})
    }
    if missing:
        before = item.volume
        item.volume = session.connection.merge(DATA_VOLUME, item.key[1], item.key[0], {"metadata": missing}, dry_run=session.check_mode)
        item.changed, item.diff = True, {"before": {"metadata": normalise(before)["metadata"]}, "after": {"metadata": normalise(item.volume)["metadata"]}}


def _held(item: _Item) -> str | None:
    return annotations(item.claim).get(rules.UPLOADED) or annotations(item.claim).get(rules.INTENDED)


def _create(session: _Session, item: _Item) -> None:
    change = write(session.connection, DATA_VOLUME, t.cast(Object, item.wanted), None, check_mode=session.check_mode)
    item.volume, item.claim = change.object, None


def _replace(session: _Session, item: _Item, why: str) -> None:
    """Delete the target with its data, as the user said, and make it anew."""
    namespace, name = item.key
    session.progress.say(item.title, f"replacing it: {why}")
    stored = t.cast(Object, item.claim if item.volume is None else item.volume)
    rules.refuse_owned(_resource(item).kind, stored)
    claim = rules.new_life(stored) if item.volume is None else None
    session.connection.delete(_resource(item), name, namespace, dry_run=session.check_mode, uid=stored["metadata"]["uid"])
    if session.check_mode:
        return
    for kind in (DATA_VOLUME, PERSISTENT_VOLUME_CLAIM):
        wait_gone(session.connection, kind, namespace, name, session.timeout)
    if claim is None:
        _create(session, item)
    else:
        item.claim = write(session.connection, PERSISTENT_VOLUME_CLAIM, claim, None, check_mode=False).object


def _annotate(session: _Session, item: _Item, annotations_: dict[str, str]) -> Object:
    namespace, name = item.key
    return session.connection.merge(PERSISTENT_VOLUME_CLAIM, name, namespace, {"metadata": {"annotations": annotations_}}, dry_run=session.check_mode)


def _send(session: _Session, item: _Item) -> None:
    """Send until CDI has taken it, each time from the first byte: its upload server keeps nothing of a broken attempt."""
    token, token_time, told = "", 0.0, ""
    sent_before = annotations(item.claim).get(rules.INTENDED) == item.digest
    if item.claim is not None:
        # Nobody who waits for a consumer could take the bytes.
        item.claim = _annotate(session, item, {rules.INTENDED: item.digest, data_volume.BIND_IMMEDIATELY: "true"})
    for attempt in range(session.task.params["retries"] + 1):
        if attempt:
            item.retries = attempt
            session.progress.say(item.title, f"trying again: {told}")
            time.sleep(min(2 ** (attempt - 1), _LONGEST_PAUSE_SECONDS))
        target = _ready(session, item)
        if _is_populated(item, target):
            if attempt or sent_before:
                break  # CDI had taken all of an attempt before, although its answer got lost.
            raise CdiError(f"{_resource(item).kind} {item.title} has been filled by somebody else meanwhile; run the task again to compare.")
        if not token or time.monotonic() - token_time > _TOKEN_SECONDS:
            token, token_time = _token(session, item), time.monotonic()
        answer = _attempt(session, item, token)
        if answer.status == 401:
            token = ""
        if answer.status == 200:
            verdict = _finish(session, item, target)
            if verdict.state == REACHED:
                break
            told = verdict.reason
        else:
            told = rules.told(answer.status, answer.text)
            if rules.is_full(answer.text) and (attempt or sent_before) and item.volume is not None:
                # What a killed server has written of a raw disk stays, and the next takes it for lost space. Nothing else is in there.
                _replace(session, item, told)
                continue
            if not rules.is_worth_a_retry(answer.status, answer.text):
                raise CdiError(f"The upload of {item.upload['path']} into {item.title} failed: {told}.{rules.remedy(answer.text)}")
    else:
        raise CdiError(f"The upload of {item.upload['path']} into {item.title} failed {attempt + 1} times, at last because {told}.{_warnings(session, item)}")
    if item.volume is not None:
        item.volume = session.connection.get(DATA_VOLUME, item.key[1], item.key[0])
    item.claim = _annotate(session, item, {rules.UPLOADED: item.digest})
    session.progress.say(item.title, "done")


def _resource(item: _Item) -> Resource:
    return PERSISTENT_VOLUME_CLAIM if item.volume is None else DATA_VOLUME


def _is_populated(item: _Item, target: Object) -> bool:
    return rules.is_populated(None, target) if item.volume is None else rules.is_populated(target, None)


def _ready(session: _Session, item: _Item) -> Object:
    """Wait until the upload server listens. What the target is meant to hold is written down before."""
    namespace, name = item.key
    session.progress.say(item.title, "waiting for the upload server")
    volume = rules.declared(item.upload)

    def judge(_name: str, stored: Object | None) -> Verdict:
        return rules.judge_claim_ready(stored) if item.volume is None else diagnosis.judge(volume, stored)

    lookout = Lookout(session.connection, namespace)

    def look(quiet: dict[str, Object | None], seconds: float) -> dict[str, Verdict]:
        around = lookout.look(quiet.values(), seconds)
        return {each: diagnosis.judge(volume, stored, around) for each, stored in quiet.items()}

    closer = None if item.volume is None else Closer(diagnosis.moved, look)
    outcome = wait_for(session.connection, _resource(item), namespace, [name], judge, time.monotonic() + session.timeout, closer)[name]
    if outcome.verdict.state != REACHED or outcome.object is None:
        how = "cannot take the upload" if outcome.verdict.state == FAILED else f"is not ready for the upload after {session.timeout} s"
        raise CdiError(f"{_resource(item).kind} {item.title} {how}: {outcome.verdict.reason}.{_warnings(session, item)}")
    if annotations(item.claim).get(rules.INTENDED) != item.digest:
        item.claim = _annotate(session, item, {rules.INTENDED: item.digest})
    return outcome.object


def _warnings(session: _Session, item: _Item) -> str:
    if item.volume is None:
        return ""
    around = Lookout(session.connection, item.key[0]).look([item.volume])
    told = diagnosis.warnings_about(item.volume, around, diagnosis.explain(item.volume, around, late=True) or {"message": ""})
    return f" Warnings: {'; '.join(told)}." if told else ""


def _token(session: _Session, item: _Item) -> str:
    namespace, name = item.key
    body = {
        "apiVersion": UPLOAD_TOKEN_REQUEST.api_version,
        "kind": UPLOAD_TOKEN_REQUEST.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"pvcName": name},
    }
    return str(session.connection.create(UPLOAD_TOKEN_REQUEST, body, namespace, dry_run=False)["status"]["token"])


def _attempt(session: _Session, item: _Item, token: str) -> Answer:
    image = t.cast(Image, item.image)
    route = session.route()
    item.transport = route.name
    started = time.monotonic()

    def progress(sent: int) -> None:
        item.bytes_sent = sent
        session.progress.sent(item.title, sent, image.file_size, time.monotonic() - started)

    try:
        return send(route, token, item.upload["path"], image.file_size, item.digest, progress)
    except (Unreachable, ApiError) as exc:
        return Answer(0, str(exc))
    finally:
        item.seconds = time.monotonic() - started


def _finish(session: _Session, item: _Item, target: Object) -> Verdict:
    """Wait until CDI has made a disk of what it was sent."""
    session.progress.say(item.title, "sent; CDI writes the disk")
    namespace, name = item.key
    finish = rules.Finish(target, is_claim=item.volume is None)
    outcome = wait_for(
        session.connection, _resource(item), namespace, [name], lambda _name, stored: finish.judge(stored), time.monotonic() + session.timeout
    )[name]
    if outcome.verdict.state not in (REACHED, FAILED):
        raise CdiError(
            f"{_resource(item).kind} {item.title} is not filled {session.timeout} s after its last byte was sent: {outcome.verdict.reason}.{_warnings(session, item)}"
        )
    return outcome.verdict


def _result(item: _Item) -> dict[str, t.Any]:
    namespace, name = item.key
    image, seconds = item.image, item.seconds
    result = {
        "name": name,
        "namespace": namespace,
        "changed": item.changed,
        "action": rules.TOLD[item.action],
        "reason": item.reason,
        "sha256": item.digest,
        "format": image.format if image else None,
        "compression": image.compression if image else None,
        "virtual_size": image.virtual_size if image else None,
        "file_size": image.file_size if image else None,
        "bytes_sent": item.bytes_sent,
        "seconds": round(seconds, 2),
        "mib_per_second": round(item.bytes_sent / seconds / 1048576, 1) if seconds else None,
        "transport": item.transport,
        "retries": item.retries,
        "phase": ((item.volume or {}).get("status") or {}).get("phase"),
        "preallocation": preallocation_facts(item.volume, item.claim),
        "data_volume": shown(item.volume),
        "persistent_volume_claim": shown(item.claim),
        "diff": item.diff,
    }
    return {**result, "error": item.error} if item.error else result
