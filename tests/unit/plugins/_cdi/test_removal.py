# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When deleted objects count as removed, and when the trial of a DataVolume succeeds."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.readiness import judge_trial
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.uninstall import judge_cleaned_up, judge_gone
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING


def _deleted(*finalizers: str) -> dict[str, Any]:
    return {"metadata": {"name": "cdi", "finalizers": list(finalizers)}}


@pytest.mark.parametrize(
    ("stored", "gone", "cleaned_up"),
    [
        (None, REACHED, REACHED),
        (_deleted(), WAITING, REACHED),
        (_deleted("foregroundDeletion"), WAITING, REACHED),
        (_deleted("operator.cdi.kubevirt.io"), WAITING, WAITING),
        (_deleted("operator.cdi.kubevirt.io", "foregroundDeletion"), WAITING, WAITING),
        ({"metadata": {"name": "cdi", "finalizers": None}}, WAITING, REACHED),
    ],
)
def test_an_object_is_removed_without_finalizers_of_others(stored: Any, gone: str, cleaned_up: str) -> None:
    assert (judge_gone(stored).state, judge_cleaned_up(stored).state) == (gone, cleaned_up)


def test_a_waiting_verdict_names_the_finalizers() -> None:
    assert judge_gone(_deleted("a", "b")).reason == "finalizer a, finalizer b"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, REACHED),
        (ApiError("Cannot create DataVolume: forbidden.", 403), FAILED),
        (ApiError("Cannot create DataVolume: unauthorized.", 401), FAILED),
        (ApiError("Cannot create DataVolume: failed calling webhook.", 500), WAITING),
    ],
)
def test_a_trial_fails_only_without_rights(error: ApiError | None, state: str) -> None:
    verdict = judge_trial(error)
    assert verdict.state == state and not verdict.reason.endswith(".")
