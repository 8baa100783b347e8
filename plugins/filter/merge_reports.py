# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: merge_reports
short_description: Merge the reports of several clusters
version_added: 1.0.0
description:
  - Merges the reports of several clusters into one, with the clusters that have problems first. A single report is
    returned unchanged.
author:
  - kubevirt.cdi contributors (@kubevirt)
options:
  _input:
    description: Reports of P(kubevirt.cdi.report#filter).
    type: list
    elements: dict
    required: true
  without_report:
    description: Names of the clusters that have no report.
    type: list
    elements: str
    default: []
positional: without_report
seealso:
  - plugin: kubevirt.cdi.report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Merge and print saved reports
  kubevirt.cdi.print_report:
    report: "{{ files | map('from_json') | kubevirt.cdi.merge_reports }}"
  vars:
    files:
      - "{{ lookup('ansible.builtin.file', 'east.json') }}"
      - "{{ lookup('ansible.builtin.file', 'west.json') }}"
"""

RETURN = r"""
_value:
  description: The merged report. All filters and modules of this collection that accept a report also accept a merged
    one.
  type: dict
  contains:
    generated:
      description: Time of the latest of the reports.
      type: str
      sample: "2026-11-21T12:00:00Z"
    check_mode:
      description: Whether one of the reports describes what a run would do.
      type: bool
      sample: false
    summary:
      description: Totals over all clusters, and the names of the clusters with failed steps or volumes with problems.
      type: dict
      sample:
        clusters: 3
        clusters_in_trouble: [west]
        volumes: 9
        declared: 9
        phases: {Succeeded: 9}
        clone_methods: {}
        could_be_faster: 0
        problems: 1
    clusters:
      description: The reports, see RV(kubevirt.cdi.report#filter:_value).
      type: list
      elements: dict
      sample: []
    without_report:
      description: Names of the clusters that have no report.
      type: list
      elements: str
      sample: []
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.plugin_utils._filter import guarded
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report import merge


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "merge_reports": guarded("merge_reports", merge, "expects a list of reports of filter kubevirt.cdi.report")
        }
