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
  - What this module set and is no longer asked for is taken back, and CDI goes by what it knows itself.
  - A profile that is as asked and in effect costs one request.
author:
  - kubevirt.cdi contributors (@kubevirt)
extends_documentation_fragment:
  - kubevirt.cdi._auth
  - kubevirt.cdi._attributes
  - kubevirt.cdi._force_conflicts
  - kubevirt.cdi._wait
options:
  name:
    description: Name of the storage class, which must exist.
    type: str
    required: true
  claim_property_sets:
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
  clone_strategy:
    description: The clone method that CDI shall prefer for this class.
    type: str
    choices: [copy, snapshot, csi-clone]
  data_import_cron_source_format:
    description: What a DataImportCron keeps of its imports.
    type: str
    choices: [pvc, snapshot]
  snapshot_class:
    description: The VolumeSnapshotClass for clones by snapshot, which must exist. CDI chooses one by the provisioner when none is given.
    type: str
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
"""

RETURN = r"""
storage_profile:
  description: The StorageProfile.
  returned: success
  type: dict
  sample: {kind: StorageProfile, metadata: {name: fast}, status: {cloneStrategy: csi-clone}}
"""

from ansible_collections.kubevirt.cdi.plugins.module_utils._module import run as run_module
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage_profile import SPEC, check, run


def main() -> None:
    run_module(SPEC, run, check)


if __name__ == "__main__":
    main()
