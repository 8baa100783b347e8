# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a user may clone a volume of another namespace."""

from __future__ import annotations

from .._kubernetes.client import Connection
from .._kubernetes.resources import DATA_VOLUME, SELF_SUBJECT_ACCESS_REVIEW

SUBRESOURCE = "datavolumes/source"


def refusal(connection: Connection, kind: str, namespace: str, name: str) -> str:
    """Why this user may not clone a source in another namespace, as CDI's webhook will find; `` when they may.

    Asked are the same rights that it asks for (authorize_utils.go of CDI's API, v1.65.0). One request when the right is there.
    """
    if _allowed(connection, namespace, name, DATA_VOLUME.group, *SUBRESOURCE.split("/")):
        return ""
    # CDI also takes these, and for snapshots spells one in a way that only roles with a wildcard have.
    others = ["pods"] if kind == "pvc" else ["pods", "pvcs"]
    if all(_allowed(connection, namespace, name, "", resource) for resource in others):
        return ""
    return (
        f'the right to "create" {SUBRESOURCE} of {DATA_VOLUME.group} in namespace {namespace} is missing, without which CDI does not clone {kind} {name}; '
        f"have it granted there with module kubevirt.cdi.clone_permission"
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
