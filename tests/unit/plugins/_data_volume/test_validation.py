# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CDI would refuse is refused first, in one sentence; what it takes is not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.options import SINCE, SPEC_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.validation import check, needs_newer, uses_newer
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.refused_volumes import ACCEPTED, BY_CDI, BY_US, volume


@pytest.mark.parametrize(("options", "told"), BY_CDI + BY_US)
def test_bad_input_is_told_in_one_sentence(options: dict[str, Any], told: str) -> None:
    with pytest.raises(CdiError) as raised:
        check(volume(**options))
    message = str(raised.value)
    assert message.startswith("DataVolume disk ") and told in message and message.endswith(".")
    assert ". " not in message and "\n" not in message


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"http": {"url": "ftp://user:s3cret@host/a.img?s3cret"}}, "source.http.url=ftp://***@host/a.img?***; give"),
        ({"s3": {"url": "user:s3cret@host/a.img?s3cret"}}, "source.s3.url=***@host/a.img?***; give"),
        ({"registry": {"url": "https://user:s3@s3cret@host/a"}}, "source.registry.url=https://***@host/a; give"),
    ],
)
def test_a_bad_url_is_told_without_its_secrets(source: dict[str, Any], told: str) -> None:
    with pytest.raises(CdiError) as raised:
        check(volume(source=source))
    assert told in str(raised.value) and "s3cret" not in str(raised.value)


@pytest.mark.parametrize("options", ACCEPTED)
def test_what_cdi_takes_is_not_refused(options: dict[str, Any]) -> None:
    check(volume(**options))


def test_what_is_deleted_needs_no_more_than_its_name() -> None:
    check(volume(state="absent", source=None, storage=None))


@pytest.mark.parametrize(
    ("options", "installed", "told"),
    [
        (
            {"source": {"http": {"url": "http://x", "checksum": "md5:0"}}},
            "v1.64.0",
            "source.http.checksum requires CDI 1.65.0",
        ),
        ({"source": {"http": {"url": "http://x", "checksum": "md5:0"}}}, "v1.65.0", ""),
        ({"source": {"http": {"url": "http://x"}}}, "v1.61.1", ""),
        ({"service_account_name": "worker"}, "v1.64.9", "service_account_name requires CDI 1.65.0"),
        ({"source": {"registry": {"platform": {"architecture": "arm64"}}}}, "v1.62.0", "requires CDI 1.63.0, and CDI v1.62.0"),
        ({"service_account_name": "worker"}, "devel", ""),
        ({"service_account_name": "worker"}, "", ""),
    ],
)
def test_an_option_that_an_older_cdi_would_drop_is_refused(options: dict[str, Any], installed: str, told: str) -> None:
    reason = needs_newer(volume(**options), installed)
    assert told in reason and bool(told) == bool(reason)


def test_the_release_matters_only_for_options_that_are_given() -> None:
    assert not uses_newer(volume())
    assert uses_newer(volume(source={"vddk": {"extra_args": "map"}}))


@pytest.mark.parametrize("option", SINCE)
def test_gated_options_exist(option: str) -> None:
    below: dict[str, Any] = {"options": SPEC_OPTIONS}
    for part in option.split("."):
        below = below["options"][part]


def test_a_claim_of_the_same_name_in_another_namespace_is_another_one() -> None:
    check(volume(source={"pvc": {"name": "disk", "namespace": "other"}}))
