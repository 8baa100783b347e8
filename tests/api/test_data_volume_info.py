# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module data_volume_info on the wire: what it does about what is missing."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "disk"}, "DataVolume '{}/disk' does not exist; correct its name, or create it."),
        (
            {"namespace": "no-such-namespace"},
            "Namespace 'no-such-namespace' does not exist; create it, or correct its name.",
        ),
        (
            {"name": "disk", "namespace": "no-such-namespace"},
            "Namespace 'no-such-namespace' does not exist; create it, or correct its name.",
        ),
    ],
)
def test_what_is_missing_may_be_an_error_or_a_warning(module, namespace, options, said) -> None:
    options, said = {"namespace": namespace, **options}, said.format(namespace)
    failed = module("data_volume_info", on_missing="error", **options).result
    assert failed["failed"] and failed["msg"] == said
    warned = module("data_volume_info", on_missing="warn", **options)
    assert warned.result["data_volumes"] == [] and said in warned.warnings
    assert module("data_volume_info", **options).warnings == []


def test_a_namespace_without_volumes_is_not_missing(module, namespace) -> None:
    assert module("data_volume_info", namespace=namespace, on_missing="error").result["data_volumes"] == []


def test_only_what_is_missing_costs_a_request_more(wire, module, namespace) -> None:
    module("data_volume_info", namespace=namespace)
    once = len(wire.requests)
    module("data_volume_info", namespace=namespace, on_missing="warn")
    assert len(wire.requests) == 2 * once + 1
