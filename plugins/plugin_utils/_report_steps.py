# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The configuration of CDI and the steps of a run, role by role, as plain facts for the report."""

from __future__ import annotations

import typing as t

from ..module_utils._kubernetes.merge_patch import changes_nothing
from ..module_utils._kubernetes.public import redact_urls, without_secrets
from ..module_utils._kubernetes.quantity import MIB

Facts = dict[str, t.Any]

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
# The tasks of roles volumes and thicken that declare a list of volumes, and where their results have it.
LISTS = (("uploads", "uploads"), ("volumes", "data_volumes"), ("thin_volumes", "data_volumes"))
_LISTS = {**dict(LISTS), "virtual_machine_disks": "machines", "thick_volumes": "volumes"}


def configuration(info: Facts) -> list[Facts]:
    """Each setting as requested and in effect; null for a setting that nobody requested or CDI does not report."""
    asked = info.get("asked") or {}
    rows = []
    for name, effective in (info.get("effective") or {}).items() if info.get("installed") else ():
        wanted = asked.get(_ASKED_AS.get(name, name))
        if name == "image_pull_secrets" and wanted:
            wanted = [secret["name"] for secret in wanted]
        in_effect = wanted is None or changes_nothing(wanted, effective)
        rows.append({"setting": name, "asked": wanted, "effective": effective, "in_effect": in_effect})
    reported = {*_ASKED_AS.values(), *(info.get("effective") or {})}
    rows += [
        {"setting": name, "asked": value, "effective": None, "in_effect": None}
        for name, value in sorted(asked.items())
        if name not in reported
    ]
    override = ((info.get("cdi") or {}).get("spec") or {}).get("cloneStrategyOverride")
    if override:
        rows.append({"setting": "cloneStrategyOverride", "asked": override, "effective": None, "in_effect": None})
    shown: list[Facts] = without_secrets(rows)
    return shown


def steps_of(results: Facts, check_mode: bool) -> list[Facts]:
    """What each step of the roles did, or would do in check mode. Failed steps come first."""
    would = "would be " if check_mode else ""
    steps = []
    for step, make in _STEPS.items():
        result = results.get(step) or {}
        items = _items(step, result)
        errors = [str(item["error"]) for item in items if item.get("error")]
        # A role may continue after the error of a task.
        failed = bool(result.get("failed") or (errors and result.get("failed_when_result") is not False))
        text = make(result, items, would)
        if text or failed:
            message = redact_urls(" ".join(errors) or str(result.get("msg") or "no message")) if failed else None
            changed = bool(result.get("changed") or any(item.get("changed") for item in items))
            steps.append(
                {
                    "role": step,
                    "text": text or f"{message}",
                    "changed": changed,
                    "failed": failed,
                    "message": message,
                    "growth": [{"title": item["title"], "samples": item["growth"]} for item in items if _grew(item)],
                }
            )
    return sorted(steps, key=lambda each: not each["failed"])


def _grew(item: Facts) -> bool:
    """Whether the allocated bytes of a volume were sampled while it was moved."""
    return bool(item.get("growth"))


def _items(step: str, result: Facts) -> list[Facts]:
    """The result of each item of a list or a loop, with a title, and an error if it failed."""
    listed = result.get(_LISTS.get(step, step))
    if isinstance(listed, list):
        return [{"title": "/".join(filter(None, (item.get("namespace"), item["name"]))), **item} for item in listed]
    rounds = [each for each in result.get("results") or [] if isinstance(each.get("item"), dict)]
    return [
        {
            **each,
            "title": each["item"].get("name") or each["item"].get("namespace"),
            "error": each.get("msg") if each.get("failed") else None,
        }
        for each in rounds
    ]


def _install(result: Facts, _items: list[Facts], would: str) -> str:
    if "version" not in result or result.get("failed"):
        return ""
    before, after = result["version"].get("from"), result["version"].get("to")
    verb = (
        "removed" if after is None else "installed" if before is None else "upgraded" if before != after else "changed"
    )
    objects = result.get("changed_objects") or []
    what = f"CDI {after or before or ''}".strip()
    return (
        f"{what} {would}{verb} ({_count(len(objects), 'object')})."
        if result.get("changed")
        else f"{what} is as declared."
    )


def _config(result: Facts, _items: list[Facts], would: str) -> str:
    if "config" not in result or result.get("failed"):
        return ""
    settings = ", ".join(f"{name}={_short(value)}" for name, value in without_secrets(_flat(result["config"])).items())
    return f"{settings} {would}set." if result.get("changed") else "The configuration is as declared."


def _profiles(_result: Facts, items: list[Facts], would: str) -> str:
    return _counted(items, "storage profile", lambda _item: f"{would}set")


def _permissions(_result: Facts, items: list[Facts], would: str) -> str:
    return _counted(items, "clone permission", lambda _item: f"{would}changed")


def _uploads(_result: Facts, items: list[Facts], would: str) -> str:
    return _counted(
        [{**item, "title": item["title"] + _speed(item)} for item in items], "upload", lambda _item: f"{would}sent"
    )


def _volumes(_result: Facts, items: list[Facts], would: str) -> str:
    return _counted(items, "volume", lambda item: f"{would}{_done(item)}")


def _machines(_result: Facts, items: list[Facts], would: str) -> str:
    text = _counted(items, "virtual machine", lambda _item: f"{would}changed")
    waiting = [
        f"{item['title']} ({', '.join(item['restart_required'])})" for item in items if item.get("restart_required")
    ]
    return f"{text} A restart is required: {'; '.join(waiting)}." if waiting else text


def _moves(result: Facts, items: list[Facts], would: str) -> str:
    if result.get("failed_when_result") is not False:
        return _counted(items, "volume", lambda _item: f"{would}moved")
    thin = [item for item in items if item.get("error")]
    text = _counted([item for item in items if not item.get("error")], "volume", lambda _item: f"{would}moved")
    names, reasons = ", ".join(item["title"] for item in thin), dict.fromkeys(str(item["error"]) for item in thin)
    stays = f"{_count(len(thin), 'volume')} not moved: {names}. {' '.join(reasons)}" if thin else ""
    return " ".join(filter(None, (text, stays)))


def _done(item: Facts) -> str:
    """The kind of change. For a deleted volume, module data_volume returns no DataVolume."""
    return "created or changed" if item.get("data_volume") else "deleted"


def _speed(item: Facts) -> str:
    """The size and the rate of an upload, in parentheses."""
    if not item.get("bytes_sent") or not item.get("mib_per_second"):
        return ""
    return f" ({item['bytes_sent'] / MIB:,.0f} MiB at {item['mib_per_second']:.0f} MiB/s)"


def _counted(items: list[Facts], noun: str, done: t.Callable[[Facts], str]) -> str:
    """One sentence: which items failed, which changed and how (`done`), and how many are unchanged."""
    failed = [item["title"] for item in items if item.get("error")]
    changed: dict[str, list[str]] = {}
    for item in items:
        if item.get("changed") and not item.get("error"):
            changed.setdefault(done(item), []).append(item["title"])
    same = len(items) - len(failed) - sum(map(len, changed.values()))
    parts = [f"{_count(len(failed), noun)} failed: {', '.join(failed)}"] if failed else []
    parts += [f"{_count(len(some), noun)} {change}: {', '.join(some)}" for change, some in changed.items()]
    if same:
        parts.append(f"{_count(same, noun)} as declared")
    return f"{'; '.join(parts)}." if parts else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _flat(config: Facts) -> Facts:
    """The requested `CDI.spec`, with `config` merged into the rest."""
    return {**{key: value for key, value in config.items() if key != "config"}, **(config.get("config") or {})}


def _short(value: t.Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "(none)" if value is None else str(value)


_STEPS: dict[str, t.Callable[[Facts, list[Facts], str], str]] = {
    "install": _install,
    "config": _config,
    "storage_profiles": _profiles,
    "clone_permissions": _permissions,
    "uploads": _uploads,
    "volumes": _volumes,
    "virtual_machine_disks": _machines,
    "thin_volumes": _volumes,
    "thick_volumes": _moves,
    # Only in the report when it fails.
    "proof": lambda _result, _items, _would: "",
}
