#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cdi
short_description: Install, upgrade or remove CDI
version_added: 1.0.0
description:
  - Installs the operator of CDI (Containerized Data Importer) from a release manifest, and creates the CDI object that tells it to run.
  - Given the manifest of a newer release, it upgrades CDI. A downgrade, which CDI would silently ignore, is refused before anything is written.
  - The cluster-wide configuration, C(spec.config) of the CDI object, belongs to M(kubevirt.cdi.cdi_config). This module only sets there what CDI needs
    to start, which are O(image_pull_secrets), and the feature gates of CDI's own release when the CDI object is new.
  - CDI that is managed by HyperConverged or by the Operator Lifecycle Manager is left to them. The error names the field to set there.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._force_conflicts
  - kubevirt.cdi._wait
  - kubevirt.cdi._progress
options:
  state:
    description:
      - V(present) installs or upgrades CDI.
      - V(absent) removes the CDI object, waits until the operator has cleaned up, and then removes the operator with its namespace. It is refused
        while there is data, see O(delete_data_volumes). No manifest is needed for it.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the CDI object. Only one CDI object of a cluster can be active.
    type: str
    default: cdi
  version:
    description:
      - The release, for example V(v1.65.0). Its manifest is fetched from the project's releases.
      - Either this or O(manifest) is required with O(state=present).
    type: str
  manifest:
    description: Path or URL of a release's C(cdi-operator.yaml), instead of O(version).
    type: str
  checksum:
    description: V(sha256:) and the digest that the manifest must have. Nothing is written when it has another one.
    type: str
  image_registry:
    description:
      - Registry to pull CDI's images from, with its path if it has one, for example V(registry.example.com:5000/kubevirt).
      - It takes the place of everything before the last C(/) in the manifest's images of the operator, the components and the workers. Names, tags and
        digests stay as they are. Without it the manifest's own images are used, also when CDI is upgraded.
    type: str
  image_pull_secrets:
    description:
      - Names of the Secrets that pull CDI's images. An empty list removes them.
      - The operator and the components take them from CDI's own namespace, workers from the namespace of the DataVolume. They are not created there.
      - They are set for the operator's pod and in C(spec.config.imagePullSecrets) of the CDI object. The latter is the field that
        O(kubevirt.cdi.cdi_config#module:image_pull_secrets) sets, so give both modules the same names, or only one of them.
    type: list
    elements: str
  delete_data_volumes:
    description:
      - Whether CDI may be removed while there are DataVolumes, DataImportCrons, or claims in CDI's own namespace.
        B(They are deleted then, with their claims and data.)
      - Only used with O(state=absent).
    type: bool
    default: false
  when_in_use:
    description:
      - What O(delete_data_volumes) does with data that a pod uses, or that a virtual machine names in its template.
      - V(fail) names the users, before anything is deleted. The account needs C(list) on pods for it.
      - V(delete) B(deletes the data under them).
    type: str
    choices: [fail, delete]
    default: fail
  image_pull_policy:
    description: Pull policy of CDI's components and workers.
    type: str
    choices: [Always, IfNotPresent, Never]
  uninstall_strategy:
    description:
      - What CDI itself does when somebody deletes its CDI object while there are DataVolumes. CDI removes them unless told otherwise.
      - This module never removes them unasked, whatever is set here.
    type: str
    choices: [RemoveWorkloads, BlockUninstallIfWorkloadsExist]
  priority_class:
    description: Priority class of CDI's components. It must exist, because CDI silently uses none otherwise.
    type: str
  infra:
    description: Where CDI's components run, and how many there are.
    type: dict
    suboptions:
      node_selector:
        description: Labels of the nodes.
        type: dict
        default: {kubernetes.io/os: linux}
      tolerations:
        description: Tolerations, as in a pod.
        type: list
        elements: dict
      affinity:
        description: Affinity, as in a pod.
        type: dict
      deployment_replicas:
        description: Number of controllers. CDI honours more than one.
        type: int
      api_server_replicas:
        description: Number of API servers of CDI. CDI honours more than one.
        type: int
      upload_proxy_replicas:
        description: Number of upload proxies. CDI honours more than one.
        type: int
  workload:
    description: Where the pods run that import, upload and clone.
    type: dict
    suboptions:
      node_selector:
        description: Labels of the nodes.
        type: dict
        default: {kubernetes.io/os: linux}
      tolerations:
        description: Tolerations, as in a pod.
        type: list
        elements: dict
      affinity:
        description: Affinity, as in a pod.
        type: dict
  cert_config:
    description: For how long CDI's own certificates are valid, and when they are renewed.
    type: dict
    suboptions:
      ca:
        description: Certificate authorities. CDI's own values are V(48h) and V(24h).
        type: dict
        suboptions:
          duration:
            description: Validity in hours, minutes and seconds, for example V(48h) or V(1h30m).
            type: str
          renew_before:
            description: How long before its end a certificate is renewed, written like the duration.
            type: str
      server:
        description: Certificates of servers. CDI's own values are V(24h) and V(12h).
        type: dict
        suboptions:
          duration:
            description: Validity in hours, minutes and seconds, for example V(48h) or V(1h30m).
            type: str
          renew_before:
            description: How long before its end a certificate is renewed, written like the duration.
            type: str
      client:
        description: Certificates of clients. CDI's own values are V(24h) and V(12h).
        type: dict
        suboptions:
          duration:
            description: Validity in hours, minutes and seconds, for example V(48h) or V(1h30m).
            type: str
          renew_before:
            description: How long before its end a certificate is renewed, written like the duration.
            type: str
  customize_components:
    description: Changes of CDI's components that no other option offers. CDI undoes what is changed on them in another way.
    type: dict
    suboptions:
      patches:
        description: Patches of Deployments, Services, webhook configurations and APIServices.
        type: list
        elements: dict
        suboptions:
          resource_name:
            description: Name of the object, V(*) for all.
            type: str
            required: true
          resource_type:
            description: Kind of the object, V(*) for all.
            type: str
            required: true
          patch:
            description: The patch, as JSON or as a dictionary or list.
            type: jsonarg
            required: true
          type:
            description: JSON patch, JSON merge patch or strategic merge patch.
            type: str
            choices: [json, merge, strategic]
            required: true
      flags:
        description: Command line flags, without the leading hyphens, with their values.
        type: dict
        suboptions:
          api:
            description: For the API server of CDI.
            type: dict
          controller:
            description: For the controller.
            type: dict
          upload_proxy:
            description: For the upload proxy.
            type: dict
  wait:
    description:
      - Whether to wait until CDI works. It does when the CDI object is deployed in the wanted release, the operator and all components are rolled out
        with their images, the upload API is available and a DataVolume would be accepted; or, with O(state=absent), when nothing is left.
      - Nothing is waited for in check mode.
  wait_timeout:
    description: The seconds to wait at most. The error then tells what is missing, and which pods do not run and why.
    default: 300
seealso:
  - module: kubevirt.cdi.cdi_config
  - module: kubevirt.cdi.cdi_info
"""

EXAMPLES = r"""
- name: Install CDI, or upgrade it to this release
  kubevirt.cdi.cdi:
    version: v1.65.0

- name: Install it from a file that was checked
  kubevirt.cdi.cdi:
    manifest: files/cdi-operator-v1.65.0.yaml
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    infra:
      node_selector:
        node-role.kubernetes.io/control-plane: ""

- name: Install it where images only come from a registry of one's own
  kubevirt.cdi.cdi:
    manifest: files/cdi-operator-v1.65.0.yaml
    image_registry: registry.example.com:5000/kubevirt
    image_pull_secrets: [registry-credentials]

- name: Run two of each component, and let nobody remove CDI while there are DataVolumes
  kubevirt.cdi.cdi:
    version: v1.65.0
    uninstall_strategy: BlockUninstallIfWorkloadsExist
    infra:
      deployment_replicas: 2
      api_server_replicas: 2
      upload_proxy_replicas: 2

- name: Remove CDI, unless there are DataVolumes
  kubevirt.cdi.cdi:
    state: absent
"""

RETURN = r"""
cdi:
  description: The CDI object, empty when it was removed.
  returned: success
  type: dict
  sample: {apiVersion: cdi.kubevirt.io/v1beta1, kind: CDI, metadata: {name: cdi}, status: {phase: Deployed}}
changed_objects:
  description: The objects that were changed, or would be in check mode. After a failed removal, those that were deleted.
  returned: success, and when a removal fails
  type: list
  elements: str
  sample: [Deployment cdi/cdi-operator, CDI cdi]
version:
  description: The release before and after.
  returned: success
  type: dict
  contains:
    from:
      description: The release that was installed, null when there was none. It is the same as before when nothing changed.
      type: str
      returned: success
      sample: v1.61.1
    to:
      description: The release of the manifest, null when CDI was removed.
      type: str
      returned: success
      sample: v1.65.0
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.options import SPEC, check
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.cdi import run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
