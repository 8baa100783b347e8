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
      - Whether to wait until the cluster has done what was asked for.
      - The wait ends early, and the task fails, when it is clear that the cluster cannot do it.
      - Nothing is waited for in check mode.
    type: bool
    default: true
  wait_timeout:
    description: The seconds to wait at most. The error then tells the state, and what is known about the cause.
    type: int
"""
