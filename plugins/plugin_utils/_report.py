# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Builds one report from the results of the modules and the lookup: plain facts, in the shape of the JSON file."""

from __future__ import annotations

import os
import typing as t
from collections import Counter

from ..module_utils._diagnosis.rules import UPLOADED
from ..module_utils._kubernetes.objects import annotations_of
from ..module_utils._kubernetes.public import redact_urls
from ..module_utils._upload.target import is_populated
from ..module_utils._upload.url import file_name
from ._report_steps import LISTS, Facts, configuration, steps_of

_UPLOAD = "upload"
PLANNED, MISSING, SKIPPED = "Planned", "Missing", "Skipped"
_DIGEST_DIGITS = 12
# What tells that a task's item is, or was to be, there: of one that was to be absent no module returns any of it.
_TRACES = ("data_volume", "persistent_volume_claim", "error")


def build(facts: Facts) -> Facts:
    """The report of one cluster. `facts` is the input that filter `kubevirt.cdi.report` documents."""
    results, cdi, check_mode = facts.get("results") or {}, facts["cdi"], facts["check_mode"]
    host = (facts.get("cluster") or {}).get("host") or cdi.get("host")
    clones, foreign = _clones(facts.get("clones") or [], cdi.get("host"))
    steps = steps_of(results, check_mode)
    failed = [step["role"] for step in steps if step["failed"]]
    volumes = _volumes(facts, {_title(clone): clone for clone in clones}, bool(failed))
    return {
        "generated": facts["generated"],
        "check_mode": check_mode,
        "cluster": {"name": (facts.get("cluster") or {}).get("name") or host, "host": host},
        "not_readable": [
            redact_urls(text)
            for text in dict.fromkeys([*(cdi.get("not_readable") or []), *(facts.get("errors") or []), *foreign])
        ],
        "cdi": {key: cdi.get(key) for key in ("installed", "ready", "version")},
        "configuration": configuration(cdi),
        "steps": steps,
        "summary": {
            "volumes": len(volumes),
            "declared": sum(bool(volume["declared"]) for volume in volumes),
            "phases": _most_common(volume["phase"] for volume in volumes),
            "clone_methods": _most_common(volume["method"] for volume in volumes if volume["method"]),
            "could_be_faster": sum(bool(volume["remedy"]) for volume in volumes),
            "problems": sum(bool(volume["problem"]) for volume in volumes),
            "failed_steps": failed,
        },
        "volumes": volumes,
        "scratch_without_volume": sorted(facts.get("scratch_without_volume") or []),
    }


def merge(reports: list[Facts], without_report: t.Sequence[str] = ()) -> Facts:
    """One report of several clusters: those with failed steps first, then those with problems.

    The report of a single cluster is returned as it is.
    """
    if not isinstance(reports, list) or not all(
        isinstance(report, dict) and {"summary", "cluster"} <= set(report) for report in reports
    ):
        raise TypeError("summary and cluster are missing")
    if len(reports) == 1 and not without_report:
        return reports[0]
    ordered = sorted(
        reports,
        key=lambda each: (
            not each["summary"]["failed_steps"],
            not each["summary"]["problems"],
            each["cluster"]["name"] or "",
        ),
    )
    summaries = [report["summary"] for report in ordered]

    def total(name: str) -> dict[str, int]:
        return dict(sum((Counter(summary[name]) for summary in summaries), Counter()).most_common())

    return {
        "generated": max((report["generated"] for report in reports), default=None),
        "check_mode": any(report["check_mode"] for report in reports),
        "summary": {
            "clusters": len(reports),
            "clusters_in_trouble": [report["cluster"]["name"] for report in ordered if in_trouble(report)],
            **{
                name: sum(summary[name] for summary in summaries)
                for name in ("volumes", "declared", "could_be_faster", "problems")
            },
            **{name: total(name) for name in ("phases", "clone_methods")},
        },
        "clusters": ordered,
        "without_report": sorted(without_report),
    }


def in_trouble(report: Facts) -> bool:
    return bool(report["summary"]["failed_steps"] or report["summary"]["problems"])


def _clones(clones: list[Facts], host: str | None) -> tuple[list[Facts], list[str]]:
    """The lookup's results for this cluster, and a sentence when the lookup used a different cluster."""
    others = sorted({clone["host"] for clone in clones if host and clone.get("host") not in (None, host)})
    if not others:
        return clones, []
    sentence = (
        f"The lookup clone_method used {', '.join(others)}, but the modules used {host}: a lookup gets neither "
        "module_defaults nor environment. Set cdi_kubeconfig, cdi_context or cdi_host, which both of them read."
    )
    return [], [sentence]


def _volumes(facts: Facts, clones: dict[str, Facts], failed: bool) -> list[Facts]:
    """The rows, problems first: volumes that exist, those in a task's result, and those skipped after a failure."""
    results = facts.get("results") or {}
    tried = {_title(item): item for name, key in LISTS for item in (results.get(name) or {}).get(key) or []}
    declared = {_title(item): item for item in facts.get("declared") or [] if item.get("state") != "absent"}
    uploaded = _uploaded((results.get("uploads") or {}).get("uploads") or [], facts.get("files") or [])
    rows = {_title(found): {**found, "phase": found.get("phase") or "Pending"} for found in facts["volumes"]}
    for title, item in tried.items():
        if title not in rows and any(map(item.get, _TRACES)):
            known = {key: value for key, value in item.items() if value is not None}
            rows[title] = {**(_as_declared(declared[title]) if title in declared else {}), **known}
    if failed:
        rows.update(
            {
                title: {**_as_declared(item), "phase": SKIPPED}
                for title, item in declared.items()
                if title not in rows and title not in tried
            }
        )
    of_run = {*tried, *declared}
    volumes = [
        {
            **_volume(found, clones.get(title), tried.get(title), uploaded.get(title)),
            "declared": title in of_run if of_run else None,
        }
        for title, found in rows.items()
    ]
    failed_now = {title for title, item in tried.items() if item.get("error")}

    def order(volume: Facts) -> tuple[bool, bool, bool, str, str]:
        """Failures of this run first, then other problems, then declared volumes, then the rest."""
        return (
            _title(volume) not in failed_now,
            not volume["problem"],
            volume["declared"] is False,
            volume["namespace"],
            volume["name"],
        )

    return sorted(volumes, key=order)


def _as_declared(item: Facts) -> Facts:
    """The facts in the options that declare a volume. There are no others for a volume that does not exist."""
    target = item.get("storage") or item.get("pvc") or {}
    return {
        "name": item["name"],
        "namespace": item["namespace"],
        "size": target.get("size") and str(target["size"]),
        "storage_class_name": target.get("storage_class_name"),
        "volume_mode": target.get("volume_mode"),
        "text": " ".join(filter(None, (_UPLOAD, _file_name(item))))
        if "path" in item or "src" in item
        else source_text(_as_spec(item), item["namespace"]),
    }


def _as_spec(item: Facts) -> Facts:
    """The part of a DataVolume's spec that `source_text` needs."""
    source, reference = item.get("source"), item.get("source_ref")
    if isinstance(reference, dict):
        return {"sourceRef": {"kind": "DataSource", "name": "", **reference}}
    return (
        {"source": {kind: details for kind, details in source.items() if details is not None}}
        if isinstance(source, dict)
        else {}
    )


def _most_common(values: t.Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _title(item: Facts) -> str:
    return f"{item['namespace']}/{item['name']}"


def _uploaded(items: list[Facts], files: list[Facts]) -> dict[str, str]:
    """The file in each volume after the uploads of this run. A failed upload leaves the previous file."""
    texts = {}
    for number, item in enumerate(items):
        held = annotations_of(item.get("persistent_volume_claim")).get(UPLOADED)
        digest = held if item.get("error") else item.get("digest")
        name = "" if item.get("error") or number >= len(files) else _file_name(files[number])
        texts[_title(item)] = " ".join(filter(None, (name, _short_digest(digest or ""))))
    return texts


def _file_name(item: Facts) -> str:
    """The name of the file of an upload. The query of a URL can be a secret."""
    return os.path.basename(file_name(str(item.get("path") or item.get("src") or "")))


def _short_digest(digest: str) -> str:
    """The start of the digest of a file, or of the disk in it, which has a prefix."""
    kind, _colon, digits = digest.rpartition(":")
    return f"{kind or 'sha256'}:{digits[:_DIGEST_DIGITS]}" if digits else ""


def _phase(item: Facts) -> str:
    """The phase where CDI reports none: of a volume that does not exist yet, or of a claim without a DataVolume."""
    claim = item.get("persistent_volume_claim")
    if item.get("data_volume") or not claim:
        return PLANNED if item.get("data_volume") else MISSING
    return "Succeeded" if is_populated(None, claim) else (claim.get("status") or {}).get("phase") or "Pending"


def _volume(found: Facts, clone: Facts | None, tried: Facts | None, uploaded: str | None) -> Facts:
    """One row. `found` has the facts of data_volume_info, or a module's result where data_volume_info has none."""
    clone = clone or found.get("clone") or {}
    spec = (found.get("data_volume") or {}).get("spec") or {}
    claim = {} if spec else found.get("persistent_volume_claim") or {}
    target = spec.get("storage") or spec.get("pvc") or claim.get("spec") or {}
    source = source_text(spec, found["namespace"]) if spec else _UPLOAD if claim else found.get("text") or "-"
    method = clone.get("method")
    return {
        "name": found["name"],
        "namespace": found["namespace"],
        "changed": None if tried is None else bool(tried.get("changed")),
        "source": f"{source} {uploaded}" if source == _UPLOAD and uploaded else source,
        "phase": found.get("phase") or _phase(found),
        "progress": found.get("progress"),
        "method": method,
        # Without a result of the lookup, the method is the one that CDI recorded.
        "method_observed": bool(method) and clone.get("observed", True),
        "reason": clone.get("reason") if method or clone.get("waits_for") else None,
        "remedy": clone.get("remedy") if method == "copy" else None,
        "preallocation": found.get("preallocation"),
        "allocation": found.get("allocation"),
        "scratch": found.get("scratch"),
        "depends_on": found.get("depends_on"),
        "moved_from": found.get("moved_from"),
        "users": found.get("users"),
        # The spec of an expanded volume still has the original size.
        "size": found.get("size") or ((target.get("resources") or {}).get("requests") or {}).get("storage"),
        "capacity": found.get("capacity") or ((claim.get("status") or {}).get("capacity") or {}).get("storage"),
        "storage_class_name": found.get("storage_class_name") or target.get("storageClassName"),
        "volume_mode": found.get("volume_mode") or target.get("volumeMode"),
        "ready_after": found.get("ready_after"),
        "restarts": found.get("restarts"),
        "problem": _problem(found, clone, tried),
    }


def _problem(found: Facts, clone: Facts, tried: Facts | None) -> Facts | None:
    """The error of this run, else the diagnosis or the clone's error. Waiting for a consumer is not a problem."""
    diagnosis = found.get("diagnosis") or (tried or {}).get("diagnosis") or {}
    if diagnosis.get("cause") == "waiting_for_consumer":
        diagnosis = {}
    cause, remedy = diagnosis.get("cause"), diagnosis.get("remedy")
    error = (tried or {}).get("error")
    if error:
        problem = {"cause": cause or "error", "message": error, "remedy": remedy}
    elif diagnosis:
        problem = {"cause": cause, "message": diagnosis["message"], "remedy": remedy}
    elif clone.get("error"):
        problem = {"cause": "clone", "message": clone["error"], "remedy": clone.get("remedy")}
    else:
        return None
    return {key: text and redact_urls(text) for key, text in problem.items()}


def source_text(spec: Facts, namespace: str) -> str:
    """The source of a volume's data in a few words, without credentials."""
    if "sourceRef" in spec:
        reference = spec["sourceRef"]
        return f"{reference['kind']} {reference.get('namespace') or namespace}/{reference['name']}"
    source = spec.get("source") or {}
    if not source:
        return "external populator"
    kind, details = next(iter(source.items()))
    details = details or {}
    if kind in ("pvc", "snapshot"):
        return f"{kind} {details.get('namespace') or namespace}/{details['name']}"
    where = redact_urls(details.get("url") or details.get("imageStream") or "")
    return where if kind == "http" else f"{kind} {where}".strip()
