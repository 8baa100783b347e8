# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: report_junit
short_description: Render a report as JUnit XML
version_added: 1.0.0
description:
  - Creates a test suite for each cluster, and a test case for each step of the run and each volume, so that CI systems
    show what failed.
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
- name: Render a saved report as JUnit XML
  ansible.builtin.copy:
    content: "{{ lookup('ansible.builtin.file', 'report.json') | from_json | kubevirt.cdi.report_junit }}"
    dest: report.xml
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The content of the XML file.
  type: str
  sample: <?xml version='1.0' encoding='utf-8'?>...
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.plugin_utils._filter import guarded
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report_junit import junit


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"report_junit": guarded("report_junit", junit)}
