# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clones of a task have to wait for other items of the same task."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume import spec as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.clone_order import sources_first
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.reconcile import Item

from tests.refused_volumes import volume


def _item(name: str, of: str | None = None, **options: Any) -> Item:
    source = {"pvc": {"name": of, "namespace": None}} if of else {"blank": {}}
    asked = {"require_clone_method": ["snapshot"] if of else None, "on_drift": "fail", **options}
    return Item(volume(name=name, source=source, **asked))


def _another(item: Item) -> Item:
    item.stored, item.volume["on_drift"] = {"metadata": {}, "spec": {}}, "recreate"
    return item


def _there(item: Item) -> Item:
    item.stored = rules.desired(item.volume)
    return item


@pytest.mark.parametrize(
    ("items", "first", "then"),
    [
        ([_item("a", of="b"), _item("b")], "b", "a"),
        ([_item("a", of="b"), _item("b", of="c"), _item("c")], "c", "ab"),
        # What needs no method is left to CDI, which waits for the source.
        ([_item("a", of="b", require_clone_method=None), _item("b")], "ab", ""),
        # These sources exist, are nobody's here, or never will be.
        ([_item("a", of="b"), _there(_item("b"))], "ab", ""),
        ([_there(_item("a", of="b")), _item("b")], "ab", ""),
        ([_item("a", of="elsewhere"), _item("b")], "ab", ""),
        ([_item("a", of="b"), _item("b", state="absent")], "ab", ""),
        ([_item("a", of="b"), _item("b", of="a")], "ab", ""),
        ([_item("a", of="a")], "a", ""),
        # Its data will be others.
        ([_item("a", of="b"), _another(_item("b"))], "b", "a"),
    ],
)
def test_a_clone_with_a_required_method_comes_after_its_source(items: list[Item], first: str, then: str) -> None:
    now, later = sources_first(items)
    assert ("".join(item.key[1] for item in now), "".join(item.key[1] for item in later)) == (first, then)
