# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds values of another type than their option. Pure rules."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.validation import check_type_bool, check_type_int

from .._kubernetes.public import redact_urls
from .values import Options

_TYPES = ((dict, "a dictionary"), (list, "a list"), (str, "a text"), (bool, "true or false"), (object, "a number"))
_SCALARS: dict[str, tuple[t.Callable[[t.Any], t.Any], str]] = {
    "int": (check_type_int, "a whole number"),
    "bool": (check_type_bool, "true or false"),
}
_MAKE_TEXT = "quote it, write it as a block of text (|), or convert it with filter to_nice_yaml"


def wrong_types(options: Options, values: t.Any, path: str = "", *, strict: bool = False) -> list[tuple[str, str]]:
    """The options with a value of another type than in the argument spec `options`, with what it is and the remedy.

    Ansible writes a structure in the place of a text in the syntax of Python, and does not name an option that is no
    dictionary. With `strict`, a text with a dictionary, in JSON or as `key=value`, is not one.
    """
    found: list[tuple[str, str]] = []
    for option, value in values.items() if isinstance(values, dict) else ():
        spec = options.get(option)
        if spec is None or value is None:
            continue
        several = spec.get("type") == "list"
        listed = several and isinstance(value, list)
        if several and isinstance(value, dict):
            found.append((path + option, "a dictionary; give a list"))
            continue
        for number, item in enumerate(value if listed else [value]):
            where = f"{path}{option}[{number}]" if listed else path + option
            kind = spec.get("elements") if several else spec.get("type")
            if kind in _SCALARS:
                found += _not_converted(where, item, kind)
            elif kind == "dict" and isinstance(item, dict):
                found += wrong_types(spec.get("options") or {}, item, f"{where}.", strict=strict)
            elif problem := _wrong(item, kind, spec, strict=strict):
                what = next(text for known, text in _TYPES if isinstance(item, known))
                found.append((where, what + problem))
    return found


def _not_converted(where: str, value: t.Any, kind: str) -> list[tuple[str, str]]:
    """A number or a boolean can have any of the spellings that Ansible reads."""
    convert, meaning = _SCALARS[kind]
    try:
        convert(value)
    except (TypeError, ValueError, OverflowError):
        return [(f"{where}={redact_urls(repr(value))}", f"not {meaning}; correct it")]
    return []


def _wrong(item: t.Any, kind: str | None, spec: Options, *, strict: bool) -> str:
    if kind in ("str", "path"):
        is_wrong = isinstance(item, (dict, list, bool)) and "choices" not in spec
        return f", not a text; {_MAKE_TEXT}" if is_wrong else ""
    if kind != "dict" or item is None:
        return ""
    if isinstance(item, str) and not strict and (item.lstrip().startswith("{") or "=" in item):
        return ""
    return f"; give a dictionary{' with ' + ', '.join(spec['options']) if spec.get('options') else ''}"
