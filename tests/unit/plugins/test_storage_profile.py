# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storage profile may be asked for, and when it is in effect."""

from __future__ import annotations

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils._errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage_profile import check, not_in_effect

SET = {"access_modes": ["ReadWriteOnce"], "volume_mode": "Block"}


def test_what_cdi_can_use_is_taken() -> None:
    check({"claim_property_sets": None})
    check({"claim_property_sets": [SET] * 8})


def test_what_cdi_cannot_use_is_refused() -> None:
    with pytest.raises(CdiError, match="has 9 sets; give at most 8"):
        check({"claim_property_sets": [SET] * 9})
    with pytest.raises(CdiError, match="a set without access_modes"):
        check({"claim_property_sets": [SET, {**SET, "access_modes": []}]})


def test_only_what_is_asked_for_has_to_be_in_effect() -> None:
    assert not_in_effect({}, {"cloneStrategy": "copy"}) == []
    assert not_in_effect({"cloneStrategy": "copy"}, {"cloneStrategy": "copy", "snapshotClass": "thin"}) == []
    assert not_in_effect({"cloneStrategy": "copy"}, {}) == ["cloneStrategy"]
