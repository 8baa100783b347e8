# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of CDI and of each volume."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.kubevirt.cdi.plugins.filter import report as report_filter
from ansible_collections.kubevirt.cdi.plugins.filter import report_html, report_junit, report_lines
from ansible_collections.kubevirt.cdi.plugins.plugin_utils import _report_view as view
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report import build

from tests.report_facts import TEMPLATE, cloned, facts, found, ill

FALLBACK = "No compatible volumesnapshotclass found"


def test_the_table_has_a_line_for_each_volume() -> None:
    lines = view.lines(build(facts(found("golden"), cloned("a-clone", "snapshot", ready_after=75))))
    head, first, second = lines[-3:]
    assert head.split() == ["VOLUME", "SOURCE", "PHASE", "CLONED", "BY", "SIZE", "PREALLOCATED", "SCRATCH", "TIME"]
    assert first.split() == [
        "images/a-clone",
        "pvc",
        "images/golden",
        "Succeeded",
        "snapshot",
        "128Mi",
        "yes",
        "cheap",
        "136Mi",
        "1",
        "min",
        "15",
        "s",
    ]
    assert second.split() == [
        "images/golden",
        "http://images/disk.qcow2",
        "Succeeded",
        "-",
        "128Mi",
        "yes",
        "cheap",
        "136Mi",
        "12",
        "s",
    ]
    assert first.index("Succeeded") == second.index("Succeeded") == head.index("PHASE")


def test_a_copy_shows_its_reason_and_its_remedy() -> None:
    clone = {
        "name": "vm-1",
        "namespace": "images",
        "method": "copy",
        "reason": f"CDI fell back to copy: {FALLBACK}.",
        "remedy": "Create a VolumeSnapshotClass for driver x.",
    }
    report = build(facts(cloned("vm-1", "copy"), clones=[clone]))
    assert report["summary"]["could_be_faster"] == 1
    assert f"    clone: CDI fell back to copy: {FALLBACK}." in view.lines(report)
    assert "    faster: Create a VolumeSnapshotClass for driver x." in view.lines(report)
    assert "Create a VolumeSnapshotClass for driver x." in view.page(report, TEMPLATE)


def test_a_planned_clone_shows_a_predicted_method() -> None:
    plan = {
        "name": "vm-1",
        "namespace": "images",
        "method": "snapshot",
        "observed": False,
        "reason": "R.",
        "remedy": None,
    }
    item = {**cloned("vm-1", "copy", phase=None, ready_after=None), "changed": True}
    del item["clone"]
    report = build(facts(clones=[plan], results={"volumes": {"data_volumes": [item]}}, check_mode=True))
    assert "snapshot (predicted)" in view.lines(report)[-2]
    assert "predicted" in view.page(report, TEMPLATE)


def test_a_waiting_clone_shows_what_it_waits_for() -> None:
    waits = {
        "name": "vm-1",
        "namespace": "images",
        "method": None,
        "waits_for": ["pod p"],
        "reason": "CDI waits for pod p.",
    }
    report = build(facts(cloned("vm-1", "copy", phase="CloneScheduled"), clones=[waits]))
    assert report["volumes"][0]["method"] is None
    assert view.lines(report)[-1] == "    clone: CDI waits for pod p."


def test_the_table_shows_the_measured_allocation() -> None:
    measured = {"allocated_bytes": 64 << 20, "size_bytes": 128 << 20, "not_measured": None}
    report = build(facts(found("a", allocation=measured)))
    assert "yes (50 % allocated)" in view.lines(report)[-1]
    assert "(50 % allocated)" in view.page(report, TEMPLATE)
    assert view.allocation({"allocated_bytes": None, "size_bytes": None, "not_measured": "Block."}) == ""


def test_scratch_claims_without_a_volume_are_named() -> None:
    report = build(facts(scratch_without_volume=["images/prime-1-scratch"]))
    expected = "Scratch claim images/prime-1-scratch belongs to no volume; delete it."
    assert view.lines(report)[-1] == expected
    assert "belongs to no volume; delete it." in view.page(report, TEMPLATE)


def test_a_fast_clone_has_no_remedy() -> None:
    clone = {"name": "vm-1", "namespace": "images", "method": "snapshot", "reason": "R.", "remedy": "Faster still."}
    assert build(facts(cloned("vm-1", "snapshot"), clones=[clone]))["volumes"][0]["remedy"] is None


def test_the_summary_counts_phases_methods_and_problems() -> None:
    volumes = [
        found("a"),
        cloned("b", "copy"),
        cloned("c", "copy"),
        found("d", phase="ImportInProgress", progress="3.00%", diagnosis=ill("The server answers 404")),
    ]
    report = build(facts(*volumes))
    assert report["summary"] == {
        "volumes": 4,
        "phases": {"Succeeded": 3, "ImportInProgress": 1},
        "clone_methods": {"copy": 2},
        "could_be_faster": 0,
        "problems": 1,
        "declared": 0,
        "failed_steps": [],
    }
    assert "4 volumes: 3 Succeeded, 1 ImportInProgress. Clones: 2 copy. PROBLEMS: 1." in view.lines(report)
    assert "    problem: The server answers 404; correct the URL." in view.lines(report)


def test_the_error_of_this_run_takes_precedence_over_the_diagnosis() -> None:
    results = {
        "volumes": {"data_volumes": [{"name": "a", "namespace": "images", "changed": True, "error": "Timed out."}]}
    }
    report = build(facts(found("a", phase="ImportScheduled", diagnosis=ill("Later")), results=results))
    assert report["volumes"][0]["problem"] == {
        "cause": "source_not_found",
        "message": "Timed out.",
        "remedy": "correct the URL",
    }
    assert report["volumes"][0]["changed"] is True


def test_ignored_preallocation_is_reported() -> None:
    ignored = {"requested": True, "applied": False, "supported": False, "ignored": "CDI does not preallocate archives."}
    lines = view.lines(build(facts(found("a", preallocation=ignored))))
    assert "not applied" in lines[-2]
    assert lines[-1] == "    preallocation: CDI does not preallocate archives."


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "-"),
        ({"requested": None, "applied": None}, "-"),
        ({"requested": False, "applied": False}, "no"),
        ({"requested": True, "applied": False}, "requested"),
        ({"requested": True, "applied": True}, "yes"),
    ],
)
def test_the_preallocation_cell_is_short(given: dict[str, Any] | None, expected: str) -> None:
    assert view.preallocation({"preallocation": given, "phase": "ImportInProgress"}) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "-"),
        ({"needed": None}, "-"),
        ({"needed": False}, "not needed"),
        ({"needed": True, "storage_class_name": None, "size": None}, "needed"),
        ({"needed": True, "storage_class_name": "cheap", "size": None}, "cheap"),
    ],
)
def test_the_scratch_cell_is_short(given: dict[str, Any] | None, expected: str) -> None:
    assert view.scratch(given) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "yes"),
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (["a", "b"], "a, b"),
        ({"HTTPProxy": "", "noProxy": ""}, "-"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {}}, "limits (cpu 1, memory 1Gi)"),
    ],
)
def test_a_setting_is_shown_without_empty_values(value: Any, expected: str) -> None:
    assert view.setting(value) == expected


def test_problems_of_scratch_space_are_reported() -> None:
    volume = found("a")
    volume["scratch"].update(problems=["There is no class."], left_over="images/a-scratch")
    lines = view.lines(build(facts(volume)))
    assert lines[-2:] == [
        "    scratch: There is no class.",
        "    scratch: images/a-scratch was left behind; delete it.",
    ]


def test_a_waiting_volume_shows_what_it_waits_for() -> None:
    diagnosis = ill("waits", "waiting_for_consumer")
    report = build(facts(found("a", phase="PendingPopulation", progress="N/A", ready_after=None, diagnosis=diagnosis)))
    assert report["summary"]["problems"] == 0
    assert view.lines(report)[-1] == "    phase: waits for a pod that uses it"
    assert "waits for a pod that uses it" in view.page(report, TEMPLATE)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "-"), (0, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7380, "2 h 3 min")],
)
def test_durations_are_shown_in_readable_units(seconds: float | None, expected: str) -> None:
    assert view.duration(seconds) == expected


def test_the_configuration_is_compared_with_the_request() -> None:
    cdi = facts()["cdi"]
    cdi["asked"] = {
        "preallocation": True,
        "scratchSpaceStorageClass": "cheap",
        "imagePullSecrets": [{"name": "registry"}],
        "podResourceRequirements": {"limits": {"memory": "1Gi"}},
        "dataVolumeTTLSeconds": 3,
    }
    cdi["cdi"] = {"spec": {"cloneStrategyOverride": "copy"}}
    cdi["effective"] = {
        "preallocation": True,
        "scratch_space_storage_class": None,
        "image_pull_secrets": ["registry"],
        "default_pod_resource_requirements": {"limits": {"memory": "1024Mi", "cpu": "750m"}},
        "upload_proxy_url": None,
    }
    report = build(facts(cdi=cdi))
    states = {row["setting"]: row["in_effect"] for row in report["configuration"]}
    assert states == {
        "preallocation": True,
        "scratch_space_storage_class": False,
        "image_pull_secrets": True,
        "default_pod_resource_requirements": True,
        "upload_proxy_url": True,
        "dataVolumeTTLSeconds": None,
        "cloneStrategyOverride": None,
    }
    assert "NOT IN EFFECT: scratch_space_storage_class: requested cheap, in effect: -." in view.lines(report)
    assert "not in effect" in view.page(report, TEMPLATE)


def test_a_volume_that_could_not_be_created_has_a_row_with_the_error() -> None:
    item = {"name": "a", "namespace": "nowhere", "changed": False, "error": "There is no namespace.", "data_volume": {}}
    report = build(facts(results={"volumes": {"data_volumes": [item]}}))
    assert view.lines(report)[-2].split() == ["nowhere/a", "-", "Missing", *"-----"]
    assert view.lines(report)[-1] == "    problem: There is no namespace."
    assert report["summary"]["problems"] == 1


SHA256 = "9f86d081884c7d659a2feaa0c55ad015"
UPLOAD: dict[str, Any] = {"source": {"upload": {}}}
FILES = [{"name": "a", "path": "/srv/images/debian-12.qcow2"}]


def uploaded_claim(**more: Any) -> dict[str, Any]:
    """The result of volume_upload for a claim without a DataVolume."""
    claim = {
        "metadata": {"annotations": {"cdi.kubevirt.io/storage.pod.phase": "Succeeded"}},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "fast", "volumeMode": "Block"},
        "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}},
    }
    preallocation = {"requested": False, "applied": False}
    item = {
        "name": "a",
        "namespace": "images",
        "changed": True,
        "phase": None,
        "digest": SHA256,
        "preallocation": preallocation,
    }
    return {**item, "data_volume": {}, "persistent_volume_claim": {**claim, **more}}


def test_a_claim_without_a_data_volume_has_a_row() -> None:
    report = build(facts(results={"uploads": {"uploads": [uploaded_claim()]}}, files=FILES))
    row = report["volumes"][0]
    assert (
        row["source"] == "upload debian-12.qcow2 sha256:9f86d081884c" and row["phase"] == "Succeeded" and row["changed"]
    )
    assert (row["size"], row["capacity"], row["storage_class_name"], row["volume_mode"]) == (
        "1Gi",
        "2Gi",
        "fast",
        "Block",
    )
    assert row["preallocation"] == {"requested": False, "applied": False} and row["problem"] is None
    assert "debian-12.qcow2" in view.lines(report)[-1] and "debian-12.qcow2" in view.page(report, TEMPLATE)


def test_an_unpopulated_claim_shows_the_phase_of_the_claim() -> None:
    item = {**uploaded_claim(metadata={}), "digest": "", "error": "E."}
    for status, phase in (({"phase": "Bound"}, "Bound"), ({}, "Pending")):
        item["persistent_volume_claim"]["status"] = status
        row = build(facts(results={"uploads": {"uploads": [item]}}, files=FILES))["volumes"][0]
        assert (row["phase"], row["source"], row["problem"]["message"]) == (phase, "upload", "E.")


@pytest.mark.parametrize("option", ["path", "src"])
def test_an_upload_of_a_url_shows_no_secret(option: str) -> None:
    item = {"name": "a", "namespace": "images", "digest": SHA256, "persistent_volume_claim": {}}
    files = [{"name": "a", option: "https://me:pw/secret@example.com/disk.qcow2?signature=of/secret&x=secret"}]
    results = {"uploads": {"uploads": [item]}}
    report = build(facts(found("a", spec=dict(UPLOAD)), results=results, files=files))
    assert report["volumes"][0]["source"] == "upload disk.qcow2 sha256:9f86d081884c"


def test_an_upload_shows_its_file_and_a_short_digest() -> None:
    item = {"name": "a", "namespace": "images", "digest": SHA256, "persistent_volume_claim": {}}
    for more, expected in (
        ({}, "upload debian-12.qcow2 sha256:9f86d081884c"),
        ({"digest": f"disk:{SHA256}"}, "upload debian-12.qcow2 disk:9f86d081884c"),
        ({"digest": ""}, "upload debian-12.qcow2"),
    ):
        results = {"uploads": {"uploads": [{**item, **more}]}}
        for files in (FILES, [{"name": "a", "src": "debian-12.qcow2"}]):
            assert (
                build(facts(found("a", spec=dict(UPLOAD)), results=results, files=files))["volumes"][0]["source"]
                == expected
            )
    assert build(facts(found("a", spec=dict(UPLOAD))))["volumes"][0]["source"] == "upload"
    assert build(facts(found("a"), results=results, files=FILES))["volumes"][0]["source"] == "http://images/disk.qcow2"


def test_a_failed_upload_shows_the_previous_file() -> None:
    claim = {"metadata": {"annotations": {"kubevirt.cdi/uploaded-sha256": "4" * 64}}}
    item = {
        "name": "a",
        "namespace": "images",
        "digest": SHA256,
        "persistent_volume_claim": claim,
        "error": "It is already filled.",
    }
    report = build(facts(found("a", spec=dict(UPLOAD)), results={"uploads": {"uploads": [item]}}, files=FILES))
    assert report["volumes"][0]["source"] == "upload sha256:444444444444"


def test_a_volume_without_a_phase_is_pending() -> None:
    assert build(facts(found("a", phase=None)))["volumes"][0]["phase"] == "Pending"


def test_a_cluster_without_volumes_is_reported() -> None:
    report = build(facts())
    assert view.lines(report)[-1] == "There are no volumes."
    assert "There are no volumes." in view.page(report, TEMPLATE)


def test_a_long_source_keeps_the_name_of_its_file() -> None:
    spec = {"source": {"http": {"url": f"https://images.example.com/{'a/' * 40}debian-12.qcow2"}}}
    line = view.lines(build(facts(found("a", spec=spec))))[-1]
    assert "https://" in line and "..." in line and "debian-12.qcow2" in line and len(line) <= 120


def test_the_filters_accept_the_types_of_ansible_and_refuse_wrong_input() -> None:
    make = report_filter.FilterModule().filters()["report"]
    show = report_lines.FilterModule().filters()["report_lines"]
    page = report_html.FilterModule().filters()["report_html"]
    junit_of = report_junit.FilterModule().filters()["report_junit"]
    report = make(facts(found("a")))
    assert show(report)[0] == "CDI v1.65.0 is ready."
    assert page(report, "{{ report.cdi.version }}") == "v1.65.0"
    with pytest.raises(
        AnsibleFilterError,
        match=r"^report expects a dictionary with the facts that its documentation lists: key 'cdi' is missing\.$",
    ):
        make({"results": {}})
    wrong: Any
    for wrong in ({"cdi": {}}, [], "text", 7, None, {"clusters": [{}]}):
        for filter_of, name in ((show, "report_lines"), (junit_of, "report_junit")):
            with pytest.raises(
                AnsibleFilterError, match=f"^{name} expects the dictionary that filter kubevirt.cdi.report returns: ."
            ) as raised:
                filter_of(wrong)
            assert raised.value.__cause__ is None and raised.value.__context__ is None
