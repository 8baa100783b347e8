# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option `on_missing` of module data_volume_info and lookup clone_method."""

from __future__ import annotations

import typing as t

from .._kubernetes.client import Connection
from .._kubernetes.errors import CdiError
from .._kubernetes.reader import Reader
from .._kubernetes.resources import NAMESPACE
from .argspec import ArgumentSpec

_ERROR, _WARN, SKIP = "error", "warn", "skip"
ON_MISSING = ArgumentSpec({"on_missing": {"type": "str", "choices": [_ERROR, _WARN, SKIP], "default": SKIP}})


def report_missing(sentences: t.Iterable[str], on_missing: str, warn: t.Callable[[str], None]) -> None:
    """Raise CdiError with all of the sentences, or warn with each."""
    sentences = list(dict.fromkeys(sentences))
    if sentences and on_missing == _ERROR:
        raise CdiError(" ".join(sentences))
    if on_missing == _WARN:
        for sentence in sentences:
            warn(sentence)


def missing_namespace(connection: Connection, namespace: str) -> str | None:
    """A sentence if the namespace does not exist; None also if the user may not read it. One request."""
    found = Reader(connection).read(NAMESPACE, name=namespace)
    return (
        None
        if found.items or found.error
        else f"Namespace {namespace!r} does not exist; create it, or correct its name."
    )
