#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: data_volume_info
short_description: Get information about DataVolumes
version_added: 1.0.0
description:
  - Returns the state of DataVolumes and their claims, how they were cloned, whether preallocation was applied, the
    scratch space that they need or needed, what they still depend on, and, on request, what uses them.
  - Costs two requests for any number of filled volumes, up to six more if scratch space may be needed, and some more if
    volumes are not filled. On a cluster without CDI, the module returns no volumes and does not fail.
  - O(find_users=true) costs three more requests for any number of volumes.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes.info
options:
  name:
    description: Return only the DataVolume with this name. Requires O(namespace).
    type: str
  names:
    description: Return only the DataVolumes with these names. Requires O(namespace). Mutually exclusive with O(name).
    type: list
    elements: str
  namespace:
    description: Return only DataVolumes in this namespace.
    type: str
  label_selectors:
    description: Return only DataVolumes that match all of these selectors, for example V(os=debian) or V(os in (debian,
      fedora)).
    type: list
    elements: str
    default: []
  verify_allocation:
    description:
      - Whether to measure the allocated bytes of each filled Filesystem volume, with a pod that runs for a few seconds
        and cannot write to the volume.
      - The pod uses the image of CDI's own cloner, so that no additional image is needed. It is deleted immediately
        after the measurement, and also when its claim is deleted.
      - Requires permission to list the Deployments and the CDI objects of the cluster, and to create, list, watch and
        delete pods in the namespaces of the volumes.
      - Nothing is measured in check mode.
    type: bool
    default: false
  find_users:
    description:
      - Whether to find the pods, VirtualMachines and clones that use each volume.
      - CDI's own pods that fill a volume are not users of it. Neither are objects that only refer to a volume, for
        example a DataSource or a VolumeSnapshot.
      - Requires permission to list pods, C(virtualmachines.kubevirt.io) and C(volumeclonesources.cdi.kubevirt.io), in
        the namespace O(namespace), or in all namespaces if it is omitted. A missing permission is a warning, and is
        listed in RV(not_readable).
    type: bool
    default: false
  on_missing:
    description:
      - What to do when the DataVolume O(name), one of O(names), the namespace O(namespace), or CDI itself does not
        exist.
      - V(skip) returns what exists, V(warn) additionally shows a warning, and V(error) fails. A namespace without
        DataVolumes does not count as missing.
    type: str
    choices: [error, warn, skip]
    default: skip
seealso:
  - module: kubevirt.cdi.data_volume
"""

EXAMPLES = r"""
- name: Get the volumes of a namespace
  kubevirt.cdi.data_volume_info:
    namespace: images
  register: result

- name: Fail unless a golden image exists
  kubevirt.cdi.data_volume_info:
    name: golden
    namespace: images
    on_missing: error

- name: Verify that a volume is preallocated
  kubevirt.cdi.data_volume_info:
    name: golden
    namespace: images
    verify_allocation: true
  register: proof
  failed_when: >-
    proof is failed
    or allocation.allocated_bytes | default(0, true) < allocation.size_bytes | default(1, true)
  vars:
    allocation: "{{ proof.data_volumes[0].allocation }}"

- name: Fail unless the source of a clone can be deleted
  kubevirt.cdi.data_volume_info:
    names: [vm-1, vm-2]
    namespace: images
    on_missing: error
  register: clones
  failed_when: clones is failed or clones.data_volumes | map(attribute='depends_on') | flatten | length > 0

- name: Find the users of the volumes of a namespace
  kubevirt.cdi.data_volume_info:
    namespace: images
    find_users: true
  register: used

- name: Print the volumes that nothing uses
  ansible.builtin.debug:
    msg: "{{ used.data_volumes | selectattr('users.in_use', 'false') | map(attribute='name') | list }}"

- name: Fail unless the volumes are known to be unused
  ansible.builtin.assert:
    that: used.data_volumes | rejectattr('users.in_use', 'false') | length == 0

- name: Print the scratch claims that were left behind
  ansible.builtin.debug:
    msg: "{{ result.scratch_without_volume + (left_over | select | list) }}"
  vars:
    left_over: "{{ result.data_volumes | map(attribute='scratch.left_over') }}"

- name: Fail unless all volumes are filled
  ansible.builtin.assert:
    that: result.data_volumes | rejectattr('phase', 'eq', 'Succeeded') | length == 0
"""

RETURN = r"""
data_volumes:
  description: The DataVolumes, and the claims of DataVolumes that CDI deleted after they had succeeded.
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
      description: Kind of the source, for example V(http), V(pvc) or V(source_ref). Null if a volume populator fills
        the volume.
      returned: success
      type: str
      sample: http
    phase:
      description: Phase, null if CDI has not set one.
      returned: success
      type: str
      sample: Succeeded
    progress:
      description: Progress as CDI reports it, which may be V(N/A).
      returned: success
      type: str
      sample: 100.0%
    restarts:
      description: Number of restarts of the worker.
      returned: success
      type: int
      sample: 0
    size:
      description: Size that the DataVolume requests, or to which it was expanded later. Null if a clone takes it from
        its source.
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
      sample:
        method: copy
        fallback: true
        fallback_reason: No compatible volumesnapshotclass found
        phase: Succeeded
        error: null
    preallocation:
      description: Preallocation of the volume.
      returned: success
      type: dict
      contains:
        requested:
          description: Whether preallocation was requested, by the volume or by the configuration of the cluster. Null
            if only CDI knows.
          returned: success
          type: bool
          sample: true
        applied:
          description: Whether CDI reports that it preallocated the volume. Null without a claim.
          returned: success
          type: bool
          sample: false
        supported:
          description:
            - Whether CDI can preallocate this volume. It cannot preallocate archives, and clones by V(snapshot) and
              V(csi-clone).
            - Null for a clone whose method CDI has not chosen.
          returned: success
          type: bool
          sample: false
        ignored:
          description: Why CDI ignores a requested preallocation, null if it does not.
          returned: success
          type: str
          sample: A snapshot clone shares blocks with its source, and CDI does not preallocate it.
    allocation:
      description: Result of O(verify_allocation=true), null otherwise.
      returned: success
      type: dict
      contains:
        allocated_bytes:
          description: Bytes that the storage has allocated for C(disk.img), or for all files of an archive. Null if not
            measured.
          returned: success
          type: int
          sample: 10737422336
        size_bytes:
          description: Size of C(disk.img), or of all files of an archive. Null if not measured.
          returned: success
          type: int
          sample: 10737418240
        not_measured:
          description: Why the volume was not measured, for example because it is a block device or is not filled. Null
            if it was measured.
          returned: success
          type: str
          sample: null
    scratch:
      description: The scratch space that is or was needed to fill the volume.
      returned: success
      type: dict
      contains:
        needed:
          description: Whether CDI creates a scratch claim. Null if that depends on the content of the image.
          returned: success
          type: bool
          sample: true
        rule:
          description: CDI's rule by which scratch space is needed or not.
          returned: success
          type: str
          sample: Since 1.60 CDI stores every disk image from HTTP in scratch space before it converts it.
        storage_class_name:
          description:
            - Storage class of the scratch claim. If the claim does not exist, the storage class that CDI would choose
              now.
            - Null if no scratch space is needed, or if CDI's configuration cannot be read.
          returned: success
          type: str
          sample: cheap
        storage_class_rule:
          description: The rule by which this release of CDI would choose the storage class now, null if the scratch
            claim exists.
          returned: success
          type: str
          sample: It is configured as scratchSpaceStorageClass.
        size:
          description: Size of the scratch claim, or the size that CDI would request.
          returned: success
          type: str
          sample: 10855Mi
        problems:
          description: What will prevent an unfilled volume from getting its scratch space, for example a storage class
            that supports only Block.
          returned: success
          type: list
          elements: str
          sample: []
        observed:
          description: True if the scratch claim exists, or if events show that it existed. Events are kept for about an
            hour. Null if there is no trace of it.
          returned: success
          type: bool
          sample: true
        left_over:
          description: Namespace and name of the scratch claim, if it still exists a minute after the volume was filled
            or failed.
          returned: success
          type: str
          sample: images/prime-5f0a8d1c-3b9e-4d2b-8f55-0a4c3a1d9b10-scratch
    ready_after:
      description: Time from the creation of the DataVolume until it was ready, in seconds. Null while it is not ready.
      returned: success
      type: int
      sample: 42
    depends_on:
      description:
        - What the volume still depends on, as far as the API shows it. Empty for a volume that is independent.
        - A volume that is not filled depends on its source. A clone by V(snapshot) or V(csi-clone) can share blocks
          with its source until the storage driver separates them. The API does not report whether it has, so that such
          a clone is always listed. A full copy is independent.
        - Sources outside the cluster are not listed.
      returned: success
      type: list
      elements: dict
      contains:
        kind:
          description: Kind of the object, for example V(PersistentVolumeClaim), V(VolumeSnapshot) or V(DataSource).
          returned: success
          type: str
          sample: PersistentVolumeClaim
        namespace:
          description: Namespace of the object.
          returned: success
          type: str
          sample: images
        name:
          description: Name of the object, which may have been deleted.
          returned: success
          type: str
          sample: golden
        reason:
          description: Why the volume depends on it.
          returned: success
          type: str
          sample: A snapshot clone can share blocks with its source until the storage driver separates them, and the API
            does not report whether it has.
    moved_from:
      description:
        - Name of the volume that M(kubevirt.cdi.volume_migration) moves or has moved to this one, of the first one
          after several moves. Null for a volume that was not moved.
      returned: success
      type: str
      sample: web-root
    diagnosis:
      description: The problem of a volume that has not succeeded. Null if no problem is known. A volume that makes
        progress has no problem.
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
            - A code that is stable across releases. For the source, V(source_not_found), V(source_unauthorized),
              V(source_refused), V(source_server_failed), V(source_silent), V(source_unreachable), V(transfer_broken),
              V(certificate_untrusted), V(checksum_mismatch), V(image_invalid), V(image_unreadable), V(image_too_large).
            - For the pods that fill the volume, V(secret_missing), V(config_map_missing), V(priority_class_missing),
              V(service_account_missing), V(limit_range), V(pod_security), V(image_pull_failed), V(mount_failed),
              V(worker_out_of_memory), V(worker_refused), V(worker_restarts), V(worker_unschedulable).
            - For the storage, V(storage_class_missing), V(storage_profile_incomplete), V(claim_exists), V(claim_lost),
              V(claim_missing), V(claim_not_valid), V(claim_pending), V(provisioner_missing), V(provisioning_failed),
              V(quota_exceeded), V(storage_full).
            - For a clone, V(clone_not_valid), V(clone_source_in_use), V(clone_source_missing), V(clone_token_invalid),
              V(snapshot_failed), V(source_failed).
            - For an upload, V(upload_unfinished), V(waiting_for_upload).
            - Otherwise, V(controller_down), V(deleted), V(failed), V(no_progress), V(unfinished),
              V(waiting_for_consumer).
          returned: success
          type: str
          sample: source_not_found
        message:
          description: The message of CDI, Kubernetes or the storage driver, on one line. Secrets in URLs are redacted.
          returned: success
          type: str
          sample: "Error: Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not
            Found"
        remedy:
          description: How to fix the problem.
          returned: success
          type: str
          sample: correct the URL
        since:
          description: Time since when the problem is known to exist, null if the cluster does not report it.
          returned: success
          type: str
          sample: "2026-01-31T12:00:00Z"
    users:
      description: Result of O(find_users=true), null otherwise. A list of users is null if their kind cannot be listed.
      returned: success
      type: dict
      contains:
        in_use:
          description: Whether anything uses the volume. Null if no user was found, but not all kinds of users can be
            listed.
          returned: success
          type: bool
          sample: true
        pods:
          description: The pods that use the volume and have not ended, in the namespace of the volume.
          returned: success
          type: list
          elements: dict
          contains:
            name:
              description: Name of the pod.
              returned: success
              type: str
              sample: virt-launcher-vm-1-x7k2p
            machine:
              description:
                - Kind and name of the VirtualMachine that the pod runs for, or of the VirtualMachineInstance if no
                  VirtualMachine is found. Null for any other pod.
                - A hotplugged volume is used by the attachment pod of the machine.
              returned: success
              type: str
              sample: VirtualMachine/vm-1
        virtual_machines:
          description: The VirtualMachines that use the volume or have it in their template, in the namespace of the
            volume.
          returned: success
          type: list
          elements: dict
          contains:
            name:
              description: Name of the VirtualMachine.
              returned: success
              type: str
              sample: vm-1
            running:
              description:
                - Whether the VirtualMachine runs. Null if pods cannot be listed.
                - If it runs and none of RV(data_volumes[].users.pods) belongs to it, the volume is not attached yet.
              returned: success
              type: bool
              sample: true
        clones:
          description: Namespace and name of the DataVolumes that CDI currently clones from the volume.
          returned: success
          type: list
          elements: str
          sample: [images/vm-2]
    collected:
      description:
        - Whether CDI before 1.62 deleted the DataVolume after it had succeeded (C(dataVolumeTTLSeconds)). The claim
          with the data still exists.
        - Such a volume has succeeded. Its source, size and times are null unless the claim contains them.
      returned: success
      type: bool
      sample: false
    data_volume:
      description: The DataVolume, empty for a volume that was collected.
      returned: success
      type: dict
      sample: {kind: DataVolume, metadata: {name: golden, namespace: images}}
scratch_without_volume:
  description:
    - Scratch claims whose volume was deleted at least a minute ago, as namespace and name.
    - Empty with O(name) or O(names).
  returned: success
  type: list
  elements: str
  sample: []
not_readable:
  description: The users of volumes that cannot be listed, one sentence per kind with the missing permission. Empty with
    O(find_users=false).
  returned: success
  type: list
  elements: str
  sample:
    - "Pods that use the data were not looked for: Cannot list Pod objects in namespace images: pods is forbidden: User
      \"me\" cannot list resource \"pods\" in API group \"\" in the namespace \"images\" (HTTP 403); grant the verb
      \"list\" on pods."
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.data_volume_info import SPEC, run


def main() -> None:
    run_module(SPEC, run)


if __name__ == "__main__":
    main()
