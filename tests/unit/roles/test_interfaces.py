# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces of roles: variables are declared if and only if they are read, and cover the options of modules."""

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

# Variables and functions of Ansible.
MAGIC = {"omit", "item", "ansible_check_mode", "ansible_version", "now", "query", "lookup", "dict"}
MAGIC |= {"ansible_play_hosts_all", "hostvars", "inventory_hostname"}
# Variables of other roles: the report shows their results and declarations.
VARIABLES_OF_OTHER_ROLES = {
    "report": {
        *("_install_result", "_config_result", "_storage_profiles_result"),
        *("_volumes_result", "_volumes_uploads_result", "_volumes_permissions_result"),
        "_volumes_machines_result",
        *("_volumes_plans", "_volumes_uploads_declared", "_volumes_uploads_plans", "_volumes_namespaces"),
        *("_thicken_thin_result", "_thicken_result", "_thicken_check", "_thicken_plans", "_thicken_namespaces"),
    }
}

# Options of roles that are not named cdi_ and the module's option.
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
    ("volumes", "vm_disks"): {
        "machines": "cdi_virtual_machine_disks",
        "wait": "cdi_volumes_wait",
        "wait_timeout": "cdi_volumes_wait_timeout",
    },
    ("thicken", "data_volume"): {
        "data_volumes": "cdi_thin_volumes",
        "wait": "cdi_thicken_wait",
        "wait_timeout": "cdi_thin_wait_timeout",
    },
    ("thicken", "volume_migration"): {
        "names": "cdi_thicken_volumes",
        **{
            name: f"cdi_thicken_{name}"
            for name in (
                "machines",
                "label_selectors",
                "parallel",
                "sample_growth",
                "when_done",
                "wait",
                "wait_timeout",
            )
        },
    },
    ("report", "data_volume_info"): {
        "namespace": "cdi_report_namespaces",
        "label_selectors": "cdi_report_label_selectors",
        "verify_allocation": "cdi_report_verify_allocation",
        "find_users": "cdi_report_find_users",
    },
}
# Options that a role sets itself.
SET_BY_THE_ROLE = {
    ("volumes", "data_volume"): {"planned_sources"},
    ("thicken", "data_volume_info"): {"names", "verify_allocation"},
    ("thicken", "volume_migration"): {"to"},
}
# Options of a module that its role does not have, by reason.
ROLES_ALWAYS_WAIT = {"wait"}
OPTIONS_OF_ITEMS = set(importlib.import_module(f"{UTILS}._data_volume.options").VOLUME_OPTIONS) - {"namespace"}
# The action plugin sets the progress file.
SET_BY_THE_ACTION = {"progress_file"}
NOT_OFFERED = {
    ("install", "cdi"): ROLES_ALWAYS_WAIT | SET_BY_THE_ACTION,
    ("config", "cdi_config"): ROLES_ALWAYS_WAIT,
    ("storage_profiles", "storage_profile"): ROLES_ALWAYS_WAIT
    | {"name"}
    | set(importlib.import_module(f"{UTILS}._module.storage_profile").OPTIONS),
    ("volumes", "data_volume"): {"name"} | OPTIONS_OF_ITEMS | SET_BY_THE_ACTION,
    ("volumes", "volume_upload"): {"path", "name", "checksum", "overwrite", "format", "on_failure"}
    | {"encoding", "verify_content", "paths"}
    | OPTIONS_OF_ITEMS
    | SET_BY_THE_ACTION,
    ("volumes", "vm_disks"): {"name", "disks", "purge"} | SET_BY_THE_ACTION,
    ("thicken", "data_volume"): {"name", "planned_sources", "verify_allocation"} | OPTIONS_OF_ITEMS | SET_BY_THE_ACTION,
    ("thicken", "data_volume_info"): {"name", "label_selectors", "find_users", "on_missing"},
    ("thicken", "volume_migration"): {"method", "state"} | SET_BY_THE_ACTION,
    ("report", "data_volume_info"): {"name", "names", "on_missing"},
    ("report", "cdi_info"): {"storage_profiles"},
}
# Options that may be YAML text, because the module checks their items. A kubeconfig is a path or a dictionary.
MAY_BE_YAML_TEXT = {
    *("cdi_data_volumes", "cdi_uploads", "cdi_virtual_machine_disks", "cdi_thin_volumes"),
    "cdi_kubeconfig",
}
# Each role passes these to its modules; the lookup reads the variables itself.
CONNECTION = {"kubeconfig", "context", "host", "api_key", "ca_cert"}
# Action plugins that only roles use.
ACTIONS = {"check_variables", "print_report"}


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
    """The templates in a part of a role. Bare conditions become templates."""
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
def test_role_reads_only_declared_variables(role: str) -> None:
    used = variables([read(role, "tasks/main.yml"), read(role, "vars/main.yml")])
    assert used - MAGIC - VARIABLES_OF_OTHER_ROLES.get(role, set()) - own_variables(role) <= set(options(role))


@pytest.mark.parametrize("role", NAMES)
def test_role_reads_each_declared_variable(role: str) -> None:
    assert set(options(role)) <= variables([read(role, "tasks/main.yml"), read(role, "vars/main.yml")])


@pytest.mark.parametrize("role", NAMES)
def test_private_variables_have_the_name_of_the_role(role: str) -> None:
    assert all(name.startswith(f"_{role}") for name in own_variables(role))


@pytest.mark.parametrize("role", NAMES)
def test_options_are_documented_and_have_the_prefix(role: str) -> None:
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
        if key.startswith("kubevirt.cdi.") and key.rpartition(".")[2] not in ACTIONS
    ]


def spec_of(module: str) -> dict[str, Any]:
    plugin = importlib.import_module(f"ansible_collections.kubevirt.cdi.plugins.modules.{module}")
    found: dict[str, Any] = plugin.SPEC.options
    return found


@pytest.mark.parametrize(("role", "module", "arguments"), tasks_of_modules())
def test_role_has_each_option_of_its_modules(role: str, module: str, arguments: dict[str, Any] | None) -> None:
    # An omitted option of a task would hide the module_defaults of a play.
    assert not CONNECTION & set(arguments or {})
    arguments = arguments or {}
    arguments = {
        name: value for name, value in arguments.items() if name not in SET_BY_THE_ROLE.get((role, module), set())
    }
    expected = (
        set(spec_of(module)) - NOT_OFFERED.get((role, module), set()) - SET_BY_THE_ROLE.get((role, module), set())
    )
    if module in ITEMS:
        # The module's options are those of an item of a list.
        assert set(arguments or {}) == expected - {"wait"}
        offered = {name: option for name, option in spec_of(module).items() if name not in COMMON}
        assert_same(options(role)[ITEMS[module]]["options"], offered)
        return
    assert set(arguments or {}) == expected
    for name in expected:
        mine = options(role)[RENAMED.get((role, module), {}).get(name, f"cdi_{name}")]
        assert_same({name: mine}, {name: spec_of(module)[name]})


# Modules that a role runs in a loop over this option.
ITEMS = {"clone_permission": "cdi_clone_permissions"}
COMMON = {"wait", "wait_timeout", "force_conflicts"}


def assert_same(mine: dict[str, Any], modules: dict[str, Any]) -> None:
    """Compare names, types, choices, suboptions and defaults."""
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
def test_only_options_that_a_module_checks_may_be_text(role: str) -> None:
    assert {name for name, option in options(role).items() if option["type"] == "raw"} <= MAY_BE_YAML_TEXT


def test_artifacts_are_documented_and_are_no_role_options() -> None:
    """AWX passes artifacts to later jobs as extra variables, which would override a role option of the same name."""
    published: dict[str, str] = {}
    for role in NAMES:
        for task in tasks(role):
            stats = task.get("ansible.builtin.set_stats")
            if stats:
                assert stats["per_host"] is False
                published.update(dict.fromkeys(stats["data"], role))
                # With several hosts, values are grouped by host: Ansible would concatenate strings and add numbers.
                assert (
                    list(stats["data"]) == ["cdi_artifact_clusters"]
                    or task["when"] == "ansible_play_hosts_all | length == 1"
                )
    assert published
    assert all(name.startswith("cdi_artifact_") for name in published)
    assert not set(published) & {name for role in NAMES for name in options(role)}
    for name, role in published.items():
        documentation = read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["description"]
        assert f"C({name})" in " ".join(documentation)


def test_variable_has_the_same_meaning_in_each_role() -> None:
    seen: dict[str, dict[str, Any]] = {}
    for role in NAMES:
        for name, option in options(role).items():
            shape = {key: option.get(key) for key in ("type", "elements", "choices", "default")}
            assert seen.setdefault(name, shape) == shape, name


@pytest.mark.parametrize("role", NAMES)
def test_roles_have_the_same_connection_options_and_check_variables_first(role: str) -> None:
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


def test_playbooks_take_their_hosts_from_one_variable() -> None:
    plays = {path.name: yaml.safe_load(path.read_text()) for path in (ROLES.parent / "playbooks").glob("*.yml")}
    assert len(plays) == 7
    assert {name: play[0]["hosts"] for name, play in plays.items()} == dict.fromkeys(
        plays, "{{ cdi_hosts | default('localhost') }}"
    )
