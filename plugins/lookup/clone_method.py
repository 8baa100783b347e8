# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: clone_method
short_description: Tell by which method CDI cloned a volume, and why
version_added: 1.0.0
description:
  - Reads what CDI recorded on the target claim of a clone, which is the only place that has the reason for a fallback.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth_plugin
options:
  _terms:
    description: Volumes, each as C(namespace/name).
    type: list
    elements: str
    required: true
seealso:
  - module: kubevirt.cdi.data_volume
"""

EXAMPLES = r"""
- name: Print how a volume was cloned
  ansible.builtin.debug:
    msg: "{{ lookup('kubevirt.cdi.clone_method', 'images/vm-1').method }}"

- name: Stop when a clone was a full copy
  ansible.builtin.assert:
    that: query('kubevirt.cdi.clone_method', 'images/vm-1', 'images/vm-2') | rejectattr('method', 'ne', 'copy') | length == 0
"""

RETURN = r"""
_raw:
  description: What is known of each volume.
  type: list
  elements: dict
  contains:
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
      description: Whether RV(_raw[].method) is what CDI recorded.
      type: bool
      sample: true
    method:
      description: V(snapshot), V(csi-clone) or V(copy); null for a volume that is no clone, or when CDI has not chosen.
      type: str
      sample: copy
    fallback:
      description: Whether CDI could not use the method that it wanted.
      type: bool
      sample: true
    fallback_reason:
      description: Why, in CDI's words.
      type: str
      sample: No compatible volumesnapshotclass found
    phase:
      description: The phase of the clone.
      type: str
      sample: Succeeded
    error:
      description: What is wrong with the clone.
      type: str
      sample: null
    reason:
      description: One sentence on why it was this method.
      type: str
      sample: "CDI fell back to copy: No compatible volumesnapshotclass found."
    preallocation:
      description: Whether preallocation was asked for, and applied.
      type: dict
      sample: {requested: true, applied: false, supported: true, ignored: null}
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.kubevirt.cdi.plugins.module_utils._argspec import AUTH
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone_task import observe
from ansible_collections.kubevirt.cdi.plugins.module_utils._errors import CdiError


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        try:
            return observe({option: self.get_option(option) for option in AUTH.options}, terms)
        except CdiError as exc:
            raise AnsibleLookupError(f"clone_method: {exc}") from exc
