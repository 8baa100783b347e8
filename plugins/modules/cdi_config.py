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
  - Writes to C(spec.config) of the CDI object and reads the values in effect from C(CDIConfig). The task fails with the
    reason if a requested value does not take effect. (CDI silently reverts direct changes to C(CDIConfig).)
  - Omitted options leave their settings unchanged. An empty string, list or dictionary removes a setting.
  - An option that the installed release of CDI does not support is refused, because the API server would silently drop
    it.
  - CDI that is managed by HyperConverged is not changed. The error names the field to set instead.
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
  clone_strategy_override:
    description:
      - Clone method for all clones between claims, regardless of the storage profiles.
      - An empty string removes the setting, so that the storage profiles decide.
    type: str
    choices: [copy, snapshot, csi-clone, ""]
  data_volume_ttl_seconds:
    description:
      - Seconds after which CDI before 1.62 deletes a completed DataVolume and keeps its claim. V(-1) means never.
      - Has no effect since CDI 1.62, which stores the value and deletes nothing. The task then warns.
    type: int
  feature_gates:
    description:
      - The complete list of feature gates, for example V(HonorWaitForFirstConsumer). It replaces the stored list, and
        an empty list removes it.
      - CDI ignores a feature gate that it does not know. A likely misspelling of a known feature gate is an error. Any
        other unknown feature gate causes a warning, as does a stored feature gate that the list omits.
    type: list
    elements: str
  filesystem_overhead:
    description:
      - Fraction of a Filesystem volume that is reserved for the file system, from V("0") to V("1") with at most three
        decimals. The default of CDI is V("0.06"), of older releases V("0.055").
      - Omitted suboptions leave their settings unchanged.
    type: dict
    suboptions:
      global:
        description: Fraction for all storage classes that are not listed.
        type: str
      storage_class:
        description: Fractions by name of the storage class, which must exist. An empty string removes the value of a
          storage class.
        type: dict
  image_pull_secrets:
    description:
      - Names of the Secrets used to pull the images of components and workers, in CDI's namespace and in the namespaces
        of the DataVolumes.
      - The list replaces the stored list, which O(kubevirt.cdi.cdi#module:image_pull_secrets) also sets.
    type: list
    elements: str
  import_proxy:
    description: Proxy for imports. Omitted suboptions leave their settings unchanged.
    type: dict
    suboptions:
      http_proxy:
        description: URL of the proxy for HTTP. It may contain a username and password, and is therefore not logged.
        type: str
      https_proxy:
        description: URL of the proxy for HTTPS. It may contain a username and password, and is therefore not logged.
        type: str
      no_proxy:
        description: Comma-separated hosts that are reached without the proxy.
        type: str
      trusted_ca_proxy:
        description: Name of a ConfigMap with the CA of the proxy, in CDI's namespace. It must exist.
        type: str
  insecure_registries:
    description: Registries (C(host) or C(host:port)) whose certificates are not verified. The list replaces the stored
      list.
    type: list
    elements: str
  log_verbosity:
    description: Log verbosity of CDI's components, which restart when it changes.
    type: int
  pod_resource_requirements:
    description:
      - Resources of worker pods. Omitted suboptions leave their settings unchanged. CDI's default limits are C(cpu)
        V(750m) and C(memory) V(600M), its default requests V(100m) and V(60M).
      - A request above its limit, including a default limit of CDI, is refused because no worker pod could be created.
    type: dict
    suboptions:
      limits:
        description: C(cpu) and C(memory), as in a pod. CDI supports no other resources.
        type: dict
      requests:
        description: C(cpu) and C(memory), as in a pod. CDI supports no other resources.
        type: dict
      claims:
        description: Resource claims. CDI stores but does not use them. The task then warns.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of a claim of the pod.
            type: str
            required: true
          request:
            description: Name of a request in the claim. Requires CDI 1.62 or newer.
            type: str
  preallocation:
    description: Whether to preallocate volumes that do not specify preallocation themselves.
    type: bool
  scratch_space_storage_class:
    description:
      - Storage class of scratch space. It must exist, because CDI silently ignores one that does not. According to its
        StorageProfile, it must support Filesystem volumes with ReadWriteOnce.
      - An empty string removes the setting. CDI then uses the storage class of the volume, and before 1.65 the default
        storage class.
    type: str
  tls_security_profile:
    description: TLS versions and ciphers of CDI's servers. CDI's default is the profile V(Intermediate).
    type: dict
    suboptions:
      type:
        description: Name of an OpenShift profile, or V(Custom).
        type: str
        choices: [Old, Intermediate, Modern, Custom]
      custom:
        description: The profile, if the type is V(Custom).
        type: dict
        suboptions:
          ciphers:
            description: OpenSSL names of the ciphers, for example V(ECDHE-RSA-AES128-GCM-SHA256). CDI ignores unknown
              ones.
            type: list
            elements: str
            required: true
          min_tls_version:
            description: Minimum TLS version.
            type: str
            choices: [VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13]
            required: true
  upload_proxy_url_override:
    description:
      - Published URL of the upload proxy. An empty string removes the setting.
      - By default, CDI uses the host of an Ingress or Route to its upload proxy, and reports no URL if there is
        neither.
    type: str
  webhook_pvc_rendering:
    description:
      - Whether claims with the label C(cdi.kubevirt.io/applyStorageProfile) are completed from the storage profile when
        they are created.
      - Requires CDI 1.66 or newer, and is refused on older releases, which have the feature gate V(WebhookPvcRendering)
        instead.
    type: str
    choices: [Enabled, Disabled, ""]
  wait:
    description:
      - Whether to wait until the requested values are in effect.
      - The task does not wait in check mode.
  wait_timeout:
    description: Maximum time to wait, in seconds. The error then reports which value is not in effect.
    default: 60
seealso:
  - module: kubevirt.cdi.cdi
  - module: kubevirt.cdi.cdi_info
"""

EXAMPLES = r"""
- name: Preallocate all volumes, and use a cheap storage class for scratch space
  kubevirt.cdi.cdi_config:
    preallocation: true
    scratch_space_storage_class: cheap

- name: Set the memory limit of worker pods and the proxy for imports
  kubevirt.cdi.cdi_config:
    pod_resource_requirements:
      limits:
        memory: 1Gi
    import_proxy:
      https_proxy: http://proxy.example.com:3128
      no_proxy: .svc,10.0.0.0/8

- name: Require TLS 1.3
  kubevirt.cdi.cdi_config:
    tls_security_profile:
      type: Modern

- name: Let CDI choose the storage class of scratch space again
  kubevirt.cdi.cdi_config:
    scratch_space_storage_class: ""
"""

RETURN = r"""
config:
  description: The part of C(CDI.spec) that was requested. Null means that a setting is removed.
  returned: success
  type: dict
  sample: {config: {preallocation: true, scratchSpaceStorageClass: cheap}}
effective:
  description: The configuration in effect, as RV(kubevirt.cdi.cdi_info#module:effective). Empty in check mode.
  returned: success
  type: dict
  sample: {preallocation: true, scratch_space_storage_class: cheap}
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.config import SPEC, check
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.cdi_config import run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
