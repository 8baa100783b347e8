# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible prints of a module that waits, while it waits: plain lines, one line at a terminal, nothing where it must not."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME

from tests.api.conftest import ADMIN

MANIFEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml"
BLANK = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}
NO_NODE = {
    "type": "Running",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu.",
}
PHASES = [
    {"phase": "ImportScheduled", "progress": "N/A", "conditions": [NO_NODE]},
    {"phase": "ImportInProgress", "progress": "4.2%", "conditions": []},
    {"phase": "ImportInProgress", "progress": "61.5%", "conditions": []},
    {"phase": "Succeeded", "progress": "100.0%", "conditions": []},
]

# As ansible.posix.json: all that it prints is one JSON document at the end.
_CALLBACK = """
import json
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = "name: as_json\\ntype: stdout\\nshort_description: JSON\\ndescription: [JSON]\\n"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "stdout", "as_json"

    def v2_playbook_on_stats(self, stats):
        self._display.display(json.dumps({"failures": stats.summarize("localhost")["failures"]}))
"""


@pytest.fixture
def cdi(direct: Connection, namespace: str) -> Iterator[None]:
    """What CDI makes of the volume `disk`, a phase each 1.5 seconds."""
    ended = threading.Event()

    def patch(status: dict[str, Any]) -> bool:
        path = f"{DATA_VOLUME.path(namespace, 'disk')}/status"
        headers = {"Content-Type": "application/merge-patch+json"}
        body = json.dumps({"status": status})
        return bool(direct.transport.request("PATCH", path, headers, body=body).status == 200)

    def run() -> None:
        for status in PHASES:
            while not patch(status) and not ended.wait(0.1):
                pass
            ended.wait(1.5)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()


def _command(folder: Path, task: dict[str, Any], **options: str) -> list[str]:
    """A play whose connection, and these options, come from the defaults of the action group."""
    defaults = {"group/kubevirt.cdi.cdi": {"kubeconfig": os.environ["KUBECONFIG"], **options}}
    book = [{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": [task]}]
    (folder / "play.yml").write_text(json.dumps(book))
    inventory = "localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n"
    (folder / "inventory").write_text(inventory)
    return ["ansible-playbook", "-i", str(folder / "inventory"), str(folder / "play.yml")]


def _environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG")}
    return {**plain, "ANSIBLE_NOCOLOR": "true", **more}


def _lines(command: list[str], *, code: int = 0, **environment: str) -> list[tuple[float, str]]:
    """What is printed, each line with its time."""
    shown = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(**environment)
    ) as running:
        assert running.stdout is not None
        shown.extend((time.monotonic(), line.rstrip()) for line in running.stdout)
    assert running.returncode == code, shown
    return shown


def _of_disk(shown: list[tuple[float, str]], namespace: str) -> list[str]:
    return [line for _when, line in shown if line.startswith(f"data_volume {namespace}/disk: ")]


@pytest.mark.usefixtures("cdi")
def test_a_volume_that_is_waited_for_is_shown_in_lines(namespace: str, tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    task = {"kubevirt.cdi.data_volume": {"name": "disk", **BLANK, "progress_file": str(progress)}}
    shown = _lines(_command(tmp_path, task, namespace=namespace))
    before = f"data_volume {namespace}/disk: "
    lines = [line.removeprefix(before) for line in _of_disk(shown, namespace)]
    # How soon the first phase comes after the creation is a race.
    assert [line for line in lines if not line.startswith("Pending")] == [
        "ImportScheduled, Unschedulable: 0/1 nodes are available: 1 Insufficient cpu",
        "ImportInProgress, 4 %",
        "ImportInProgress, 61 %",
        "Succeeded",
    ]
    first = next(when for when, line in shown if "ImportScheduled" in line)
    ended = next(when for when, line in shown if line.startswith("changed: [localhost]"))
    assert ended - first > 3, "the lines come while the task runs"
    told = [json.loads(line) for line in progress.read_text().splitlines()]
    assert {line["object"] for line in told} == {f"{namespace}/disk"} and told[-1]["ended"] is True
    assert ADMIN not in str(shown)


@pytest.mark.usefixtures("cdi")
def test_at_a_terminal_a_wait_is_one_line_that_is_written_again(namespace: str, tmp_path: Path) -> None:
    terminal, ansibles = pty.openpty()
    output = b""
    command = _command(tmp_path, {"kubevirt.cdi.data_volume": {"name": "disk", **BLANK}}, namespace=namespace)
    with subprocess.Popen(command, stdout=ansibles, stderr=ansibles, env=_environment()) as running:
        os.close(ansibles)
        with contextlib.suppress(OSError):  # As a terminal ends whose last writer has gone.
            while piece := os.read(terminal, 65536):
                output += piece
    os.close(terminal)
    assert running.returncode == 0, output
    clear = "\r\x1b[K"
    text = output.decode().replace("\r\n", "\n")
    assert re.search(rf"{re.escape(clear)}{namespace}/disk: ImportScheduled, Unschedulable since \d s: 0/1", text), text
    assert f"{namespace}/disk: ImportInProgress, 61 %" in text
    stay = [line.rpartition(clear)[2] for line in text.split("\n")]
    assert not any("ImportScheduled" in line or "ImportInProgress" in line for line in stay), stay
    assert any(line.startswith("changed: [localhost]") for line in stay)


def test_what_is_shown_of_a_volume_that_is_deleted(direct: Connection, namespace: str, tmp_path: Path) -> None:
    body = {
        "apiVersion": DATA_VOLUME.api_version,
        "kind": "DataVolume",
        "metadata": {"name": "disk", "finalizers": ["example.com/hold"]},
    }
    spec = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
    direct.create(DATA_VOLUME, {**body, "spec": spec}, namespace, dry_run=False)
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
def test_nothing_is_shown_where_it_must_not_and_the_task_runs(
    namespace: str, tmp_path: Path, task: dict[str, Any], environment: dict[str, str]
) -> None:
    (tmp_path / "as_json.py").write_text(_CALLBACK)
    module = {"kubevirt.cdi.data_volume": {"name": "disk", **BLANK, "wait_timeout": 2}}
    command = _command(tmp_path, {**module, **task}, namespace=namespace)
    shown = _lines(
        command, code=0 if "check_mode" in task else 2, ANSIBLE_CALLBACK_PLUGINS=str(tmp_path), **environment
    )
    assert _of_disk(shown, namespace) == []
    if environment:
        assert json.loads("\n".join(line for _when, line in shown)) == {"failures": 1}


@pytest.mark.usefixtures("no_cdi")
def test_an_installation_is_shown_in_lines(tmp_path: Path) -> None:
    """There is no operator here: nothing gets ready."""
    task = {"kubevirt.cdi.cdi": {"manifest": MANIFEST, "wait_timeout": 3}}
    shown = _lines(_command(tmp_path, task), code=2)
    lines = [line for _when, line in shown if line.startswith("cdi v1.65.0: ")]
    assert lines and lines[0].startswith("cdi v1.65.0: CDI cdi, phase is unset, Available is Unknown"), shown
