# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the progress of a task as lines of JSON to a file that plugin_utils/_progress.py reads while the task runs."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
import typing as t

from .._kubernetes.errors import CdiError
from .._kubernetes.redaction import redact

_SECONDS = 0.5
# The beginning of conditions and events: `Unschedulable: 0/1 nodes are available`.
_REASON = re.compile(r"([A-Z]\w*): (.*)", re.DOTALL)


def lasting(text: str, seconds: float) -> str:
    """`Unschedulable: no node` after 20 seconds becomes `Unschedulable for 20 s: no node`."""
    if seconds < 1:
        return text
    reason = _REASON.fullmatch(text)
    return f"{reason.group(1)} for {seconds:.0f} s: {reason.group(2)}" if reason else f"{text} for {seconds:.0f} s"


class Progress:
    """Writes a line when the state of an object changes, and its progress at most every half second.

    Without a path, nothing is written.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._file: t.TextIO | None = None
        self._lock = threading.Lock()
        self._written: dict[str, float] = {}
        self._states: dict[str, t.Hashable] = {}

    def __enter__(self) -> Progress:
        try:
            self._file = open(self._path, "a", encoding="utf-8") if self._path else None
        except OSError as exc:
            raise CdiError(
                f"progress_file is {self._path}, which cannot be written ({exc.strerror}); "
                "name a file in an existing directory."
            ) from exc
        return self

    def __exit__(self, *_exception: t.Any) -> None:
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()

    def say(self, name: str, step: str) -> None:
        """A long step begins, or everything is done."""
        self._states.pop(name, None)
        self._write({"object": name, "step": step})

    def sent(self, name: str, sent: int, size: int | None, seconds: float, disk: tuple[int, int] | None = None) -> None:
        """`sent` of `size` bytes were sent, after `seconds`. `disk` has the same two of the disk, if they differ.

        `size` is None if it is not known before all is sent.
        """
        if self._is_due(name, at_once=sent == size):
            line: dict[str, t.Any] = {"object": name, "sent": sent, "size": size, "seconds": round(seconds, 2)}
            self._write({**line, "disk": disk[0], "disk_size": disk[1]} if disk else line)

    def waits(self, name: str, phase: str, percent: float | None = None, reason: str = "", seconds: float = 0) -> None:
        """The phase of an awaited object. `reason` says why it does not progress, since `seconds` (0: not known)."""
        state = (phase, reason)
        if self._is_due(name, at_once=self._states.get(name) != state):
            self._states[name] = state
            self._write(
                {"object": name, "phase": phase, "percent": percent, "reason": reason, "seconds": round(seconds, 2)}
            )

    def ends(self, name: str, phase: str) -> None:
        """An object that was awaited has reached its state."""
        if self._states.pop(name, None) is not None:
            self._write({"object": name, "phase": phase, "percent": None, "reason": "", "seconds": 0, "ended": True})

    def _is_due(self, name: str, *, at_once: bool) -> bool:
        now = time.monotonic()
        if not at_once and now - self._written.get(name, 0.0) < _SECONDS:
            return False
        self._written[name] = now
        return True

    def _write(self, line: dict[str, t.Any]) -> None:
        if self._file:
            public = {key: redact(value) if isinstance(value, str) else value for key, value in line.items()}
            # A full disk must not fail the task.
            with self._lock, contextlib.suppress(OSError):
                self._file.write(json.dumps(public) + "\n")
                self._file.flush()


SILENT = Progress()
