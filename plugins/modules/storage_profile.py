#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: storage_profile
short_description: Set the storage profile of a storage class
version_added: 1.0.0
description:
  - CDI keeps a storage profile for each storage class. For an unknown provisioner, the profile has no access modes, and
    a DataVolume with C(storage) fails. This module sets the access modes and the clone strategy.
  - A field that this module set earlier and that is omitted now is removed, and CDI uses its own defaults again. An
    empty value also removes what another manager has set, which requires O(force_conflicts=true).
  - If a profile, or a list of profiles, already has the requested values in effect, the task costs one request.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._force_conflicts
  - kubevirt.cdi._wait
options:
  name:
    description: Name of the storage class, which must exist. Either this or O(storage_profiles) is required.
    type: str
  claim_property_sets: &claim_property_sets
    description: Access modes for each volume mode, in at most 8 sets. A volume that specifies no modes uses the first
      suitable set.
    type: list
    elements: dict
    suboptions:
      access_modes:
        description: Access modes.
        type: list
        elements: str
        required: true
        choices: [ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod]
      volume_mode:
        description: Volume mode.
        type: str
        required: true
        choices: [Filesystem, Block]
  clone_strategy: &clone_strategy
    description: The clone method that CDI prefers for this storage class.
    type: str
    choices: [copy, snapshot, csi-clone, ""]
  data_import_cron_source_format: &data_import_cron_source_format
    description: The format in which a DataImportCron keeps its imports.
    type: str
    choices: [pvc, snapshot, ""]
  snapshot_class: &snapshot_class
    description: VolumeSnapshotClass for clones by snapshot. It must exist. If omitted, CDI chooses one by the
      provisioner.
    type: str
  storage_profiles:
    description:
      - List of profiles, instead of O(name) and the options of a single profile.
      - The profiles are read with one request, written in parallel and watched with one watch. An error in one profile
        does not prevent the others from being set.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the storage class, which must exist.
        type: str
        required: true
      claim_property_sets: *claim_property_sets
      clone_strategy: *clone_strategy
      data_import_cron_source_format: *data_import_cron_source_format
      snapshot_class: *snapshot_class
  wait:
    description:
      - Whether to wait until CDI has created the profile, and until its status has the requested values.
      - The task does not wait in check mode.
  wait_timeout:
    description: Maximum time to wait, in seconds.
    default: 60
seealso:
  - module: kubevirt.cdi.cdi_info
  - module: kubevirt.cdi.data_volume
"""

EXAMPLES = r"""
- name: Set the access modes of a storage class that CDI does not know, and clone with its driver
  kubevirt.cdi.storage_profile:
    name: fast
    claim_property_sets:
      - access_modes: [ReadWriteOnce]
        volume_mode: Filesystem
      - access_modes: [ReadWriteOnce]
        volume_mode: Block
    clone_strategy: csi-clone

- name: Set several profiles, and let CDI choose the clone method of one of them again
  kubevirt.cdi.storage_profile:
    storage_profiles:
      - name: fast
        claim_property_sets:
          - access_modes: [ReadWriteMany]
            volume_mode: Block
      - name: archive
        clone_strategy: ""
"""

RETURN = r"""
storage_profile:
  description: The StorageProfile.
  returned: when O(name) is given
  type: dict
  sample: {kind: StorageProfile, metadata: {name: fast}, status: {cloneStrategy: csi-clone}}
storage_profiles:
  description: Result for each item of O(storage_profiles), in the same order, also if the task fails.
  returned: when O(storage_profiles) is given
  type: list
  elements: dict
  contains:
    name:
      description: Name of the storage class.
      returned: always
      type: str
      sample: fast
    changed:
      description: Whether the profile was changed, or would be changed in check mode.
      returned: always
      type: bool
      sample: true
    storage_profile:
      description: The StorageProfile, empty if there is none.
      returned: always
      type: dict
      sample: {kind: StorageProfile, metadata: {name: fast}, status: {cloneStrategy: csi-clone}}
    error:
      description: Why the profile could not be set.
      returned: when it could not
      type: str
      sample: "There is no StorageClass fats; CDI creates a storage profile for each class: create the class first, or
        use one of: fast, slow."
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.main import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.storage_profile import SPEC, check, run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
