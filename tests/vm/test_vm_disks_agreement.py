# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of filter vm_disks and the dry run of the real KubeVirt have the same verdict on each spec."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import VIRTUAL_MACHINE, Resource
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine import rule
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.reading import read
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import problems

from tests.vm.kubevirt_setup import KUBEVIRT
from tests.vm.state import INSTANCE
from tests.vm_disks.spec import Spec
from tests.vm_specs import SPECS

TRIED = [spec for spec in SPECS if spec.has_api_form]


@pytest.fixture(scope="module")
def gates(connection: Connection) -> list[str]:
    """The enabled feature gates."""
    found, _version = connection.list(KUBEVIRT)
    enabled: list[str] = found[0]["spec"]["configuration"]["developerConfiguration"].get("featureGates", [])
    return enabled


def stages(spec: Spec, gates: list[str]) -> set[str]:
    """Where KubeVirt reports the problems of a spec, by our rules, with the feature gates of the cluster."""
    machine = read(spec.disks, {**spec.options, "feature_gates": gates}).machine
    return {problem.rule.stage for problem in problems(machine)}


def tried(connection: Connection, namespace: str, resource: Resource, spec: dict[str, Any]) -> str:
    """The error of a dry run, empty if it succeeds."""
    body = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "tried", "namespace": namespace},
        "spec": spec,
    }
    try:
        connection.create(resource, body, namespace, dry_run=True)
    except ApiError as error:
        return str(error)
    return ""


def machine_of(spec: Spec) -> dict[str, Any]:
    """The spec of a VirtualMachine with these disks."""
    whole = {"runStrategy": "Halted", **spec.fragment}
    template = whole["template"]["spec"]
    template["domain"]["memory"] = {"guest": "64Mi"}
    if "architecture" in spec.options:
        template["architecture"] = spec.options["architecture"]
    return whole


def test_rules_and_the_webhook_of_machines_agree(connection: Connection, namespace: str, gates: list[str]) -> None:
    different = {}
    for spec in TRIED:
        error = tried(connection, namespace, VIRTUAL_MACHINE, machine_of(spec))
        if bool(error) != (rule.API in stages(spec, gates)):
            different[spec.label] = error
    assert different == {}


def test_rules_and_the_webhook_of_instances_agree(connection: Connection, namespace: str, gates: list[str]) -> None:
    different = {}
    for spec in TRIED:
        # Templates are parts of a machine only, and their rules are compared above.
        if any("data_volume_template" in disk for disk in spec.disks):
            continue
        error = tried(connection, namespace, INSTANCE, machine_of(spec)["template"]["spec"])
        if bool(error) != bool({rule.API, rule.INSTANCE} & stages(spec, gates)):
            different[spec.label] = error
    assert different == {}
