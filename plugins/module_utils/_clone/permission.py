# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a user may clone a volume of another namespace."""

from __future__ import annotations

from .._kubernetes.client import Connection
from .._kubernetes.resources import DATA_VOLUME, SELF_SUBJECT_ACCESS_REVIEW

SUBRESOURCE = "datavolumes/source"


def refusal(connection: Connection, kind: str, namespace: str, name: str) -> str:
    """Why CDI's webhook would not let this user clone a source in another namespace; `` when it would.

    It reviews the same rights as the webhook (authorize_utils.go of CDI's API, v1.65.0). One request for a user with
    the right.
    """
    if _allowed(connection, namespace, name, DATA_VOLUME.group, *SUBRESOURCE.split("/")):
        return ""
    # CDI also accepts these; `pvcs`, for snapshots, is a spelling that only roles with a wildcard match.
    others = ["pods"] if kind == "pvc" else ["pods", "pvcs"]
    if all(_allowed(connection, namespace, name, "", resource) for resource in others):
        return ""
    return (
        f'the right to "create" {SUBRESOURCE} of {DATA_VOLUME.group} in namespace {namespace} is missing, '
        f"and CDI requires it to clone {kind} {name}; have it granted there with module kubevirt.cdi.clone_permission"
    )


def _allowed(
    connection: Connection, namespace: str, name: str, group: str, resource: str, subresource: str = ""
) -> bool:
    attributes = {
        "namespace": namespace,
        "name": name,
        "verb": "create",
        "group": group,
        "resource": resource,
        "subresource": subresource,
    }
    review = {
        "apiVersion": SELF_SUBJECT_ACCESS_REVIEW.api_version,
        "kind": SELF_SUBJECT_ACCESS_REVIEW.kind,
        "spec": {"resourceAttributes": attributes},
    }
    return bool(connection.create(SELF_SUBJECT_ACCESS_REVIEW, review, dry_run=False)["status"].get("allowed"))
