# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module data_volume_info and volumes or namespaces that do not exist."""

from __future__ import annotations

from typing import Any

import pytest

from tests.modules import RunModule
from tests.wire import Wire


@pytest.mark.parametrize(
    ("options", "message"),
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
def test_on_missing_makes_a_missing_object_an_error_or_a_warning(
    module: RunModule, namespace: str, options: dict[str, Any], message: str
) -> None:
    options, message = {"namespace": namespace, **options}, message.format(namespace)
    failed = module("data_volume_info", on_missing="error", **options).result
    assert failed["failed"] and failed["msg"] == message
    warned = module("data_volume_info", on_missing="warn", **options)
    assert warned.result["data_volumes"] == [] and message in warned.warnings
    assert module("data_volume_info", **options).warnings == []


def test_namespace_without_volumes_is_not_missing(module: RunModule, namespace: str) -> None:
    assert module("data_volume_info", namespace=namespace, on_missing="error").result["data_volumes"] == []


def test_missing_object_takes_one_more_request(wire: Wire, module: RunModule, namespace: str) -> None:
    module("data_volume_info", namespace=namespace)
    once = len(wire.requests)
    module("data_volume_info", namespace=namespace, on_missing="warn")
    assert len(wire.requests) == 2 * once + 1
