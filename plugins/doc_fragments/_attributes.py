# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/kubevirt.cdi.cdi) in C(module_defaults) to set the connection options for all modules of
      this collection.
    support: full
    membership:
      - kubevirt.cdi.cdi
  check_mode:
    description: Can run in C(check_mode) and return the changed status and the diff of a real run, without writing
      anything.
    support: full
  diff_mode:
    description: Returns what has changed, or in check mode would change, when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run makes no change.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/kubevirt.cdi.cdi) in C(module_defaults) to set the connection options for all modules of
      this collection.
    support: full
    membership:
      - kubevirt.cdi.cdi
  check_mode:
    description: Can run in C(check_mode). The module only reads.
    support: full
  diff_mode:
    description: Returns what has changed, or in check mode would change, when in diff mode.
    support: N/A
    details: The module only reads.
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run makes no change.
    support: full
"""
