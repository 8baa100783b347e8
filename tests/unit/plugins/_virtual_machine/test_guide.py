# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the guide and of the filter's documentation are accepted by the filter."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ansible.template
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.kubevirt.cdi.plugins.filter import vm_disks
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import vm_disks as vm_disks_shell
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.options import (
    DISK_OPTIONS,
    MACHINE_OPTIONS,
    SOURCES,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import checked
from ansible_collections.kubevirt.cdi.plugins.modules import vm_disks as vm_disks_module

GUIDE = (Path(__file__).parents[4] / "docs" / "virtual-machine-disks.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)]
LISTS = [block for block in BLOCKS if set(block[0]) <= set(DISK_OPTIONS)]
# A KubeVirt object, as an earlier task of an example has read it.
GATES = {"spec": {"configuration": {"developerConfiguration": {"featureGates": ["HostDisk"]}}}}


def tasks() -> list[dict[str, Any]]:
    """The plays of the guide, and all tasks with disks."""
    documented = [*BLOCKS, yaml.safe_load(vm_disks.EXAMPLES)]
    return [item for block in documented for item in block if "disks" in (item.get("vars") or {})]


def texts(value: Any) -> list[str]:
    if isinstance(value, (dict, list)):
        below = value.values() if isinstance(value, dict) else value
        return [text for each in below for text in texts(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("disks", LISTS, ids=lambda disks: "-".join(disk["name"] for disk in disks))
def test_a_list_of_disks_in_the_guide_is_accepted(disks: list[dict[str, Any]]) -> None:
    assert [disk.name for disk in checked(disks, {}).disks] == [disk["name"] for disk in disks]


def test_the_guide_has_each_source() -> None:
    assert {source for disks in LISTS for disk in disks for source in set(disk) & set(SOURCES)} == set(SOURCES)


@pytest.mark.parametrize("task", tasks(), ids=lambda task: str(task["name"]))
def test_a_play_or_task_renders_its_disks(task: dict[str, Any]) -> None:
    (call,) = re.findall(r"(disks \| kubevirt\.cdi\.vm_disks(?:\([^)]*\))?)", "\n".join(texts(task)))
    trusted = getattr(ansible.template, "trust_as_template", str)
    variables = {
        name: trusted(value) if isinstance(value, str) else value
        for name, value in {**task["vars"], "found": {"resources": [GATES]}}.items()
    }
    names = Templar(loader=DataLoader(), variables=variables).template(
        trusted("{{ (" + call + ").template.spec.volumes | map(attribute='name') | list }}")
    )
    assert list(names) == [disk["name"] for disk in task["vars"]["disks"]]


def test_there_are_plays_and_tasks() -> None:
    assert len(tasks()) == 5 and len(LISTS) > 8


def test_the_documentation_names_each_option() -> None:
    documented = yaml.safe_load(vm_disks.DOCUMENTATION)
    assert set(documented["options"]) - {"_input"} == set(MACHINE_OPTIONS)
    for name, spec in MACHINE_OPTIONS.items():
        option = documented["options"][name]
        assert (option["type"], option.get("choices"), option.get("default")) == (
            spec["type"],
            spec.get("choices"),
            spec.get("default"),
        )
    text = " ".join(documented["options"]["_input"]["description"])
    assert [option for option in DISK_OPTIONS if f"C({option})" not in text] == []


def module_tasks(value: Any) -> list[dict[str, Any]]:
    """The tasks with module vm_disks, also in plays."""
    if isinstance(value, list):
        return [task for item in value for task in module_tasks(item)]
    if not isinstance(value, dict):
        return []
    return [value] if "kubevirt.cdi.vm_disks" in value else module_tasks(value.get("tasks"))


MODULE_TASKS = module_tasks([*BLOCKS, yaml.safe_load(vm_disks_module.EXAMPLES)])


@pytest.mark.parametrize("task", MODULE_TASKS, ids=lambda task: str(task["name"]))
def test_a_task_with_the_module_is_accepted(task: dict[str, Any]) -> None:
    spec = vm_disks_shell.SPEC
    validated = ArgumentSpecValidator(spec.options, **spec.constraints).validate(task["kubevirt.cdi.vm_disks"])
    assert validated.error_messages == []
    vm_disks_shell.check(validated.validated_parameters)


def test_the_guide_and_the_module_have_tasks_with_the_module() -> None:
    assert len(MODULE_TASKS) == 10
