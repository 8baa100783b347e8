# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clones have to wait for other volumes of the same task."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume import spec as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.clone_order import sources_first
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.volume import Volume

from tests.refused_volumes import volume


def _volume(name: str, of: str | None = None, **options: Any) -> Volume:
    source = {"pvc": {"name": of, "namespace": None}} if of else {"blank": {}}
    requested = {"require_clone_method": ["snapshot"] if of else None, "on_drift": "fail", **options}
    return Volume(volume(name=name, source=source, **requested), stored=None, claim=None)


def _differs(name: str) -> Volume:
    return _volume(name, on_drift="recreate")._replace(stored={"metadata": {}, "spec": {}})


def _exists(declared: Volume) -> Volume:
    return declared._replace(stored=rules.desired(declared.options))


@pytest.mark.parametrize(
    ("volumes", "first", "then"),
    [
        ([_volume("a", of="b"), _volume("b")], "b", "a"),
        ([_volume("a", of="b"), _volume("b", of="c"), _volume("c")], "c", "ab"),
        # Without a required method CDI is left to wait for the source.
        ([_volume("a", of="b", require_clone_method=None), _volume("b")], "ab", ""),
        # These sources exist, are not created by this task, or never will be.
        ([_volume("a", of="b"), _exists(_volume("b"))], "ab", ""),
        ([_exists(_volume("a", of="b")), _volume("b")], "ab", ""),
        ([_volume("a", of="elsewhere"), _volume("b")], "ab", ""),
        ([_volume("a", of="b"), _volume("b", state="absent")], "ab", ""),
        ([_volume("a", of="b"), _volume("b", of="a")], "ab", ""),
        ([_volume("a", of="a")], "a", ""),
        # It will have other data.
        ([_volume("a", of="b"), _differs("b")], "b", "a"),
    ],
)
def test_clone_with_a_required_method_comes_after_its_source(volumes: list[Volume], first: str, then: str) -> None:
    now, later = sources_first(volumes)
    assert ("".join(each.key[1] for each in now), "".join(each.key[1] for each in later)) == (first, then)
