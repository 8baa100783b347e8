# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup connects by the same options and environment variables as the modules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kubevirt.cdi.plugins.doc_fragments import _auth, _auth_plugin
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.argspec import AUTH

OF_MODULES = yaml.safe_load(_auth.ModuleDocFragment.DOCUMENTATION)["options"]
OF_LOOKUPS = yaml.safe_load(_auth_plugin.ModuleDocFragment.DOCUMENTATION)["options"]


def _flat(options: dict[str, Any], below: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The options and their suboptions, which are the key `below`."""
    for name, option in options.items():
        yield prefix + name, option
        yield from _flat(option.get(below) or {}, below, f"{prefix}{name}.")


def _named(option: dict[str, Any]) -> set[str]:
    return set(re.findall(r"E\((K8S_AUTH_\w+)\)", str(option["description"])))


def test_lookup_has_the_connection_options_of_the_modules() -> None:
    def types(options: dict[str, Any], below: str) -> dict[str, tuple[Any, Any]]:
        return {name: (option["type"], option.get("elements")) for name, option in _flat(options, below)}

    of_spec = types(AUTH.options, "options")
    assert types(OF_MODULES, "suboptions") == of_spec
    assert types(OF_LOOKUPS, "suboptions") == of_spec


def test_lookup_reads_the_environment_variables_of_the_modules() -> None:
    read = {name: set(option["fallback"][1]) for name, option in _flat(AUTH.options, "options") if "fallback" in option}
    reported = {name: _named(option) for name, option in _flat(OF_MODULES, "suboptions") if _named(option)}
    assert reported == read
    of_lookups = {
        # Ansible reads no variable for a suboption. The lookup does, and its description names the variable.
        name: _named(option) if "." in name else {variable["name"] for variable in option.get("env", [])}
        for name, option in _flat(OF_LOOKUPS, "suboptions")
    }
    assert {name: variables for name, variables in of_lookups.items() if variables} == read


def test_proxy_headers_are_read_from_the_environment_without_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_PROXY_HEADERS_USER_AGENT", "me")
    checked = ArgumentSpecValidator(AUTH.options).validate({})
    assert checked.validated_parameters["proxy_headers"]["user_agent"] == "me"
