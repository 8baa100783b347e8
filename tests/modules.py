# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's modules as Ansible does: a process of its own, arguments as JSON on its standard input."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any
from unittest import mock


@dataclass
class Ran:
    """A module's result and everything that it printed."""

    result: dict[str, Any]
    output: str

    @property
    def warnings(self) -> list[str]:
        """Their texts; ansible-core 2.19 made objects of them."""
        told = self.result.get("warnings", [])
        return [each if isinstance(each, str) else each["event"]["msg"] for each in told]


def run_module(name: str, options: dict[str, Any], *, check: bool = False, diff: bool = True) -> Ran:
    """Run module `name` with these options. It must end with a result, be it a failure."""
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
    ended = subprocess.run(
        [sys.executable, "-m", f"ansible_collections.kubevirt.cdi.plugins.modules.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout, ended.stderr
    result = json.loads(ended.stdout)
    # By this ansible-core 2.22 tells the controller what to hide.
    result.pop("_ansible_new_secrets", None)
    return Ran(result, json.dumps(result) + ended.stderr)


def run_in_process(name: str, options: dict[str, Any], *, check: bool = False) -> Ran:
    """Run module `name` in this process, a hundred times as fast. It must end with a result, and write nothing beside it."""
    from ansible.module_utils import basic
    from ansible.module_utils.common import warnings

    module = importlib.import_module(f"ansible_collections.kubevirt.cdi.plugins.modules.{name}")
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
    given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    # Those of the modules before, which had other secrets: each has a process of its own otherwise.
    warnings._global_warnings.clear()
    printed, complaints = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(basic, "_ANSIBLE_ARGS", given))
        # ansible-core has it from release 2.19 on.
        stack.enter_context(mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True))
        stack.enter_context(contextlib.redirect_stdout(printed))
        stack.enter_context(contextlib.redirect_stderr(complaints))
        with contextlib.suppress(SystemExit):
            module.main()
    result = json.loads(printed.getvalue())
    result.pop("_ansible_new_secrets", None)
    return Ran(result, json.dumps(result, ensure_ascii=False) + complaints.getvalue())


def run_on_cluster(module_name: str, /, *, check: bool = False, **options: Any) -> Ran:
    """Run a module on the cluster that KUBECONFIG names."""
    return run_module(module_name, {"kubeconfig": os.environ["KUBECONFIG"], **options}, check=check)


def official_client() -> Any:
    """The Python package's own client for the cluster that KUBECONFIG names: tests change with it what nobody else may."""
    from kubernetes import config

    return config.new_client_from_config(os.environ["KUBECONFIG"])
