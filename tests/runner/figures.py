# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run prints of its tests: the slowest, and how soon tasks reported faults. Both are in the files of JUnit."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

# The property of a test whose task reported a fault after so many seconds.
SECONDS_TO_REPORT = "seconds to report"
# Within so many seconds, tasks report faults on a cluster that no other test uses.
_IN_TIME = 15
_SLOWEST = 20


def slowest(results: Path) -> list[str]:
    """The slowest tests of all stages, as lines."""
    cases = [(float(case.get("time", 0)), stage, _name(case)) for stage, case in _cases(results)]
    slowest = sorted(cases, reverse=True)[:_SLOWEST]
    return [f"\nThe {len(slowest)} slowest tests:"] * bool(slowest) + [
        f"{seconds:7.1f} s {stage:8} {name}" for seconds, stage, name in slowest
    ]


def times_to_report(results: Path) -> list[str]:
    """How soon tasks reported the faults that tests induced, as lines."""
    times = sorted(
        (float(found.get("value", 0)), _name(case))
        for _stage, case in _cases(results)
        for found in case.iter("property")
        if found.get("name") == SECONDS_TO_REPORT
    )
    if not times:
        return []
    late = sum(seconds >= _IN_TIME for seconds, _name in times)
    median, (longest, name) = statistics.median(seconds for seconds, _name in times), times[-1]
    return [
        f"\n{len(times)} induced faults were reported after {median:.1f} s (median) to {longest:.1f} s ({name}), "
        f"{late} of them after more than {_IN_TIME} s."
    ]


def _cases(results: Path) -> Iterator[tuple[str, ElementTree.Element]]:
    for path in results.glob("*.xml"):
        for case in ElementTree.parse(path).iter("testcase"):
            yield path.stem, case


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"
