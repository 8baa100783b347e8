# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks/site.yml on a cluster."""

from __future__ import annotations

import subprocess

from tests.cluster.target import target
from tests.runner.tree import ROOT, environment

INVENTORY = ROOT / "playbooks" / "inventory" / "example.yml"
# The test cluster has no internet access: manifests and images come from its fixtures.
OWN_VARIABLES = ROOT / "tests" / "runner" / "own_cluster.yml"


def run(options: list[str]) -> int:
    """Run the playbook with these options of ansible-playbook, and return its exit code."""
    cluster = target()
    variables = [f"--extra-vars=@{OWN_VARIABLES}"] if cluster.own else []
    command = [
        "ansible-playbook",
        f"--inventory={INVENTORY}",
        str(ROOT / "playbooks" / "site.yml"),
        *variables,
        *options,
    ]
    return subprocess.run(command, check=False, env=environment(cluster.environment)).returncode
