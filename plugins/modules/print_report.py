#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: print_report
short_description: Print a report of CDI and its volumes
version_added: 1.0.0
description:
  - Prints a report as lines of text without quotes, also with ansible-runner and in AWX. Failures come first and, if
    colors are enabled, in red.
  - The role P(kubevirt.cdi.report#role) uses this module.
author:
  - kubevirt.cdi contributors (@kubevirt)
attributes:
  action:
    description: Indicates this has a corresponding action plugin, so some parts of the options can be executed on the
      controller.
    support: full
  check_mode:
    description: Can run in C(check_mode). The module only prints.
    support: full
  diff_mode:
    description: Returns what has changed, or in check mode would change, when in diff mode.
    support: N/A
    details: The module only prints.
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run makes no change.
    support: full
options:
  report:
    description: A report from P(kubevirt.cdi.report#filter), or several reports merged by
      P(kubevirt.cdi.merge_reports#filter).
    type: dict
    required: true
  remarks:
    description: Lines to print after the report.
    type: list
    elements: str
    default: []
seealso:
  - plugin: kubevirt.cdi.report_lines
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Print a saved report
  kubevirt.cdi.print_report:
    report: "{{ lookup('ansible.builtin.file', 'report.json') | from_json }}"
"""

RETURN = r""" # """
