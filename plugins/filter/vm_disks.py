# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: vm_disks
short_description: Render and check the disks of a KubeVirt virtual machine
version_added: 1.0.0
description:
  - Renders C(disks), C(volumes), C(dataVolumeTemplates) and the settings of I/O threads and queues of a
    C(VirtualMachine) from one entry for each disk. The volume is inside the entry of its disk, so that their names
    cannot differ.
  - Checks the rules of KubeVirt's webhook before anything is sent, and settings that the webhook accepts and with which
    the machine does not start or which have no effect. The error has one sentence for each problem, with the option,
    the value and the remedy.
  - Sends no request. Whether claims, DataVolumes, Secrets and images exist is not checked.
  - The rules are those of KubeVirt 1.8.
author:
  - kubevirt.cdi contributors (@kubevirt)
positional: _input
options:
  _input:
    description:
      - The disks of the machine in their order, each a dictionary with C(name), one volume, and the options of the
        disk. Options are the fields of KubeVirt's API in snake_case.
      - C(name) is a DNS label of at most 63 characters, unique in the machine.
      - C(type) is V(disk) (the default), V(lun) or V(cdrom). V(floppy) is refused, because KubeVirt has removed floppy
        disks.
      - The volume is one of C(persistent_volume_claim), C(data_volume), C(data_volume_template), C(container_disk),
        C(ephemeral), C(empty_disk), C(host_disk), C(cloud_init_no_cloud), C(cloud_init_config_drive), C(config_map),
        C(secret), C(service_account), C(downward_metrics), C(downward_api), C(sysprep) and C(memory_dump). A C(cdrom)
        without a volume is an empty drive.
      - C(data_volume_template) has C(name) and the options of O(kubevirt.cdi.data_volume#module:data_volumes) that
        describe the volume, for example C(source), C(source_ref), C(storage), C(preallocation), C(labels) and
        C(binding). KubeVirt creates the DataVolume with the machine, and deletes it with the machine. The source of a
        clone without a namespace is in the namespace of the machine.
      - C(bus) is V(virtio), V(scsi), V(sata) or V(usb). Without it, KubeVirt uses V(sata) on amd64 and V(virtio) on
        other architectures.
      - C(serial) is the serial number by which the guest finds the disk, only for C(type=disk).
      - C(boot_order), C(cache) (V(none), V(writethrough) or V(writeback)), C(io) (V(native) or V(threads)),
        C(error_policy) (V(stop), V(ignore), V(report) or V(enospace)), C(block_size), C(shareable), C(read_only),
        C(dedicated_io_thread), C(changed_block_tracking) and C(tag) are fields of the disk.
      - C(pci_address) is only for C(type=disk), C(reservation) only for C(type=lun), and C(tray) (V(open) or V(closed))
        only for C(type=cdrom).
      - C(hotpluggable) marks a volume that KubeVirt can attach and detach while the machine runs.
    type: list
    elements: dict
    required: true
  io_threads_policy:
    description:
      - How KubeVirt assigns virtio disks to I/O threads. Without it, no disk has an I/O thread, unless a disk has
        C(dedicated_io_thread), which implies V(shared).
      - V(shared) is one thread for all disks, and one more for each disk with C(dedicated_io_thread).
      - V(auto) is up to two threads for each CPU of the CPU request or limit.
      - V(supplementalPool) spreads each disk over all threads of O(io_threads).
    type: str
    choices: [shared, auto, supplementalPool]
  io_threads:
    description:
      - A dictionary with C(supplemental_pool_thread_count), the number of threads of V(supplementalPool).
    type: dict
  block_multi_queue:
    description:
      - Whether each virtio disk has as many queues as the machine has vCPUs. Requires O(cpus).
    type: bool
  cpus:
    description:
      - The CPU request or limit of the machine, or its number of vCPUs. Only checked. The CPUs belong to the rest of
        the machine, and are not rendered.
    type: str
  architecture:
    description: Architecture of the machine, which decides the default bus and the buses that exist.
    type: str
    choices: [amd64, arm64, s390x]
    default: amd64
  feature_gates:
    description:
      - The enabled feature gates of KubeVirt, from C(spec.configuration.developerConfiguration.featureGates) of its
        C(KubeVirt) object. A disk that needs another gate is refused.
      - From KubeVirt 1.9 on, gates in beta are enabled unless they are disabled. Add V(DeclarativeHotplugVolumes) to
        the list there.
      - Without this option, feature gates are not checked.
    type: list
    elements: str
notes:
  - Texts of cloud-init can contain secrets. No error shows them.
  - A preference (C(spec.preference)) can change the default bus. Set C(bus) on disks that need a certain one.
  - In the module C(kubevirt_vm) of the collection C(kubevirt.core), O(ignore:spec) is the spec of the machine's
    template, and O(ignore:data_volume_templates) is a separate option. See the examples.
seealso:
  - module: kubevirt.cdi.data_volume
"""

EXAMPLES = r"""
- name: Print the disks and volumes of a machine
  ansible.builtin.debug:
    msg: "{{ disks | kubevirt.cdi.vm_disks(io_threads_policy='auto', cpus=4) }}"
  vars:
    disks:
      - name: root
        data_volume_template:
          name: web-root
          source_ref:
            name: debian-12
            namespace: images
          storage:
            size: 20Gi
        bus: virtio
        boot_order: 1
      - name: database
        persistent_volume_claim:
          claim_name: database
        bus: virtio
        serial: DATABASE
        dedicated_io_thread: true
      - name: cloudinit
        cloud_init_no_cloud:
          secret_ref:
            name: web-cloudinit
        bus: virtio

- name: Combine the disks with the rest of a machine, for the spec and data_volume_templates of a module or a manifest
  ansible.builtin.set_fact:
    template_spec: "{{ machine | ansible.builtin.combine(storage.template.spec, recursive=true) }}"
    data_volume_templates: "{{ storage.dataVolumeTemplates }}"
  vars:
    storage: "{{ disks | kubevirt.cdi.vm_disks }}"
    disks:
      - name: root
        container_disk:
          image: quay.io/containerdisks/debian:12
        bus: virtio
      - name: scratch
        empty_disk:
          capacity: 10Gi
        bus: virtio
        cache: none
    machine:
      domain:
        memory:
          guest: 2Gi
        devices:
          rng: {}
"""

RETURN = r"""
_value:
  description:
    - A part of the spec of a C(VirtualMachine).
    - Fields that are not requested are missing, so that KubeVirt's defaults apply.
  type: dict
  contains:
    dataVolumeTemplates:
      description: The volumes that KubeVirt creates with the machine. May be empty.
      type: list
      elements: dict
      sample:
        - metadata: {name: web-root}
          spec:
            sourceRef: {kind: DataSource, name: debian-12, namespace: images}
            storage: {resources: {requests: {storage: 20Gi}}}
    template:
      description: C(spec.domain.devices.disks) and C(spec.volumes) of the machine's template, with the settings of I/O
        threads and queues.
      type: dict
      sample:
        spec:
          domain:
            ioThreadsPolicy: auto
            devices:
              disks:
                - name: root
                  disk: {bus: virtio}
                  bootOrder: 1
          volumes:
            - name: root
              dataVolume: {name: web-root}
"""

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rendering import render
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import checked


def vm_disks(disks: Any, **options: Any) -> Any:
    """Ansible passes its own types. Before 2.19 it templates the result unless it is wrapped."""
    message = ""
    try:
        return wrap_var(render(checked(*json.loads(json.dumps([disks, options], default=str)))))
    except CdiError as exc:
        message = str(exc)
    # Outside of the handler: Ansible shows the message of each error in the chain, and only this one is redacted.
    raise AnsibleFilterError(f"vm_disks: {message}")


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"vm_disks": vm_disks}
