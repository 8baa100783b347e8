# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the progress of module volume_upload while it runs on this host. Ansible shows what a module says only when it has ended.

At a terminal one line tells of all transfers and is written again and again; elsewhere each tenth of a transfer is a line.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_POLL_SECONDS = 0.3
_STEP_PERCENT = 10
_SECONDS_BETWEEN_LINES = 30
# Ansible loads this file before it forks; the processes that run tasks have no terminal any more.
_AT_TERMINAL = sys.stdout.isatty()
_CLEAR_LINE = "\r\x1b[K"


class Lines:
    """From lines of a progress file to what is shown: each step, and a transfer every tenth or half a minute.

    `live`: of a transfer only the end; how far the others are is in `under_way`.
    """

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._shown: dict[str, tuple[int, float]] = {}
        self._transfers: dict[str, str] = {}

    @property
    def under_way(self) -> str:
        return "  ".join(self._transfers.values())

    def shown(self, line: str, now: float) -> str | None:
        """What to show of one line for good, None when it is too soon; `now` is a clock in seconds."""
        try:
            told = json.loads(line)
        except ValueError:
            return None
        volume = told["volume"]
        self._transfers.pop(volume, None)
        if "step" in told:
            self._shown.pop(volume, None)
            return f"volume_upload {volume}: {told['step']}"
        percent = 100 * told["sent"] // max(told["size"], 1)
        speed = told["sent"] / 1048576 / max(told["seconds"], 0.01)
        text = f"{volume}: {percent} % of {told['size'] / 1048576:.0f} MiB, {speed:.0f} MiB/s"
        if self._live and percent < 100:
            self._transfers[volume] = text
            return None
        last, when = self._shown.get(volume, (0, now))
        if percent // _STEP_PERCENT == last // _STEP_PERCENT and now - when < _SECONDS_BETWEEN_LINES:
            self._shown.setdefault(volume, (last, when))
            return None
        self._shown[volume] = percent, now
        return f"volume_upload {text}"


class _Watcher(threading.Thread):
    """Shows what is appended to a file until it is told to stop."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._begin = os.path.getsize(path) if os.path.exists(path) else 0
        self._ended = threading.Event()

    def __enter__(self) -> _Watcher:
        self.start()
        return self

    def __exit__(self, *_exception: t.Any) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        lines, display, rest = Lines(live=_AT_TERMINAL), Display(), ""
        last = False
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
            shown = [lines.shown(line, time.monotonic()) for line in whole]
            if _AT_TERMINAL:
                display.display(_CLEAR_LINE, screen_only=True, newline=False)
            for line in filter(None, shown):
                display.display(line)
            if lines.under_way and not last:
                display.display(lines.under_way[: display.columns], screen_only=True, newline=False)


class ActionModule(ActionBase):
    _supports_async = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        wrap_async = bool(self._task.async_val and not self._connection.has_native_async)
        if self._is_shown(wrap_async):
            with tempfile.TemporaryDirectory() as folder:
                path = arguments["progress_file"] = arguments.get("progress_file") or os.path.join(folder, "progress")
                with _Watcher(path):
                    result = self._execute_module(module_args=arguments, task_vars=task_vars)
        else:
            result = self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=wrap_async)
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return t.cast("dict[str, t.Any]", result)

    def _is_shown(self, wrap_async: bool) -> bool:
        """Whether the module runs where its file can be read, and may be spoken of."""
        here = self._connection.transport == "local" and self._connection.become is None
        return here and not (wrap_async or self._task.check_mode or self._task.no_log)
