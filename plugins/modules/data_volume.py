#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: data_volume
short_description: Manage DataVolumes
version_added: 1.0.0
description:
  - Creates, changes or deletes one DataVolume, or any number of DataVolumes with O(data_volumes), and waits until CDI
    has filled them.
  - An unchanged volume costs one request, a list of unchanged volumes one request per namespace.
  - The spec of a DataVolume is immutable. If it differs from the requested spec, the task fails and names the options,
    unless O(on_drift=recreate).
  - A volume that was never filled has no data to lose, so correcting its spec recreates it without
    O(on_drift=recreate). A volume counts as never filled if no pod uses its claim, and either the claim is missing or
    not bound and CDI has not finished (for example because of a wrong URL, class or source, or because the import is
    still running), or CDI fills the claim in place and has written nothing. In case of doubt, the volume counts as
    filled. V(unfilled) in RV(drift) and RV(reason) report such a volume, also in check mode.
  - The stages of a multi-stage import (O(checkpoints), O(final_checkpoint)) are the only mutable part of the spec. New
    stages are applied to the existing volume. The task then waits for the phase C(Paused), or for completion with
    O(final_checkpoint=true).
  - If O(storage.size) or O(pvc.size) is larger than the volume, the claim is expanded with its data once the volume is
    filled. A smaller size is an error. The spec of the DataVolume keeps its original size, because it is immutable, and
    the new size is recorded in an annotation of the claim.
  - A volume is expanded when its claim has the requested size, or when only the file system remains to be expanded,
    which happens when a pod next uses the claim. Until then, it cannot be expanded again.
  - Data that is in use is not deleted, see O(when_in_use).
  - An existing claim with the name of the volume is an error, unless O(adopt_claim=true).
  - CDI before 1.62 can delete DataVolumes after they have succeeded (C(dataVolumeTTLSeconds)). The remaining claim then
    represents the volume. It is unchanged if its class, size, modes and kind of source match the options, it can be
    expanded, and O(state=absent) deletes it with its data. The annotation
    C(cdi.kubevirt.io/storage.deleteAfterCompletion=false) makes CDI keep a DataVolume.
  - Before it creates a volume, the task checks the prerequisites, also in check mode, and fails before anything is
    written if one is not met. The namespace, the storage class, the source, and the Secrets, ConfigMaps, priority class
    and service account that the volume references must exist. The claim that CDI would create is submitted as a dry
    run, which a LimitRange, a ResourceQuota or a webhook can reject. Checks for which the user lacks permission are
    skipped.
  - Specify credentials with O(source.http.secret_ref) and similar options, not in a URL, which is visible to everyone
    who can read the DataVolume. In results, diffs and errors, the username, password and query of a URL are replaced by
    C(***).
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._create_namespace
  - kubevirt.cdi._force_conflicts
  - kubevirt.cdi._wait
  - kubevirt.cdi._progress
options:
  name:
    description: Name of the DataVolume and of its claim.
    type: str
  namespace: &namespace
    description:
      - Namespace of the DataVolume. It must exist, unless O(create_namespace=true).
      - If omitted, the namespace of the kubeconfig's context is used, as with C(kubectl), or the namespace of the pod
        whose service account is used.
      - If neither specifies a namespace, V(default) is used, and the task warns when it creates a volume there.
    type: str
  state: &state
    description:
      - V(present) creates the DataVolume if it does not exist.
      - V(absent) deletes the DataVolume. B(Its claim and data are also deleted), unless O(keep_claim=true). See
        O(when_in_use).
    type: str
    choices: [present, absent]
    default: present
  labels: &labels
    description:
      - Labels of the DataVolume. Other labels are kept. A label that the task set earlier and that is no longer listed
        is removed.
      - CDI copies them to the claim only when it creates the claim.
      - Quote values that YAML reads as numbers or booleans, because YAML does not preserve their spelling (V(1.10)
        becomes 1.1). The task warns about such values.
    type: dict
  annotations: &annotations
    description:
      - Annotations of the DataVolume. Other annotations are kept. An annotation that the task set earlier and that is
        no longer listed is removed.
      - CDI copies them to the claim only when it creates the claim. Quote values as described for O(labels).
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
            description: Name of a Secret with the credentials (C(accessKeyId), C(secretKey)), in the namespace of the
              volume.
            type: str
          cert_config_map: &cert_config_map
            description: Name of a ConfigMap with the CA of the server, in the namespace of the volume.
            type: str
          checksum:
            description: Algorithm (V(md5), V(sha1), V(sha256), V(sha512)) and digest that the file must have, for
              example V(sha256:...). Requires CDI 1.65 or newer.
            type: str
          extra_headers:
            description: Headers of the request. They are not included in results, but prefer
              O(source.http.secret_extra_headers) for secret values.
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
            description: Name of an ImageStream. Requires O(source.registry.pull_method=node).
            type: str
          pull_method:
            description: Whether a pod of CDI or the container runtime of the node pulls the image.
            type: str
            choices: [pod, node]
          secret_ref: *secret_ref
          cert_config_map:
            description: Name of a ConfigMap with the CA of the server, in the namespace of the volume. Its key must end
              in C(.crt), or since CDI 1.65 in C(.pem).
            type: str
          platform:
            description: Platform of the image, if the URL refers to an index of several images. Requires CDI 1.63 or
              newer.
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
        description: Data that a client uploads. It has no suboptions, like O(source.blank).
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
            description: Name of a Secret with the credentials (C(accessKeyId), C(secretKey)), in the namespace of the
              volume.
            type: str
            required: true
          cert_config_map: *cert_config_map
          insecure_skip_verify:
            description: Whether to skip the verification of the server's certificate. Required without
              O(source.imageio.cert_config_map). Requires CDI 1.64 or newer.
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
    description: An existing DataSource that defines the source of the data, instead of O(source).
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
    description: The volume, completed by CDI from the storage profile of its storage class. CDI chooses a value for
      each omitted suboption.
    type: dict
    suboptions:
      size: &size
        description:
          - Size of the disk, for example V(10Gi).
          - CDI adds the file system overhead with O(storage), but not with O(pvc).
          - It can be omitted from O(storage) for a clone, and for a disk image of O(source.http) whose size can be
            determined (see O(check_source)). It is required if the size is only known after unpacking the whole image,
            such as a compressed raw disk.
        type: str
      storage_class_name: &storage_class_name
        description:
          - Storage class. It must exist. If omitted, a default storage class must exist. Neither is required if an
            available PersistentVolume has the class, or if O(storage.volume_name) or O(storage.selector) selects one.
          - An empty string requests a PersistentVolume without a storage class, which is not the same as omitting the
            option.
        type: str
      volume_name: &volume_name
        description: Name of the PersistentVolume to bind.
        type: str
      access_modes: &access_modes
        description: Access modes. Exactly one is required with O(pvc).
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
        description: Like C(data_source_ref), but Kubernetes drops it if it is neither a PersistentVolumeClaim nor a
          VolumeSnapshot.
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
          - The object from which the storage driver or another volume populator, instead of CDI, fills the volume.
            Mutually exclusive with O(source).
          - The object is in the namespace of the volume. Unless it is a VolumeSnapshot, the storage class must belong
            to a CSI driver.
        type: dict
        suboptions: *populator
  pvc: &pvc
    description: The exact claim to create, instead of O(storage).
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
    description: Whether to allocate the whole size at once. If omitted, the configuration of the cluster applies.
    type: bool
  priority_class_name: &priority_class_name
    description: Priority class of the worker pods.
    type: str
  service_account_name: &service_account_name
    description: Service account of the worker pods. Requires CDI 1.65 or newer.
    type: str
  checkpoints: &checkpoints
    description: Stages of a multi-stage import, which O(source.vddk) and O(source.imageio) support. More stages can be
      added later.
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
    description: Whether the last of O(checkpoints) completes the import.
    type: bool
  binding: &binding
    description:
      - If the storage class delays binding until a pod uses the claim, V(wait_for_consumer) leaves the volume waiting
        for that pod, and the task succeeds.
      - V(immediate) makes CDI bind and fill the volume at once.
    type: str
    choices: [immediate, wait_for_consumer]
    default: wait_for_consumer
  check_source: &check_source
    description:
      - Whether to inspect the image of O(source.http) before a volume is created for it, also in check mode. The host
        that runs the task downloads the first bytes, with the CA, credentials and headers of the source if it can read
        them. It waits for a slow server for at most 10 seconds, or for 30 seconds if the task needs the answer because
        the volume has no size or O(check_source=always).
      - An image that does not exist (404), requires authorization (401, 403), is not a disk image (a web page), has a
        format that CDI cannot read, or does not fit into the volume is refused. RV(source_image) reports format and
        size.
      - With V(auto), a server that is unreachable from this host, or that fails, is not an error, because CDI's pods
        may reach it.
      - With V(always), an image that cannot be inspected is an error.
      - With V(never), nothing is downloaded. CDI then detects problems during the import, and stores a web page as a
        disk.
    type: str
    choices: [auto, always, never]
    default: auto
  adopt_claim: &adopt_claim
    description:
      - Whether an existing claim with the name of the volume becomes the claim of the volume, B(together with the data
        that it contains). Nothing is imported.
      - Its size, storage class and volume mode must match the options. Its data is not inspected, and is deleted with
        the volume.
    type: bool
    default: false
  on_drift: &on_drift
    description:
      - What to do with an existing DataVolume whose spec differs. A value that CDI chose for an omitted option is not a
        difference when the option is set to that value.
      - V(recreate) B(deletes the DataVolume with its claim and data), and creates it again. A volume that differs only
        by a smaller size is expanded instead, if possible. See O(when_in_use).
    type: str
    choices: [fail, recreate]
    default: fail
  when_in_use: &when_in_use
    description:
      - What O(on_drift=recreate) and O(state=absent) do with data that is in use. Users are pods that have not
        terminated and use the claim, the virtual machines for which these pods run, running or stopped virtual machines
        that reference the DataVolume or the claim, and DataVolumes that are being cloned from it.
      - V(fail) reports the users before anything is deleted, also in check mode. It requires permission to list pods.
        Without permission to list C(virtualmachines.kubevirt.io), the task warns that it did not look for stopped
        virtual machines.
      - V(delete) B(deletes the data while it is in use). The claim remains until its last pod has terminated. If that
        takes longer than O(wait_timeout), the task fails and reports that the volume was deleted, and which pod or
        finalizer blocks the deletion of its claim.
    type: str
    choices: [fail, delete]
    default: fail
  require_clone_method: &require_clone_method
    description:
      - The permitted clone methods. If CDI would use a different method, the task fails before anything is created or
        deleted, and reports the reason and the remedy. Without this option, CDI silently copies all data if no faster
        method is possible.
      - It applies to the clones that the task creates. An existing volume is not changed, regardless of its clone
        method.
      - The method is predicted with CDI's own rules (see P(kubevirt.cdi.clone_method#lookup)). If that is not possible
        because the source does not exist yet or a permission is missing, the task also fails. If CDI nevertheless uses
        a different method, that is an error.
      - The source can be another item of O(data_volumes). The clone is then checked after its source is filled, which
        requires O(wait=true). In check mode, the method of a clone whose source would be created is not checked.
    type: list
    elements: str
    choices: [snapshot, csi-clone, copy]
  keep_claim: &keep_claim
    description:
      - Whether to keep the claim with its data when the DataVolume is deleted. The DataVolume must then be filled.
      - O(adopt_claim=true) adds the claim to a DataVolume again.
    type: bool
    default: false
  wait_for: &wait_for
    description:
      - State to wait for. The default is V(upload_ready) for O(source.upload), and V(succeeded) for all other sources.
      - CDI reports a volume that it does not fill itself (O(storage.data_source_ref)) as succeeded at once. V(bound)
        waits until the claim is bound.
    type: str
    choices: [succeeded, bound, upload_ready]
  data_volumes:
    description: List of DataVolumes, instead of O(name) and the options of a single DataVolume.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the DataVolume and of its claim.
        type: str
        required: true
      namespace: *namespace
      state: *state
      labels: *labels
      annotations: *annotations
      source: *source
      source_ref: *source_ref
      storage: *storage
      pvc: *pvc
      content_type: *content_type
      preallocation: *preallocation
      priority_class_name: *priority_class_name
      service_account_name: *service_account_name
      checkpoints: *checkpoints
      final_checkpoint: *final_checkpoint
      binding: *binding
      check_source: *check_source
      adopt_claim: *adopt_claim
      on_drift: *on_drift
      when_in_use: *when_in_use
      require_clone_method: *require_clone_method
      keep_claim: *keep_claim
      wait_for: *wait_for
  verify_allocation:
    description:
      - Whether to measure the allocated bytes of each filled Filesystem volume, with a pod that runs for a few seconds
        and cannot write to the volume, like O(kubevirt.cdi.data_volume_info#module:verify_allocation).
      - Nothing is measured in check mode.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until the volumes are filled (see O(wait_for)), or deleted with O(state=absent).
      - The task does not wait in check mode.
  wait_timeout:
    description: Maximum time to wait, in seconds. The error then reports the phase, the conditions and the latest
      warnings.
    default: 600
  planned_sources:
    description:
      - Volumes that earlier tasks of the play create, as C(name) in O(namespace) or as C(namespace/name). In check
        mode, these volumes do not exist, and clones of them are not refused for that reason.
      - Sources that are items of O(data_volumes) need not be listed.
    type: list
    elements: str
    default: []
seealso:
  - module: kubevirt.cdi.cdi_config
  - plugin: kubevirt.cdi.clone_method
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Import an image
  kubevirt.cdi.data_volume:
    name: golden
    namespace: images
    source:
      http:
        url: https://images.example.com/debian-12.qcow2
        checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    storage:
      size: 10Gi

- name: Import an image into a volume of the size of its disk
  kubevirt.cdi.data_volume:
    name: fedora
    namespace: images
    create_namespace: true
    source:
      http:
        url: https://images.example.com/fedora-42.qcow2
    storage:
      storage_class_name: fast

- name: Clone it, and register how CDI cloned it
  kubevirt.cdi.data_volume:
    name: vm-1
    namespace: images
    source:
      pvc:
        name: golden
    storage:
      size: 10Gi
  register: result

- name: Expand it with its data
  kubevirt.cdi.data_volume:
    name: vm-1
    namespace: images
    source:
      pvc:
        name: golden
    storage:
      size: 20Gi

- name: Delete a DataVolume and keep its claim with the data
  kubevirt.cdi.data_volume:
    name: vm-1
    namespace: images
    state: absent
    keep_claim: true

- name: Create a DataVolume for an existing claim, and keep its data
  kubevirt.cdi.data_volume:
    name: vm-1
    namespace: images
    source:
      blank: {}
    storage:
      size: 10Gi
    adopt_claim: true

- name: Create a preallocated volume, and verify the allocation
  kubevirt.cdi.data_volume:
    name: database
    namespace: images
    source:
      blank: {}
    storage:
      size: 5Gi
    preallocation: true
    verify_allocation: true
  register: result
  failed_when: >-
    result is failed
    or (not ansible_check_mode
    and result.allocation.allocated_bytes | default(0, true) < result.allocation.size_bytes | default(1, true))

- name: Replace a volume even if it is in use
  kubevirt.cdi.data_volume:
    name: golden
    namespace: images
    source:
      http:
        url: https://images.example.com/debian-13.qcow2
    storage:
      size: 10Gi
    on_drift: recreate
    when_in_use: delete

- name: Copy the next stage of a virtual machine's disk, and pause until the last stage
  kubevirt.cdi.data_volume:
    name: migrated
    namespace: images
    source:
      vddk:
        url: https://vcenter.example.com
        uuid: 52260566-b032-36cb-55b1-79bf29e30490
        backing_file: "[datastore] vm/vm.vmdk"
        thumbprint: 20:6C:8A:5D:44:40:B3:79:4B:28:EA:76:13:60:90:6E:49:D9:D9:A3
        secret_ref: vcenter
    storage:
      size: 40Gi
    checkpoints:
      - previous: ""
        current: snapshot-1
      - previous: snapshot-1
        current: snapshot-2
    final_checkpoint: false

- name: Clone a large volume, and fail before anything is created if CDI would copy all data
  kubevirt.cdi.data_volume:
    name: vm-2
    namespace: images
    source:
      pvc:
        name: golden
    storage:
      size: 2Ti
    require_clone_method: [snapshot, csi-clone]

- name: Manage many volumes with one task
  kubevirt.cdi.data_volume:
    namespace: images
    data_volumes:
      - name: scratch
        source:
          blank: {}
        storage:
          size: 5Gi
        preallocation: true
      - name: old
        state: absent
"""

RETURN = r"""
name:
  description: Name of the DataVolume.
  returned: when O(name) was given
  type: str
  sample: golden
namespace:
  description: Namespace of the DataVolume.
  returned: when O(name) was given
  type: str
  sample: images
data_volume:
  description: The DataVolume, empty if it was deleted. In check mode, the DataVolume as it would be.
  returned: when O(name) was given
  type: dict
  sample: {kind: DataVolume, metadata: {name: golden, namespace: images}, status: {phase: Succeeded}}
phase:
  description: Phase of the DataVolume, null if CDI has not set one.
  returned: when O(name) was given
  type: str
  sample: Succeeded
clone:
  description: How CDI cloned the volume.
  returned: when O(name) was given
  type: dict
  contains:
    method:
      description: V(snapshot), V(csi-clone) or V(copy). Null for a volume that is not a clone, or if CDI has not chosen
        a method.
      returned: success
      type: str
      sample: copy
    fallback:
      description: Whether CDI could not use its preferred method. Only known if the task changed the volume and waited
        for it.
      returned: success
      type: bool
      sample: true
    fallback_reason:
      description: Reason for the fallback, as CDI reports it.
      returned: success
      type: str
      sample: No compatible volumesnapshotclass found
    phase:
      description: Phase of the clone.
      returned: success
      type: str
      sample: Succeeded
    error:
      description: Error of the clone.
      returned: success
      type: str
      sample: null
    forced:
      description: Whether the method was requested with the annotation C(cdi.kubevirt.io/cloneType), which CDI follows
        without a check.
      returned: success
      type: bool
      sample: false
    predicted:
      description: Prediction from before the task created the clone. Null for a volume that is not a clone, or that
        already existed.
      returned: success
      type: dict
      contains:
        method:
          description: Predicted method, null if CDI could not choose one yet.
          returned: success
          type: str
          sample: copy
        forced:
          description: Whether the method was requested with an annotation.
          returned: success
          type: bool
          sample: false
        fallback:
          description: Whether CDI would not be able to use its preferred method.
          returned: success
          type: bool
          sample: true
        fallback_reason:
          description: Reason for the fallback, as CDI reports it.
          returned: success
          type: str
          sample: No compatible volumesnapshotclass found
        reason:
          description: One sentence that explains the method, or why there is none.
          returned: success
          type: str
          sample: "CDI falls back to copy: No compatible volumesnapshotclass found (none for driver csi.example.com)."
        remedy:
          description: The smallest change that would make the clone faster. Null if it is already as fast as possible.
          returned: success
          type: str
          sample: create a VolumeSnapshotClass for driver csi.example.com, if it supports snapshots
        error:
          description: What would prevent CDI from cloning, in CDI's words. The task refuses such a clone.
          returned: success
          type: str
          sample: null
        waits_for:
          description: What CDI had to wait for, for example the pods that use the source.
          returned: success
          type: list
          elements: str
          sample: []
preallocation:
  description:
    - Whether preallocation was requested, applied and possible, as
      RV(kubevirt.cdi.data_volume_info#module:data_volumes[].preallocation).
    - Facts that only the claim contains are null unless the task changed the volume and waited for it.
  returned: when O(name) was given
  type: dict
  sample: {requested: true, applied: false, supported: true, ignored: null}
allocation:
  description: Result of O(verify_allocation=true), as
    RV(kubevirt.cdi.data_volume_info#module:data_volumes[].allocation). Null otherwise.
  returned: when O(name) was given
  type: dict
  sample: {allocated_bytes: 10737422336, size_bytes: 10737418240, not_measured: null}
scratch:
  description:
    - The scratch space that is or was needed to fill the volume, as
      RV(kubevirt.cdi.data_volume_info#module:data_volumes[].scratch).
    - For an unchanged volume, only C(needed) and C(rule) are returned. In check mode, the values are predicted.
  returned: when O(name) was given
  type: dict
  sample:
    needed: true
    rule: Since 1.60 CDI stores every disk image from HTTP in scratch space before it converts it.
    storage_class_name: cheap
    storage_class_rule: It is configured as scratchSpaceStorageClass.
    size: 10855Mi
    problems: []
    observed: true
    left_over: null
source:
  description: Kind of the source, for example V(http), V(pvc) or V(source_ref).
  returned: when O(name) was given
  type: str
  sample: http
progress:
  description: Progress as CDI reports it, which may be V(N/A).
  returned: when O(name) was given
  type: str
  sample: 100.0%
restarts:
  description: Number of restarts of the worker.
  returned: when O(name) was given
  type: int
  sample: 0
size:
  description: Size that the DataVolume requests, null if a clone takes it from its source.
  returned: when O(name) was given
  type: str
  sample: 10Gi
capacity:
  description: Capacity of the claim. Null unless the task changed the volume and waited for it.
  returned: when O(name) was given
  type: str
  sample: 11Gi
storage_class_name:
  description: Storage class of the claim. Null unless the task changed the volume and waited for it.
  returned: when O(name) was given
  type: str
  sample: fast
volume_mode:
  description: Volume mode of the claim. Null unless the task changed the volume and waited for it.
  returned: when O(name) was given
  type: str
  sample: Filesystem
ready_after:
  description: Time from the creation of the DataVolume until it was ready, in seconds. Null while it is not ready.
  returned: when O(name) was given
  type: int
  sample: 42
drift:
  description:
    - How the existing DataVolume differed from the options.
    - V(none), V(missing), V(metadata) (labels, annotations, stages), V(growable) (a larger size), V(adoptable) (a claim
      with its name existed), V(recreate) or V(unfilled) (a different spec, and recreated because the volume was never
      filled).
    - Null for O(state=absent), and if the task failed before it was known.
  returned: when O(name) was given
  type: str
  sample: growable
reason:
  description: Why the DataVolume was recreated, or was deleted but not created again because the task failed. Null
    otherwise.
  returned: when O(name) was given
  type: str
  sample: "recreated because it was never filled, and source.http.url: 'https://images.example.com/debian.qcow' on the
    cluster, 'https://images.example.com/debian.qcow2' requested"
diagnosis:
  description: What prevents the volume from reaching the expected state, as
    RV(kubevirt.cdi.data_volume_info#module:data_volumes[].diagnosis). Null if it has reached that state.
  returned: when O(name) was given, also on failure
  type: dict
  sample:
    phase: ImportInProgress
    cause: source_not_found
    message: "Error: Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found"
    remedy: correct the URL
    since: "2026-01-31T12:00:00Z"
collected:
  description:
    - Whether CDI before 1.62 deleted the DataVolume after it had succeeded, as
      RV(kubevirt.cdi.data_volume_info#module:data_volumes[].collected). RV(phase) is then V(Succeeded), and
      RV(data_volume) is empty.
  returned: when O(name) was given
  type: bool
  sample: false
source_image:
  description:
    - Facts about the image of O(source.http) from before the import (see O(check_source)). Null for other sources, and
      for a volume that the task did not create.
  returned: when O(name) was given
  type: dict
  contains:
    checked:
      description: Whether the image was inspected.
      returned: success
      type: bool
      sample: true
    reason:
      description: Why the image could not be inspected, null if it was.
      returned: success
      type: str
      sample: https://images.example.com/debian-12.qcow2 cannot be reached from the host that runs the task (Name or
        service not known)
    format:
      description: V(raw), V(iso), V(qcow2), V(vmdk), V(vdi), V(vhd), V(vhdx) or V(tar).
      returned: success
      type: str
      sample: qcow2
    compression:
      description: V(gz), V(xz) or V(zst). Null if the image is not compressed.
      returned: success
      type: str
      sample: xz
    virtual_size:
      description: Size of the disk in bytes, null if it is only known after unpacking the whole image.
      returned: success
      type: int
      sample: 10737418240
    file_size:
      description: Size of the file in bytes, null if the server does not report it.
      returned: success
      type: int
      sample: 341966848
created_namespaces:
  description: Namespaces that were created (see O(create_namespace)), or would be created in check mode.
  returned: always
  type: list
  elements: str
  sample: [images]
duration:
  description: Duration of the task, in seconds.
  returned: success
  type: float
  sample: 12.5
data_volumes:
  description:
    - For each item of O(data_volumes), the values that are returned for a single volume, from RV(name) to
      RV(diagnosis), and whether it was changed.
    - The item of a failed volume also has C(error). Its other values report what was done before the failure.
  returned: when O(data_volumes) was given, also on failure
  type: list
  elements: dict
  sample: [{name: golden, namespace: images, changed: true, phase: Succeeded}]
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.data_volume import SPEC, check, run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
