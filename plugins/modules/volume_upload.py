#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: volume_upload
short_description: Upload disk images and archives to volumes
version_added: 1.0.0
description:
  - Uploads a file to a DataVolume, which is created if it does not exist, or to an existing claim that accepts uploads,
    and waits until CDI has converted it to a disk. With O(uploads) or O(paths), one task uploads any number of files.
  - The digest of the file is recorded on the claim. If a volume already contains the file, it is not changed, and no
    data is sent. The digest of a raw disk, also in gz, xz or zst, and of a qcow2 image is that of the disk in it
    (RV(digest)), so that the same disk in another format is not sent again.
  - Zeros are not sent. See O(encoding).
  - The file is a disk image (raw, ISO, qcow2, vmdk, vhd, vhdx or vdi), optionally compressed with gz, xz or zst, or a
    tar archive. The format is determined by the first bytes, not by the file name. The only exception is a tar archive
    whose name does not have an archive suffix, which requires O(content_type).
  - A file that is certainly not a disk (for example a web page, a zip or bzip2 file, a program), is truncated or
    damaged, is compressed twice, or is an image that CDI does not convert (for example LUKS, QED, a part of a split
    vmdk, an image with a backing file) is refused before anything is created, and the error contains the remedy. A
    compressed file is decompressed while its digest is computed, to verify that it is complete.
  - A block device is read like a file. A pipe, a socket or a directory is an error.
  - A file at an C(http) or C(https) URL is fetched by the host that runs the task, and passed through to CDI without a
    copy on disk. Use it if that host reaches the web server and the cluster does not. Otherwise,
    O(kubevirt.cdi.data_volume#module:source.http) imports the file without a detour.
  - If no size is specified, the size of the disk is read from the image, and CDI adds the file system overhead.
  - The uploaded data always matches the recorded digest. If the file changes during the upload, the last bytes are held
    back, and CDI discards the rest.
  - To complete an interrupted upload, run the task again.
  - Bytes after the end of a compressed file, as OpenWrt appends them, are not sent, because CDI would reject them. The
    task warns about them.
author:
  - kubevirt.cdi contributors (@kubevirt)
requirements:
  - backports.zstd (optional Python package, on the host that runs the task, for files in zst before Python 3.14)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._create_namespace
  - kubevirt.cdi._progress
attributes:
  idempotent:
    support: partial
    details: With O(overwrite=always), every run uploads the file again.
notes:
  - The file is read on the host that runs the task.
  - Of a file at a URL, the first and the last bytes are fetched first, and decide what is refused. With O(checksum),
    the file is then fetched once. Without it, the file is fetched twice, as a local file is read twice, to know its
    digest before it is sent, and each later run fetches it once to compare the digest. The last bytes are held back
    until the digest is verified.
  - The digest of a file at a URL is its SHA-256. A volume that was uploaded from a local file has that only if
    O(checksum) was set, otherwise it counts as a different file.
  - The host that runs the task verifies the certificate of the web server by its own CAs (E(SSL_CERT_FILE)), and uses
    the proxies in E(http_proxy), E(https_proxy) and E(no_proxy).
  - If this Python cannot decompress zst, a file in zst is sent without a check, and the task warns about it.
  - The file is sent to O(upload_proxy_url), or to the URL that CDI publishes (C(CDIConfig.status.uploadProxyURL)), or
    through a port-forward of the API server to a pod of the upload proxy, for which nothing has to be exposed. If
    nothing answers at the published URL, the task warns and uses the port-forward, but an untrusted certificate there
    is an error. If O(upload_proxy_url) is set, no other route is tried.
  - CDI binds the volume at once, even if its storage class delays binding until a pod uses the claim.
  - The certificate of the upload proxy is always verified.
  - The account requires C(get), C(list) and C(watch) on DataVolumes and claims, C(create) and C(patch) on DataVolumes,
    C(patch) on claims, and C(create) on C(uploadtokenrequests). Unless O(upload_proxy_url) and O(upload_proxy_ca) are
    both set, it requires C(get) on the ConfigMap C(cdi-uploadproxy-signer-bundle) in CDI's namespace. A port-forward
    also requires C(list) on pods and C(get) and C(create) on C(pods/portforward) in that namespace.
  - Replacing a volume also requires C(delete) on DataVolumes, or C(delete) and C(create) on claims, and C(list) on
    pods, VirtualMachines and VolumeCloneSources. The same permissions are required to recreate what an unfinished
    upload of another file or a previous attempt left behind. O(on_failure=delete) requires C(delete) on DataVolumes.
    Missing permissions are detected before anything is created or deleted.
  - O(verify_content) requires C(get), C(list), C(watch), C(create) and C(delete) on pods of the namespace, C(list) on
    Deployments of all namespaces and on CDI objects, and C(get) on CDIConfigs.
options:
  path:
    description:
      - Path of the file or block device, on the host that runs the task, or C(http) or C(https) URL of a file that this
        host can fetch. Required with O(name).
      - User and password can be part of the URL (C(https://user:password@host/disk.qcow2)), percent-encoded. They are
        sent only to this host, also after a redirect. They and the query of a URL are never shown.
      - The web server must declare the size of the file. If the connection to it breaks, or if it sends nothing for
        O(wait_timeout), this counts as a failed attempt (O(retries)), and the file is fetched again from its first
        byte.
    type: path
    aliases: [src]
  name:
    description:
      - Name of the DataVolume, or of the claim.
      - A claim without a DataVolume accepts uploads if its C(dataSourceRef) is a VolumeUploadSource, or if it has the
        annotation C(cdi.kubevirt.io/storage.upload.target).
    type: str
  namespace: &namespace
    description:
      - Namespace of the volume. It must exist, unless O(create_namespace=true).
      - If omitted, the namespace of the kubeconfig's context is used, as with C(kubectl), or the namespace of the pod
        whose service account is used.
      - If neither specifies a namespace, V(default) is used, and the task warns when it creates a volume there.
    type: str
  checksum: &checksum
    description:
      - C(sha256:) followed by the SHA-256 digest that the file must have. It is verified before anything is created or
        sent.
      - If the volume is known to contain a file with this digest, the file is not even read, unless
        O(overwrite=always), or O(storage) or O(pvc) is set and must be compared with the image.
      - For a file at a URL, it is verified before the last bytes are sent, and before a volume is deleted to replace
        it, for which the file is fetched once more.
    type: str
  format: &format
    description:
      - V(raw) treats the file, after decompression, as a raw disk even if it looks like something else, for example a
        data disk that contains a tar archive.
      - V(raw) is an error for an image that CDI always converts, or that CDI itself rejects, such as LUKS.
    type: str
    choices: [auto, raw]
    default: auto
  encoding: &encoding
    description:
      - What is sent for a raw disk, also in gz, xz or zst, and for a file with a qcow2 image. Other images and archives
        are sent as they are. The volume has the same content in each case.
      - V(file) sends the file as it is. This is also done for each file at a URL, for which V(raw_gz) and V(qcow2) are
        an error.
      - V(raw_gz) sends the disk as a gzip stream in which zeros take up almost no space. Other data is compressed only
        while the network is slower than the compression. CDI writes the disk directly to the volume, without scratch
        space, but decompresses all zeros.
      - V(qcow2) sends the disk as a qcow2 image without the blocks that are zero. CDI stores it in the scratch space,
        and converts it to a disk.
      - V(auto) chooses what is fastest by the format of the file and the share of zeros. RV(encoding) and
        RV(encoding_reason) report the choice, also in check mode.
    type: str
    choices: [auto, file, raw_gz, qcow2]
    default: auto
  verify_content: &verify_content
    description:
      - Whether to verify, after an upload, that the volume contains the disk that was sent. A short-lived pod in the
        namespace of the volume, with the image of CDI's cloner, computes the SHA-256 of the disk.
      - This reads the whole disk, also its zeros. A volume that is not changed is not verified again.
      - This is an error for archives and images that are not read as disks (see O(encoding)), and for a file at a URL.
    type: bool
    default: false
  overwrite: &overwrite
    description:
      - What to do with a volume that is already filled.
      - V(never) leaves it unchanged. If it contains a different or an unknown file, or differs from the options (for
        example in its storage class or volume mode), that is an error.
      - V(different) replaces the volume in each of these cases, even if it contains the same file. B(It is deleted with
        its data) and recreated.
      - With both values, a volume that contains the file and only needs a larger size is an error, because
        M(kubevirt.cdi.data_volume) can expand it with its data.
      - V(always) replaces the volume in any case. B(It is deleted with its data) and recreated.
      - A volume that contains nothing but an unfinished upload of a different file is always recreated, and RV(reason)
        reports this. A claim that accepts uploads because of an annotation may also contain older data, so with
        V(never) it is an error.
    type: str
    choices: [never, different, always]
    default: never
  when_in_use: &when_in_use
    description:
      - What to do if the data to be replaced is in use by a pod, a virtual machine or a clone.
      - V(fail) fails and reports the users before anything is written. V(delete) deletes the data anyway.
    type: str
    choices: [fail, delete]
    default: fail
  on_failure: &on_failure
    description:
      - What to do with a DataVolume that the task created and could not fill.
      - V(delete) deletes it, unless CDI may still be processing a completely sent file, or another client is filling
        the volume. A volume that waits for data has a pod that takes up resources of its node.
      - V(keep) keeps it for inspection. A volume that existed before is always kept.
    type: str
    choices: [delete, keep]
    default: delete
  labels: &labels
    description: Labels of the DataVolume. Other labels are kept. CDI copies them to the claim only when it creates the
      claim.
    type: dict
  annotations: &annotations
    description: Annotations of the DataVolume. Other annotations are kept. CDI copies them to the claim only when it
      creates the claim.
    type: dict
  storage: &storage
    description:
      - The volume, completed by CDI from the storage profile of its storage class. CDI chooses a value for each omitted
        suboption, except for the size, which is taken from the image.
      - Omitted suboptions do not change an existing volume.
    type: dict
    suboptions: &target
      size:
        description:
          - Size of the disk, for example V(10Gi). If it is too small for the image, the task fails before anything is
            sent.
          - If omitted, the size of the disk in the image is used, in whole MiB. For an archive, it is the size of its
            members plus 10 percent and 16 MiB.
          - It is required for a compressed image whose size cannot be read with little memory, for a file in zst that
            this Python cannot decompress, and for an archive at a URL.
          - CDI adds the file system overhead with O(storage). With O(pvc), the module adds it if the size is omitted.
        type: str
      storage_class_name:
        description: Storage class.
        type: str
      volume_name:
        description: Name of the PersistentVolume to bind.
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
    description: The exact claim to create, instead of O(storage).
    type: dict
    suboptions: *target
  content_type: &content_type
    description:
      - Whether the file is a disk (V(kubevirt)) or a tar archive to unpack (V(archive)).
      - If omitted, a tar archive is treated as an archive if its name ends in C(.tar), C(.tar.gz), C(.tgz) or similar,
        or if the volume is for archives. A tar archive with another name, or one that wraps a virtual machine (OVA,
        Vagrant box), is an error that names the disk to use.
    type: str
    choices: [kubevirt, archive]
  preallocation: &preallocation
    description: Whether to allocate the whole size at once. If omitted, the configuration of the cluster applies. CDI
      ignores it for archives.
    type: bool
  priority_class_name: &priority_class_name
    description: Priority class of the upload server pod.
    type: str
  service_account_name: &service_account_name
    description: Service account of the upload server pod. Requires CDI 1.65 or newer.
    type: str
  uploads:
    description: List of files, instead of O(path), O(name) and the options of a single file.
    type: list
    elements: dict
    suboptions:
      path:
        description: Path of the file or block device, on the host that runs the task, or URL (see O(path)).
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
      encoding: *encoding
      verify_content: *verify_content
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
  paths:
    description:
      - Files, directories or shell patterns (for example V(/images/*.qcow2)) on the host that runs the task, instead of
        O(path) and O(name). Each file is uploaded to a DataVolume with the name of the file, and the other options of a
        single file apply to each of them, except for O(checksum), which is an error.
      - The name is the name of the file in lower case without the suffixes of images, archives and compressions, with
        V(-) for all characters but letters and digits. For example, C(Debian_12.5.raw.xz) is uploaded to
        C(debian-12-5). Two files with the same name are an error.
      - A directory stands for the files and block devices directly in it, except for hidden ones. In a pattern, V(**)
        matches directories at any depth.
      - An item for which no file is found is an error, and so is a URL.
    type: list
    elements: path
  parallel:
    description: Maximum number of O(uploads), or of files in O(paths), that are uploaded at the same time.
    type: int
    default: 2
  retries:
    description:
      - Number of retries after the connection broke or the upload server was lost. Each attempt starts with the first
        byte. If the previous attempt left too little space, the DataVolume is recreated first.
      - An error that CDI reports about the image itself is not retried. Waiting for an upload server that is busy, or
        that the upload proxy does not reach yet, does not count as an attempt.
    type: int
    default: 4
  upload_proxy_url:
    description: URL of the upload proxy, V(https) only, including any path before C(/v1beta1). If omitted, the URL that
      CDI publishes is used, otherwise a port-forward.
    type: str
  upload_proxy_ca:
    description:
      - PEM certificates of additional CAs that may have signed the certificate at the URL of the upload proxy, for
        example of an Ingress. The CAs of the host are also trusted.
      - CDI's own certificate is trusted without it, under the name of CDI's service.
    type: str
  cdi_namespace:
    description: Namespace of CDI. If omitted, the namespace in the APIService of the upload API is used.
    type: str
  wait_timeout:
    description:
      - Maximum time to wait until CDI is ready to receive data, and again until CDI has converted the data to a disk,
        in seconds.
      - The total duration of the transfer is not limited. It fails if no byte is sent for this time, or if the upload
        server is busy with earlier data for this time. CDI answers after it has written all data, which takes long for
        a large, highly compressed disk.
    type: int
    default: 600
seealso:
  - module: kubevirt.cdi.data_volume
  - module: kubevirt.cdi.cdi_config
"""

EXAMPLES = r"""
- name: Upload an image to a volume of the size of its disk
  kubevirt.cdi.volume_upload:
    path: /images/debian-12.qcow2
    name: debian-12
    namespace: images

- name: Upload an ISO image with a known checksum, and replace an older image
  kubevirt.cdi.volume_upload:
    path: /images/installer.iso
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    name: installer
    namespace: images
    overwrite: different
    storage:
      storage_class_name: fast
      volume_mode: Block

- name: Upload a block device (here, a logical volume) as a disk
  kubevirt.cdi.volume_upload:
    path: /dev/vg0/old-server
    name: old-server
    namespace: images

- name: Pass an image through from a web server that the cluster does not reach
  kubevirt.cdi.volume_upload:
    path: https://images.example.com/debian-12.qcow2
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    name: debian-12
    namespace: images

- name: Upload a tar archive as a raw data disk, which the virtual machine reads directly
  kubevirt.cdi.volume_upload:
    path: /images/tape.tar
    name: tape
    namespace: images
    format: raw

- name: Unpack an archive into a Filesystem volume
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

- name: Upload all qcow2 images of a directory to volumes with the names of the files
  kubevirt.cdi.volume_upload:
    namespace: images
    paths: /images/*.qcow2
    storage:
      storage_class_name: fast

- name: Upload to slow storage without its scratch space, and verify the content of the volume
  kubevirt.cdi.volume_upload:
    path: /images/appliance.qcow2
    name: appliance
    namespace: images
    encoding: raw_gz
    verify_content: true

- name: Upload through an Ingress with its own certificate
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
    - What was done, or would be done in check mode. V(uploaded), V(replaced) (deleted and uploaded again),
      V(unchanged), or V(recorded) if an interrupted run had sent all data and only the digest had to be recorded.
    - If the task failed, what it left behind. V(created) is a new, empty volume, V(begun) a volume that contains a part
      of the file, V(deleted) a volume that was deleted with its data and not recreated, V(emptied) a volume that was
      deleted with its data and recreated, V(unchanged) means that nothing was changed.
  returned: when O(name) was given
  type: str
  sample: uploaded
reason:
  description: Why the volume was replaced, otherwise empty.
  returned: when O(name) was given
  type: str
  sample: ""
digest:
  description:
    - The digest that is recorded on the claim, empty if the task failed before it was known.
    - C(disk:) and the digest of the disk, if the file is a raw disk, also in gz, xz or zst, or a qcow2 image. It is the
      SHA-256 of the blocks of 64 KiB that are not zero, each after its number, and of the size of the disk (the numbers
      and the size as 8 bytes, big-endian).
    - Otherwise, with O(checksum), and for a file at a URL, the SHA-256 of the file. A volume for which the SHA-256 is
      recorded keeps it.
  returned: when O(name) was given
  type: str
  sample: disk:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
sha256:
  description: SHA-256 of the file, null if it was not computed.
  returned: when O(name) was given
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
encoding:
  description: What was sent, V(file), V(raw_gz) or V(qcow2) (see O(encoding)), or would be sent in check mode. Null if
    nothing had to be sent.
  returned: when O(name) was given
  type: str
  sample: raw_gz
encoding_reason:
  description: Why it was chosen, null if nothing had to be sent.
  returned: when O(name) was given
  type: str
  sample: 1024 MiB of 8192 MiB are not zero
format:
  description: Format of the image or archive, null if the file was not read.
  returned: when O(name) was given
  type: str
  sample: qcow2
compression:
  description: Compression of the file.
  returned: when O(name) was given
  type: str
  sample: xz
virtual_size:
  description: Size of the disk in the image, or the space required for the members of an archive, in bytes. Null if it
    cannot be determined from the file.
  returned: when O(name) was given
  type: int
  sample: 10737418240
file_size:
  description: Size of the file, in bytes.
  returned: when O(name) was given
  type: int
  sample: 648806400
content_sha256:
  description: SHA-256 of the disk in the volume, if it was verified (see O(verify_content)), otherwise null.
  returned: when O(name) was given
  type: str
  sample: 330b62421a747d9fd3f4a4f1c0c4d2d4e7d8c2fcd0b0b0b3c6a7a9c2b0c1d2e3
bytes_sent:
  description: Bytes sent by the last attempt, in the encoding that was sent (RV(encoding)).
  returned: when O(name) was given
  type: int
  sample: 648806400
seconds:
  description: Duration of the transfer in the last attempt, in seconds.
  returned: when O(name) was given
  type: float
  sample: 5.21
mib_per_second:
  description: Transfer rate in MiB per second, null if nothing was sent.
  returned: when O(name) was given
  type: float
  sample: 118.8
transport:
  description: Route of the transfer, V(url), V(published-url) or V(port-forward). After a failure, the route that was
    tried. Null if nothing had to be sent.
  returned: when O(name) was given
  type: str
  sample: port-forward
retries:
  description: Number of retries of the upload.
  returned: when O(name) was given
  type: int
  sample: 0
phase:
  description: Phase of the DataVolume, null for a claim without a DataVolume.
  returned: when O(name) was given
  type: str
  sample: Succeeded
collected:
  description:
    - Whether CDI before 1.62 deleted the DataVolume after it had succeeded, as
      RV(kubevirt.cdi.data_volume_info#module:data_volumes[].collected). The claim still exists.
  returned: when O(name) was given
  type: bool
  sample: false
preallocation:
  description:
    - Whether preallocation was requested, applied and possible, as
      RV(kubevirt.cdi.data_volume_info#module:data_volumes[].preallocation).
    - If CDI ignores a requested preallocation, the task also warns.
  returned: when O(name) was given
  type: dict
  sample: {requested: true, applied: true, supported: true, ignored: null}
data_volume:
  description: The DataVolume, empty for a claim without a DataVolume. In check mode, the DataVolume as it would be.
  returned: when O(name) was given
  type: dict
  sample: {kind: DataVolume, metadata: {name: debian-12, namespace: images}, status: {phase: Succeeded}}
persistent_volume_claim:
  description: The claim, with the digest in its annotation C(kubevirt.cdi/uploaded-sha256).
  returned: when O(name) was given
  type: dict
  sample: {kind: PersistentVolumeClaim, metadata: {name: debian-12, namespace: images}}
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
uploads:
  description:
    - For each item of O(uploads), or each file of O(paths) in the order of their paths, the values that are returned
      for a single file, from RV(name) to RV(persistent_volume_claim), and whether it was changed.
    - The item of a failed upload also has C(error).
  returned: when O(uploads) or O(paths) was given, also on failure
  type: list
  elements: dict
  sample: [{name: debian-12, namespace: images, changed: true, action: uploaded}]
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.volume_upload import SPEC, check, run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
