# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests use the code as its callers do: they replace nothing inside it, and use no private name."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COLLECTION = "ansible_collections.kubevirt.cdi."
# Of NamedTuple, and of os.
PUBLIC = {"_replace", "_asdict", "_fields", "_make", "_exit"}
# How tests/modules.py runs a module of Ansible in its own process.
OF_ANSIBLE = {"basic._ANSIBLE_ARGS", "basic._ANSIBLE_PROFILE", "warnings._global_warnings"}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """The whole name of each import, and the name that it has in the file."""
    prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    for alias in node.names:
        yield prefix + alias.name, alias.asname or alias.name.partition(".")[0]


def _is_file(name: str) -> bool:
    path = ROOT / name.removeprefix(COLLECTION).replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def findings(source: str) -> list[str]:
    """What is refused in a test file:

    - `unittest.mock`, and calls of a function or method `setattr` or `delattr`, as of pytest's monkeypatch;
    - an import of a private name from a file of the collection or of the tests (the file may be private);
    - a private attribute of anything but `self` and `cls`;
    - an assignment to, or deletion of, an attribute or item of what was imported from the collection.
    """
    nodes = list(ast.walk(ast.parse(source)))
    imports = [each for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for each in _imported(node)]
    ours = {local for name, local in imports if name.startswith(COLLECTION)}
    found = [name for name, _local in imports if name.startswith("unittest.mock")]
    found += [
        name
        for name, _local in imports
        if name.startswith((COLLECTION, "tests.")) and _is_private(name.rpartition(".")[2]) and not _is_file(name)
    ]
    for node in nodes:
        text = ast.unparse(node) if isinstance(node, ast.expr) else ""
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("setattr", "delattr"):
            found.append(text)
        if not isinstance(node, (ast.Attribute, ast.Subscript)):
            continue
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            if text.rpartition(".")[0] not in ("self", "cls") and node.attr not in PUBLIC and text not in OF_ANSIBLE:
                found.append(text)
        elif not isinstance(node.ctx, ast.Load) and _root(node) in ours:
            found.append(text)
    return found


IMPORTS = """
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import secrets as known
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.clone_method import MEMORY, Memory
"""


@pytest.mark.parametrize(
    "line",
    [
        *("from unittest import mock", "import unittest.mock", "from unittest.mock import patch"),
        *("monkeypatch.setattr(known, 'remember', print)", "patch.setattr('time.sleep', print)", "setattr(a, 'b', 1)"),
        *("monkeypatch.delattr(known, 'remember')", "known._known.clear()", "x = Memory()._connections"),
        "from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import _known",
        *("connection.transport._source.current()", "self.connection._api", "f()._pool"),
        *("known.remember = print", "MEMORY.connections['a'] = 1", "del MEMORY.answers[0]", "MEMORY.clock += 1"),
    ],
)
def test_use_of_internals_is_found(line: str) -> None:
    assert findings(IMPORTS + line) != []


@pytest.mark.parametrize(
    "line",
    [
        *("self._own = 1", "lookup.memory = Memory()", "row._replace(a=1)", "os._exit(0)", "known.forget()"),
        *(
            "monkeypatch.setenv('A', 'b')",
            "monkeypatch.setitem(sys.modules, 'socks', None)",
            "basic._ANSIBLE_ARGS = b''",
        ),
        "from ansible_collections.kubevirt.cdi.plugins.plugin_utils import _report_view",
    ],
)
def test_use_of_public_names_is_accepted(line: str) -> None:
    assert findings(IMPORTS + line) == []


def test_no_test_uses_internals() -> None:
    listed = subprocess.run(["git", "ls-files", "-z", "tests"], cwd=ROOT, check=True, capture_output=True, text=True)
    files = [ROOT / name for name in listed.stdout.split("\0") if name.endswith(".py")]
    used = {str(path.relative_to(ROOT)): findings(path.read_text()) for path in files if path.is_file()}
    assert len(files) > 200
    assert {name: found for name, found in used.items() if found} == {}
