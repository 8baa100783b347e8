# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantities mean the same however they are spelt."""

from __future__ import annotations

from decimal import Decimal

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.quantity import (
    equal,
    like,
    parse,
    rough,
    short,
    whole_bytes,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1Gi", 1024**3),
        ("1024Mi", 1024**3),
        ("1G", 10**9),
        ("0.5Gi", 512 * 1024**2),
        ("500m", Decimal("0.5")),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1Ei", 1024**6),
        ("100n", Decimal("1e-7")),
        ("-2k", -2000),
        (".5", Decimal("0.5")),
        (7, 7),
    ],
)
def test_every_spelling_of_a_quantity_is_parsed(text: object, value: object) -> None:
    assert parse(str(text)) == value


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1gi", "ten", "1ki", "0x10", "1Gi1"])
def test_text_that_is_not_a_quantity_is_rejected_with_a_remedy(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Kubernetes quantity; write for example 10Gi"):
        parse(text)


@given(st.integers(min_value=0, max_value=2**62), st.sampled_from(["", "Ki", "Mi", "Gi", "k", "M", "G"]))
def test_suffix_multiplies_the_number(number: int, suffix: str) -> None:
    assert parse(f"{number}{suffix}") == number * parse(f"1{suffix}")


def test_words_are_not_equal_quantities() -> None:
    assert equal("1Gi", "1024Mi") and not equal("1Gi", "thin") and not equal("thin", "thin")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1e9", "1G"),
        ("10G", "10G"),
        ("1000Ki", "1000Ki"),
        ("1023", "1023"),
        ("0", "0"),
        ("2Ei", "2Ei"),
    ],
)
def test_short_uses_the_suffix_with_the_fewest_digits(size: str, text: str) -> None:
    assert short(parse(size)) == text


@given(st.integers(min_value=0, max_value=2**62))
def test_short_keeps_the_value(number: int) -> None:
    assert parse(short(Decimal(number))) == number


@pytest.mark.parametrize(
    ("size", "number"),
    [("0.3Gi", 322122548), ("322122547200m", 322122548), ("1Gi", 1024**3), ("1.5k", 1500), ("0.1", 1), ("0", 0)],
)
def test_part_of_a_byte_is_rounded_up(size: str, number: int) -> None:
    assert whole_bytes(size) == number


@pytest.mark.parametrize(
    ("value", "typed", "text"),
    [
        (2**30, "2048Mi", "1024Mi"),
        (2**30, "2Gi", "1Gi"),
        (2**27, "1Gi", "128Mi"),
        (2**30, None, "1Gi"),
        (2**30, "1e9", "1Gi"),
        (10**9, "5G", "1G"),
        (0, "1Gi", "0"),
    ],
)
def test_size_keeps_the_unit_of_the_user_if_exact(value: int, typed: str | None, text: str) -> None:
    assert like(value, typed) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**30, "1Gi"),
        (142270792, "135.7Mi"),
        (11654823254426, "10.6Ti"),
        (138940 * 1024, "135.7Mi"),
        (1023, "1023"),
        (1536 << 20, "1536Mi"),
        (10**9 + 1, "953.7Mi"),
    ],
)
def test_rough_size_has_few_digits(value: int, text: str) -> None:
    assert rough(value) == text
