# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unknown names, each with the most similar known one. Pure rules."""

from __future__ import annotations

import difflib
import typing as t

Options = t.Mapping[str, t.Any]

_LIKE = 0.6


def suggestion(name: str, known: t.Iterable[str]) -> str:
    """`; did you mean 'source'?`, empty if no known name is similar."""
    nearest = difflib.get_close_matches(name, list(known), 1, _LIKE)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def unknown_options(value: t.Any, options: Options, where: str) -> list[str]:
    """A sentence for each key, at any depth, that is not in the argument spec. Other types are left to the spec."""
    if not isinstance(value, dict):
        return []
    aliases = {alias: option for option in options.values() for alias in option.get("aliases") or []}
    found = []
    for key, item in value.items():
        option = options.get(key, aliases.get(key))
        if option is None:
            found.append(f"{where}: unknown option {str(key)!r}{suggestion(str(key), options) or '.'}")
        elif option.get("options"):
            several = item if isinstance(item, list) else [item]
            marks = [f"[{number}]" for number in range(len(several))] if isinstance(item, list) else [""]
            for mark, each in zip(marks, several, strict=True):
                found += unknown_options(each, option["options"], f"{where}.{key}{mark}")
    return found
