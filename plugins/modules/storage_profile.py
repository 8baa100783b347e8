#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: storage_profile
short_description: Tell CDI what a storage class can do
version_added: 1.0.0
description:
  - CDI keeps a storage profile for each storage class. For a provisioner that CDI does not know, the profile lacks access modes, and a
    DataVolume with C(storage) fails. This module fills them in, and sets the clone strategy.
  - What this module set and is no longer asked for is taken back, and CDI goes by what it knows itself. An empty value also takes away what
    another manager has set, which needs O(force_conflicts=true).
  - A profile that is as asked and in effect costs one request, and so does a list of them.
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
    description: The access modes of each volume mode, in at most 8 sets. The first that fits is used for a volume that does not say.
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
    description: The clone method that CDI shall prefer for this class.
    type: str
    choices: [copy, snapshot, csi-clone, ""]
  data_import_cron_source_format: &data_import_cron_source_format
    description: What a DataImportCron keeps of its imports.
    type: str
    choices: [pvc, snapshot, ""]
  snapshot_class: &snapshot_class
    description: The VolumeSnapshotClass for clones by snapshot, which must exist. CDI chooses one by the provisioner when none is given.
    type: str
  storage_profiles:
    description:
      - Several profiles, instead of O(name) and the options of one.
      - They are read by one request, written in parallel and waited for by one watch. An error of one does not keep the others from being set.
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
      - Whether to wait until CDI has made the profile, and until its status shows the asked values.
      - Nothing is waited for in check mode.
  wait_timeout:
    description: The seconds to wait at most.
    default: 60
seealso:
  - module: kubevirt.cdi.cdi_info
  - module: kubevirt.cdi.data_volume
"""

EXAMPLES = r"""
- name: Volumes of a class that CDI does not know can be mounted by one node, clones by the driver
  kubevirt.cdi.storage_profile:
    name: fast
    claim_property_sets:
      - access_modes: [ReadWriteOnce]
        volume_mode: Filesystem
      - access_modes: [ReadWriteOnce]
        volume_mode: Block
    clone_strategy: csi-clone

- name: Set several profiles at once, and let CDI choose the clone method of one of them again
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
  description: What was done to each of O(storage_profiles), in their order, also when the task fails.
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
      description: Whether the profile was changed, or in check mode would be.
      returned: always
      type: bool
      sample: true
    storage_profile:
      description: The StorageProfile, empty when there is none.
      returned: always
      type: dict
      sample: {kind: StorageProfile, metadata: {name: fast}, status: {cloneStrategy: csi-clone}}
    error:
      description: Why the profile could not be set.
      returned: when it could not
      type: str
      sample: "There is no StorageClass fats; CDI makes a storage profile for each class: create the class first, or use one of: fast, slow."
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.storage_profile import SPEC, check, run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
