# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checklist C1 to C18: the method by which CDI clones and its reason, as the collection reports them.

One task creates the clones of a table and waits for them; each test checks its own clones.
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
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone import model
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
from tests.real.clone_setup import SIZE, CloneSetup, override, run, sources_to_clone, warnings_about
from tests.real.objects import Lookup, Results, existing, until

KUBECONFIG = os.environ["KUBECONFIG"]
_COMPARED_BYTES = 16 << 20


@pytest.fixture(scope="module")
def setup(connection: Connection) -> Iterator[CloneSetup]:
    with sources_to_clone(connection) as made:
        yield made


@pytest.fixture(scope="module")
def clones(setup: CloneSetup) -> dict[str, dict[str, Any]]:
    """The clones that succeed, created by one task: the results of the task, by name."""
    larger: dict[str, Any] = {"requested": {"size": "160Mi"}}
    volumes = [
        setup.clone("by-snapshot", "snapshot"),
        setup.clone("by-csi", "csi"),
        setup.clone("by-copy", "copy"),
        setup.clone("same-driver", "csi-2"),
        setup.clone("other-driver", "plain-csi"),
        setup.clone("other-mode", "csi", requested={"volume_mode": "Block"}),
        setup.clone("no-snapshot-class", "plain-snapshot"),
        setup.clone("other-namespace", "snapshot", namespace=setup.other),
        setup.clone("snapshot-other-mode", "snapshot", requested={"volume_mode": "Block"}),
        setup.clone("snapshot-larger", "snapshot", **larger),
        setup.clone("snapshot-larger-fixed", "snapshot-fixed", **larger),
        setup.clone("larger", "csi", **larger),
        setup.clone("larger-fixed", "fixed", **larger),
        setup.clone("no-populator", "csi", annotations={"cdi.kubevirt.io/storage.usePopulator": "false"}),
        setup.clone("forced", "snapshot", annotations={"cdi.kubevirt.io/cloneType": "csi-clone"}),
        setup.clone("no-size", "snapshot", requested={"size": None}),
        setup.clone("of-snapshot", "snapshot", kind="snapshot", requested={"size": None}),
        setup.clone(
            "of-snapshot-elsewhere", "snapshot", kind="snapshot", requested={"size": None}, namespace=setup.other
        ),
        # A Block volume: to copy a snapshot, CDI restores it to the first class of its driver by name, which is
        # `block-only` on the test cluster.
        setup.clone(
            "of-snapshot-other-driver", "plain", "device", "snapshot", requested={"size": None, "volume_mode": "Block"}
        ),
    ]
    result = run("data_volume", data_volumes=volumes, wait_timeout=300)
    assert not result.get("failed"), result["msg"]
    return {item["name"]: item for item in result["data_volumes"]}


def _fell_back(connection: Connection, setup: CloneSetup, clone: dict[str, Any], event: str, message: str) -> None:
    assert (clone["clone"]["method"], clone["clone"]["fallback"]) == ("copy", True)
    assert clone["clone"]["fallback_reason"] == message
    assert clone["clone"]["predicted"]["fallback_reason"] == message
    # CDI sends its events some time later when it is busy.
    until(lambda: (event, message) in warnings_about(connection, setup.namespace, clone["name"]), 300, "no event")


def test_prediction_equals_observation(clones: Results) -> None:
    predicted = {name: item["clone"]["predicted"]["method"] for name, item in clones.items()}
    assert predicted == {name: item["clone"]["method"] for name, item in clones.items()}


def test_clones_have_the_content_of_their_source(setup: CloneSetup, clones: Results) -> None:
    names = [f"{setup.namespace}/golden", *(f"{item['namespace']}/{name}" for name, item in clones.items())]
    found = digests(KUBECONFIG, names, _COMPARED_BYTES)
    assert len(found) == len(clones) + 1
    assert len(set(found.values())) == 1, found


def test_c01_lookup_reports_each_method(setup: CloneSetup, clones: Results, lookup: Lookup) -> None:
    names = ["by-snapshot", "by-csi", "by-copy"]
    answers = lookup(*[f"{setup.namespace}/{name}" for name in names])
    assert [answer["method"] for answer in answers] == ["snapshot", "csi-clone", "copy"]
    assert all(answer["observed"] and answer["phase"] == "Succeeded" for answer in answers)


def test_c02_profile_requests_a_csi_clone(setup: CloneSetup, clones: Results, lookup: Lookup) -> None:
    assert clones["by-csi"]["clone"]["method"] == "csi-clone"
    (answer,) = lookup(f"{setup.namespace}/by-csi")
    assert answer["reason"] == f"The storage profile of {setup.classes['csi']} has the strategy csi-clone."


@pytest.mark.alone("changes cloneStrategyOverride")
def test_c02_override_requests_a_csi_clone(connection: Connection, setup: CloneSetup) -> None:
    with override(connection, "csi-clone"):
        result = run("data_volume", **setup.clone("overridden", "copy"))
    assert result["clone"]["method"] == "csi-clone", result
    assert result["clone"]["predicted"]["reason"] == "The CDI object's cloneStrategyOverride requests csi-clone."


def test_c03_another_class_of_the_same_driver_suffices(clones: Results) -> None:
    assert clones["same-driver"]["clone"]["method"] == "csi-clone"


def test_c03_another_driver_causes_a_copy(connection: Connection, setup: CloneSetup, clones: Results) -> None:
    _fell_back(connection, setup, clones["other-driver"], "IncompatibleProvisioners", model.INCOMPATIBLE_PROVISIONERS)
    assert clones["other-driver"]["clone"]["predicted"]["remedy"] == f"clone to class {setup.classes['snapshot']}"


def test_c04_another_volume_mode_causes_a_copy(connection: Connection, setup: CloneSetup, clones: Results) -> None:
    _fell_back(connection, setup, clones["other-mode"], "IncompatibleVolumeModes", model.INCOMPATIBLE_MODES)


def test_c07_missing_snapshot_class_causes_a_copy(connection: Connection, setup: CloneSetup, clones: Results) -> None:
    _fell_back(connection, setup, clones["no-snapshot-class"], "NoVolumeSnapshotClass", model.NO_SNAPSHOT_CLASS)


def test_c08_snapshot_has_the_requirements_of_a_csi_clone(
    connection: Connection,
    setup: CloneSetup,
    clones: Results,
    lookup: Lookup,
) -> None:
    """The default strategy has the same conditions; test_clone_plan.py checks all combinations.

    Another driver has no snapshot class, which is C7.
    """
    _fell_back(connection, setup, clones["snapshot-other-mode"], "IncompatibleVolumeModes", model.INCOMPATIBLE_MODES)
    _fell_back(connection, setup, clones["snapshot-larger-fixed"], "NoVolumeExpansion", model.NO_EXPANSION)
    assert clones["snapshot-larger"]["clone"]["method"] == "snapshot"
    assert _capacity(connection, setup, "snapshot-larger") >= 160 << 20
    answers = lookup(
        setup.clone("planned-1", "snapshot"),
        setup.clone("planned-2", "plain"),
        setup.clone("planned-3", "snapshot", requested={"volume_mode": "Block"}),
    )
    assert [answer["method"] for answer in answers] == ["snapshot", "copy", "copy"]
    assert [answer["fallback_reason"] for answer in answers] == [None, None, model.INCOMPATIBLE_MODES]


def test_c09_snapshot_clone_crosses_namespaces(setup: CloneSetup, clones: Results) -> None:
    clone = clones["other-namespace"]
    assert (clone["namespace"], clone["phase"], clone["clone"]["method"]) == (setup.other, "Succeeded", "snapshot")


def test_c10_clone_can_be_larger_if_its_class_allows_expansion(
    connection: Connection, setup: CloneSetup, clones: Results
) -> None:
    assert clones["larger"]["clone"]["method"] == "csi-clone"
    # The status of the claim changes only when a pod mounts it: CDI gives it a volume that has already grown.
    assert _capacity(connection, setup, "larger") >= 160 << 20
    _fell_back(connection, setup, clones["larger-fixed"], "NoVolumeExpansion", model.NO_EXPANSION)
    remedy = clones["larger-fixed"]["clone"]["predicted"]["remedy"]
    assert remedy == f"set allowVolumeExpansion on class {setup.classes['fixed']}"


def _capacity(connection: Connection, setup: CloneSetup, name: str) -> int:
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, setup.namespace) or {}
    volume = connection.get(PERSISTENT_VOLUME, claim["spec"]["volumeName"]) or {}
    return int(parse(volume["spec"]["capacity"]["storage"]))


def test_c11_chosen_copy_differs_from_a_fallback(setup: CloneSetup, clones: Results, lookup: Lookup) -> None:
    chosen, fallen_back = lookup(f"{setup.namespace}/by-copy", f"{setup.namespace}/other-mode")
    assert (chosen["method"], chosen["fallback"], chosen["fallback_reason"]) == ("copy", False, None)
    assert chosen["reason"] == f"The storage profile of {setup.classes['copy']} has the strategy copy."
    assert chosen["remedy"] == f"set clone_strategy of the storage profile {setup.classes['copy']} to snapshot"
    assert (fallen_back["method"], fallen_back["fallback"]) == ("copy", True)
    assert fallen_back["reason"] == f"CDI fell back to copy: {model.INCOMPATIBLE_MODES}."


def test_c11_forced_method_differs_from_a_chosen_one(setup: CloneSetup, clones: Results, lookup: Lookup) -> None:
    forced, chosen = lookup(f"{setup.namespace}/forced", f"{setup.namespace}/by-csi")
    assert (forced["method"], forced["forced"]) == ("csi-clone", True)
    assert (chosen["method"], chosen["forced"]) == ("csi-clone", False)


def test_c11_missing_populator_causes_a_copy(connection: Connection, setup: CloneSetup, clones: Results) -> None:
    _fell_back(connection, setup, clones["no-populator"], "NoPopulator", model.NO_POPULATOR)
    remedy = clones["no-populator"]["clone"]["predicted"]["remedy"]
    assert remedy == "omit the annotation cdi.kubevirt.io/storage.usePopulator"


def test_c12_c13_copy_needs_two_pods_and_is_slowest(
    connection: Connection,
    setup: CloneSetup,
    lookup: Lookup,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The three methods in sequence from one source: copy is the slowest, and `ready_after` is correct."""
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

            until(succeeded, 300, f"{clone['name']} is not Succeeded")
            ended = time.monotonic()
            seconds[name].append(ended - started)
            (answer,) = lookup(f"{setup.namespace}/{clone['name']}")
            # The times on the cluster are whole seconds, and the test sees the end later.
            assert ended - posted - 3 <= answer["ready_after"] <= ended - started + 1
    with capsys.disabled():
        print(f"\n{'method':10} {'first':>8} {'second':>8}   seconds for {SIZE}")
        for name, (first, second) in seconds.items():
            print(f"{name:10} {first:8.1f} {second:8.1f}")
    assert [pod for pod in seen if pod.endswith("-source-pod")]
    assert [pod for pod in seen if pod.startswith("cdi-upload-")]
    assert min(seconds["copy"]) > max(min(seconds["snapshot"]), min(seconds["csi"]))


def test_c14_c15_c16_result_has_the_record_of_the_claim(
    connection: Connection, setup: CloneSetup, clones: Results
) -> None:
    said = existing(connection, PERSISTENT_VOLUME_CLAIM, "other-mode", setup.namespace)["metadata"]["annotations"]
    assert said["cdi.kubevirt.io/cloneFallbackReason"] == model.INCOMPATIBLE_MODES
    assert said["cdi.kubevirt.io/clonePhase"] == "Succeeded"
    assert said["cdi.kubevirt.io/cloneType"] == "copy"
    volume = existing(connection, DATA_VOLUME, "other-mode", setup.namespace)
    assert volume["metadata"]["annotations"]["cdi.kubevirt.io/cloneType"] == "copy"
    clone = clones["other-mode"]["clone"]
    assert (clone["phase"], clone["method"]) == ("Succeeded", "copy")
    assert clone["fallback_reason"] == model.INCOMPATIBLE_MODES


def test_c17_event_of_the_claim_has_the_reason(connection: Connection, setup: CloneSetup, clones: Results) -> None:
    events = connection.list(EVENT, setup.namespace, field_selector="involvedObject.name=other-mode")[0]
    mine = [event for event in events if event["reason"] == "IncompatibleVolumeModes"]
    about = [(event["type"], event["involvedObject"]["kind"]) for event in mine]
    assert about == [("Warning", "PersistentVolumeClaim")]


def test_c18_snapshot_source_has_its_own_rules(connection: Connection, setup: CloneSetup, clones: Results) -> None:
    assert clones["of-snapshot"]["clone"]["method"] == "snapshot"
    elsewhere = clones["of-snapshot-elsewhere"]
    found = (elsewhere["namespace"], elsewhere["phase"], elsewhere["clone"]["method"])
    assert found == (setup.other, "Succeeded", "snapshot")
    clone = clones["of-snapshot-other-driver"]
    _fell_back(connection, setup, clone, "NoProvisionerMatch", model.NO_PROVISIONER_MATCH)


def test_unwanted_method_fails_before_any_write(connection: Connection, setup: CloneSetup, clones: Results) -> None:
    clone = setup.clone("no-copy", "plain-csi", require_clone_method=["snapshot", "csi-clone"])
    refused = run("data_volume", **clone)
    said = "no-copy would be cloned by copy, and require_clone_method is snapshot, csi-clone"
    assert f"DataVolume {setup.namespace}/{said}" in refused["msg"]
    assert model.INCOMPATIBLE_PROVISIONERS in refused["msg"]
    assert refused["msg"].endswith(f"; clone to class {setup.classes['snapshot']}.")
    assert connection.get(DATA_VOLUME, "no-copy", setup.namespace) is None
    again = setup.clone("by-copy", "copy", require_clone_method=["snapshot"])
    # An existing volume stays unchanged.
    assert run("data_volume", **again)["changed"] is False


def test_refused_clone_does_not_hide_the_others(connection: Connection, setup: CloneSetup) -> None:
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


def test_lookup_works_in_a_playbook(setup: CloneSetup, clones: Results, tmp_path: Path) -> None:
    """Its results are booleans and nulls, for a name and for a plan, with the options of modules."""
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


def test_second_run_changes_nothing(setup: CloneSetup, clones: Results, module: Callable[..., Any]) -> None:
    volumes = [setup.clone("by-snapshot", "snapshot"), setup.clone("by-csi", "csi"), setup.clone("by-copy", "copy")]
    again = module("data_volume", data_volumes=volumes).result
    assert again["changed"] is False
    assert {item["clone"]["predicted"] for item in again["data_volumes"]} == {None}
