# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preallocation: requested, recorded by CDI, or ignored."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.preallocation import preallocation_facts

CLONE = {"source": {"pvc": {"name": "golden", "namespace": "demo"}}}


def _facts(spec: dict[str, Any], **annotations: str) -> dict[str, Any]:
    marks = {f"cdi.kubevirt.io/{name.replace('__', '.')}": value for name, value in annotations.items()}
    return preallocation_facts({"spec": spec}, {"metadata": {"annotations": marks}})


def test_preallocation_is_applied_only_when_cdi_recorded_it() -> None:
    requested = {"storage__preallocation__requested": "true"}
    assert _facts({}, **requested) == {"requested": True, "applied": False, "supported": True, "ignored": None}
    assert _facts({}, **requested, storage__preallocation="true")["applied"] is True


def test_unknown_preallocation_is_none() -> None:
    assert preallocation_facts(None, None)["requested"] is None
    assert preallocation_facts({"spec": {"preallocation": True}}, None)["requested"] is True
    assert preallocation_facts({"spec": {"preallocation": True}}, None)["applied"] is None
    assert _facts(CLONE)["supported"] is None


@pytest.mark.parametrize("method", ["snapshot", "csi-clone"])
def test_clone_that_shares_blocks_ignores_preallocation(method: str) -> None:
    reported = _facts({**CLONE, "preallocation": True}, cloneType=method, storage__preallocation__requested="true")
    assert (reported["supported"], reported["applied"]) == (False, False)
    assert method in reported["ignored"]
    assert _facts(CLONE, cloneType=method, storage__preallocation__requested="false")["ignored"] is None


def test_copy_supports_preallocation() -> None:
    assert _facts(CLONE, cloneType="copy")["supported"] is True


def test_archive_ignores_preallocation() -> None:
    reported = _facts({"contentType": "archive", "source": {"upload": {}}, "preallocation": True})
    assert reported["supported"] is False and "archives" in reported["ignored"]


def test_recorded_preallocation_that_was_not_requested_is_not_applied() -> None:
    marks = {"storage__preallocation__requested": "false", "storage__preallocation": "true"}
    assert _facts(CLONE, cloneType="copy", **marks)["applied"] is False
