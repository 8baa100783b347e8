#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: volume_upload
short_description: Upload disk images and archives into volumes
version_added: 1.0.0
description:
  - Sends a file into a DataVolume, which it creates when there is none, or into an existing claim that takes uploads, and waits until CDI has made
    a disk of it. Any number of files is sent by one task with O(uploads).
  - The file's SHA-256 is kept on the claim. A volume that holds the file already is left alone, and no byte is sent.
  - The file is a disk image (raw, ISO, qcow2, vmdk, vhd, vhdx or vdi), as it is or compressed with gz, xz or zst, or a tar archive.
    Its first bytes tell which; its name does not count, but that a tar archive under a name that does not end like one needs O(content_type).
  - What is certainly no disk (a web page, a zip or bzip2 file, a program, for example), is cut off or damaged, is packed twice, or is an image that
    CDI does not convert (LUKS, QED, a part of a split vmdk, one with a backing file, for example) is an error before anything is made, which says
    what to do. A packed file is unpacked while its digest is taken, to see that it is whole, where it may be sent; of zst only the structure is
    looked at.
  - A block device is read like a file. A pipe, a socket or a directory is an error.
  - Where no size is given the image tells the size of its disk, and CDI adds the overhead of the volume's file system.
  - What is sent is the file whose digest was taken. If it changes while it is sent its last bytes are held back, and CDI discards the others.
  - An upload that is interrupted, on either side, is finished by running the task again.
  - Bytes behind the end of a packed file, as OpenWrt appends them, are not sent, and a warning says so; CDI would refuse them.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._create_namespace
  - kubevirt.cdi._progress
attributes:
  idempotent:
    support: partial
    details: With O(overwrite=always) each run uploads anew.
notes:
  - The file is read on the host that runs the task.
  - The way to CDI is O(upload_proxy_url), else the URL that CDI publishes (C(CDIConfig.status.uploadProxyURL)), else a port-forward through the
    API server to a pod of the upload proxy, for which nothing has to be exposed. When nothing answers at the published URL a warning says so
    and the port-forward is taken; a certificate that is not trusted there is an error. For O(upload_proxy_url) there is no other way.
  - CDI binds the volume at once, also one whose storage class binds when a pod uses the claim.
  - The certificate of the upload proxy is always verified.
  - "The account needs: C(get), C(list) and C(watch) on DataVolumes and claims, C(create) and C(patch) on DataVolumes, C(patch) on claims, C(create) on
    C(uploadtokenrequests), C(get) on the ConfigMap C(cdi-uploadproxy-signer-bundle) in CDI's namespace, if O(upload_proxy_url) and
    O(upload_proxy_ca) are not both given, and, for a port-forward, C(list) on pods and
    C(get) and C(create) on C(pods/portforward) there. Replacing needs C(delete) on DataVolumes, or C(delete) and C(create) on claims, and C(list) on
    pods, VirtualMachines and VolumeCloneSources, too; so does making anew what an unfinished upload has left, be it of another file or of an attempt
    before. O(on_failure=delete) needs C(delete) on DataVolumes. Missing rights are found before anything is made or deleted."
options:
  path:
    description: Path of the file or block device, on the host that runs the task. Required with O(name).
    type: path
    aliases: [src]
  name:
    description:
      - Name of the DataVolume, or of the claim.
      - A claim without a DataVolume takes uploads when its C(dataSourceRef) is a VolumeUploadSource, or when it has the annotation
        C(cdi.kubevirt.io/storage.upload.target).
    type: str
  namespace: &namespace
    description:
      - Namespace of the volume. It must exist, unless O(create_namespace=true).
      - When none is given it is that of the kubeconfig's context, as C(kubectl) has it, or that of the pod whose service account is used.
      - When they name none either it is V(default), and the task warns when it creates a volume there.
    type: str
  checksum: &checksum
    description:
      - C(sha256:) and the SHA-256 that the file has to have, verified before anything is created or sent.
      - When the volume is known to hold a file with this digest the local file is not even read, unless O(storage) or O(pvc) is given,
        with which the image has to be compared, or O(overwrite=always).
    type: str
  format: &format
    description:
      - V(raw) insists that the file, or what is packed in it, is a raw disk although it looks like something else, for example a data disk that is
        a tar archive.
      - It is an error for an image that CDI converts in any case, or that CDI itself refuses, such as LUKS.
    type: str
    choices: [auto, raw]
    default: auto
  overwrite: &overwrite
    description:
      - What to do with a volume that is already filled.
      - V(never) leaves it alone. When it holds another file, or one that is not known, or is another volume than is asked for (by its class
        or mode, for example), that is an error.
      - V(different) replaces it in each of these cases, also one that holds the same file. B(It is deleted with its data) and made anew.
      - A volume that holds the file and is only to be larger is an error with both, because M(kubevirt.cdi.data_volume) can make it grow with
        its data.
      - V(always) replaces it in any case. B(It is deleted with its data) and made anew.
      - A volume with nothing in it but an unfinished upload of another file is made anew in any case, and RV(reason) says so.
        A claim that takes uploads by an annotation may have older data, too. There, that is an error with V(never).
    type: str
    choices: [never, different, always]
    default: never
  when_in_use: &when_in_use
    description:
      - What to do when data are to be replaced that a pod, a virtual machine or a clone uses.
      - V(fail) is an error that names them, before anything is written. V(delete) deletes the data all the same.
    type: str
    choices: [fail, delete]
    default: fail
  on_failure: &on_failure
    description:
      - What to do with a DataVolume that the task has made and that it could not fill.
      - V(delete) takes it away again, unless CDI may still be at work on all that it was sent, or somebody else fills it. A volume that waits for data
        has a pod, which takes a share of its node.
      - V(keep) leaves it, so that it can be looked at. A volume that was there before is left in any case.
    type: str
    choices: [delete, keep]
    default: delete
  labels: &labels
    description: Labels of the DataVolume. Other labels stay. CDI copies them to the claim only when it creates the claim.
    type: dict
  annotations: &annotations
    description: Annotations of the DataVolume. Other annotations stay. CDI copies them to the claim only when it creates the claim.
    type: dict
  storage: &storage
    description:
      - The volume, completed by CDI from the storage profile of its class. What is not given, CDI chooses; the size is the image's.
      - A volume that is there stays as it is where nothing is given.
    type: dict
    suboptions: &target
      size:
        description:
          - The size of the disk, for example V(10Gi). One that is too small for the image is an error before anything is sent.
          - Without it the disk of the image counts, in whole MiB. An archive gets the size of its members, 10 per cent and 16 MiB.
          - It is required where only unpacking the whole file would tell, as with a tar archive in zst.
          - CDI adds the overhead of the file system with O(storage), and the module does with O(pvc) where no size is given.
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
  pvc: &pvc
    description: The claim exactly as it shall be, instead of O(storage).
    type: dict
    suboptions: *target
  content_type: &content_type
    description:
      - Whether the file is a disk (V(kubevirt)) or a tar archive whose members shall be unpacked (V(archive)).
      - When nothing is given a tar archive is one if its name ends in C(.tar), C(.tar.gz), C(.tgz) or the like, or the volume is one for archives. Under
        another name, or when it wraps a virtual machine (OVA, Vagrant box), it is an error that says which disk to take.
    type: str
    choices: [kubevirt, archive]
  preallocation: &preallocation
    description: Whether the whole size is allocated at once. The cluster's configuration decides when it is not given. CDI ignores it for archives.
    type: bool
  priority_class_name: &priority_class_name
    description: Priority class of the upload server's pod.
    type: str
  service_account_name: &service_account_name
    description: Service account of the upload server's pod. Since CDI 1.65.
    type: str
  uploads:
    description: Several files, instead of O(path), O(name) and the options of one.
    type: list
    elements: dict
    suboptions:
      path:
        description: Path of the file or block device, on the host that runs the task.
        type: path
        required: true
        aliases: [src]
      name:
        description: Name of the DataVolume, or of the claim.
        type: str
        required: true
      namespace: *namespace
      checksum: *checksum
      format: *format
      overwrite: *overwrite
      when_in_use: *when_in_use
      on_failure: *on_failure
      labels: *labels
      annotations: *annotations
      storage: *storage
      pvc: *pvc
      content_type: *content_type
      preallocation: *preallocation
      priority_class_name: *priority_class_name
      service_account_name: *service_account_name
  parallel:
    description: How many of O(uploads) run at the same time.
    type: int
    default: 2
  retries:
    description:
      - How often an upload is tried again after its connection broke, or its upload server was lost. Each time begins with the first byte,
        and in a DataVolume made anew when the remains of the attempt before leave too little room.
      - What CDI says against the image itself is not tried again. Waiting for an upload server that is busy, or that the upload proxy does not
        reach yet, does not count.
    type: int
    default: 4
  upload_proxy_url:
    description: URL of the upload proxy, V(https) only; what is before C(/v1beta1) of its path, too. Without it, the one that CDI publishes,
      else a port-forward.
    type: str
  upload_proxy_ca:
    description:
      - PEM certificates of the CAs that may have signed the certificate at the upload proxy's URL, for example an Ingress', beside the host's own.
      - CDI's own certificate is trusted without it, under the name of its service.
    type: str
  cdi_namespace:
    description: Namespace of CDI. Without it, the one that the APIService of the upload API names.
    type: str
  wait_timeout:
    description:
      - The seconds to wait at most until CDI is ready for the bytes, and again until it has made a disk of them.
      - Sending is not limited, but no longer than this may pass without a byte on its way, or with an upload server that is busy with what it
        was sent before. CDI answers when all is written, which takes long for a large disk that is well compressed.
    type: int
    default: 600
seealso:
  - module: kubevirt.cdi.data_volume
  - module: kubevirt.cdi.cdi_config
"""

EXAMPLES = r"""
- name: Upload an image into a volume of its size
  kubevirt.cdi.volume_upload:
    path: /images/debian-12.qcow2
    name: debian-12
    namespace: images

- name: Upload an ISO that has to be the right one, and replace an older one
  kubevirt.cdi.volume_upload:
    path: /images/installer.iso
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    name: installer
    namespace: images
    overwrite: different
    storage:
      storage_class_name: fast
      volume_mode: Block

- name: Upload a block device, here a logical volume, as a disk
  kubevirt.cdi.volume_upload:
    path: /dev/vg0/old-server
    name: old-server
    namespace: images

- name: Upload a data disk whose bytes are a tar archive, which the machine reads by itself
  kubevirt.cdi.volume_upload:
    path: /images/tape.tar
    name: tape
    namespace: images
    format: raw

- name: Unpack an archive into a file system
  kubevirt.cdi.volume_upload:
    path: /backups/www.tar.gz
    name: www
    namespace: shop
    content_type: archive
    storage:
      size: 20Gi

- name: Upload several files, three at a time
  kubevirt.cdi.volume_upload:
    namespace: images
    parallel: 3
    uploads:
      - path: /images/fedora.raw.xz
        name: fedora
      - path: /images/windows.vhdx
        name: windows
        storage:
          size: 80Gi
        preallocation: true
      - path: /images/appliance.vmdk
        name: appliance

- name: Upload through an Ingress with a certificate of its own
  kubevirt.cdi.volume_upload:
    path: /images/debian-12.qcow2
    name: debian-12
    namespace: images
    upload_proxy_url: https://cdi-uploadproxy.example.com
    upload_proxy_ca: "{{ lookup('ansible.builtin.file', '/etc/ssl/example-ca.pem') }}"
"""

RETURN = r"""
name:
  description: Name of the DataVolume or claim.
  returned: when O(name) was given
  type: str
  sample: debian-12
namespace:
  description: Namespace of the DataVolume or claim.
  returned: when O(name) was given
  type: str
  sample: images
action:
  description:
    - What was done, or in check mode would be done. V(uploaded), V(replaced) (deleted and uploaded anew), V(unchanged), or V(recorded) when an
      interrupted run had sent everything and only the digest had to be noted.
    - When the task failed, what it has left. V(created) is a volume that was made and is empty, V(begun) one into which the file was sent in part,
      V(deleted) one that was deleted with its data and not made anew, V(emptied) one that was deleted with its data and made anew, V(unchanged) that
      nothing was changed.
  returned: when O(name) was given
  type: str
  sample: uploaded
reason:
  description: Why the volume was replaced, else empty.
  returned: when O(name) was given
  type: str
  sample: ""
sha256:
  description: SHA-256 of the file, empty when the task failed before it was known.
  returned: when O(name) was given
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
format:
  description: Format of the image or archive, null when the file was not read.
  returned: when O(name) was given
  type: str
  sample: qcow2
compression:
  description: Compression of the file.
  returned: when O(name) was given
  type: str
  sample: xz
virtual_size:
  description: Size of the disk in the image, in bytes; for an archive the room that its members need. Null when the file does not tell.
  returned: when O(name) was given
  type: int
  sample: 10737418240
file_size:
  description: Size of the file, in bytes.
  returned: when O(name) was given
  type: int
  sample: 648806400
bytes_sent:
  description: Bytes sent by the last attempt, which are fewer than RV(file_size) when bytes behind the end of a packed file are left out.
  returned: when O(name) was given
  type: int
  sample: 648806400
seconds:
  description: The seconds that the last attempt took to send them.
  returned: when O(name) was given
  type: float
  sample: 5.21
mib_per_second:
  description: Its speed in MiB per second, null when nothing was sent.
  returned: when O(name) was given
  type: float
  sample: 118.8
transport:
  description: The way that the bytes took. V(url), V(published-url) or V(port-forward), or that was tried in vain; null when there was nothing to send.
  returned: when O(name) was given
  type: str
  sample: port-forward
retries:
  description: How often the upload was tried again.
  returned: when O(name) was given
  type: int
  sample: 0
phase:
  description: Phase of the DataVolume, null for a claim without one.
  returned: when O(name) was given
  type: str
  sample: Succeeded
collected:
  description:
    - Whether CDI before 1.62 has deleted the DataVolume after it had succeeded, as
      RV(kubevirt.cdi.data_volume_info#module:data_volumes[].collected). What is left of it is the claim.
  returned: when O(name) was given
  type: bool
  sample: false
preallocation:
  description:
    - Whether preallocation was asked for, applied and possible, as RV(kubevirt.cdi.data_volume_info#module:data_volumes[].preallocation).
    - Where CDI ignores it, a warning says so, too.
  returned: when O(name) was given
  type: dict
  sample: {requested: true, applied: true, supported: true, ignored: null}
data_volume:
  description: The DataVolume, empty for a claim without one. In check mode as it would be.
  returned: when O(name) was given
  type: dict
  sample: {kind: DataVolume, metadata: {name: debian-12, namespace: images}, status: {phase: Succeeded}}
persistent_volume_claim:
  description: The claim, with the digest in its annotation C(kubevirt.cdi/uploaded-sha256).
  returned: when O(name) was given
  type: dict
  sample: {kind: PersistentVolumeClaim, metadata: {name: debian-12, namespace: images}}
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
uploads:
  description:
    - For each of O(uploads) the same facts as for one file, from RV(name) to RV(persistent_volume_claim), and whether it was changed.
    - The item of an upload that failed has C(error), too.
  returned: when O(uploads) was given, also on failure
  type: list
  elements: dict
  sample: [{name: debian-12, namespace: images, changed: true, action: uploaded}]
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.volume_upload import SPEC, check, run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
