# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: report_html
short_description: Render a report as an HTML page
version_added: 1.0.0
description:
  - Renders a report with a Jinja template that escapes all names, labels and messages. (Templates of Ansible itself
    escape nothing.)
author:
  - kubevirt.cdi contributors (@kubevirt)
options:
  _input:
    description: A report of P(kubevirt.cdi.report#filter) or P(kubevirt.cdi.merge_reports#filter).
    type: dict
    required: true
  template:
    description: The template. It receives the report as C(report) and the reports of all clusters as the list
      C(clusters), which has one item for a single cluster.
    type: str
    required: true
positional: template
seealso:
  - plugin: kubevirt.cdi.report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Render a saved report as an HTML page
  ansible.builtin.copy:
    content: "{{ report | kubevirt.cdi.report_html(lookup('ansible.builtin.file', 'my-report.html.j2')) }}"
    dest: report.html
    mode: "0644"
  vars:
    report: "{{ lookup('ansible.builtin.file', 'report.json') | from_json }}"
"""

RETURN = r"""
_value:
  description: The HTML page.
  type: str
  sample: <!DOCTYPE html>...
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.plugin_utils._filter import guarded
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report_view import page


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"report_html": guarded("report_html", page)}
