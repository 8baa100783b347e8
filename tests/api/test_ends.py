# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a run on a real API server: what failed, what the report and the artifacts say of it, and that it is said once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.api.conftest import ADMIN
from tests.modules import RunModule
from tests.playing import Played, play
from tests.wire import Wire

VOLUME: dict[str, Any] = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}


@pytest.fixture
def run(wire: Wire, tmp_path: Path) -> Any:
    def run_book(book: str = "kubevirt.cdi.volumes", **variables: Any) -> Played:
        return play(
            book, variables={"cdi_host": wire.url, "cdi_api_key": ADMIN, "cdi_volumes_wait": False, **variables}
        )

    return run_book


def test_a_failed_volume_is_in_table_json_page_junit_and_artifacts(run: Any, namespace: str, tmp_path: Path) -> None:
    ill, well = {"name": "ill", "namespace": "not-there", **VOLUME}, {"name": "well", **VOLUME}
    files = {f"cdi_report_{kind}": str(tmp_path / f"report.{kind}") for kind in ("json", "html", "junit")}
    played = run(cdi_namespace=namespace, cdi_data_volumes=[ill, well], **files)
    assert played.code == 2 and played.errors == 1, played.output
    printed = played.output[played.output.index("TASK [kubevirt.cdi.report : Print the report]") :].splitlines()
    assert printed[1].startswith("Cluster http://") and printed[2].startswith(
        "  ! volumes FAILED: 1 volume failed: not-there/ill;"
    )
    rows = [line for line in printed if line.startswith(("not-there/ill", f"{namespace}/well"))]
    assert [row.split()[0] for row in rows] == ["not-there/ill", f"{namespace}/well"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["steps"][0]["failed"] and report["volumes"][0]["problem"]["message"]
    assert report["summary"]["failed_steps"] == ["volumes"] and report["volumes"][0]["name"] == "ill"
    page = (tmp_path / "report.html").read_text()
    assert page.index("volumes failed") < page.index("<caption>Volumes")
    failures = {
        case.get("name")
        for case in ElementTree.parse(tmp_path / "report.junit").iter("testcase")
        if case.find("failure") is not None
    }
    # Nobody works on the other volume here, which its diagnosis says.
    assert {"volumes", "ill"} <= failures
    assert played.artifacts["cdi_artifact_summary"]["failed_steps"] == ["volumes"]
    assert set(played.artifacts["cdi_artifact_phases"]) == {"not-there/ill", f"{namespace}/well"}
    assert played.artifacts["cdi_artifact_clusters"]["localhost"]["summary"] == played.artifacts["cdi_artifact_summary"]


def test_a_failed_upload_does_not_hide_the_declared_volumes(run: Any, namespace: str, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"cdi_data_volumes": "golden"}, "cdi_data_volumes is not a list of dictionaries"),
        ({"cdi_data_volumes": "- {"}, "cdi_data_volumes is not valid YAML (line 1)"),
        ({"cdi_data_volume": []}, "unknown variable 'cdi_data_volume'; did you mean 'cdi_data_volumes'?"),
        ({"cdi_uploads": [{"name": "a", "pth": "x"}]}, "cdi_uploads[0]: unknown option 'pth'; did you mean 'path'?"),
        ({"cdi_log_verbosity": "loud"}, "cdi_log_verbosity is 'loud', which is not of type int"),
    ],
)
@pytest.mark.parametrize(
    "book", ["kubevirt.cdi.volumes", "kubevirt.cdi.site", "kubevirt.cdi.report", "kubevirt.cdi.install"]
)
def test_a_mistake_in_a_variable_is_one_error_before_the_first_request(
    wire: Wire, run: Any, book: str, variables: dict[str, Any], said: str
) -> None:
    played = run(book, **variables)
    assert played.code == 2 and played.errors == 1, played.output
    assert said in played.output and "Print the report" not in played.output
    assert wire.requests == []


def test_what_is_registered_under_any_name_is_no_mistake(wire: Wire, tmp_path: Path, namespace: str) -> None:
    tasks = [
        {"kubevirt.cdi.cdi_info": {"host": wire.url, "api_key": ADMIN}, "register": "cdi_found"},
        {"kubevirt.cdi.check_variables": {}},
        {"ansible.builtin.set_fact": {"cdi_namespac": "a"}},
        {"kubevirt.cdi.check_variables": {}, "register": "cdi_checked", "ignore_errors": True},
        {"ansible.builtin.assert": {"that": "cdi_checked.problems | length == 1"}},
    ]
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    played = play(tmp_path / "play.yml")
    assert played.code == 0, played.output


def test_a_file_that_cannot_be_written_fails_after_the_table(run: Any, namespace: str) -> None:
    played = run("kubevirt.cdi.report", cdi_report_namespaces=[namespace], cdi_report_html="/nowhere/r.html")
    assert played.code == 2 and played.errors == 1, played.output
    assert played.output.index("There are no volumes.") < played.output.index(
        "The report could not be written: Destination directory /nowhere does not exist"
    )


def test_a_file_that_cannot_be_written_adds_nothing_to_the_first_error(run: Any) -> None:
    played = run(
        cdi_data_volumes=[{"name": "ill", "namespace": "not-there", **VOLUME}], cdi_report_json="/nowhere/r.json"
    )
    assert played.code == 2 and played.errors == 1, played.output
    assert "not-there/ill" in played.output.partition("Print the report")[2]


@pytest.mark.parametrize("form", ["{0}", "{0},{1}", "{0}, {1}", "[{0}, {1}]", "- {0}\n- {1}", '["{0}"]'])
def test_namespaces_may_be_text(run: Any, wire: Wire, namespace: str, form: str) -> None:
    played = run("kubevirt.cdi.report", cdi_report_namespaces=form.format(namespace, "default"))
    assert played.code == 0, played.output
    asked = {
        path.split("/namespaces/")[1].split("/")[0]
        for _method, path in wire.requests
        if "/namespaces/" in path and "datavolumes" in path
    }
    assert asked == ({namespace, "default"} if "{1}" in form else {namespace})


def test_an_api_server_that_does_not_answer_is_one_error_with_a_report(tmp_path: Path) -> None:
    variables = {
        "cdi_host": "https://127.0.0.1:1",
        "cdi_api_key": "k3y-of-nobody",
        "cdi_data_volumes": [{"name": "a", **VOLUME}],
    }
    played = play("kubevirt.cdi.volumes", variables=variables)
    assert played.code == 2 and played.errors == 1, played.output
    assert "NOT READABLE: Cannot list CDI objects" in played.output and "k3y-of-nobody" not in played.output
    alone = play("kubevirt.cdi.report", variables={name: variables[name] for name in ("cdi_host", "cdi_api_key")})
    assert alone.code == 2 and alone.errors == 1, "nothing failed before: the report itself has to say it"


def test_volumes_of_others_are_marked(run: Any, module: RunModule, namespace: str, tmp_path: Path) -> None:
    module("data_volume", name="other", namespace=namespace, wait=False, **VOLUME)
    played = run(
        cdi_namespace=namespace, cdi_data_volumes=[{"name": "mine", **VOLUME}], cdi_report_json=str(tmp_path / "r.json")
    )
    assert played.code == 0, played.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert {row["name"]: row["declared"] for row in report["volumes"]} == {"mine": True, "other": False}
    # Nobody works on it here, so that it is among those with a problem.
    assert "declared: not by this run" in played.output


def test_an_error_of_the_lookup_is_shown_once(tmp_path: Path, wire: Wire) -> None:
    task = {
        "ansible.builtin.debug": {"msg": "{{ lookup('kubevirt.cdi.clone_method', 'no-slash', host=url, api_key='x') }}"}
    }
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    played = play(tmp_path / "play.yml", variables={"url": wire.url})
    # Ansible tells where an error passed; what caused the plugin's own error must not be one more of these.
    said = "'no-slash' does not name a volume"
    assert played.code == 2 and said in played.output
    assert played.output.count(said) == played.output.count(f"clone_method: {said}"), played.output
    assert os.environ["KUBEVIRT_CDI_TEST_SERVER"] not in played.output
