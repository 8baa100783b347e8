# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock between processes, which many share or one holds alone, and what one process does for all of them."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

_Made = TypeVar("_Made")


class SharedLock:
    """Two locked files: the room, which is shared or held alone, and its door, which a process passes to enter.

    The process that waits for the room holds the door, so that later processes wait behind it: a stream of processes
    that share does not starve one that waits to be alone. The kernel unlocks the files when a process ends.
    """

    def __init__(self, path: Path) -> None:
        self._door = path.with_suffix(".door").open("w", encoding="utf-8")
        self._room = path.with_suffix(".room").open("w", encoding="utf-8")
        self._alone: bool | None = None

    @property
    def is_alone(self) -> bool:
        """Whether this process holds the lock alone."""
        return self._alone is True

    def take(self, *, alone: bool) -> None:
        """Wait for the lock. A process that already holds it in this way keeps it."""
        if self._alone is alone:
            return
        self.release()
        fcntl.flock(self._door, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self._door, fcntl.LOCK_UN)
        self._alone = alone

    def release(self) -> None:
        fcntl.flock(self._room, fcntl.LOCK_UN)
        self._alone = None

    @contextmanager
    def held(self, *, alone: bool | None) -> Iterator[None]:
        """Hold the lock in another way for some time; None: do not hold it."""
        before = self._alone
        self._change(alone)
        try:
            yield
        finally:
            self._change(before)

    def _change(self, alone: bool | None) -> None:
        if alone is None:
            self.release()
        else:
            self.take(alone=alone)


def once(folder: Path, name: str, make: Callable[[], _Made]) -> _Made:
    """The result of `make`, which one process of pytest-xdist calls for all of them. `folder` is that of this one."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / f"{name}.pickle").open("a+b") as stored:
        fcntl.flock(stored, fcntl.LOCK_EX)
        stored.seek(0)
        content = stored.read()
        if not content:
            content = pickle.dumps(make())
            stored.write(content)
    made: _Made = pickle.loads(content)
    return made
