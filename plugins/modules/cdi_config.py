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
  - It is written to C(spec.config) of the CDI object. What is in effect is then read from C(CDIConfig), and the task fails when an asked value is not
    in effect, and tells why. (CDI silently undoes changes of C(CDIConfig) itself.)
  - Options that are not given are left as they are. An empty string, list or dictionary removes a setting.
  - An option that the installed release of CDI does not know is refused. The API server would otherwise drop it in silence.
  - CDI that is managed by HyperConverged is left to it. The error names the field to set there.
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
      - The clone method of all clones between claims, whatever the storage profiles say.
      - An empty string removes the setting, so that the storage profiles decide.
    type: str
    choices: [copy, snapshot, csi-clone, ""]
  data_volume_ttl_seconds:
    description:
      - Seconds after which CDI before 1.62 deletes a DataVolume that is done, and keeps its claim. V(-1) stands for never.
      - Without effect since CDI 1.62, which stores it and deletes nothing; the task warns then.
    type: int
  feature_gates:
    description:
      - All feature gates, for example V(HonorWaitForFirstConsumer). The list replaces the stored one; an empty list removes it.
      - CDI ignores a gate that it does not know. One that is spelled almost like a gate of CDI is an error, another unknown one a warning, and so
        is a stored gate that the list does not have.
    type: list
    elements: str
  filesystem_overhead:
    description:
      - The part of a Filesystem volume that its file system takes, from V("0") to V("1") with at most three decimals. By itself CDI takes
        V("0.06"), and older releases take V("0.055").
      - What is not given stays as it is.
    type: dict
    suboptions:
      global:
        description: For all classes that are not named.
        type: str
      storage_class:
        description: By name of the storage class, which must exist. An empty string removes a class's own value.
        type: dict
  image_pull_secrets:
    description:
      - Names of the Secrets that pull the images of components and workers, in CDI's namespace and in those of the DataVolumes.
      - The list replaces the stored one, which O(kubevirt.cdi.cdi#module:image_pull_secrets) sets, too.
    type: list
    elements: str
  import_proxy:
    description: The proxy of imports. What is not given stays as it is.
    type: dict
    suboptions:
      http_proxy:
        description: URL of the proxy for HTTP. It may have a user and password, and is therefore not logged.
        type: str
      https_proxy:
        description: URL of the proxy for HTTPS. It may have a user and password, and is therefore not logged.
        type: str
      no_proxy:
        description: Hosts that are reached without the proxy, separated by commas.
        type: str
      trusted_ca_proxy:
        description: Name of a ConfigMap with the proxy's CA, in CDI's namespace. It must exist.
        type: str
  insecure_registries:
    description: Registries (C(host) or C(host:port)) whose certificates are not verified. The list replaces the stored one.
    type: list
    elements: str
  log_verbosity:
    description: Verbosity of CDI's components, which restart when it changes.
    type: int
  pod_resource_requirements:
    description:
      - Resources of worker pods. What is not given stays as it is. CDI's own limits are C(cpu) V(750m) and C(memory) V(600M), its requests V(100m) and
        V(60M).
      - A request above its limit is refused, also where the limit is CDI's own, because no worker pod could be created.
    type: dict
    suboptions:
      limits:
        description: C(cpu) and C(memory), as in a pod. CDI takes no others.
        type: dict
      requests:
        description: C(cpu) and C(memory), as in a pod. CDI takes no others.
        type: dict
      claims:
        description: Resource claims. CDI stores them and does not use them; the task warns then.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of a claim of the pod.
            type: str
            required: true
          request:
            description: Name of a request in the claim. Only known to CDI from 1.62 on.
            type: str
  preallocation:
    description: Whether volumes are preallocated that do not say so themselves.
    type: bool
  scratch_space_storage_class:
    description:
      - Storage class of scratch space. It must exist, because CDI silently ignores one that does not. It must have Filesystem volumes with
        ReadWriteOnce, which its StorageProfile tells.
      - An empty string removes the setting. CDI then takes the class of the volume, and before 1.65 the default class.
    type: str
  tls_security_profile:
    description: TLS versions and ciphers of CDI's servers. CDI takes those of the type V(Intermediate) by itself.
    type: dict
    suboptions:
      type:
        description: A profile of OpenShift's, or V(Custom).
        type: str
        choices: [Old, Intermediate, Modern, Custom]
      custom:
        description: The profile, when the type is V(Custom).
        type: dict
        suboptions:
          ciphers:
            description: Ciphers by the names that OpenSSL has for them, for example V(ECDHE-RSA-AES128-GCM-SHA256). CDI ignores unknown ones.
            type: list
            elements: str
            required: true
          min_tls_version:
            description: The oldest version of TLS.
            type: str
            choices: [VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13]
            required: true
  upload_proxy_url_override:
    description:
      - Where the upload proxy is published. An empty string removes the setting.
      - Without it CDI takes the host of an Ingress or Route to its upload proxy, and reports none when there is neither.
    type: str
  webhook_pvc_rendering:
    description:
      - Whether claims with the label C(cdi.kubevirt.io/applyStorageProfile) are completed from the storage profile when they are created.
      - Only known to CDI from 1.66 on, and refused on an older one, which has the feature gate V(WebhookPvcRendering) for it.
    type: str
    choices: [Enabled, Disabled, ""]
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

- name: Allow nothing but TLS 1.3
  kubevirt.cdi.cdi_config:
    tls_security_profile:
      type: Modern

- name: Let CDI choose the class of scratch space again
  kubevirt.cdi.cdi_config:
    scratch_space_storage_class: ""
"""

RETURN = r"""
config:
  description: The part of C(CDI.spec) that was asked for; null stands for a setting that is removed.
  returned: success
  type: dict
  sample: {config: {preallocation: true, scratchSpaceStorageClass: cheap}}
effective:
  description: What is in effect, as RV(kubevirt.cdi.cdi_info#module:effective). Empty in check mode.
  returned: success
  type: dict
  sample: {preallocation: true, scratch_space_storage_class: cheap}
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.config import SPEC, check
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.cdi_config import run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
