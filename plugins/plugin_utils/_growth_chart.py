# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Draws the allocated bytes of a volume over time as an SVG for the report's page."""

from __future__ import annotations

import typing as t

from markupsafe import Markup

from ..module_utils._kubernetes.quantity import MIB
from ._report_steps import Facts

# In units of the drawing. The left margin has room for the labels of the bytes.
_WIDTH, _HEIGHT = 420, 130
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 410, 30, 106
_SVG = Markup(
    '<svg class="growth" viewBox="0 0 {width} {height}" role="img" aria-label="{label}"><title>{label}</title>'
    '<text x="0" y="12">{title}</text>'
    '<path class="axis" d="M{left} {top}V{bottom}H{right}"/><polyline points="{points}"/>'
    '<text x="{beside}" y="{top}" text-anchor="end" dominant-baseline="middle">{most}</text>'
    '<text x="{beside}" y="{bottom}" text-anchor="end" dominant-baseline="middle">0 MiB</text>'
    '<text x="{left}" y="{below}">0 s</text><text x="{right}" y="{below}" text-anchor="end">{last}</text></svg>'
)


def growth_chart(growth: Facts) -> Markup:
    """The SVG for `title` and `samples` of a volume, empty for fewer than two samples. Everything is escaped."""
    samples = sorted(growth["samples"], key=lambda sample: t.cast(float, sample["seconds"]))
    if len(samples) < 2:
        return Markup("")
    last, most = samples[-1]["seconds"], max(sample["allocated_bytes"] for sample in samples)
    points = " ".join(
        f"{_LEFT + (_RIGHT - _LEFT) * _share(sample['seconds'], last):.1f},"
        f"{_BOTTOM - (_BOTTOM - _TOP) * _share(sample['allocated_bytes'], most):.1f}"
        for sample in samples
    )
    begin = samples[0]
    label = (
        f"Allocated bytes of volume {growth['title']}: {_mebibytes(begin['allocated_bytes'])} after "
        f"{begin['seconds']:.0f} s, {_mebibytes(samples[-1]['allocated_bytes'])} after {last:.0f} s"
    )
    return _SVG.format(
        width=_WIDTH,
        height=_HEIGHT,
        label=label,
        title=f"Allocated bytes of {growth['title']}",
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
        beside=_LEFT - 8,
        below=_BOTTOM + 18,
        points=points,
        most=_mebibytes(most),
        last=f"{last:.0f} s",
    )


def _share(value: float, whole: float) -> float:
    return value / whole if whole else 0.0


def _mebibytes(number: float) -> str:
    return f"{number / MIB:,.1f} MiB" if number % MIB else f"{number / MIB:,.0f} MiB"
