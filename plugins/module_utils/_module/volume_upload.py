# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads files into volumes: what is there is compared before a byte moves, what was sent is proven afterwards."""

from __future__ import annotations

import hashlib
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._ansible.argspec import CREATE_NAMESPACE, PROGRESS, WHEN_IN_USE, ArgumentSpec
from .._ansible.batch import guarded, options_of, read
from .._ansible.module import Task
from .._data_volume import spec as data_volume
from .._data_volume.collected import as_volume, collected_drift, is_collected, will_be_collected
from .._data_volume.preallocation import preallocation_facts
from .._diagnosis.rules import BEGUN, UPLOADED
from .._image.file import FileIdentity, open_source, unreadable
from .._image.formats import Image, inspect
from .._kubernetes.compare import for_result, normalise
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from .._kubernetes.wait import wait_gone
from .._storage.claims import Planned
from .._storage.overhead import NO_OVERHEAD, required_space
from .._upload import plan as rules
from .._upload.sender import annotate, create, recorded_digest, replace, send_until_taken, settle_failure
from .._upload.session import Item, Session

_OPTIONS: dict[str, t.Any] = {
    **rules.OPTIONS,
    "checksum": {"type": "str"},
    "format": {"type": "str", "choices": ["auto", "raw"], "default": "auto"},
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
        "parallel": {"type": "int", "default": 2},
        "retries": {"type": "int", "default": 4},
        "upload_proxy_url": {"type": "str"},
        "upload_proxy_ca": {"type": "str"},
        "cdi_namespace": {"type": "str"},
        "wait_timeout": {"type": "int", "default": 600},
        **CREATE_NAMESPACE.options,
    },
    required_one_of=[("name", "uploads")],
    mutually_exclusive=[("name", "uploads"), ("path", "uploads")],
    required_by={"name": ["path"]},
)
_HASH_BYTES = 1024 * 1024


def check(params: dict[str, t.Any]) -> None:
    for upload in options_of(params, "uploads"):
        rules.check(rules.stripped(upload))
    for option, least in (("parallel", 1), ("retries", 0), ("wait_timeout", 1)):
        if params[option] < least:
            raise CdiError(f"{option} is {params[option]}; give at least {least}.")


def run(task: Task) -> dict[str, t.Any]:
    started = time.monotonic()
    items = [Item(rules.stripped(upload)) for upload in options_of(task.params, "uploads", task.connection)]
    for resource, attribute in ((DATA_VOLUME, "volume"), (PERSISTENT_VOLUME_CLAIM, "claim")):
        read(task, items, resource, attribute)
    with ThreadPoolExecutor(task.params["parallel"]) as pool:
        session = Session(task)
        list(pool.map(lambda item: guarded(item, lambda: _upload(session, item)), items))
    results = [_result(task, item) for item in items]
    changed = any(item.changed for item in items) or bool(session.preflight.created_namespaces)
    facts: dict[str, t.Any] = {"changed": changed, "duration": round(time.monotonic() - started, 1)}
    facts["created_namespaces"] = session.preflight.created_namespaces
    if task.params["uploads"] is None:
        facts.update({**results[0], "changed": changed})
    else:
        facts["uploads"] = results
        facts["diff"] = [
            {"before_header": item.title, "after_header": item.title, **item.diff} for item in items if item.diff
        ]
    errors = [item.error for item in items if item.error]
    if errors:
        raise CdiError(" ".join(errors), **facts)
    return facts


def _upload(session: Session, item: Item) -> None:
    """An error says what it leaves behind."""
    try:
        upload_one(session, item)
    except CdiError as exc:
        left = "" if session.check_mode else settle_failure(session, item)
        raise CdiError(f"{exc} {left}".rstrip(), **exc.result) from exc


def upload_one(session: Session, item: Item) -> None:
    """Decide, make the target, and send until CDI has taken it."""
    if item.volume is not None and item.volume["metadata"].get("deletionTimestamp"):
        if not session.check_mode:
            wait_gone(session.connection, DATA_VOLUME, *item.key, session.timeout)
            item.claim = session.connection.get(PERSISTENT_VOLUME_CLAIM, item.key[1], item.key[0])
        item.volume = None
    if item.volume is None and item.claim is not None and data_volume.is_terminating(item.claim):
        if not session.check_mode:
            wait_gone(session.connection, PERSISTENT_VOLUME_CLAIM, *item.key, session.timeout)
        item.claim = None
    if _holds_checksum(item):
        _label(session, item)
        return
    _look_at_file(session, item)
    item.wanted, drift = _wanted(session, item)
    item.plan, item.reason = rules.plan(item.upload, item.digest, item.volume, item.claim, drift)
    before = recorded_digest(item)
    if item.plan in (rules.CREATE, rules.REPLACE) and item.wanted is not None:
        planned = Planned(item.wanted, item.plan == rules.REPLACE, item.upload["by_default"])
        session.preflight.require(planned, lambda: _check_before_writing(session, item))
    elif item.plan in (rules.CREATE, rules.SEND, rules.REPLACE):
        _check_before_writing(session, item)
    if item.plan in (rules.NOTHING, rules.RECORD, rules.SEND):
        _label(session, item)
    if item.plan == rules.NOTHING:
        return
    if item.plan == rules.RECORD:
        item.claim = annotate(session, item, {UPLOADED: item.digest, BEGUN: None})
        item.done(rules.ACTION_LABELS[rules.RECORD])
    elif item.plan == rules.REPLACE:
        replace(session, item, item.reason)
    elif item.plan == rules.CREATE:
        create(session, item)
        # CDI makes the volume meanwhile.
        item.digest = item.digest or _sha256(session, item)
    for side, digest in (("before", before), ("after", item.digest)):
        item.diff[side] = {**item.diff.get(side, {}), "sha256": digest}
    if session.check_mode:
        item.done(rules.ACTION_LABELS[item.plan])
    elif item.plan != rules.RECORD:
        send_until_taken(session, item)


def _look_at_file(session: Session, item: Item) -> None:
    """What the file is, and its digest where that decides. A packed file that may be sent is unpacked while it is hashed, to see that it is whole."""
    path, insist = item.upload["path"], item.upload["format"] == "raw"
    item.identity, item.digest = FileIdentity.of(path), ""  # What `checksum` says is not known to be so.
    exists = item.volume is not None or item.claim is not None
    if exists and rules.is_populated(item.volume, item.claim):
        item.image = _inspected(path, None, insist)
    else:
        digest = hashlib.sha256()
        session.progress.say(item.title, f"reading {path}")
        item.image = _inspected(path, digest.update, insist)
        if item.image.compression:
            item.digest = _checked(item, digest.hexdigest())
    if item.image.format is None:
        session.task.warn(f"{path} was not checked before the upload, because {rules.NO_ZSTD}; {rules.INSTALL_ZSTD}.")
    if item.image.tail:
        session.task.warn(
            f"The last {item.image.tail} bytes of {path} are behind the end of what is packed in it, and are not sent."
        )
    if not item.digest and (item.upload["checksum"] or exists):
        item.digest = _sha256(session, item)


def _inspected(path: str, update: t.Callable[[bytes], t.Any] | None, insist: bool) -> Image:
    try:
        return inspect(path, update, insist=insist)
    except OSError as exc:
        raise unreadable(path, exc) from exc


def _check_before_writing(session: Session, item: Item) -> None:
    """Nothing is deleted, made or labelled for a file that is damaged or that there is no way for."""
    if item.plan == rules.REPLACE and t.cast(Image, item.image).compression:
        item.image = _inspected(item.upload["path"], lambda _data: None, item.upload["format"] == "raw")
    if not session.check_mode:
        session.check_rights(item.key)
        session.route()


def _wanted(session: Session, item: Item) -> tuple[Object | None, data_volume.Drift]:
    """The DataVolume to have and what differs from the stored one; an existing claim is only checked."""
    image = t.cast(Image, item.image)
    collected = (
        as_volume(item.claim) if item.volume is None and item.claim is not None and is_collected(item.claim) else None
    )
    if item.volume is None and item.claim is not None and collected is None:
        _check_claim(session, item, image, item.claim)
        return None, data_volume.Drift([])
    stored = collected or item.volume
    by_claim = item.upload["pvc"] or ((stored or {}).get("spec") or {}).get("pvc")
    wanted = rules.wanted_volume(item.upload, image, session.overhead(by_claim) if by_claim else NO_OVERHEAD, stored)
    if collected:
        return wanted, collected_drift(rules.declared(item.upload), t.cast(Object, item.claim))
    if item.volume is None:
        return wanted, data_volume.Drift([])
    drift = data_volume.spec_drift(data_volume.without_chosen(wanted, item.volume, item.claim), item.volume)
    has_grown = (
        drift.grows_to is not None
        and item.claim is not None
        and session.is_large_enough(item.claim, wanted["spec"], drift.grows_to)
    )
    return wanted, data_volume.Drift([]) if has_grown else drift


def _holds_checksum(item: Item) -> bool:
    """Whether the target is known to hold the file with the given checksum: then the file is not even read."""
    checksum = item.upload["checksum"]
    if not checksum or item.upload["overwrite"] == "always" or not rules.is_as_asked(item.upload, item.volume):
        return False
    item.digest = rules.digest_of(checksum)
    populated = rules.is_populated(item.volume, item.claim) and (item.volume or item.claim) is not None
    return populated and annotations_of(item.claim).get(UPLOADED) == item.digest


def _sha256(session: Session, item: Item) -> str:
    """The digest of the file."""
    path = item.upload["path"]
    session.progress.say(item.title, f"reading {path}")
    digest = hashlib.sha256()
    try:
        with open_source(path) as file:
            while chunk := file.read(_HASH_BYTES):
                digest.update(chunk)
    except OSError as exc:
        raise unreadable(path, exc) from exc
    return _checked(item, digest.hexdigest())


def _checked(item: Item, found: str) -> str:
    checksum = item.upload["checksum"]
    if checksum and found != rules.digest_of(checksum):
        differs = f"expected {checksum.lower()}, got sha256:{found}"
        raise CdiError(
            f"{item.upload['path']} does not match checksum: {differs}; nothing was sent. Correct checksum, or the file."
        )
    return found


def _check_claim(session: Session, item: Item, image: Image, claim: Object) -> None:
    """An existing claim has to be of the file's kind and large enough."""
    archive = rules.content_type(item.upload, image, for_archives=rules.is_archive_claim(claim)) == "archive"
    if rules.is_archive_claim(claim) != archive and rules.populated_by_source(claim) is None:
        raise CdiError(
            f"PersistentVolumeClaim {item.title} is for {'an archive' if not archive else 'a disk image'}, and {item.upload['path']} is none; "
            "give the other kind of file, or change the claim's annotation cdi.kubevirt.io/storage.contentType."
        )
    if image.needed_size is not None:
        needed = required_space(image.needed_size, *session.overhead(claim["spec"]))
        rules.refuse_too_small(
            item.upload, image, rules.claim_size(claim), needed, "the claim's size is too small", "give a larger claim"
        )


def _label(session: Session, item: Item) -> None:
    """Labels and annotations can change on a volume that is there; those of others stay."""
    if item.volume is None:
        return
    metadata = item.volume["metadata"]
    missing = {
        kind: given
        for kind in ("labels", "annotations")
        if (
            given := {
                key: value
                for key, value in data_volume.texts(item.upload[kind]).items()
                if (metadata.get(kind) or {}).get(key) != value
            }
        )
    }
    if missing:
        before = item.volume
        try:
            item.volume = session.connection.merge(
                DATA_VOLUME, item.key[1], item.key[0], {"metadata": missing}, dry_run=session.check_mode
            )
        except ApiError as exc:
            if not exc.not_found or not will_be_collected(before):
                raise
            item.volume = None  # CDI has deleted it since it was read.
            return
        item.changed, item.diff = (
            True,
            {
                "before": {"metadata": normalise(before)["metadata"]},
                "after": {"metadata": normalise(item.volume)["metadata"]},
            },
        )


def _result(task: Task, item: Item) -> dict[str, t.Any]:
    namespace, name = item.key
    preallocation = preallocation_facts(item.volume, item.claim)
    if item.changed and preallocation["ignored"]:
        task.warn(
            f"{'PersistentVolumeClaim' if item.volume is None else 'DataVolume'} {item.title} is not preallocated: {preallocation['ignored']}"
        )
    image, seconds = item.image, item.seconds
    collected = item.volume is None and is_collected(item.claim)
    result = {
        "name": name,
        "namespace": namespace,
        "changed": item.changed,
        "action": item.action,
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
        "phase": "Succeeded" if collected else ((item.volume or {}).get("status") or {}).get("phase"),
        "collected": collected,
        "preallocation": preallocation,
        "data_volume": for_result(item.volume),
        "persistent_volume_claim": for_result(item.claim),
        "diff": item.diff,
    }
    return {**result, "error": item.error} if item.error else result
