# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks with the ansible-core and the Kubernetes client of this Python: modules, module_defaults, lookup, roles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import NAMESPACE

from tests.runner.tree import ROOT

INVENTORY = ROOT / "playbooks" / "inventory" / "example.yml"
MANIFEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml"
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
TOKEN = "test-admin-token"
# A token, because some releases of the client ignore the certificate of a kubeconfig.
AUTHENTICATION = {
    "K8S_AUTH_HOST": os.environ["KUBEVIRT_CDI_TEST_SERVER"],
    "K8S_AUTH_API_KEY": TOKEN,
    "K8S_AUTH_SSL_CA_CERT": os.environ["KUBEVIRT_CDI_TEST_CA"],
}
PLAIN = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG")}
VOLUME = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}
TASKS: list[dict[str, Any]] = [
    {"kubevirt.cdi.data_volume": {"data_volumes": "{{ volumes }}", "wait": False}, "register": "first"},
    {"kubevirt.cdi.data_volume": {"data_volumes": "{{ volumes }}", "wait": False}, "register": "again"},
    {"kubevirt.cdi.data_volume_info": {"name": "one"}, "register": "found"},
    {"kubevirt.cdi.data_volume": {"name": "one", "state": "absent", "wait": False}, "register": "deleted"},
    {
        "ansible.builtin.assert": {
            "that": [
                "first is changed and again is not changed and deleted is changed",
                "found.data_volumes | map(attribute='name') | list == ['one']",
                "query('kubevirt.cdi.clone_method', namespace ~ '/two')[0].exists",
                "not lookup('kubevirt.cdi.clone_method', namespace ~ '/three').exists",
            ]
        }
    },
]


def _run(*arguments: str | Path, **variables: str) -> str:
    """The output of ansible-playbook at -vvvv, which must succeed."""
    ended = subprocess.run(
        [PLAYBOOK, "-vvvv", f"--inventory={INVENTORY}", *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env=PLAIN | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_PYTHON_INTERPRETER": sys.executable} | variables,
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    return ended.stdout + ended.stderr


@pytest.fixture
def namespace() -> Iterator[str]:

    connection = connect(
        {"host": AUTHENTICATION["K8S_AUTH_HOST"], "api_key": TOKEN, "ca_cert": AUTHENTICATION["K8S_AUTH_SSL_CA_CERT"]}
    )
    name = f"test-{uuid.uuid4().hex[:8]}"
    connection.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, dry_run=False)
    yield name
    connection.delete(NAMESPACE, name, dry_run=False)


def _play(namespace: str, tasks: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    """A play whose tasks take their namespace and these options from defaults of the action group."""
    variables = {"namespace": namespace, "volumes": [{"name": "one", **VOLUME}, {"name": "two", **VOLUME}]}
    defaults = {"group/kubevirt.cdi.cdi": {"namespace": namespace, **options}}
    play = {"hosts": "localhost", "gather_facts": False, "vars": variables, "module_defaults": defaults}
    return [{**play, "tasks": tasks}]


def _run_play(directory: Path, play: list[dict[str, Any]], **variables: str) -> str:
    (directory / "play.yml").write_text(yaml.safe_dump(play))
    return _run(directory / "play.yml", **variables)


def test_modules_and_lookup_need_only_a_token(namespace: str, tmp_path: Path) -> None:
    assert TOKEN not in _run_play(tmp_path, _play(namespace, TASKS), **AUTHENTICATION)


@pytest.mark.parametrize("given", ["file", "dictionary"])
def test_token_in_a_kubeconfig_is_used_and_never_shown(namespace: str, tmp_path: Path, given: str) -> None:
    cluster = {
        "server": AUTHENTICATION["K8S_AUTH_HOST"],
        "certificate-authority": AUTHENTICATION["K8S_AUTH_SSL_CA_CERT"],
    }
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "config").write_text(json.dumps(kubeconfig))
    if given == "file":
        printed = _run_play(tmp_path, _play(namespace, TASKS), K8S_AUTH_KUBECONFIG=str(tmp_path / "config"))
    else:
        no_lookups = [task for task in TASKS if "ansible.builtin.assert" not in task]
        proxy = {"proxy": "http://ann:a-secret-word@127.0.0.1:9", "no_proxy": "10.203.0.0/16"}
        play = _play(namespace, no_lookups, kubeconfig=kubeconfig, **proxy)
        printed = _run_play(tmp_path, play)
    assert TOKEN not in printed and "a-secret-word" not in printed


def test_site_is_planned_on_an_empty_cluster() -> None:
    options = ("--check", "--diff", f"--extra-vars=cdi_manifest={MANIFEST}")
    _run(*options, ROOT / "playbooks" / "site.yml", **AUTHENTICATION)
