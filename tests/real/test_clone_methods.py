# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checklist C1 to C18: by which method CDI clones and why, each claim shown on the real cluster by the collection itself.

The clones of one table are made by one task and waited for together; each test looks at its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone import planner
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.quantity import parse
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    EVENT,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
)

from tests.cluster.digests import digests
from tests.real.clone_setup import SIZE, CloneSetup, override, run, sources_to_clone, until, warnings_about

KUBECONFIG = os.environ["KUBECONFIG"]
_COMPARED_BYTES = 16 << 20


@pytest.fixture(scope="module")
def setup(connection: Connection) -> Iterator[CloneSetup]:
    with sources_to_clone(connection) as made:
        yield made


@pytest.fixture(scope="module")
def clones(setup: CloneSetup) -> dict[str, dict[str, Any]]:
    """The clones that work, made by one task: what the task returned, by name."""
    larger = {"asked": {"size": "160Mi"}}
    volumes = [
        setup.clone("by-snapshot", "snapshot"),
        setup.clone("by-csi", "csi"),
        setup.clone("by-copy", "copy"),
        setup.clone("same-driver", "csi-too"),
        setup.clone("other-driver", "plain-csi"),
        setup.clone("other-mode", "csi", asked={"volume_mode": "Block"}),
        setup.clone("no-snapshot-class", "plain-snapshot"),
        setup.clone("other-namespace", "snapshot", namespace=setup.other),
        setup.clone("snapshot-other-mode", "snapshot", asked={"volume_mode": "Block"}),
        setup.clone("snapshot-larger", "snapshot", **larger),
        setup.clone("snapshot-larger-fixed", "snapshot-fixed", **larger),
        setup.clone("larger", "csi", **larger),
        setup.clone("larger-fixed", "fixed", **larger),
        setup.clone("no-populator", "csi", annotations={"cdi.kubevirt.io/storage.usePopulator": "false"}),
        setup.clone("forced", "snapshot", annotations={"cdi.kubevirt.io/cloneType": "csi-clone"}),
        setup.clone("no-size", "snapshot", asked={"size": None}),
        setup.clone("of-snapshot", "snapshot", kind="snapshot", asked={"size": None}),
        setup.clone("of-snapshot-elsewhere", "snapshot", kind="snapshot", asked={"size": None}, namespace=setup.other),
        # Of a device: CDI restores a snapshot that it has to copy to the first class of its driver by name,
        # which on the test cluster is `block-only`.
        setup.clone(
            "of-snapshot-other-driver", "plain", "device", "snapshot", asked={"size": None, "volume_mode": "Block"}
        ),
    ]
    result = run("data_volume", data_volumes=volumes, wait_timeout=240)
    assert not result.get("failed"), result["msg"]
    return {item["name"]: item for item in result["data_volumes"]}


def _fell_back(connection: Connection, setup: CloneSetup, clone: dict[str, Any], event: str, message: str) -> None:
    assert (clone["clone"]["method"], clone["clone"]["fallback"]) == ("copy", True)
    assert clone["clone"]["fallback_reason"] == message
    assert clone["clone"]["predicted"]["fallback_reason"] == message
    assert warnings_about(connection, setup.namespace, clone["name"])[event] == message


def test_what_was_predicted_is_what_happened(clones: dict[str, dict[str, Any]]) -> None:
    predicted = {name: item["clone"]["predicted"]["method"] for name, item in clones.items()}
    assert predicted == {name: item["clone"]["method"] for name, item in clones.items()}


def test_the_clones_hold_what_the_source_holds(setup: CloneSetup, clones: dict[str, dict[str, Any]]) -> None:
    names = [f"{setup.namespace}/golden", *(f"{item['namespace']}/{name}" for name, item in clones.items())]
    found = digests(KUBECONFIG, names, _COMPARED_BYTES)
    assert len(found) == len(clones) + 1
    assert len(set(found.values())) == 1, found


def test_c01_each_of_the_three_methods_is_obtained_and_reported(
    setup: CloneSetup, clones: dict[str, dict[str, Any]], lookup: Callable[..., list[dict[str, Any]]]
) -> None:
    names = ["by-snapshot", "by-csi", "by-copy"]
    answers = lookup(*[f"{setup.namespace}/{name}" for name in names])
    assert [answer["method"] for answer in answers] == ["snapshot", "csi-clone", "copy"]
    assert all(answer["observed"] and answer["phase"] == "Succeeded" for answer in answers)


def test_c02_the_profile_asks_for_a_csi_clone(
    setup: CloneSetup, clones: dict[str, dict[str, Any]], lookup: Callable[..., list[dict[str, Any]]]
) -> None:
    assert clones["by-csi"]["clone"]["method"] == "csi-clone"
    (answer,) = lookup(f"{setup.namespace}/by-csi")
    assert answer["reason"] == f"The storage profile of {setup.classes['csi']} says csi-clone."


@pytest.mark.alone("changes cloneStrategyOverride")
def test_c02_the_override_asks_for_a_csi_clone(connection: Connection, setup: CloneSetup) -> None:
    with override(connection, "csi-clone"):
        result = run("data_volume", **setup.clone("overridden", "copy"))
    assert result["clone"]["method"] == "csi-clone", result
    assert result["clone"]["predicted"]["reason"] == "The CDI object's cloneStrategyOverride asks for csi-clone."


def test_c03_another_class_of_the_same_driver_is_good_enough(clones: dict[str, dict[str, Any]]) -> None:
    assert clones["same-driver"]["clone"]["method"] == "csi-clone"


def test_c03_another_driver_is_not(
    connection: Connection, setup: CloneSetup, clones: dict[str, dict[str, Any]]
) -> None:
    _fell_back(connection, setup, clones["other-driver"], "IncompatibleProvisioners", planner.INCOMPATIBLE_PROVISIONERS)
    assert clones["other-driver"]["clone"]["predicted"]["remedy"] == f"clone to class {setup.classes['snapshot']}"


def test_c04_another_volume_mode_is_copied(
    connection: Connection, setup: CloneSetup, clones: dict[str, dict[str, Any]]
) -> None:
    _fell_back(connection, setup, clones["other-mode"], "IncompatibleVolumeModes", planner.INCOMPATIBLE_MODES)


def test_c07_without_a_snapshot_class_it_is_copied(
    connection: Connection, setup: CloneSetup, clones: dict[str, dict[str, Any]]
) -> None:
    _fell_back(connection, setup, clones["no-snapshot-class"], "NoVolumeSnapshotClass", planner.NO_SNAPSHOT_CLASS)


def test_c08_a_snapshot_wants_what_a_csi_clone_wants(
    connection: Connection,
    setup: CloneSetup,
    clones: dict[str, dict[str, Any]],
    lookup: Callable[..., list[dict[str, Any]]],
) -> None:
    """The same conditions by the profile's default strategy: seen in all combinations by test_clone_plan.py.

    Of another driver there is no snapshot class, which is C7.
    """
    _fell_back(connection, setup, clones["snapshot-other-mode"], "IncompatibleVolumeModes", planner.INCOMPATIBLE_MODES)
    _fell_back(connection, setup, clones["snapshot-larger-fixed"], "NoVolumeExpansion", planner.NO_EXPANSION)
    assert clones["snapshot-larger"]["clone"]["method"] == "snapshot"
    assert _capacity(connection, setup, "snapshot-larger") >= 160 << 20
    answers = lookup(
        setup.clone("planned-1", "snapshot"),
        setup.clone("planned-2", "plain"),
        setup.clone("planned-3", "snapshot", asked={"volume_mode": "Block"}),
    )
    assert [answer["method"] for answer in answers] == ["snapshot", "copy", "copy"]
    assert [answer["fallback_reason"] for answer in answers] == [None, None, planner.INCOMPATIBLE_MODES]


def test_c09_a_snapshot_clone_works_across_namespaces(setup: CloneSetup, clones: dict[str, dict[str, Any]]) -> None:
    clone = clones["other-namespace"]
    assert (clone["namespace"], clone["phase"], clone["clone"]["method"]) == (setup.other, "Succeeded", "snapshot")


def test_c10_a_clone_may_be_larger_when_the_class_can_expand(
    connection: Connection, setup: CloneSetup, clones: dict[str, dict[str, Any]]
) -> None:
    assert clones["larger"]["clone"]["method"] == "csi-clone"
    # The claim itself says so only when a pod has mounted it: CDI gives it a volume that has grown already.
    assert _capacity(connection, setup, "larger") >= 160 << 20
    _fell_back(connection, setup, clones["larger-fixed"], "NoVolumeExpansion", planner.NO_EXPANSION)
    remedy = clones["larger-fixed"]["clone"]["predicted"]["remedy"]
    assert remedy == f"set allowVolumeExpansion on class {setup.classes['fixed']}"


def _capacity(connection: Connection, setup: CloneSetup, name: str) -> int:
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, setup.namespace) or {}
    volume = connection.get(PERSISTENT_VOLUME, claim["spec"]["volumeName"]) or {}
    return int(parse(volume["spec"]["capacity"]["storage"]))


def test_c11_a_copy_that_was_chosen_is_told_from_a_fallback(
    setup: CloneSetup, clones: dict[str, dict[str, Any]], lookup: Callable[..., list[dict[str, Any]]]
) -> None:
    chosen, fallen_back = lookup(f"{setup.namespace}/by-copy", f"{setup.namespace}/other-mode")
    assert (chosen["method"], chosen["fallback"], chosen["fallback_reason"]) == ("copy", False, None)
    assert chosen["reason"] == f"The storage profile of {setup.classes['copy']} says copy."
    assert chosen["remedy"] == f"set clone_strategy of the storage profile {setup.classes['copy']} to snapshot"
    assert (fallen_back["method"], fallen_back["fallback"]) == ("copy", True)
    assert fallen_back["reason"] == f"CDI fell back to copy: {planner.INCOMPATIBLE_MODES}."


def test_c11_a_method_that_was_forced_is_told_from_one_that_was_chosen(
    setup: CloneSetup, clones: dict[str, dict[str, Any]], lookup: Callable[..., list[dict[str, Any]]]
) -> None:
    forced, chosen = lookup(f"{setup.namespace}/forced", f"{setup.namespace}/by-csi")
    assert (forced["method"], forced["forced"]) == ("csi-clone", True)
    assert (chosen["method"], chosen["forced"]) == ("csi-clone", False)


def test_c11_no_populator_means_a_copy(
    connection: Connection, setup: CloneSetup, clones: dict[str, dict[str, Any]]
) -> None:
    _fell_back(connection, setup, clones["no-populator"], "NoPopulator", planner.NO_POPULATOR)
    remedy = clones["no-populator"]["clone"]["predicted"]["remedy"]
    assert remedy == "leave out the annotation cdi.kubevirt.io/storage.usePopulator"


def test_c12_and_c13_a_copy_takes_two_pods_and_is_the_slowest(
    connection: Connection,
    setup: CloneSetup,
    lookup: Callable[..., list[dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One source, the three methods one after the other; asserted is who is last, and that `ready_after` is right."""
    seen: set[str] = set()
    seconds: dict[str, list[float]] = {"snapshot": [], "csi": [], "copy": []}
    for attempt in range(2):
        for name in seconds:
            started = time.monotonic()
            clone = setup.clone(f"timed-{name}-{attempt}", name)
            made = run("data_volume", **clone, wait=False)
            posted = time.monotonic()
            assert not made.get("failed"), made["msg"]

            def succeeded(clone: dict[str, Any] = clone) -> bool:
                pods = connection.list(POD, setup.namespace)[0]
                seen.update(pod["metadata"]["name"] for pod in pods)
                stored = connection.get(DATA_VOLUME, clone["name"], setup.namespace) or {}
                return (stored.get("status") or {}).get("phase") == "Succeeded"

            until(succeeded, 90, f"{clone['name']} is not there")
            ended = time.monotonic()
            seconds[name].append(ended - started)
            (answer,) = lookup(f"{setup.namespace}/{clone['name']}")
            # The cluster's moments are whole seconds, and the end is seen some time after it.
            assert ended - posted - 3 <= answer["ready_after"] <= ended - started + 1
    with capsys.disabled():
        print(f"\n{'method':10} {'first':>8} {'second':>8}   seconds for {SIZE}")
        for name, (first, second) in seconds.items():
            print(f"{name:10} {first:8.1f} {second:8.1f}")
    assert [pod for pod in seen if pod.endswith("-source-pod")]
    assert [pod for pod in seen if pod.startswith("cdi-upload-")]
    assert min(seconds["copy"]) > max(min(seconds["snapshot"]), min(seconds["csi"]))


def test_c14_c15_c16_the_record_is_read_from_the_claim(
    connection: Connection, setup: CloneSetup, clones: dict[str, dict[str, Any]]
) -> None:
    said = connection.get(PERSISTENT_VOLUME_CLAIM, "other-mode", setup.namespace)["metadata"]["annotations"]
    assert said["cdi.kubevirt.io/cloneFallbackReason"] == planner.INCOMPATIBLE_MODES
    assert said["cdi.kubevirt.io/clonePhase"] == "Succeeded"
    assert said["cdi.kubevirt.io/cloneType"] == "copy"
    volume = connection.get(DATA_VOLUME, "other-mode", setup.namespace)
    assert volume["metadata"]["annotations"]["cdi.kubevirt.io/cloneType"] == "copy"
    clone = clones["other-mode"]["clone"]
    assert (clone["phase"], clone["method"]) == ("Succeeded", "copy")
    assert clone["fallback_reason"] == planner.INCOMPATIBLE_MODES


def test_c17_an_event_on_the_claim_says_why(
    connection: Connection, setup: CloneSetup, clones: dict[str, dict[str, Any]]
) -> None:
    events = connection.list(EVENT, setup.namespace, field_selector="involvedObject.name=other-mode")[0]
    mine = [event for event in events if event["reason"] == "IncompatibleVolumeModes"]
    about = [(event["type"], event["involvedObject"]["kind"]) for event in mine]
    assert about == [("Warning", "PersistentVolumeClaim")]


def test_c18_a_snapshot_source_has_rules_of_its_own(
    connection: Connection, setup: CloneSetup, clones: dict[str, dict[str, Any]]
) -> None:
    assert clones["of-snapshot"]["clone"]["method"] == "snapshot"
    elsewhere = clones["of-snapshot-elsewhere"]
    found = (elsewhere["namespace"], elsewhere["phase"], elsewhere["clone"]["method"])
    assert found == (setup.other, "Succeeded", "snapshot")
    clone = clones["of-snapshot-other-driver"]
    _fell_back(connection, setup, clone, "NoProvisionerMatch", planner.NO_PROVISIONER_MATCH)


def test_a_method_that_is_not_wanted_fails_before_anything_is_made(
    connection: Connection, setup: CloneSetup, clones: dict[str, dict[str, Any]]
) -> None:
    clone = setup.clone("no-copy", "plain-csi", require_clone_method=["snapshot", "csi-clone"])
    refused = run("data_volume", **clone)
    said = "no-copy would be cloned by copy, and require_clone_method is snapshot, csi-clone"
    assert f"DataVolume {setup.namespace}/{said}" in refused["msg"]
    assert planner.INCOMPATIBLE_PROVISIONERS in refused["msg"]
    assert refused["msg"].endswith(f"; clone to class {setup.classes['snapshot']}.")
    assert connection.get(DATA_VOLUME, "no-copy", setup.namespace) is None
    again = setup.clone("by-copy", "copy", require_clone_method=["snapshot"])
    # A volume that is there is left as it is.
    assert run("data_volume", **again)["changed"] is False


def test_one_clone_that_is_refused_does_not_hide_the_others(connection: Connection, setup: CloneSetup) -> None:
    volumes = [
        setup.clone("refused", "copy", require_clone_method=["csi-clone"]),
        setup.clone("wanted", "csi", require_clone_method=["csi-clone"]),
    ]
    result = run("data_volume", data_volumes=volumes)
    assert result["failed"]
    refused, wanted = result["data_volumes"]
    assert "would be cloned by copy" in refused["error"]
    assert (wanted["phase"], wanted["clone"]["method"]) == ("Succeeded", "csi-clone")
    assert connection.get(DATA_VOLUME, "refused", setup.namespace) is None


def test_the_lookup_answers_in_a_playbook(setup: CloneSetup, clones: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """Real booleans and real nulls, by name and by plan, with the options of modules."""
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"plan": setup.clone("planned", "plain-csi")},
            "tasks": [
                {
                    "ansible.builtin.assert": {
                        "that": [
                            f"query('kubevirt.cdi.clone_method', '{setup.namespace}/by-csi', plan) | length == 2",
                            f"lookup('kubevirt.cdi.clone_method', '{setup.namespace}/by-csi').fallback is false",
                            f"lookup('kubevirt.cdi.clone_method', '{setup.namespace}/by-csi').remedy is none",
                            "lookup('kubevirt.cdi.clone_method', plan).method == 'copy'",
                            "lookup('kubevirt.cdi.clone_method', plan).fallback is true",
                            "lookup('kubevirt.cdi.clone_method', plan).observed is false",
                        ]
                    }
                }
            ],
        }
    ]
    file = tmp_path / "play.yml"
    file.write_text(json.dumps(play))
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", str(file)]
    environment = {**os.environ, "K8S_AUTH_KUBECONFIG": KUBECONFIG}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_second_run_of_all_clones_changes_nothing(
    setup: CloneSetup, clones: dict[str, dict[str, Any]], module: Callable[..., Any]
) -> None:
    volumes = [setup.clone("by-snapshot", "snapshot"), setup.clone("by-csi", "csi"), setup.clone("by-copy", "copy")]
    again = module("data_volume", data_volumes=volumes).result
    assert again["changed"] is False
    assert {item["clone"]["predicted"] for item in again["data_volumes"]} == {None}
