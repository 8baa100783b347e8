# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that runs from a zip archive, as AnsiballZ runs it, compiles each of its files once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[4]
PACKAGE = "ansible_collections/kubevirt/cdi"
PROGRAM = """
import json, sys

compiled = []
sys.addaudithook(lambda event, args: compiled.append(str(args[1])) if event == "compile" else None)
sys.path.insert(0, sys.argv[1])
from ansible_collections.kubevirt.cdi.plugins.modules import data_volume

files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
print(json.dumps({"compiled": compiled, "files": files}))
"""


def test_module_in_a_zip_archive_compiles_each_file_once(tmp_path: Path) -> None:
    archive = tmp_path / "payload.zip"
    modules = [ROOT / "plugins/modules/data_volume.py", *(ROOT / "plugins/module_utils").rglob("*.py")]
    names = {f"{PACKAGE}/{path.relative_to(ROOT)}": path.read_text() for path in modules}
    folders = {f"{folder}" for name in names for folder in Path(name).parents if folder.name}
    names |= {f"{folder}/__init__.py": "" for folder in folders}
    with ZipFile(archive, "w") as payload:
        for name, text in names.items():
            payload.writestr(name, text)
    ended = subprocess.run([sys.executable, "-c", PROGRAM, str(archive)], capture_output=True, text=True, check=True)
    result = json.loads(ended.stdout)
    inside = f"{archive}/"
    compiled = [name.removeprefix(inside) for name in result["compiled"] if name.startswith(inside)]
    # main.py itself is loaded by the importer of Python.
    later = compiled[len(compiled) - compiled[::-1].index(f"{PACKAGE}/plugins/module_utils/_ansible/main.py") :]
    assert len(later) > 30 and [name for name, times in Counter(later).items() if times > 1] == []
    expected = {
        name.replace("/", ".").removesuffix(".py").removesuffix(".__init__"): inside + name for name in compiled
    }
    assert {module: result["files"][module] for module in expected} == expected
