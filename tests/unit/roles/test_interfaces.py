# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' interfaces: what is declared is read, what is read is declared, and what a module can do a role offers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import jinja2.nodes
import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.argspec import AUTH

ROLES = Path(__file__).parents[3] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir())
UTILS = "ansible_collections.kubevirt.cdi.plugins.module_utils"

# What Ansible itself gives.
MAGIC = {"omit", "item", "ansible_check_mode", "ansible_version", "now", "query", "lookup", "dict"}
MAGIC |= {"ansible_play_hosts_all", "hostvars", "inventory_hostname"}
# What the report tells of: the results of the roles before it, and what was declared.
OF_OTHERS = {
    "report": {
        *("_install_result", "_config_result", "_storage_profiles_result"),
        *("_volumes_result", "_volumes_uploads_result", "_volumes_permissions_result"),
        *("_volumes_plans", "_volumes_uploads_declared", "_volumes_uploads_plans", "_volumes_namespaces"),
    }
}

# Where a role's option has another name than cdi_ and the module's.
RENAMED = {
    ("install", "cdi"): {"wait_timeout": "cdi_install_wait_timeout"},
    ("config", "cdi_config"): {"wait_timeout": "cdi_config_wait_timeout"},
    ("storage_profiles", "storage_profile"): {"wait_timeout": "cdi_storage_profiles_wait_timeout"},
    ("volumes", "data_volume"): {
        "verify_allocation": "cdi_volumes_verify_allocation",
        "wait": "cdi_volumes_wait",
        "wait_timeout": "cdi_volumes_wait_timeout",
    },
    ("volumes", "volume_upload"): {
        "parallel": "cdi_uploads_parallel",
        "retries": "cdi_uploads_retries",
        "wait_timeout": "cdi_uploads_wait_timeout",
        "cdi_namespace": "cdi_operator_namespace",
    },
    ("report", "data_volume_info"): {
        "namespace": "cdi_report_namespaces",
        "label_selectors": "cdi_report_label_selectors",
        "verify_allocation": "cdi_report_verify_allocation",
    },
}
# What a role knows by itself.
BY_THE_ROLE = {("volumes", "data_volume"): {"planned_sources"}}
# The options of a module that its role does not offer, and why.
LATER_ROLES_NEED_IT_DONE = {"wait"}
BELONGS_TO_AN_ITEM = set(importlib.import_module(f"{UTILS}._data_volume.options").VOLUME_OPTIONS) - {"namespace"}
# The progress file is the action plugin's.
OF_THE_ACTION = {"progress_file"}
NOT_OFFERED = {
    ("install", "cdi"): LATER_ROLES_NEED_IT_DONE | OF_THE_ACTION,
    ("config", "cdi_config"): LATER_ROLES_NEED_IT_DONE,
    ("storage_profiles", "storage_profile"): LATER_ROLES_NEED_IT_DONE
    | {"name"}
    | set(importlib.import_module(f"{UTILS}._module.storage_profile").OPTIONS),
    ("volumes", "data_volume"): {"name"} | BELONGS_TO_AN_ITEM | OF_THE_ACTION,
    ("volumes", "volume_upload"): {"path", "name", "checksum", "overwrite", "format", "on_failure"}
    | BELONGS_TO_AN_ITEM
    | OF_THE_ACTION,
    ("report", "data_volume_info"): {"name", "on_missing"},
    ("report", "cdi_info"): {"storage_profiles"},
}
# Options whose items a text may give, as YAML: the module checks them. A kubeconfig is a path or a dictionary.
MAY_BE_TEXT = {"cdi_data_volumes", "cdi_uploads", "cdi_kubeconfig"}
# Every role passes these to its modules, and the lookup reads the variables itself.
CONNECTION = {"kubeconfig", "context", "host", "api_key", "ca_cert"}
# Action plugins for the roles' own sake.
OF_ROLES = {"check_variables", "print_report"}


def read(role: str, part: str) -> Any:
    path = ROLES / role / part
    return yaml.safe_load(path.read_text()) if path.exists() else None


def tasks(role: str) -> list[dict[str, Any]]:
    """All tasks, also those in blocks."""

    def flat(several: list[dict[str, Any]]) -> list[dict[str, Any]]:
        parts = [[task] if "block" not in task else flat([*task["block"], *task.get("always", [])]) for task in several]
        return [task for part in parts for task in part]

    return flat(read(role, "tasks/main.yml"))


def options(role: str) -> dict[str, Any]:
    found: dict[str, Any] = read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return found


def texts(value: Any, key: str = "") -> list[str]:
    """The template texts in a part of a role; bare conditions become templates."""
    if isinstance(value, dict):
        return [text for name, item in value.items() for text in texts(item, name)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item, key)]
    if not isinstance(value, str):
        return []
    return [f"{{{{ {value} }}}}" if key in ("when", "that", "until", "changed_when", "failed_when") else value]


def variables(value: Any) -> set[str]:
    environment = jinja2.Environment()
    names = [name for text in texts(value) for name in environment.parse(text).find_all(jinja2.nodes.Name)]
    return {name.name for name in names if name.ctx == "load"}


def own_variables(role: str) -> set[str]:
    facts = [task["ansible.builtin.set_fact"] for task in tasks(role) if "ansible.builtin.set_fact" in task]
    registered = {task["register"] for task in tasks(role) if "register" in task}
    return registered | set(read(role, "vars/main.yml") or {}) | set().union(*facts)


@pytest.mark.parametrize("role", NAMES)
def test_a_role_reads_no_variable_that_it_does_not_declare(role: str) -> None:
    used = variables([read(role, "tasks/main.yml"), read(role, "vars/main.yml")])
    assert used - MAGIC - OF_OTHERS.get(role, set()) - own_variables(role) <= set(options(role))


@pytest.mark.parametrize("role", NAMES)
def test_a_role_reads_every_variable_that_it_declares(role: str) -> None:
    assert set(options(role)) <= variables([read(role, "tasks/main.yml"), read(role, "vars/main.yml")])


@pytest.mark.parametrize("role", NAMES)
def test_a_roles_private_variables_carry_its_name(role: str) -> None:
    assert all(name.startswith(f"_{role}") for name in own_variables(role))


@pytest.mark.parametrize("role", NAMES)
def test_a_roles_options_are_documented_and_have_the_prefix(role: str) -> None:
    main = read(role, "meta/argument_specs.yml")["argument_specs"]["main"]
    assert main["short_description"] and main["description"] and main["version_added"] and main["author"]
    assert "attributes" not in main, "ansible-doc warns about them since 2.17, and shows them no more from 2.20 on"
    assert all(name.startswith("cdi_") and option["description"] for name, option in options(role).items())


def tasks_of_modules() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (role, key.rpartition(".")[2], arguments)
        for role in NAMES
        for task in tasks(role)
        for key, arguments in task.items()
        if key.startswith("kubevirt.cdi.") and key.rpartition(".")[2] not in OF_ROLES
    ]


def spec_of(module: str) -> dict[str, Any]:
    plugin = importlib.import_module(f"ansible_collections.kubevirt.cdi.plugins.modules.{module}")
    found: dict[str, Any] = plugin.SPEC.options
    return found


@pytest.mark.parametrize(("role", "module", "arguments"), tasks_of_modules())
def test_a_role_offers_every_option_of_its_module(role: str, module: str, arguments: dict[str, Any] | None) -> None:
    # As options of a task, omitted ones would hide the module_defaults of a play.
    assert not CONNECTION & set(arguments or {})
    arguments = arguments or {}
    arguments = {name: value for name, value in arguments.items() if name not in BY_THE_ROLE.get((role, module), set())}
    expected = set(spec_of(module)) - NOT_OFFERED.get((role, module), set()) - BY_THE_ROLE.get((role, module), set())
    if module in ITEMS:
        # One item of a list; the role's own options beside it.
        assert set(arguments or {}) == expected - {"wait"}
        offered = {name: option for name, option in spec_of(module).items() if name not in COMMON}
        assert_same(options(role)[ITEMS[module]]["options"], offered)
        return
    assert set(arguments or {}) == expected
    for name in expected:
        mine = options(role)[RENAMED.get((role, module), {}).get(name, f"cdi_{name}")]
        assert_same({name: mine}, {name: spec_of(module)[name]})


# Modules for one thing, which their roles run in a loop over this option.
ITEMS = {"clone_permission": "cdi_clone_permissions"}
COMMON = {"wait", "wait_timeout", "force_conflicts"}


def assert_same(mine: dict[str, Any], modules: dict[str, Any]) -> None:
    """Same names, types, choices and suboptions. A default of the module's that the role repeats is the same."""
    assert set(mine) == set(modules)
    for name, option in mine.items():
        if option["type"] == "raw" or name == "namespace":
            continue
        wanted = modules[name]
        assert option["type"] == wanted.get("type", "str"), name
        assert option.get("elements") == wanted.get("elements"), name
        assert option.get("choices") == wanted.get("choices"), name
        assert option.get("required", False) == wanted.get("required", False), name
        if "options" in wanted:
            assert_same(option["options"], wanted["options"])
        else:
            assert option.get("default") == wanted.get("default"), name


@pytest.mark.parametrize("role", NAMES)
def test_only_lists_that_a_module_checks_may_be_text(role: str) -> None:
    assert {name for name, option in options(role).items() if option["type"] == "raw"} <= MAY_BE_TEXT


def test_what_later_jobs_are_told_is_documented_and_sets_no_role_option() -> None:
    """AWX gives artifacts to later jobs as extra variables, which win over everything: one called cdi_version would."""
    told: dict[str, str] = {}
    for role in NAMES:
        for task in tasks(role):
            stats = task.get("ansible.builtin.set_stats")
            if stats:
                assert stats["per_host"] is False
                told.update(dict.fromkeys(stats["data"], role))
                # Several hosts publish by host alone: Ansible would join their texts and add their numbers.
                assert (
                    list(stats["data"]) == ["cdi_artifact_clusters"]
                    or task["when"] == "ansible_play_hosts_all | length == 1"
                )
    assert told
    assert all(name.startswith("cdi_artifact_") for name in told)
    assert not set(told) & {name for role in NAMES for name in options(role)}
    for name, role in told.items():
        documentation = read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["description"]
        assert f"C({name})" in " ".join(documentation)


def test_a_variable_means_the_same_in_every_role() -> None:
    seen: dict[str, dict[str, Any]] = {}
    for role in NAMES:
        for name, option in options(role).items():
            shape = {key: option.get(key) for key in ("type", "elements", "choices", "default")}
            assert seen.setdefault(name, shape) == shape, name


@pytest.mark.parametrize("role", NAMES)
def test_every_role_takes_the_same_connection_and_checks_the_variables_first(role: str) -> None:
    for name in CONNECTION:
        wanted = AUTH.options[name]["type"]
        assert options(role)[f"cdi_{name}"]["type"] == wanted
    assert options(role)["cdi_api_key"]["no_log"] is True
    assert set(read(role, "vars/main.yml")[f"_{role}_connection_given"]) == CONNECTION
    whole = read(role, "tasks/main.yml")
    defaults = {name: value for task in whole for name, value in task.get("module_defaults", {}).items()}
    used = {f"kubevirt.cdi.{module}" for of, module, _arguments in tasks_of_modules() if of == role}
    assert defaults == dict.fromkeys(used, f"{{{{ _{role}_connection }}}}")
    assert "kubevirt.cdi.check_variables" in tasks(role)[0]


def test_every_playbook_takes_its_hosts_from_one_variable() -> None:
    plays = {path.name: yaml.safe_load(path.read_text()) for path in (ROLES.parent / "playbooks").glob("*.yml")}
    assert len(plays) == 6
    assert {name: play[0]["hosts"] for name, play in plays.items()} == dict.fromkeys(
        plays, "{{ cdi_hosts | default('localhost') }}"
    )
