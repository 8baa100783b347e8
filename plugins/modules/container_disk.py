#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: container_disk
short_description: Push a disk image to a registry as a container disk
version_added: 1.0.0
description:
  - Makes a container image that contains nothing but a disk image, in the directory C(/disk) and readable by the user
    of QEMU (107), and pushes it to a registry. No container engine is required.
  - Virtual machines can start from it (volume type C(containerDisk) of KubeVirt), and CDI can import it (the source
    C(registry) of M(kubevirt.cdi.data_volume)).
  - The same file always gives the same image. If the registry already has it under the requested tag, nothing is sent.
    If the tag refers to a different image, it is replaced. The previous image remains in the registry until its garbage
    is collected, and RV(previous_digest) is its digest.
  - The file is a raw, ISO or qcow2 image without compression, because KubeVirt starts no other image. Any other file is
    refused before anything is sent, and the error contains the remedy. For a sparse raw image use qcow2, because holes
    of a raw image are sent as zeros.
author:
  - kubevirt.cdi contributors (@kubevirt)
requirements:
  - python-dxf (Python package, on the host that runs the task)
extends_documentation_fragment:
  - kubevirt.cdi._progress
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status and the diff of a real run, without writing
      anything.
    support: full
  diff_mode:
    description: Returns what has changed, or in check mode would change, when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run makes no change.
    support: full
notes:
  - The module has no connection to a cluster, and the connection options of the action group do not apply to it. The
    file is read, and the registry is contacted, on the host that runs the task.
  - The certificate of the registry is always verified.
options:
  path:
    description: Path of the disk image or block device, on the host that runs the task.
    type: path
    required: true
    aliases: [src]
  image:
    description:
      - Name of the image, V(HOST[:PORT]/REPOSITORY[:TAG]), without a scheme. The default tag is V(latest).
    type: str
    required: true
  architecture:
    description: Architecture of the system on the disk, by the names of container images. A node starts only images of
      its own architecture.
    type: str
    choices: [amd64, arm64, s390x]
    default: amd64
  username:
    description: User of the registry. Required with O(password).
    type: str
  password:
    description: Password or access token of the user. It is not sent over plain HTTP.
    type: str
  ca_cert:
    description: Path of a file with the certificates, in PEM, of the authorities that the certificate of the registry
      is verified with. They replace those of the system.
    type: path
  plain_http:
    description: Connect without TLS.
    type: bool
    default: false
seealso:
  - module: kubevirt.cdi.data_volume
  - plugin: kubevirt.cdi.vm_disks
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Push a disk image
  kubevirt.cdi.container_disk:
    path: images/debian-13.qcow2
    image: registry.example.com/disks/debian:13
    username: builder
    password: "{{ registry_password }}"
  register: pushed

- name: Import exactly this image into a volume
  kubevirt.cdi.data_volume:
    name: debian-13
    namespace: images
    source:
      registry:
        url: "docker://{{ pushed.reference }}"
    storage:
      size: 10Gi

- name: Render the disks of a virtual machine that starts from it
  ansible.builtin.set_fact:
    disks: "{{ [{'name': 'root', 'container_disk': {'image': pushed.reference}}] | kubevirt.cdi.vm_disks }}"
"""

RETURN = r"""
image:
  description: Name of the image with its tag.
  returned: success
  type: str
  sample: registry.example.com/disks/debian:13
digest:
  description: Digest of the image.
  returned: success
  type: str
  sample: sha256:4f2d0c5b4a1f0d8c1a1f2c8c6a3f3f8f4e1c0b4a1e0f9d7c6b5a493827160f5e
reference:
  description: Name of the image with its digest. It refers to the same content even if the tag is replaced later.
  returned: success
  type: str
  sample: registry.example.com/disks/debian@sha256:4f2d0c5b4a1f0d8c1a1f2c8c6a3f3f8f4e1c0b4a1e0f9d7c6b5a493827160f5e
previous_digest:
  description: Digest of the image that the tag referred to before the task, V(null) if there was none.
  returned: success
  type: str
  sample: sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9
format:
  description: Format of the disk image, V(raw), V(iso) or V(qcow2).
  returned: success
  type: str
  sample: qcow2
virtual_size:
  description: Size of the disk in bytes.
  returned: success
  type: int
  sample: 2147483648
file_size:
  description: Size of the file in bytes.
  returned: success
  type: int
  sample: 331350016
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run_without_cluster
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.container_disk import SPEC, run


def main() -> None:
    run_without_cluster(SPEC, run)


if __name__ == "__main__":
    main()
