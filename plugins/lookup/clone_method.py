# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: clone_method
short_description: Tell by which method CDI cloned a volume or will clone it, and why
version_added: 1.0.0
description:
  - For a volume that exists, tells what CDI recorded on the target claim of the clone. Only there is the reason for a fallback.
  - For a clone that is planned, or that CDI has not begun, predicts the method by the rules of CDI's planner, says why, and which change
    would make it faster.
  - Any number of volumes cost one list of DataVolumes and one of claims for each namespace. What a prediction needs is read once for all of
    them (CDI, its configuration, storage classes and profiles, CSI drivers, snapshot classes, and the sources with their pods).
  - When something that decides may not be read, RV(_raw[].method) is null and RV(_raw[].reason) names the right that is missing. Without the
    right to list pods RV(_raw[].waits_for) does not name them; without that to read PersistentVolumes the source's driver is its class's.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth_plugin
options:
  _terms:
    description:
      - Volumes, each as C(namespace/name), or as a dictionary with the options of an item of O(kubevirt.cdi.data_volume#module:data_volumes).
      - A dictionary without a namespace is in that of the kubeconfig's context, else in V(default), as in the module.
      - A dictionary whose volume exists is answered from what CDI recorded.
    type: list
    elements: raw
    required: true
  on_missing:
    description:
      - What to do when a volume that is given as C(namespace/name) does not exist, or its namespace does not.
      - V(skip) answers with RV(_raw[].exists) false, V(warn) shows a warning as well, and V(error) fails.
      - A volume that is given as a dictionary is planned, and may be missing.
    type: str
    choices: [error, warn, skip]
    default: skip
notes:
  - A lookup gets neither C(module_defaults) nor the C(environment) of a play, block or task. When these choose the cluster of the modules,
    set the variables as well, for example C(cdi_kubeconfig) or C(kubevirt_cdi_kubeconfig), or give the options. RV(_raw[].host) names the
    cluster that answered.
  - An answer is kept for the process that Ansible runs a task in, for one minute when the clone is finished and for two seconds when it is
    not. Asking again in one task costs no request, and a loop that waits for a clone sees it go on.
seealso:
  - module: kubevirt.cdi.data_volume
  - module: kubevirt.cdi.clone_permission
"""

EXAMPLES = r"""
- name: Print how a volume was cloned
  ansible.builtin.debug:
    msg: "{{ lookup('kubevirt.cdi.clone_method', 'images/vm-1').method }}"

- name: Stop when a clone was a full copy
  ansible.builtin.assert:
    that: query('kubevirt.cdi.clone_method', 'images/vm-1', 'images/vm-2') | selectattr('method', 'eq', 'copy') | length == 0

- name: Tell how a planned clone will be made, and what would make it faster
  ansible.builtin.debug:
    msg: "{{ plan.method }}: {{ plan.reason }} {{ plan.remedy | default('', true) }}"
  vars:
    plan: "{{ lookup('kubevirt.cdi.clone_method', volume) }}"
    volume:
      name: vm-3
      namespace: images
      source:
        pvc:
          name: golden
      storage:
        size: 20Gi
        storage_class_name: fast
"""

RETURN = r"""
_raw:
  description: What is known of each volume, in the order of the terms.
  type: list
  elements: dict
  contains:
    host:
      description: URL of the API server that answered.
      type: str
      sample: https://api.example.com:6443
    namespace:
      description: Namespace of the volume.
      type: str
      sample: images
    name:
      description: Name of the volume.
      type: str
      sample: vm-1
    exists:
      description: Whether there is a DataVolume or a claim of that name.
      type: bool
      sample: true
    observed:
      description: Whether RV(_raw[].method) is what CDI recorded. When not, it is predicted.
      type: bool
      sample: true
    method:
      description:
        - V(snapshot), V(csi-clone) or V(copy).
        - Null for a volume that is no clone, and when CDI cannot choose yet, will refuse the clone, or cannot be predicted.
      type: str
      sample: copy
    forced:
      description: Whether somebody asked for the method by the annotation C(cdi.kubevirt.io/cloneType), which CDI follows without a check.
      type: bool
      sample: false
    fallback:
      description: Whether CDI cannot use the method that it wanted. When not, the method was chosen.
      type: bool
      sample: true
    fallback_reason:
      description: Why, in CDI's words.
      type: str
      sample: No compatible volumesnapshotclass found
    phase:
      description: The phase of the clone, for example V(Pending), V(CSIClone), V(HostClone), V(Succeeded) or V(Error). Null before CDI has begun.
      type: str
      sample: Succeeded
    error:
      description: What is wrong with the clone, or will be, in CDI's words.
      type: str
      sample: null
    reason:
      description: One sentence on why it is this method, or none.
      type: str
      sample: "CDI fell back to copy: No compatible volumesnapshotclass found."
    remedy:
      description: The one change (or the fewest) that would make the clone faster, or possible. Null when it is as fast as can be, when nothing is
        known to help, and for a copy that would be faster if it were made now.
      type: str
      sample: make a VolumeSnapshotClass for driver csi.example.com, if that can take snapshots
    waits_for:
      description: What CDI waits for before it goes on, for example the pods that use the source.
      type: list
      elements: str
      sample: [pod images/vm-9 using PersistentVolumeClaim golden]
    ready_after:
      description: The seconds from the creation of the volume until it was ready, null before.
      type: int
      sample: 7
    preallocation:
      description: Whether preallocation was asked for, and applied. See RV(kubevirt.cdi.data_volume#module:preallocation).
      type: dict
      sample: {requested: true, applied: false, supported: false, ignored: A snapshot clone shares blocks with its source.}
"""

import os
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.argspec import AUTH
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.clone_method import look_up


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=self._templated(variables or {}), direct=kwargs)
        options = {option: self._option(option) for option in AUTH.options}
        # Ansible reads no variables for suboptions of a plugin; the spec of the modules does.
        headers = ArgumentSpecValidator({"proxy_headers": AUTH.options["proxy_headers"]}).validate(
            {"proxy_headers": options["proxy_headers"]}
        )
        if headers.error_messages:
            raise AnsibleLookupError(f"clone_method: {'; '.join(headers.error_messages)}")
        message = ""
        try:
            return look_up(
                {**options, **headers.validated_parameters}, terms, self.get_option("on_missing"), Display().warning
            )
        except CdiError as exc:
            message = str(exc)
        # Outside of the handler: Ansible would show the message of each error in the chain, and none but this one is without secrets.
        raise AnsibleLookupError(f"clone_method: {message}")

    def _templated(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The variables of the options. Ansible hands them over as they are written, be they templates or vaulted."""
        known = {
            variable["name"] for option in self.option_definitions.values() for variable in option.get("vars") or []
        }
        names = known.intersection(variables)
        return {name: self._templar.template(variables[name]) for name in names}

    def _option(self, option: str) -> Any:
        """An option; a variable of the environment that is empty is not given, also where Ansible would make a false of it."""
        if not any(name.startswith("K8S_AUTH_") and not value for name, value in os.environ.items()):
            return self.get_option(option)
        value, origin = self.get_option_and_origin(option)
        name = str(origin).partition("env: ")[2]
        return None if name and not os.environ.get(name) else value
