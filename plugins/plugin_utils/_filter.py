# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The shell around every filter: plain data in, and nothing out that Ansible would take for a template."""

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleFilterError
from ansible.utils.unsafe_proxy import wrap_var


def guarded(name: str, function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    """The filter of a function of plain data. Ansible hands its own types in; before 2.19 it templates what comes out, unless wrapped."""

    def wrapped(value: t.Any, *arguments: str) -> t.Any:
        try:
            return wrap_var(function(json.loads(json.dumps(value)), *arguments))
        except (KeyError, TypeError, ValueError) as exc:
            raise AnsibleFilterError(f"{name}: this is no input of kubevirt.cdi.{name} ({type(exc).__name__}: {exc}).") from exc

    return wrapped
