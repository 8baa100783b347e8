# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The growth of a moved volume in the report: its drawing, and when there is none."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.kubevirt.cdi.plugins.plugin_utils import _report_view as view
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._growth_chart import growth_chart
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report import build

from tests.report_facts import TEMPLATE, facts

MIB = 1 << 20


def samples(*pairs: tuple[float, int]) -> list[dict[str, Any]]:
    return [{"seconds": seconds, "allocated_bytes": allocated} for seconds, allocated in pairs]


GROWN = samples((10.2, 0), (20.1, 24 * MIB), (31, 24 * MIB), (42.4, 64 * MIB))


def drawn(*pairs: tuple[float, int]) -> list[tuple[float, float]]:
    """The points of the line."""
    svg = ElementTree.fromstring(growth_chart({"title": "demo/web", "samples": samples(*pairs)}))
    (line,) = svg.iter("polyline")
    points = [point.split(",") for point in line.attrib["points"].split()]
    return [(float(x), float(y)) for x, y in points]


@pytest.mark.parametrize(
    ("pairs", "rises"),
    [
        ([(10, 0), (20, MIB)], [True]),
        ([(20, MIB), (10, 0), (30, 2 * MIB)], [True, True]),
        ([(10, MIB), (20, MIB), (30, 0)], [False, False]),
        ([(10, 0), (20, 0)], [False]),
        ([(0, 0), (0, 0)], [False]),
    ],
)
def test_line_goes_to_the_right_and_rises_with_the_bytes(pairs: list[tuple[float, int]], rises: list[bool]) -> None:
    points = drawn(*pairs)
    assert len(points) == len(pairs)
    for (x, y), (next_x, next_y), rise in zip(points, points[1:], rises, strict=False):
        assert x <= next_x and (next_y < y) is rise
    assert all(0 <= x <= 420 and 0 <= y <= 130 for x, y in points)


@pytest.mark.parametrize("few", [[], samples((10, MIB))])
def test_fewer_than_two_samples_draw_nothing(few: list[dict[str, Any]]) -> None:
    assert growth_chart({"title": "demo/web", "samples": few}) == ""


def test_labels_are_the_ends_of_the_axes_and_escaped() -> None:
    chart = growth_chart({"title": '<script>"&', "samples": GROWN})
    assert "<script" not in chart and "&lt;script&gt;" in chart
    svg = ElementTree.fromstring(chart)
    assert [text.text for text in svg.iter("text")][1:] == ["64 MiB", "0 MiB", "0 s", "42 s"]
    (title,) = svg.iter("title")
    assert title.text == svg.attrib["aria-label"]
    assert title.text == 'Allocated bytes of volume <script>"&: 0 MiB after 10 s, 64 MiB after 42 s'


@pytest.mark.parametrize("error", [None, "It was stopped."])
def test_page_draws_each_moved_volume_that_was_sampled(error: str | None) -> None:
    volumes = [
        {"name": "root", "namespace": "demo", "changed": True, "growth": GROWN},
        {"name": "data", "namespace": "demo", "changed": True, "growth": GROWN[:1]},
        {"name": "old", "namespace": "demo", "changed": False, "growth": []},
    ]
    if error:
        volumes[0]["error"] = error
    report = build(facts(results={"thick_volumes": {"changed": True, "volumes": volumes, "failed": bool(error)}}))
    (step,) = report["steps"]
    assert [(each["title"], len(each["samples"])) for each in step["growth"]] == [("demo/root", 4), ("demo/data", 1)]
    page = view.page(report, TEMPLATE)
    assert page.count("<svg") == 1 and "Allocated bytes of volume demo/root" in page
