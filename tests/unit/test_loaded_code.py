# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much code a task ships and loads.

Each task is a process that compiles what it loads. When nothing changes, this takes most of the time. To stay below a
limit, import what only some tasks need where it is used.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.unit.test_architecture import UTILS, files, imports_of

# What modules/data_volume.py imports when it starts, and the connection that each task opens.
STARTED = ("_ansible.main", "_ansible.module", "_module.data_volume", "_kubernetes.client")
MOST_LINES_LOADED = 5120
MOST_FILES_LOADED = 41
MOST_FILES_SHIPPED = 116


def _reached(starts: Iterable[str], *, shipped: bool) -> set[str]:
    """The files that are loaded before any function runs; with `shipped`, all that AnsiballZ finds."""
    reached: set[str] = set()
    waiting = list(starts)
    while waiting:
        file = waiting.pop()
        if file not in reached and file in files():
            reached.add(file)
            waiting += [each.file for each in imports_of(file) if shipped or not (each.late or each.typing)]
    return reached


def test_unchanged_volume_loads_little_code() -> None:
    """What an unchanged volume must not import later either is in tests/api/test_data_volume.py."""
    loaded = _reached(STARTED, shipped=False)
    sizes = {file: len((UTILS / f"{file.replace('.', '/')}.py").read_text().splitlines()) for file in loaded}
    assert sum(sizes.values()) <= MOST_LINES_LOADED, sorted(sizes.items(), key=lambda item: -item[1])
    assert len(loaded) <= MOST_FILES_LOADED, sorted(loaded)


def test_data_volume_ships_few_files() -> None:
    """AnsiballZ looks for each imported name as a file, once for the first task of a play."""
    shipped = _reached(STARTED, shipped=True)
    assert len(shipped) <= MOST_FILES_SHIPPED, sorted(shipped)
