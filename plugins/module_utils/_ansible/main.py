# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a module. A module imports this file first, so that all files after it are compiled once.

AnsiballZ runs modules from a zip archive. Python's importer for such archives compiles each file twice: once to learn
its name, and once to run it. When nothing changes, compiling takes most of the time of a task.
"""

from __future__ import annotations

import sys
import typing as t
import zipimport

if t.TYPE_CHECKING:
    from .argspec import ArgumentSpec
    from .module import LocalTask, Task


class _Importer(zipimport.zipimporter):
    """Knows the name of a file without compiling it. AnsiballZ ships source files only."""

    def get_filename(self, fullname: str) -> str:
        rest = "/__init__.py" if self.is_package(fullname) else ".py"
        return f"{self.archive}/{self.prefix}{fullname.rpartition('.')[2]}{rest}"


def compile_once(archive: str) -> None:
    """Import what is still to come from this zip archive without compiling it twice."""

    def importer_of(path: str) -> _Importer:
        if not path.startswith(archive):
            raise ImportError(path)  # Python tries the next hook.
        return _Importer(path)

    sys.path_hooks.insert(0, importer_of)
    for path in [path for path in sys.path_importer_cache if path.startswith(archive)]:
        del sys.path_importer_cache[path]


_LOADER = __spec__.loader
if isinstance(_LOADER, zipimport.zipimporter):
    compile_once(_LOADER.archive)


def run(
    spec: ArgumentSpec,
    function: t.Callable[[Task], dict[str, t.Any]],
    check: t.Callable[[dict[str, t.Any]], None] | None = None,
) -> None:
    """Run a module that sends requests to a cluster. See `_ansible.module.run`."""
    from .module import run

    run(spec, function, check)


def run_without_cluster(spec: ArgumentSpec, function: t.Callable[[LocalTask], dict[str, t.Any]]) -> None:
    """Run a module that has no connection options."""
    from .module import run_without_cluster

    run_without_cluster(spec, function)
