# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""A report as JUnit XML: a test suite for each cluster, a test case for each step of the run and for each volume."""

from __future__ import annotations

import re
import typing as t
from xml.etree import ElementTree

from ._report import SKIPPED
from ._report_steps import Facts
from ._report_view import problem_text

# What XML 1.0 has no way to write.
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Facts) -> str:
    """The text of the XML file."""
    suites = ElementTree.Element("testsuites", name="kubevirt.cdi")
    for cluster in report.get("clusters", [report]):
        _suite(suites, cluster)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _suite(suites: ElementTree.Element, report: Facts) -> None:
    name = str(report["cluster"]["name"] or "cluster")
    suite = ElementTree.SubElement(
        suites, "testsuite", name=_text(name), timestamp=str(report["generated"]).rstrip("Z")
    )
    for step in report["steps"]:
        _failed(_case(suite, f"{name}.steps", step["role"], None), step["message"], "step")
    for volume in report["volumes"]:
        case = _case(suite, f"{name}.volumes.{volume['namespace']}", volume["name"], volume["ready_after"])
        problem = volume["problem"]
        _failed(case, problem and problem_text(problem), problem and problem["cause"])
        if volume["phase"] == SKIPPED:
            ElementTree.SubElement(case, "skipped", message="an earlier step failed")
    for count, tag in {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}.items():
        suite.set(count, str(len(suite.findall(f".//{tag}"))))


def _case(suite: ElementTree.Element, class_name: str, name: str, seconds: float | None) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=_text(class_name), name=_text(name), time=str(seconds or 0)
    )


def _failed(case: ElementTree.Element, message: str | None, cause: str | None) -> None:
    if message:
        ElementTree.SubElement(case, "failure", message=_text(message), type=_text(cause or "error")).text = _text(
            message
        )


def _text(value: t.Any) -> str:
    return _NOT_IN_XML.sub("\ufffd", str(value))
