# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports the running build steps, at least every 15 seconds, and the seconds of each step."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_INTERVAL = 15.0


class Progress:
    """Measures named steps, which may overlap; `seconds` has the finished ones."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: dict[str, float] = {}
        self._started = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._report_regularly, daemon=True)
        self._thread.start()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the body of the `with` statement by this name, unless it fails."""
        started = time.monotonic()
        self._running[name] = started
        self._report()
        try:
            yield
            self.seconds[name] = round(time.monotonic() - started, 1)
        finally:
            del self._running[name]

    def close(self) -> None:
        """Stop the reports."""
        self._closed.set()
        self._thread.join()

    def _report_regularly(self) -> None:
        while not self._closed.wait(_INTERVAL):
            self._report()

    def _report(self) -> None:
        now = time.monotonic()
        steps = ", ".join(f"{name} ({now - since:.0f} s)" for name, since in list(self._running.items()))
        print(f"[{self.elapsed():5.0f} s] building {steps}", file=sys.stderr, flush=True)
