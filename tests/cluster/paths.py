# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of the test cluster: builds and state."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Builds and downloads: shared by all clusters, safe to delete."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubevirt.cdi"


def state_dir(profile: str) -> Path:
    """The files of a running cluster of this profile: `down` deletes them."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kubevirt.cdi" / profile
