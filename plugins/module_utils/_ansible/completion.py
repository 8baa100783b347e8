# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a module for a call that does not come from Ansible."""

from __future__ import annotations

import typing as t


def completed(values: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Option values as a module receives them: with defaults, and None for options that are not given."""
    whole: dict[str, t.Any] = {}
    for name, spec in options.items():
        value, below = values.get(name, spec.get("default")), spec.get("options")
        if value is not None and below is not None:
            value = [completed(each, below) for each in value] if spec["type"] == "list" else completed(value, below)
        whole[name] = value
    return whole
