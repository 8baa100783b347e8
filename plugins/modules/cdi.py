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
  - The cluster-wide configuration, C(spec.config) of the CDI object, belongs to M(kubevirt.cdi.cdi_config).
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._force_conflicts
  - kubevirt.cdi._wait
options:
  state:
    description:
      - V(present) installs or upgrades CDI.
      - V(absent) removes the CDI object, waits until the operator has cleaned up, and then removes the operator.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the CDI object. A cluster has only one that works.
    type: str
    default: cdi
  version:
    description: The release, for example V(v1.65.0). Its manifest is fetched from the project's releases.
    type: str
  manifest:
    description: Path or URL of a release's C(cdi-operator.yaml), instead of O(version).
    type: str
  checksum:
    description: V(sha256:) and the digest that the manifest must have. Nothing is written when it has another one.
    type: str
  delete_data_volumes:
    description:
      - Whether CDI may be removed while there are DataVolumes. B(They are deleted then, with their claims and data.)
      - Only used with O(state=absent).
    type: bool
    default: false
  image_pull_policy:
    description: Pull policy of CDI's components and workers.
    type: str
    choices: [Always, IfNotPresent, Never]
  uninstall_strategy:
    description: What CDI itself does when its CDI object is deleted while there are DataVolumes. CDI removes them unless told otherwise.
    type: str
    choices: [RemoveWorkloads, BlockUninstallIfWorkloadsExist]
  priority_class:
    description: Priority class of CDI's components.
    type: str
  infra:
    description: Where CDI's components run, and how many there are.
    type: dict
    suboptions:
      node_selector:
        description: Labels of the nodes.
        type: dict
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
      tolerations:
        description: Tolerations, as in a pod.
        type: list
        elements: dict
      affinity:
        description: Affinity, as in a pod.
        type: dict
  wait:
    description:
      - Whether to wait until CDI works. It does when the CDI object is deployed in the wanted release, the operator is rolled out, the upload API
        is available and a DataVolume would be accepted; or, with O(state=absent), when nothing is left.
      - Nothing is waited for in check mode.
  wait_timeout:
    description: The seconds to wait at most. The error then tells what is missing.
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

- name: Remove CDI, unless there are DataVolumes
  kubevirt.cdi.cdi:
    version: v1.65.0
    state: absent
"""

RETURN = r"""
cdi:
  description: The CDI object, empty when it was removed.
  returned: success
  type: dict
  sample: {apiVersion: cdi.kubevirt.io/v1beta1, kind: CDI, metadata: {name: cdi}, status: {phase: Deployed}}
changed_objects:
  description: The objects that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [Deployment cdi/cdi-operator, CDI cdi]
version:
  description: The release before and after.
  returned: success
  type: dict
  contains:
    from:
      description: The release that was installed, null when there was none.
      type: str
      returned: success
      sample: 1.61.1
    to:
      description: The release of the manifest, null when CDI was removed.
      type: str
      returned: success
      sample: 1.65.0
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi_task import SPEC, check, run
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import run as run_module


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
