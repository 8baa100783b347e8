# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Uploads files into volumes: what is there is compared before a byte moves, what was sent is proven afterwards."""

from __future__ import annotations

import hashlib
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from . import _data_volume as data_volume
from . import _upload as rules
from ._apply import normalise, for_result
from ._argspec import PROGRESS, ArgumentSpec
from ._clone import annotations
from ._collected import as_volume, collected_drift, is_collected
from ._connection import Object
from ._errors import CdiError
from ._image import Image, inspect
from ._items import guarded, options_of, read
from ._module import Task
from ._overhead import required_space
from ._preallocation import preallocation_facts
from ._resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from ._upload_sending import Item, Session, annotate, create, recorded_digest, replace, send_until_taken
from ._upload_transport import FileIdentity
from ._wait import wait_gone

_OPTIONS: dict[str, t.Any] = {
    **rules.OPTIONS,
    "checksum": {"type": "str"},
    "overwrite": {"type": "str", "choices": ["never", "different", "always"], "default": "never"},
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
    },
    required_one_of=[("name", "uploads")],
    mutually_exclusive=[("name", "uploads"), ("path", "uploads")],
    required_by={"name": ["path"]},
)
_HASH_BYTES = 1024 * 1024


def check(params: dict[str, t.Any]) -> None:
    for upload in options_of(params, "uploads"):
        rules.check(upload)
    for option, least in (("parallel", 1), ("retries", 0), ("wait_timeout", 1)):
        if params[option] < least:
            raise CdiError(f"{option} is {params[option]}; give at least {least}.")


def run(task: Task) -> dict[str, t.Any]:
    started = time.monotonic()
    items = [Item(upload) for upload in options_of(task.params, "uploads")]
    for resource, attribute in ((DATA_VOLUME, "volume"), (PERSISTENT_VOLUME_CLAIM, "claim")):
        read(task, items, resource, attribute)
    with ThreadPoolExecutor(task.params["parallel"]) as pool:
        session = Session(task)
        list(pool.map(lambda item: guarded(item, lambda: _upload(session, item)), items))
    results = [_result(task, item) for item in items]
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


def _upload(session: Session, item: Item) -> None:
    try:
        upload_one(session, item)
    except OSError as exc:
        raise CdiError(f"Cannot read {item.upload['path']} on the host that runs this task: {exc.strerror or exc}; correct path.") from exc


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
    item.identity = FileIdentity.of(item.upload["path"])
    item.image = inspect(item.upload["path"])
    if item.upload["checksum"] or item.volume is not None or item.claim is not None:
        item.digest = _sha256(session, item)
    item.wanted, drift = _wanted(session, item)
    item.action, item.reason = rules.plan(item.upload, item.digest, item.volume, item.claim, drift)
    item.changed = item.action != rules.NOTHING
    before = recorded_digest(item)
    if item.action in (rules.NOTHING, rules.RECORD, rules.SEND):
        _label(session, item)
    if item.action == rules.NOTHING:
        return
    if item.action != rules.RECORD and not session.check_mode:
        session.route()  # Nothing is deleted or made for a file that there is no way for.
    if item.action == rules.RECORD:
        item.claim = annotate(session, item, {rules.UPLOADED: item.digest})
    elif item.action == rules.REPLACE:
        replace(session, item, item.reason)
    elif item.action == rules.CREATE:
        create(session, item)
        # CDI makes the volume meanwhile.
        item.digest = item.digest or _sha256(session, item)
    for side, digest in (("before", before), ("after", item.digest)):
        item.diff[side] = {**item.diff.get(side, {}), "sha256": digest}
    if item.action != rules.RECORD and not session.check_mode:
        send_until_taken(session, item)


def _wanted(session: Session, item: Item) -> tuple[Object | None, data_volume.Drift]:
    """The DataVolume to have and what differs from the stored one; an existing claim is only checked."""
    image = t.cast(Image, item.image)
    collected = as_volume(item.claim) if item.volume is None and item.claim is not None and is_collected(item.claim) else None
    if item.volume is None and item.claim is not None and collected is None:
        _check_claim(session, item, image, item.claim)
        return None, data_volume.Drift([])
    stored = collected or item.volume
    by_claim = item.upload["pvc"] or ((stored or {}).get("spec") or {}).get("pvc")
    wanted = rules.wanted_volume(item.upload, image, session.overhead(by_claim) if by_claim else 0.0, stored)
    if collected:
        return wanted, collected_drift(rules.declared(item.upload), t.cast(Object, item.claim))
    if item.volume is None:
        return wanted, data_volume.Drift([])
    drift = data_volume.spec_drift(data_volume.without_chosen(wanted, item.volume, item.claim), item.volume)
    has_grown = drift.grows_to is not None and item.claim is not None and session.is_large_enough(item.claim, wanted["spec"], drift.grows_to)
    return wanted, data_volume.Drift([]) if has_grown else drift


def _holds_checksum(item: Item) -> bool:
    """Whether the target is known to hold the file with the given checksum: then the file is not even read."""
    checksum = item.upload["checksum"]
    if not checksum or item.upload["overwrite"] == "always" or not rules.is_as_asked(item.upload, item.volume):
        return False
    item.digest = rules.digest_of(checksum)
    populated = rules.is_populated(item.volume, item.claim) and (item.volume or item.claim) is not None
    return populated and annotations(item.claim).get(rules.UPLOADED) == item.digest


def _sha256(session: Session, item: Item) -> str:
    """The digest of the file, compared with the checksum that was given."""
    session.progress.say(item.title, f"reading {item.upload['path']}")
    digest = hashlib.sha256()
    with open(item.upload["path"], "rb", buffering=0) as file:
        while chunk := file.read(_HASH_BYTES):
            digest.update(chunk)
    found, checksum = digest.hexdigest(), item.upload["checksum"]
    if checksum and found != rules.digest_of(checksum):
        raise CdiError(f"{item.upload['path']} does not match checksum: expected {checksum.lower()}, got sha256:{found}; nothing was sent. Correct checksum, or the file.")
    return found


def _check_claim(session: Session, item: Item, image: Image, claim: Object) -> None:
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


def _label(session: Session, item: Item) -> None:
    """Labels and annotations can change on a volume that is there; those of others stay."""
    if item.volume is None:
        return
    metadata = item.volume["metadata"]
    missing = {
        kind: given
        for kind in ("labels", "annotations")
        if (given := {key: value for key, value in data_volume.texts(item.upload[kind]).items() if (metadata.get(kind) or {}).get(key) != value})
    }
    if missing:
        before = item.volume
        item.volume = session.connection.merge(DATA_VOLUME, item.key[1], item.key[0], {"metadata": missing}, dry_run=session.check_mode)
        item.changed, item.diff = True, {"before": {"metadata": normalise(before)["metadata"]}, "after": {"metadata": normalise(item.volume)["metadata"]}}


def _result(task: Task, item: Item) -> dict[str, t.Any]:
    namespace, name = item.key
    preallocation = preallocation_facts(item.volume, item.claim)
    if item.changed and preallocation["ignored"]:
        task.warn(f"{'PersistentVolumeClaim' if item.volume is None else 'DataVolume'} {item.title} is not preallocated: {preallocation['ignored']}")
    image, seconds = item.image, item.seconds
    collected = item.volume is None and is_collected(item.claim)
    result = {
        "name": name,
        "namespace": namespace,
        "changed": item.changed,
        "action": rules.ACTION_LABELS[item.action],
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
