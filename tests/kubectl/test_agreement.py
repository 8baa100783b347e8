# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubectl and a module use a kubeconfig alike: the same server, user and proxy, or an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.batch import default_namespace
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect

from tests.kubectl.cases import all_cases, namespace_cases
from tests.kubectl.servers import SECRET, Case, Servers, by_connection, by_kubectl, in_home

CASES = all_cases()
# Intended differences.
EXCEPTIONS = {
    "cluster-user-name-in-the-url": "A module refuses a password in a URL, because URLs appear in logs.",
    "cluster-proxy-with-path": "A path in the URL of a proxy is part of a password with a slash.",
    "proxy-other-scheme": "Go treats an unknown scheme as HTTP.",
    "text-unquoted-y": "PyYAML reads y as a string and not as true: a token may be that short.",
}


def test_names_of_cases_are_unique_and_include_the_exceptions() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) and set(EXCEPTIONS) <= set(names)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_kubectl_and_a_module_agree(case: Case, servers: Servers, program: str, tmp_path: Path) -> None:
    # The same path for both, because a plugin may print it.
    home = tmp_path / "home"
    home.mkdir()
    theirs = by_kubectl(program, case, servers, home)
    home.rename(tmp_path / "kubectl")
    home.mkdir()
    ours = by_connection(case, servers, home)
    assert SECRET not in ours.message and "\n" not in ours.message
    agree = theirs.comparable() == ours.comparable()
    assert agree == (case.name not in EXCEPTIONS), f"kubectl: {theirs}\nmodule: {ours}"


@pytest.mark.parametrize("case", namespace_cases(), ids=lambda case: case.name)
def test_kubectl_and_a_module_have_the_same_default_namespace(
    case: Case, servers: Servers, program: str, tmp_path: Path
) -> None:
    by_kubectl(program, case, servers, tmp_path, "events")
    (requested,) = {request["path"] for request in servers.seen}
    with in_home(case, servers, tmp_path) as params:
        assert requested == f"/api/v1/namespaces/{default_namespace(connect(params))}/events"
