# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specs are combined without losing constraints."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.argspec import ArgumentSpec
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import give_empty_options


def test_a_sum_of_specs_has_the_constraints_of_both() -> None:
    one = ArgumentSpec({"a": {}}, mutually_exclusive=[("a", "b")], required_by={"a": "b"})
    other = ArgumentSpec(
        {"b": {}}, mutually_exclusive=[("b", "c")], required_by={"b": "c"}, required_together=[("a", "c")]
    )
    whole = one + other
    assert whole.options == {"a": {}, "b": {}}
    assert whole.constraints == {
        "mutually_exclusive": [("a", "b"), ("b", "c")],
        "required_by": {"a": "b", "b": "c"},
        "required_together": [("a", "c")],
    }
    assert one.constraints["mutually_exclusive"] == [("a", "b")]


_SOURCES = {
    "blank": {"type": "dict", "options": {}},
    "upload": {"type": "dict", "options": {}},
    "pvc": {"type": "dict", "options": {"name": {}}},
}
_OPTIONS: dict[str, Any] = {"name": {}, "source": {"type": "dict", "options": _SOURCES}}
_OPTIONS["volumes"] = {"type": "list", "elements": "dict", "options": dict(_OPTIONS)}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"source": {"blank": None}}, {"source": {"blank": {}}}),
        ({"source": {"upload": None}}, {"source": {"upload": {}}}),
        ({"source": {"blank": None, "pvc": None}}, {"source": {"blank": {}, "pvc": None}}),
        (
            {"volumes": [{"source": {"blank": None}}, {"name": "x"}]},
            {"volumes": [{"source": {"blank": {}}}, {"name": "x"}]},
        ),
        # What leaves it open stays open, and is refused.
        ({"source": {"blank": None, "upload": None}}, {"source": {"blank": None, "upload": None}}),
        ({"source": {"blank": None, "pvc": {"name": "a"}}}, {"source": {"blank": None, "pvc": {"name": "a"}}}),
        ({"source": {"pvc": None}}, {"source": {"pvc": None}}),
        (
            {"source": None, "volumes": "text", "no": {"such": None}},
            {"source": None, "volumes": "text", "no": {"such": None}},
        ),
    ],
)
def test_a_null_value_selects_an_option_without_suboptions(given: Any, meant: Any) -> None:
    give_empty_options(given, _OPTIONS)
    assert given == meant
