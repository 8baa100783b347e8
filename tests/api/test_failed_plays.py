# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays that fail: report and artifacts contain the error, and Ansible prints it once."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

import pytest

from tests.api.objects import ADMIN
from tests.modules import RunModule
from tests.playing import Played, local_hosts, play, write_play
from tests.wire import Wire, counting_proxy

SERVER, CA = os.environ["KUBEVIRT_CDI_TEST_SERVER"], os.environ["KUBEVIRT_CDI_TEST_CA"]
VOLUME: dict[str, Any] = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}


class RunPlay(Protocol):
    """Runs a playbook of the collection on the counting proxy, with extra variables."""

    def __call__(self, book: str = ..., /, *arguments: str | Path, **variables: Any) -> Played: ...


@pytest.fixture
def run(wire: Wire) -> RunPlay:
    connection = {"cdi_host": wire.url, "cdi_api_key": ADMIN, "cdi_volumes_wait": False}

    def run_book(book: str = "kubevirt.cdi.volumes", /, *arguments: str | Path, **variables: Any) -> Played:
        return play(book, *arguments, variables={**connection, **variables})

    return run_book


def test_failed_volume_is_in_each_report_and_the_artifacts(run: RunPlay, namespace: str, tmp_path: Path) -> None:
    bad, good = {"name": "bad", "namespace": "not-there", **VOLUME}, {"name": "good", **VOLUME}
    files = {f"cdi_report_{kind}": str(tmp_path / f"report.{kind}") for kind in ("json", "html", "junit")}
    played = run(cdi_namespace=namespace, cdi_data_volumes=[bad, good], **files)
    assert played.code == 2 and played.errors == 1, played.output
    printed = played.output[played.output.index("TASK [kubevirt.cdi.report : Print the report]") :].splitlines()
    assert printed[1].startswith("Cluster http://") and printed[2].startswith(
        "  ! volumes FAILED: 1 volume failed: not-there/bad;"
    )
    rows = [line for line in printed if line.startswith(("not-there/bad", f"{namespace}/good"))]
    assert [row.split()[0] for row in rows] == ["not-there/bad", f"{namespace}/good"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["steps"][0]["failed"] and report["volumes"][0]["problem"]["message"]
    assert report["summary"]["failed_steps"] == ["volumes"] and report["volumes"][0]["name"] == "bad"
    page = (tmp_path / "report.html").read_text()
    assert page.index("volumes failed") < page.index("<caption>Volumes")
    failures = {
        case.get("name")
        for case in ElementTree.parse(tmp_path / "report.junit").iter("testcase")
        if case.find("failure") is not None
    }
    # The other volume has a diagnosis, because no controller works on it.
    assert {"volumes", "bad"} <= failures
    assert played.artifacts["cdi_artifact_summary"]["failed_steps"] == ["volumes"]
    assert set(played.artifacts["cdi_artifact_phases"]) == {"not-there/bad", f"{namespace}/good"}
    assert played.artifacts["cdi_artifact_clusters"]["localhost"]["summary"] == played.artifacts["cdi_artifact_summary"]


def test_report_has_declared_volumes_after_a_failed_upload(run: RunPlay, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(1 << 20))
    uploads = [{"name": "file", "path": "/nowhere/disk.img"}]
    played = run(
        cdi_namespace=namespace,
        cdi_uploads=uploads,
        cdi_data_volumes=[{"name": "later", **VOLUME}],
        cdi_report_json=str(tmp_path / "r.json"),
    )
    assert played.code == 2 and played.errors == 1, played.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert [(row["name"], row["phase"]) for row in report["volumes"]] == [("file", "Missing"), ("later", "Skipped")]
    assert "uploads FAILED: 1 upload failed" in played.output and "= 1 upload failed" not in played.output


# By host: variables, and the error of action check_variables.
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"cdi_data_volumes": "golden"}, "cdi_data_volumes is not a list of dictionaries"),
    "yaml": ({"cdi_data_volumes": "- {"}, "cdi_data_volumes is not valid YAML (line 1)"),
    "name": ({"cdi_data_volume": []}, "unknown variable 'cdi_data_volume'; did you mean 'cdi_data_volumes'?"),
    "option": (
        {"cdi_uploads": [{"name": "a", "pth": "x"}]},
        "cdi_uploads[0]: unknown option 'pth'; did you mean 'path'?",
    ),
    "type": ({"cdi_log_verbosity": "loud"}, "cdi_log_verbosity is 'loud', which is not of type int"),
}


@pytest.mark.parametrize("book", ["volumes", "site", "report", "install"])
def test_invalid_variable_is_one_error_before_the_first_request(
    wire: Wire, run: RunPlay, tmp_path: Path, book: str
) -> None:
    hosts = local_hosts(tmp_path, {host: variables for host, (variables, _message) in MISTAKES.items()})
    played = run(f"kubevirt.cdi.{book}", "--inventory", hosts, cdi_hosts="all")
    assert played.code == 2 and played.errors == len(MISTAKES), played.output
    for host, (_variables, message) in MISTAKES.items():
        (line,) = re.findall(rf"^fatal: \[{host}\]: FAILED! => .*", played.output, re.MULTILINE)
        assert message in line
    assert "Print the report" not in played.output and wire.requests == []


def test_registered_result_is_no_unknown_variable(wire: Wire, tmp_path: Path, namespace: str) -> None:
    tasks: list[dict[str, Any]] = [
        {"kubevirt.cdi.cdi_info": {"host": wire.url, "api_key": ADMIN}, "register": "cdi_found"},
        {"kubevirt.cdi.check_variables": {}},
        {"ansible.builtin.set_fact": {"cdi_namespac": "a"}},
        {"kubevirt.cdi.check_variables": {}, "register": "cdi_checked", "ignore_errors": True},
        {"ansible.builtin.assert": {"that": "cdi_checked.problems | length == 1"}},
    ]
    played = play(write_play(tmp_path, tasks))
    assert played.code == 0, played.output


def test_unwritable_report_fails_after_the_table(run: RunPlay, namespace: str) -> None:
    played = run("kubevirt.cdi.report", cdi_report_namespaces=[namespace], cdi_report_html="/nowhere/r.html")
    assert played.code == 2 and played.errors == 1, played.output
    assert played.output.index("There are no volumes.") < played.output.index(
        "The report could not be written: Destination directory /nowhere does not exist"
    )


def test_unwritable_report_adds_no_error_to_the_first(run: RunPlay) -> None:
    played = run(
        cdi_data_volumes=[{"name": "bad", "namespace": "not-there", **VOLUME}], cdi_report_json="/nowhere/r.json"
    )
    assert played.code == 2 and played.errors == 1, played.output
    assert "not-there/bad" in played.output.partition("Print the report")[2]


FORMS = ("{0}", "{0},{1}", "{0}, {1}", "[{0}, {1}]", "- {0}\n- {1}", '["{0}"]')


def test_namespaces_may_be_text(namespace: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(counting_proxy(SERVER, CA)) for _form in FORMS]
        variables = {
            f"form-{number}": {"cdi_host": wire.url, "cdi_report_namespaces": form.format(namespace, "default")}
            for number, (form, wire) in enumerate(zip(FORMS, wires, strict=True))
        }
        hosts = local_hosts(tmp_path, variables)
        shared = {"cdi_hosts": "all", "cdi_api_key": ADMIN}
        played = play("kubevirt.cdi.report", "--inventory", hosts, "--forks=6", variables=shared)
    assert played.code == 0, played.output
    for form, wire in zip(FORMS, wires, strict=True):
        listed = {
            path.split("/namespaces/")[1].split("/")[0]
            for _method, path in wire.requests
            if "/namespaces/" in path and "datavolumes" in path
        }
        assert listed == ({namespace, "default"} if "{1}" in form else {namespace}), form


def test_unreachable_api_server_is_one_error_with_a_report(tmp_path: Path) -> None:
    variables: dict[str, Any] = {
        "cdi_host": "https://127.0.0.1:1",
        "cdi_api_key": "a-secret-key",
        "cdi_data_volumes": [{"name": "a", **VOLUME}],
    }
    played = play("kubevirt.cdi.volumes", variables=variables)
    assert played.code == 2 and played.errors == 1, played.output
    assert "NOT READABLE: Cannot list CDI objects" in played.output and "a-secret-key" not in played.output
    alone = play("kubevirt.cdi.report", variables={name: variables[name] for name in ("cdi_host", "cdi_api_key")})
    assert alone.code == 2 and alone.errors == 1, "no earlier task failed, so the report itself fails"


def test_undeclared_volumes_are_marked(run: RunPlay, module: RunModule, namespace: str, tmp_path: Path) -> None:
    module("data_volume", name="other", namespace=namespace, wait=False, **VOLUME)
    played = run(
        cdi_namespace=namespace, cdi_data_volumes=[{"name": "mine", **VOLUME}], cdi_report_json=str(tmp_path / "r.json")
    )
    assert played.code == 0, played.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert {row["name"]: row["declared"] for row in report["volumes"]} == {"mine": True, "other": False}
    # It has a problem, because no controller works on it.
    assert "declared: not by this run" in played.output


def test_error_of_the_lookup_is_shown_once(tmp_path: Path, wire: Wire) -> None:
    task = {
        "ansible.builtin.debug": {"msg": "{{ lookup('kubevirt.cdi.clone_method', 'no-slash', host=url, api_key='x') }}"}
    }
    played = play(write_play(tmp_path, [task]), variables={"url": wire.url})
    # Ansible prints each error of a chain; the cause of the plugin's error must not be one of them.
    message = "'no-slash' does not name a volume"
    assert played.code == 2 and message in played.output
    assert played.output.count(message) == played.output.count(f"clone_method: {message}"), played.output
    assert SERVER not in played.output
