# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs an iterator in a thread of its own, so that reading, decompressing and hashing do not wait for the network.

These and the encryption of TLS release Python's global lock, so that two of them use two processors.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import typing as t

T = t.TypeVar("T")
_ITEMS_AHEAD = 8


class _End(t.NamedTuple):
    error: BaseException | None = None


@contextlib.contextmanager
def read_ahead(items: t.Iterator[T], most: int = _ITEMS_AHEAD) -> t.Iterator[t.Iterator[T]]:
    """The items, at most so many of them read ahead. What the iterator raises is raised when its turn comes.

    At the end of the context the thread has ended, also when not all items were taken.
    """
    ahead: queue.Queue[T | _End] = queue.Queue(most)
    stopped = threading.Event()

    def read() -> None:
        end = _End()
        try:
            for item in items:
                ahead.put(item)
                if stopped.is_set():
                    break
        except BaseException as exc:
            end = _End(exc)
        ahead.put(end)

    def taken() -> t.Iterator[T]:
        while not isinstance(item := ahead.get(), _End):
            yield item
        ended.set()
        if item.error:
            raise item.error

    ended = threading.Event()
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        while not ended.is_set() and not isinstance(ahead.get(), _End):
            """Make room, so that the thread can end."""
        thread.join()
