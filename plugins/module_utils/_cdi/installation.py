# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where CDI is installed: its operator, and the namespace that it runs in."""

from __future__ import annotations

import typing as t

from .._kubernetes.client import Connection
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader, Reading
from .._kubernetes.resources import API_SERVICE, DEPLOYMENT, OPERATOR
from .names import UPLOAD_API

# The namespace of the release manifest.
DEFAULT_NAMESPACE: t.Final = "cdi"


def read_operator(connection: Connection) -> Object | None:
    """The Deployment of CDI's operator, in any namespace. Raises ApiError when Deployments cannot be listed."""
    return next(iter(_operator(connection).unless_forbidden()), None)


def find_operator(connection: Connection) -> Object | None:
    """The Deployment of CDI's operator; None also for a user who cannot list Deployments."""
    return _operator(connection).object


def _operator(connection: Connection) -> Reading:
    return Reader(connection).read(DEPLOYMENT, field_selector=f"metadata.name={OPERATOR}")


def namespace_of(
    operator: Object | None = None, upload_api: Object | None = None, binding: Object | None = None
) -> str | None:
    """The namespace that CDI runs in, None without a trace of it.

    The traces, in their order: the operator's Deployment; the APIService of the upload API, which most users can read
    and which exists while CDI runs; and the operator's ClusterRoleBinding, which is uninstalled last.
    """
    if operator:
        return str(operator["metadata"]["namespace"])
    service = ((upload_api or {}).get("spec") or {}).get("service") or {}
    subjects = (binding or {}).get("subjects") or [{}]
    found = service.get("namespace") or subjects[0].get("namespace")
    return str(found) if found else None


def running_namespace(connection: Connection) -> str | None:
    """The namespace that CDI runs in, None while it does not run. One request; raises ApiError when it is refused."""
    return namespace_of(upload_api=connection.get(API_SERVICE, UPLOAD_API))


def likely_namespace(connection: Connection) -> str:
    """The namespace that CDI runs in, or the release manifest's when that cannot be read."""
    upload_api = Reader(connection).try_read(API_SERVICE, name=UPLOAD_API).object
    return namespace_of(upload_api=upload_api) or DEFAULT_NAMESPACE
