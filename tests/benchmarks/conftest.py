# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects figures while the benchmarks run, and prints them in a table at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

_rows: list[tuple[str, ...]] = []


@pytest.fixture(scope="session")
def figure() -> Callable[..., None]:
    """Adds a row to the table: the subject, the program, and the figures."""

    def add(measured: str, by: str, *figures: str) -> None:
        _rows.append((measured, by, ", ".join(figures)))

    return add


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _rows:
        return
    terminalreporter.section("figures")
    widths = [max(len(row[column]) for row in _rows) for column in range(2)]
    for measured, by, figures in _rows:
        terminalreporter.write_line(f"{measured:{widths[0]}}  {by:{widths[1]}}  {figures}")
