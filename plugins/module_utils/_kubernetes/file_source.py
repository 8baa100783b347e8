# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials in files that another program renews: they are read again every minute, as client-go does."""

from __future__ import annotations

import typing as t

from .access import Pem, TokenFile, is_sendable
from .errors import CdiError
from .secrets import remember
from .source import Credentials, Source
from .tls import content_of, context_of

_FILE_SECONDS = 50  # A minute, less client-go's leeway.


class _ReadAgain(Source):
    """What stands in files, and is read again when `_until`, a time of the monotonic clock, has come."""

    def __init__(self, clock: t.Callable[[], float]) -> None:
        super().__init__()
        self._held = None
        self._clock = clock
        self._until = 0.0

    def _expired(self) -> bool:
        return self._clock() >= self._until


class FileSource(_ReadAgain):
    """A token in a file."""

    def __init__(self, file: TokenFile, clock: t.Callable[[], float]) -> None:
        super().__init__(clock)
        self._file = file

    def _get(self, before: Credentials | None) -> Credentials:
        try:
            with open(self._file.path, encoding="utf-8") as file:
                token = file.read().strip()
            problem = (
                "holds a line end or another character that no token has"
                if not is_sendable(token)
                else ""
                if token
                else "is empty"
            )
        except (OSError, ValueError) as exc:
            token, problem = "", f"cannot be read ({getattr(exc, 'strerror', None) or type(exc).__name__})"
        if not problem:
            self._until = self._clock() + _FILE_SECONDS
            remember({token})
            return Credentials(f"Bearer {token}")
        if before or self._file.token:
            return before or Credentials(f"Bearer {self._file.token}")
        raise CdiError(
            f"{self._file.source}: the token file {self._file.path!r} {problem}; correct its path or its content."
        )


class CertificateSource(_ReadAgain):
    """A client certificate in files, which somebody renews there."""

    def __init__(self, certificate: Pem, key: Pem, clock: t.Callable[[], float]) -> None:
        super().__init__(clock)
        self._pems = (certificate, key)

    def _get(self, before: Credentials | None) -> Credentials:
        """A pair of which one file is new and the other is not yet still serves as it was."""
        try:
            certificate, key = (content_of(pem) for pem in self._pems)
            found = Credentials(None, certificate.decode("utf-8", "replace"), key.decode("utf-8", "replace"))
            if before is not None and found != before:
                context_of(
                    verify=False,
                    certificate=self._pems[0]._replace(data=certificate),
                    key=self._pems[1]._replace(data=key),
                )
        except CdiError:
            if before is None:
                raise
            found = before
        self._until = self._clock() + _FILE_SECONDS
        return found
