# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specs are put together, and none of their constraints is lost."""

from __future__ import annotations

from ansible_collections.kubevirt.cdi.plugins.module_utils._argspec import ArgumentSpec


def test_the_constraints_of_both_parts_hold_for_the_whole() -> None:
    one = ArgumentSpec({"a": {}}, mutually_exclusive=[("a", "b")], required_by={"a": "b"})
    other = ArgumentSpec({"b": {}}, mutually_exclusive=[("b", "c")], required_by={"b": "c"}, required_together=[("a", "c")])
    whole = one + other
    assert whole.options == {"a": {}, "b": {}}
    assert whole.constraints == {
        "mutually_exclusive": [("a", "b"), ("b", "c")],
        "required_by": {"a": "b", "b": "c"},
        "required_together": [("a", "c")],
    }
    assert one.constraints["mutually_exclusive"] == [("a", "b")]
