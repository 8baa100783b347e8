# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log entry and the returned invocation of a module contain no secret."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.parameters import PASS_VARS

from tests.modules import Ran, run_module

# From ansible-core 2.22 on the controller asks for it.
INVOCATION = {"_ansible_inject_invocation": True} if "inject_invocation" in PASS_VARS else {}

# Python imports this when it starts: all that goes to the log of this host is written to a file instead.
RECORDER = """
import os, sys, syslog, types

def record(*args, **fields):
    with open(os.environ["TEST_LOG"], "a") as file:
        print(args, fields, file=file)

syslog.syslog = record
if os.environ["TEST_JOURNAL"]:
    systemd = sys.modules["systemd"] = types.ModuleType("systemd")
    systemd.journal = types.SimpleNamespace(send=record, sendv=record)
    systemd.daemon = types.SimpleNamespace(booted=lambda: True)
"""
USER = {
    "token": "a-s3cret-token",
    "client-key-data": "a-s3cret-key",
    "username": "ann",
    # Characters that the text of a dictionary shows differently.
    "password": "a-s3cret\\pass'word\"",
    "exec": {"args": ["--password", "s3cret"], "env": [{"name": "PIN", "value": "s3cret"}]},
}
KUBECONFIG = {"users": [{"name": "u", "user": USER}], "clusters": [{"cluster": {"proxy-url": "http://a:s3cret@b"}}]}


# Returns the log.
Logged = Callable[[], str]


@pytest.fixture(params=["syslog", "journal"])
def logged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Logged:
    """Returns everything that modules have logged."""
    log = tmp_path / "log"
    (tmp_path / "sitecustomize.py").write_text(RECORDER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ['PYTHONPATH']}")
    monkeypatch.setenv("TEST_LOG", str(log))
    monkeypatch.setenv("TEST_JOURNAL", "1" if request.param == "journal" else "")
    return log.read_text


def _fails(**options: Any) -> Ran:
    """Runs a module that fails before any request because of its name."""
    return run_module("data_volume", {"name": "No_Name", **INVOCATION, **options})


@pytest.mark.parametrize("how", ["dictionary", "text", "variable"])
def test_the_content_of_a_kubeconfig_is_not_logged(logged: Logged, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    text = yaml.safe_dump(KUBECONFIG)
    if how == "variable":
        monkeypatch.setenv("K8S_AUTH_KUBECONFIG", json.dumps(KUBECONFIG))
    kubeconfigs: dict[str, Any] = {"dictionary": KUBECONFIG, "text": text}
    ran = _fails(**({"kubeconfig": kubeconfigs[how]} if how in kubeconfigs else {}))
    assert "name is 'No_Name'" in ran.result["msg"]
    assert "Invoked with" in logged() and "No_Name" in logged()
    assert "s3cret" not in logged() + ran.output


def test_the_path_of_a_kubeconfig_is_logged(logged: Logged) -> None:
    ran = _fails(kubeconfig="/home/ann/config:other")
    assert "/home/ann/config:other" in logged()
    assert ran.result["invocation"]["module_args"]["kubeconfig"] == "/home/ann/config:other"


def test_urls_are_logged_and_returned_without_secrets(logged: Logged) -> None:
    urls = {"host": "ann:s3cret@host:6443", "proxy": "http://ann:p@s3cret@proxy:3128"}
    ran = _fails(**urls, source={"http": {"url": "https://ann:sec@ret@images/disk.raw?X-Amz-Signature=s3cret"}})
    returned = ran.result["invocation"]["module_args"]
    assert (returned["host"], returned["proxy"]) == ("***@host:6443", "http://***@proxy:3128")
    assert returned["source"]["http"]["url"] == "https://***@images/disk.raw?***"
    assert "images/disk.raw" in logged()
    assert all(secret not in logged() + ran.output for secret in ("s3cret", "ret@"))


def test_secrets_inside_options_are_not_logged_in_any_spelling(logged: Logged) -> None:
    """Ansible searches the text of a dictionary, where backslashes are doubled, and masks URLs first."""
    http = {"url": "https://host", "extra_headers": ["A: ab@s3cret\\x"]}
    basic = {"basic_auth": "ann:s3@cret", "proxy_basic_auth": "ann:s3cret\\"}
    ran = _fails(source={"http": http}, proxy_headers=basic)
    assert "https://host" in logged()
    assert all(secret not in logged() + ran.output for secret in ("s3cret", "@cret"))


def test_refused_options_are_returned_without_secrets(logged: Logged) -> None:
    ran = run_module("cdi_info", {"no_such_option": 1, "kubeconfig": KUBECONFIG, **INVOCATION})
    assert "no_such_option" in ran.result["msg"] and "module_args" in ran.result["invocation"]
    assert "s3cret" not in ran.output
