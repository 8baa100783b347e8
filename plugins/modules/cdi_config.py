#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cdi_config
short_description: Configure CDI for the whole cluster
version_added: 1.0.0
description:
  - Sets the cluster-wide configuration of CDI, such as preallocation and the storage class of scratch space.
  - It is written to the CDI object. What is in effect is then read from C(CDIConfig.status), and the task fails when an asked value is not.
    (CDI silently undoes changes of C(CDIConfig) itself.)
  - Options that are not given are left as they are.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._wait
options:
  name:
    description: Name of the CDI object.
    type: str
    default: cdi
  preallocation:
    description: Whether volumes are preallocated that do not say so themselves.
    type: bool
  scratch_space_storage_class:
    description:
      - Storage class of scratch space. It must exist, because CDI silently ignores one that does not.
      - An empty string removes the setting. CDI then takes the class of the volume, and before 1.65 the default class.
    type: str
  feature_gates:
    description: All feature gates, for example V(HonorWaitForFirstConsumer). The list replaces the stored one.
    type: list
    elements: str
  filesystem_overhead:
    description: The part of a Filesystem volume that its file system takes, between V("0") and V("1").
    type: dict
    suboptions:
      global:
        description: For all classes that are not named.
        type: str
      storage_class:
        description: By name of the storage class.
        type: dict
  insecure_registries:
    description: Registries (C(host:port)) whose certificates are not verified. The list replaces the stored one.
    type: list
    elements: str
  log_verbosity:
    description: Verbosity of CDI's components, which restart when it changes.
    type: int
  upload_proxy_url_override:
    description: Where the upload proxy is published. An empty string removes the setting.
    type: str
  pod_resource_requirements:
    description: Resources of worker pods. What is not given stays as it is.
    type: dict
    suboptions:
      limits:
        description: C(cpu) and C(memory), as in a pod.
        type: dict
      requests:
        description: C(cpu) and C(memory), as in a pod.
        type: dict
  import_proxy:
    description: The proxy of imports. What is not given stays as it is.
    type: dict
    suboptions:
      http_proxy:
        description: URL of the proxy for HTTP.
        type: str
      https_proxy:
        description: URL of the proxy for HTTPS.
        type: str
      no_proxy:
        description: Hosts that are reached without the proxy, separated by commas.
        type: str
      trusted_ca_proxy:
        description: Name of a ConfigMap with the proxy's CA, in CDI's namespace.
        type: str
  image_pull_secrets:
    description: Names of the Secrets that pull the images of components and workers. The list replaces the stored one.
    type: list
    elements: str
  tls_security_profile:
    description: TLS versions and ciphers of CDI's servers, for example C(type) V(Intermediate) with C(intermediate) V({}).
    type: dict
  clone_strategy_override:
    description: The clone method of all clones between claims, whatever the storage profiles say.
    type: str
    choices: [copy, snapshot, csi-clone]
  wait:
    description:
      - Whether to wait until the asked values are in effect.
      - Nothing is waited for in check mode.
  wait_timeout:
    description: The seconds to wait at most. The error then tells which value is not in effect.
    default: 60
seealso:
  - module: kubevirt.cdi.cdi
  - module: kubevirt.cdi.cdi_info
"""

EXAMPLES = r"""
- name: Preallocate all volumes, and keep scratch space on cheap storage
  kubevirt.cdi.cdi_config:
    preallocation: true
    scratch_space_storage_class: cheap

- name: Give worker pods more memory, and imports a proxy
  kubevirt.cdi.cdi_config:
    pod_resource_requirements:
      limits:
        memory: 1Gi
    import_proxy:
      https_proxy: http://proxy.example.com:3128
      no_proxy: .svc,10.0.0.0/8

- name: Let CDI choose the class of scratch space again
  kubevirt.cdi.cdi_config:
    scratch_space_storage_class: ""
"""

RETURN = r"""
config:
  description: The part of C(CDI.spec) that was asked for.
  returned: success
  type: dict
  sample: {config: {preallocation: true, scratchSpaceStorageClass: cheap}}
effective:
  description: What C(CDIConfig.status) reports, as RV(kubevirt.cdi.cdi_info#module:effective). Empty in check mode.
  returned: success
  type: dict
  sample: {preallocation: true, scratch_space_storage_class: cheap}
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi_config import SPEC, run
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import run as run_module


def main() -> None:
    run_module(SPEC, run)


if __name__ == "__main__":
    main()
