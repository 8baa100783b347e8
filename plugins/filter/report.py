# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: report
short_description: Build a report of CDI and its volumes
version_added: 1.0.0
description:
  - Builds a report from the results of M(kubevirt.cdi.cdi_info), M(kubevirt.cdi.data_volume_info) and
    P(kubevirt.cdi.clone_method#lookup). The role P(kubevirt.cdi.report#role) uses this filter.
  - Credentials in URLs and the query of source URLs are omitted.
author:
  - kubevirt.cdi contributors (@kubevirt)
options:
  _input:
    description:
      - C(cdi), the result of M(kubevirt.cdi.cdi_info).
      - C(volumes), the RV(kubevirt.cdi.data_volume_info#module:data_volumes) of M(kubevirt.cdi.data_volume_info).
      - C(clones), the results of P(kubevirt.cdi.clone_method#lookup) for the volumes that are clones, or are planned as
        clones.
      - C(scratch_without_volume), the RV(kubevirt.cdi.data_volume_info#module:scratch_without_volume) of
        M(kubevirt.cdi.data_volume_info).
      - C(results), the results of the previous tasks by role. It may be empty.
      - C(files), the O(kubevirt.cdi.volume_upload#module:uploads) to which C(uploads) in C(results) refers.
      - C(declared), the uploads and volumes that the run declares, each with its namespace. Optional.
      - C(cluster), with the C(name) of the cluster and the URL of its API server as C(host). Optional.
      - C(errors), sentences that describe what could not be read. Optional.
      - C(check_mode), whether the tasks ran in check mode.
      - C(generated), the time of the report.
    type: dict
    required: true
seealso:
  - plugin: kubevirt.cdi.report_lines
    plugin_type: filter
  - plugin: kubevirt.cdi.report_html
    plugin_type: filter
  - plugin: kubevirt.cdi.merge_reports
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Get information about CDI
  kubevirt.cdi.cdi_info:
  register: cdi

- name: Get the volumes
  kubevirt.cdi.data_volume_info:
  register: found

- name: Print the number of volumes in each phase
  ansible.builtin.debug:
    msg: "{{ (facts | kubevirt.cdi.report).summary.phases }}"
  vars:
    facts:
      cdi: "{{ cdi }}"
      volumes: "{{ found.data_volumes }}"
      clones: []
      results: {}
      check_mode: false
      generated: "{{ now(utc=true).isoformat() }}"
"""

RETURN = r"""
_value:
  description: The report, as the role P(kubevirt.cdi.report#role) writes it to its JSON file.
  type: dict
  contains:
    generated:
      description: Time of the report.
      type: str
      sample: "2026-11-21T12:00:00Z"
    check_mode:
      description: Whether the report describes what a run would do.
      type: bool
      sample: false
    cluster:
      description: Name of the cluster and URL of its API server.
      type: dict
      sample: {name: production, host: "https://api.example.com:6443"}
    not_readable:
      description: What could not be read, one sentence each, with the missing permission.
      type: list
      elements: str
      sample: []
    cdi:
      description: Whether CDI is installed and ready, and its release. Values that the user cannot read are null.
      type: dict
      sample: {installed: true, ready: true, version: v1.65.0}
    configuration:
      description: Each setting as requested and as it is in effect. C(in_effect) is null if CDI does not report the
        setting.
      type: list
      elements: dict
      sample: [{setting: preallocation, asked: true, effective: true, in_effect: true}]
    steps:
      description:
        - What each step of the run did or would do. Failed steps are first.
        - C(role) is the role, or the task of role C(volumes), which is V(clone_permissions), V(uploads), V(volumes) or
          V(virtual_machine_disks), or of role C(thicken), which is V(thin_volumes), V(thick_volumes) or V(proof).
          C(message) is the error, or null.
        - C(growth) has the RV(kubevirt.cdi.volume_migration#module:volumes[].growth) of each volume that was sampled,
          as C(title) and C(samples).
      type: list
      elements: dict
      sample:
        - role: install
          text: CDI v1.65.0 is as declared.
          changed: false
          failed: false
          message: null
          growth: []
    summary:
      description: Number of volumes in total, by phase and by clone method, number of volumes that this run declared,
        number of copies that could be faster, number of volumes with a problem, and the failed steps.
      type: dict
      sample:
        volumes: 2
        declared: 2
        phases: {Succeeded: 2}
        clone_methods: {copy: 1}
        could_be_faster: 1
        problems: 0
        failed_steps: []
    volumes:
      description:
        - The volumes, those with a problem first, then sorted by namespace and name. A volume that check mode would
          create has the phase V(Planned), one that could not be created V(Missing), and one that the run did not reach
          because an earlier step failed V(Skipped).
        - A claim without a DataVolume is included if this run uploaded a file to it. Its phase is V(Succeeded) if it is
          filled, otherwise the phase of the claim.
        - The C(source) of an upload contains the name of the file that this run uploaded, or found uploaded, and the
          start of its SHA-256.
        - C(declared) reports whether this run declares the volume. It is null if the run declares none.
        - C(depends_on) and C(moved_from) are those of RV(kubevirt.cdi.data_volume_info#module:data_volumes).
        - C(users) are the RV(kubevirt.cdi.data_volume_info#module:data_volumes[].users).
        - C(problem) has a C(cause), which is a cause of
          RV(kubevirt.cdi.data_volume_info#module:data_volumes[].diagnosis), V(clone) or V(error), a C(message) and a
          C(remedy), which may be null. It is null for a volume without a problem.
      type: list
      elements: dict
      sample:
        - name: vm-1
          namespace: images
          changed: false
          declared: true
          source: pvc images/golden
          phase: Succeeded
          progress: 100.0%
          method: copy
          method_observed: true
          reason: "CDI fell back to copy: No compatible volumesnapshotclass found."
          remedy: null
          preallocation: {requested: true, applied: true, supported: true, ignored: null}
          allocation: null
          scratch: {needed: false}
          depends_on: []
          moved_from: null
          users:
            in_use: true
            pods: [{name: virt-launcher-vm-1-x7k2p, machine: VirtualMachine/vm-1}]
            virtual_machines: [{name: vm-1, running: true}]
            clones: []
          size: 10Gi
          capacity: 11Gi
          storage_class_name: fast
          volume_mode: Filesystem
          ready_after: 12
          restarts: 0
          problem: null
    scratch_without_volume:
      description: Scratch claims whose volume no longer exists.
      type: list
      elements: str
      sample: []
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.plugin_utils._filter import guarded
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report import build


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"report": guarded("report", build, "expects a dictionary with the facts that its documentation lists")}
