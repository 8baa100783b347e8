#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: data_volume_info
short_description: Tell what there is of DataVolumes
version_added: 1.0.0
description:
  - Tells of DataVolumes and their claims where they have got to, how they were cloned, and whether preallocation was applied.
  - Costs two requests for any number of volumes. A cluster without CDI has none, which is no error.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes.info
options:
  name:
    description: Only the DataVolume of this name. Needs O(namespace).
    type: str
  namespace:
    description: Only DataVolumes in this namespace.
    type: str
  label_selectors:
    description: Only DataVolumes to which all of these apply, for example V(os=debian) or V(os in (debian, fedora)).
    type: list
    elements: str
    default: []
seealso:
  - module: kubevirt.cdi.data_volume
"""

EXAMPLES = r"""
- name: Look at the volumes of a namespace
  kubevirt.cdi.data_volume_info:
    namespace: images
  register: result

- name: Stop unless all are filled
  ansible.builtin.assert:
    that: result.data_volumes | rejectattr('phase', 'eq', 'Succeeded') | length == 0
"""

RETURN = r"""
data_volumes:
  description: The DataVolumes.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name.
      returned: success
      type: str
      sample: golden
    namespace:
      description: Namespace.
      returned: success
      type: str
      sample: images
    phase:
      description: Phase, null when CDI has not said one.
      returned: success
      type: str
      sample: Succeeded
    progress:
      description: Progress as CDI tells it, which may be V(N/A).
      returned: success
      type: str
      sample: 100.0%
    restarts:
      description: How often the worker was started again.
      returned: success
      type: int
      sample: 0
    storage_class_name:
      description: Storage class of the claim.
      returned: success
      type: str
      sample: fast
    volume_mode:
      description: Volume mode of the claim.
      returned: success
      type: str
      sample: Filesystem
    capacity:
      description: Capacity of the claim.
      returned: success
      type: str
      sample: 11Gi
    clone:
      description: How CDI cloned the volume, as RV(kubevirt.cdi.data_volume#module:clone).
      returned: success
      type: dict
      sample: {method: copy, fallback: true, fallback_reason: No compatible volumesnapshotclass found, phase: Succeeded, error: null}
    preallocation:
      description: Whether preallocation was asked for, and applied.
      returned: success
      type: dict
      sample: {requested: true, applied: true}
    data_volume:
      description: The DataVolume.
      returned: success
      type: dict
      sample: {kind: DataVolume, metadata: {name: golden, namespace: images}}
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume_info import SPEC, run
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import run as run_module


def main() -> None:
    run_module(SPEC, run)


if __name__ == "__main__":
    main()
