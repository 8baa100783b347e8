# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run prints of its tests."""

from __future__ import annotations

from pathlib import Path

from tests.runner import figures


def test_the_slowest_tests_are_those_of_all_stages(tmp_path: Path) -> None:
    for stage, seconds in {"unit": 1.5, "real": 100}.items():
        cases = "".join(
            f'<testcase classname="tests.{stage}.test_x" name="test_{number}" time="{seconds + number / 100}"/>'
            for number in range(15)
        )
        (tmp_path / f"{stage}.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    head, *lines = figures.slowest(tmp_path)
    assert head == "\nThe 20 slowest tests:" and len(lines) == 20
    assert lines[0] == "  100.1 s real     tests.real.test_x::test_14"
    assert lines[15] == "    1.6 s unit     tests.unit.test_x::test_14"
    assert figures.slowest(tmp_path / "nothing") == []


def test_times_to_report_are_those_of_the_induced_faults(tmp_path: Path) -> None:
    def case(name: str, seconds: float | None) -> str:
        properties = f'<property name="{figures.SECONDS_TO_REPORT}" value="{seconds}"/>' if seconds else ""
        return f'<testcase classname="tests.real" name="{name}"><properties>{properties}</properties></testcase>'

    cases = case("quota", 7.5) + case("no fault", None) + case("class", 16) + case("pod", 6)
    (tmp_path / "real.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert figures.times_to_report(tmp_path) == [
        "\n3 induced faults were reported after 7.5 s (median) to 16.0 s (tests.real::class), "
        "1 of them after more than 15 s."
    ]
    assert figures.times_to_report(tmp_path / "nothing") == []
