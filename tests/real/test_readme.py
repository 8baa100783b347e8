# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of the README works: the test runs its playbook and its commands, and checks the promised output."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.objects import Ok
from tests.runner.tree import ROOT

SECTION = (ROOT / "README.md").read_text().partition("## Try it\n")[2].partition("\n## ")[0]
PLAYBOOK = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)[0]
COMMANDS = [line.split("  #")[0].strip() for line in re.findall(r"(?m)^    (ansible.*)$", SECTION)]
NAMES = ["try-clone", "try-source"]


@pytest.fixture(autouse=True)
def no_volumes_before_and_after(ok: Ok) -> Iterator[None]:
    def delete() -> None:
        for name in NAMES:
            ok("data_volume", name=name, namespace="default", state="absent")

    delete()
    yield
    delete()


def test_readme_example_works(tmp_path: Path, ok: Ok) -> None:
    (tmp_path / "try.yml").write_text(PLAYBOOK)
    outputs = []
    for command in COMMANDS:
        ended = subprocess.run(shlex.split(command), cwd=tmp_path, check=False, capture_output=True, text=True)
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        outputs.append(ended.stdout)
    first, again, *deleted = outputs
    assert re.search(r'"msg": "(snapshot|csi-clone|copy): .{10,}"', first) and "changed=2 " in first
    assert "changed=0 " in again
    assert len(deleted) == 2 and all("CHANGED" in output for output in deleted)
    left = ok("data_volume_info", namespace="default")["data_volumes"]
    assert [volume["name"] for volume in left if volume["name"] in NAMES] == []
