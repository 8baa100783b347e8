# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When data are compressed before they are sent."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.pace import Pace, Trial, is_worth

from tests.image_files import MIB


@pytest.mark.parametrize(
    ("share", "compressed_at", "sent_at", "expected"),
    [
        # A slow network: what counts is how much is saved.
        (0.4, 90, 11, True),
        (0.89, 90, 11, True),
        (0.9, 90, 11, False),
        (1.0, 90, 11, False),
        (1.0004, 40, 11, False),
        # A network as fast as the compression: what counts is the compression.
        (0.4, 90, 80, True),
        (0.4, 90, 82, False),
        (0.1, 90, 90, False),
        (0.4, 90, 250, False),
        (0.01, 600, 250, True),
        # A machine that has no time.
        (0.4, 10, 11, False),
        (0.4, 0.001, 11, False),
    ],
)
def test_compression_has_to_save_a_tenth_of_the_time(
    share: float, compressed_at: float, sent_at: float, expected: bool
) -> None:
    """The rates are in MiB/s."""
    trial = Trial(1000 * MIB, round(share * 1000 * MIB), 1000 / compressed_at)
    assert is_worth(trial, 1 / sent_at / MIB) == expected


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_nothing_is_compressed_before_the_network_is_known(seconds: float) -> None:
    assert not is_worth(Trial(MIB, 1000, seconds), Pace().send_seconds)


@pytest.mark.parametrize(
    ("chunks", "least", "most"),
    [
        ([(MIB, 0.1)], 10, 10),
        ([(MIB, 0.1)] * 9, 10, 10),
        ([(256 * 1024, 0.025), (MIB, 0.1)], 10, 10),
        # The buffers of the network take the first chunks at once.
        ([(MIB, 0.001)] * 4 + [(MIB, 0.1)], 10, 40),
        ([(MIB, 0.001)] * 4 + [(MIB, 0.1)] * 4, 10, 15),
        # They have room again.
        ([(MIB, 0.1)] * 9 + [(MIB, 0.001)] * 4, 10, 40),
        ([(MIB, 0.1)] * 9 + [(MIB, 0.001)] * 12, 200, 1000),
    ],
)
def test_pace_is_that_of_the_last_chunks(chunks: list[tuple[int, float]], least: float, most: float) -> None:
    """The limits are in MiB/s."""
    pace = Pace()
    for size, seconds in chunks:
        pace.sent(size, seconds)
    assert least * 0.999 <= 1 / pace.send_seconds / MIB <= most * 1.001
