#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cdi_info
short_description: Tell what there is of CDI on a cluster
version_added: 1.0.0
description:
  - Tells whether CDI is installed and works, its release, and the configuration that was asked for and that is in effect.
  - A cluster without CDI is an answer and no error.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes.info
options:
  storage_profiles:
    description: Whether to return the storage profiles, too.
    type: bool
    default: false
seealso:
  - module: kubevirt.cdi.cdi
  - module: kubevirt.cdi.cdi_config
"""

EXAMPLES = r"""
- name: Look at CDI
  kubevirt.cdi.cdi_info:
  register: result

- name: Stop when CDI does not work
  ansible.builtin.assert:
    that: result.ready
"""

RETURN = r"""
installed:
  description: Whether there is a CDI object.
  returned: success
  type: bool
  sample: true
ready:
  description: Whether CDI is deployed, available, not progressing and not degraded, in one release.
  returned: success
  type: bool
  sample: true
version:
  description: The release that runs, null when there is none.
  returned: success
  type: str
  sample: v1.65.0
cdi:
  description: The CDI object, empty when there is none.
  returned: success
  type: dict
  sample: {apiVersion: cdi.kubevirt.io/v1beta1, kind: CDI, metadata: {name: cdi}}
conditions:
  description: The status of each condition.
  returned: success
  type: dict
  sample: {Available: "True", Degraded: "False", Progressing: "False"}
asked:
  description: C(spec.config) of the CDI object.
  returned: success
  type: dict
  sample: {preallocation: true, scratchSpaceStorageClass: fast}
effective:
  description: What C(CDIConfig.status) reports, with CDI's defaults for what it leaves out.
  returned: success
  type: dict
  contains:
    preallocation:
      description: Whether volumes are preallocated that do not say so themselves.
      returned: success
      type: bool
      sample: true
    scratch_space_storage_class:
      description: Storage class of scratch space, null for the class of the volume.
      returned: success
      type: str
      sample: fast
    filesystem_overhead:
      description: Overhead of file systems, for all and by storage class.
      returned: success
      type: dict
      sample: {global: "0.06", storageClass: {fast: "0.06"}}
    upload_proxy_url:
      description: Where the upload proxy is published, null when it is not.
      returned: success
      type: str
      sample: https://cdi-uploadproxy.example.com
    default_pod_resource_requirements:
      description: Requests and limits of worker pods.
      returned: success
      type: dict
      sample: {limits: {cpu: 750m, memory: 600M}}
    import_proxy:
      description: Proxy of imports.
      returned: success
      type: dict
      sample: {HTTPProxy: ""}
    image_pull_secrets:
      description: Names of the Secrets that pull images.
      returned: success
      type: list
      elements: str
      sample: [registry-credentials]
storage_profiles:
  description: The storage profiles, when O(storage_profiles=true).
  returned: success
  type: list
  elements: dict
  sample: [{kind: StorageProfile, metadata: {name: fast}, status: {cloneStrategy: snapshot}}]
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi_info import SPEC, run
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import run as run_module


def main() -> None:
    run_module(SPEC, run)


if __name__ == "__main__":
    main()
