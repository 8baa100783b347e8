# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Wraps each filter: plain data in, and no output that Ansible evaluates as a template."""

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleFilterError
from ansible.utils.unsafe_proxy import wrap_var


def guarded(
    name: str,
    function: t.Callable[..., t.Any],
    expects: str = "expects the dictionary that filter kubevirt.cdi.report returns",
) -> t.Callable[..., t.Any]:
    """Makes a filter of a function on plain data.

    Ansible passes its own types. Before 2.19 it templates the result unless it is wrapped.
    """

    def wrapped(value: t.Any, *arguments: t.Any) -> t.Any:
        why = ""
        try:
            return wrap_var(function(json.loads(json.dumps(value)), *arguments))
        except KeyError as exc:
            why = f"key {exc} is missing"
        except (AttributeError, TypeError, ValueError) as exc:
            why = str(exc)
        # Outside of the handler, because Ansible repeats the message of the cause.
        raise AnsibleFilterError(f"{name} {expects}: {why}.")

    return wrapped
