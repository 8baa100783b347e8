# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials, and their sources: fetched once for all threads, again when they expire, and once after a 401.

client-go v0.34.4 has the rules in `transport/token_source.go` and `plugin/pkg/client/auth/exec/exec.go`.
"""

from __future__ import annotations

import threading
import typing as t


class Credentials(t.NamedTuple):
    """The value of an Authorization header, and from some plugins a client certificate with its key."""

    authorization: str | None = None
    certificate: str = ""
    key: str = ""


class Source:
    """Fixed credentials, and the base of all sources: one thread gets the credentials, again when they expire."""

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
        """The credentials to send after a 401; the same as `rejected` when there are no others."""
        with self._lock:
            if self._held is None or self._held == rejected:
                self._held = self._get(None)
            return self._held

    def _expired(self) -> bool:
        return False

    def _get(self, before: Credentials | None) -> Credentials:
        """Get new credentials. `before` are the expired ones, which may still be used if there are no new ones."""
        return t.cast(Credentials, self._held)
