# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error types of the collection; refusals.py has the sentences for answers of the API server."""

from __future__ import annotations

import os
import traceback
import typing as t

from .answers import short
from .redaction import redact

if t.TYPE_CHECKING:
    from .resources import Resource


class CdiError(Exception):
    """A sentence for the user, without secrets. `result` has facts that the task returns with it."""

    def __init__(self, message: str, /, **result: t.Any) -> None:
        super().__init__(redact(message))
        self.result = result


class ApiError(CdiError):
    """The API server, or the connection to it, refused a request; `code` is the HTTP status, 0 without an answer.

    `lost`: the server may have received the request, and its effect is not known. `final`: a later retry cannot help.
    """

    def __init__(
        self, message: str, code: int, reason: str = "", *, lost: bool = False, final: bool | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.lost = lost
        self.final = 0 < code < 500 and code != 429 if final is None else final

    @property
    def not_found(self) -> bool:
        """Whether the API reports that the object does not exist."""
        return self.code == 404 and self.reason == "NotFound"


class NotServed(ApiError):
    """The API server does not know this kind: its CRD is not installed."""


class WatchExpired(Exception):
    """The API server no longer has the requested resource version: list again."""


class ForeignAnswer(ApiError):
    """The answer is not from a Kubernetes API. It says nothing about which objects exist."""


def unexpected(exc: Exception) -> str:
    """The sentence for an unexpected error: a defect of this collection, or an answer that no Kubernetes API gives."""
    place = traceback.extract_tb(exc.__traceback__)[-1]
    return redact(
        f"Unexpected {type(exc).__name__} ({short(str(exc))}) in {os.path.basename(place.filename)}, "
        f"line {place.lineno}. Please report it to the maintainers of kubevirt.cdi."
    )


def why_unreadable(exc: OSError) -> str:
    """`does not exist`, `is a directory` or `cannot be read (Permission denied)`."""
    if isinstance(exc, FileNotFoundError):
        return "does not exist"
    return "is a directory" if isinstance(exc, IsADirectoryError) else f"cannot be read ({exc.strerror})"


def target(resource: Resource, namespace: str | None, name: str | None) -> str:
    """`DataVolume demo/disk`, `CDI cdi` or `DataVolumes in demo`."""
    if name:
        return f"{resource.kind} {namespace}/{name}" if namespace else f"{resource.kind} {name}"
    return f"{resource.kind} objects in namespace {namespace}" if namespace else f"{resource.kind} objects"
