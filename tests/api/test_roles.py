# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role in check mode: it succeeds, writes nothing, and publishes its artifacts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import STORAGE_CLASS

from tests.api.objects import ADMIN, body
from tests.playing import play, write_play
from tests.wire import Wire

MANIFEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml"


@pytest.fixture
def storage_class(direct: Connection, namespace: str) -> Iterator[str]:
    direct.create(STORAGE_CLASS, body(STORAGE_CLASS, namespace, provisioner="none"), dry_run=False)
    yield namespace
    direct.delete(STORAGE_CLASS, namespace, dry_run=False)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    return path


def check_mode(wire: Wire, tmp_path: Path, roles: list[str], variables: dict[str, Any]) -> str:
    """The output of roles in check mode, with the token in the environment, as in AWX."""
    tasks = [{"name": role, "ansible.builtin.import_role": {"name": f"kubevirt.cdi.{role}"}} for role in roles]
    environment = {"K8S_AUTH_HOST": wire.url, "K8S_AUTH_API_KEY": ADMIN}
    options = ("--check", "--diff", "-vv")
    played = play(*options, write_play(tmp_path, tasks), variables=variables, environment=environment)
    assert played.code == 0, played.output
    assert wire.writes() == []
    # HyperConverged is not served here, which only the discovery shows.
    assert wire.discoveries() in ([], [("GET", "/apis")])
    assert ADMIN not in played.output
    return played.output


def test_install_predicts_the_version(wire: Wire, tmp_path: Path) -> None:
    output = check_mode(
        wire, tmp_path, ["install"], {"cdi_manifest": MANIFEST, "cdi_image_pull_policy": "IfNotPresent"}
    )
    assert '"cdi_artifact_version": "v1.65.0"' in output


def test_config_publishes_preallocation(wire: Wire, tmp_path: Path) -> None:
    output = check_mode(
        wire, tmp_path, ["config"], {"cdi_preallocation": "yes", "cdi_feature_gates": "HonorWaitForFirstConsumer"}
    )
    assert '"cdi_artifact_preallocation": null' in output


def test_storage_profiles_predicts_a_change(wire: Wire, tmp_path: Path, storage_class: str) -> None:
    profile = {"name": storage_class, "clone_strategy": "copy"}
    assert "changed=1 " in check_mode(wire, tmp_path, ["storage_profiles"], {"cdi_storage_profiles": [profile]})


def test_volumes_and_report_show_planned_volumes(wire: Wire, tmp_path: Path, namespace: str, image: Path) -> None:
    """Lists are YAML text, as from a survey."""
    variables = {
        "cdi_namespace": namespace,
        "cdi_clone_permissions": [
            {"namespace": namespace, "users": ["me"]},
            {"namespace": namespace, "state": "absent"},
        ],
        "cdi_uploads": f"- {{name: uploaded, path: {image}}}",
        "cdi_data_volumes": "- name: blank\n  source: {blank: {}}\n  storage: {size: 1Gi}",
        "cdi_report_json": str(tmp_path / "report.json"),
        "cdi_report_html": str(tmp_path / "report.html"),
    }
    output = check_mode(wire, tmp_path, ["volumes", "report"], variables)
    # Only the first permission is a change, because there is none to revoke.
    assert (
        f"changed: [localhost] => (item={namespace})" in output and f"ok: [localhost] => (item={namespace})" in output
    )
    assert f'"{namespace}/uploaded": "uploaded"' in output
    assert f"1 upload would be sent: {namespace}/uploaded." in output
    assert f"1 volume would be created or changed: {namespace}/blank." in output
    assert "2 volumes: 2 Planned." in output
    assert not (tmp_path / "report.json").exists() and not (tmp_path / "report.html").exists()


def test_report_of_a_namespace_without_volumes(wire: Wire, tmp_path: Path, namespace: str) -> None:
    output = check_mode(wire, tmp_path, ["report"], {"cdi_report_namespaces": [namespace]})
    assert "There are no volumes." in output
