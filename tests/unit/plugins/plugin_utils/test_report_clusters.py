# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One report of several clusters."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.kubevirt.cdi.plugins.filter import merge_reports
from ansible_collections.kubevirt.cdi.plugins.plugin_utils import _report_view as view
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report import build, merge

from tests.report_facts import TEMPLATE, cloned, facts, found, ill


def of(name: str, *volumes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return build(facts(*volumes, cluster={"name": name, "host": f"https://{name}:6443"}, **more))


def test_clusters_with_problems_come_first_and_the_numbers_are_summed() -> None:
    good, ill_one = of("a", found("x"), cloned("y", "copy")), of("b", found("x", phase="Failed", diagnosis=ill("404")))
    failed = of("c", results={"install": {"failed": True, "msg": "No."}})
    merged = merge([good, ill_one, failed], ["d"])
    assert [report["cluster"]["name"] for report in merged["clusters"]] == ["c", "b", "a"]
    assert merged["summary"] == {
        "clusters": 3,
        "clusters_in_trouble": ["c", "b"],
        "volumes": 3,
        "declared": 0,
        "could_be_faster": 0,
        "problems": 1,
        "phases": {"Succeeded": 2, "Failed": 1},
        "clone_methods": {"copy": 1},
    }
    lines = view.lines(merged)
    assert lines[:3] == ["3 clusters, 3 volumes: 2 Succeeded, 1 Failed.", "IN TROUBLE: c, b.", "No report of: d."]
    heads = [line for line in lines if line.startswith("Cluster ")]
    assert heads == [f"Cluster {name} (https://{name}:6443): CDI v1.65.0 is ready." for name in "cba"]
    page = view.page(merged, TEMPLATE)
    assert [page.index(f'id="c{number}"') for number in (1, 2, 3)] == sorted(
        page.index(f'id="c{number}"') for number in (1, 2, 3)
    )
    assert "d: no report" in page


def test_the_ids_of_a_page_are_unique() -> None:
    report = of("a", found("x", diagnosis=ill("404")))
    page = view.page(merge([report, of("b", found("x", diagnosis=ill("404")))]), TEMPLATE)
    ids = [part.partition('"')[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids)) and {"c1-v1", "c2-v1"} <= set(ids)


def test_a_single_report_is_returned_unchanged() -> None:
    report = of("a", found("x"))
    assert merge([report]) == report and "clusters" in merge([report], ["b"])


def test_results_of_a_different_cluster_are_ignored() -> None:
    clone = {
        "name": "vm",
        "namespace": "images",
        "method": "snapshot",
        "reason": "R.",
        "remedy": None,
        "host": "https://other:6443",
    }
    cdi = {**facts()["cdi"], "host": "https://mine:6443"}
    report = build(facts(cloned("vm", "copy"), cdi=cdi, clones=[clone]))
    assert report["volumes"][0]["method"] == "copy" and report["volumes"][0]["reason"] is None
    (expected,) = report["not_readable"]
    assert expected.startswith(
        "The lookup clone_method used https://other:6443, but the modules used https://mine:6443"
    )
    same = build(facts(cloned("vm", "copy"), cdi=cdi, clones=[{**clone, "host": "https://mine:6443"}]))
    assert same["volumes"][0]["method"] == "snapshot" and same["not_readable"] == []


@pytest.mark.parametrize("value", [{}, "text", [{}], [7], None])
def test_invalid_input_is_refused(value: Any) -> None:
    with pytest.raises(
        AnsibleFilterError, match=r"merge_reports expects a list of reports of filter kubevirt.cdi.report"
    ):
        merge_reports.FilterModule().filters()["merge_reports"](value)
