# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The report for people: lines for a terminal, and a page."""

from __future__ import annotations

import typing as t

from jinja2 import Environment, StrictUndefined

from ._report import MISSING, PLANNED, Facts

_WIDEST = 44
_WAITING = {
    "WaitForFirstConsumer": "waits for a pod that uses it",
    "PendingPopulation": "waits for a pod that uses it",
    "UploadReady": "waits for a client that sends data",
    "Paused": "waits for its next checkpoint",
    PLANNED: "does not exist yet",
}


def lines(report: Facts) -> list[str]:
    """The report as lines of plain text: what CDI is, what was done, a table of the volumes, and below each what is worth a sentence."""
    cdi, summary = report["cdi"], report["summary"]
    text = [_cdi_line(cdi)]
    text += [_setting_line(row) for row in report["configuration"] if row["in_effect"] is False]
    if report["steps"]:
        text += ["", "This run would do:" if report["check_mode"] else "This run:"]
        text += [f"  {'+' if step['changed'] else '='} {step['text']}" for step in report["steps"]]
    text += ["", _summary_line(summary)]
    if report["volumes"]:
        text += ["", *_table(report["volumes"])]
    text += [f"Scratch claim {title} belongs to no volume any more; delete it." for title in report["scratch_without_volume"]]
    return text


def page(report: Facts, template: str) -> str:
    """The report as an HTML page. Whatever the facts hold is shown as text and never taken for HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters.update(duration=duration, preallocation=preallocation, allocation=allocation, scratch=scratch, setting=setting)
    environment.filters.update(mood=phase_mood, shade=method_mood, awaited=_WAITING.get)
    return environment.from_string(str(template)).render(report=report)


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def preallocation(volume: Facts) -> str:
    """Asked and applied, in a word or two."""
    facts = volume["preallocation"] or {}
    if facts.get("applied"):
        return "yes"
    if facts.get("requested"):
        return "asked, not applied" if volume["phase"] == "Succeeded" else "asked"
    return "no" if facts.get("requested") is False else "-"


def allocation(facts: Facts | None) -> str:
    """What was measured, empty when nothing was."""
    if not facts or facts.get("allocated_bytes") is None or not facts.get("size_bytes"):
        return ""
    return f"({100 * facts['allocated_bytes'] / facts['size_bytes']:.0f} % allocated)"


def method(volume: Facts) -> str:
    """The clone method, and whether it is predicted."""
    return "-" if not volume["method"] else volume["method"] if volume["method_observed"] else f"{volume['method']} (predicted)"


def scratch(facts: Facts | None) -> str:
    """Whether scratch space was needed, of which class and size."""
    facts = facts or {}
    if facts.get("needed") is False:
        return "not needed"
    if facts.get("needed") is None:
        return "-"
    return " ".join(filter(None, (facts.get("storage_class_name"), facts.get("size")))) or "needed"


def setting(value: t.Any) -> str:
    """A configured value as text; what is empty in it is left out."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        said = {key: setting(item) for key, item in value.items()}
        parts = [f"{key} ({text})" if isinstance(value[key], dict) else f"{key} {text}" for key, text in said.items() if text != "-"]
        return ", ".join(parts) or "-"
    if isinstance(value, list):
        return ", ".join(map(setting, value)) or "-"
    return "-" if value in (None, "") else str(value)


def phase_mood(phase: str) -> str:
    """good, bad, waiting or busy."""
    if phase == "Succeeded":
        return "good"
    if phase in ("Failed", "Unknown", MISSING):
        return "bad"
    return "waiting" if phase in _WAITING else "busy"


def method_mood(method: str | None) -> str:
    return {"copy": "slow", None: "none"}.get(method, "fast")


def _cdi_line(cdi: Facts) -> str:
    if not cdi["installed"]:
        return "CDI is not installed."
    return f"CDI {cdi['version'] or '(no version yet)'} is {'ready' if cdi['ready'] else 'not ready'}."


def _setting_line(row: Facts) -> str:
    return f"NOT IN EFFECT: {row['setting']} is {setting(row['effective'])}, and {setting(row['asked'])} was asked for."


def _summary_line(summary: Facts) -> str:
    number = summary["volumes"]
    if not number:
        return "There are no volumes."
    text = f"{number} volume{'' if number == 1 else 's'}: {_counts(summary['phases'])}."
    if summary["clone_methods"]:
        text += f" Clones: {_counts(summary['clone_methods'])}."
    if summary["could_be_faster"]:
        text += f" {summary['could_be_faster']} could be faster."
    if summary["problems"]:
        text += f" PROBLEMS: {summary['problems']}."
    return text


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _table(volumes: list[Facts]) -> list[str]:
    head = ("VOLUME", "SOURCE", "PHASE", "CLONED BY", "SIZE", "PREALLOCATED", "SCRATCH", "TIME")
    rows = [[_cut(cell) for cell in _cells(volume)] for volume in volumes]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    text = [_row(head, widths)]
    for volume, row in zip(volumes, rows):
        text.append(_row(row, widths))
        text += [f"    {sentence}" for sentence in sentences(volume)]
    return text


def _cells(volume: Facts) -> tuple[str, ...]:
    return (
        f"{volume['namespace']}/{volume['name']}",
        volume["source"],
        volume["phase"],
        method(volume),
        volume["size"] or volume["capacity"] or "-",
        " ".join(filter(None, (preallocation(volume), allocation(volume["allocation"])))),
        scratch(volume["scratch"]),
        duration(volume["ready_after"]),
    )


def sentences(volume: Facts) -> list[str]:
    """What is worth saying of a volume beside its row."""
    prealloc, space = volume["preallocation"] or {}, volume["scratch"] or {}
    said = (
        ("problem", volume["problem"]),
        ("phase", _WAITING.get(volume["phase"]) if volume["phase"] != PLANNED else None),
        ("clone", volume["reason"]),
        ("faster", volume["remedy"]),
        ("preallocation", prealloc.get("ignored")),
        *(("scratch", problem) for problem in space.get("problems") or []),
        ("scratch", f"{space['left_over']} was left behind; delete it." if space.get("left_over") else None),
    )
    return [f"{what}: {sentence}" for what, sentence in said if sentence]


def _cut(text: str) -> str:
    """A long source keeps its end, which names the file."""
    return text if len(text) <= _WIDEST else f"{text[:12]}...{text[15 - _WIDEST:]}"


def _row(cells: t.Sequence[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()
