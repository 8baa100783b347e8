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
  - Installs the operator of CDI (Containerized Data Importer) from a release manifest, and creates the CDI object that
    makes the operator deploy CDI.
  - The manifest of a newer release upgrades CDI. CDI silently ignores a downgrade, so the module refuses one before
    anything is written.
  - The cluster-wide configuration, C(spec.config) of the CDI object, belongs to M(kubevirt.cdi.cdi_config). This module
    only sets the fields that CDI needs to start. These are O(image_pull_secrets) and, for a new CDI object, the feature
    gates that the CDI release enables by default.
  - CDI that is managed by HyperConverged or by the Operator Lifecycle Manager is not changed. The error names the field
    to set instead.
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
      - V(absent) removes the CDI object, waits until the operator has cleaned up, and then removes the operator with
        its namespace. It is refused while data exists, see O(delete_data_volumes). No manifest is required.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the CDI object. Only one CDI object per cluster can be active.
    type: str
    default: cdi
  version:
    description:
      - The release, for example V(v1.65.0). Its manifest is downloaded from the releases of the CDI project.
      - Either this or O(manifest) is required with O(state=present).
    type: str
  manifest:
    description: Path or URL of the C(cdi-operator.yaml) of a release, instead of O(version).
    type: str
  checksum:
    description: V(sha256:) followed by the digest that the manifest must have. If the digest differs, nothing is
      written.
    type: str
  image_registry:
    description:
      - Registry from which CDI's images are pulled, optionally with a path, for example
        V(registry.example.com:5000/kubevirt).
      - It replaces everything before the last C(/) in the manifest's images of the operator, the components and the
        workers. Names, tags and digests are kept. If omitted, the images of the manifest are used unchanged, also for
        an upgrade.
    type: str
  image_pull_secrets:
    description:
      - Names of the Secrets used to pull CDI's images. An empty list removes them.
      - The operator and the components read them in CDI's namespace, workers in the namespace of the DataVolume. The
        module does not create them.
      - They are set for the pod of the operator and in C(spec.config.imagePullSecrets) of the CDI object.
        O(kubevirt.cdi.cdi_config#module:image_pull_secrets) sets the same field, so set the same names in both modules,
        or set them in only one of them.
    type: list
    elements: str
  delete_data_volumes:
    description:
      - Whether CDI may be removed while DataVolumes, DataImportCrons, or claims in CDI's namespace exist. B(They are
        then deleted with their claims and data.)
      - Only used with O(state=absent).
    type: bool
    default: false
  when_in_use:
    description:
      - What O(delete_data_volumes) does with data that a pod uses, or that the template of a virtual machine
        references.
      - V(fail) names the users before anything is deleted. This requires permission to list pods.
      - V(delete) B(deletes the data while it is in use).
    type: str
    choices: [fail, delete]
    default: fail
  image_pull_policy:
    description: Pull policy for the images of CDI's components and workers.
    type: str
    choices: [Always, IfNotPresent, Never]
  uninstall_strategy:
    description:
      - What CDI does when its CDI object is deleted by other means while DataVolumes exist. By default, CDI removes
        them.
      - Whatever its value, this module removes DataVolumes only with O(delete_data_volumes=true).
    type: str
    choices: [RemoveWorkloads, BlockUninstallIfWorkloadsExist]
  priority_class:
    description: Priority class of CDI's components. It must exist, because CDI silently uses none if it does not.
    type: str
  infra:
    description: Placement and number of replicas of CDI's components.
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
        description: Number of replicas of the controller. CDI supports more than one.
        type: int
      api_server_replicas:
        description: Number of replicas of CDI's API server. CDI supports more than one.
        type: int
      upload_proxy_replicas:
        description: Number of replicas of the upload proxy. CDI supports more than one.
        type: int
  workload:
    description: Placement of the pods that import, upload and clone.
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
    description: Validity and renewal of CDI's own certificates.
    type: dict
    suboptions:
      ca:
        description: Certificate authorities. CDI's defaults are V(48h) and V(24h).
        type: dict
        suboptions:
          duration:
            description: Validity in hours, minutes and seconds, for example V(48h) or V(1h30m).
            type: str
          renew_before:
            description: How long before its expiry a certificate is renewed, in the same format as the duration.
            type: str
      server:
        description: Server certificates. CDI's defaults are V(24h) and V(12h).
        type: dict
        suboptions:
          duration:
            description: Validity in hours, minutes and seconds, for example V(48h) or V(1h30m).
            type: str
          renew_before:
            description: How long before its expiry a certificate is renewed, in the same format as the duration.
            type: str
      client:
        description: Client certificates. CDI's defaults are V(24h) and V(12h).
        type: dict
        suboptions:
          duration:
            description: Validity in hours, minutes and seconds, for example V(48h) or V(1h30m).
            type: str
          renew_before:
            description: How long before its expiry a certificate is renewed, in the same format as the duration.
            type: str
  customize_components:
    description: Changes to CDI's components that no other option offers. CDI reverts changes that are made directly on
      its components.
    type: dict
    suboptions:
      patches:
        description: Patches of Deployments, Services, webhook configurations and APIServices.
        type: list
        elements: dict
        suboptions:
          resource_name:
            description: Name of the object, or V(*) for all.
            type: str
            required: true
          resource_type:
            description: Kind of the object, or V(*) for all.
            type: str
            required: true
          patch:
            description: The patch as JSON, or as a dictionary or list.
            type: jsonarg
            required: true
          type:
            description: V(json) is a JSON patch, V(merge) a JSON merge patch, V(strategic) a strategic merge patch.
            type: str
            choices: [json, merge, strategic]
            required: true
      flags:
        description: Command-line flags, without leading hyphens, and their values.
        type: dict
        suboptions:
          api:
            description: Flags of CDI's API server.
            type: dict
          controller:
            description: Flags of the controller.
            type: dict
          upload_proxy:
            description: Flags of the upload proxy.
            type: dict
  wait:
    description:
      - Whether to wait until CDI is ready. It is ready when the CDI object is deployed in the requested release, the
        operator and all components are rolled out with their images, the upload API is available, and a DataVolume
        would be accepted. With O(state=absent), the module waits until nothing is left.
      - The task does not wait in check mode.
  wait_timeout:
    description: Maximum time to wait, in seconds. The error then reports what is missing, which pods do not run, and
      why.
    default: 300
seealso:
  - module: kubevirt.cdi.cdi_config
  - module: kubevirt.cdi.cdi_info
"""

EXAMPLES = r"""
- name: Install CDI, or upgrade it to this release
  kubevirt.cdi.cdi:
    version: v1.65.0

- name: Install CDI from a file whose checksum is verified
  kubevirt.cdi.cdi:
    manifest: files/cdi-operator-v1.65.0.yaml
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    infra:
      node_selector:
        node-role.kubernetes.io/control-plane: ""

- name: Install CDI with images from a private registry
  kubevirt.cdi.cdi:
    manifest: files/cdi-operator-v1.65.0.yaml
    image_registry: registry.example.com:5000/kubevirt
    image_pull_secrets: [registry-credentials]

- name: Run two replicas of each component, and block the removal of CDI while DataVolumes exist
  kubevirt.cdi.cdi:
    version: v1.65.0
    uninstall_strategy: BlockUninstallIfWorkloadsExist
    infra:
      deployment_replicas: 2
      api_server_replicas: 2
      upload_proxy_replicas: 2

- name: Remove CDI unless DataVolumes exist
  kubevirt.cdi.cdi:
    state: absent
"""

RETURN = r"""
cdi:
  description: The CDI object. Empty if it was removed.
  returned: success
  type: dict
  sample: {apiVersion: cdi.kubevirt.io/v1beta1, kind: CDI, metadata: {name: cdi}, status: {phase: Deployed}}
changed_objects:
  description: The objects that were changed, or would be changed in check mode. After a failed removal, the objects
    that were deleted.
  returned: success, and when a removal fails
  type: list
  elements: str
  sample: [Deployment cdi/cdi-operator, CDI cdi]
version:
  description: The release before and after the task.
  returned: success
  type: dict
  contains:
    from:
      description: The release that was installed, null if there was none. It equals RV(version.to) if the release did
        not change.
      type: str
      returned: success
      sample: v1.61.1
    to:
      description: The release of the manifest. Null if CDI was removed.
      type: str
      returned: success
      sample: v1.65.0
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.options import SPEC, check
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.cdi import run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
