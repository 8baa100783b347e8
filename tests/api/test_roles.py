# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role in check mode, as Ansible runs it: it passes, writes nothing, and tells later jobs what it has to tell."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import STORAGE_CLASS

from tests.api.conftest import ADMIN
from tests.wire import Wire

MANIFEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml"


@pytest.fixture
def storage_class() -> Iterator[str]:
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    name = f"test-{uuid.uuid4().hex[:8]}"
    body = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "none",
    }
    direct.create(STORAGE_CLASS, body, dry_run=False)
    yield name
    direct.delete(STORAGE_CLASS, name, dry_run=False)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    return path


def play(wire: Wire, tmp_path: Path, roles: list[str], variables: dict[str, Any]) -> str:
    """Run roles in check mode with the token in the environment, as AWX does; returns what was printed."""
    book = tmp_path / "play.yml"
    tasks = [{"name": role, "ansible.builtin.import_role": {"name": f"kubevirt.cdi.{role}"}} for role in roles]
    book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    environment = {"K8S_AUTH_HOST": wire.url, "K8S_AUTH_API_KEY": ADMIN, "ANSIBLE_SHOW_CUSTOM_STATS": "true"}
    ended = subprocess.run(
        ["ansible-playbook", "--check", "--diff", "-vv", "--extra-vars", json.dumps(variables), str(book)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    output = ended.stdout + ended.stderr
    assert ended.returncode == 0, output
    assert wire.writes() == []
    # Nobody serves HyperConverged here, and only the discovery says so.
    assert wire.discoveries() in ([], [("GET", "/apis")])
    assert ADMIN not in output
    return output


def test_install(wire: Wire, tmp_path: Path) -> None:
    output = play(wire, tmp_path, ["install"], {"cdi_manifest": MANIFEST, "cdi_image_pull_policy": "IfNotPresent"})
    assert '"cdi_artifact_version": "v1.65.0"' in output


def test_config(wire: Wire, tmp_path: Path) -> None:
    output = play(
        wire, tmp_path, ["config"], {"cdi_preallocation": "yes", "cdi_feature_gates": "HonorWaitForFirstConsumer"}
    )
    assert '"cdi_artifact_preallocation": null' in output


def test_storage_profiles(wire: Wire, tmp_path: Path, storage_class: str) -> None:
    profile = {"name": storage_class, "clone_strategy": "copy"}
    assert "changed=1 " in play(wire, tmp_path, ["storage_profiles"], {"cdi_storage_profiles": [profile]})


def test_volumes_and_their_report(wire: Wire, tmp_path: Path, namespace: str, image: Path) -> None:
    """Lists as YAML text, as a survey gives them."""
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
    output = play(wire, tmp_path, ["volumes", "report"], variables)
    # Of what is predicted, only the first is a change: there is nothing to take away.
    assert (
        f"changed: [localhost] => (item={namespace})" in output and f"ok: [localhost] => (item={namespace})" in output
    )
    assert f'"{namespace}/uploaded": "uploaded"' in output
    assert f"1 upload would be sent: {namespace}/uploaded." in output
    assert f"1 volume would be created or changed: {namespace}/blank." in output
    assert "2 volumes: 2 Planned." in output
    assert not (tmp_path / "report.json").exists() and not (tmp_path / "report.html").exists()


def test_the_report_of_a_cluster_without_volumes(wire: Wire, tmp_path: Path, namespace: str) -> None:
    output = play(wire, tmp_path, ["report"], {"cdi_report_namespaces": [namespace]})
    assert "There are no volumes." in output
