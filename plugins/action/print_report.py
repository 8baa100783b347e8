# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the report on the controller: Ansible shows a result as quoted JSON or YAML, in one color."""

from __future__ import annotations

import json
import typing as t

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report_view import blocks


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True
    _VALID_ARGS = frozenset({"report", "remarks"})

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec(
            {
                "report": {"type": "dict", "required": True},
                "remarks": {"type": "list", "elements": "str", "default": []},
            }
        )
        try:
            printed = blocks(json.loads(json.dumps(arguments["report"], default=str)))
        except (KeyError, TypeError, ValueError):
            return {**result, "failed": True, "msg": "report is not what filter kubevirt.cdi.report returns."}
        display = Display()
        for block in printed:
            display.display("\n".join(block.lines), color=constants.COLOR_ERROR if block.failed else None)
        if arguments["remarks"]:
            display.display("\n".join(arguments["remarks"]))
        return {**result, "changed": False}
