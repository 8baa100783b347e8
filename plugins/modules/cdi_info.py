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
  - A cluster without CDI is an answer and no error. What the user may not read is listed in RV(not_readable).
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes.info
options:
  storage_profiles:
    description: Whether to return the storage profiles, too. Without them it is one request less.
    type: bool
    default: true
seealso:
  - module: kubevirt.cdi.cdi
  - module: kubevirt.cdi.cdi_config
"""

EXAMPLES = r"""
- name: Look at CDI
  kubevirt.cdi.cdi_info:
  register: result

- name: Stop when CDI does not work, or not as it was asked to
  ansible.builtin.assert:
    that:
      - result.ready
      - result.not_in_effect | length == 0

- name: Show the storage classes of which CDI does not know what they can do
  ansible.builtin.debug:
    msg: "{{ result.storage_profiles | rejectattr('complete') | map(attribute='name') }}"
"""

RETURN = r"""
host:
  description: URL of the API server, which tells one cluster from another.
  returned: success
  type: str
  sample: https://api.example.com:6443
not_readable:
  description: What the user may not read, a sentence with the missing right for each kind. What follows from it is null or empty.
  returned: success
  type: list
  elements: str
  sample: ["CDI objects cannot be read: grant the verb \"list\" on cdis.cdi.kubevirt.io."]
installed:
  description: Whether CDI is installed. Null when the user may read neither the CDI objects nor C(CDIConfig).
  returned: success
  type: bool
  sample: true
ready:
  description: Whether CDI is deployed, available, not progressing and not degraded, in one release. Null when the user may not read the CDI objects.
  returned: success
  type: bool
  sample: true
version:
  description: The release that runs, null when there is none.
  returned: success
  type: str
  sample: v1.65.0
versions:
  description: The releases in the status of the CDI object. They are the same when CDI works.
  returned: success
  type: dict
  contains:
    observed:
      description: The release that runs.
      returned: success
      type: str
      sample: v1.65.0
    target:
      description: The release that CDI is getting to.
      returned: success
      type: str
      sample: v1.65.0
    operator:
      description: The release of the operator.
      returned: success
      type: str
      sample: v1.65.0
namespace:
  description: The namespace of CDI's operator and components, null when there is none, or none that the user may see.
  returned: success
  type: str
  sample: cdi
managed_by:
  description: The object through which CDI is managed by HyperConverged or the Operator Lifecycle Manager. Null when it is managed by nobody else,
    or by none that the user may see.
  returned: success
  type: dict
  contains:
    kind:
      description: Its kind, usually V(HyperConverged) or V(ClusterServiceVersion).
      returned: success
      type: str
      sample: HyperConverged
    namespace:
      description: Its namespace.
      returned: success
      type: str
      sample: kubevirt-hyperconverged
    name:
      description: Its name.
      returned: success
      type: str
      sample: kubevirt-hyperconverged
phase:
  description: The phase of the CDI object, null when there is none.
  returned: success
  type: str
  sample: Deployed
cdi:
  description: The CDI object, empty when there is none. URLs in it have C(***) in the place of user, password and query.
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
not_in_effect:
  description: What was asked for and is not in effect, a sentence for each setting.
  returned: success
  type: list
  elements: str
  sample: ["scratch_space_storage_class is None and not 'fast'"]
effective:
  description: What C(CDIConfig) says is in effect, with CDI's defaults for what it leaves out.
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
    upload_proxy_ca:
      description: The certificate authority of the published upload proxy in PEM, null when CDI knows none.
      returned: success
      type: str
      sample: "-----BEGIN CERTIFICATE-----..."
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
    feature_gates:
      description: The feature gates.
      returned: success
      type: list
      elements: str
      sample: [HonorWaitForFirstConsumer]
    insecure_registries:
      description: Registries whose certificates are not verified.
      returned: success
      type: list
      elements: str
      sample: [registry.example.com:5000]
    log_verbosity:
      description: Verbosity of the components, null when it is the release's own.
      returned: success
      type: int
      sample: 3
    tls_security_profile:
      description: TLS versions and ciphers, empty for CDI's own.
      returned: success
      type: dict
      sample: {type: Modern}
storage_profiles:
  description: The storage profiles, when O(storage_profiles=true).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the storage profile and of its storage class.
      returned: success
      type: str
      sample: fast
    provisioner:
      description: Provisioner of the storage class.
      returned: success
      type: str
      sample: csi.example.com
    recognized:
      description: Whether CDI knows the provisioner. Null before CDI 1.65, which does not tell.
      returned: success
      type: bool
      sample: false
    complete:
      description: Whether CDI knows access modes for it. A DataVolume has to give them otherwise.
      returned: success
      type: bool
      sample: true
    clone_strategy:
      description: How claims of the class are cloned.
      returned: success
      type: str
      sample: snapshot
    claim_property_sets:
      description: Access modes and volume modes, the preferred first.
      returned: success
      type: list
      elements: dict
      sample: [{accessModes: [ReadWriteOnce], volumeMode: Block}]
    data_import_cron_source_format:
      description: What a DataImportCron makes, V(pvc) or V(snapshot).
      returned: success
      type: str
      sample: pvc
    snapshot_class:
      description: Class of the snapshots by which claims are cloned, null when there is none.
      returned: success
      type: str
      sample: fast
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.cdi_info import SPEC, run


def main() -> None:
    run_module(SPEC, run)


if __name__ == "__main__":
    main()
