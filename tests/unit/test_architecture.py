# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md is true: its table of packages is compared with the imports."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
UTILS = ROOT / "plugins" / "module_utils"
LONGEST = 400
# What sends requests or waits, besides the code that opens sockets below it.
CLIENT_AND_WAITER = {"_kubernetes.client", "_kubernetes.wait", "_kubernetes.apply", "_kubernetes.reader"}


class Row(NamedTuple):
    """A row of the table, in its order from top to bottom."""

    package: str
    imports: list[str]
    sends: list[str]


class Import(NamedTuple):
    """An import of another file. `late`: inside a function. `typing`: below TYPE_CHECKING."""

    file: str
    late: bool
    typing: bool


def table() -> list[Row]:
    rows = re.findall(
        r"^\| `(_\w+)` \|[^|]+\|([^|]+)\|([^|]+)\|$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE
    )
    return [
        Row(package, re.findall(r"`(\w+)`", imports), re.findall(r"`(\w+)`", sends)) for package, imports, sends in rows
    ]


@cache
def imports_of(file: str) -> frozenset[Import]:
    """What `_package.file` imports of the collection, by the names `_package.file`."""
    package, stem = file.split(".")
    tree = ast.parse((UTILS / package / f"{stem}.py").read_text())
    found = set()

    def visit(node: ast.AST, late: bool, typing: bool) -> None:
        if isinstance(node, ast.ImportFrom) and node.level:
            module = node.module or ""
            inside = {1: package, 2: None}[node.level]
            for alias in node.names:
                parts = [*filter(None, [inside, *module.split("."), alias.name])]
                found.add(Import(".".join(parts[:2]), late, typing))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            text = ast.unparse(node)
            assert "ansible_collections" not in text, f"{file}: write {text} as a relative import"
        for child in ast.iter_child_nodes(node):
            visit(
                child,
                late or isinstance(node, ast.FunctionDef),
                typing or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)),
            )

    visit(tree, False, False)
    return frozenset(found)


@cache
def files() -> list[str]:
    return sorted(f"{path.parent.name}.{path.stem}" for path in UTILS.glob("_*/*.py"))


def test_the_table_lists_each_package() -> None:
    assert sorted(row.package for row in table()) == sorted({file.split(".")[0] for file in files()})
    assert [path.name for path in UTILS.glob("*.py")] == []


@pytest.mark.parametrize("row", table(), ids=lambda row: row.package)
def test_a_package_imports_what_the_table_says(row: Row) -> None:
    order = [each.package for each in table()]
    mine = [file for file in files() if file.startswith(f"{row.package}.")]
    imported = {each.file.split(".")[0] for file in mine for each in imports_of(file)} - {row.package}
    assert sorted(imported, key=order.index) == row.imports
    below = order[order.index(row.package) + 1 :]
    assert imported <= set(below), "a package imports only packages below it"
    sending = {
        file.split(".")[1]
        for file in mine
        if any(each.file in CLIENT_AND_WAITER and not each.typing for each in imports_of(file))
    }
    assert sorted(sending) == row.sends


def test_no_file_imports_itself_through_others() -> None:
    """Late imports count, too. Imports for types do not: they are gone when the code runs."""
    graph = {file: {each.file for each in imports_of(file) if not each.typing} for file in files()}
    done: set[str] = set()

    def walk(file: str, path: tuple[str, ...]) -> None:
        assert file not in path, f"circle: {' -> '.join([*path[path.index(file) :], file])}"
        if file not in done:
            for other in graph.get(file, ()):
                walk(other, (*path, file))
            done.add(file)

    for file in files():
        walk(file, ())


def test_every_import_names_a_file() -> None:
    missing = {(file, each.file) for file in files() for each in imports_of(file)}
    assert [pair for pair in missing if pair[1] not in files()] == []


@pytest.mark.parametrize("folder", ["plugins", "tests", "extensions"])
def test_no_file_is_longer_than_400_lines(folder: str) -> None:
    """The documentation of a module is as long as it has to be."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / folder).rglob("*.py")
        if path.parent != ROOT / "plugins" / "modules" and (lines := len(path.read_text().splitlines())) > LONGEST
    }
    assert long == {}
