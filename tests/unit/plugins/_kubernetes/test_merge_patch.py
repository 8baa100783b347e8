# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge patches: what they make of an object, and whether they would change it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.merge_patch import changes_nothing, merged
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none() | st.booleans() | st.text("ab", min_size=1), lambda below: st.dictionaries(st.sampled_from("xyz"), below)
)
OBJECTS = st.dictionaries(st.sampled_from("xyz"), VALUES)


@pytest.mark.parametrize(
    ("patch", "stored", "expected"),
    [
        ({"a": None}, {}, True),
        ({"a": None}, {"a": "x"}, False),
        ({"a": []}, {}, True),
        ({"a": None}, {"a": {}}, True),
        ({"a": False}, {}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
        ({"a": {"b": 1}}, {}, False),
        ({"a": ["x"]}, {"a": ["x"]}, True),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}, True),
    ],
)
def test_patch_without_effect_is_recognized(patch: Any, stored: Any, expected: bool) -> None:
    assert changes_nothing(patch, stored) is expected


@given(OBJECTS, OBJECTS)
def test_merged_object_needs_no_further_change(stored: dict[str, Any], patch: dict[str, Any]) -> None:
    assert changes_nothing(patch, merged(stored, patch))


@given(OBJECTS, OBJECTS)
def test_merge_keeps_unnamed_keys(stored: dict[str, Any], patch: dict[str, Any]) -> None:
    after = merged(stored, patch)
    assert all(after[key] == stored[key] for key in stored.keys() - patch.keys())
