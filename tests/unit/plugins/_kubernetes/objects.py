# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubeconfig, and the credentials that a connection sends."""

from __future__ import annotations

from typing import Any

SERVER = "https://cluster.test:6443"
SECRET = "a-very-secret-token"


def kubeconfig_of(user: dict[str, Any] | None = None, *, name: str = "one", **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": SERVER, **cluster}}],
        "users": [{"name": name, "user": {"token": SECRET} if user is None else user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def sent_by(connection: Any) -> str | None:
    """The Authorization header of the next request."""
    authorization: str | None = connection.transport.source.current().authorization
    return authorization
