# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait until the cluster has reached the requested state.
      - The wait ends early and the task fails when the cluster cannot reach that state.
      - The task does not wait in check mode.
    type: bool
    default: true
  wait_timeout:
    description: Maximum time to wait, in seconds. The error then reports the state and the known cause.
    type: int
"""
