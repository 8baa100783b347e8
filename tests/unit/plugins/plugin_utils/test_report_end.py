# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report after a failed run, and after a run that declared only some of the volumes."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.kubevirt.cdi.plugins.plugin_utils import _report_view as view
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report import build
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report_junit import junit

from tests.report_facts import TEMPLATE, cloned, facts, found, ill

FAILED = {"failed": True, "msg": "Cannot apply: the server https://me:s3cret@host refused."}
DECLARED = [
    {"name": "a", "namespace": "images", "path": "/srv/a.qcow2"},
    {
        "name": "b",
        "namespace": "images",
        "source": {"http": {"url": "https://u:s3cret@host/b.img"}},
        "storage": {"size": "1Gi", "storage_class_name": "thin"},
    },
    {"name": "c", "namespace": "images", "source": {"pvc": {"name": "b"}}, "storage": {"size": "2Gi"}},
    {"name": "d", "namespace": "images", "source_ref": {"name": "fedora"}, "storage": {}},
    {"name": "gone", "namespace": "images", "state": "absent"},
]


@pytest.mark.parametrize("step", ["install", "config", "storage_profiles", "clone_permissions", "uploads", "volumes"])
def test_a_failed_step_comes_first_in_each_format(step: str) -> None:
    results = {"install": {"changed": True, "version": {"from": None, "to": "v1"}, "changed_objects": []}, step: FAILED}
    report = build(facts(found("z"), results=results))
    first = report["steps"][0]
    assert (first["role"], first["failed"], first["text"] == first["message"]) == (step, True, True)
    assert "s3cret" not in str(report) and report["summary"]["failed_steps"] == [step]
    blocks = view.blocks(report)
    assert blocks[1].failed and blocks[1].lines[0].startswith(f"  ! {step} FAILED: Cannot apply")
    page = view.page(report, TEMPLATE)
    assert 0 < page.index(f"{step} failed") < page.index("<caption>Volumes") and "<strong>1</strong> failure" in page
    case = ElementTree.fromstring(junit(report)).find(f".//testcase[@name='{step}']/failure")
    assert case is not None and case.get("message") == first["message"]


def test_a_failed_iteration_of_a_loop_is_named_with_its_error() -> None:
    rounds = [
        {"item": {"namespace": "a"}, "changed": True},
        {"item": {"namespace": "b"}, "failed": True, "msg": "There is no namespace b."},
    ]
    (step,) = build(
        facts(results={"clone_permissions": {"results": rounds, "failed": True, "msg": "One or more items failed"}})
    )["steps"]
    assert step["text"] == "1 clone permission failed: b; 1 clone permission changed: a."
    assert step["message"] == "There is no namespace b."


def test_skipped_volumes_stay_in_the_report() -> None:
    report = build(
        facts(
            results={"uploads": {**FAILED, "uploads": [{"name": "a", "namespace": "images", "error": "E."}]}},
            declared=DECLARED,
        )
    )
    rows = {volume["name"]: volume for volume in report["volumes"]}
    assert {name: row["phase"] for name, row in rows.items()} == {
        "a": "Missing",
        "b": "Skipped",
        "c": "Skipped",
        "d": "Skipped",
    }
    assert [row["source"] for row in rows.values()] == [
        "upload a.qcow2",
        "https://***@host/b.img",
        "pvc images/b",
        "DataSource images/fedora",
    ]
    assert (rows["b"]["size"], rows["b"]["storage_class_name"], rows["b"]["problem"]) == ("1Gi", "thin", None)
    assert report["volumes"][0]["name"] == "a", "what failed is first"
    assert "    phase: not attempted, because an earlier step failed" in view.lines(report)
    suite = ElementTree.fromstring(junit(report)).find("testsuite")
    assert suite is not None and {name: suite.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "5",
        "failures": "2",
        "skipped": "3",
    }


def test_without_a_failure_nothing_is_skipped() -> None:
    assert build(facts(results={}, declared=DECLARED))["volumes"] == []


def test_volumes_that_the_run_did_not_declare_are_marked() -> None:
    done = {
        "volumes": {
            "data_volumes": [{"name": "b", "namespace": "images", "changed": False, "data_volume": {"spec": {}}}]
        }
    }
    report = build(facts(found("a"), found("b"), results=done, declared=DECLARED[1:2]))
    assert [(volume["name"], volume["declared"]) for volume in report["volumes"]] == [("b", True), ("a", False)]
    assert (report["summary"]["volumes"], report["summary"]["declared"]) == (2, 1)
    lines = view.lines(report)
    assert lines.index("Not declared by this run:") == len(lines) - 2 and lines[-1].startswith("images/a")
    assert view.page(report, TEMPLATE).count("not declared by this run") == 1
    assert build(facts(found("a")))["volumes"][0]["declared"] is None


def test_an_undeclared_volume_with_a_problem_comes_first_and_is_marked() -> None:
    report = build(facts(found("z", diagnosis=ill("404")), found("b"), declared=DECLARED[1:2]))
    assert report["volumes"][0]["name"] == "z"
    assert "    declared: not by this run" in view.lines(report)


def test_an_expanded_volume_shows_its_new_size() -> None:
    assert build(facts(found("a", size="256Mi")))["volumes"][0]["size"] == "256Mi"


@pytest.mark.parametrize(
    ("volume", "problem"),
    [
        (
            found("a", diagnosis=ill("404")),
            {"cause": "source_not_found", "message": "404", "remedy": "correct the URL"},
        ),
        (found("a", diagnosis=ill("waits", "waiting_for_consumer")), None),
        (found("a", clone={"error": "Refused."}), {"cause": "clone", "message": "Refused.", "remedy": None}),
        (cloned("a", "copy"), None),
    ],
)
def test_a_problem_has_a_cause_a_message_and_a_remedy(volume: dict[str, Any], problem: dict[str, Any] | None) -> None:
    assert build(facts(volume))["volumes"][0]["problem"] == problem


def test_a_remedy_is_shown_once() -> None:
    problem = {"cause": "x", "message": "GET u returned 404; correct the URL.", "remedy": "correct the URL"}
    assert view.problem_text(problem) == "GET u returned 404; correct the URL."
    assert view.problem_text({**problem, "message": "404."}) == "404; correct the URL."


def test_problems_link_to_their_volumes_and_back() -> None:
    page = view.page(build(facts(found("a", diagnosis=ill("404")), found("b"))), TEMPLATE)
    for target in ("c1-p1", "c1-v1", "c1-problems"):
        assert page.count(f'href="#{target}"') == 1 and page.count(f'id="{target}"') == 1


def test_unreadable_facts_are_reported_and_not_guessed() -> None:
    sentence = 'CDI objects cannot be read: grant the verb "list" on cdis.cdi.kubevirt.io.'
    cdi = {"installed": True, "ready": None, "version": None, "host": "https://h:6443", "not_readable": [sentence]}
    report = build(facts(found("a"), cdi=cdi))
    assert view.lines(report)[:2] == ["Cluster https://h:6443: CDI is installed.", f"NOT READABLE: {sentence}"]
    assert "cannot be read" in view.page(report, TEMPLATE) and report["summary"]["problems"] == 0
    nothing = build(facts(cdi={"msg": "no answer"}, errors=["no answer"]))
    assert view.lines(nothing)[:2] == ["Whether CDI is installed is not readable.", "NOT READABLE: no answer"]


@pytest.mark.parametrize("names", [["a"], ["a-volume-with-a-long-name", "b"]])
def test_the_table_is_at_most_120_columns_wide(names: list[str]) -> None:
    spec = {"source": {"http": {"url": f"https://images.example.com/{'a/' * 40}debian-12.qcow2"}}}
    ignored = {"requested": True, "applied": False, "ignored": "word " * 60}
    volumes = [
        found(name, spec=dict(spec), preallocation=ignored, phase="ImportInProgress", diagnosis=ill("long " * 50))
        for name in names
    ]
    lines = view.lines(build(facts(*volumes)))
    assert max(map(len, lines)) <= 120
    assert sum("12.qcow2" in line for line in lines) == len(names)


def test_xml_accepts_any_message() -> None:
    report = build(facts(found("a", diagnosis=ill("\x00\x1b[31m <b>&\"' \ud800 \ufffe"))))
    (failure,) = ElementTree.fromstring(junit(report)).iter("failure")
    assert failure.get("type") == "source_not_found" and "<b>&\"'" in str(failure.text)
