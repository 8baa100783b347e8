# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run: as lines, as JSON, and as a page in a browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.modules import run_on_cluster
from tests.real.objects import Results, new_namespace
from tests.runner.site import INVENTORY

HTTP, IMAGES = os.environ["KUBEVIRT_CDI_TEST_HTTP"], os.environ["KUBEVIRT_CDI_TEST_IMAGES"]
THIN, PLAIN = ({"size": "128Mi", "storage_class_name": name} for name in ("thin", "plain"))
NAMES = ["appliance", "copy", "golden", "vm"]
FAILING = "failing"
# A wide window, one as narrow as a phone, and a dark color scheme.
VIEWS = {"wide": ["--window-size=1200,1600"], "narrow": ["--window-size=500,1600"]}
VIEWS["dark"] = [*VIEWS["wide"], "--blink-settings=preferredColorScheme=0"]


class Report(NamedTuple):
    """The printed lines, the volumes of the JSON file by name, and the path of the page."""

    lines: list[str]
    volumes: Results
    page: Path


@pytest.fixture(scope="module")
def namespace(connection: Connection) -> Iterator[str]:
    with new_namespace(connection) as name:
        yield name


@pytest.fixture(scope="module")
def report(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """An upload, an import, a snapshot clone and a copy, declared as data, and an undeclared volume that fails."""
    folder = tmp_path_factory.mktemp("report")
    missing = {"http": {"url": f"{HTTP}/a-folder-that/is-not-there/no-such-image.qcow2"}}
    failing = run_on_cluster(
        "data_volume",
        name=FAILING,
        namespace=namespace,
        source=missing,
        storage=THIN,
        check_source="never",
        wait_timeout=300,
    ).result
    assert failing["failed"] and failing["diagnosis"], failing
    variables = {
        "cdi_namespace": namespace,
        "cdi_uploads": [
            {"name": "appliance", "path": f"{IMAGES}/disk.qcow2", "storage": {"storage_class_name": "thin"}}
        ],
        "cdi_data_volumes": [
            {
                "name": "golden",
                "source": {"http": {"url": f"{HTTP}/disk.qcow2"}},
                "storage": THIN,
                "preallocation": True,
            },
            {"name": "vm", "source": {"pvc": {"name": "golden"}}, "storage": THIN},
            {"name": "copy", "source": {"pvc": {"name": "golden"}}, "storage": PLAIN},
        ],
        "cdi_report_json": str(folder / "report.json"),
        "cdi_report_html": str(folder / "report.html"),
    }
    ran = subprocess.run(
        ["ansible-playbook", f"--inventory={INVENTORY}", "--extra-vars", json.dumps(variables), "kubevirt.cdi.volumes"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    content = json.loads((folder / "report.json").read_text())
    volumes = {volume["name"]: volume for volume in content["volumes"]}
    return Report(ran.stdout.splitlines(), volumes, folder / "report.html")


def test_json_has_the_facts_of_each_volume(report: Report, namespace: str) -> None:
    assert next(iter(report.volumes)) == FAILING and sorted(set(report.volumes) - {FAILING}) == NAMES
    for volume in map(report.volumes.__getitem__, NAMES):
        assert volume["declared"] is True
        assert (volume["namespace"], volume["phase"], volume["problem"]) == (namespace, "Succeeded", None)
        assert volume["size"] and volume["storage_class_name"] and volume["ready_after"] > 0
    appliance, copy, golden, vm = (report.volumes[name] for name in NAMES)
    assert appliance["source"].startswith("upload disk.qcow2 disk:") and golden["source"] == f"{HTTP}/disk.qcow2"
    assert {copy["source"], vm["source"]} == {f"pvc {namespace}/golden"}
    assert [each["method"] for each in (appliance, copy, golden, vm)] == [None, "copy", None, "snapshot"]
    assert copy["reason"] == "The storage profile of plain has the strategy copy." and copy["remedy"]
    assert vm["reason"] == "The storage profile of thin has the strategy snapshot." and vm["remedy"] is None
    assert golden["preallocation"]["applied"] and not vm["preallocation"]["applied"]
    for filled in (appliance, golden):
        assert filled["scratch"]["needed"] and filled["scratch"]["storage_class_name"] and filled["scratch"]["size"]
    assert not copy["scratch"]["needed"] and not vm["scratch"]["needed"]


def test_console_table_has_the_same_facts(report: Report, namespace: str) -> None:
    head = r"VOLUME +SOURCE +PHASE +CLONED BY +SIZE +PREALLOCATED +SCRATCH +TIME"
    assert any(re.fullmatch(head, line) for line in report.lines), report.lines
    for name, cells in {
        "appliance": r"upload d\S+:\w+ +Succeeded +- +64Mi +no +thin \w+ +\d+ s",
        "copy": r"pvc \S+golden +Succeeded +copy +128Mi +no +not needed +\d+ s",
        "golden": r"http\S+ +Succeeded +- +128Mi +yes +thin \w+ +\d+ s",
        "vm": r"pvc \S+golden +Succeeded +snapshot +128Mi +no +not needed +\d+ s",
    }.items():
        found = [line for line in report.lines if line.startswith(f"{namespace}/{name} ")]
        assert any(re.fullmatch(rf"{namespace}/{name} +{cells}", line) for line in found), found
    summary = next(line for line in report.lines if line.startswith("5 volumes: 4 Succeeded, 1 "))
    assert "Clones: 1 copy, 1 snapshot." in summary and summary.endswith("PROBLEMS: 1.")
    assert max(map(len, report.lines[report.lines.index(summary) :])) <= 120


def test_failing_volume_comes_first_with_its_remedy(report: Report, namespace: str) -> None:
    failing = report.volumes[FAILING]
    assert failing["declared"] is False and failing["problem"]["cause"] == "source_not_found", failing["problem"]
    assert "404" in failing["problem"]["message"] and failing["problem"]["remedy"]
    head = next(number for number, line in enumerate(report.lines) if line.startswith("VOLUME "))
    assert report.lines[head + 1].startswith(f"{namespace}/{FAILING} ") and report.lines[head + 2].startswith(
        "    problem: "
    )


def _browse(page: Path, view: str, script: str = "") -> tuple[str, str]:
    """The DOM of the page in a browser after a script of the test, and the messages of its console."""
    shown = page.with_name(f"{view}.html")
    shown.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
    profile = page.with_name(f"profile-{view}")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", *quiet]
    ran = subprocess.run(
        [*browser, "--enable-logging=stderr", *VIEWS[view], "--dump-dom", shown.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.stdout, "\n".join(line for line in ran.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.parametrize("view", VIEWS)
def test_page_shows_each_volume_and_loads_nothing(report: Report, view: str) -> None:
    measure = """
      document.body.dataset.wide = document.documentElement.scrollWidth - window.innerWidth;
      document.body.dataset.back = getComputedStyle(document.body).backgroundColor;
      document.body.dataset.loaded = performance.getEntriesByType("resource").length;
      const rows = [...document.querySelectorAll("table.volumes tbody tr")];
      document.body.dataset.first = rows[0].querySelector("th").firstChild.textContent;
      document.body.dataset.red = getComputedStyle(rows[0].querySelector("td .mark")).color;
      const links = [...document.querySelectorAll("a")];
      document.body.dataset.links = links.length;
      document.body.dataset.dead = links.filter((link) => !document.querySelector(link.getAttribute("href"))).length;
      const spans = [...document.querySelectorAll("table.volumes td > span")];
      const cells = spans.filter((span) => span.getClientRects().length);
      const empty = cells.filter((cell) => cell.textContent.trim() === "").length;
      document.body.dataset.empty = window.innerWidth > 1050 ? 0 : empty;
    """
    dom, complaints = _browse(report.page, view, measure)
    assert complaints == ""
    for name in NAMES:
        assert f">{name}<" in dom
    page = dict(re.findall(r'data-(wide|back|loaded|first|red|links|dead|empty)="([^"]*)"', dom))
    assert page["first"] == FAILING and int(page["links"]) >= 3
    assert (page["dead"], page["empty"]) == ("0", "0"), "the page has dead links or lines without a text"
    red, green, blue = map(int, re.findall(r"\d+", page["red"])[:3])
    assert red > green + 60 and red > blue + 60, page["red"]
    assert int(page["wide"]) <= 0, "the page is wider than the window"
    assert page["loaded"] == "0"
    bright = sum(map(int, re.findall(r"\d+", page["back"])[:3])) / 3
    assert (bright < 100) is (view == "dark"), page["back"]


def test_click_on_a_column_sorts_the_table(report: Report) -> None:
    click = 'for (let n = 0; n < 2; n++) document.querySelector("table.volumes thead th button").click();'
    dom, complaints = _browse(report.page, "wide", click)
    assert complaints == ""
    body = dom[dom.index("<tbody>", dom.index('class="volumes"')) :]
    shown = re.findall(r'<th scope="row">(\w+)<br>', body)
    assert shown[: len(NAMES) + 1] == sorted([*NAMES, FAILING], reverse=True)
    assert 'aria-sort="descending"' in dom
