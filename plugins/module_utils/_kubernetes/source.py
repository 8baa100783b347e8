# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials, and what gives them: once to all threads, again when they expire, and once after a 401.

client-go v0.34.4 has the rules in `transport/token_source.go` and `plugin/pkg/client/auth/exec/exec.go`.
"""

from __future__ import annotations

import threading
import typing as t


class Credentials(t.NamedTuple):
    """What a request is sent with: an Authorization header's value, and from some plugins a client certificate with its key."""

    authorization: str | None = None
    certificate: str = ""
    key: str = ""


class Source:
    """Credentials that nothing renews, and what all sources share: they are got once, by one thread, and again when they expire."""

    def __init__(self, authorization: str | None = None) -> None:
        self._lock = threading.Lock()
        self._held: Credentials | None = Credentials(authorization)

    def current(self) -> Credentials:
        """The credentials to send now. Raises CdiError when there are none."""
        with self._lock:
            if self._held is None or self._expired():
                self._held = self._get(self._held)
            return self._held

    def renewed(self, rejected: Credentials) -> Credentials:
        """What to send after a 401; the same as `rejected` when there is nothing else."""
        with self._lock:
            if self._held is None or self._held == rejected:
                self._held = self._get(None)
            return self._held

    def _expired(self) -> bool:
        return False

    def _get(self, before: Credentials | None) -> Credentials:
        """Get credentials anew. `before` are those that have expired, and that still serve if need be."""
        return t.cast(Credentials, self._held)
