# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storage profile may be asked for, and when it is in effect."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.storage_profile import (
    SPEC,
    Item,
    check,
    not_in_effect,
)

SET = {"access_modes": ["ReadWriteOnce"], "volume_mode": "Block"}


def _params(**options: Any) -> dict[str, Any]:
    return {**dict.fromkeys(SPEC.options), "name": "fast", **options}


def test_what_cdi_can_use_is_taken() -> None:
    check(_params(claim_property_sets=None))
    check(_params(claim_property_sets=[SET] * 8))
    check(_params(name=None, storage_profiles=[_params(), _params(name="slow")]))


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ({"claim_property_sets": [SET] * 9}, "Storage profile fast: claim_property_sets has 9 sets; give at most 8"),
        (
            {"claim_property_sets": [SET, {**SET, "access_modes": []}]},
            "Storage profile fast: .* a set without access_modes",
        ),
        ({"name": ""}, "name is empty"),
    ],
)
def test_what_cdi_cannot_use_is_refused(profile: dict[str, Any], told: str) -> None:
    for params in (_params(**profile), _params(name=None, storage_profiles=[_params(name="slow"), _params(**profile)])):
        with pytest.raises(CdiError, match=told):
            check(params)


def test_a_class_is_there_once() -> None:
    with pytest.raises(CdiError, match="storage_profiles has fast twice; leave one of them out"):
        check(_params(name=None, storage_profiles=[_params(), _params()]))


def test_an_empty_value_asks_for_the_field_to_be_absent() -> None:
    item = Item(_params(claim_property_sets=[], clone_strategy="", snapshot_class="thin"))
    assert item.wanted == {"snapshotClass": "thin"}
    assert item.emptied == {"claimPropertySets": "claim_property_sets", "cloneStrategy": "clone_strategy"}


def test_only_what_is_asked_for_has_to_be_in_effect() -> None:
    assert not_in_effect({}, {"cloneStrategy": "copy"}) == []
    assert not_in_effect({"cloneStrategy": "copy"}, {"cloneStrategy": "copy", "snapshotClass": "thin"}) == []
    assert not_in_effect({"cloneStrategy": "copy"}, {}) == ["cloneStrategy"]
