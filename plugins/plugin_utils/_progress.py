# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Shows the progress of a module while it runs on this host. Ansible shows what a module says only when it has ended.

At a terminal one line tells of all that is under way and is written again and again. Elsewhere there is a line for each
phase and reason, for each tenth, and every half minute.
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

_POLL_SECONDS = 0.3
_STEP_PERCENT = 10
_SECONDS_BETWEEN_LINES = 30
# Ansible loads this file before it forks; the processes that run tasks have no terminal any more.
_AT_TERMINAL = sys.stdout.isatty()
_CLEAR_LINE = "\r\x1b[K"


class _UnderWay:
    """One object that gets on, or waits: what is last known of it, and since when that is true."""

    def __init__(self) -> None:
        self.state: tuple[t.Any, ...] = ()
        self.told: dict[str, t.Any] = {}
        self.since = 0.0
        self.percent = self.shown_percent = 0
        self.shown_at = 0.0

    def update(self, told: dict[str, t.Any], now: float) -> bool:
        """Take over what a line says; returns whether its phase or reason is new."""
        state = (told.get("phase"), told.get("reason"))
        is_new = state != self.state
        if is_new:
            self.state, self.since, self.shown_at = state, now - told["seconds"], now
        self.told = told
        self.percent = int(100 * told["sent"] // max(told["size"], 1) if "sent" in told else told["percent"] or 0)
        return is_new and "phase" in told

    def is_due(self, now: float) -> bool:
        """Whether another tenth is done, or half a minute has passed, since it was shown."""
        return (
            self.percent // _STEP_PERCENT != self.shown_percent // _STEP_PERCENT
            or now - self.shown_at >= _SECONDS_BETWEEN_LINES
        )

    def text(self, now: float) -> str:
        told = self.told
        if "sent" in told:
            speed = told["sent"] / 1048576 / max(told["seconds"], 0.01)
            return f"{self.percent} % of {told['size'] / 1048576:.0f} MiB, {speed:.0f} MiB/s"
        phase, reason, percent = told["phase"], told["reason"], "" if told["percent"] is None else f"{self.percent} %"
        if reason:
            reason = lasting(reason, now - self.since)
        elif not percent:
            phase = lasting(phase, now - self.since)
        return ", ".join(filter(None, (phase, percent, reason)))


class Lines:
    """From lines of a progress file to what `module` shows. With `live`, what is under way is no line of its own."""

    def __init__(self, module: str, *, live: bool) -> None:
        self._module, self._live = module, live
        self._objects: dict[str, _UnderWay] = {}

    def under_way(self, now: float) -> str:
        return "  ".join(f"{name}: {each.text(now)}" for name, each in self._objects.items())

    def shown(self, line: str, now: float) -> str | None:
        """What to show of one line for good, None when it is too soon; `now` is a clock in seconds."""
        try:
            told = json.loads(line)
        except ValueError:
            return None
        name = told["object"]
        if "step" in told:
            self._objects.pop(name, None)
            return f"{self._module} {name}: {told['step']}"
        one = self._objects.setdefault(name, _UnderWay())
        is_new = one.update(told, now)
        has_ended = told.get("ended") or (one.percent >= 100 and "sent" in told)
        if has_ended:
            # Of CDI's work on what was sent the next step tells.
            del self._objects[name]
        if (has_ended and (not self._live or "sent" in told)) or (not self._live and (is_new or one.is_due(now))):
            return self._line(name, one, now)
        return None

    def overdue(self, now: float) -> list[str]:
        """A line for each object of which nothing has been shown for half a minute."""
        return (
            [] if self._live else [self._line(name, one, now) for name, one in self._objects.items() if one.is_due(now)]
        )

    def _line(self, name: str, one: _UnderWay, now: float) -> str:
        one.shown_percent, one.shown_at = one.percent, now
        return f"{self._module} {name}: {one.text(now)}"


class _Watcher(threading.Thread):
    """Shows what is appended to a file until it is told to stop."""

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
                continue  # The module has not begun.
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
    """Runs the module of the task's name, which takes the option `progress_file`."""

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
        """Whether the module runs where its file can be read, and may be spoken of; what is printed for programs stays as it is."""
        here = self._connection.transport == "local" and self._connection.become is None
        for_programs = constants.DEFAULT_STDOUT_CALLBACK.endswith(("json", "jsonl"))
        return here and not (wrap_async or self._task.check_mode or self._task.no_log or for_programs)
