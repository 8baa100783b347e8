#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clone_permission
short_description: Grant permission to clone volumes from another namespace
version_added: 1.0.0
description:
  - CDI clones a volume or snapshot into another namespace only for users who are permitted to create
    C(datavolumes/source) in the namespace of the source. This module grants and revokes that permission.
  - It binds the ClusterRole C(cdi.kubevirt.io:clone-sourcer), which CDI provides since 1.66. If that ClusterRole does
    not exist, the module creates a Role with only this permission. An existing binding keeps its role.
  - The user that runs the task needs permission to bind that role, or to escalate.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._force_conflicts
options:
  name:
    description: Name of the RoleBinding, and of the Role if one is created.
    type: str
    default: kubevirt-cdi-clone-source
  namespace:
    description: Namespace of the volumes that may be cloned. It must exist.
    type: str
    required: true
  state:
    description: V(absent) deletes the RoleBinding, and the Role if the module created one. A Role with different rules
      is kept, and permissions from other bindings are not affected.
    type: str
    choices: [present, absent]
    default: present
  users:
    description: Users that receive the permission. After the task, the binding has exactly the subjects of O(users),
      O(groups) and O(service_accounts).
    type: list
    elements: str
    default: []
  groups:
    description: Groups that receive the permission, for example V(system:serviceaccounts:team-a) for all service
      accounts of a namespace.
    type: list
    elements: str
    default: []
  service_accounts:
    description: Service accounts that receive the permission.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      namespace:
        description: Namespace of the service account.
        type: str
        required: true
seealso:
  - module: kubevirt.cdi.data_volume
  - plugin: kubevirt.cdi.clone_method
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Grant a team permission to clone the golden images
  kubevirt.cdi.clone_permission:
    namespace: images
    groups:
      - team-a
    service_accounts:
      - name: deployer
        namespace: team-a

- name: Revoke the permission
  kubevirt.cdi.clone_permission:
    namespace: images
    state: absent
"""

RETURN = r"""
role_binding:
  description: The RoleBinding, empty if it was deleted. In check mode, the RoleBinding as it would be.
  returned: success
  type: dict
  sample:
    kind: RoleBinding
    metadata: {name: kubevirt-cdi-clone-source, namespace: images}
    subjects: [{kind: Group, name: team-a}]
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.clone_permission import SPEC, check, run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
