# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that KubeVirt refuses, cannot start or ignores are refused in one sentence each; others are not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine import rule
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.reading import read
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import RULES, checked, problems

from tests.vm_disks.spec import ALL_GATES, CDROM, CLAIM, Spec, disk
from tests.vm_disks.valid import VALID
from tests.vm_specs import REFUSED, SPECS

STAGES = (rule.CLIENT, rule.API, rule.INSTANCE, rule.START, rule.IGNORED)


@pytest.mark.parametrize("spec", VALID, ids=str)
def test_disks_that_kubevirt_runs_are_accepted(spec: Spec) -> None:
    assert checked(spec.disks, spec.options).disks == read(spec.disks, spec.options).machine.disks


@pytest.mark.parametrize("spec", REFUSED, ids=str)
def test_wrong_disks_are_refused_by_one_rule(spec: Spec) -> None:
    reading = read(spec.disks, spec.options)
    assert reading.problems == ()
    found = problems(reading.machine)
    assert [problem.rule.name for problem in found] == [spec.rule]
    assert spec.reported in found[0].sentence


@pytest.mark.parametrize("spec", REFUSED, ids=str)
def test_a_problem_is_one_sentence_with_a_remedy(spec: Spec) -> None:
    sentence = problems(read(spec.disks, spec.options).machine)[0].sentence
    assert "; " in sentence or "needs exactly one source" in sentence
    assert ". " not in sentence and "\n" not in sentence and not sentence.endswith(".")
    with pytest.raises(CdiError) as raised:
        checked(spec.disks, spec.options)
    assert str(raised.value) == f"{sentence}."


def test_each_rule_refuses_a_spec() -> None:
    assert {spec.rule for spec in REFUSED} == {each.name for each in RULES}


def test_each_rule_has_its_own_name_a_stage_and_a_source() -> None:
    assert len({each.name for each in RULES}) == len(RULES)
    assert {each.stage for each in RULES} == set(STAGES)
    assert all(each.source for each in RULES)


def test_labels_of_specs_are_unique_and_there_are_many() -> None:
    assert len({spec.label for spec in SPECS}) == len(SPECS) >= 60


def test_all_problems_are_reported_in_the_order_of_the_disks() -> None:
    disks = [disk(name="A", serial="x y"), disk(name="b", boot_order=0), {"name": "c"}, disk(name="b")]
    found = problems(read(disks, {"block_multi_queue": True}).machine)
    assert [problem.rule.name for problem in found] == [
        "name_is_a_label",
        "serial_has_allowed_characters",
        "boot_order_is_positive",
        "volume_has_one_source",
        "names_are_unique",
        "claims_are_used_once",
        "queues_need_cpus",
    ]
    with pytest.raises(CdiError) as raised:
        checked(disks, {"block_multi_queue": True})
    assert str(raised.value) == " ".join(f"{problem.sentence}." for problem in found)


def test_rules_of_all_disks_wait_until_each_disk_can_be_read() -> None:
    """A disk that cannot be read would otherwise be missing in what the rules count."""
    with pytest.raises(CdiError) as raised:
        checked([{"name": "a", "bus": "ide", **CLAIM}, disk(boot_order=0)], {"block_multi_queue": True})
    message = str(raised.value)
    assert "Disk 'a': value of bus must be one of" in message and "Disk 'd' has boot_order=0" in message
    assert "block_multi_queue" not in message


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        (None, []),
        ([], ["empty_cdrom_needs_its_gate", "hotplug_needs_a_gate"]),
        (["HotplugVolumes"], ["empty_cdrom_needs_its_gate"]),
        (["DeclarativeHotplugVolumes"], []),
        (ALL_GATES["feature_gates"], []),
    ],
)
def test_feature_gates_are_checked_only_if_they_are_known(gates: Any, expected: list[str]) -> None:
    disks = [disk(hotpluggable=True), {**CDROM, "name": "cd", "bus": "sata"}]
    found = problems(read(disks, {"feature_gates": gates}).machine)
    assert [problem.rule.name for problem in found] == expected


@pytest.mark.parametrize("architecture", ["arm64", "s390x"])
def test_other_architectures_have_virtio_by_default(architecture: str) -> None:
    disks = [{"name": "d", **CLAIM, "dedicated_io_thread": True, "read_only": True}]
    checked(disks, {"architecture": architecture, "io_threads_policy": "auto"})
