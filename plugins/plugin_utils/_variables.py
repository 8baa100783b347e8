# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Validates the variables of the roles: their names, and their values by the types that the roles declare."""

from __future__ import annotations

import difflib
import functools
import json
import pathlib
import typing as t

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..module_utils._ansible.argspec import AUTH
from ..module_utils._ansible.spelling import unknown_options
from ..module_utils._kubernetes.errors import CdiError
from ..module_utils._kubernetes.public import redact_urls
from ..module_utils._module import data_volume, vm_disks, volume_upload

Spec = dict[str, t.Any]

_ROLES = pathlib.Path(__file__).parents[2] / "roles"
_PREFIX, _LOOKUP_PREFIX, _ARTIFACT_PREFIX = "cdi_", "kubevirt_cdi_", "cdi_artifact_"
# Variables of the playbooks, which are no role's.
_PLAYBOOK_VARIABLES: Spec = {"cdi_hosts": {"type": "raw"}}
_VERY_SIMILAR, _SIMILAR = 0.85, 0.7
# Lists that may be YAML text: the modules that take their items, and the options of these.
_ITEMS = {
    "cdi_data_volumes": ("data_volumes", data_volume),
    "cdi_thin_volumes": ("data_volumes", data_volume),
    "cdi_uploads": ("uploads", volume_upload),
    "cdi_virtual_machine_disks": ("machines", vm_disks),
}


def is_ours(name: str) -> bool:
    return name.startswith((_PREFIX, _LOOKUP_PREFIX)) and not name.startswith(_ARTIFACT_PREFIX)


@functools.lru_cache(maxsize=1)
def known_variables() -> Spec:
    """The options of all roles, which mean the same in each role, and the other variables with our prefixes."""
    options: Spec = dict(_PLAYBOOK_VARIABLES)
    # Of names that are equally similar to an unknown one, the first is suggested: of role volumes, which is used most.
    for path in sorted(_ROLES.glob("*/meta/argument_specs.yml"), reverse=True):
        options.update(yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"])
    options.update({f"{_LOOKUP_PREFIX}{name}": {"type": "raw"} for name in AUTH.options})
    return options


def problems(variables: dict[str, t.Any], evaluate: t.Callable[[t.Any], t.Any]) -> list[str]:
    """One sentence for each invalid variable. `evaluate` returns the value of a template or raises ValueError."""
    known, found = known_variables(), []
    default_namespace = "default"
    values: dict[str, t.Any] = {}
    for name in sorted(variables):
        try:
            if name in known:
                values[name] = evaluate(variables[name])
            elif not _is_result(variables[name]):
                found.append(f"unknown variable {name!r}{_suggestion(name, known)} No role of kubevirt.cdi reads it.")
        except ValueError as exc:
            found.append(f"{name} cannot be evaluated: {exc}")
    for name, value in values.items():
        if name in _ITEMS:
            found += _wrong_items(name, value, values.get("cdi_namespace") or default_namespace)
        else:
            found += _wrong_value(name, value, known[name])
    return found


def _suggestion(name: str, known: t.Iterable[str]) -> str:
    """The most similar known name after the prefix, else the shortest one that ends with it or contains it."""
    prefix = _LOOKUP_PREFIX if name.startswith(_LOOKUP_PREFIX) else _PREFIX
    rests = {other.removeprefix(prefix): other for other in known if other.startswith(prefix)}
    rest = name.removeprefix(prefix)
    containing = sorted(
        (other for other in rests if rest in other), key=lambda other: (not other.endswith(f"_{rest}"), len(other))
    )
    nearest = (
        difflib.get_close_matches(rest, rests, 1, _VERY_SIMILAR)
        or containing
        or difflib.get_close_matches(rest, rests, 1, _SIMILAR)
    )
    return f"; did you mean {rests[nearest[0]]!r}?" if nearest else "."


def _is_result(value: t.Any) -> bool:
    """Whether the value is a registered result of a task, which may have any name."""
    return isinstance(value, dict) and ("changed" in value or "failed" in value)


def _wrong_value(name: str, value: t.Any, option: Spec) -> list[str]:
    nested = unknown_options({name: value}, {name: option}, "")
    if nested:
        return [sentence.removeprefix(".") for sentence in nested]
    checked = ArgumentSpecValidator({name: option}).validate({name: _plain(value)})
    if (
        checked.error_messages
        and isinstance(value, str)
        and "convert" in checked.error_messages[0]
        and not option.get("no_log")
    ):
        return [f"{name} is {redact_urls(value)!r}, which is not of type {option['type']}; correct it."]
    return [f"{name}: {_one_line(message)}" for message in checked.error_messages[:1]]


def _wrong_items(name: str, value: t.Any, namespace: str) -> list[str]:
    """Validates a list of items, perhaps as YAML text, as the module does, but before the first task writes."""
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError as exc:
            mark = getattr(exc, "problem_mark", None)
            return [
                f"{name} is not valid YAML{f' (line {mark.line + 1})' if mark else ''}; write a list of dictionaries."
            ]
    if not value:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return [f"{name} is not a list of dictionaries; begin each item with '- name: NAME'."]
    option, module = _ITEMS[name]
    value = _plain(value)
    unknown = [
        sentence
        for number, item in enumerate(value)
        for sentence in unknown_options(item, module.SPEC.options[option]["options"], f"{name}[{number}]")
    ]
    if unknown:
        return unknown
    checked = ArgumentSpecValidator(module.SPEC.options, **module.SPEC.constraints).validate(
        {option: value, "namespace": namespace}
    )
    if checked.error_messages:
        return [f"{name}: {_one_line(message)}" for message in checked.error_messages]
    try:
        module.check(checked.validated_parameters)
    except CdiError as exc:
        return [f"{name}: {exc}"]
    return []


def _plain(value: t.Any) -> t.Any:
    """Converts Ansible's own types to plain data."""
    return json.loads(json.dumps(value, default=str))


def _one_line(message: str) -> str:
    return redact_urls(" ".join(str(message).split()))
