# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver passes csi-sanity, the conformance tests by the authors of the CSI specification."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cluster.build import ensure
from tests.cluster_tests.csi_driver import ALL_FEATURES, PLAIN, THIN, Driver


@pytest.mark.parametrize(
    ("driver_name", "features", "access_type", "expected"),
    [(THIN, ALL_FEATURES, "mount", 68), (THIN, ALL_FEATURES, "block", 68), (PLAIN, "", "mount", 42)],
)
def test_sanity(
    start_driver: Callable[..., Driver],
    tmp_path: Path,
    driver_name: str,
    features: str,
    access_type: str,
    expected: int,
) -> None:
    driver = start_driver("--driver-name", driver_name, "--features", features)
    report = tmp_path / "report.xml"
    command = [
        *(str(ensure("csi-sanity")["csi-sanity"]), f"--csi.endpoint=unix://{driver.socket}"),
        *(f"--csi.mountdir={tmp_path / 'mount'}", f"--csi.stagingdir={tmp_path / 'staging'}"),
        *(f"--csi.testvolumeaccesstype={access_type}", f"--ginkgo.junit-report={report}", "--ginkgo.no-color"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    statuses = [case.get("status") for case in suite.iter("testcase") if case.get("name", "").startswith("[It]")]
    assert result.returncode == 0 and "failed" not in statuses, result.stdout
    assert statuses.count("passed") == expected
