# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Shows the progress of a module while it runs on this host. Ansible itself shows output only after the module ends.

At a terminal, one line summarizes all objects in progress and is rewritten. Elsewhere a line is printed for each new
phase or reason, for each tenth, and every half minute.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
import typing as t

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._ansible.progress import lasting
from ..module_utils._kubernetes.quantity import MIB

_POLL_SECONDS = 0.3
_STEP_PERCENT = 10
_SECONDS_BETWEEN_LINES = 30
# Ansible loads this file before it forks; the processes that run tasks have no terminal any more.
_AT_TERMINAL = sys.stdout.isatty()
_CLEAR_LINE = "\r\x1b[K"


class _UnderWay:
    """One object in progress: its latest entry, and since when its phase and reason are the same."""

    def __init__(self) -> None:
        self.state: tuple[t.Any, ...] = ()
        self.latest: dict[str, t.Any] = {}
        self.since = 0.0
        self.percent = self.shown_percent = 0
        self.shown_at = 0.0

    def update(self, entry: dict[str, t.Any], now: float) -> bool:
        """Take over an entry. Returns whether its phase or reason is new."""
        state = (entry.get("phase"), entry.get("reason"))
        is_new = state != self.state
        if is_new:
            self.state, self.since, self.shown_at = state, now - entry["seconds"], now
        self.latest = entry
        self.percent = _percent(entry)
        return is_new and "phase" in entry

    def is_due(self, now: float) -> bool:
        """Whether another tenth is done or half a minute has passed since the last output."""
        return (
            self.percent // _STEP_PERCENT != self.shown_percent // _STEP_PERCENT
            or now - self.shown_at >= _SECONDS_BETWEEN_LINES
        )

    def text(self, now: float) -> str:
        entry = self.latest
        if "sent" in entry:
            speed = entry["sent"] / MIB / max(entry["seconds"], 0.01)
            if entry["size"] is None:
                disk, sent = f"the disk of {entry['disk_size'] / MIB:.0f} MiB", f"{entry['sent'] / MIB:.0f} MiB sent"
                return f"{self.percent} % of {disk}, {sent}, {speed:.0f} MiB/s"
            disk = f", disk {entry['disk'] / MIB:.0f} of {entry['disk_size'] / MIB:.0f} MiB" if "disk" in entry else ""
            return f"{self.percent} % of {entry['size'] / MIB:.0f} MiB, {speed:.0f} MiB/s{disk}"
        phase, reason, percent = (
            entry["phase"],
            entry["reason"],
            "" if entry["percent"] is None else f"{self.percent} %",
        )
        if reason:
            reason = lasting(reason, now - self.since)
        elif not percent:
            phase = lasting(phase, now - self.since)
        return ", ".join(filter(None, (phase, percent, reason)))


def _percent(entry: dict[str, t.Any]) -> int:
    if "sent" not in entry:
        return int(entry["percent"] or 0)
    if entry["size"] is None:  # Not all is sent, also if the disk was read to its end.
        return min(int(100 * entry["disk"] // entry["disk_size"]), 99)
    return int(100 * entry["sent"] // max(entry["size"], 1))


class Lines:
    """From lines of a progress file to what `module` shows. With `live`, what is under way is no line of its own."""

    def __init__(self, module: str, *, live: bool) -> None:
        self._module, self._live = module, live
        self._objects: dict[str, _UnderWay] = {}

    def under_way(self, now: float) -> str:
        return "  ".join(f"{name}: {each.text(now)}" for name, each in self._objects.items())

    def shown(self, line: str, now: float) -> str | None:
        """The line to print for an entry, None when it is too early. `now` is a monotonic clock in seconds."""
        try:
            entry = json.loads(line)
        except ValueError:
            return None
        name = entry["object"]
        if "step" in entry:
            self._objects.pop(name, None)
            return f"{self._module} {name}: {entry['step']}"
        one = self._objects.setdefault(name, _UnderWay())
        is_new = one.update(entry, now)
        has_ended = entry.get("ended") or (one.percent >= 100 and "sent" in entry)
        if has_ended:
            # The next step reports the work of CDI on what was sent.
            del self._objects[name]
        if (has_ended and (not self._live or "sent" in entry)) or (not self._live and (is_new or one.is_due(now))):
            return self._line(name, one, now)
        return None

    def overdue(self, now: float) -> list[str]:
        """A line for each object without output for half a minute."""
        return (
            [] if self._live else [self._line(name, one, now) for name, one in self._objects.items() if one.is_due(now)]
        )

    def _line(self, name: str, one: _UnderWay, now: float) -> str:
        one.shown_percent, one.shown_at = one.percent, now
        return f"{self._module} {name}: {one.text(now)}"


class _Watcher(threading.Thread):
    """Shows what is appended to a file, until its context ends."""

    def __init__(self, module: str, path: str) -> None:
        super().__init__(daemon=True)
        self._module, self._path = module, path
        self._begin = os.path.getsize(path) if os.path.exists(path) else 0
        self._ended = threading.Event()

    def __enter__(self) -> _Watcher:
        self.start()
        return self

    def __exit__(self, *_exception: t.Any) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        lines, display, rest = Lines(self._module, live=_AT_TERMINAL), Display(), ""
        last, is_shown = False, False
        while not last:
            last = self._ended.wait(_POLL_SECONDS)
            try:
                with open(self._path, encoding="utf-8") as file:
                    file.seek(self._begin)
                    text = file.read()
                    self._begin = file.tell()
            except OSError:
                continue  # The module has not started.
            *whole, rest = (rest + text).split("\n")
            now = time.monotonic()
            shown = [*filter(None, (lines.shown(line, now) for line in whole)), *lines.overdue(now)]
            if is_shown:
                display.display(_CLEAR_LINE, screen_only=True, newline=False)
            for line in shown:
                display.display(line)
            under_way = lines.under_way(now) if _AT_TERMINAL and not last else ""
            is_shown = bool(under_way)
            if is_shown:
                display.display(under_way[: display.columns], screen_only=True, newline=False)


class ProgressAction(ActionBase):
    """Runs the module with the task's name, which has the option `progress_file`."""

    _supports_async = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        wrap_async = bool(self._task.async_val and not self._connection.has_native_async)
        if self._is_shown(wrap_async):
            with tempfile.TemporaryDirectory() as folder:
                path = arguments["progress_file"] = arguments.get("progress_file") or os.path.join(folder, "progress")
                with _Watcher(self._task.action.rpartition(".")[2], path):
                    result = self._execute_module(module_args=arguments, task_vars=task_vars)
        else:
            result = self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=wrap_async)
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return t.cast("dict[str, t.Any]", result)

    def _is_shown(self, wrap_async: bool) -> bool:
        """Whether the module runs on this host, its output may be shown, and the callback is not for programs."""
        here = self._connection.transport == "local" and self._connection.become is None
        for_programs = constants.DEFAULT_STDOUT_CALLBACK.endswith(("json", "jsonl"))
        return here and not (wrap_async or self._task.check_mode or self._task.no_log or for_programs)
