#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: volume_migration
short_description: Move volumes to another storage class, mode, size or preallocation
version_added: 1.0.0
description:
  - Moves the volumes of virtual machines, or volumes that no machine uses, to new volumes. The volumes of a machine
    that runs are moved by KubeVirt's volume migration, without an interruption of its guest. Volumes of a machine that
    is stopped, or of no machine, are copied by CDI.
  - A move creates the target volumes, changes the volumes in the machine's template, waits, and reads which volumes the
    running machine uses. The name of a target is that of its source and a digest.
  - Everything is checked before the first write. What keeps a volume from being moved is reported in one sentence for
    each cause.
  - A task that was interrupted can be run again at any time. It continues a move that KubeVirt or CDI still carries
    out, and it copies again what may have changed.
  - The template of a machine keeps C(updateVolumesStrategy=Migration) after a live move.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._wait
  - kubevirt.cdi._progress
options:
  namespace:
    description: Namespace of the volumes and machines. If omitted, the namespace of the kubeconfig's context is used,
      as with C(kubectl).
    type: str
  names:
    description:
      - Names of volumes (claims), also of volumes that were moved by an earlier task. With the volume of a machine that
        runs, name all its ReadWriteOnce volumes, or use O(machines).
      - Can be combined with O(machines) and O(label_selectors).
    type: list
    elements: str
  machines:
    description: Names of virtual machines, of which all volumes are moved that are not as requested in O(to).
    type: list
    elements: str
  label_selectors:
    description: Label selectors of virtual machines, for example V(tier=web). A machine must match all of them.
    type: list
    elements: str
  to:
    description:
      - What the volumes shall be. What is omitted stays as it is. Volumes that are as requested are not moved.
      - Required unless O(state=aborted).
    type: dict
    suboptions:
      storage_class_name:
        description: Storage class.
        type: str
      volume_mode:
        description: Volume mode.
        type: str
        choices: [Filesystem, Block]
      access_modes:
        description: Access modes. If the class changes and they are omitted, CDI takes those of the storage profile.
        type: list
        elements: str
        choices: [ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod]
      preallocation:
        description:
          - Whether all space of the volumes is allocated.
          - A live move keeps the preallocation only if the claim of the source had the annotation
            C(cdi.kubevirt.io/storage.thick-provisioned) with the value C(true) when the machine started. Otherwise, the
            copy makes holes of zeros, and the move is refused. Set the annotation when you create a volume that is to
            be preallocated later.
          - After the move, the allocated bytes of volumes in mode C(Filesystem) are counted, and the task fails if some
            are missing.
        type: bool
      size:
        description: Size of the disk. By default, the size that the source requires. A disk cannot shrink.
        type: str
  method:
    description:
      - V(live) moves the volumes of machines that run, and V(offline) those of machines that are stopped, and of no
        machine. V(auto) takes the method that fits.
      - The task fails for a machine that does not fit the method.
    type: str
    choices: [auto, live, offline]
    default: auto
  parallel:
    description:
      - Number of machines, or volumes without a machine, that are moved at the same time. All volumes of a machine are
        moved at once.
    type: int
    default: 2
  sample_growth:
    description:
      - Whether to sample the allocated bytes of the new volumes every 10 seconds and at the end of each move, and to
        return them as RV(volumes[].growth).
      - Each sample of a volume is measured by a pod that lives for some seconds, on the node where the volume is in
        use. Nothing that goes wrong with it affects a move. A sample that takes more than 30 seconds is left out.
      - Volumes in mode C(Block) are not sampled.
    type: bool
    default: false
  when_done:
    description:
      - Whether the source volumes are kept or deleted with their data when their targets are in use. Sources that
        others use are not deleted, and the task fails.
      - Sources of an earlier task are also deleted.
      - Only used with O(state=finished).
    type: str
    choices: [keep_source, delete_source]
    default: keep_source
  state:
    description:
      - V(present) starts the moves, and does not wait until KubeVirt has carried them out. Copies of volumes that no
        running machine uses are waited for.
      - V(finished) also waits until all machines run on their new volumes.
      - V(aborted) goes back to the source volumes of all moves that are not finished, and deletes their targets. That
        is also what to do when a machine was stopped in the middle of a live move.
    type: str
    choices: [present, finished, aborted]
    default: finished
  wait:
    description:
      - Whether to wait with O(state=finished). Without, it is the same as O(state=present).
      - The task does not wait in check mode.
  wait_timeout:
    description: Maximum time for all moves, in seconds. A move that KubeVirt has started goes on after that.
    default: 3600
notes:
  - Live moves require two nodes, and KubeVirt with C(LiveMigrate) in C(workloadUpdateStrategy).
  - KubeVirt reports no transferred bytes. The progress is that of the phases of a migration.
  - Requires C(get), C(list), C(watch), C(create), C(patch) and C(delete) on datavolumes, C(list), C(watch), C(create)
    and C(patch) on persistentvolumeclaims, C(list) on pods, and for machines C(get), C(list) and C(patch) on
    virtualmachines, C(get), C(list) and C(watch) on virtualmachineinstances and C(list) on
    virtualmachineinstancemigrations. C(list) on nodes and on kubevirts is used if it is granted.
  - After a live move, C(delete) on pods is required to delete volumes, because KubeVirt keeps a pod that uses them.
  - To count allocated bytes, with O(sample_growth=true) or O(to.preallocation=true), C(create), C(watch) and C(delete)
    on pods, and C(list) on the deployment C(cdi-operator) and on the CDI objects of the cluster are used. If one of
    them is not granted, the bytes are not counted.
  - The rules are those of KubeVirt 1.8.
seealso:
  - module: kubevirt.cdi.data_volume
  - module: kubevirt.cdi.vm_disks
"""

EXAMPLES = r"""
- name: Move the volumes of a machine to another class while it runs
  kubevirt.cdi.volume_migration:
    namespace: demo
    machines: [web]
    to:
      storage_class_name: fast

- name: Preallocate the volumes of all machines of a tier, two machines at a time, and delete the thin volumes
  kubevirt.cdi.volume_migration:
    namespace: demo
    label_selectors: [tier=database]
    to:
      preallocation: true
    parallel: 2
    when_done: delete_source

- name: Move the volumes of a machine, and sample how they grow
  kubevirt.cdi.volume_migration:
    namespace: demo
    machines: [web]
    to:
      storage_class_name: fast
    sample_growth: true
  register: moved

- name: Print the samples of each volume
  ansible.builtin.debug:
    msg: "{{ item.growth }}"
  loop: "{{ moved.volumes }}"
  loop_control:
    label: "{{ item.name }}"

- name: Copy a volume that no machine uses to a block device
  kubevirt.cdi.volume_migration:
    namespace: demo
    names: [archive]
    to:
      volume_mode: Block

- name: Go back to the sources of moves that are not finished
  kubevirt.cdi.volume_migration:
    namespace: demo
    machines: [web]
    state: aborted
"""

RETURN = r"""
volumes:
  description: The volumes, also those that are not moved and those of machines whose move failed.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the volume before the move.
      type: str
      sample: web-data
    namespace:
      description: Namespace of the volume.
      type: str
      sample: demo
    target:
      description: Name of the volume after the move. The same as C(name) for a volume that was never moved.
      type: str
      sample: web-data-3f9a1c
    machine:
      description: Name of the machine that uses the volume, null without one.
      type: str
      sample: web
    disk:
      description: Name of the disk in the machine, null without a machine.
      type: str
      sample: data
    state:
      description: V(needed) (it has to be moved), V(started), V(finished) (it is as requested), V(aborted), or
        V(interrupted) (the machine ended in the middle of a live move).
      type: str
      sample: finished
    method:
      description: V(live) or V(offline), null for a volume that is not moved.
      type: str
      sample: live
    reason:
      description: Why this method was chosen. Empty for a volume that is not moved.
      type: str
      sample: the machine runs, so KubeVirt moves it
    differs:
      description: What the volume differed in from O(to).
      type: list
      elements: str
      sample: ["preallocation: false, true requested"]
    action:
      description: What the task has done, or would do in check mode. V(started), V(moved), V(source_deleted) (the
        source was deleted, also after it was moved) or V(aborted). Null if nothing.
      type: str
      sample: moved
    changed:
      description: Whether the task has changed the volume, or created its target.
      type: bool
      sample: true
    migration:
      description: The newest migration of the machine. Null if the task has not waited for one.
      type: dict
      contains:
        name:
          description: Name of the VirtualMachineInstanceMigration.
          type: str
          sample: kubevirt-workload-update-x2x9z
        phase:
          description: Its phase.
          type: str
          sample: Succeeded
        source_node:
          description: Node on which the machine ran before.
          type: str
          sample: node1
        target_node:
          description: Node on which the machine runs after it.
          type: str
          sample: node2
        seconds:
          description: Duration of the migration. Null while it runs.
          type: float
          sample: 3.0
        failure:
          description: Why the last attempt failed, null if it has not.
          type: str
          sample: Live migration failed error encountered
    allocation:
      description: The allocated bytes of a preallocated volume that was moved, null for others.
      type: dict
      contains:
        allocated_bytes:
          description: Allocated bytes, null if they were not counted.
          type: int
          sample: 67108864
        size_bytes:
          description: Size of the disk.
          type: int
          sample: 67108864
        not_measured:
          description: Why they were not counted, null if they were.
          type: str
          sample: null
    growth:
      description: The allocated bytes of the new volume over time, oldest sample first. Empty without
        O(sample_growth=true).
      type: list
      elements: dict
      contains:
        seconds:
          description: Seconds since the task began to move the volumes of the machine, or to wait for their move.
          type: float
          sample: 21.4
        allocated_bytes:
          description: Allocated bytes at that time.
          type: int
          sample: 33554432
    not_sampled:
      description: Why the last sample that is missing could not be taken, null if none is missing.
      type: str
      sample: null
    error:
      description: Why the volumes of the machine were not moved.
      returned: when it failed
      type: str
      sample: "VirtualMachine demo/web runs on node node1, and no other node can run machines, which a live move needs;
        add or uncordon one."
duration:
  description: Seconds that the task has taken.
  returned: always
  type: float
  sample: 24.2
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.volume_migration import SPEC, check, run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
