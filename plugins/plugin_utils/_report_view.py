# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Renders the report as lines for a terminal and as an HTML page."""

from __future__ import annotations

import re
import textwrap
import typing as t

from jinja2 import Environment, StrictUndefined

from ._growth_chart import growth_chart
from ._report import MISSING, PLANNED, SKIPPED, in_trouble
from ._report_steps import Facts

_WIDTH = 120
_SHORTEST_SOURCE = 14
_WAITING = {
    "WaitForFirstConsumer": "waits for a pod that uses it",
    "PendingPopulation": "waits for a pod that uses it",
    "UploadReady": "waits for a client that sends data",
    "Paused": "waits for its next checkpoint",
    PLANNED: "does not exist yet",
    SKIPPED: "not attempted, because an earlier step failed",
}
_PARTS = re.compile(r"(?:[^/]*://)?[^/]*/?")
_HEAD = ("VOLUME", "SOURCE", "PHASE", "CLONED BY", "SIZE", "PREALLOCATED", "SCRATCH", "TIME")
_SOURCE_COLUMN = 1


class Block(t.NamedTuple):
    """Lines that are printed together, in red if `failed` and the terminal has colors."""

    lines: list[str]
    failed: bool = False


def lines(report: Facts) -> list[str]:
    """The report as lines of plain text."""
    return [line for block in blocks(report) for line in block.lines]


def blocks(report: Facts) -> list[Block]:
    """The cluster, failed steps, other steps, and a table of volumes, problems first, with remarks below each row."""
    if "clusters" not in report:
        return _joined(_cluster(report))
    summary = report["summary"]
    troubled = summary["clusters_in_trouble"]
    phases = f": {_counts(summary['phases'])}" if summary["phases"] else ""
    found = [Block([f"{_count(summary['clusters'], 'cluster')}, {_count(summary['volumes'], 'volume')}{phases}."])]
    if troubled:
        found.append(Block([f"IN TROUBLE: {', '.join(map(str, troubled))}."], True))
    if report["without_report"]:
        found.append(Block([f"No report of: {', '.join(report['without_report'])}."], True))
    for cluster in report["clusters"]:
        found += [Block([""]), *_cluster(cluster)]
    return _joined(found)


def page(report: Facts, template: str) -> str:
    """The report as an HTML page. All facts are escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(
        duration=duration,
        preallocation=preallocation,
        allocation=allocation,
        scratch=scratch,
        setting=setting,
        used_by=used_by,
        growth_chart=growth_chart,
    )
    environment.filters.update(
        mood=phase_mood, shade=method_mood, awaited=_WAITING.get, problem=problem_text, breakable=breakable
    )
    environment.tests.update(in_trouble=in_trouble)
    return environment.from_string(str(template)).render(report=report, clusters=report.get("clusters", [report]))


def problem_text(problem: Facts) -> str:
    """The message, and the remedy unless the message contains it."""
    message, remedy = str(problem["message"]).rstrip(". "), str(problem["remedy"] or "").rstrip(". ")
    return f"{message}." if not remedy or remedy in message else f"{message}; {remedy}."


def breakable(text: str) -> list[str]:
    """The parts between which a line may break: after a slash of a path, and after the host of a URL."""
    return _PARTS.findall(str(text)) or [""]


def duration(seconds: float | None) -> str:
    """Seconds as text: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def preallocation(volume: Facts) -> str:
    """Whether preallocation was requested and applied."""
    facts = volume["preallocation"] or {}
    if facts.get("applied"):
        return "yes"
    if facts.get("requested"):
        return "requested, not applied" if volume["phase"] == "Succeeded" else "requested"
    return "no" if facts.get("requested") is False else "-"


def allocation(facts: Facts | None) -> str:
    """The allocated share of the volume, or an empty text when it was not measured."""
    if not facts or facts.get("allocated_bytes") is None or not facts.get("size_bytes"):
        return ""
    return f"({100 * facts['allocated_bytes'] / facts['size_bytes']:.0f} % allocated)"


def method(volume: Facts) -> str:
    """The clone method, and whether it is predicted."""
    return (
        "-"
        if not volume["method"]
        else volume["method"]
        if volume["method_observed"]
        else f"{volume['method']} (predicted)"
    )


def scratch(facts: Facts | None) -> str:
    """Whether scratch space was needed, with its storage class and size."""
    facts = facts or {}
    if facts.get("needed") is False:
        return "not needed"
    if facts.get("needed") is None:
        return "-"
    return " ".join(filter(None, (facts.get("storage_class_name"), facts.get("size")))) or "needed"


def used_by(facts: Facts | None) -> list[str]:
    """Who uses a volume, or that nobody does. Empty if the report did not look for users."""
    if not facts:
        return []
    lists = [facts["pods"], facts["virtual_machines"], facts["clones"]]
    pods, machines, clones = ([] if users is None else users for users in lists)
    attached = {pod["machine"] for pod in pods if pod["machine"]}
    named = {f"VirtualMachine/{machine['name']}" for machine in machines}
    users = [f"VirtualMachine {machine['name']}{_state(machine, attached)}" for machine in machines]
    users += [machine.replace("/", " ", 1) for machine in sorted(attached - named)]
    users += [f"pod {pod['name']}" for pod in pods if not pod["machine"]]
    users += [f"clone to {clone}" for clone in clones]
    if not users:
        return ["nobody" if facts["in_use"] is False else "unknown"]
    return [*users, *(["possibly others"] if None in lists else [])]


def _state(machine: Facts, attached: set[str]) -> str:
    if machine["running"] is None:
        return ""
    if not machine["running"]:
        return " (not running)"
    return " (running)" if f"VirtualMachine/{machine['name']}" in attached else " (running, not attached)"


def setting(value: t.Any) -> str:
    """A configured value as text, without its empty parts."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        said = {key: setting(item) for key, item in value.items()}
        parts = [
            f"{key} ({text})" if isinstance(value[key], dict) else f"{key} {text}"
            for key, text in said.items()
            if text != "-"
        ]
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


def _cluster(report: Facts) -> list[Block]:
    """The report of one cluster."""
    failed = [step for step in report["steps"] if step["failed"]]
    done = [step for step in report["steps"] if not step["failed"]]
    found = [
        Block([_cluster_line(report)]),
        Block(
            [line for step in failed for line in _wrapped(f"  ! {step['role']} FAILED: {step['text']}", "    ")], True
        ),
    ]
    found.append(
        Block(
            [
                line
                for row in report["configuration"]
                if row["in_effect"] is False
                for line in _wrapped(_setting_line(row), "  ")
            ]
        )
    )
    found.append(Block([line for text in report["not_readable"] for line in _wrapped(f"NOT READABLE: {text}", "  ")]))
    if done:
        verb = "This run would do" if report["check_mode"] else "This run"
        steps = [
            line for step in done for line in _wrapped(f"  {'+' if step['changed'] else '='} {step['text']}", "    ")
        ]
        found.append(Block(["", f"{verb} (+ changed, = unchanged):", *steps]))
    found.append(Block(["", *_wrapped(_summary_line(report["summary"]), "")]))
    if report["volumes"]:
        found += [Block([""]), *_table(report["volumes"])]
    found.append(
        Block([f"Scratch claim {title} belongs to no volume; delete it." for title in report["scratch_without_volume"]])
    )
    return found


def _cluster_line(report: Facts) -> str:
    cluster, cdi = report["cluster"], report["cdi"]
    if cdi["installed"] is None:
        state = "whether CDI is installed is not readable."
    elif not cdi["installed"]:
        state = "CDI is not installed."
    elif cdi["ready"] is None:
        state = "CDI is installed."
    else:
        state = f"CDI {cdi['version'] or '(no version yet)'} is {'ready' if cdi['ready'] else 'not ready'}."
    name, host = cluster["name"], cluster["host"]
    if not name:
        return state[0].upper() + state[1:]
    return f"Cluster {name}{f' ({host})' if host and host != name else ''}: {state}"


def _setting_line(row: Facts) -> str:
    return (
        f"NOT IN EFFECT: {row['setting']}: requested {setting(row['asked'])}, in effect: {setting(row['effective'])}."
    )


def _summary_line(summary: Facts) -> str:
    if not summary["volumes"]:
        return "There are no volumes."
    text = f"{_count(summary['volumes'], 'volume')}: {_counts(summary['phases'])}."
    if summary["clone_methods"]:
        text += f" Clones: {_counts(summary['clone_methods'])}."
    if summary["could_be_faster"]:
        text += f" {summary['could_be_faster']} could be faster."
    if summary["problems"]:
        text += f" PROBLEMS: {summary['problems']}."
    return text


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _table(volumes: list[Facts]) -> list[Block]:
    """Volumes with problems come first. Those that this run did not declare have a heading."""
    rows = [_cells(volume) for volume in volumes]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    spare = _WIDTH - sum(widths) - 2 * (len(widths) - 1)
    widths[_SOURCE_COLUMN] = max(min(widths[_SOURCE_COLUMN], _SHORTEST_SOURCE), widths[_SOURCE_COLUMN] + min(spare, 0))
    found = [Block([_row(_HEAD, widths)])]
    others = False
    for volume, row in zip(volumes, rows, strict=True):
        if volume["declared"] is False and not volume["problem"] and not others:
            others = True
            found.append(Block(["Not declared by this run:"]))
        cells = [
            _cut(cell, width) if number == _SOURCE_COLUMN else cell
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        said = [line for sentence in sentences(volume) for line in _wrapped(f"    {sentence}", "      ")]
        found.append(Block([_row(cells, widths), *said], bool(volume["problem"])))
    return found


def _joined(found: list[Block]) -> list[Block]:
    """Merges adjacent blocks of one color, so that they stay together when several hosts print."""
    joined: list[Block] = []
    for block in filter(lambda block: block.lines, found):
        if joined and joined[-1].failed == block.failed:
            joined[-1] = Block([*joined[-1].lines, *block.lines], block.failed)
        else:
            joined.append(block)
    return joined


def _cells(volume: Facts) -> tuple[str, ...]:
    return (
        f"{volume['namespace']}/{volume['name']}",
        volume["source"],
        volume["phase"],
        method(volume),
        volume["size"] or volume["capacity"] or "-",
        " ".join(filter(None, (preallocation(volume).removeprefix("requested, "), allocation(volume["allocation"])))),
        scratch(volume["scratch"]),
        duration(volume["ready_after"]),
    )


def sentences(volume: Facts) -> list[str]:
    """The remarks on a volume that follow its row."""
    prealloc, space = volume["preallocation"] or {}, volume["scratch"] or {}
    said = (
        ("problem", problem_text(volume["problem"]) if volume["problem"] else None),
        ("declared", "not by this run" if volume["problem"] and volume["declared"] is False else None),
        ("phase", _WAITING.get(volume["phase"]) if volume["phase"] != PLANNED else None),
        ("moved from", volume["moved_from"]),
        ("clone", volume["reason"]),
        ("faster", volume["remedy"]),
        ("preallocation", prealloc.get("ignored")),
        *(("scratch", problem) for problem in space.get("problems") or []),
        ("scratch", f"{space['left_over']} was left behind; delete it." if space.get("left_over") else None),
        ("used by", ", ".join(used_by(volume["users"]))),
    )
    return [f"{what}: {sentence}" for what, sentence in said if sentence]


def _cut(text: str, width: int) -> str:
    """Shortens a long source in the middle, because its end names the file."""
    if len(text) <= width:
        return text
    begin = max(0, (width - 3) // 3)
    return f"{text[:begin]}...{text[len(text) - (width - 3 - begin) :]}"


def _row(cells: t.Sequence[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _wrapped(text: str, indent: str) -> list[str]:
    """Wraps a text to the width of the table without breaking words or URLs."""
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    ) or [text]
