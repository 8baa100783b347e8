# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the variables of all roles on the controller, where alone all variables of a host are known."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._variables import is_ours, problems


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True
    _VALID_ARGS: frozenset[str] = frozenset()

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        found = problems({name: value for name, value in (task_vars or {}).items() if is_ours(name)}, self._value)
        if found:
            return {**result, "failed": True, "msg": "\n".join(found), "problems": found}
        return {**result, "changed": False, "problems": []}

    def _value(self, value: t.Any) -> t.Any:
        """The value of a template. Raises ValueError when it cannot be evaluated."""
        try:
            return self._templar.template(value)
        except AnsibleError as exc:
            raise ValueError(" ".join(str(exc).split())) from exc
