# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same kubeconfig leads kubectl and a module to the same server, as the same user, by the same way; or it leads neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.batch import default_namespace
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect

from tests.kubectl.bed import SECRET, Bed, Case, at_home, by_connection, by_kubectl
from tests.kubectl.cases import all_cases, namespace_cases

CASES = all_cases()
# What differs on purpose, and why.
EXCEPTIONS = {
    "cluster-user-name-in-the-url": "A password in a URL ends in logs: it is refused, with the options to give it by.",
    "cluster-proxy-with-path": "A proxy's URL with a path is a password with a slash that is not percent-encoded.",
    "proxy-other-scheme": "Go takes every scheme that it does not know for HTTP.",
    "text-unquoted-y": "PyYAML takes y for a text and not for true: a token may well be that short.",
}


def test_no_two_cases_have_a_name_and_every_exception_is_a_case() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) and set(EXCEPTIONS) <= set(names)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_kubectl_and_a_module_go_the_same_way(case: Case, bed: Bed, program: str, tmp_path: Path) -> None:
    outcomes = []
    for name, ask in (
        ("kubectl", lambda home: by_kubectl(program, case, bed, home)),
        ("module", lambda home: by_connection(case, bed, home)),
    ):
        # The same path for both: a plugin may print it.
        home = tmp_path / "home"
        home.mkdir()
        outcomes.append(ask(home))
        home.rename(tmp_path / name)
    theirs, ours = outcomes
    assert SECRET not in ours.told and "\n" not in ours.told
    agree = theirs.shown() == ours.shown()
    assert agree == (case.name not in EXCEPTIONS), f"kubectl: {theirs}\nmodule: {ours}"


@pytest.mark.parametrize("case", namespace_cases(), ids=lambda case: case.name)
def test_kubectl_and_a_module_take_the_same_namespace_when_none_is_given(
    case: Case, bed: Bed, program: str, tmp_path: Path
) -> None:
    by_kubectl(program, case, bed, tmp_path, "events")
    (asked,) = {request["path"] for request in bed.seen}
    with at_home(case, bed, tmp_path) as params:
        assert asked == f"/api/v1/namespaces/{default_namespace(connect(params))}/events"
