# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that the test cluster's commands end with."""

from __future__ import annotations


class ClusterError(Exception):
    """One sentence that names what is wrong and what to do about it."""
