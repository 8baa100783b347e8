# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The default namespace is that of the kubeconfig's context, as with kubectl."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.clone_method import look_up

from tests.api.objects import ADMIN
from tests.modules import run_module
from tests.playing import play, write_play
from tests.wire import Wire

BLANK: dict[str, Any] = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}
KubeconfigFor = Callable[[str], dict[str, Any]]


@pytest.fixture
def kubeconfig(wire: Wire) -> KubeconfigFor:
    """Makes a kubeconfig whose context has this namespace. Over plain HTTP, the token comes from an option."""

    def make(namespace: str) -> dict[str, Any]:
        return {
            "clusters": [{"name": "c", "cluster": {"server": wire.url}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "namespace": namespace}}],
            "current-context": "x",
        }

    return make


@pytest.fixture
def login(kubeconfig: KubeconfigFor, namespace: str) -> dict[str, Any]:
    return {"kubeconfig": kubeconfig(namespace), "api_key": ADMIN}


def test_volume_is_created_changed_and_deleted_in_the_namespace_of_the_context(
    wire: Wire, connection: Connection, login: dict[str, Any], namespace: str
) -> None:
    options = {**login, "name": "disk", "wait": False}
    made = run_module("data_volume", {**options, **BLANK})
    assert made.result["changed"] and made.result["namespace"] == namespace and made.warnings == []
    assert connection.get(DATA_VOLUME, "disk", namespace)
    wire.requests.clear()
    assert not run_module("data_volume", {**options, **BLANK}).result["changed"] and len(wire.requests) == 1
    assert run_module("data_volume", {**options, "state": "absent"}).result["changed"]
    assert connection.get(DATA_VOLUME, "disk", namespace) is None


def test_option_namespace_overrides_the_context(
    connection: Connection, login: dict[str, Any], kubeconfig: KubeconfigFor, namespace: str
) -> None:
    elsewhere = {**login, "kubeconfig": kubeconfig("never")}
    made = run_module(
        "data_volume", {**elsewhere, "namespace": namespace, "data_volumes": [{"name": "a", **BLANK}], "wait": False}
    )
    assert made.result["changed"] and connection.get(DATA_VOLUME, "a", namespace)
    mixed = run_module(
        "data_volume",
        {
            **login,
            "data_volumes": [{"name": "b", **BLANK}, {"name": "c", "namespace": namespace, **BLANK}],
            "wait": False,
        },
    )
    assert [volume["namespace"] for volume in mixed.result["data_volumes"]] == [namespace] * 2 and mixed.warnings == []


def test_default_namespace_counts_in_checks_of_names(wire: Wire, login: dict[str, Any], namespace: str) -> None:
    twice = run_module(
        "data_volume",
        {**login, "data_volumes": [{"name": "a", **BLANK}, {"name": "a", "namespace": namespace, **BLANK}]},
    )
    assert twice.result["msg"] == f"data_volumes has {namespace}/a twice; leave one of them out."
    clone = {"name": "a", "source": {"pvc": {"name": "a", "namespace": namespace}}, "storage": {}}
    assert "is its own source" in run_module("data_volume", {**login, **clone}).result["msg"]
    assert wire.requests == []


def test_invalid_namespace_of_a_context_is_refused(
    wire: Wire, login: dict[str, Any], kubeconfig: KubeconfigFor
) -> None:
    ran = run_module("data_volume", {**login, "kubeconfig": kubeconfig("Not_A/Name"), "name": "a", **BLANK})
    assert (
        ran.result["msg"].startswith("The kubeconfig's context has the namespace 'Not_A/Name', which contains ")
        and wire.requests == []
    )


def test_info_lists_all_namespaces_by_default(
    wire: Wire,
    connection: Connection,
    login: dict[str, Any],
    kubeconfig: KubeconfigFor,
    namespace: str,
) -> None:
    run_module("data_volume", {**login, "name": "disk", **BLANK, "wait": False})
    found = run_module("data_volume_info", {**login, "kubeconfig": kubeconfig("never")}).result["data_volumes"]
    assert (namespace, "disk") in [(volume["namespace"], volume["name"]) for volume in found]


def test_upload_and_planned_source_are_in_the_namespace_of_the_context(
    login: dict[str, Any], namespace: str, tmp_path: Path
) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    upload = run_module("volume_upload", {**login, "name": "image", "path": str(image)}, check=True)
    assert upload.result["namespace"] == namespace, upload.result
    clone = {"name": "clone", "source": {"pvc": {"name": "image"}}, "storage": {}, "planned_sources": ["image"]}
    planned = run_module("data_volume", {**login, **clone}, check=True)
    assert planned.result.get("changed") and planned.result["namespace"] == namespace, planned.result


def test_lookup_uses_the_namespace_of_the_context(login: dict[str, Any], namespace: str) -> None:
    (answer,) = look_up(login, [{"name": "clone", "source": {"pvc": {"name": "image"}}, "storage": {"size": "1Gi"}}])
    assert (answer["namespace"], answer["name"]) == (namespace, "clone")


@pytest.mark.parametrize("given", ["", "given"])
def test_report_shows_the_namespace_of_the_context(
    connection: Connection,
    login: dict[str, Any],
    kubeconfig: KubeconfigFor,
    namespace: str,
    tmp_path: Path,
    given: str,
) -> None:
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump(kubeconfig("never" if given else namespace)))
    roles = [{"ansible.builtin.import_role": {"name": f"kubevirt.cdi.{role}"}} for role in ("volumes", "report")]

    variables = {
        "cdi_kubeconfig": str(config),
        "cdi_api_key": ADMIN,
        "cdi_namespace": namespace if given else "",
        "cdi_data_volumes": [{"name": "disk", **BLANK}],
        "cdi_volumes_wait": False,
        "cdi_report_json": str(tmp_path / "report.json"),
    }
    played = play(write_play(tmp_path, roles), variables=variables)
    assert played.code == 0, played.output
    assert connection.get(DATA_VOLUME, "disk", namespace)
    (volume,) = json.loads((tmp_path / "report.json").read_text())["volumes"]
    assert (volume["namespace"], volume["name"], volume["declared"]) == (namespace, "disk", True)
