# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storage profile accepts, and when it is in effect."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.storage_profile import (
    SPEC,
    Profile,
    check,
    not_in_effect,
)

SET = {"access_modes": ["ReadWriteOnce"], "volume_mode": "Block"}


def _params(**options: Any) -> dict[str, Any]:
    return {**dict.fromkeys(SPEC.options), "name": "fast", **options}


def test_check_accepts_what_cdi_can_use() -> None:
    check(_params(claim_property_sets=None))
    check(_params(claim_property_sets=[SET] * 8))
    check(_params(name=None, storage_profiles=[_params(), _params(name="slow")]))


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"claim_property_sets": [SET] * 9}, "Storage profile fast: claim_property_sets has 9 sets; give at most 8"),
        (
            {"claim_property_sets": [SET, {**SET, "access_modes": []}]},
            "Storage profile fast: .* a set without access_modes",
        ),
        ({"name": ""}, "name is empty"),
    ],
)
def test_check_refuses_what_cdi_cannot_use(profile: dict[str, Any], message: str) -> None:
    for params in (_params(**profile), _params(name=None, storage_profiles=[_params(name="slow"), _params(**profile)])):
        with pytest.raises(CdiError, match=message):
            check(params)


def test_check_refuses_a_class_that_is_listed_twice() -> None:
    with pytest.raises(CdiError, match="storage_profiles has fast twice; leave one of them out"):
        check(_params(name=None, storage_profiles=[_params(), _params()]))


def test_an_empty_value_removes_the_field() -> None:
    profile = Profile(_params(claim_property_sets=[], clone_strategy="", snapshot_class="thin"))
    assert profile.wanted == {"snapshotClass": "thin"}
    assert profile.removed == {"claimPropertySets": "claim_property_sets", "cloneStrategy": "clone_strategy"}


def test_not_in_effect_considers_only_requested_fields() -> None:
    assert not_in_effect({}, {"cloneStrategy": "copy"}) == []
    assert not_in_effect({"cloneStrategy": "copy"}, {"cloneStrategy": "copy", "snapshotClass": "thin"}) == []
    assert not_in_effect({"cloneStrategy": "copy"}, {}) == ["cloneStrategy"]
