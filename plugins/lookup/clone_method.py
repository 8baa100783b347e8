# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: clone_method
short_description: Get or predict the clone method of a volume, and the reason for it
version_added: 1.0.0
description:
  - For an existing volume, returns what CDI recorded on the target claim of the clone. Only the claim has the reason
    for a fallback.
  - For a planned clone, or one that CDI has not started, predicts the method with the rules of CDI's planner, and
    returns the reason and the change that would make the clone faster.
  - Any number of volumes costs one LIST of DataVolumes and one LIST of claims per namespace. What a prediction needs
    (CDI, its configuration, storage classes and profiles, CSI drivers, snapshot classes, and the sources with their
    pods) is read once for all volumes.
  - If permission to read a deciding object is missing, RV(_raw[].method) is null and RV(_raw[].reason) names the
    missing permission. Without permission to list pods, RV(_raw[].waits_for) does not name them. Without permission to
    read PersistentVolumes, the driver of the source is taken from its storage class.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth_plugin
options:
  _terms:
    description:
      - Volumes, each as C(namespace/name), or as a dictionary with the options of an item of
        O(kubevirt.cdi.data_volume#module:data_volumes).
      - A dictionary without a namespace uses the namespace of the kubeconfig's context, or V(default), like the module.
      - If the volume of a dictionary exists, the result is what CDI recorded.
    type: list
    elements: raw
    required: true
  on_missing:
    description:
      - What to do when a volume specified as C(namespace/name), or its namespace, does not exist.
      - V(skip) returns an item with RV(_raw[].exists) set to false, V(warn) additionally shows a warning, and V(error)
        fails.
      - A volume specified as a dictionary is a plan, so it need not exist.
    type: str
    choices: [error, warn, skip]
    default: skip
notes:
  - A lookup receives neither C(module_defaults) nor the C(environment) of a play, block or task. If these select the
    cluster for the modules, also set the variables, for example C(cdi_kubeconfig) or C(kubevirt_cdi_kubeconfig), or
    pass the options to the lookup. RV(_raw[].host) names the cluster that answered.
  - Results are cached in the process in which Ansible runs a task, for one minute if the clone is finished and for two
    seconds if it is not. Repeated lookups in one task cost no request, and a loop that waits for a clone sees its
    progress.
seealso:
  - module: kubevirt.cdi.data_volume
  - module: kubevirt.cdi.clone_permission
"""

EXAMPLES = r"""
- name: Print how a volume was cloned
  ansible.builtin.debug:
    msg: "{{ lookup('kubevirt.cdi.clone_method', 'images/vm-1').method }}"

- name: Fail if a clone was a full copy
  ansible.builtin.assert:
    that: clones | selectattr('method', 'eq', 'copy') | length == 0
  vars:
    clones: "{{ query('kubevirt.cdi.clone_method', 'images/vm-1', 'images/vm-2') }}"

- name: Print the method of a planned clone, and what would make it faster
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
  description: Facts about each volume, in the order of the terms.
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
      description: Whether a DataVolume or a claim of that name exists.
      type: bool
      sample: true
    observed:
      description: Whether RV(_raw[].method) is what CDI recorded. Otherwise, it is a prediction.
      type: bool
      sample: true
    method:
      description:
        - V(snapshot), V(csi-clone) or V(copy).
        - Null if the volume is not a clone, and if CDI cannot choose yet, will reject the clone, or cannot be
          predicted.
      type: str
      sample: copy
    forced:
      description: Whether the method was requested with the annotation C(cdi.kubevirt.io/cloneType), which CDI follows
        without a check.
      type: bool
      sample: false
    fallback:
      description: Whether CDI cannot use its preferred method and falls back. Otherwise, the method was chosen.
      type: bool
      sample: true
    fallback_reason:
      description: Reason for the fallback, as CDI reports it.
      type: str
      sample: No compatible volumesnapshotclass found
    phase:
      description: Phase of the clone, for example V(Pending), V(CSIClone), V(HostClone), V(Succeeded) or V(Error). Null
        until CDI starts the clone.
      type: str
      sample: Succeeded
    error:
      description: Existing or predicted error of the clone, as CDI reports it.
      type: str
      sample: null
    reason:
      description: One sentence that explains the method, or why there is none.
      type: str
      sample: "CDI fell back to copy: No compatible volumesnapshotclass found."
    remedy:
      description: The smallest change that would make the clone faster, or possible. Null if the clone is already as
        fast as possible, if no change is known to help, and for a copy that would be faster if it were created now.
      type: str
      sample: create a VolumeSnapshotClass for driver csi.example.com, if it supports snapshots
    waits_for:
      description: What CDI waits for before it continues, for example the pods that use the source.
      type: list
      elements: str
      sample: [pod images/vm-9 using PersistentVolumeClaim golden]
    ready_after:
      description: Time from the creation of the volume until it was ready, in seconds. Null while it is not ready.
      type: int
      sample: 7
    preallocation:
      description: Whether preallocation was requested and applied. See
        RV(kubevirt.cdi.data_volume#module:preallocation).
      type: dict
      sample:
        requested: true
        applied: false
        supported: false
        ignored: A snapshot clone shares blocks with its source, and CDI does not preallocate it.
"""

import os
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.argspec import AUTH
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.clone_method import MEMORY, look_up


class LookupModule(LookupBase):
    # Ansible creates a plugin for each call; the memory is that of the process.
    memory = MEMORY

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
                {**options, **headers.validated_parameters},
                terms,
                self.get_option("on_missing"),
                Display().warning,
                self.memory,
            )
        except CdiError as exc:
            message = str(exc)
        # Outside of the handler: Ansible shows the message of each error in the chain, and only this one is redacted.
        raise AnsibleLookupError(f"clone_method: {message}")

    def _templated(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The variables of the options. Ansible passes them as they are written, with templates and vaulted values."""
        known = {
            variable["name"] for option in self.option_definitions.values() for variable in option.get("vars") or []
        }
        names = known.intersection(variables)
        return {name: self._templar.template(variables[name]) for name in names}

    def _option(self, option: str) -> Any:
        """The value of an option. An empty environment variable counts as not set, even where Ansible reads false."""
        if not any(name.startswith("K8S_AUTH_") and not value for name, value in os.environ.items()):
            return self.get_option(option)
        value, origin = self.get_option_and_origin(option)
        name = str(origin).partition("env: ")[2]
        return None if name and not os.environ.get(name) else value
