#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cdi_info
short_description: Get information about CDI on a cluster
version_added: 1.0.0
description:
  - Returns whether CDI is installed and ready, its release, and the requested and the effective configuration.
  - A cluster without CDI is not an error. What the user is not permitted to read is listed in RV(not_readable).
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes.info
options:
  storage_profiles:
    description: Whether to return the storage profiles. V(false) saves one request.
    type: bool
    default: true
seealso:
  - module: kubevirt.cdi.cdi
  - module: kubevirt.cdi.cdi_config
"""

EXAMPLES = r"""
- name: Get information about CDI
  kubevirt.cdi.cdi_info:
  register: result

- name: Fail unless CDI is ready and all requested settings are in effect
  ansible.builtin.assert:
    that:
      - result.ready
      - result.not_in_effect | length == 0

- name: Print the storage classes whose access modes CDI does not know
  ansible.builtin.debug:
    msg: "{{ result.storage_profiles | rejectattr('complete') | map(attribute='name') }}"
"""

RETURN = r"""
host:
  description: URL of the API server, which identifies the cluster.
  returned: success
  type: str
  sample: https://api.example.com:6443
not_readable:
  description: What the user is not permitted to read, one sentence per kind with the missing permission. The values
    that depend on it are null or empty.
  returned: success
  type: list
  elements: str
  sample: ["CDI objects cannot be read: grant the verb \"list\" on cdis.cdi.kubevirt.io."]
installed:
  description: Whether CDI is installed. Null if the user can read neither the CDI objects nor C(CDIConfig).
  returned: success
  type: bool
  sample: true
ready:
  description: Whether CDI is deployed, available, not progressing and not degraded, in one release. Null if the user
    cannot read the CDI objects.
  returned: success
  type: bool
  sample: true
version:
  description: The running release, null if there is none.
  returned: success
  type: str
  sample: v1.65.0
versions:
  description: The releases in the status of the CDI object. They are equal when CDI is ready.
  returned: success
  type: dict
  contains:
    observed:
      description: The running release.
      returned: success
      type: str
      sample: v1.65.0
    target:
      description: The release to which CDI is being changed.
      returned: success
      type: str
      sample: v1.65.0
    operator:
      description: The release of the operator.
      returned: success
      type: str
      sample: v1.65.0
namespace:
  description: The namespace of CDI's operator and components. Null if CDI is not installed, or if the user cannot see
    the namespace.
  returned: success
  type: str
  sample: cdi
managed_by:
  description: The HyperConverged object or the object of the Operator Lifecycle Manager that manages CDI. Null if there
    is none, or none that the user can see.
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
  description: Phase of the CDI object, null if there is none.
  returned: success
  type: str
  sample: Deployed
cdi:
  description: The CDI object, empty if there is none. In its URLs, username, password and query are replaced by C(***).
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
  description: Requested settings that are not in effect, one sentence each.
  returned: success
  type: list
  elements: str
  sample: ["scratch_space_storage_class: requested 'fast', in effect: not set"]
effective:
  description: The configuration in effect according to C(CDIConfig), with CDI's defaults for omitted fields.
  returned: success
  type: dict
  contains:
    preallocation:
      description: Whether to preallocate volumes that do not specify preallocation themselves.
      returned: success
      type: bool
      sample: true
    scratch_space_storage_class:
      description: Storage class of scratch space. Null means the storage class of the volume.
      returned: success
      type: str
      sample: fast
    filesystem_overhead:
      description: File system overhead, in total and by storage class.
      returned: success
      type: dict
      sample: {global: "0.06", storageClass: {fast: "0.06"}}
    upload_proxy_url:
      description: Published URL of the upload proxy, null if it is not published.
      returned: success
      type: str
      sample: https://cdi-uploadproxy.example.com
    upload_proxy_ca:
      description: Certificate authority of the published upload proxy in PEM format, null if CDI knows none.
      returned: success
      type: str
      sample: "-----BEGIN CERTIFICATE-----..."
    default_pod_resource_requirements:
      description: Requests and limits of worker pods.
      returned: success
      type: dict
      sample: {limits: {cpu: 750m, memory: 600M}}
    import_proxy:
      description: Proxy for imports.
      returned: success
      type: dict
      sample: {HTTPProxy: ""}
    image_pull_secrets:
      description: Names of the Secrets used to pull images.
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
      description: Log verbosity of the components, null for the default of the release.
      returned: success
      type: int
      sample: 3
    tls_security_profile:
      description: TLS versions and ciphers, empty for CDI's defaults.
      returned: success
      type: dict
      sample: {type: Modern}
storage_profiles:
  description: The storage profiles, if O(storage_profiles=true).
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
      description: Whether CDI knows the provisioner. Null before CDI 1.65, which does not report it.
      returned: success
      type: bool
      sample: false
    complete:
      description: Whether CDI knows the access modes of the storage class. Otherwise, a DataVolume must specify them.
      returned: success
      type: bool
      sample: true
    clone_strategy:
      description: Clone strategy for claims of the storage class.
      returned: success
      type: str
      sample: snapshot
    claim_property_sets:
      description: Access modes and volume modes in order of preference.
      returned: success
      type: list
      elements: dict
      sample: [{accessModes: [ReadWriteOnce], volumeMode: Block}]
    data_import_cron_source_format:
      description: What a DataImportCron creates, V(pvc) or V(snapshot).
      returned: success
      type: str
      sample: pvc
    snapshot_class:
      description: VolumeSnapshotClass used to clone claims, null if there is none.
      returned: success
      type: str
      sample: fast
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.cdi_info import SPEC, run


def main() -> None:
    run_module(SPEC, run)


if __name__ == "__main__":
    main()
