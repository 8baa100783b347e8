# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  create_namespace:
    description:
      - Whether a namespace that does not exist is created when a volume is created in it. Otherwise it is an error, in check mode, too.
      - The namespaces are not deleted with their volumes.
    type: bool
    default: false
"""
