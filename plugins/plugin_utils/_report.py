# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""From what the modules and the lookup tell to one report: plain facts, in the shape of the report's JSON file."""

from __future__ import annotations

import os
import typing as t
from collections import Counter

from ..module_utils._clone import annotations
from ..module_utils._merge_patch import changes_nothing
from ..module_utils._public import redact_urls, without_secrets
from ..module_utils._upload import UPLOADED, is_populated

Facts = t.Dict[str, t.Any]

# The options that cdi_info reports as effective, and the fields of CDI.spec.config that ask for them.
_ASKED_AS = {
    "preallocation": "preallocation",
    "scratch_space_storage_class": "scratchSpaceStorageClass",
    "filesystem_overhead": "filesystemOverhead",
    "upload_proxy_url": "uploadProxyURLOverride",
    "default_pod_resource_requirements": "podResourceRequirements",
    "import_proxy": "importProxy",
    "image_pull_secrets": "imagePullSecrets",
    "feature_gates": "featureGates",
    "insecure_registries": "insecureRegistries",
    "log_verbosity": "logVerbosity",
    "tls_security_profile": "tlsSecurityProfile",
}
PLANNED, MISSING = "Planned", "Missing"
# The roles' tasks that take a list, and where their results have it.
_LISTS = (("uploads", "uploads"), ("volumes", "data_volumes"))
_UPLOAD = "upload"
_DIGEST_DIGITS = 12


def build(facts: Facts) -> Facts:
    """The report. `facts` has what filter `kubevirt.cdi.report` documents."""
    clones = {_title(clone): clone for clone in facts.get("clones") or []}
    results = facts.get("results") or {}
    declared = {_title(item): item for name, key in _LISTS for item in (results.get(name) or {}).get(key) or []}
    uploaded = _uploaded((results.get("uploads") or {}).get("uploads") or [], facts.get("files") or [])
    there = {_title(found): {**found, "phase": found.get("phase") or "Pending"} for found in facts["volumes"]}
    told = ("data_volume", "persistent_volume_claim", "error")
    others = {title: item for title, item in declared.items() if title not in there and any(map(item.get, told))}
    volumes = [_volume(found, clones.get(title), declared.get(title), uploaded.get(title)) for title, found in {**there, **others}.items()]
    volumes.sort(key=lambda volume: (volume["namespace"], volume["name"]))
    return {
        "generated": facts["generated"],
        "check_mode": facts["check_mode"],
        "cdi": {key: facts["cdi"].get(key) for key in ("installed", "ready", "version")},
        "configuration": _configuration(facts["cdi"]),
        "steps": _steps(results, facts["check_mode"]),
        "summary": {
            "volumes": len(volumes),
            "phases": dict(Counter(volume["phase"] for volume in volumes).most_common()),
            "clone_methods": dict(Counter(volume["method"] for volume in volumes if volume["method"]).most_common()),
            "could_be_faster": sum(bool(volume["remedy"]) for volume in volumes),
            "problems": sum(bool(volume["problem"]) for volume in volumes),
        },
        "volumes": volumes,
        "scratch_without_volume": sorted(facts.get("scratch_without_volume") or []),
    }


def _title(item: Facts) -> str:
    return f"{item['namespace']}/{item['name']}"


def _uploaded(items: list[Facts], files: list[Facts]) -> dict[str, str]:
    """By volume, the file that it holds by the uploads of this run; one that failed has left what was there."""
    texts = {}
    for number, item in enumerate(items):
        held = annotations(item.get("persistent_volume_claim")).get(UPLOADED)
        digest = held if item.get("error") else item.get("sha256")
        path = "" if item.get("error") or number >= len(files) else files[number].get("path") or files[number].get("src")
        texts[_title(item)] = " ".join(filter(None, (os.path.basename(path or ""), f"sha256:{digest[:_DIGEST_DIGITS]}" if digest else "")))
    return texts


def _phase(item: Facts) -> str:
    """Where something has got to of which CDI tells no phase: a volume that is not there yet, or a claim that has no DataVolume."""
    claim = item.get("persistent_volume_claim")
    if item.get("data_volume") or not claim:
        return PLANNED if item.get("data_volume") else MISSING
    return "Succeeded" if is_populated(None, claim) else (claim.get("status") or {}).get("phase") or "Pending"


def _volume(found: Facts, clone: Facts | None, declared: Facts | None, uploaded: str | None) -> Facts:
    """One row. `found` has the facts of data_volume_info, or what a module told of what data_volume_info does not know."""
    clone = clone or found.get("clone") or {}
    spec = (found.get("data_volume") or {}).get("spec") or {}
    claim = {} if spec else found.get("persistent_volume_claim") or {}
    target = spec.get("storage") or spec.get("pvc") or claim.get("spec") or {}
    source = source_text(spec, found["namespace"]) if spec else _UPLOAD if claim else "-"
    method = clone.get("method")
    diagnosis = found.get("diagnosis") or {}
    # A volume that waits for its consumer is as it shall be.
    ill = diagnosis and diagnosis.get("cause") != "waiting_for_consumer"
    problem = (declared or {}).get("error") or (f"{diagnosis['message']}; {diagnosis['remedy']}." if ill else clone.get("error"))
    return {
        "name": found["name"],
        "namespace": found["namespace"],
        "changed": None if declared is None else bool(declared.get("changed")),
        "source": f"{source} {uploaded}" if source == _UPLOAD and uploaded else source,
        "phase": found.get("phase") or _phase(found),
        "progress": found.get("progress"),
        "method": method,
        # Without the lookup's answer it is what CDI recorded.
        "method_observed": bool(method) and clone.get("observed", True),
        "reason": clone.get("reason") if method or clone.get("waits_for") else None,
        "remedy": clone.get("remedy") if method == "copy" else None,
        "preallocation": found.get("preallocation"),
        "allocation": found.get("allocation"),
        "scratch": found.get("scratch"),
        "size": ((target.get("resources") or {}).get("requests") or {}).get("storage"),
        "capacity": found.get("capacity") or ((claim.get("status") or {}).get("capacity") or {}).get("storage"),
        "storage_class_name": found.get("storage_class_name") or target.get("storageClassName"),
        "volume_mode": found.get("volume_mode") or target.get("volumeMode"),
        "ready_after": found.get("ready_after"),
        "restarts": found.get("restarts"),
        "problem": redact_urls(problem) if problem else None,
    }


def source_text(spec: Facts, namespace: str) -> str:
    """Where a volume's data come from, in a few words and without credentials."""
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


def _configuration(info: Facts) -> list[Facts]:
    """Each setting as asked and as it is in effect; null for what nobody asked for, or CDI does not report."""
    asked = info.get("asked") or {}
    rows = []
    for name, effective in (info.get("effective") or {}).items() if info.get("installed") else ():
        wanted = asked.get(_ASKED_AS.get(name, name))
        if name == "image_pull_secrets" and wanted:
            wanted = [secret["name"] for secret in wanted]
        in_effect = wanted is None or changes_nothing(wanted, effective)
        rows.append({"setting": name, "asked": wanted, "effective": effective, "in_effect": in_effect})
    reported = {*_ASKED_AS.values(), *(info.get("effective") or {})}
    rows += [{"setting": name, "asked": value, "effective": None, "in_effect": None} for name, value in sorted(asked.items()) if name not in reported]
    override = ((info.get("cdi") or {}).get("spec") or {}).get("cloneStrategyOverride")
    if override:
        rows.append({"setting": "cloneStrategyOverride", "asked": override, "effective": None, "in_effect": None})
    return without_secrets(rows)


def _steps(results: Facts, check_mode: bool) -> list[Facts]:
    """What each role did, or in check mode would do."""
    steps = []
    would = "would be " if check_mode else ""
    install = results.get("install") or {}
    if "version" in install:
        before, after = install["version"].get("from"), install["version"].get("to")
        verb = "removed" if after is None else "installed" if before is None else "upgraded" if before != after else "changed"
        objects = install.get("changed_objects") or []
        what = f"CDI {after or before or ''}".strip()
        text = f"{what} {would}{verb} ({_count(len(objects), 'object')})." if install.get("changed") else f"{what} is as declared."
        steps.append(_step("install", text, install))
    config = results.get("config") or {}
    if "config" in config:
        settings = ", ".join(f"{name}={_short(value)}" for name, value in without_secrets(_flat(config["config"])).items())
        text = f"{settings} {would}set." if config.get("changed") else "The configuration is as declared."
        steps.append(_step("config", text, config))
    profiles = (results.get("storage_profiles") or {}).get("storage_profiles") or []
    if profiles:
        text = _sorted_out(profiles, [item["name"] for item in profiles], "storage profile", [f"{would}set"] * len(profiles))
        steps.append(_step("storage_profiles", text, {"changed": any(item["changed"] for item in profiles)}))
    for name, key in _LISTS:
        items = (results.get(name) or {}).get(key) or []
        if items:
            noun = name.removesuffix("s")
            text = _sorted_out(items, [_title(item) + _speed(item) for item in items], noun, [would + _done(noun, item) for item in items])
            steps.append(_step(name, text, {"changed": any(item.get("changed") for item in items)}))
    return steps


def _done(noun: str, item: Facts) -> str:
    """What a change was; of a volume that is gone module data_volume returns no DataVolume."""
    if noun == _UPLOAD:
        return "sent"
    return "created or changed" if item.get("data_volume") else "deleted"


def _speed(item: Facts) -> str:
    """What an upload sent, in brackets."""
    if not item.get("bytes_sent") or not item.get("mib_per_second"):
        return ""
    return f" ({item['bytes_sent'] / 2**20:,.0f} MiB at {item['mib_per_second']:.0f} MiB/s)"


def _step(role: str, text: str, result: Facts) -> Facts:
    return {"role": role, "text": text, "changed": bool(result.get("changed"))}


def _sorted_out(items: list[Facts], names: list[str], noun: str, done: list[str]) -> str:
    """One sentence: which of the items changed and how (`done`), how many did not, and which failed."""
    failed = [name for name, item in zip(names, items) if item.get("error")]
    changed: dict[str, list[str]] = {}
    for name, item, change in zip(names, items, done):
        if item.get("changed") and not item.get("error"):
            changed.setdefault(change, []).append(name)
    same = len(items) - len(failed) - sum(map(len, changed.values()))
    parts = [f"{_count(len(some), noun)} {change}: {', '.join(some)}" for change, some in changed.items()]
    if same:
        parts.append(f"{_count(same, noun)} as declared")
    if failed:
        parts.append(f"{_count(len(failed), noun)} failed: {', '.join(failed)}")
    return "; ".join(parts) + "."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _flat(config: Facts) -> Facts:
    """`CDI.spec` as asked for, its `config` beside the rest."""
    return {**{key: value for key, value in config.items() if key != "config"}, **(config.get("config") or {})}


def _short(value: t.Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "(none)" if value is None else str(value)
