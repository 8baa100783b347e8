# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Misspelled variables and invalid values of all roles are found before the first task."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.spelling import suggestion, unknown_options
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._variables import is_ours, known_variables, problems

BLANK = {"name": "a", "source": {"blank": {}}, "storage": {"size": "1Gi"}}


def found(**variables: Any) -> list[str]:
    return problems(variables, lambda value: value)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("cdi_data_volume", "cdi_data_volumes"),
        ("cdi_datavolumes", "cdi_data_volumes"),
        ("cdi_volumes", "cdi_data_volumes"),
        ("cdi_upload", "cdi_uploads"),
        ("cdi_wait", "cdi_volumes_wait"),
        ("cdi_Namespace", "cdi_namespace"),
        ("cdi_name_space", "cdi_namespace"),
        ("cdi_preallocate", "cdi_preallocation"),
        ("cdi_scratch_storage_class", "cdi_scratch_space_storage_class"),
        ("cdi_storage_profile", "cdi_storage_profiles"),
        ("cdi_host_", "cdi_host"),
        ("cdi_kubeconfigs", "cdi_kubeconfig"),
        ("kubevirt_cdi_kube_config", "kubevirt_cdi_kubeconfig"),
    ],
)
def test_a_misspelled_variable_is_named_with_the_nearest_known_one(name: str, nearest: str) -> None:
    assert found(**{name: "x"}) == [
        f"unknown variable '{name}'; did you mean '{nearest}'? No role of kubevirt.cdi reads it."
    ]


def test_an_unknown_variable_without_a_similar_one_is_refused_without_a_guess() -> None:
    assert found(cdi_qqqq=1) == ["unknown variable 'cdi_qqqq'. No role of kubevirt.cdi reads it."]


def test_variables_of_other_collections_pass() -> None:
    assert (
        found(cdi_found={"changed": False, "data_volumes": []}, cdi_run={"failed": True, "msg": "m"}, cdi_hosts="all")
        == []
    )
    assert [is_ours(name) for name in ("cdi_artifact_version", "namespace", "_cdi_x", "cdi_x", "kubevirt_cdi_x")] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_the_variables_of_all_roles_and_of_the_lookup_are_known() -> None:
    names = {
        "cdi_version",
        "cdi_preallocation",
        "cdi_storage_profiles",
        "cdi_data_volumes",
        "cdi_report_html",
        "cdi_hosts",
        "kubevirt_cdi_proxy",
    }
    assert names <= set(known_variables())


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"cdi_volumes_wait_timeout": "abc"},
            "cdi_volumes_wait_timeout is 'abc', which is not of type int; correct it.",
        ),
        ({"cdi_volumes_wait_timeout": ""}, "cdi_volumes_wait_timeout is '', which is not of type int; correct it."),
        ({"cdi_preallocation": "maybe"}, "cdi_preallocation is 'maybe', which is not of type bool; correct it."),
        (
            {"cdi_clone_permissions": [{"namespace": "a", "user": ["me"]}]},
            "cdi_clone_permissions[0]: unknown option 'user'; did you mean 'users'?",
        ),
        (
            {"cdi_import_proxy": {"htp_proxy": "x"}},
            "cdi_import_proxy: unknown option 'htp_proxy'; did you mean 'http_proxy'?",
        ),
        (
            {"cdi_data_volumes": "golden"},
            "cdi_data_volumes is not a list of dictionaries; begin each item with '- name: NAME'.",
        ),
        (
            {"cdi_data_volumes": ["golden"]},
            "cdi_data_volumes is not a list of dictionaries; begin each item with '- name: NAME'.",
        ),
        (
            {"cdi_data_volumes": BLANK},
            "cdi_data_volumes is not a list of dictionaries; begin each item with '- name: NAME'.",
        ),
        (
            {"cdi_uploads": "- name: a\n  path: {"},
            "cdi_uploads is not valid YAML (line 2); write a list of dictionaries.",
        ),
        (
            {"cdi_data_volumes": [{**BLANK, "sorce": {}}]},
            "cdi_data_volumes[0]: unknown option 'sorce'; did you mean 'source'?",
        ),
        (
            {"cdi_data_volumes": [BLANK, {"name": "b", "storage": {"sise": 1}}]},
            "cdi_data_volumes[1].storage: unknown option 'sise'; did you mean 'size'?",
        ),
        ({"cdi_uploads": [{"name": "a", "file": "/a"}]}, "cdi_uploads[0]: unknown option 'file'."),
        (
            {"cdi_data_volumes": [{"name": "a", "source": {"blank": {}}}]},
            "cdi_data_volumes: DataVolume a has neither storage nor pvc; give storage with a size.",
        ),
    ],
)
def test_an_invalid_value_is_reported_in_a_sentence(variables: dict[str, Any], expected: str) -> None:
    assert found(**variables) == [expected]


def test_a_missing_required_option_of_an_item_is_reported() -> None:
    (expected,) = found(cdi_uploads=[{"path": "/a"}])
    assert expected.startswith("cdi_uploads: missing required arguments: name")


@pytest.mark.parametrize(
    "variables",
    [
        {"cdi_data_volumes": "", "cdi_uploads": None, "cdi_namespace": ""},
        {
            "cdi_data_volumes": "- name: a\n  source: {blank: {}}\n  storage: {size: 1Gi}",
            "cdi_volumes_wait_timeout": "600",
            "cdi_preallocation": "yes",
        },
        {
            "cdi_uploads": [{"name": "a", "src": "/a.img"}],
            "cdi_kubeconfig": {"clusters": []},
            "cdi_report_namespaces": "a,b",
        },
    ],
)
def test_values_of_surveys_and_inventories_pass(variables: dict[str, Any]) -> None:
    assert found(**variables) == []


def test_a_variable_that_cannot_be_evaluated_is_named() -> None:
    def evaluate(_value: Any) -> Any:
        raise ValueError("'nobody' is undefined")

    assert problems({"cdi_namespace": "{{ nobody }}"}, evaluate) == [
        "cdi_namespace cannot be evaluated: 'nobody' is undefined"
    ]


def test_secrets_in_invalid_values_are_not_shown() -> None:
    (expected,) = found(cdi_import_proxy="http://me:s3cret@proxy:3128")
    assert "s3cret" not in expected


def test_unknown_options_are_found_at_any_depth_and_aliases_are_accepted() -> None:
    options = {
        "path": {"aliases": ["src"]},
        "storage": {"type": "dict", "options": {"size": {}}},
        "list": {"options": {"a": {}}},
    }
    assert unknown_options({"src": 1, "storage": {"size": 1}, "list": [{"a": 1}]}, options, "it") == []
    assert unknown_options({"list": [{"a": 1}, {"zzz": 1}]}, options, "it") == ["it.list[1]: unknown option 'zzz'."]
    assert unknown_options("text", options, "it") == []
    assert suggestion("siz", ["size", "name"]) == "; did you mean 'size'?"
