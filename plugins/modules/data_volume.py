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
  - CDI cannot change the spec of a DataVolume. One that differs is an error that names the fields, unless O(on_drift=recreate).
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._force_conflicts
  - kubevirt.cdi._wait
options:
  name:
    description: Name of the DataVolume, and of its claim.
    type: str
  namespace: &namespace
    description: Namespace of the DataVolume, which must exist. V(default) when none is given.
    type: str
  state: &state
    description:
      - V(present) creates the DataVolume when there is none.
      - V(absent) deletes it. B(Its claim and data are deleted, too), unless O(keep_claim=true).
    type: str
    choices: [present, absent]
    default: present
  labels: &labels
    description: Labels. Other labels of the volume stay. CDI copies them to the claim only when it creates the claim.
    type: dict
  annotations: &annotations
    description: Annotations. Other annotations of the volume stay. CDI copies them to the claim only when it creates the claim.
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
            description: Algorithm and digest, for example V(sha256:...), that the file must have. Since CDI 1.65.
            type: str
          extra_headers:
            description: Headers of the request.
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
            description: URL of the object.
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
          cert_config_map: *cert_config_map
          platform:
            description: Platform of the image, for an index of several.
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
        description: An empty disk. Has no suboptions.
        type: dict
        suboptions: {}
      upload:
        description: Data that a client sends. Has no suboptions.
        type: dict
        suboptions: {}
      imageio:
        description: A disk of oVirt.
        type: dict
        suboptions:
          url: *url
          disk_id:
            description: ID of the disk.
            type: str
            required: true
          secret_ref: *secret_ref
          cert_config_map: *cert_config_map
          insecure_skip_verify:
            description: Whether the server's certificate is not verified. Since CDI 1.64.
            type: bool
      vddk:
        description: A disk of vSphere.
        type: dict
        suboptions:
          url:
            description: URL of the vCenter or ESXi host.
            type: str
          uuid:
            description: UUID of the virtual machine.
            type: str
          backing_file:
            description: Path of the disk.
            type: str
          thumbprint:
            description: Thumbprint of the host's certificate.
            type: str
          secret_ref: *secret_ref
          init_image_url:
            description: Image with the VDDK library.
            type: str
          extra_args:
            description: Name of a ConfigMap with further arguments. Since CDI 1.63.
            type: str
  source_ref: &source_ref
    description: A DataSource that says where the data come from, instead of O(source).
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
    suboptions: &target
      size:
        description:
          - The size of the disk, for example V(10Gi).
          - CDI adds the overhead of the file system with O(storage), and not with O(pvc). A clone by O(storage) can do without.
        type: str
      storage_class_name:
        description: Storage class.
        type: str
      volume_name:
        description: Name of a PersistentVolume to bind to.
        type: str
      access_modes:
        description: Access modes.
        type: list
        elements: str
        choices: [ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod]
      volume_mode:
        description: Volume mode.
        type: str
        choices: [Filesystem, Block]
      selector:
        description: Selector of PersistentVolumes, as in a claim.
        type: dict
  pvc: &pvc
    description: The claim exactly as it shall be, instead of O(storage).
    type: dict
    suboptions: *target
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
    description: Stages of a multi-stage import.
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
  on_drift: &on_drift
    description:
      - What to do with a DataVolume of this name that has another spec.
      - V(recreate) B(deletes it with its claim and data), and creates it anew.
    type: str
    choices: [fail, recreate]
    default: fail
  keep_claim: &keep_claim
    description: Whether the claim, with its data, stays when the DataVolume is deleted.
    type: bool
    default: false
  wait_for: &wait_for
    description:
      - What to wait for. The default is V(upload_ready) for O(source.upload), and V(succeeded) for all others.
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
      on_drift: *on_drift
      keep_claim: *keep_claim
      wait_for: *wait_for
  wait:
    description:
      - Whether to wait until the volumes are filled (see O(wait_for)), or gone with O(state=absent).
      - Nothing is waited for in check mode.
  wait_timeout:
    description: The seconds to wait at most. The error then tells phase, conditions and the last warnings.
    default: 600
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
preallocation:
  description:
    - Whether preallocation was asked for, applied and possible, as RV(kubevirt.cdi.data_volume_info#module:data_volumes[].preallocation).
    - What only the claim tells is null unless the task changed and waited for the volume.
  returned: when O(name) was given
  type: dict
  sample: {requested: true, applied: false, supported: true, ignored: null}
scratch:
  description:
    - The scratch space that filling the volume takes or took, as RV(kubevirt.cdi.data_volume_info#module:data_volumes[].scratch).
    - An unchanged volume has only C(needed) and C(rule); in check mode it is foretold.
  returned: when O(name) was given
  type: dict
  sample:
    needed: true
    rule: Since 1.60 CDI stores every disk image from HTTP in scratch space before it converts it.
    storage_class_name: cheap
    size: 11Gi
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
duration:
  description: The seconds that the task took.
  returned: success
  type: float
  sample: 12.5
data_volumes:
  description:
    - For each of O(data_volumes) the facts that are returned for one volume, RV(name) to RV(ready_after), and whether it was changed.
    - The item of a volume that failed has C(error), too.
  returned: when O(data_volumes) was given, also on failure
  type: list
  elements: dict
  sample: [{name: golden, namespace: images, changed: true, phase: Succeeded}]
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume_task import SPEC, check, run
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import run as run_module


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
