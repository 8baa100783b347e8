# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that is secret is printed by ansible-playbook at its highest verbosity, be it in results, diffs or errors."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import DATA_VOLUME
from tests.api.conftest import ADMIN

HEADERS = ("first-header-secret", "second-header-secret")
CLONE_TOKEN, WRONG_TOKEN = "clone-token-secret", "wrong-token-secret"
IN_URL = ("password-secret", "signature-secret", "other-signature-secret")
IN_PLUGIN = ("argument-secret", "long-variable-secret")


def _import(namespace: str, secret: str, signature: str = IN_URL[1], **options: Any) -> dict[str, Any]:
    url = f"http://me:p@{IN_URL[0]}@images.example.com/disk.raw?X-Amz-Signature={signature}"
    http = {"url": url, "extra_headers": [f"Authorization: Bearer {secret}"]}
    volume = {"name": "disk", "source": {"http": http}, "storage": {"size": "1Gi"}, "wait": False}
    return {"kubevirt.cdi.data_volume": {"namespace": namespace, **volume, **options}}


def _kubeconfig(server: str, token: str, **user: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def test_no_secret_is_printed_at_any_verbosity(wire, connection, namespace, tmp_path: Path) -> None:
    login = {"host": wire.url, "api_key": ADMIN}
    by_kubeconfig = {"kubeconfig": _kubeconfig(wire.url, ADMIN)}
    failing = {"ignore_errors": True}
    variables = [{"name": "PIN_OF_THE_PLUGIN", "value": IN_PLUGIN[1]}]
    arguments = ["-c", 'echo "$0 $1 $PIN_OF_THE_PLUGIN" >&2; false', "--password", IN_PLUGIN[0]]
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": arguments, "env": variables}
    look = f"lookup('kubevirt.cdi.clone_method', '{namespace}/disk', host=login.host, api_key=login.api_key)"
    tasks: list[dict[str, Any]] = [
        _import(namespace, HEADERS[0], **login),
        _import(namespace, HEADERS[0], labels={"a": "b"}, **by_kubeconfig),
        {**_import(namespace, HEADERS[1], **login), **failing},
        {**_import(namespace, HEADERS[1], **{**login, "api_key": WRONG_TOKEN}), **failing},
        {**_import(namespace, HEADERS[1], kubeconfig=_kubeconfig(wire.url, WRONG_TOKEN)), **failing},
        {**_import(namespace, HEADERS[1], kubeconfig=_kubeconfig(wire.url, "", exec=plugin)), **failing},
        {"kubevirt.cdi.data_volume_info": {"namespace": namespace, **login}, "register": "told"},
        {"ansible.builtin.debug": {"var": "told"}},
        {"ansible.builtin.debug": {"msg": f"{{{{ {look} }}}}"}},
        {"kubevirt.cdi.data_volume": {"name": "disk", "namespace": namespace, "labels": {"c": "d"}, **login}, **failing},
        {**_import(namespace, HEADERS[0], IN_URL[2], **login), **failing},
        _import(namespace, HEADERS[0], IN_URL[2], on_drift="recreate", **login),
        {"kubevirt.cdi.data_volume": {"name": "disk", "namespace": namespace, "state": "absent", "wait": False, **login}},
    ]
    playbook = [{"hosts": "localhost", "gather_facts": False, "vars": {"login": login}, "tasks": tasks[:2]}]
    first, second = tmp_path / "first.yml", tmp_path / "second.yml"
    first.write_text(json.dumps(playbook))
    second.write_text(json.dumps([{**playbook[0], "tasks": tasks[2:]}]))
    printed = _play(first)
    annotation = {"metadata": {"annotations": {"cdi.kubevirt.io/storage.extended.clone.token": CLONE_TOKEN}}}
    connection.merge(DATA_VOLUME, "disk", namespace, annotation, dry_run=False)
    printed += _play(second)
    assert "spec.source.http.extraHeaders differs" in printed and "HTTP 401" in printed
    assert "extraHeaders" in printed and '"changed": true' in printed
    assert "credential plugin gives no credentials: exec: process returned 1. --password ***" in printed
    assert "disk.raw?*** and not http://***@images.example.com/disk.raw?*** (redacted parts differ)" in printed
    for secret in (ADMIN, CLONE_TOKEN, WRONG_TOKEN, *HEADERS, *IN_URL, *IN_PLUGIN):
        lines = [line for line in printed.splitlines() if secret in line]
        assert lines == []


def _play(playbook: Path) -> str:
    ended = subprocess.run(
        ["ansible-playbook", "-vvvv", "--diff", str(playbook)], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr
    return ended.stdout + ended.stderr
