# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the test cluster keeps what it builds and what it runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Builds and downloads: kept between clusters, safe to delete."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubevirt.cdi"


def state_dir(profile: str) -> Path:
    """What a running cluster of this profile owns: deleted by its `down`."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kubevirt.cdi" / profile
