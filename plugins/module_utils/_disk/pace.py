# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When data are worth compressing: while it takes less time to compress them than to send them as they are."""

from __future__ import annotations

import time
import typing as t

_WORTH_SHARE = 0.9
# Of what was sent before, with each chunk. About four chunks count, so that the pace is that of the last moment.
_KEPT_SHARE = 0.75


class Trial(t.NamedTuple):
    """Data of `size` bytes were compressed to `packed_size` bytes in `seconds`."""

    size: int
    packed_size: int
    seconds: float


def is_worth(trial: Trial, send_seconds: float) -> bool:
    """Whether it saves a tenth of the time at least to compress such data. `send_seconds` is that of one byte sent.

    One processor compresses while the other one sends, so the slower of both counts.
    """
    compressed = max(trial.seconds, trial.packed_size * send_seconds)
    return compressed < _WORTH_SHARE * trial.size * send_seconds


class Pace:
    """How long it takes to send a byte, measured by one thread for another one.

    It is short as long as the buffers of the network have room, thus data are compressed only while the network is
    what the upload waits for. `send_seconds` is 0 until something was sent. `clock` is in seconds.
    """

    def __init__(self, clock: t.Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.send_seconds = 0.0
        self._bytes = self._seconds = 0.0

    def sent(self, size: int, seconds: float) -> None:
        """A chunk of `size` bytes, at least one, was sent in `seconds`."""
        self._bytes = _KEPT_SHARE * self._bytes + size
        self._seconds = _KEPT_SHARE * self._seconds + seconds
        self.send_seconds = self._seconds / self._bytes
