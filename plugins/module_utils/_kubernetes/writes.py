# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that write, and what became of an object when the answer to such a request was lost."""

from __future__ import annotations

from .answers import object_in, read_status, short, value_of
from .api import Api
from .errors import ApiError
from .merge_patch import changes_nothing
from .objects import Object, Objects
from .refusals import foreign_answer
from .resources import FIELD_MANAGER, SELF_SUBJECT_ACCESS_REVIEW, UPLOAD_TOKEN_REQUEST, Resource

# POST requests that the API server answers without storing an object.
_ANSWERED_ONLY = (SELF_SUBJECT_ACCESS_REVIEW, UPLOAD_TOKEN_REQUEST)
_CREATE_ATTEMPTS = 3


def merge(api: Api, resource: Resource, name: str, namespace: str | None, body: Object, *, dry_run: bool) -> Object:
    """JSON merge patch: null removes a key. The API server rejects unknown fields, it does not prune them."""
    try:
        return api.object(
            "patch",
            "PATCH",
            resource,
            namespace,
            name,
            query=_patch_query(dry_run=dry_run),
            body=body,
            content_type="application/merge-patch+json",
        )
    except ApiError as exc:
        if dry_run or not exc.lost:
            raise
        found = what_became(api, exc, resource, name, namespace)
        if found is None or not changes_nothing(body, found):
            raise
        return found


def json_patch(
    api: Api, resource: Resource, name: str, namespace: str | None, operations: Objects, *, dry_run: bool
) -> Object:
    """JSON patch (RFC 6902). It is not repeated after a lost answer: its tests would fail on its own effect."""
    return api.object(
        "patch",
        "PATCH",
        resource,
        namespace,
        name,
        query=_patch_query(dry_run=dry_run),
        body=operations,
        content_type="application/json-patch+json",
        repeatable=False,
    )


def _patch_query(*, dry_run: bool) -> dict[str, str]:
    return {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "dryRun": "All" if dry_run else ""}


def create(api: Api, resource: Resource, body: Object, namespace: str | None, *, dry_run: bool) -> Object:
    """POST an object that must not exist yet, or that the API server answers without storing it.

    After a lost answer, the object is read, and sent again only if it does not exist.
    """
    query = {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else ""}
    stored = not dry_run and resource not in _ANSWERED_ONLY
    lost = False
    for attempt in range(_CREATE_ATTEMPTS):
        try:
            return api.object(
                "create", "POST", resource, namespace, None, query=query, body=body, repeatable=not stored
            )
        except ApiError as exc:
            if not stored or not (exc.lost or (lost and exc.reason == "AlreadyExists")):
                raise
            lost = True
            found = what_became(api, exc, resource, body["metadata"].get("name"), namespace)
            if found is not None and any(
                entry.get("manager") == FIELD_MANAGER for entry in found["metadata"].get("managedFields") or []
            ):
                return found
            if found is not None or exc.code == 500 or attempt == _CREATE_ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def what_became(api: Api, lost: ApiError, resource: Resource, name: str | None, namespace: str | None) -> Object | None:
    """The object after a lost answer to a write. Raises ApiError with result `changed` if it cannot be read."""
    try:
        if name:
            return api.get(resource, name, namespace)
        unread = "it has no name yet, so it cannot be read"
    except ApiError as exc:
        unread = f"reading it also failed ({short(str(exc))})"
    error = ApiError(
        f"{str(lost).rstrip('.')}; it may have been written, but {unread}.",
        lost.code,
        lost.reason,
        final=lost.final,
    )
    error.result["changed"] = True
    raise error from lost


def delete(
    api: Api,
    resource: Resource,
    name: str,
    namespace: str | None,
    *,
    dry_run: bool,
    propagation: str,
    uid: str | None,
    version: str | None,
) -> None:
    """Delete an object. One that does not exist is not an error.

    `uid` and `version` are preconditions: only this object, only in this version.
    """
    body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
    preconditions = {"uid": uid, "resourceVersion": version}
    if uid or version:
        body["preconditions"] = {key: value for key, value in preconditions.items() if value}
    if dry_run:
        body["dryRun"] = ["All"]  # With a body, the API server ignores the query.
    query = {"dryRun": "All" if dry_run else ""}
    try:
        # Without the uid, a repeated request could delete an object that was created after the first request.
        answer = api.send(
            "delete", "DELETE", resource, namespace, name, query=query, body=body, repeatable=bool(uid) or dry_run
        )
    except ApiError as exc:
        if exc.not_found:
            return
        if dry_run or not (exc.lost or (uid and exc.code == 409)):
            raise
        found = what_became(api, exc, resource, name, namespace)
        if (
            found is not None
            and not found["metadata"].get("deletionTimestamp")
            and found["metadata"].get("uid") == (uid or found["metadata"].get("uid"))
        ):
            raise
        return
    if not read_status(answer.body) and object_in(value_of(answer), resource.kind) is None:
        raise foreign_answer("delete", resource, namespace, name, answer, api.host)
