# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible prints while a module waits: lines in a log, one line at a terminal, and nothing where it must not."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pty
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME

from tests.api.objects import ADMIN, body, patch_status
from tests.playing import write_play

MANIFEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml"
BLANK = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}
NO_NODE = {
    "type": "Running",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu.",
}
PHASES: list[dict[str, Any]] = [
    {"phase": "ImportScheduled", "progress": "N/A", "conditions": [NO_NODE]},
    {"phase": "ImportInProgress", "progress": "4.2%", "conditions": []},
    {"phase": "ImportInProgress", "progress": "61.5%", "conditions": []},
    {"phase": "Succeeded", "progress": "100.0%", "conditions": []},
]

# Like ansible.posix.json, it prints one JSON document at the end.
_CALLBACK = """
import json
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = "name: as_json\\ntype: stdout\\nshort_description: JSON\\ndescription: [JSON]\\n"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "stdout", "as_json"

    def v2_playbook_on_stats(self, stats):
        self._display.display(json.dumps({"failures": stats.summarize("localhost")["failures"]}))
"""


class Cdi:
    """Advances the volume `disk` by one phase when `output` shows the phase before it, at the latest after a minute."""

    def __init__(self, direct: Connection, namespace: str) -> None:
        self.output = ""
        # The last phase is not awaited.
        self.shown = ["ImportScheduled", "ImportInProgress, 4 %", "ImportInProgress, 61 %", ""]
        self._direct, self._namespace = direct, namespace
        self._ended = threading.Event()

    def run(self) -> None:
        self._wait(lambda: self._direct.get(DATA_VOLUME, "disk", self._namespace) is not None)
        for status, shown in zip(PHASES, self.shown, strict=True):
            patch_status(self._direct, DATA_VOLUME, "disk", self._namespace, status)
            # Modules report progress at most every half second.
            self._ended.wait(1.0)
            self._wait(functools.partial(self._has_shown, shown))

    def end(self) -> None:
        self._ended.set()

    def _has_shown(self, text: str) -> bool:
        return text in self.output

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline and not self._ended.wait(0.1):
            pass


@pytest.fixture
def cdi(direct: Connection, namespace: str) -> Iterator[Cdi]:
    started = Cdi(direct, namespace)
    thread = threading.Thread(target=started.run, daemon=True)
    thread.start()
    yield started
    started.end()
    thread.join()


def _command(folder: Path, task: dict[str, Any], **options: str) -> list[str]:
    """A play whose connection options, and these options, are defaults of the action group."""
    defaults = {"group/kubevirt.cdi.cdi": {"kubeconfig": os.environ["KUBECONFIG"], **options}}
    path = write_play(folder, [task], module_defaults=defaults)
    inventory = "localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n"
    (folder / "inventory").write_text(inventory)
    return ["ansible-playbook", "-i", str(folder / "inventory"), str(path)]


def _environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG")}
    return {**plain, "ANSIBLE_NOCOLOR": "true", **more}


def _lines(
    command: list[str], *, cdi: Cdi | None = None, code: int = 0, more: dict[str, str] | None = None
) -> list[str]:
    """The printed lines, of which `cdi` is informed at once."""
    shown: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(**(more or {}))
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            shown.append(line.rstrip())
            if cdi:
                cdi.output += line
    assert running.returncode == code, shown
    return shown


def _of_disk(shown: list[str], namespace: str) -> list[str]:
    return [line for line in shown if line.startswith(f"data_volume {namespace}/disk: ")]


def test_wait_for_a_volume_is_shown_in_lines_while_the_task_runs(cdi: Cdi, namespace: str, tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    task = {"kubevirt.cdi.data_volume": {"name": "disk", **BLANK, "progress_file": str(progress), "wait_timeout": 60}}
    shown = _lines(_command(tmp_path, task, namespace=namespace), cdi=cdi)
    before = f"data_volume {namespace}/disk: "
    lines = [line.removeprefix(before) for line in _of_disk(shown, namespace)]
    # The time between creation and the first phase varies.
    assert [line for line in lines if not line.startswith("Pending")] == [
        "ImportScheduled, Unschedulable: 0/1 nodes are available: 1 Insufficient cpu",
        "ImportInProgress, 4 %",
        "ImportInProgress, 61 %",
        "Succeeded",
    ]
    recorded = [json.loads(line) for line in progress.read_text().splitlines()]
    assert {line["object"] for line in recorded} == {f"{namespace}/disk"} and recorded[-1]["ended"] is True
    assert ADMIN not in str(shown)


def test_wait_at_a_terminal_is_one_line_that_is_overwritten(cdi: Cdi, namespace: str, tmp_path: Path) -> None:
    terminal, device = pty.openpty()
    cdi.shown[0] = "ImportScheduled, Unschedulable for "
    task = {"kubevirt.cdi.data_volume": {"name": "disk", **BLANK}}
    command = _command(tmp_path, task, namespace=namespace)
    with subprocess.Popen(command, stdout=device, stderr=device, env=_environment()) as running:
        os.close(device)
        with contextlib.suppress(OSError):  # The end of a terminal after its last writer.
            while piece := os.read(terminal, 65536):
                cdi.output += piece.decode()
    os.close(terminal)
    assert running.returncode == 0, cdi.output
    clear = "\r\x1b[K"
    text = cdi.output.replace("\r\n", "\n")
    assert re.search(rf"{re.escape(clear)}{namespace}/disk: ImportScheduled, Unschedulable for \d+ s: 0/1", text), text
    assert f"{namespace}/disk: ImportInProgress, 61 %" in text
    stay = [line.rpartition(clear)[2] for line in text.split("\n")]
    assert not any("ImportScheduled" in line or "ImportInProgress" in line for line in stay), stay
    assert any(line.startswith("changed: [localhost]") for line in stay)


def test_wait_for_a_deletion_is_shown(direct: Connection, namespace: str, tmp_path: Path) -> None:
    spec = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
    held = body(DATA_VOLUME, "disk", metadata={"finalizers": ["example.com/hold"]}, spec=spec)
    direct.create(DATA_VOLUME, held, namespace, dry_run=False)
    task = {"kubevirt.cdi.data_volume": {"name": "disk", "state": "absent", "wait_timeout": 3}}
    shown = _lines(_command(tmp_path, task, namespace=namespace), code=2)
    direct.merge(DATA_VOLUME, "disk", namespace, {"metadata": {"finalizers": None}}, dry_run=False)
    assert _of_disk(shown, namespace) == [f"data_volume {namespace}/disk: DataVolume is being deleted"]


@pytest.mark.parametrize(
    ("task", "environment"),
    [
        ({"check_mode": True}, {}),
        ({"no_log": True}, {}),
        ({"async": 60, "poll": 1}, {}),
        ({}, {"ANSIBLE_STDOUT_CALLBACK": "as_json"}),
    ],
    ids=["check mode", "no_log", "async", "JSON"],
)
def test_no_progress_is_shown_where_it_must_not(
    namespace: str, tmp_path: Path, task: dict[str, Any], environment: dict[str, str]
) -> None:
    (tmp_path / "as_json.py").write_text(_CALLBACK)
    module = {"kubevirt.cdi.data_volume": {"name": "disk", **BLANK, "wait_timeout": 2}}
    command = _command(tmp_path, {**module, **task}, namespace=namespace)
    more = {"ANSIBLE_CALLBACK_PLUGINS": str(tmp_path), **environment}
    shown = _lines(command, code=0 if "check_mode" in task else 2, more=more)
    assert _of_disk(shown, namespace) == []
    if environment:
        assert json.loads("\n".join(shown)) == {"failures": 1}


@pytest.mark.usefixtures("no_cdi")
def test_installation_is_shown_in_lines(tmp_path: Path) -> None:
    """No operator runs here, so CDI never becomes ready."""
    task = {"kubevirt.cdi.cdi": {"manifest": MANIFEST, "wait_timeout": 3}}
    shown = _lines(_command(tmp_path, task), code=2)
    lines = [line for line in shown if line.startswith("cdi v1.65.0: ")]
    assert lines and lines[0].startswith("cdi v1.65.0: CDI cdi, phase is unset, Available is Unknown"), shown
