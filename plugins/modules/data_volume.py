#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: data_volume
short_description: Declare DataVolumes
version_added: 1.0.0
description:
  - Declares one DataVolume by its options, or any number of them by O(data_volumes), and waits until CDI has filled them.
  - A volume that is as declared costs one request, a list of them one request for each namespace.
  - CDI cannot change the spec of a DataVolume. One that differs is an error that names the options, unless O(on_drift=recreate).
  - A volume that was never filled is created again when its spec is corrected, without asking, as there is nothing to lose. It was never filled when
    its claim is missing or not bound and CDI has not finished (a wrong URL, class or source, for example, or an import on its way), or when CDI
    fills the claim in place and has written nothing; and when no pod uses the claim. In doubt it was filled. V(unfilled) in RV(drift) and
    RV(reason) say so, also in check mode.
  - The stages of a multi-stage import (O(checkpoints), O(final_checkpoint)) are the one part of the spec that CDI lets change. Further ones are
    applied to the volume as it is. The task then waits for phase C(Paused), and with O(final_checkpoint=true) for the end.
  - A larger O(storage.size) or O(pvc.size) than the volume has makes its claim grow, with its data, once the volume is filled; a smaller one
    is an error. The DataVolume keeps the size that it was made with, as CDI changes it no more; the claim is annotated with the new one.
  - A volume has grown when its claim has the size, or when only the file system is left to grow, which happens when a pod next uses the claim.
    It cannot grow once more before that.
  - Data that are in use are not deleted, see O(when_in_use).
  - A claim of the volume's name that is there already is an error, unless O(adopt_claim=true).
  - CDI before 1.62 can delete DataVolumes that have succeeded (C(dataVolumeTTLSeconds)). The claim that it leaves then is the volume. It is
    unchanged when its class, size, modes and kind of source are as declared, it grows, and O(state=absent) deletes it with its data. The
    annotation C(cdi.kubevirt.io/storage.deleteAfterCompletion=false) makes CDI keep a DataVolume.
  - Before a volume is created, in check mode, too, the task looks at what it needs, and refuses it before anything is written. The namespace, the
    storage class, the source and the Secrets, ConfigMaps, priority class and service account that it names must exist, and the claim that CDI would
    make is tried by a dry run, which a LimitRange, a ResourceQuota or a webhook may refuse. What the user may not read is no obstacle.
  - Credentials belong into O(source.http.secret_ref) and its like, not into a URL, which everybody sees who may read the DataVolume. Results, diffs
    and errors have C(***) in the place of a URL's user, password and query.
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
    description: Name of the DataVolume, and of its claim.
    type: str
  namespace: &namespace
    description:
      - Namespace of the DataVolume. It must exist, unless O(create_namespace=true).
      - When none is given it is that of the kubeconfig's context, as C(kubectl) has it, or that of the pod whose service account is used.
      - When they name none either it is V(default), and the task warns when it creates a volume there.
    type: str
  state: &state
    description:
      - V(present) creates the DataVolume when there is none.
      - V(absent) deletes it. B(Its claim and data are deleted, too), unless O(keep_claim=true). See O(when_in_use).
    type: str
    choices: [present, absent]
    default: present
  labels: &labels
    description:
      - Labels. Other labels of the volume stay. A label that the task has set, and that is no longer listed, is removed.
      - CDI copies them to the claim only when it creates the claim.
      - Quote values that YAML takes for numbers or booleans, because YAML does not keep their spelling (V(1.10) becomes 1.1). The task warns of them.
    type: dict
  annotations: &annotations
    description:
      - Annotations. Other annotations of the volume stay. An annotation that the task has set, and that is no longer listed, is removed.
      - CDI copies them to the claim only when it creates the claim. Quote values as for O(labels).
    type: dict
  source: &source
    description: Where the data come from. Exactly one of the suboptions.
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
            description: Name of a Secret with the credentials (C(accessKeyId), C(secretKey)), in the volume's namespace.
            type: str
          cert_config_map: &cert_config_map
            description: Name of a ConfigMap with the server's CA, in the volume's namespace.
            type: str
          checksum:
            description: Algorithm (V(md5), V(sha1), V(sha256), V(sha512)) and digest that the file must have, for example V(sha256:...). Since CDI 1.65.
            type: str
          extra_headers:
            description: Headers of the request. They are not shown in results; what is secret is better kept in O(source.http.secret_extra_headers).
            type: list
            elements: str
          secret_extra_headers:
            description: Names of Secrets with headers of the request.
            type: list
            elements: str
      s3:
        description: An object in S3 storage.
        type: dict
        suboptions:
          url: &url
            description: URL of the object by HTTP, for example V(https://s3.example.com/bucket/disk.qcow2).
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
            description: URL of the image, C(docker://) or C(oci-archive://).
            type: str
          image_stream:
            description: Name of an ImageStream, with O(source.registry.pull_method=node).
            type: str
          pull_method:
            description: Who pulls the image.
            type: str
            choices: [pod, node]
          secret_ref: *secret_ref
          cert_config_map:
            description: Name of a ConfigMap with the server's CA under a key that ends in C(.crt) (since CDI 1.65 also C(.pem)), in the volume's namespace.
            type: str
          platform:
            description: Platform of the image, for an index of several. Since CDI 1.63.
            type: dict
            suboptions:
              architecture:
                description: Architecture, for example V(arm64).
                type: str
      pvc:
        description: A claim that is cloned.
        type: dict
        suboptions: &reference
          name:
            description: Name.
            type: str
            required: true
          namespace:
            description: Namespace, that of the volume when none is given.
            type: str
      snapshot:
        description: A VolumeSnapshot that is cloned.
        type: dict
        suboptions: *reference
      blank:
        description: An empty disk. Has no suboptions, so it is given by C({}), or by nothing at all behind its name.
        type: dict
        suboptions: {}
      upload:
        description: Data that a client sends. Has no suboptions, as O(source.blank).
        type: dict
        suboptions: {}
      imageio:
        description: A disk of oVirt.
        type: dict
        suboptions:
          url:
            description: URL of the engine.
            type: str
            required: true
          disk_id:
            description: ID of the disk.
            type: str
            required: true
          secret_ref: &required_secret_ref
            description: Name of a Secret with the credentials (C(accessKeyId), C(secretKey)), in the volume's namespace.
            type: str
            required: true
          cert_config_map: *cert_config_map
          insecure_skip_verify:
            description: Whether the server's certificate is not verified. Needed without O(source.imageio.cert_config_map). Since CDI 1.64.
            type: bool
      vddk:
        description: A disk of vSphere.
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
            description: Thumbprint of the host's certificate.
            type: str
            required: true
          secret_ref: *required_secret_ref
          init_image_url:
            description: Image with the VDDK library.
            type: str
          extra_args:
            description: Name of a ConfigMap with further arguments. Since CDI 1.63.
            type: str
  source_ref: &source_ref
    description: A DataSource, which must exist, that says where the data come from, instead of O(source).
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
        description: Namespace, that of the volume when none is given.
        type: str
  storage: &storage
    description: The volume, completed by CDI from the storage profile of its class. What is not given, CDI chooses.
    type: dict
    suboptions:
      size: &size
        description:
          - The size of the disk, for example V(10Gi).
          - CDI adds the overhead of the file system with O(storage), and not with O(pvc).
          - It can be left out of O(storage) for a clone, and for a disk image of O(source.http), which is looked at (O(check_source)). Of an image that
            tells its size only when all of it is unpacked, such as a compressed raw disk, it has to be given.
        type: str
      storage_class_name: &storage_class_name
        description:
          - Storage class. It must exist, and one must be the default when none is given, unless an available PersistentVolume has the class, or
            O(storage.volume_name) or O(storage.selector) name one.
          - An empty string asks for a PersistentVolume without a class. It is not the same as leaving the option out.
        type: str
      volume_name: &volume_name
        description: Name of a PersistentVolume to bind to.
        type: str
      access_modes: &access_modes
        description: Access modes. Exactly one with O(pvc).
        type: list
        elements: str
        choices: [ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod]
      volume_mode: &volume_mode
        description: Volume mode.
        type: str
        choices: [Filesystem, Block]
      selector: &selector
        description: Which PersistentVolumes may be bound to, by their labels.
        type: dict
        suboptions:
          match_labels:
            description: Labels with the values that they must have.
            type: dict
          match_expressions:
            description: What else must be true of their labels.
            type: list
            elements: dict
            suboptions:
              key:
                description: Label.
                type: str
                required: true
              operator:
                description: What must be true of it.
                type: str
                required: true
                choices: [In, NotIn, Exists, DoesNotExist]
              values:
                description: The values for V(In) and V(NotIn).
                type: list
                elements: str
      data_source: &data_source
        description: Like C(data_source_ref), but dropped by Kubernetes when it is neither a PersistentVolumeClaim nor a VolumeSnapshot.
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
            description: API group of the object, for example V(snapshot.storage.k8s.io). Only a PersistentVolumeClaim has none.
            type: str
      data_source_ref: &data_source_ref
        description:
          - The object from which something else than CDI fills the volume (the storage driver, or another volume populator), instead of O(source).
          - It is in the volume's namespace. The storage class must be of a CSI driver, unless it is a VolumeSnapshot.
        type: dict
        suboptions: *populator
  pvc: &pvc
    description: The claim exactly as it shall be, instead of O(storage).
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
        description: Volume attributes class.
        type: str
  content_type: &content_type
    description: Whether the data are a disk (V(kubevirt), which is CDI's default) or a tar archive.
    type: str
    choices: [kubevirt, archive]
  preallocation: &preallocation
    description: Whether the whole size is allocated at once. The cluster's configuration decides when it is not given.
    type: bool
  priority_class_name: &priority_class_name
    description: Priority class of the worker pods.
    type: str
  service_account_name: &service_account_name
    description: Service account of the worker pods. Since CDI 1.65.
    type: str
  checkpoints: &checkpoints
    description: Stages of a multi-stage import, which O(source.vddk) and O(source.imageio) have. Further ones may be added later.
    type: list
    elements: dict
    suboptions:
      previous:
        description: The checkpoint before, empty for the first.
        type: str
        required: true
      current:
        description: The checkpoint.
        type: str
        required: true
  final_checkpoint: &final_checkpoint
    description: Whether the last of O(checkpoints) ends the import.
    type: bool
  binding: &binding
    description:
      - With a class that binds when a pod uses the claim, V(wait_for_consumer) leaves the volume waiting for that pod, and the task is content.
      - V(immediate) makes CDI bind and fill it at once.
    type: str
    choices: [immediate, wait_for_consumer]
    default: wait_for_consumer
  check_source: &check_source
    description:
      - Whether the image of O(source.http) is looked at before a volume is created for it, in check mode, too. The host that runs the task fetches the
        first bytes, with the CA, the credentials and the headers that the source names where they may be read, for at most 3 seconds.
      - An image that is not there (404), may not be read (401, 403), is no disk image (a web page), has a format that CDI cannot read, or does not
        fit into the volume is refused. RV(source_image) tells format and size.
      - With V(auto), a server that this host does not reach, or that is in trouble, is no obstacle, because CDI's pods may reach it.
      - With V(always), an image that cannot be looked at is an error.
      - With V(never) nothing is fetched. CDI then finds out, and stores a web page as a disk.
    type: str
    choices: [auto, always, never]
    default: auto
  adopt_claim: &adopt_claim
    description:
      - Whether a claim of the volume's name that is there already becomes the volume's, B(with the data that it holds); nothing is imported.
      - Its size, storage class and volume mode must fit what is asked for. Its data are not looked at, and are deleted with the volume.
    type: bool
    default: false
  on_drift: &on_drift
    description:
      - What to do with a DataVolume of this name that has another spec. It is no difference to say what was left to CDI, and is as CDI has chosen.
      - V(recreate) B(deletes it with its claim and data), and creates it anew. A volume that only has to grow grows instead, if it can.
        See O(when_in_use).
    type: str
    choices: [fail, recreate]
    default: fail
  when_in_use: &when_in_use
    description:
      - What O(on_drift=recreate) and O(state=absent) do with data that somebody uses. These are pods that have not ended and use the claim, the
        virtual machines that they run for, virtual machines (also stopped ones) that name the DataVolume or the claim, and DataVolumes that are
        being cloned from it.
      - V(fail) names them, before anything is deleted, also in check mode. The account needs C(list) on pods for it. Without C(list) on
        C(virtualmachines.kubevirt.io) a warning says that stopped virtual machines were not looked for.
      - V(delete) B(deletes the data under them). The claim stays until its last pod has ended; when that takes longer than O(wait_timeout), the task
        fails, and says that the volume was deleted, and which pod or finalizer holds its claim.
    type: str
    choices: [fail, delete]
    default: fail
  require_clone_method: &require_clone_method
    description:
      - The methods by which a clone may be made. When CDI would take another one, the task fails before anything is created or deleted,
        and says why and what would help. Without this option CDI copies in silence when it can do no better.
      - It is about the clones that the task makes. A volume that exists is left as it is, by whatever method it was cloned.
      - CDI's choice is predicted by its own rules (see P(kubevirt.cdi.clone_method#lookup)). When that cannot be done, because the source does
        not exist yet or a right is missing, the task fails, too. A clone that CDI made by another method after all is an error.
      - The source may be another item of O(data_volumes). Then the clone is looked at when that is made, so it needs O(wait=true).
        In check mode, the method of a clone whose source is still to be created is not checked.
    type: list
    elements: str
    choices: [snapshot, csi-clone, copy]
  keep_claim: &keep_claim
    description:
      - Whether the claim, with its data, stays when the DataVolume is deleted, which then must be filled.
      - O(adopt_claim=true) makes it a DataVolume's again.
    type: bool
    default: false
  wait_for: &wait_for
    description:
      - What to wait for. The default is V(upload_ready) for O(source.upload), and V(succeeded) for all others.
      - CDI calls a volume that it does not fill itself (O(storage.data_source_ref)) succeeded at once; V(bound) waits until there is one.
    type: str
    choices: [succeeded, bound, upload_ready]
  data_volumes:
    description: Several DataVolumes, instead of O(name) and the options of one.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the DataVolume, and of its claim.
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
      - Whether the allocated bytes of each filled Filesystem volume are measured, by a pod that lives for some seconds and cannot write to the volume,
        as O(kubevirt.cdi.data_volume_info#module:verify_allocation) does.
      - In check mode nothing is measured.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until the volumes are filled (see O(wait_for)), or gone with O(state=absent).
      - Nothing is waited for in check mode.
  wait_timeout:
    description: The seconds to wait at most. The error then tells phase, conditions and the last warnings.
    default: 600
  planned_sources:
    description:
      - Volumes that earlier tasks of the play create, C(name) in O(namespace) or C(namespace/name). In check mode they do not exist, and a clone of
        one of them is not refused for that.
      - Sources that O(data_volumes) lists need not be named.
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

- name: Import an image whose disk tells its size
  kubevirt.cdi.data_volume:
    name: fedora
    namespace: images
    create_namespace: true
    source:
      http:
        url: https://images.example.com/fedora-42.qcow2
    storage:
      storage_class_name: fast

- name: Clone it, and print how CDI did
  kubevirt.cdi.data_volume:
    name: vm-1
    namespace: images
    source:
      pvc:
        name: golden
    storage:
      size: 10Gi
  register: result

- name: Let it grow, with its data
  kubevirt.cdi.data_volume:
    name: vm-1
    namespace: images
    source:
      pvc:
        name: golden
    storage:
      size: 20Gi

- name: Forget a DataVolume and keep its claim with the data
  kubevirt.cdi.data_volume:
    name: vm-1
    namespace: images
    state: absent
    keep_claim: true

- name: Make a DataVolume of a claim that is there, whose data shall stay
  kubevirt.cdi.data_volume:
    name: vm-1
    namespace: images
    source:
      blank: {}
    storage:
      size: 10Gi
    adopt_claim: true

- name: Make a volume whose whole size is allocated, and prove it
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
    or (not ansible_check_mode and result.allocation.allocated_bytes | default(0, true) < result.allocation.size_bytes | default(1, true))

- name: Replace a volume, whatever uses it
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

- name: Copy the next stage of a virtual machine's disk, which pauses until the last one
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

- name: Clone a large volume, and fail before anything is made when CDI would copy it byte by byte
  kubevirt.cdi.data_volume:
    name: vm-2
    namespace: images
    source:
      pvc:
        name: golden
    storage:
      size: 2Ti
    require_clone_method: [snapshot, csi-clone]

- name: Declare many volumes by one task
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
  description: The DataVolume, empty when it was deleted. In check mode as it would be.
  returned: when O(name) was given
  type: dict
  sample: {kind: DataVolume, metadata: {name: golden, namespace: images}, status: {phase: Succeeded}}
phase:
  description: Its phase, null when CDI has not said one.
  returned: when O(name) was given
  type: str
  sample: Succeeded
clone:
  description: How CDI cloned the volume.
  returned: when O(name) was given
  type: dict
  contains:
    method:
      description: V(snapshot), V(csi-clone) or V(copy); null for a volume that is no clone, or when CDI has not chosen.
      returned: success
      type: str
      sample: copy
    fallback:
      description: Whether CDI could not use the method that it wanted. Only known when the task changed and waited for the volume.
      returned: success
      type: bool
      sample: true
    fallback_reason:
      description: Why, in CDI's words.
      returned: success
      type: str
      sample: No compatible volumesnapshotclass found
    phase:
      description: The phase of the clone.
      returned: success
      type: str
      sample: Succeeded
    error:
      description: What is wrong with the clone.
      returned: success
      type: str
      sample: null
    forced:
      description: Whether somebody asked for the method by the annotation C(cdi.kubevirt.io/cloneType), which CDI follows without a check.
      returned: success
      type: bool
      sample: false
    predicted:
      description: What was predicted before the task made the clone. Null for what is no clone, or was there already.
      returned: success
      type: dict
      contains:
        method:
          description: The method, null when CDI could not choose one yet.
          returned: success
          type: str
          sample: copy
        forced:
          description: Whether the method was asked for by an annotation.
          returned: success
          type: bool
          sample: false
        fallback:
          description: Whether CDI would not be able to use the method that it wanted.
          returned: success
          type: bool
          sample: true
        fallback_reason:
          description: Why, in CDI's words.
          returned: success
          type: str
          sample: No compatible volumesnapshotclass found
        reason:
          description: One sentence on why it would be this method, or none.
          returned: success
          type: str
          sample: "CDI falls back to copy: No compatible volumesnapshotclass found (none is of driver csi.example.com)."
        remedy:
          description: The one change (or the fewest) that would make the clone faster. Null when it is as fast as can be.
          returned: success
          type: str
          sample: make a VolumeSnapshotClass for driver csi.example.com, if that can take snapshots
        error:
          description: What would keep CDI from cloning, in its words. The task refuses such a clone.
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
    - Whether preallocation was asked for, applied and possible, as RV(kubevirt.cdi.data_volume_info#module:data_volumes[].preallocation).
    - What only the claim tells is null unless the task changed and waited for the volume.
  returned: when O(name) was given
  type: dict
  sample: {requested: true, applied: false, supported: true, ignored: null}
allocation:
  description: What O(verify_allocation=true) has measured, as RV(kubevirt.cdi.data_volume_info#module:data_volumes[].allocation). Null without it.
  returned: when O(name) was given
  type: dict
  sample: {allocated_bytes: 10737422336, size_bytes: 10737418240, not_measured: null}
scratch:
  description:
    - The scratch space that filling the volume takes or took, as RV(kubevirt.cdi.data_volume_info#module:data_volumes[].scratch).
    - An unchanged volume has only C(needed) and C(rule); in check mode it is predicted.
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
  description: The kind of the source, for example V(http), V(pvc) or V(source_ref).
  returned: when O(name) was given
  type: str
  sample: http
progress:
  description: Progress as CDI tells it, which may be V(N/A).
  returned: when O(name) was given
  type: str
  sample: 100.0%
restarts:
  description: How often the worker was started again.
  returned: when O(name) was given
  type: int
  sample: 0
size:
  description: The size that the DataVolume asks for, null when a clone leaves it to its source.
  returned: when O(name) was given
  type: str
  sample: 10Gi
capacity:
  description: Capacity of the claim. Null unless the task changed and waited for the volume.
  returned: when O(name) was given
  type: str
  sample: 11Gi
storage_class_name:
  description: Storage class of the claim. Null unless the task changed and waited for the volume.
  returned: when O(name) was given
  type: str
  sample: fast
volume_mode:
  description: Volume mode of the claim. Null unless the task changed and waited for the volume.
  returned: when O(name) was given
  type: str
  sample: Filesystem
ready_after:
  description: The seconds from the creation of the DataVolume until it was ready, null before.
  returned: when O(name) was given
  type: int
  sample: 42
drift:
  description:
    - How the DataVolume differed from what is asked for.
    - V(none), V(missing), V(metadata) (labels, annotations, stages), V(growable) (a larger size), V(adoptable) (a claim of its name was there),
      V(recreate) or V(unfilled) (another spec, and recreated because it was never filled).
    - Null for O(state=absent), and for a volume that failed before it was known.
  returned: when O(name) was given
  type: str
  sample: growable
reason:
  description: Why the DataVolume was recreated, or deleted and then not created again because the task failed. Null for all others.
  returned: when O(name) was given
  type: str
  sample: "recreated because it was never filled, and source.http.url: 'https://images.example.com/debian.qcow' on the cluster,
    'https://images.example.com/debian.qcow2' requested"
diagnosis:
  description: What keeps the volume from where it should be, as RV(kubevirt.cdi.data_volume_info#module:data_volumes[].diagnosis). Null when it is there.
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
    - Whether CDI before 1.62 has deleted the DataVolume after it had succeeded, as
      RV(kubevirt.cdi.data_volume_info#module:data_volumes[].collected). RV(phase) is V(Succeeded) then, and RV(data_volume) is empty.
  returned: when O(name) was given
  type: bool
  sample: false
source_image:
  description:
    - What is known of the image of O(source.http) before the import (see O(check_source)). Null for a volume that was not created by the task, and for
      other sources.
  returned: when O(name) was given
  type: dict
  contains:
    checked:
      description: Whether the image was looked at.
      returned: success
      type: bool
      sample: true
    reason:
      description: Why it could not be looked at, null when it was.
      returned: success
      type: str
      sample: https://images.example.com/debian-12.qcow2 cannot be reached from the host that runs the task (Name or service not known)
    format:
      description: V(raw), V(iso), V(qcow2), V(vmdk), V(vdi), V(vhd), V(vhdx) or V(tar).
      returned: success
      type: str
      sample: qcow2
    compression:
      description: V(gz), V(xz) or V(zst), null for an image that is not compressed.
      returned: success
      type: str
      sample: xz
    virtual_size:
      description: The size of the disk in bytes, null when only unpacking all of it would tell.
      returned: success
      type: int
      sample: 10737418240
    file_size:
      description: The size of the file in bytes, null when the server does not say.
      returned: success
      type: int
      sample: 341966848
created_namespaces:
  description: The namespaces that were created (see O(create_namespace)), in check mode those that would be.
  returned: always
  type: list
  elements: str
  sample: [images]
duration:
  description: The seconds that the task took.
  returned: success
  type: float
  sample: 12.5
data_volumes:
  description:
    - For each of O(data_volumes) the facts that are returned for one volume, RV(name) to RV(diagnosis), and whether it was changed.
    - The item of a volume that failed has C(error), too. Its other facts say what was done to it before that.
  returned: when O(data_volumes) was given, also on failure
  type: list
  elements: dict
  sample: [{name: golden, namespace: images, changed: true, phase: Succeeded}]
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.data_volume import SPEC, check, run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
