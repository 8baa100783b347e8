# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credential plugins: when they run, and how their failures are reported without secrets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.access import Plugin
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.credentials import settle
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.plugin_source import PluginSource
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import known_secrets

from tests.unit.plugins._kubernetes.objects import SECRET, kubeconfig_of, sent_by

pytestmark = pytest.mark.usefixtures("plain_environment")


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """A user whose credential plugin runs this Python code."""

    def make(code: str) -> dict[str, Any]:
        script = tmp_path / "plugin.py"
        script.write_text(code)
        version = "client.authentication.k8s.io/v1"
        return {
            "exec": {
                "apiVersion": version,
                "command": sys.executable,
                "args": [str(script)],
                "interactiveMode": "Never",
            }
        }

    return make


def _credential(**status: Any) -> str:
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    return f"print({json.dumps(json.dumps(credential))})"


@pytest.fixture
def counting(plugin: Callable[[str], dict[str, Any]], tmp_path: Path) -> Callable[[str], Any]:
    """A connection whose plugin numbers its tokens, which expire at this moment."""

    def make(expires: str) -> Any:
        code = f"""
import json, pathlib
file = pathlib.Path({str(tmp_path / "count")!r})
count = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(count))
status = dict(token=f"number-{{count}}", expirationTimestamp="{expires}")
print(json.dumps(dict(apiVersion="client.authentication.k8s.io/v1", kind="ExecCredential", status=status)))
"""
        return connect({"kubeconfig": kubeconfig_of(plugin(code))})

    return make


def test_plugin_runs_again_only_when_its_token_has_expired(counting: Callable[[str], Any]) -> None:
    connection = counting("2020-01-01T00:00:00Z")
    assert [sent_by(connection) for _time in range(2)] == ["Bearer number-2", "Bearer number-3"]
    soon = datetime.now(timezone.utc) + timedelta(minutes=2)
    connection = counting(soon.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert [sent_by(connection) for _time in range(2)] == ["Bearer number-4", "Bearer number-4"]


@pytest.mark.parametrize("never", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_token_without_an_expiry_is_kept(counting: Callable[[str], Any], never: str) -> None:
    """Go writes the first of them for a time that is not set."""
    connection = counting(never)
    assert [sent_by(connection) for _time in range(2)] == ["Bearer number-1"] * 2


def test_rejected_credentials_are_renewed_once_for_all_threads(counting: Callable[[str], Any]) -> None:
    source = counting("2099-01-01T00:00:00Z").transport.source
    rejected = source.current()
    with ThreadPoolExecutor(8) as threads:
        renewed = set(threads.map(lambda _number: source.renewed(rejected), range(16)))
    assert [each.authorization for each in renewed] == ["Bearer number-2"]
    assert "number-2" in known_secrets()


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import sys; sys.exit('log in\\nfirst')", "ended with code 1 (log in first); run it manually to see why."),
        (f"print('{SECRET}')", "did not print JSON; run"),
        ("print('[]')", "did not print an ExecCredential; run"),
        ("print('{}')", "printed a kind other than ExecCredential; run"),
        (_credential(), "printed no status.token; run"),
        (_credential().replace("{}", "null"), "printed no status; run"),
        (_credential(token=17), "printed a status.token that is not a string; run"),
        (
            _credential(token="a\nb"),
            "printed a status.token that contains a line end or another character that no token has; run",
        ),
        ("print('[' * 100000)", "did not print JSON; run"),
        (_credential(clientKeyData="x"), "printed no status.clientCertificateData; run"),
        (
            _credential(token="t", expirationTimestamp="tomorrow"),
            "printed a status.expirationTimestamp that is not a time; run",
        ),
        (
            _credential(clientKeyData="x", clientCertificateData="y"),
            "clientCertificateData contains no certificate; give it in PEM format.",
        ),
    ],
)
def test_failed_plugin_is_reported_with_its_reason(
    plugin: Callable[[str], dict[str, Any]], code: str, named: str
) -> None:
    with pytest.raises(CdiError) as refused:
        connect({"kubeconfig": kubeconfig_of(plugin(code))})
    said = str(refused.value)
    assert said.startswith("the dictionary in kubeconfig, users['one'].exec: the ") and named in said
    assert SECRET not in said and "\n" not in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [("", "is a directory; correct its path."), ("plugin", "is not executable; make it executable with chmod +x.")],
)
def test_plugin_that_cannot_run_is_reported(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "plugin").write_text("#!/bin/sh\n")
    command = str(tmp_path / name) if name else str(tmp_path)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "Never"}}
    with pytest.raises(CdiError) as refused:
        connect({"kubeconfig": kubeconfig_of(user)})
    assert (
        str(refused.value)
        == f"the dictionary in kubeconfig, users['one'].exec: the credential plugin {command!r} {expected}"
    )


@pytest.mark.parametrize("padding", range(270, 300, 5))
def test_long_output_of_a_plugin_contains_no_part_of_a_secret(
    plugin: Callable[[str], dict[str, Any]], padding: int
) -> None:
    user = plugin(f"import sys; sys.exit(sys.argv[1] + {padding} * '.')")
    user["exec"]["args"].append(f"--password={SECRET}")
    with pytest.raises(CdiError) as refused:
        connect({"kubeconfig": kubeconfig_of(user)})
    assert not [SECRET[-size:] for size in range(4, 20) if SECRET[-size:] in str(refused.value)]


def test_plugin_that_does_not_end_is_stopped(plugin: Callable[[str], dict[str, Any]]) -> None:
    access = settle({"kubeconfig": kubeconfig_of(plugin("import time; time.sleep(60)"))})
    assert isinstance(access.identity, Plugin)
    with pytest.raises(CdiError, match=r"did not end within 0\.2 s"):
        PluginSource(access.identity, access, seconds=0.2).current()


@pytest.mark.parametrize(
    ("hint", "expected"),
    [(None, "install it on the host that runs the task"), ("get it at\n  x.test.", "get it at x.test.")],
)
def test_missing_plugin_is_reported_with_its_install_hint(hint: str | None, expected: str) -> None:
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "no-such-plugin", "installHint": hint}
    }
    with pytest.raises(CdiError) as refused:
        connect({"kubeconfig": kubeconfig_of(user)})
    assert f"the credential plugin 'no-such-plugin' is not installed; {expected}" in str(refused.value)
