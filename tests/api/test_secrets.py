# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook at its highest verbosity prints no secret: in no result, diff or error."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME

from tests.api.objects import ADMIN, kubeconfig
from tests.api.upload_service import UploadService
from tests.image_server import MIB, qcow2, serving
from tests.wire import Wire

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
    """Credentials of a kubeconfig need TLS, as with kubectl."""
    ca = {"certificate-authority": os.environ["KUBEVIRT_CDI_TEST_CA"]} if server.startswith("https:") else {}
    return kubeconfig({"server": server, **ca}, user or {"token": token})


def test_no_secret_is_printed_at_the_highest_verbosity(
    wire: Wire, connection: Connection, namespace: str, tmp_path: Path
) -> None:
    login: dict[str, Any] = {"host": wire.url, "api_key": ADMIN}
    server = os.environ["KUBEVIRT_CDI_TEST_SERVER"]
    by_kubeconfig: dict[str, Any] = {"kubeconfig": _kubeconfig(server, ADMIN)}
    failing: dict[str, Any] = {"ignore_errors": True}
    variables = [{"name": "PIN_OF_THE_PLUGIN", "value": IN_PLUGIN[1]}]
    arguments = ["-c", 'echo "$0 $1 $PIN_OF_THE_PLUGIN" >&2; false', "--password", IN_PLUGIN[0]]
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": arguments,
        "env": variables,
        "interactiveMode": "Never",
    }
    look = f"lookup('kubevirt.cdi.clone_method', '{namespace}/disk', host=login.host, api_key=login.api_key)"
    tasks: list[dict[str, Any]] = [
        _import(namespace, HEADERS[0], **login),
        _import(namespace, HEADERS[0], labels={"a": "b"}, **by_kubeconfig),
        {**_import(namespace, HEADERS[1], **login), **failing},
        {**_import(namespace, HEADERS[1], **{**login, "api_key": WRONG_TOKEN}), **failing},
        {**_import(namespace, HEADERS[1], kubeconfig=_kubeconfig(server, WRONG_TOKEN)), **failing},
        {**_import(namespace, HEADERS[1], kubeconfig=_kubeconfig(server, "", exec=plugin)), **failing},
        {"kubevirt.cdi.data_volume_info": {"namespace": namespace, **login}, "register": "found"},
        {"ansible.builtin.debug": {"var": "found"}},
        {"ansible.builtin.debug": {"msg": f"{{{{ {look} }}}}"}},
        {
            "kubevirt.cdi.data_volume": {"name": "disk", "namespace": namespace, "labels": {"c": "d"}, **login},
            **failing,
        },
        {**_import(namespace, HEADERS[0], IN_URL[2], **login), **failing},
        _import(namespace, HEADERS[0], IN_URL[2], on_drift="recreate", **login),
        {
            "kubevirt.cdi.data_volume": {
                "name": "disk",
                "namespace": namespace,
                "state": "absent",
                "wait": False,
                **login,
            }
        },
    ]
    playbook = [{"hosts": "localhost", "gather_facts": False, "vars": {"login": login}, "tasks": tasks[:2]}]
    first, second = tmp_path / "first.yml", tmp_path / "second.yml"
    first.write_text(json.dumps(playbook))
    second.write_text(json.dumps([{**playbook[0], "tasks": tasks[2:]}]))
    printed = _play(first)
    annotation = {"metadata": {"annotations": {"cdi.kubevirt.io/storage.extended.clone.token": CLONE_TOKEN}}}
    connection.merge(DATA_VOLUME, "disk", namespace, annotation, dry_run=False)
    printed += _play(second)
    assert "source.http.extra_headers differs" in printed and "HTTP 401" in printed
    assert "extraHeaders" in printed and '"changed": true' in printed
    assert "--password ***" in printed
    assert (
        "disk.raw?***' on the cluster, 'http://***@images.example.com/disk.raw?*** (redacted parts differ)' requested"
        in printed
    )
    for secret in (ADMIN, CLONE_TOKEN, WRONG_TOKEN, *HEADERS, *IN_URL, *IN_PLUGIN):
        lines = [line for line in printed.splitlines() if secret in line]
        assert lines == []


# Messages of servers, proxies and libraries must not contain a password: neither plain nor encoded nor a part of it.
PASSWORDS = ("p@ss/w0rd-secret?", "S3c/ret-Pw")


def test_no_encoding_of_a_password_is_printed(wire: Wire, namespace: str, tmp_path: Path) -> None:
    login = {"host": wire.url, "api_key": ADMIN}
    encoded = base64.b64encode(yaml.safe_dump(_kubeconfig(wire.url, "encoded-token-secret")).encode()).decode()
    misspelt = tmp_path / "misspelt"
    misspelt.write_text(
        yaml.safe_dump(
            {**_kubeconfig(wire.url, ""), "users": [{"name": "u", "usr": {"token": "misspelt-token-secret"}}]}
        )
    )
    volume = {"name": "disk", "namespace": namespace, "storage": {"size": "1Gi"}, "wait": False}
    source = {"http": {"url": f"http://u:{PASSWORDS[1]}@images.example.com/disk.raw"}}
    look = "lookup('kubevirt.cdi.clone_method', 'a/b', host=login.host, api_key=login.api_key, proxy=proxy)"
    failing = {"ignore_errors": True}
    tasks: list[dict[str, Any]] = [
        {"kubevirt.cdi.data_volume": {**volume, "source": source, **login}, **failing},
        {"kubevirt.cdi.data_volume_info": {**login, "proxy": f"http://ann:{PASSWORDS[0]}@127.0.0.1:9"}, **failing},
        {
            "ansible.builtin.debug": {"msg": f"{{{{ {look} }}}}"},
            "vars": {"proxy": f"http://ann:{PASSWORDS[0]}@127.0.0.1:9"},
            **failing,
        },
        {"kubevirt.cdi.data_volume_info": {"kubeconfig": encoded}, **failing},
        {"kubevirt.cdi.data_volume_info": {"kubeconfig": str(misspelt)}, **failing},
    ]
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": {"login": login}, "tasks": tasks}])
    )
    printed = _play(playbook)
    assert "source.http.url is 'http://***@images.example.com/disk.raw', which has no valid port" in printed
    parts = [
        part
        for password in PASSWORDS
        for part in (password, quote(password, safe=""), password.partition("/")[2].rstrip("?"))
    ]
    for secret in (*parts, encoded, encoded[100:160], "encoded-token-secret", "misspelt-token-secret"):
        # Ansible itself prints the templates of a task, with the literals in them.
        lines = [
            line
            for line in printed.splitlines()
            if secret in line and not line.lstrip().startswith(("proxy:", '"vars"'))
        ]
        assert lines == []


OF_URLS = ("url-password-secret", "url-signature-secret", "k9z3q", "moved-secret")


def test_no_secret_in_the_url_of_a_file_is_printed(
    wire: Wire, service: UploadService, namespace: str, tmp_path: Path
) -> None:
    progress = tmp_path / "progress"
    login = {"host": wire.url, "api_key": ADMIN, "progress_file": str(progress)}
    failing = {"ignore_errors": True}
    with serving() as images:
        images.password = f"ann:{OF_URLS[0]}"
        images.files = {"/disk.qcow2": qcow2(MIB), "/page": b"<html>".ljust(4096, b" "), "/packed.gz": bytes(4096)}
        images.answers = {
            "/refused": (403, {}, OF_URLS[0].encode()),
            "/moved": (302, {"Location": f"http://127.0.0.1:1/disk?token={OF_URLS[3]}"}, b""),
        }
        url = images.url.replace("://", f"://ann:{OF_URLS[0]}@")
        query = f"?X-Amz-Signature={OF_URLS[1]}&t={OF_URLS[2]}"

        def upload(file_name: str, **options: Any) -> dict[str, Any]:
            file = {"name": "disk", "namespace": namespace, "path": f"{url}{file_name}{query}"}
            return {"kubevirt.cdi.volume_upload": {**file, "upload_proxy_url": service.proxy_url, **options, **login}}

        tasks: list[dict[str, Any]] = [
            {**upload("/disk.qcow2"), "check_mode": True, "register": "found"},
            upload("/disk.qcow2"),
            {"ansible.builtin.debug": {"var": "found"}},
            upload("/disk.qcow2"),
            {**upload("/disk.qcow2", checksum=f"sha256:{'1' * 64}", overwrite="different"), **failing},
            {**upload("/disk.qcow2", encoding="raw_gz"), **failing},
            {**upload("/disk.qcow2", name="wrong", checksum=f"sha256:{'1' * 64}"), **failing},
            *({**upload(name), **failing} for name in ("/refused", "/moved", "/page", "/nothing", "/packed.gz")),
            {**upload("/disk.qcow2", path=f"{url}:port/disk{query}"), **failing},
        ]
        playbook = tmp_path / "play.yml"
        playbook.write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": {"login": login}, "tasks": tasks}])
        )
        printed = _play(playbook)
    assert printed.count("does not match checksum") >= 2 and "returned 403" in printed and '"changed": true' in printed
    assert "which is not a valid URL" in printed and "disk.qcow2?***" in printed and service.received[0] > MIB
    for text in (printed, progress.read_text()):
        for secret in OF_URLS:
            assert [line for line in text.splitlines() if secret in line] == []


def _play(playbook: Path) -> str:
    ended = subprocess.run(
        ["ansible-playbook", "-vvvv", "--diff", str(playbook)], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr
    return ended.stdout + ended.stderr
