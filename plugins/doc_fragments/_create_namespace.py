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
      - Whether to create the namespace of a new volume if it does not exist. Otherwise, a missing namespace is an
        error, also in check mode.
      - Namespaces are not deleted together with their volumes.
    type: bool
    default: false
"""
