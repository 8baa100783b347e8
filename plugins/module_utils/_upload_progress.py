# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""How far uploads are, as lines of JSON in a file that somebody reads while they run."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import typing as t

from ._errors import CdiError
from ._redaction import redacted

_SECONDS = 0.5


class Progress:
    """Writes a line at most every half second for each volume, and one for each step. Without a path it is silent."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._file: t.TextIO | None = None
        self._lock = threading.Lock()
        self._written: dict[str, float] = {}

    def __enter__(self) -> Progress:
        try:
            self._file = open(self._path, "a", encoding="utf-8") if self._path else None
        except OSError as exc:
            raise CdiError(f"progress_file is {self._path}, which cannot be written ({exc.strerror}); name a file in a directory that exists.") from exc
        return self

    def __exit__(self, *_exception: t.Any) -> None:
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()

    def say(self, volume: str, step: str) -> None:
        """A step that takes a while begins."""
        self._write({"volume": volume, "step": step})

    def sent(self, volume: str, sent: int, size: int, seconds: float) -> None:
        """So many bytes of the file are on their way."""
        now = time.monotonic()
        if sent == size or now - self._written.get(volume, 0.0) >= _SECONDS:
            self._written[volume] = now
            self._write({"volume": volume, "sent": sent, "size": size, "seconds": round(seconds, 2)})

    def _write(self, line: dict[str, t.Any]) -> None:
        if self._file:
            # A full disk must not end an upload.
            with self._lock, contextlib.suppress(OSError):
                self._file.write(json.dumps(redacted(line)) + "\n")
                self._file.flush()
