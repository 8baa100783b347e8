# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: report_lines
short_description: Render a report as plain text
version_added: 1.0.0
description:
  - Renders a report as lines of plain text, for a file or an email. M(kubevirt.cdi.print_report) prints them.
author:
  - kubevirt.cdi contributors (@kubevirt)
options:
  _input:
    description: A report of P(kubevirt.cdi.report#filter) or P(kubevirt.cdi.merge_reports#filter).
    type: dict
    required: true
seealso:
  - plugin: kubevirt.cdi.report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Render a saved report as plain text
  ansible.builtin.copy:
    content: "{{ report | kubevirt.cdi.report_lines | join('\n') }}\n"
    dest: report.txt
    mode: "0644"
  vars:
    report: "{{ lookup('ansible.builtin.file', 'report.json') | from_json }}"
"""

RETURN = r"""
_value:
  description: The lines of text.
  type: list
  elements: str
  sample:
    - "Cluster production (https://api.example.com:6443): CDI v1.65.0 is ready."
    - ""
    - "1 volume: 1 Succeeded."
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.plugin_utils._filter import guarded
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report_view import lines


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"report_lines": guarded("report_lines", lines)}
