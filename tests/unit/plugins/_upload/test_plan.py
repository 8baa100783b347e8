# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upload does with its target."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.spec import Drift
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.plan import (
    CREATE,
    NOTHING,
    RECORD,
    REPLACE,
    SEND,
    is_as_requested,
    plan,
)

from tests import upload_samples as samples
from tests.upload_samples import (
    DIFFERENT,
    DIGEST,
    LARGER,
    OTHER,
    SAME,
    data_volume,
    upload_options,
)


@pytest.mark.parametrize(
    ("overwrite", "uploaded", "intended", "drift", "action"),
    [
        ("never", DIGEST, DIGEST, SAME, NOTHING),
        ("never", None, DIGEST, SAME, RECORD),
        (
            "never",
            OTHER,
            DIGEST,
            SAME,
            "is already filled, and it contains the file with digest b+, but /disk.raw has a+",
        ),
        ("never", None, None, SAME, "it is not known which file it contains.*annotate its claim"),
        ("never", DIGEST, DIGEST, DIFFERENT, "spec.x is 1 and not 2; set overwrite=different"),
        ("never", DIGEST, DIGEST, LARGER, "contains the file, and size is 1Gi and not 2Gi; to expand it with its data"),
        ("different", DIGEST, DIGEST, SAME, NOTHING),
        ("different", None, DIGEST, SAME, RECORD),
        ("different", OTHER, None, SAME, REPLACE),
        ("different", OTHER, None, LARGER, REPLACE),
        ("different", None, None, SAME, REPLACE),
        ("different", DIGEST, DIGEST, DIFFERENT, REPLACE),
        ("different", DIGEST, DIGEST, LARGER, "or set overwrite=always to delete it with its data"),
        ("always", DIGEST, DIGEST, SAME, REPLACE),
        ("always", DIGEST, DIGEST, LARGER, REPLACE),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_filled_volume_is_replaced_only_on_request(
    alone: bool, overwrite: str, uploaded: str | None, intended: str | None, drift: Drift, action: str
) -> None:
    noted = {name: value for name, value in (("UPLOADED", uploaded), ("INTENDED", intended)) if value}
    claim = samples.claim(pod_phase="Succeeded", UPLOAD_TARGET="", **noted)
    arguments = (upload_options(overwrite=overwrite), DIGEST, None if alone else data_volume("Succeeded"), claim, drift)
    if " " in action:
        with pytest.raises(CdiError, match=action):
            plan(*arguments)
    else:
        assert plan(*arguments)[0] == action


def test_empty_volume_is_filled_and_a_missing_one_created() -> None:
    assert plan(upload_options(), DIGEST, None, None, SAME)[0] == CREATE
    assert plan(upload_options(), DIGEST, data_volume("UploadReady"), None, SAME) == (SEND, "")
    assert plan(upload_options(), DIGEST, data_volume("UploadReady"), samples.claim(INTENDED=DIGEST), SAME) == (
        SEND,
        "",
    )
    with pytest.raises(CdiError, match="is empty, but its spec differs"):
        plan(upload_options(), DIGEST, data_volume("UploadReady"), samples.claim(), DIFFERENT)


def test_remains_of_a_different_file_are_replaced_without_consent() -> None:
    """CDI would write over them, or even make a disk of them."""
    action, why = plan(upload_options(), DIGEST, data_volume("UploadReady"), samples.claim(INTENDED=OTHER), SAME)
    assert action == REPLACE and why == f"it has the remains of an unfinished upload of the file with digest {OTHER}"
    arguments = (DIGEST, data_volume("UploadReady"), samples.claim(INTENDED=OTHER), DIFFERENT)
    assert plan(upload_options(overwrite="different"), *arguments) == (REPLACE, f"spec.x is 1 and not 2; {why}")
    with pytest.raises(CdiError, match=r"is empty, but its spec differs: spec.x is 1 and not 2;"):
        plan(upload_options(), *arguments)


def test_claim_made_a_target_later_is_replaced_only_on_request() -> None:
    claim = samples.claim(UPLOAD_TARGET="", INTENDED=OTHER)
    with pytest.raises(
        CdiError, match=f"demo/disk: it has the remains .*{OTHER}, and perhaps older data; set overwrite="
    ):
        plan(upload_options(), DIGEST, None, claim, SAME)
    assert plan(upload_options(overwrite="different"), DIGEST, None, claim, SAME)[0] == REPLACE
    assert plan(upload_options(), OTHER, None, claim, SAME)[0] == SEND
    claim["spec"]["dataSourceRef"] = {"kind": "VolumeUploadSource", "name": "target"}
    assert plan(upload_options(), DIGEST, None, claim, SAME)[0] == REPLACE


def test_volume_with_a_different_source_is_refused() -> None:
    volume = data_volume("Succeeded")
    volume["spec"]["source"] = {"blank": {}}
    with pytest.raises(CdiError, match="filled from another source"):
        plan(upload_options(overwrite="always"), DIGEST, volume, samples.claim(), SAME)
    with pytest.raises(CdiError, match="accepts no uploads"):
        plan(upload_options(overwrite="always"), DIGEST, None, samples.claim(), SAME)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, True),
        ({"preallocation": True}, True),
        ({"preallocation": False}, False),
        ({"content_type": "archive"}, False),
        ({"pvc": {"size": "1Gi"}}, False),
    ],
)
def test_options_are_compared_without_the_file_when_a_checksum_is_given(asked: dict[str, Any], expected: bool) -> None:
    options = ("storage", "pvc", "content_type", "preallocation", "priority_class_name", "service_account_name")
    assert is_as_requested({**dict.fromkeys(options), **asked}, {"spec": {"preallocation": True}}) is expected
