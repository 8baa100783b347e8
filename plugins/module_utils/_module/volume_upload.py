# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads files into volumes: the target is compared before a byte is sent, and the result is verified afterwards."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._ansible.argspec import CREATE_NAMESPACE, PROGRESS, WHEN_IN_USE, ArgumentSpec
from .._ansible.batch import find, options_of
from .._ansible.module import Task
from .._data_volume import spec as data_volume
from .._data_volume.claim_adoption import is_terminating
from .._data_volume.collected import as_volume, collected_drift, is_collected, will_be_collected
from .._data_volume.preallocation import preallocation_facts
from .._data_volume.volume import NOT_READ
from .._diagnosis.rules import BEGUN, UPLOADED
from .._disk.spool import Spool
from .._image.formats import Image
from .._kubernetes.compare import for_result, normalise
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.quantity import MIB
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from .._storage.claims import Planned
from .._storage.overhead import NO_OVERHEAD, required_space
from .._upload import options as upload_options
from .._upload.changes import annotate, clean_up, create, replace
from .._upload.content import verify_content
from .._upload.encoding import AUTO, FILE, STREAMS, choose
from .._upload.options import OPTIONS, declared, digest_of
from .._upload.outcome import File, Outcome, Steps, Target, followed
from .._upload.paths import files_of, named
from .._upload.plan import ACTION_LABELS, CREATE, NOTHING, RECORD, REPLACE, SEND, Plan, is_as_requested, plan
from .._upload.reading import complete, inspected, with_digest, with_survey
from .._upload.sender import send_until_taken
from .._upload.session import OUTSIDE, Outside, Session
from .._upload.target import claim_size, is_archive_claim, is_populated, populated_by_source, recorded_digest
from .._upload.url import is_url
from .._upload.wanted import INSTALL_ZSTD, NO_ZSTD, content_type, refuse_too_small, wanted_volume

_OPTIONS: dict[str, t.Any] = {
    **OPTIONS,
    "checksum": {"type": "str"},
    "format": {"type": "str", "choices": ["auto", "raw"], "default": "auto"},
    "encoding": {"type": "str", "choices": [AUTO, FILE, *STREAMS], "default": AUTO},
    "verify_content": {"type": "bool", "default": False},
    "overwrite": {"type": "str", "choices": ["never", "different", "always"], "default": "never"},
    **WHEN_IN_USE,
    "on_failure": {"type": "str", "choices": ["delete", "keep"], "default": "delete"},
}
_REQUIRED = {"name": {"type": "str", "required": True}, "path": {"type": "path", "required": True, "aliases": ["src"]}}
SPEC = PROGRESS + ArgumentSpec(
    {
        "name": {"type": "str"},
        "path": {"type": "path", "aliases": ["src"]},
        **_OPTIONS,
        "uploads": {"type": "list", "elements": "dict", "options": {**_REQUIRED, **_OPTIONS}},
        "paths": {"type": "list", "elements": "path"},
        "parallel": {"type": "int", "default": 2},
        "retries": {"type": "int", "default": 4},
        "upload_proxy_url": {"type": "str"},
        "upload_proxy_ca": {"type": "str"},
        "cdi_namespace": {"type": "str"},
        "wait_timeout": {"type": "int", "default": 600},
        **CREATE_NAMESPACE.options,
    },
    required_one_of=[("name", "uploads", "paths")],
    mutually_exclusive=[("name", "uploads", "paths"), ("path", "uploads", "paths")],
    required_by={"name": ["path"]},
)


def check(params: dict[str, t.Any]) -> None:
    """Refuse options that can never work, before any request. Raises CdiError."""
    if params["paths"] is None:
        for upload in options_of(params, "uploads"):
            upload_options.check(upload_options.stripped(upload))
    elif params["checksum"] is not None:
        raise CdiError("checksum is that of one file, and paths is set; set uploads, each with its checksum, instead.")
    elif url := next(filter(is_url, params["paths"]), None):
        raise CdiError(f"paths contains the URL {url}, and only files are searched for; set it in uploads with a name.")
    for option, least in (("parallel", 1), ("retries", 0), ("wait_timeout", 1)):
        if params[option] < least:
            raise CdiError(f"{option} is {params[option]}; give at least {least}.")


def run(task: Task, outside: Outside = OUTSIDE) -> dict[str, t.Any]:
    """The result of the module, which an error contains, too."""
    started = time.monotonic()
    if task.params["paths"] is not None:
        task = task._replace(params=_with_found(task.params))
        check(task.params)
    outcomes = _read(task)
    with ThreadPoolExecutor(task.params["parallel"]) as pool:
        session = Session(task, outside)
        outcomes = list(pool.map(lambda outcome: _upload(session, outcome), outcomes))
    results = [_result(task, outcome) for outcome in outcomes]
    changed = any(outcome.changed for outcome in outcomes) or bool(session.preflight.created_namespaces)
    facts: dict[str, t.Any] = {"changed": changed, "duration": round(time.monotonic() - started, 1)}
    facts["created_namespaces"] = session.preflight.created_namespaces
    if task.params["uploads"] is None:
        facts.update({**results[0], "changed": changed})
    else:
        facts["uploads"] = results
        facts["diff"] = [
            {"before_header": outcome.target.title, "after_header": outcome.target.title, **outcome.diff}
            for outcome in outcomes
            if outcome.diff
        ]
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if errors:
        raise CdiError(" ".join(errors), **facts)
    return facts


def _with_found(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """The options with `uploads` in place of `paths`. Raises CdiError."""
    same = {option: params[option] for option in _OPTIONS}
    files = named(files_of(params["paths"]))
    return {**params, "paths": None, "uploads": [{**same, "name": name, "path": path} for name, path in files.items()]}


def _read(task: Task) -> list[Outcome]:
    """The uploads with their targets.

    If those cannot be read, that is the error of the uploads into their namespace.
    """
    uploads = [upload_options.stripped(upload) for upload in options_of(task.params, "uploads", task.connection)]
    keys = [(upload["namespace"], upload["name"]) for upload in uploads]
    volumes = find(task, keys, DATA_VOLUME, needed=True)
    claims = find(task, [key for key in keys if key not in volumes.errors], PERSISTENT_VOLUME_CLAIM, needed=True)
    errors = {**volumes.errors, **claims.errors}
    return [
        Outcome(
            upload,
            Target(key, volumes.objects.get(key), claims.objects.get(key, NOT_READ)),
            error=errors.get(key, ""),
        )
        for key, upload in zip(keys, uploads, strict=True)
    ]


def _upload(session: Session, outcome: Outcome) -> Outcome:
    """One upload. Its error is in the outcome, with what it left behind, and does not hide the results of others."""
    if outcome.error:
        return outcome
    with Spool() as spool:
        outcome, error = followed(upload_one(session, outcome, None if session.check_mode else spool), outcome)
    if error is None:
        return outcome
    left = ""
    if not session.check_mode:
        outcome, left = clean_up(session, outcome)
    changed = outcome.changed or bool(error.result.get("changed"))  # What may have been written counts as written.
    return outcome._replace(error=f"{error} {left}".rstrip(), changed=changed)


def upload_one(session: Session, outcome: Outcome, spool: Spool | None) -> Steps:
    """Decide, create or replace the target, and send until CDI has taken the data."""
    outcome = outcome._replace(target=_wait_terminated(session, outcome.target))
    yield outcome
    expected = _expected_digest(outcome)
    if expected and _contains(outcome.target, expected):
        return _label(session, outcome._replace(digest=expected, sha256=expected))
    file = yield from _read_file(session, outcome, spool)
    outcome = outcome._replace(image=file.image, digest=file.digest, sha256=file.sha256)
    yield outcome
    wanted, drift = _wanted(session, outcome, file.image)
    target = outcome.target
    planned = plan(outcome.upload, file.digest, target.volume, target.known_claim, drift)
    outcome = outcome._replace(reason=planned.reason)
    yield outcome
    before = recorded_digest(target.known_claim)
    if planned.step != NOTHING and (outcome.upload["encoding"] in STREAMS or outcome.upload["verify_content"]):
        file = with_survey(outcome.upload, file, _says(session, outcome))
        choose(outcome.upload, file.image, file.survey)  # Refused before anything is written.
    file = yield from _check_before_writing(session, outcome, file, planned, wanted, spool)
    if planned.step in (NOTHING, RECORD, SEND):
        outcome = _label(session, outcome)
        yield outcome
    if planned.step == NOTHING:
        return outcome
    if planned.step == RECORD:
        if not session.check_mode:
            outcome = verify_content(session, outcome, file)
        claim = annotate(session, outcome.target, {UPLOADED: file.digest, BEGUN: None})
        outcome = outcome.with_target(claim=claim).done(ACTION_LABELS[RECORD])
    elif planned.step == REPLACE:
        outcome = yield from replace(session, outcome, planned.reason, wanted)
    elif planned.step == CREATE:
        outcome = create(session, outcome, t.cast(Object, wanted))
        yield outcome
        # While CDI makes the volume. A URL is not fetched for a prediction that does not depend on it.
        if not file.digest and not (session.check_mode and is_url(outcome.upload["path"])):
            file = with_digest(outcome.upload, file, None, _says(session, outcome))
    outcome = outcome._replace(digest=file.digest, sha256=file.sha256)
    outcome = outcome.with_diff("before", digest=before).with_diff("after", digest=file.digest)
    yield outcome
    action = ACTION_LABELS[planned.step]
    if planned.step != RECORD:
        file = with_survey(outcome.upload, file, _says(session, outcome))
        encoding = choose(outcome.upload, file.image, file.survey)
        outcome = outcome._replace(encoding=encoding, sha256=file.sha256)
        yield outcome
    if session.check_mode:
        return outcome.done(action)
    if planned.step != RECORD:
        outcome = yield from send_until_taken(session, outcome, file, wanted, action)
    return outcome


def _says(session: Session, outcome: Outcome) -> t.Callable[[str], None]:
    return lambda text: session.progress.say(outcome.target.title, text)


def _wait_terminated(session: Session, target: Target) -> Target:
    """The target without objects that are being deleted."""
    namespace, name = target.key
    if target.volume is not None and target.volume["metadata"].get("deletionTimestamp"):
        if not session.check_mode:
            session.wait_gone(DATA_VOLUME, target.key)
            target = target._replace(claim=session.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace))
        target = target._replace(volume=None)
    claim = target.known_claim
    if target.volume is None and claim is not None and is_terminating(claim):
        if not session.check_mode:
            session.wait_gone(PERSISTENT_VOLUME_CLAIM, target.key)
        target = target._replace(claim=None)
    return target


def _expected_digest(outcome: Outcome) -> str:
    """The digest in `checksum`, empty if the file has to be read in any case."""
    upload = outcome.upload
    if not upload["checksum"] or upload["overwrite"] == "always":
        return ""
    return digest_of(upload["checksum"]) if is_as_requested(upload, outcome.target.volume) else ""


def _contains(target: Target, digest: str) -> bool:
    """Whether the target is known to contain the file with this digest: then the file is not even read."""
    claim = target.known_claim
    return target.exists and is_populated(target.volume, claim) and annotations_of(claim).get(UPLOADED) == digest


def _read_file(session: Session, outcome: Outcome, spool: Spool | None) -> t.Generator[Outcome, None, File]:
    """What the file is, and its digest where that decides. A compressed file that may be sent is decompressed while it
    is hashed, to verify that it is complete.
    """
    upload, target, say = outcome.upload, outcome.target, _says(session, outcome)
    is_open = not target.exists or not is_populated(target.volume, target.known_claim)
    file = inspected(upload, say, session.timeout, whole=is_open, spool=spool)
    image, path = file.image, file.path
    outcome = outcome._replace(image=image)
    yield outcome
    if image.format is None:
        session.task.warn(f"{path} was not checked before the upload, because {NO_ZSTD}; {INSTALL_ZSTD}.")
    if image.tail:
        session.task.warn(
            f"The last {image.tail} bytes of {path} follow the end of the compressed data, and are not sent."
        )
    if upload["checksum"] or target.exists or file.survey:
        file = with_digest(upload, file, recorded_digest(target.known_claim), say)
    return file


def _check_before_writing(
    session: Session, outcome: Outcome, file: File, planned: Plan, wanted: Object | None, spool: Spool | None
) -> t.Generator[Outcome, None, File]:
    """Nothing is deleted, created or labelled for a file that is damaged, without permissions, or without a route to
    CDI. Returns the file.
    """
    checked = file

    def check_all() -> None:
        nonlocal checked
        if planned.step == REPLACE and not (session.check_mode and is_url(outcome.upload["path"])):
            checked = complete(outcome.upload, file, _says(session, outcome), session.timeout, spool)
        if not session.check_mode:
            session.check_rights(outcome.key)
            session.route()
            if outcome.upload["verify_content"]:
                session.environment()

    if planned.step in (CREATE, REPLACE) and wanted is not None:
        claims = Planned(wanted, planned.step == REPLACE, outcome.upload["by_default"])
        session.preflight.require(claims, check_all)
    elif planned.step in (CREATE, SEND, REPLACE):
        check_all()
    yield outcome._replace(image=checked.image)
    return checked


def _wanted(session: Session, outcome: Outcome, image: Image) -> tuple[Object | None, data_volume.Drift]:
    """The requested DataVolume and its drift from the stored one; an existing claim is only checked."""
    upload, volume, claim = outcome.upload, outcome.target.volume, outcome.target.known_claim
    collected = as_volume(claim) if volume is None and claim is not None and is_collected(claim) else None
    if volume is None and claim is not None and collected is None:
        _check_claim(session, outcome, image, claim)
        return None, data_volume.Drift([])
    stored = collected or volume
    by_claim = upload["pvc"] or ((stored or {}).get("spec") or {}).get("pvc")
    wanted = wanted_volume(upload, image, session.overhead(by_claim) if by_claim else NO_OVERHEAD, stored)
    if collected:
        return wanted, collected_drift(declared(upload), t.cast(Object, claim))
    if volume is None:
        return wanted, data_volume.Drift([])
    drift = data_volume.spec_drift(data_volume.without_chosen(wanted, volume, claim), volume)
    has_grown = (
        drift.grows_to is not None
        and claim is not None
        and session.is_large_enough(claim, wanted["spec"], drift.grows_to)
    )
    return wanted, data_volume.Drift([]) if has_grown else drift


def _check_claim(session: Session, outcome: Outcome, image: Image, claim: Object) -> None:
    """Refuse a file that is of a different kind than an existing claim, or too large for it. Raises CdiError."""
    upload, title = outcome.upload, outcome.target.title
    for_archives = is_archive_claim(claim)
    is_archive = content_type(upload, image, for_archives=for_archives) == "archive"
    if for_archives != is_archive and populated_by_source(claim) is None:
        kind, other = ("an archive", "a disk image") if for_archives else ("a disk image", "an archive")
        raise CdiError(
            f"PersistentVolumeClaim {title} is for {kind}, but {upload['path']} is {other}; "
            "give the other kind of file, or change the claim's annotation cdi.kubevirt.io/storage.contentType."
        )
    if image.needed_size is not None:
        needed = required_space(image.needed_size, *session.overhead(claim["spec"]))
        finding, remedy = "the claim's size is too small", "give a larger claim"
        refuse_too_small(upload, image, claim_size(claim), needed, finding, remedy)


def _label(session: Session, outcome: Outcome) -> Outcome:
    """Set the requested labels and annotations of an existing DataVolume; others stay."""
    before = outcome.target.volume
    if before is None:
        return outcome
    missing = {}
    for kind in ("labels", "annotations"):
        stored = before["metadata"].get(kind) or {}
        requested = data_volume.texts(outcome.upload[kind])
        if differing := {key: value for key, value in requested.items() if stored.get(key) != value}:
            missing[kind] = differing
    if not missing:
        return outcome
    namespace, name = outcome.key
    try:
        after = session.connection.merge(
            DATA_VOLUME, name, namespace, {"metadata": missing}, dry_run=session.check_mode
        )
    except ApiError as exc:
        if not exc.not_found or not will_be_collected(before):
            raise
        return outcome.with_target(volume=None)  # CDI has deleted it since it was read.
    diff = {"before": {"metadata": normalise(before)["metadata"]}, "after": {"metadata": normalise(after)["metadata"]}}
    return outcome.with_target(volume=after)._replace(changed=True, diff=diff)


def _result(task: Task, outcome: Outcome) -> dict[str, t.Any]:
    target, image, transfer = outcome.target, outcome.image, outcome.transfer
    claim, (namespace, name) = target.known_claim, target.key
    preallocation = preallocation_facts(target.volume, claim)
    if outcome.changed and preallocation["ignored"]:
        task.warn(f"{target.what} is not preallocated: {preallocation['ignored']}")
    seconds = transfer.seconds
    collected = target.is_claim and is_collected(claim)
    result = {
        "name": name,
        "namespace": namespace,
        "changed": outcome.changed,
        "action": outcome.action,
        "reason": outcome.reason,
        "digest": outcome.digest,
        "sha256": outcome.sha256 or None,
        "format": image.format if image else None,
        "compression": image.compression if image else None,
        "virtual_size": image.virtual_size if image else None,
        "file_size": image.file_size if image else None,
        "encoding": outcome.encoding.name if outcome.encoding else None,
        "encoding_reason": outcome.encoding.reason if outcome.encoding else None,
        "content_sha256": outcome.content_sha256 or None,
        "bytes_sent": transfer.bytes_sent,
        "seconds": round(seconds, 2),
        "mib_per_second": round(transfer.bytes_sent / seconds / MIB, 1) if seconds else None,
        "transport": transfer.route,
        "retries": transfer.retries,
        "phase": "Succeeded" if collected else ((target.volume or {}).get("status") or {}).get("phase"),
        "collected": collected,
        "preallocation": preallocation,
        "data_volume": for_result(target.volume),
        "persistent_volume_claim": for_result(claim),
        "diff": outcome.diff,
    }
    return {**result, "error": outcome.error} if outcome.error else result
