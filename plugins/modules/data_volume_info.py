#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: data_volume_info
short_description: Tell what there is of DataVolumes
version_added: 1.0.0
description:
  - Tells of DataVolumes and their claims where they have got to, how they were cloned, whether preallocation was applied, and which scratch space
    they need or needed.
  - Costs two requests for any number of filled volumes, at most six more where scratch space may be needed, and some where volumes are not filled.
    A cluster without CDI has no volumes, which is no error.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes.info
options:
  name:
    description: Only the DataVolume of this name. Needs O(namespace).
    type: str
  namespace:
    description: Only DataVolumes in this namespace.
    type: str
  label_selectors:
    description: Only DataVolumes to which all of these apply, for example V(os=debian) or V(os in (debian, fedora)).
    type: list
    elements: str
    default: []
  verify_allocation:
    description:
      - Whether the allocated bytes of each filled Filesystem volume are measured, by a pod that lives for some seconds and cannot write to the volume.
      - The pod uses the image of CDI's own cloner, so the cluster needs no other. It is deleted at once, and goes with its claim.
      - Needs the rights to list the Deployments and the CDI objects of the cluster, and in the volumes' namespaces to create, list, watch and delete
        pods.
      - In check mode nothing is measured.
    type: bool
    default: false
  on_missing:
    description:
      - What to do when the DataVolume O(name), the namespace O(namespace), or CDI itself does not exist.
      - V(skip) returns what there is, V(warn) shows a warning as well, and V(error) fails. A namespace without DataVolumes is not missing.
    type: str
    choices: [error, warn, skip]
    default: skip
seealso:
  - module: kubevirt.cdi.data_volume
"""

EXAMPLES = r"""
- name: Look at the volumes of a namespace
  kubevirt.cdi.data_volume_info:
    namespace: images
  register: result

- name: Fail unless a golden image exists
  kubevirt.cdi.data_volume_info:
    name: golden
    namespace: images
    on_missing: error

- name: Prove that a volume is preallocated
  kubevirt.cdi.data_volume_info:
    name: golden
    namespace: images
    verify_allocation: true
  register: proof
  failed_when: proof.data_volumes[0].allocation.allocated_bytes | default(0, true) < proof.data_volumes[0].allocation.size_bytes | default(1, true)

- name: Name scratch claims that were left behind
  ansible.builtin.debug:
    msg: "{{ result.scratch_without_volume + (result.data_volumes | map(attribute='scratch.left_over') | select | list) }}"

- name: Stop unless all are filled
  ansible.builtin.assert:
    that: result.data_volumes | rejectattr('phase', 'eq', 'Succeeded') | length == 0
"""

RETURN = r"""
data_volumes:
  description: The DataVolumes, and the claims of those that CDI has deleted after they had succeeded.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name.
      returned: success
      type: str
      sample: golden
    namespace:
      description: Namespace.
      returned: success
      type: str
      sample: images
    source:
      description: The kind of the source, for example V(http), V(pvc) or V(source_ref); null when a volume populator fills the volume.
      returned: success
      type: str
      sample: http
    phase:
      description: Phase, null when CDI has not said one.
      returned: success
      type: str
      sample: Succeeded
    progress:
      description: Progress as CDI tells it, which may be V(N/A).
      returned: success
      type: str
      sample: 100.0%
    restarts:
      description: How often the worker was started again.
      returned: success
      type: int
      sample: 0
    size:
      description: The size that the DataVolume requests, or has grown to since. Null when a clone leaves it to its source.
      returned: success
      type: str
      sample: 10Gi
    capacity:
      description: Capacity of the claim, null until it is bound.
      returned: success
      type: str
      sample: 10855Mi
    storage_class_name:
      description: Storage class of the claim.
      returned: success
      type: str
      sample: fast
    volume_mode:
      description: Volume mode of the claim.
      returned: success
      type: str
      sample: Filesystem
    clone:
      description: How CDI cloned the volume, as RV(kubevirt.cdi.data_volume#module:clone).
      returned: success
      type: dict
      sample: {method: copy, fallback: true, fallback_reason: No compatible volumesnapshotclass found, phase: Succeeded, error: null}
    preallocation:
      description: Whether the whole size is allocated.
      returned: success
      type: dict
      contains:
        requested:
          description: Whether preallocation was asked for, by the volume or by the cluster's configuration. Null while only CDI knows.
          returned: success
          type: bool
          sample: true
        applied:
          description: Whether CDI says that it has preallocated the volume. Null without a claim.
          returned: success
          type: bool
          sample: false
        supported:
          description:
            - Whether CDI can preallocate this volume. It cannot for archives, and for clones by V(snapshot) and V(csi-clone).
            - Null for a clone whose method CDI has not chosen.
          returned: success
          type: bool
          sample: false
        ignored:
          description: Why CDI ignores a preallocation that was asked for, null when it does not.
          returned: success
          type: str
          sample: A snapshot clone shares blocks with its source, and CDI does not preallocate it.
    allocation:
      description: What O(verify_allocation=true) has measured, null without it.
      returned: success
      type: dict
      contains:
        allocated_bytes:
          description: The bytes that the volume's storage has allocated for C(disk.img), or for all files of an archive; null when not measured.
          returned: success
          type: int
          sample: 10737422336
        size_bytes:
          description: The size of C(disk.img), or of all files of an archive; null when not measured.
          returned: success
          type: int
          sample: 10737418240
        not_measured:
          description: Why it was not measured, for example because the volume is a block device or is not filled; null when it was.
          returned: success
          type: str
          sample: null
    scratch:
      description: The scratch space that filling the volume takes or took.
      returned: success
      type: dict
      contains:
        needed:
          description: Whether CDI makes a scratch claim. Null when only the content of the image tells.
          returned: success
          type: bool
          sample: true
        rule:
          description: The rule of CDI by which it is needed or not.
          returned: success
          type: str
          sample: Since 1.60 CDI stores every disk image from HTTP in scratch space before it converts it.
        storage_class_name:
          description:
            - The scratch claim's storage class, or while there is no such claim the class that CDI would choose now.
            - Null when none is needed, or CDI's configuration cannot be read.
          returned: success
          type: str
          sample: cheap
        storage_class_rule:
          description: The rule of CDI's release by which the class would be chosen now, null where there is a scratch claim already.
          returned: success
          type: str
          sample: It is configured as scratchSpaceStorageClass.
        size:
          description: The size of the scratch claim, or the one that CDI would ask for.
          returned: success
          type: str
          sample: 10855Mi
        problems:
          description: What will keep a volume that is not filled from its scratch space, for example a class that can only do Block.
          returned: success
          type: list
          elements: str
          sample: []
        observed:
          description: True when the scratch claim is there, or its events say that it was. They stay for about an hour; null without a trace.
          returned: success
          type: bool
          sample: true
        left_over:
          description: Namespace and name of the scratch claim, if it is still there a minute after the volume was filled or failed.
          returned: success
          type: str
          sample: images/prime-5f0a8d1c-3b9e-4d2b-8f55-0a4c3a1d9b10-scratch
    ready_after:
      description: The seconds from the creation of the DataVolume until it was ready, null before.
      returned: success
      type: int
      sample: 42
    diagnosis:
      description: What is wrong with a volume that has not succeeded; null when nothing is known to be wrong. A volume at work is not wrong.
      returned: success
      type: dict
      contains:
        phase:
          description: The phase in which the volume is stuck.
          returned: success
          type: str
          sample: ImportInProgress
        cause:
          description:
            - A code that later releases keep. Of the source V(source_not_found), V(source_unauthorized), V(source_refused),
              V(source_server_failed), V(source_silent), V(source_unreachable), V(transfer_broken), V(certificate_untrusted),
              V(checksum_mismatch), V(image_invalid), V(image_unreadable), V(image_too_large).
            - Of the pods that fill the volume V(secret_missing), V(config_map_missing), V(priority_class_missing),
              V(service_account_missing), V(limit_range), V(pod_security), V(image_pull_failed), V(mount_failed), V(worker_out_of_memory),
              V(worker_refused), V(worker_restarts), V(worker_unschedulable).
            - Of the storage V(storage_class_missing), V(storage_profile_incomplete), V(claim_exists), V(claim_lost), V(claim_missing),
              V(claim_not_valid), V(claim_pending), V(provisioner_missing), V(provisioning_failed), V(quota_exceeded), V(storage_full).
            - Of a clone V(clone_not_valid), V(clone_source_in_use), V(clone_source_missing), V(clone_token_invalid), V(snapshot_failed),
              V(source_failed).
            - Of an upload V(upload_unfinished), V(waiting_for_upload).
            - Else V(controller_down), V(deleted), V(failed), V(no_progress), V(unfinished), V(waiting_for_consumer).
          returned: success
          type: str
          sample: source_not_found
        message:
          description: What CDI, Kubernetes or the storage driver says, on one line; secrets in URLs are hidden.
          returned: success
          type: str
          sample: "Error: Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found"
        remedy:
          description: What helps.
          returned: success
          type: str
          sample: correct the URL
        since:
          description: Since when that is known to be so, null when the cluster does not tell.
          returned: success
          type: str
          sample: "2026-01-31T12:00:00Z"
    collected:
      description:
        - Whether CDI before 1.62 has deleted the DataVolume after it had succeeded (C(dataVolumeTTLSeconds)). The claim with the data is what is left.
        - Such a volume has succeeded. Its source, size and times are null, as far as the claim does not tell them.
      returned: success
      type: bool
      sample: false
    data_volume:
      description: The DataVolume, empty for one that was collected.
      returned: success
      type: dict
      sample: {kind: DataVolume, metadata: {name: golden, namespace: images}}
scratch_without_volume:
  description:
    - Scratch claims whose volume has been gone for a minute, by namespace and name.
    - Empty with O(name).
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.data_volume_info import SPEC, run


def main() -> None:
    run_module(SPEC, run)


if __name__ == "__main__":
    main()
