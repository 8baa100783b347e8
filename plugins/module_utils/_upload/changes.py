# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The writes of an upload: its DataVolume or claim is created, replaced, annotated, and deleted after a failure."""

from __future__ import annotations

import typing as t
import uuid

from .._cdi.users import UserReader
from .._data_volume.collected import is_collected, will_be_collected
from .._diagnosis.rules import INTENDED
from .._kubernetes.apply import write
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.reader import Reader
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, Resource
from .outcome import CREATED, DELETED, EMPTIED, Outcome, Steps, Target
from .session import Session
from .target import is_populated, recreated_claim, refuse_owned


def annotate(session: Session, target: Target, annotations: dict[str, str | None]) -> Object:
    """Change annotations of the claim; None removes one. Returns the claim."""
    namespace, name = target.key
    body = {"metadata": {"annotations": annotations}}
    return session.connection.merge(PERSISTENT_VOLUME_CLAIM, name, namespace, body, dry_run=session.check_mode)


def create(session: Session, outcome: Outcome, wanted: Object) -> Outcome:
    """Create the DataVolume. CDI creates its claim later."""
    change = write(session.connection, DATA_VOLUME, wanted, None, check_mode=session.check_mode)
    outcome = outcome._replace(target=Target(outcome.key, change.object))
    if session.check_mode:
        return outcome
    outcome = outcome._replace(made=change.object["metadata"]["uid"])
    return outcome.done(EMPTIED if outcome.action == DELETED else CREATED)


def replace(session: Session, outcome: Outcome, why: str, wanted: Object | None) -> Steps:
    """Delete the target with its data, as the user requested or because it contains only an unfinished upload, and
    recreate it.

    `wanted` is the new DataVolume, None for a claim that is recreated as it is. A target is not deleted if something
    else owns or uses it, or if the API server would not allow it to be recreated.
    """
    target, connection = outcome.target, session.connection
    namespace, name = target.key
    stored = t.cast(Object, target.stored)
    refuse_owned(target.resource.kind, stored)
    if outcome.upload["when_in_use"] == "fail":
        UserReader(Reader(connection), session.task.warn, [target.key]).refuse(target.what, target.key)
    claim = recreated_claim(stored) if target.is_claim and not is_collected(stored) else None
    resource = DATA_VOLUME if claim is None else PERSISTENT_VOLUME_CLAIM
    body = t.cast(Object, wanted if claim is None else claim)
    _try_out(session, resource, body)
    session.progress.say(target.title, f"replacing it: {why}")
    connection.delete(target.resource, name, namespace, dry_run=session.check_mode, uid=stored["metadata"]["uid"])
    if session.check_mode:
        return outcome
    left = connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace) if will_be_collected(stored) else None
    if left and is_collected(left):  # CDI had deleted the DataVolume first.
        connection.delete(PERSISTENT_VOLUME_CLAIM, name, namespace, dry_run=False, uid=left["metadata"]["uid"])
    outcome = outcome.without_created() if outcome.made == stored["metadata"]["uid"] else outcome.done(DELETED)
    yield outcome
    for kind in (DATA_VOLUME, PERSISTENT_VOLUME_CLAIM):
        session.wait_gone(kind, target.key)
    if claim is None:
        outcome = create(session, outcome, body)
    else:
        made = write(connection, PERSISTENT_VOLUME_CLAIM, claim, None, check_mode=False).object
        outcome = outcome.with_target(claim=made).done(EMPTIED)
    yield outcome
    return outcome


def _try_out(session: Session, resource: Resource, wanted: Object) -> None:
    """Have the API server, its quotas and its webhooks judge an object under an unused name. Raises ApiError."""
    metadata = {**wanted["metadata"], "name": f"{wanted['metadata']['name'][:40].rstrip('-.')}-{uuid.uuid4().hex[:8]}"}
    body = {"apiVersion": resource.api_version, "kind": resource.kind, **wanted, "metadata": metadata}
    session.connection.apply(resource, body, dry_run=True)


def clean_up(session: Session, outcome: Outcome) -> tuple[Outcome, str]:
    """After a failure, delete the DataVolume that the task created, unless CDI or another client may still fill it.
    Returns a sentence about what is left.

    Each volume that waits for data has a pod that takes up resources of its node.
    """
    target = outcome.target
    if not outcome.made or outcome.transfer.may_finish or outcome.upload["on_failure"] != "delete":
        return outcome, outcome.left_behind
    namespace, name = target.key
    try:
        volume = session.connection.get(DATA_VOLUME, name, namespace)
        claim = session.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
        if not volume or volume["metadata"]["uid"] != outcome.made or _is_of_others(outcome, volume, claim):
            return outcome, outcome.left_behind
        session.connection.delete(DATA_VOLUME, name, namespace, dry_run=False, uid=outcome.made)
    except CdiError as exc:
        return outcome, f"DataVolume {target.title}, which the task created, is still there: {exc}"
    outcome = outcome._replace(target=Target(target.key, None, None)).without_created()
    before = " The previous volume was deleted with its data." if outcome.changed else ""
    return outcome, f"DataVolume {target.title}, which the task created, was deleted again.{before}"


def _is_of_others(outcome: Outcome, volume: Object, claim: Object | None) -> bool:
    """Whether another client has filled the volume, or is about to."""
    return is_populated(volume, None) or annotations_of(claim).get(INTENDED) not in (None, outcome.digest)
