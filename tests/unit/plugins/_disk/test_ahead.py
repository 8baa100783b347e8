# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items that a thread reads ahead: their order, errors, and an end before the last one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.ahead import read_ahead


def test_items_come_in_their_order() -> None:
    with read_ahead(iter(range(1000))) as items:
        assert list(items) == list(range(1000))


def test_error_comes_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield from range(20)
        raise OSError("the disk is gone")

    taken: list[int] = []
    with pytest.raises(OSError, match="the disk is gone"), read_ahead(failing()) as items:
        for item in items:
            taken.append(item)
    assert taken == list(range(20))


@pytest.mark.parametrize("taken", [0, 1, 50])
def test_thread_ends_with_the_context(taken: int) -> None:
    before = threading.active_count()
    with read_ahead(iter(range(100))) as items:
        for _number in range(taken):
            next(items)
    assert threading.active_count() == before


def test_items_are_read_while_others_are_in_use() -> None:
    second_read = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        second_read.set()
        yield 2

    with read_ahead(slow()) as items:
        assert next(items) == 1
        assert second_read.wait(60)
        assert list(items) == [2]
