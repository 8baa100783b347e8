# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exception of the test cluster's commands."""

from __future__ import annotations


class ClusterError(Exception):
    """One sentence that says what is wrong and how to fix it."""
