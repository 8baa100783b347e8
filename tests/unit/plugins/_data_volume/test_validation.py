# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that CDI would refuse are refused before any request, in one sentence; others are not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.options import SINCE, SPEC_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.validation import check, needs_newer, uses_newer
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.refused_volumes import ACCEPTED, BY_CDI, BY_US, volume


@pytest.mark.parametrize(("options", "reported"), BY_CDI + BY_US)
def test_invalid_options_are_refused_in_one_sentence(options: dict[str, Any], reported: str) -> None:
    with pytest.raises(CdiError) as raised:
        check(volume(**options))
    message = str(raised.value)
    assert message.startswith("DataVolume disk ") and reported in message and message.endswith(".")
    assert ". " not in message and "\n" not in message


@pytest.mark.parametrize(
    ("source", "reported"),
    [
        ({"http": {"url": "ftp://user:s3cret@host/a.img?s3cret"}}, "source.http.url=ftp://***@host/a.img?***; give"),
        ({"s3": {"url": "user:s3cret@host/a.img?s3cret"}}, "source.s3.url=***@host/a.img?***; give"),
        ({"registry": {"url": "https://user:s3@s3cret@host/a"}}, "source.registry.url=https://***@host/a; give"),
    ],
)
def test_invalid_url_is_reported_without_its_secrets(source: dict[str, Any], reported: str) -> None:
    with pytest.raises(CdiError) as raised:
        check(volume(source=source))
    assert reported in str(raised.value) and "s3cret" not in str(raised.value)


@pytest.mark.parametrize("options", ACCEPTED)
def test_options_that_cdi_accepts_are_not_refused(options: dict[str, Any]) -> None:
    check(volume(**options))


def test_deletion_requires_only_a_name() -> None:
    check(volume(state="absent", source=None, storage=None))


@pytest.mark.parametrize(
    ("options", "installed", "reported"),
    [
        (
            {"source": {"http": {"url": "http://x", "checksum": "md5:0"}}},
            "v1.64.0",
            "source.http.checksum requires CDI 1.65.0",
        ),
        ({"source": {"http": {"url": "http://x", "checksum": "md5:0"}}}, "v1.65.0", ""),
        ({"source": {"http": {"url": "http://x"}}}, "v1.61.1", ""),
        ({"service_account_name": "worker"}, "v1.64.9", "service_account_name requires CDI 1.65.0"),
        (
            {"source": {"registry": {"platform": {"architecture": "arm64"}}}},
            "v1.62.0",
            "requires CDI 1.63.0, and CDI v1.62.0",
        ),
        ({"service_account_name": "worker"}, "devel", ""),
        ({"service_account_name": "worker"}, "", ""),
    ],
)
def test_option_of_a_newer_release_is_refused(options: dict[str, Any], installed: str, reported: str) -> None:
    reason = needs_newer(volume(**options), installed)
    assert reported in reason and bool(reported) == bool(reason)


def test_release_matters_only_for_given_options() -> None:
    assert not uses_newer(volume())
    assert uses_newer(volume(source={"vddk": {"extra_args": "map"}}))


@pytest.mark.parametrize("option", SINCE)
def test_options_with_a_minimum_release_exist(option: str) -> None:
    below: dict[str, Any] = {"options": SPEC_OPTIONS}
    for part in option.split("."):
        below = below["options"][part]


def test_claim_of_the_same_name_in_another_namespace_is_a_valid_source() -> None:
    check(volume(source={"pvc": {"name": "disk", "namespace": "other"}}))
