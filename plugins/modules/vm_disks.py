#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: vm_disks
short_description: Declare the disks of KubeVirt virtual machines that exist
version_added: 1.0.0
description:
  - Adds, changes and removes disks of C(VirtualMachine) objects, together with their volumes. The machines themselves
    are created by C(kubevirt.core.kubevirt_vm), a manifest or a GitOps controller.
  - The disks of a machine that is stopped are changed in its template, from which KubeVirt makes the next instance. The
    disks of a machine that runs are changed in its template and in the running instance, if KubeVirt can attach and
    detach them while the machine runs. Otherwise, RV(restart_required) lists the disks that need a restart, and why.
  - Everything is checked before the first write. That includes the rules of KubeVirt for the whole machine, whether
    the claims and DataVolumes exist and can be used, and the feature gates of KubeVirt.
  - Only the declared disks are written, by a JSON patch that tests what it replaces. Disks of other clients are kept,
    and a disk that another client changes at the same time is a conflict, which the task reports.
  - Detaching a disk keeps its volume and its data, unless C(delete_volume=true).
  - If a machine should run and does not, the task finds the cause, also if it has nothing to change, and with
    C(disks=[]). It is in RV(diagnosis), in RV(message), and in a warning. The task fails only if it has to attach disks
    to the machine.
  - With many machines, the task reads them by one list for each namespace. See O(machines).
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._wait
  - kubevirt.cdi._progress
options:
  name:
    description: Name of the virtual machine. It must exist. Mutually exclusive with O(machines).
    type: str
  namespace: &namespace
    description: Namespace of the virtual machine. If omitted, the namespace of the kubeconfig's context is used, as
      with C(kubectl).
    type: str
  disks: &disks
    description:
      - The disks of the machine. The options are those of the filter P(kubevirt.cdi.vm_disks#filter), and
        O(disks[].state), O(disks[].size) and O(disks[].delete_volume).
      - An entry declares the disk as a whole. An option that is left out resets its field, except for
        O(disks[].bus) and O(disks[].hotpluggable), which keep the stored value.
      - Required with O(name).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the disk and of its volume, a DNS label of at most 63 characters.
        type: str
        required: true
      state:
        description: V(absent) detaches the disk. The volume and its data are kept, unless C(delete_volume=true).
        type: str
        choices: [present, absent]
        default: present
      size:
        description:
          - Size of the disk, for example V(20Gi), to which the claim of C(persistent_volume_claim) or C(data_volume)
            grows, also while the machine runs. A smaller size than that of the disk is refused.
          - For C(data_volume_template), the size of its C(storage) or C(pvc) is used.
        type: str
      delete_volume:
        description:
          - Whether to delete the DataVolume, or the claim without a DataVolume, of a disk with C(state=absent),
            B(together with its data), after the disk has been detached.
          - A volume that a pod or another machine uses is not deleted, and the task fails before it changes the
            machine.
        type: bool
        default: false
      type:
        description: Type of the device.
        type: str
        choices: [disk, lun, cdrom]
        default: disk
      bus:
        description: Bus of the device. Without it, KubeVirt uses V(sata) on amd64, on which no disk can be attached
          while the machine runs.
        type: str
        choices: [virtio, scsi, sata, usb]
      tray:
        description: State of the tray. Only for C(type=cdrom).
        type: str
        choices: ["open", closed]
      read_only:
        description: Whether the guest can only read the disk.
        type: bool
      reservation:
        description: Whether the guest can use persistent SCSI reservations. Only for C(type=lun).
        type: bool
      hotpluggable:
        description:
          - Whether KubeVirt can attach and detach the volume while the machine runs.
          - Without it, the task sets it for volumes that are attached while the machine runs.
        type: bool
      pci_address:
        description: PCI address of the disk in the guest. Only for C(type=disk) on C(bus=virtio).
        type: str
      boot_order:
        description: Number of the disk in the order of boot devices, from 1.
        type: int
      serial:
        description: Serial number by which the guest finds the disk. Only for C(type=disk). KubeVirt 1.8 converts that
          of a disk that is attached while the machine runs to lower case, until the machine restarts.
        type: str
      tag:
        description: Tag of the device.
        type: str
      cache:
        description: Cache mode of the host.
        type: str
        choices: [none, writethrough, writeback]
      io:
        description: I/O mode of QEMU.
        type: str
        choices: [native, threads]
      error_policy:
        description: What happens when a read or write fails.
        type: str
        choices: [stop, ignore, report, enospace]
      block_size:
        description: Block size of the disk, either C(custom) or C(match_volume).
        type: dict
        suboptions:
          custom:
            description: Sizes of the blocks in bytes.
            type: dict
            suboptions:
              logical:
                description: Logical block size.
                type: int
                required: true
              physical:
                description: Physical block size.
                type: int
                required: true
              discard_granularity:
                description: Smallest amount that the guest can discard.
                type: int
          match_volume:
            description: Use the block size of the volume.
            type: dict
            suboptions:
              enabled:
                description: Whether the block size of the volume is used. KubeVirt's default is V(true).
                type: bool
      dedicated_io_thread:
        description: Whether the disk has an I/O thread of its own. Only for C(bus=virtio).
        type: bool
      shareable:
        description: Whether several machines can write the disk at the same time.
        type: bool
      changed_block_tracking:
        description: Whether KubeVirt tracks changed blocks for incremental backups.
        type: bool
      persistent_volume_claim:
        description: A claim.
        type: dict
        suboptions: &claim
          claim_name:
            description: Name of the claim.
            type: str
            required: true
          read_only:
            description: Whether the claim is mounted for reading only.
            type: bool
      data_volume:
        description: A DataVolume.
        type: dict
        suboptions:
          name:
            description: Name of the DataVolume.
            type: str
            required: true
      data_volume_template:
        description: A DataVolume that KubeVirt creates, and deletes with the machine. KubeVirt ignores changes of a
          template whose DataVolume exists.
        type: dict
        suboptions:
          name:
            description: Name of the DataVolume.
            type: str
            required: true
          labels: &labels
            description:
              - Labels of the DataVolume. Other labels are kept. A label that the task set earlier and that is no
                longer listed is removed.
              - CDI copies them to the claim only when it creates the claim.
              - Quote values that YAML reads as numbers or booleans, because YAML does not preserve their spelling
                (V(1.10) becomes 1.1). The task warns about such values.
            type: dict
          annotations: &annotations
            description:
              - Annotations of the DataVolume. Other annotations are kept. An annotation that the task set earlier and
                that is no longer listed is removed.
              - CDI copies them to the claim only when it creates the claim. Quote values as described for C(labels).
            type: dict
          source: &source
            description: Source of the data. Exactly one suboption must be set.
            type: dict
            suboptions:
              http:
                description: A file on an HTTP server.
                type: dict
                suboptions:
                  url:
                    description: URL of the file.
                    type: str
                    required: true
                  secret_ref: &secret_ref
                    description: Name of a Secret with the credentials (C(accessKeyId), C(secretKey)), in the
                      namespace of the volume.
                    type: str
                  cert_config_map: &cert_config_map
                    description: Name of a ConfigMap with the CA of the server, in the namespace of the volume.
                    type: str
                  checksum:
                    description: Algorithm (V(md5), V(sha1), V(sha256), V(sha512)) and digest that the file must have,
                      for example V(sha256:...). Requires CDI 1.65 or newer.
                    type: str
                  extra_headers:
                    description: Headers of the request. They are not included in results, but prefer
                      C(source.http.secret_extra_headers) for secret values.
                    type: list
                    elements: str
                  secret_extra_headers:
                    description: Names of Secrets that contain headers of the request.
                    type: list
                    elements: str
              s3:
                description: An object in S3 storage.
                type: dict
                suboptions:
                  url: &url
                    description: HTTP URL of the object, for example V(https://s3.example.com/bucket/disk.qcow2).
                    type: str
                    required: true
                  secret_ref: *secret_ref
                  cert_config_map: *cert_config_map
              gcs:
                description: An object in Google Cloud Storage.
                type: dict
                suboptions:
                  url: *url
                  secret_ref: *secret_ref
              registry:
                description: A containerDisk in a registry.
                type: dict
                suboptions:
                  url:
                    description: URL of the image, which begins with C(docker://) or C(oci-archive://).
                    type: str
                  image_stream:
                    description: Name of an ImageStream. Requires C(source.registry.pull_method=node).
                    type: str
                  pull_method:
                    description: Whether a pod of CDI or the container runtime of the node pulls the image.
                    type: str
                    choices: [pod, node]
                  secret_ref: *secret_ref
                  cert_config_map:
                    description: Name of a ConfigMap with the CA of the server, in the namespace of the volume. Its
                      key must end in C(.crt), or since CDI 1.65 in C(.pem).
                    type: str
                  platform:
                    description: Platform of the image, if the URL refers to an index of several images. Requires CDI
                      1.63 or newer.
                    type: dict
                    suboptions:
                      architecture:
                        description: Architecture, for example V(arm64).
                        type: str
              pvc:
                description: A claim to clone.
                type: dict
                suboptions: &reference
                  name:
                    description: Name.
                    type: str
                    required: true
                  namespace:
                    description: Namespace. If omitted, the namespace of the volume is used.
                    type: str
              snapshot:
                description: A VolumeSnapshot to clone.
                type: dict
                suboptions: *reference
              blank:
                description: An empty disk. It has no suboptions, so specify C({}) or nothing as its value.
                type: dict
                suboptions: {}
              upload:
                description: Data that a client uploads. It has no suboptions, like C(source.blank).
                type: dict
                suboptions: {}
              imageio:
                description: A disk of an oVirt virtual machine.
                type: dict
                suboptions:
                  url:
                    description: URL of the oVirt engine.
                    type: str
                    required: true
                  disk_id:
                    description: ID of the disk.
                    type: str
                    required: true
                  secret_ref: &required_secret_ref
                    description: Name of a Secret with the credentials (C(accessKeyId), C(secretKey)), in the
                      namespace of the volume.
                    type: str
                    required: true
                  cert_config_map: *cert_config_map
                  insecure_skip_verify:
                    description: Whether to skip the verification of the server's certificate. Required without
                      C(source.imageio.cert_config_map). Requires CDI 1.64 or newer.
                    type: bool
              vddk:
                description: A disk of a vSphere virtual machine.
                type: dict
                suboptions:
                  url:
                    description: URL of the vCenter or ESXi host.
                    type: str
                    required: true
                  uuid:
                    description: UUID of the virtual machine.
                    type: str
                    required: true
                  backing_file:
                    description: Path of the disk.
                    type: str
                    required: true
                  thumbprint:
                    description: Thumbprint of the certificate of the host.
                    type: str
                    required: true
                  secret_ref: *required_secret_ref
                  init_image_url:
                    description: Image that contains the VDDK library.
                    type: str
                  extra_args:
                    description: Name of a ConfigMap with additional arguments. Requires CDI 1.63 or newer.
                    type: str
          source_ref: &source_ref
            description: An existing DataSource that defines the source of the data, instead of C(source).
            type: dict
            suboptions:
              kind:
                description: Kind of the object.
                type: str
                choices: [DataSource]
                default: DataSource
              name:
                description: Name.
                type: str
                required: true
              namespace:
                description: Namespace. If omitted, the namespace of the volume is used.
                type: str
          storage: &storage
            description: The volume, completed by CDI from the storage profile of its storage class. CDI chooses a
              value for each omitted suboption.
            type: dict
            suboptions:
              size: &size
                description:
                  - Size of the disk, for example V(10Gi).
                  - CDI adds the file system overhead with C(storage), but not with C(pvc).
                  - It can be omitted from C(storage) for a clone, and for a disk image of C(source.http) whose size
                    can be determined (see C(check_source)). It is required if the size is only known after unpacking
                    the whole image, such as a compressed raw disk.
                type: str
              storage_class_name: &storage_class_name
                description:
                  - Storage class. It must exist. If omitted, a default storage class must exist. Neither is required
                    if an available PersistentVolume has the class, or if C(storage.volume_name) or
                    C(storage.selector) selects one.
                  - An empty string requests a PersistentVolume without a storage class, which is not the same as
                    omitting the option.
                type: str
              volume_name: &volume_name
                description: Name of the PersistentVolume to bind.
                type: str
              access_modes: &access_modes
                description: Access modes. Exactly one is required with C(pvc).
                type: list
                elements: str
                choices: [ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod]
              volume_mode: &volume_mode
                description: Volume mode.
                type: str
                choices: [Filesystem, Block]
              selector: &selector
                description: Selects the PersistentVolumes that can be bound, by their labels.
                type: dict
                suboptions:
                  match_labels:
                    description: Required labels and their values.
                    type: dict
                  match_expressions:
                    description: Further requirements for the labels.
                    type: list
                    elements: dict
                    suboptions:
                      key:
                        description: Key of the label.
                        type: str
                        required: true
                      operator:
                        description: Relation between the key and the values.
                        type: str
                        required: true
                        choices: [In, NotIn, Exists, DoesNotExist]
                      values:
                        description: Values for V(In) and V(NotIn).
                        type: list
                        elements: str
              data_source: &data_source
                description: Like C(data_source_ref), but Kubernetes drops it if it is neither a PersistentVolumeClaim
                  nor a VolumeSnapshot.
                type: dict
                suboptions: &populator
                  kind:
                    description: Kind of the object.
                    type: str
                    required: true
                  name:
                    description: Name of the object.
                    type: str
                    required: true
                  api_group:
                    description: API group of the object, for example V(snapshot.storage.k8s.io). Omit it only for a
                      PersistentVolumeClaim.
                    type: str
              data_source_ref: &data_source_ref
                description:
                  - The object from which the storage driver or another volume populator, instead of CDI, fills the
                    volume. Mutually exclusive with C(source).
                  - The object is in the namespace of the volume. Unless it is a VolumeSnapshot, the storage class
                    must belong to a CSI driver.
                type: dict
                suboptions: *populator
          pvc: &pvc
            description: The exact claim to create, instead of C(storage).
            type: dict
            suboptions:
              size: *size
              storage_class_name: *storage_class_name
              volume_name: *volume_name
              access_modes: *access_modes
              volume_mode: *volume_mode
              selector: *selector
              data_source: *data_source
              data_source_ref: *data_source_ref
              volume_attributes_class_name:
                description: Name of the VolumeAttributesClass.
                type: str
          content_type: &content_type
            description: Whether the data is a disk (V(kubevirt), the default of CDI) or a tar archive.
            type: str
            choices: [kubevirt, archive]
          preallocation: &preallocation
            description: Whether to allocate the whole size at once. If omitted, the configuration of the cluster
              applies.
            type: bool
          priority_class_name: &priority_class_name
            description: Priority class of the worker pods.
            type: str
          service_account_name: &service_account_name
            description: Service account of the worker pods. Requires CDI 1.65 or newer.
            type: str
          checkpoints: &checkpoints
            description: Stages of a multi-stage import, which C(source.vddk) and C(source.imageio) support. More
              stages can be added later.
            type: list
            elements: dict
            suboptions:
              previous:
                description: The previous checkpoint, empty for the first stage.
                type: str
                required: true
              current:
                description: The checkpoint of this stage.
                type: str
                required: true
          final_checkpoint: &final_checkpoint
            description: Whether the last of C(checkpoints) completes the import.
            type: bool
          binding: &binding
            description:
              - If the storage class delays binding until a pod uses the claim, V(wait_for_consumer) leaves the volume
                waiting for that pod, and the task succeeds.
              - V(immediate) makes CDI bind and fill the volume at once.
            type: str
            choices: [immediate, wait_for_consumer]
            default: wait_for_consumer
          adopt_claim: &adopt_claim
            description:
              - Whether an existing claim with the name of the volume becomes the claim of the volume, B(together with
                the data that it contains). Nothing is imported.
              - Its size, storage class and volume mode must match the options. Its data is not inspected, and is
                deleted with the volume.
            type: bool
            default: false
      container_disk:
        description: A disk image in a container image. Changes are lost when the instance ends.
        type: dict
        suboptions:
          image:
            description: The container image.
            type: str
            required: true
          path:
            description: Path of the disk image in the container image.
            type: str
          image_pull_secret:
            description: Name of the Secret with the credentials of the registry.
            type: str
          image_pull_policy:
            description: When the image is pulled.
            type: str
            choices: [Always, IfNotPresent, Never]
      ephemeral:
        description: A claim that is not changed. Changes are lost when the instance ends.
        type: dict
        suboptions:
          persistent_volume_claim:
            description: The claim.
            type: dict
            required: true
            suboptions: *claim
      empty_disk:
        description: An empty disk that is lost when the instance ends.
        type: dict
        suboptions:
          capacity:
            description: Size of the disk.
            type: str
            required: true
      host_disk:
        description: A disk image on the node.
        type: dict
        suboptions:
          path:
            description: Path of the image.
            type: str
            required: true
          type:
            description: Whether KubeVirt creates an image that does not exist.
            type: str
            required: true
            choices: [Disk, DiskOrCreate]
          capacity:
            description: Size of an image that KubeVirt creates.
            type: str
          shared:
            description: Whether several machines use the image.
            type: bool
      cloud_init_no_cloud: &cloud_init
        description: Data for cloud-init.
        type: dict
        suboptions:
          secret_ref:
            description: Secret with the user data.
            type: dict
            suboptions: &object
              name:
                description: Name.
                type: str
                required: true
          network_data_secret_ref:
            description: Secret with the network data.
            type: dict
            suboptions: *object
          user_data:
            description: User data.
            type: str
          user_data_base64:
            description: User data in base64.
            type: str
          network_data:
            description: Network data.
            type: str
          network_data_base64:
            description: Network data in base64.
            type: str
      cloud_init_config_drive: *cloud_init
      config_map:
        description: The files of a ConfigMap.
        type: dict
        suboptions:
          name:
            description: Name of the ConfigMap.
            type: str
            required: true
          optional: &optional
            description: Whether the machine starts if the object does not exist.
            type: bool
          volume_label: &volume_label
            description: Label of the file system.
            type: str
      secret:
        description: The files of a Secret.
        type: dict
        suboptions:
          secret_name:
            description: Name of the Secret.
            type: str
            required: true
          optional: *optional
          volume_label: *volume_label
      service_account:
        description: The token of a service account.
        type: dict
        suboptions:
          service_account_name:
            description: Name of the service account.
            type: str
            required: true
      downward_metrics:
        description: Metrics of the host. It has no suboptions, so specify C({}) or nothing as its value.
        type: dict
        suboptions: {}
      downward_api:
        description: Fields of the pod.
        type: dict
        suboptions:
          fields:
            description: The files.
            type: list
            elements: dict
            required: true
            suboptions:
              path:
                description: Path of the file.
                type: str
                required: true
              field_ref:
                description: A field of the pod.
                type: dict
                suboptions:
                  field_path:
                    description: Path of the field, for example V(metadata.labels).
                    type: str
                    required: true
                  api_version:
                    description: Version of the API.
                    type: str
              resource_field_ref:
                description: A resource of a container.
                type: dict
                suboptions:
                  resource:
                    description: The resource, for example V(limits.cpu).
                    type: str
                    required: true
                  container_name:
                    description: Name of the container.
                    type: str
                  divisor:
                    description: Unit of the value.
                    type: str
              mode:
                description: Permissions of the file.
                type: int
          volume_label: *volume_label
      sysprep:
        description: Answer files for Windows.
        type: dict
        suboptions:
          secret:
            description: A Secret with the files.
            type: dict
            suboptions: *object
          config_map:
            description: A ConfigMap with the files.
            type: dict
            suboptions: *object
      memory_dump:
        description: A claim for memory dumps, which is not a device.
        type: dict
        suboptions:
          claim_name:
            description: Name of the claim.
            type: str
            required: true
  purge: &purge
    description:
      - Whether to detach all disks of the machine that are not in O(disks), except for the volumes of memory dumps and
        file systems. These are the disks of the template, and those that only the running instance has, for example
        after C(virtctl addvolume) without C(--persist).
    type: bool
    default: false
  machines:
    description:
      - Several machines, instead of O(name). The error of one machine does not keep the others from their changes.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the virtual machine.
        type: str
        required: true
      namespace: *namespace
      disks:
        <<: *disks
        required: true
      purge: *purge
  wait:
    description:
      - Whether to wait until running machines have attached and detached the disks, and until disks have grown.
      - A volume that replaces another one of the same name is attached after the other one is detached, also without
        waiting.
      - The task does not wait in check mode.
  wait_timeout:
    description: Maximum time to wait, in seconds. The error then reports what each disk waits for. A problem that
      cannot heal by itself ends the task within seconds.
    default: 600
notes:
  - C(disks) and C(volumes) of a machine are lists without keys, so that no two clients can own one disk each by
    server-side apply. A client that applies the whole list removes disks that it does not list. Declare the same disks
    there, see P(kubevirt.cdi.vm_disks#filter).
  - Requires C(get), C(list), C(watch) and C(patch) on virtualmachines, and C(get), C(list) and C(watch) on
    virtualmachineinstances. With the feature gate C(HotplugVolumes), also C(update) on
    virtualmachineinstances/addvolume and virtualmachineinstances/removevolume in C(subresources.kubevirt.io).
  - To find why a machine does not run, the task lists the DataVolumes, claims, pods and events of its namespace, and
    the pods of C(virt-handler) in all namespaces. What the user may not list is left out.
  - The rules are those of KubeVirt 1.8.
seealso:
  - plugin: kubevirt.cdi.vm_disks
    plugin_type: filter
  - module: kubevirt.cdi.data_volume
"""

EXAMPLES = r"""
- name: Create the volume
  kubevirt.cdi.data_volume:
    name: web-data
    namespace: demo
    source: {blank: {}}
    storage: {size: 50Gi}

- name: Attach it, also while the machine runs
  kubevirt.cdi.vm_disks:
    name: web
    namespace: demo
    disks:
      - name: data
        data_volume: {name: web-data}
        bus: virtio
        serial: data

- name: Let it grow, also while the machine runs
  kubevirt.cdi.vm_disks:
    name: web
    namespace: demo
    disks:
      - name: data
        data_volume: {name: web-data}
        bus: virtio
        serial: data
        size: 100Gi

- name: Eject the installation medium, and boot from the disk
  kubevirt.cdi.vm_disks:
    name: web
    namespace: demo
    disks:
      - name: installer
        type: cdrom
        bus: sata
      - name: root
        data_volume: {name: web-root}
        bus: virtio
        boot_order: 1
  register: result

- name: Show what needs a restart
  ansible.builtin.debug:
    msg: "{{ result.message }}"
  when: result.restart_required | length > 0

- name: Detach a disk, and delete its volume with the data
  kubevirt.cdi.vm_disks:
    name: web
    namespace: demo
    disks:
      - name: data
        state: absent
        delete_volume: true

- name: Declare all disks of several machines that kubevirt.core.kubevirt_vm has created
  kubevirt.cdi.vm_disks:
    machines:
      - name: web-1
        namespace: demo
        purge: true
        disks:
          - name: root
            data_volume: {name: web-1-root}
            bus: virtio
      - name: web-2
        namespace: demo
        purge: true
        disks:
          - name: root
            data_volume: {name: web-2-root}
            bus: virtio
"""

RETURN = r"""
name:
  description: Name of the machine.
  returned: when O(name) was given
  type: str
  sample: web
namespace:
  description: Namespace of the machine.
  returned: when O(name) was given
  type: str
  sample: demo
running:
  description: Whether the machine has a running or starting instance.
  returned: when O(name) was given
  type: bool
  sample: true
disks:
  description: The disks of the machine, also those that are not declared, and those that the task has detached. In
    check mode, the disks as they would be.
  returned: when O(name) was given
  type: list
  elements: dict
  contains:
    name:
      description: Name of the disk.
      type: str
      sample: data
    type:
      description: V(disk), V(lun) or V(cdrom). Null for a detached disk and for a volume without a device.
      type: str
      sample: disk
    bus:
      description: Bus in the template, null if KubeVirt chooses it.
      type: str
      sample: virtio
    serial:
      description: Serial number by which the guest finds the disk.
      type: str
      sample: DATA
    volume:
      description: The volume, null if there is none.
      type: dict
      contains:
        type:
          description: The option of the volume. A C(data_volume_template) is a V(data_volume) after its creation.
          type: str
          sample: data_volume
        name:
          description: Name of the claim, DataVolume, object or image, null if the volume has none.
          type: str
          sample: web-data
    hotpluggable:
      description: Whether KubeVirt can attach and detach the volume while the machine runs.
      type: bool
      sample: true
    phase:
      description: Phase of the volume in the running instance, null if KubeVirt reports none. V(Ready) is an attached
        disk.
      type: str
      sample: Ready
    capacity_bytes:
      description: Capacity of the claim that the running instance knows.
      type: int
      sample: 53687091200
    io_threads:
      description: Numbers of the I/O threads that serve the disk after the next start of the machine.
      type: list
      elements: int
      sample: [1]
    action:
      description: What the task has done, or would do in check mode. V(attached), V(detached), V(changed),
        V(inserted), V(ejected), V(grown) or V(deleted) (only the volume). Null if nothing.
      type: str
      sample: attached
    restart_required:
      description: Why the running instance does not have the disk as declared before a restart, null if it has.
      type: str
      sample: the feature gates DeclarativeHotplugVolumes and HotplugVolumes of KubeVirt are off
io_threads:
  description: The I/O threads of the machine after its next start.
  returned: when O(name) was given
  type: dict
  contains:
    policy:
      description: The policy in effect, null without I/O threads.
      type: str
      sample: shared
    count:
      description: Number of threads.
      type: int
      sample: 1
    explanation:
      description: How the number follows from the policy.
      type: str
      sample: "Policy shared: one thread for all disks; this gives 1 shared thread."
restart_required:
  description: Names of the disks that the running machine does not have as declared before it is restarted.
  returned: when O(name) was given
  type: list
  elements: str
  sample: [root]
message:
  description: What needs a restart and why, what KubeVirt's condition RestartRequired says, which volumes are not
    filled yet, and why the machine does not run. Empty if there is nothing to say.
  returned: when O(name) was given
  type: str
  sample: Restart VirtualMachine demo/web to change disk 'root' (KubeVirt does not change the device of an attached
    disk).
diagnosis:
  description: Why the machine does not run although it should, or why the running instance does not attach its disks
    or boot. Null if it runs, if it is stopped, or if no problem is known.
  returned: when O(name) was given
  type: dict
  contains:
    phase:
      description: Phase of the instance, empty if there is none.
      type: str
      sample: Scheduling
    cause:
      description:
        - What the problem is. V(claim_missing), V(claim_pending), V(claim_in_use), V(wrong_volume_mode),
          V(volume_read_only), V(volume_elsewhere), V(volume_full) and V(mount_failed) concern the claim of a disk.
        - V(clone_not_permitted) and V(data_volume_refused) concern a DataVolume that KubeVirt creates,
          V(volume_filling) one that CDI fills without a known problem. The causes of one with a problem are those of
          RV(kubevirt.cdi.data_volume_info#module:data_volumes[].diagnosis.cause).
        - V(image_pull_failed), V(image_architecture), V(image_without_disk), V(image_not_readable),
          V(secret_missing) and V(config_map_missing) concern other volumes.
        - V(quota_exceeded), V(pod_refused), V(unschedulable), V(agent_down) and V(disk_not_supported) concern the
          machine. V(not_synchronized) is any other problem that KubeVirt reports,
          and V(not_processed) that it has reported nothing.
        - V(nothing_to_boot) is found on the console of a machine that runs, if its firmware prints there
          (C(firmware.bootloader.bios.useSerial)).
      type: str
      sample: image_pull_failed
    message:
      description: What is wrong, with the disk or the object.
      type: str
      sample: claim 'web-data' of disk 'data' does not exist; KubeVirt waits for it
    remedy:
      description: What to do.
      type: str
      sample: create it with module kubevirt.cdi.data_volume, or correct the name
    since:
      description: When the problem began, null if that is unknown.
      type: str
      sample: "2026-01-01T00:00:00Z"
error:
  description: Why the machine does not have its disks as declared.
  returned: when O(name) was given and the task failed
  type: str
  sample: "VirtualMachine demo/web: Disk 'data' uses DataVolume 'web-data', which does not exist; create it with module
    kubevirt.cdi.data_volume, or correct the name."
machines:
  description: The results of all machines, each with C(changed) and the values above, also when some have failed.
  returned: when O(machines) was given
  type: list
  elements: dict
  sample: [{name: web-1, namespace: demo, changed: true, running: true, disks: [], restart_required: [], message: ""}]
duration:
  description: Seconds that the task has taken.
  returned: always
  type: float
  sample: 4.2
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.vm_disks import SPEC, check, run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
