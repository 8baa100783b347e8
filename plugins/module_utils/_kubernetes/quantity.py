# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes quantities: `1Gi`, `1024Mi`, `500m`, `1e3` (k8s.io/apimachinery/pkg/api/resource/quantity.go, v0.34)."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

# Bytes of a mebibyte.
MIB = 1 << 20
_FACTORS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    **{suffix: Decimal(1000 ** (power + 2)) for power, suffix in enumerate("MGTPE")},
    **{f"{suffix}i": Decimal(1024 ** (power + 1)) for power, suffix in enumerate("KMGTPE")},
}
# Binary suffixes first, because they are more usual if both leave equally few digits.
_SIZE_SUFFIXES = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki", "E", "P", "T", "G", "M", "k")
_READABLE = len("1536Mi")
_LETTERS = "".join(_SIZE_SUFFIXES)
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d+|[numkMGTPE]i?|Ki|)")


def parse(text: str | int | float) -> Decimal:
    """The value in base units (bytes, cores). Raises ValueError with a sentence that names the remedy."""
    match = _QUANTITY.fullmatch(str(text).strip())
    number, suffix = match.groups() if match else ("", "?")
    try:
        if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
            return Decimal(number + suffix)
        return Decimal(number) * _FACTORS[suffix]
    except (InvalidOperation, KeyError) as exc:
        raise ValueError(f"{text!r} is not a Kubernetes quantity; write for example 10Gi, 512Mi or 1000000.") from exc


def equal(left: object, right: object) -> bool:
    """Whether both are quantities of the same value."""
    try:
        return parse(str(left)) == parse(str(right))
    except ValueError:
        return False


def whole_bytes(text: str | int | float) -> int:
    """A size in bytes, rounded up as Quantity.Value() does. Raises ValueError as `parse` does."""
    return math.ceil(parse(text))


def short(value: Decimal | int) -> str:
    """A number of bytes with the suffix that leaves the fewest digits, `128Mi` or `10G`, without rounding."""
    value = Decimal(value)
    wholes = [
        f"{value / _FACTORS[suffix]:f}{suffix}" for suffix in _SIZE_SUFFIXES if value and value % _FACTORS[suffix] == 0
    ]
    return min(wholes, key=lambda text: len(text.rstrip(_LETTERS)), default=f"{value:f}")


def rough(value: Decimal | int) -> str:
    """A number of bytes for people, with one decimal if no suffix makes it short, as for a disk with overhead."""
    exact, number = short(value), int(value)
    if len(exact) <= _READABLE or number < 1024:
        return exact
    suffix = next(suffix for suffix in _SIZE_SUFFIXES if number >= _FACTORS[suffix])
    return f"{number / _FACTORS[suffix]:.1f}{suffix}"


def like(value: Decimal | int, typed: str | int | float | None) -> str:
    """A number of bytes with the suffix that a user has typed, if that needs no rounding, else as `short`."""
    suffix = str(typed or "").strip().lstrip("+-.0123456789")
    if suffix in _SIZE_SUFFIXES and value and value % _FACTORS[suffix] == 0:
        return f"{value / _FACTORS[suffix]:f}{suffix}"
    return short(value)
