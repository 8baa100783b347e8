# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of virtual machines, right and wrong, with the verdict of filter vm_disks on each.

The unit tests compare the verdict with the filter. On a cluster with KubeVirt, the same specs are compared with the
dry run of the API server: `accepted_by_api` and `accepted_as_instance` are what it answers with the gates of a spec.
"""

from __future__ import annotations

from tests.vm_disks.refused_devices import DEVICES
from tests.vm_disks.refused_machines import MACHINES
from tests.vm_disks.refused_volumes import VOLUMES
from tests.vm_disks.valid import VALID

REFUSED = [*DEVICES, *VOLUMES, *MACHINES]
SPECS = [*VALID, *REFUSED]
