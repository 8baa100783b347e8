# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preallocation: what is asked, what CDI has recorded, and where it ignores it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.preallocation import preallocation_facts

CLONE = {"source": {"pvc": {"name": "golden", "namespace": "demo"}}}


def _facts(spec: dict[str, Any], **annotations: str) -> dict[str, Any]:
    marks = {f"cdi.kubevirt.io/{name.replace('__', '.')}": value for name, value in annotations.items()}
    return preallocation_facts({"spec": spec}, {"metadata": {"annotations": marks}})


def test_it_is_applied_only_when_cdi_says_so() -> None:
    asked = {"storage__preallocation__requested": "true"}
    assert _facts({}, **asked) == {"requested": True, "applied": False, "supported": True, "ignored": None}
    assert _facts({}, **asked, storage__preallocation="true")["applied"] is True


def test_what_nobody_knows_is_null() -> None:
    assert preallocation_facts(None, None)["requested"] is None
    assert preallocation_facts({"spec": {"preallocation": True}}, None)["requested"] is True
    assert preallocation_facts({"spec": {"preallocation": True}}, None)["applied"] is None
    assert _facts(CLONE)["supported"] is None


@pytest.mark.parametrize("method", ["snapshot", "csi-clone"])
def test_a_clone_that_shares_blocks_ignores_it(method: str) -> None:
    told = _facts({**CLONE, "preallocation": True}, cloneType=method, storage__preallocation__requested="true")
    assert (told["supported"], told["applied"]) == (False, False)
    assert method in told["ignored"]
    assert _facts(CLONE, cloneType=method, storage__preallocation__requested="false")["ignored"] is None


def test_a_copy_supports_it() -> None:
    assert _facts(CLONE, cloneType="copy")["supported"] is True


def test_an_archive_ignores_it() -> None:
    told = _facts({"contentType": "archive", "source": {"upload": {}}, "preallocation": True})
    assert told["supported"] is False and "archives" in told["ignored"]


def test_a_record_of_what_was_not_asked_for_is_no_proof() -> None:
    marks = {"storage__preallocation__requested": "false", "storage__preallocation": "true"}
    assert _facts(CLONE, cloneType="copy", **marks)["applied"] is False
