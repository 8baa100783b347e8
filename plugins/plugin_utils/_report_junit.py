# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""A report as JUnit XML: a test suite for each cluster, a test case for each step of the run and for each volume."""

from __future__ import annotations

import re
import typing as t
from xml.etree import ElementTree

from ._report import Facts
from ._report_view import problem_text

# What XML 1.0 has no way to write.
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Facts) -> str:
    """The XML file's text."""
    suites = ElementTree.Element("testsuites", name="kubevirt.cdi")
    for cluster in report.get("clusters", [report]):
        _suite(suites, cluster)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _suite(suites: ElementTree.Element, report: Facts) -> None:
    name = _text(report["cluster"]["name"] or "cluster")
    cases = [(f"{name}.steps", step["role"], None, step["message"], "step") for step in report["steps"]]
    cases += [
        (f"{name}.volumes.{volume['namespace']}", volume["name"], volume["ready_after"], volume["problem"] and problem_text(volume["problem"]), _cause(volume))
        for volume in report["volumes"]
    ]
    failures = sum(bool(message) for _class, _name, _seconds, message, _cause in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0", "skipped": "0"}
    suite = ElementTree.SubElement(suites, "testsuite", name=name, timestamp=report["generated"].rstrip("Z"), **counts)
    for class_name, case_name, seconds, message, cause in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=_text(class_name), name=_text(case_name), time=str(seconds or 0))
        if message:
            ElementTree.SubElement(case, "failure", message=_text(message), type=_text(cause)).text = _text(message)


def _cause(volume: Facts) -> str:
    return str((volume["problem"] or {}).get("cause") or "error")


def _text(value: t.Any) -> str:
    return _NOT_IN_XML.sub("\ufffd", str(value))
