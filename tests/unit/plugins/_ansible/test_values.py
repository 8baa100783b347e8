# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each name, label, URL and quantity in the options of every module is validated, and refused with the rule."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible import types, values
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.argspec import ArgumentSpec
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import container_disk, vm_disks

_MODULES = {
    "cdi": "_cdi.options",
    "cdi_config": "_cdi.config",
    "cdi_info": "_module.cdi_info",
    "clone_permission": "_module.clone_permission",
    "data_volume": "_module.data_volume",
    "data_volume_info": "_module.data_volume_info",
    "storage_profile": "_module.storage_profile",
    "volume_migration": "_module.volume_migration",
    "volume_upload": "_module.volume_upload",
}


def _spec(module: str) -> ArgumentSpec:
    found = importlib.import_module(f"ansible_collections.kubevirt.cdi.plugins.module_utils.{_MODULES[module]}")
    spec: ArgumentSpec = found.SPEC
    return spec


def _texts(options: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every option that is a text, a list of texts or a dictionary without suboptions."""
    for name, spec in options.items():
        if spec.get("options") is not None:
            yield from _texts(spec["options"], f"{path}{name}.")
        elif "choices" not in spec and (
            spec["type"] in ("str", "path", "dict") or spec.get("elements") in ("str", "dict")
        ):
            yield path + name, spec


ALL = [(module, path, spec) for module in _MODULES for path, spec in _texts(_spec(module).options)]
_ONCE = [entry for entry in ALL if not entry[1].startswith(("data_volumes.", "uploads."))]


@pytest.mark.parametrize(("module", "path"), [entry[:2] for entry in ALL])
def test_each_option_has_a_kind(module: str, path: str) -> None:
    assert values.kind_of(path) is not None, f"{module}: {path}"


def _given(options: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The values of a whole argument spec with a single option set."""
    name, _dot, rest = path.partition(".")
    spec = options[name]
    if not rest:
        return {name: [value] if spec.get("type") == "list" else value}
    below = _given(spec["options"], rest, value)
    return {name: [below] if spec["type"] == "list" else below}


# Also of the modules whose kinds are checked by rules of their own.
TEXTS = [
    (module, path, spec)
    for module, options in {
        **{module: _spec(module).options for module in _MODULES},
        "vm_disks": vm_disks.SPEC.options,
        "container_disk": container_disk.SPEC.options,
    }.items()
    for path, spec in _texts(options)
    if "str" in (spec["type"], spec.get("elements")) or spec["type"] == "path"
]
NOT_TEXTS = [({"password": "hidden"}, "a dictionary"), (["hidden"], "a list"), (True, "true or false")]


@pytest.mark.parametrize(("module", "path"), [entry[:2] for entry in TEXTS])
def test_text_with_a_structure_or_a_boolean_is_refused(module: str, path: str) -> None:
    options = {"vm_disks": vm_disks.SPEC, "container_disk": container_disk.SPEC}.get(module) or _spec(module)
    for value, what in NOT_TEXTS:
        ((found, problem),) = types.wrong_types(options.options, _given(options.options, path, value))
        assert re.sub(r"\[\d+\]", "", found) == path
        assert problem.startswith(f"{what}, not a text; quote it") and "hidden" not in problem
    assert types.wrong_types(options.options, _given(options.options, path, "text")) == []


def _leaf(given: Any) -> Any:
    while isinstance(given, (dict, list)):
        given = next(iter(given.values())) if isinstance(given, dict) else given[0]
    return given


def _of(*kinds: str) -> list[tuple[str, str]]:
    known = {module: {**values.KINDS, **_spec(module).kinds} for module in _MODULES}
    return [
        (module, path)
        for module, path, spec in _ONCE
        if values.kind_of(path, known[module]) in kinds and spec["type"] != "dict"
    ]


@pytest.mark.parametrize(
    ("module", "path"), _of(values.NAME, values.NAMESPACE, values.URL, values.SIZE, values.PLAIN, values.SEGMENT)
)
def test_white_space_around_a_value_is_stripped(module: str, path: str) -> None:
    good = {values.URL: "https://images/disk", values.SIZE: "32Mi"}.get(values.kind_of(path) or "", "thin")
    spec = _spec(module)
    tidied, _odd = values.tidy(spec.options, _given(spec.options, path, f" {good}\n"), spec.kinds)
    assert _leaf(tidied) == good
    with pytest.raises(CdiError, match="only white space"):
        values.tidy(spec.options, _given(spec.options, path, " "), spec.kinds)


BAD_NAMES = [
    ("-x", "starts with '-'"),
    ("x-", "ends with '-'"),
    ("a..b", "nothing between two dots"),
    (".a", "starts with '.'"),
    ("Ab", "contains 'A'"),
    ("a_b", "contains '_'"),
    ("a b", "contains white space"),
    ("a" * 254, "has 254 characters"),
    ("a.-b", "'-' next to a dot"),
    ("ä", "contains 'ä'"),
]


@pytest.mark.parametrize(("module", "path"), _of(values.NAME))
def test_an_invalid_name_is_refused_with_the_rule(module: str, path: str) -> None:
    spec = _spec(module)
    for name, rule in BAD_NAMES:
        with pytest.raises(CdiError) as refused:
            values.tidy(spec.options, _given(spec.options, path, name), spec.kinds)
        assert rule in str(refused.value) and path.rpartition(".")[2] in str(refused.value), refused.value
    for name in ("a", "0", "a.b-c.d", "a" * 253):
        values.tidy(spec.options, _given(spec.options, path, name), spec.kinds)


@pytest.mark.parametrize(("module", "path"), _of(values.NAMESPACE))
def test_a_namespace_is_a_dns_label(module: str, path: str) -> None:
    spec = _spec(module)
    for name, rule in (
        ("a.b", "contains '.'"),
        ("a" * 64, "at most 63"),
        ("-a", "starts with '-'"),
        ("Demo", "contains 'D'"),
    ):
        with pytest.raises(CdiError, match=rule):
            values.tidy(spec.options, _given(spec.options, path, name), spec.kinds)


def test_an_empty_name_is_refused() -> None:
    spec = _spec("data_volume")
    with pytest.raises(CdiError, match=r"^name is empty; give a name\.$"):
        values.tidy(spec.options, {"name": ""})
    with pytest.raises(CdiError, match=r"^data_volumes\[1\]\.name is empty"):
        values.tidy(spec.options, {"data_volumes": [{"name": "a"}, {"name": ""}]})


def test_an_empty_value_counts_as_not_set_where_empty_has_no_meaning() -> None:
    spec = _spec("data_volume")
    given = {
        "namespace": "",
        "priority_class_name": "",
        "storage": {"size": "", "volume_name": "", "storage_class_name": ""},
    }
    tidied, _odd = values.tidy(spec.options, given)
    assert tidied == {
        "namespace": None,
        "priority_class_name": None,
        "storage": {"size": None, "volume_name": None, "storage_class_name": ""},
    }


@pytest.mark.parametrize(("module", "path"), _of(values.URL))
def test_an_invalid_url_is_refused_without_its_secrets(module: str, path: str) -> None:
    spec = _spec(module)
    for url, rule in (
        ("http://u:hunter2@h:99999/x", "port"),
        ("http://h:0/x?sig=hunter2", "port 0"),
        ("http://h/a b", "white space"),
        ("http://h/a\nb", "white space"),
        ("http://", "no host"),
        ("http://h:port/", "port"),
    ):
        with pytest.raises(CdiError) as refused:
            values.tidy(spec.options, _given(spec.options, path, url), spec.kinds)
        assert rule in str(refused.value) and "hunter2" not in str(refused.value), refused.value


@pytest.mark.parametrize(("module", "path"), _of(values.SIZE))
@pytest.mark.parametrize("size", ["9223372036854775808", "1e30", "8Ei", "10E", "100000000Ti"])
def test_a_size_above_the_limit_of_kubernetes_is_refused(module: str, path: str, size: str) -> None:
    spec = _spec(module)
    with pytest.raises(CdiError, match="is not below 8Ei"):
        values.tidy(spec.options, _given(spec.options, path, f"{size} "), spec.kinds)


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        ({"a": "x" * 64}, r"labels\.a is .* has 64 characters; a label's value has at most 63"),
        ({"a": "b c"}, r"labels\.a is 'b c', which contains white space"),
        ({"a": "-b"}, "starts or ends with"),
        ({"k" * 64: "b"}, "a key has at most 63"),
        ({"Team_/x": "b"}, "has the prefix 'Team_', which contains 'T', '_'"),
        ({"a b": "c"}, "has the key 'a b', which contains white space"),
        ({"example.com/": "c"}, "has no name"),
        ({"": "c"}, "has no name"),
    ],
)
@pytest.mark.parametrize("module", ["data_volume", "volume_upload"])
def test_an_invalid_label_is_refused_with_its_key_and_the_rule(module: str, labels: dict[str, str], rule: str) -> None:
    with pytest.raises(CdiError, match=rule):
        values.tidy(_spec(module).options, {"labels": labels})


def test_annotations_accept_any_value_but_no_invalid_key() -> None:
    options = _spec("data_volume").options
    values.tidy(options, {"annotations": {"example.com/a": "any text, {even} this " * 10}})
    with pytest.raises(CdiError, match="annotations has the key"):
        values.tidy(options, {"annotations": {"a/b/c": "x"}})


@pytest.mark.parametrize("option", ["labels", "annotations"])
def test_values_that_yaml_has_converted_cause_a_warning(option: str) -> None:
    tidied, odd = values.tidy(
        _spec("data_volume").options, {option: {"version": 1.1, "oct": 8, "no": False, "right": "1.10"}}
    )
    assert tidied[option]["version"] == 1.1 and len(odd) == 1
    assert odd[0].startswith(
        f"{option}: version is the number 1.1, oct is the number 8, no is the boolean false; quote the value"
    )


def test_quantities_of_pods_above_the_limit_of_kubernetes_are_refused() -> None:
    with pytest.raises(CdiError, match=r"pod_resource_requirements\.limits\.memory is '1e30', which is not below"):
        values.tidy(_spec("cdi_config").options, {"pod_resource_requirements": {"limits": {"memory": "1e30"}}})


@pytest.mark.parametrize("name", ["cdi.kubevirt.io:clone-sourcer", "Team_A"])
def test_rbac_names_may_contain_colons_and_capitals(name: str) -> None:
    spec = _spec("clone_permission")
    assert values.tidy(spec.options, {"name": name}, spec.kinds)[0]["name"] == name
    with pytest.raises(CdiError, match="contains '/'"):
        values.tidy(spec.options, {"name": "a/b"}, spec.kinds)
