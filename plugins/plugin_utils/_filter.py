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


def guarded(
    name: str,
    function: t.Callable[..., t.Any],
    expects: str = "expects the dictionary that filter kubevirt.cdi.report returns",
) -> t.Callable[..., t.Any]:
    """The filter of a function of plain data. Ansible hands its own types in; before 2.19 it templates what comes out, unless wrapped."""

    def wrapped(value: t.Any, *arguments: t.Any) -> t.Any:
        why = ""
        try:
            return wrap_var(function(json.loads(json.dumps(value)), *arguments))
        except KeyError as exc:
            why = f"key {exc} is missing"
        except (AttributeError, TypeError, ValueError) as exc:
            why = str(exc)
        # Outside of the handler: Ansible would show the message of the cause once more.
        raise AnsibleFilterError(f"{name} {expects}: {why}.")

    return wrapped
