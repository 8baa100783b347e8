# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  force_conflicts:
    description:
      - Objects are written with server-side apply as field manager C(kubevirt.cdi). If another manager (a person, Argo
        CD) has set a field to a different value, the task fails with a conflict that names the manager.
      - V(true) takes over the ownership of such fields.
    type: bool
    default: false
"""
