# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that CDI gives to annotations and labels."""

from __future__ import annotations

PREFIX = "cdi.kubevirt.io/"
METHOD = f"{PREFIX}cloneType"
