# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules of the collection as Ansible does: each in a process of its own."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import multiprocessing
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.completion import completed
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import Task, run
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.runner.tree import ROOT

_PLUGINS = "ansible_collections.kubevirt.cdi.plugins"
_MODULES = f"{_PLUGINS}.modules"


def _names(folder: str) -> list[str]:
    """The names of all Python modules in this folder of the plugins."""
    paths = sorted((ROOT / "plugins" / folder).rglob("*.py"))
    return [".".join((_PLUGINS, *path.relative_to(ROOT / "plugins").with_suffix("").parts)) for path in paths]


# Imports what modules need once, and then forks for each run: an import takes twenty times as long as a run.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "urllib3", *_names("module_utils"), *_names("modules")])


@dataclass
class Ran:
    """A module's result and everything that it printed."""

    result: dict[str, Any]
    output: str

    @property
    def warnings(self) -> list[str]:
        """Their texts; since ansible-core 2.19 a warning is an object."""
        warnings = self.result.get("warnings", [])
        return [each if isinstance(each, str) else each["event"]["msg"] for each in warnings]

    @property
    def refusal(self) -> str:
        """The error of a module that must fail: one line and no traceback."""
        assert self.result.get("failed"), self.result
        message = str(self.result["msg"])
        assert "\n" not in message and "b'{" not in message and "Traceback" not in self.output, self.output
        return message


class RunModule(Protocol):
    """Runs a module on a test's cluster, with its credentials unless the options give others."""

    def __call__(self, module_name: str, /, *, check: bool = False, **options: Any) -> Ran: ...


def run_module(name: str, options: dict[str, Any], *, check: bool = False, diff: bool = True) -> Ran:
    """Run module `name` with these options, environment and working directory. It must return a result or an error."""
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
    with tempfile.TemporaryDirectory() as folder:
        process = _FORKS.Process(
            target=_run_here, args=(name, _as_json(arguments), dict(os.environ), os.getcwd(), folder)
        )
        process.start()
        process.join()
        process.close()
        output, errors = ((Path(folder) / name).read_text() for name in ("stdout", "stderr"))
    assert output, errors
    result = json.loads(output)
    # In this key, ansible-core 2.22 returns what the controller is to hide.
    result.pop("_ansible_new_secrets", None)
    return Ran(result, json.dumps(result) + errors)


def _run_here(name: str, arguments: bytes, environment: dict[str, str], working_directory: str, folder: str) -> None:
    """Turn this process into that of a module, with its output in files of `folder`."""
    for number, file in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(folder) / file, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(working_directory)
    _give(arguments)
    importlib.import_module(f"{_MODULES}.{name}").main()


def _give(arguments: bytes) -> None:
    """Set the input of the modules of this process, as Ansible does."""
    from ansible.module_utils import basic

    basic._ANSIBLE_ARGS = arguments
    # Since ansible-core 2.19.
    basic._ANSIBLE_PROFILE = "legacy"


def _as_json(arguments: dict[str, Any]) -> bytes:
    return json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()


def no_sleep(_seconds: float) -> None:
    """For requests that are sent again at once."""


def run_in_process(name: str, options: dict[str, Any], *, check: bool = False) -> Ran:
    """Run module `name` in this process, for tests that run it some thousand times. Requests are repeated at once.

    It must return a result or an error, and write nothing else to its standard output.
    """
    from ansible.module_utils.common import warnings

    module = importlib.import_module(f"{_MODULES}.{name}")
    _give(_as_json({**options, "_ansible_check_mode": check, "_ansible_diff": True}))
    # Warnings of earlier modules, which had other secrets.
    warnings._global_warnings.clear()
    printed, complaints = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(complaints),
        contextlib.suppress(SystemExit),
    ):
        run(module.SPEC, module.run, getattr(module, "check", None), sleep=no_sleep)
    result = json.loads(printed.getvalue())
    result.pop("_ansible_new_secrets", None)
    return Ran(result, json.dumps(result, ensure_ascii=False) + complaints.getvalue())


def run_task(
    module: ModuleType, options: dict[str, Any], connection: Connection, *, check: bool = False
) -> dict[str, Any]:
    """The result, error and warnings of a module's `run` on this connection, in this process."""
    warnings: list[str] = []
    try:
        result = module.run(Task(completed(options, module.SPEC.options), connection, check, warnings.append))
    except CdiError as exc:
        result = {"failed": True, "msg": str(exc), **exc.result}
    return {**result, "warnings": warnings}


def run_on_cluster(module_name: str, /, *, check: bool = False, **options: Any) -> Ran:
    """Run a module on the cluster of KUBECONFIG."""
    return run_module(module_name, {"kubeconfig": os.environ["KUBECONFIG"], **options}, check=check)


def official_client() -> Any:
    """The client of the Python package kubernetes, which can also write status, for the cluster of KUBECONFIG."""
    from kubernetes import config

    return config.new_client_from_config(os.environ["KUBECONFIG"])
