# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module data_volume: how many requests it takes, what it writes and what it reports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME

from tests.api.objects import ADMIN, SetStatus, fetch
from tests.modules import RunModule
from tests.wire import Wire

VOLUME: dict[str, Any] = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}
BLANK: dict[str, Any] = {**VOLUME, "wait": False}


def test_unchanged_volume_takes_one_get(wire: Wire, module: RunModule, namespace: str) -> None:
    assert module("data_volume", name="disk", namespace=namespace, **BLANK).result["changed"]
    wire.requests.clear()
    assert not module("data_volume", name="disk", namespace=namespace, **BLANK).result["changed"]
    assert [method for method, _path in wire.requests] == ["GET"]


def test_hundred_unchanged_volumes_take_one_list(wire: Wire, module: RunModule, namespace: str) -> None:
    volumes = [{"name": f"disk-{number}", "source": {"blank": {}}, "storage": {"size": "1Gi"}} for number in range(100)]
    first = module("data_volume", namespace=namespace, data_volumes=volumes, wait=False).result
    assert len([item for item in first["data_volumes"] if item["changed"]]) == 100
    assert len(wire.writes()) == 100
    wire.requests.clear()
    assert not module("data_volume", namespace=namespace, data_volumes=volumes, wait=False).result["changed"]
    assert len(wire.requests) == 1


def test_empty_list_of_volumes_takes_no_request(wire: Wire, module: RunModule, namespace: str) -> None:
    result = module("data_volume", namespace=namespace, data_volumes=[]).result
    assert (result["changed"], result["data_volumes"], wire.requests) == (False, [], [])


# Python files, and libraries, that an unchanged volume has no use for.
FOR_CHANGES = {
    "_cdi.status",
    "_cdi.users",
    "_clone.planner",
    "_clone.prediction",
    "_clone.source",
    "_data_volume.changes",
    "_data_volume.claim_adoption",
    "_data_volume.clone_guard",
    "_data_volume.clone_order",
    "_data_volume.collected",
    "_data_volume.growth",
    "_data_volume.preflight",
    "_data_volume.preflight_rules",
    "_data_volume.preflight_volumes",
    "_data_volume.reconcile",
    "_data_volume.reconcile_collected",
    "_data_volume.source_fetch",
    "_data_volume.unfilled",
    "_data_volume.wait",
    "_data_volume.wait_order",
    "_data_volume.writes",
    "_diagnosis.diagnose",
    "_image.formats",
    "_kubernetes.apply",
    "_kubernetes.failures",
    "_kubernetes.listing",
    "_kubernetes.merge_patch",
    "_kubernetes.proxy",
    "_kubernetes.reader",
    "_kubernetes.refusals",
    "_kubernetes.server_side_apply",
    "_kubernetes.wait",
    "_kubernetes.watch",
    "_kubernetes.websockets",
    "_kubernetes.writes",
    "_storage.allocation",
    "_storage.claims",
    "_storage.scratch",
    "_storage.scratch_claims",
}
RENEWED = {"_kubernetes.file_source", "_kubernetes.oidc_source", "_kubernetes.plugin_source"}
KUBECONFIG = {
    "_kubernetes.environment",
    "_kubernetes.kubeconfig",
    "_kubernetes.kubeconfig_file",
    "_kubernetes.kubeconfig_secrets",
}


@pytest.mark.parametrize(("given", "unused"), [("options", RENEWED | KUBECONFIG), ("kubeconfig", RENEWED)])
def test_unchanged_volume_loads_no_code_for_changes(
    wire: Wire, namespace: str, module: RunModule, given: str, unused: set[str]
) -> None:
    """Each task is a process, and imports are most of its time when nothing changes."""
    assert module("data_volume", name="disk", namespace=namespace, **BLANK).result["changed"]
    cluster = {
        "server": os.environ["KUBEVIRT_CDI_TEST_SERVER"],
        "certificate-authority": os.environ["KUBEVIRT_CDI_TEST_CA"],
    }
    kubeconfig = {
        "clusters": [{"name": "one", "cluster": cluster}],
        "users": [{"name": "one", "user": {"token": ADMIN}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "current-context": "one",
    }
    access = {"host": wire.url, "api_key": ADMIN} if given == "options" else {"kubeconfig": kubeconfig}
    options = {**access, "name": "disk", "namespace": namespace, **BLANK}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("K8S_AUTH_")}
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ansible_collections.kubevirt.cdi.plugins.modules.data_volume"],
        env=environment,
        input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout)["changed"] is False
    loaded = set(re.findall(r"kubevirt\.cdi\.plugins\.module_utils\.([\w.]+)$", ended.stderr, re.MULTILINE))
    assert "_kubernetes.client" in loaded
    assert loaded & (FOR_CHANGES | unused) == set()
    assert not re.search(r"\b(kubernetes|yaml|websocket|concurrent\.futures)$", ended.stderr, re.MULTILINE)


def test_task_needs_no_discovery(wire: Wire, module: RunModule, namespace: str) -> None:
    module("data_volume", name="disk", namespace=namespace, **BLANK)
    assert wire.requests and wire.discoveries() == []


@pytest.mark.parametrize("size", ["1024Mi", "1073741824", "1048576Ki"])
def test_other_spelling_of_a_size_is_no_drift(module: RunModule, namespace: str, size: str) -> None:
    module("data_volume", name="disk", namespace=namespace, **BLANK)
    again = module("data_volume", name="disk", namespace=namespace, **{**BLANK, "storage": {"size": size}})
    assert not again.result["changed"]


def test_annotation_of_cdi_is_no_drift(connection: Connection, module: RunModule, namespace: str) -> None:
    module("data_volume", name="disk", namespace=namespace, **BLANK)
    ours = {"metadata": {"annotations": {"cdi.kubevirt.io/storage.usePopulator": "true"}}}
    connection.merge(DATA_VOLUME, "disk", namespace, ours, dry_run=False)
    assert not module("data_volume", name="disk", namespace=namespace, **BLANK).result["changed"]


def test_check_mode_predicts_without_writing(wire: Wire, module: RunModule, namespace: str) -> None:
    predicted = module("data_volume", check=True, name="disk", namespace=namespace, labels={"a": "b"}, **BLANK).result
    assert wire.writes() == []
    real = module("data_volume", name="disk", namespace=namespace, labels={"a": "b"}, **BLANK).result
    assert (predicted["changed"], predicted["diff"]) == (real["changed"], real["diff"])
    wire.requests.clear()
    predicted = module("data_volume", check=True, name="disk", namespace=namespace, labels={"a": "c"}, **BLANK).result
    assert wire.writes() == []
    real = module("data_volume", name="disk", namespace=namespace, labels={"a": "c"}, **BLANK).result
    assert predicted["changed"] and predicted["diff"] == real["diff"]
    assert real["diff"] == {
        "before": {"metadata": {"labels": {"a": "b"}}},
        "after": {"metadata": {"labels": {"a": "c"}}},
    }


def test_label_that_is_no_longer_requested_is_removed(
    module: RunModule, connection: Connection, namespace: str
) -> None:
    module("data_volume", name="disk", namespace=namespace, labels={"a": "b", "c": "d"}, **BLANK)
    assert module("data_volume", name="disk", namespace=namespace, labels={"a": "b"}, **BLANK).result["changed"]
    assert fetch(connection, DATA_VOLUME, "disk", namespace)["metadata"]["labels"] == {"a": "b"}


def test_other_spec_is_refused_with_both_values(
    wire: Wire, module: RunModule, namespace: str, set_status: SetStatus
) -> None:
    module("data_volume", name="disk", namespace=namespace, **BLANK)
    set_status(namespace, "disk")
    wire.requests.clear()
    other = module("data_volume", name="disk", namespace=namespace, **{**BLANK, "storage": {"size": "512Mi"}}).result
    assert other["failed"] and wire.writes() == []
    assert "storage.size: '1024Mi' on the cluster, '512Mi' requested" in other["msg"]
    assert "on_drift=recreate" in other["msg"]


def test_recreation_needs_on_drift(
    connection: Connection, module: RunModule, namespace: str, set_status: SetStatus
) -> None:
    module("data_volume", name="disk", namespace=namespace, **BLANK)
    set_status(namespace, "disk")
    before = fetch(connection, DATA_VOLUME, "disk", namespace)
    assert module(
        "data_volume", name="disk", namespace=namespace, on_drift="recreate", **{**BLANK, "storage": {"size": "512Mi"}}
    ).result["changed"]
    assert fetch(connection, DATA_VOLUME, "disk", namespace)["metadata"]["uid"] != before["metadata"]["uid"]


def test_second_deletion_changes_nothing(wire: Wire, module: RunModule, namespace: str) -> None:
    module("data_volume", name="disk", namespace=namespace, **BLANK)
    assert module("data_volume", name="disk", namespace=namespace, state="absent").result["changed"]
    assert not module("data_volume", name="disk", namespace=namespace, state="absent").result["changed"]


def test_check_mode_deletes_nothing(connection: Connection, module: RunModule, namespace: str) -> None:
    """The API server ignores dryRun in the query of a deletion that has a body."""
    module("data_volume", name="disk", namespace=namespace, **BLANK)
    assert module("data_volume", check=True, name="disk", namespace=namespace, state="absent").result["changed"]
    assert connection.get(DATA_VOLUME, "disk", namespace) is not None


def test_error_of_one_volume_does_not_stop_the_others(module: RunModule, namespace: str, set_status: SetStatus) -> None:
    module("data_volume", name="taken", namespace=namespace, **BLANK)
    set_status(namespace, "taken")
    volumes = [
        {"name": "taken", "source": {"blank": {}}, "storage": {"size": "512Mi"}},
        {"name": "good", "source": {"blank": {}}, "storage": {"size": "1Gi"}},
    ]
    result = module("data_volume", namespace=namespace, data_volumes=volumes, wait=False).result
    assert result["failed"] and [item["changed"] for item in result["data_volumes"]] == [False, True]
    assert "taken" in result["data_volumes"][0]["error"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"name": "Bad_Name"}, "name is 'Bad_Name'"),
        ({"on_drift": "recreate", "keep_claim": True}, "give one of them"),
        ({"source": {"blank": {}, "upload": {}}}, "exactly one source"),
        ({"source": None}, "exactly one source"),
        ({"storage": {"size": "ten"}}, "'ten' is not a Kubernetes quantity"),
        ({"storage": {"size": "1Ki"}}, "at least 1Mi"),
        ({"storage": None}, "neither storage nor pvc"),
        ({"pvc": {"size": "1Gi"}}, "storage and pvc"),
        ({"storage": {"volume_mode": "Block"}}, "has no size"),
    ],
)
def test_invalid_option_is_refused_before_a_request(
    wire: Wire, module: RunModule, namespace: str, options: dict[str, Any], expected: str
) -> None:
    result = module("data_volume", **{"name": "disk", "namespace": namespace, **BLANK, **options}).result
    assert result["failed"] and expected in result["msg"], result["msg"]
    assert wire.requests == []


def test_info_takes_five_requests_for_any_number_of_volumes(wire: Wire, module: RunModule, namespace: str) -> None:
    volumes = [{"name": f"disk-{number}", "labels": {"odd": str(number % 2)}, **VOLUME} for number in range(6)]
    module("data_volume", namespace=namespace, data_volumes=volumes, wait=False)
    wire.requests.clear()
    volumes_found = module("data_volume_info", namespace=namespace, label_selectors=["odd=1"]).result["data_volumes"]
    assert [item["name"] for item in volumes_found] == ["disk-1", "disk-3", "disk-5"]
    assert [method for method, _path in wire.requests] == ["GET"] * 5
    assert {item["diagnosis"]["cause"] for item in volumes_found} == {"controller_down"}
    assert module("data_volume_info", namespace=namespace, name="nothing").result["data_volumes"] == []
