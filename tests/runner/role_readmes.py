# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the tables of variables in the READMEs of roles: `python -m tests.runner.role_readmes`.

The source is `meta/argument_specs.yml` of each role.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.runner.tree import ROOT

ROLES = ROOT / "roles"
_BEGIN = "<!-- variables: python -m tests.runner.role_readmes -->\n"
_END = "<!-- end of variables -->\n"
# Ansible's markup: O(kubevirt.cdi.data_volume#module:data_volumes) is an option, V(copy) a value.
_MARKUP = re.compile(r"\b(RV|[BCEIMOPV])\(((?:[^()\\]|\\.|\([^()]*\))*)\)")


def write(roles: Path = ROLES) -> list[Path]:
    """Update the READMEs and return the changed ones."""
    changed = []
    for path in sorted(roles.glob("*/README.md")):
        wanted = with_table(path)
        if path.read_text() != wanted:
            path.write_text(wanted)
            changed.append(path)
    return changed


def with_table(readme: Path) -> str:
    """The text of a README with the current table. Raises ValueError for a README without a place for it."""
    before, begin, rest = readme.read_text().partition(_BEGIN)
    end, after = rest.partition(_END)[1:]
    if not begin or not end:
        raise ValueError(f"{readme} has no table of variables: add {_BEGIN.strip()} and {_END.strip()}.")
    specs = yaml.safe_load((readme.parent / "meta" / "argument_specs.yml").read_text())
    rows = "".join(_rows(specs["argument_specs"]["main"]["options"], ""))
    return f"{before}{begin}\n| Variable | Type | Default | Description |\n|---|---|---|---|\n{rows}\n{end}{after}"


def _rows(options: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, option in options.items():
        kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
        if option.get("required"):
            default = "required"
        else:
            default = f"`{json.dumps(option['default'])}`" if "default" in option else ""
        yield f"| `{prefix}{name}` | {kind} | {default} | {_description(option)} |\n"
        yield from _rows(option.get("options", {}), f"{prefix}{name}{'[]' if option['type'] == 'list' else ''}.")


def _description(option: dict[str, Any]) -> str:
    given = option["description"]
    text = given if isinstance(given, str) else " ".join(given)
    if "choices" in option:
        text += f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}."
    return _MARKUP.sub(_plain, text).replace("|", "\\|").replace("\n", " ")


def _plain(match: re.Match[str]) -> str:
    kind, text = match[1], match[2].replace("\\", "")
    if kind in "BI":
        return f"**{text}**" if kind == "B" else f"*{text}*"
    name, rest = (*text.split("#", 1), "")[:2] if kind in ("M", "O", "P", "RV") else (text, "")
    where, option = (*rest.split(":", 1), "")[:2]
    return f"`{option}` of `{name}`" if where and option else f"`{name}`"


if __name__ == "__main__":
    for written in write():
        print(f"wrote {written.relative_to(ROOT)}")
