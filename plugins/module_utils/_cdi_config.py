# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The cluster-wide configuration of CDI: written to `CDI.spec`, proved by `CDIConfig.status`."""

from __future__ import annotations

import time
import typing as t

from ._apply import difference, differs, normalise
from ._argspec import ArgumentSpec, wait_spec
from ._connection import Connection, Object
from ._errors import CdiError, NotServed
from ._fields import to_fields
from ._module import Task
from ._quantity import equal
from ._resources import CDI, CDI_CONFIG, STORAGE_CLASS
from ._wait import REACHED, WAITING, Verdict, wait_for

CONFIG_NAME = "config"
_HYPERCONVERGED_CDI = "cdi-kubevirt-hyperconverged"

_CONFIG_OPTIONS: dict[str, t.Any] = {
    "preallocation": {"type": "bool"},
    "scratch_space_storage_class": {"type": "str"},
    "feature_gates": {"type": "list", "elements": "str"},
    "filesystem_overhead": {"type": "dict", "options": {"global": {"type": "str"}, "storage_class": {"type": "dict"}}},
    "insecure_registries": {"type": "list", "elements": "str"},
    "log_verbosity": {"type": "int"},
    "upload_proxy_url_override": {"type": "str"},
    "pod_resource_requirements": {"type": "dict", "options": {"limits": {"type": "dict"}, "requests": {"type": "dict"}}},
    "import_proxy": {
        "type": "dict",
        "options": {"http_proxy": {"type": "str"}, "https_proxy": {"type": "str"}, "no_proxy": {"type": "str"}, "trusted_ca_proxy": {"type": "str"}},
    },
    "image_pull_secrets": {"type": "list", "elements": "str", "no_log": False},
    "tls_security_profile": {"type": "dict"},
}
_CLONE_OPTIONS: dict[str, t.Any] = {"clone_strategy_override": {"type": "str", "choices": ["copy", "snapshot", "csi-clone"]}}
SPEC = ArgumentSpec({"name": {"type": "str", "default": "cdi"}, **_CONFIG_OPTIONS, **_CLONE_OPTIONS}) + wait_spec(60)


def wanted_spec(params: t.Mapping[str, t.Any]) -> Object:
    """The part of `CDI.spec` that the options ask for; an empty string asks for no value."""
    config = {key: value if value != "" else None for key, value in to_fields(params, _CONFIG_OPTIONS).items()}
    if "imagePullSecrets" in config:
        config["imagePullSecrets"] = [{"name": name} for name in config["imagePullSecrets"]]
    spec = to_fields(params, _CLONE_OPTIONS)
    return {**spec, "config": config} if config else spec


def is_as_asked(wanted: t.Any, stored: t.Any) -> bool:
    """Whether a merge patch of `wanted` would change nothing; None asks for the key to be absent."""
    if isinstance(wanted, dict):
        return all(is_as_asked(value, (stored or {}).get(key)) for key, value in wanted.items())
    if wanted in (None, []):
        return stored in (None, [], "")
    return stored is not None and (equal(wanted, stored) or not differs({"value": wanted}, {"value": stored}))


def not_in_effect(wanted: Object, status: Object) -> list[str]:
    """What was asked for and is not in `CDIConfig.status`: only fields that CDI reports there (config-controller.go, v1.65.0)."""
    config = wanted.get("config", {})
    reported = {
        "preallocation": bool(status.get("preallocation")),
        "scratchSpaceStorageClass": status.get("scratchSpaceStorageClass"),
        "filesystemOverhead": status.get("filesystemOverhead"),
        "uploadProxyURLOverride": status.get("uploadProxyURL"),
        "podResourceRequirements": status.get("defaultPodResourceRequirements"),
        "importProxy": status.get("importProxy"),
        "imagePullSecrets": status.get("imagePullSecrets"),
    }
    missing = []
    for field, effective in reported.items():
        # Without an override CDI looks for an Ingress or a Route, and without a class it takes the volume's: any value will do.
        if field not in config or (config[field] is None and field != "scratchSpaceStorageClass"):
            continue
        if not is_as_asked(config[field], effective):
            missing.append(f"{field} is {effective!r} and not {config[field]!r}")
    return missing


def merged(stored: t.Any, wanted: t.Any) -> t.Any:
    """What a JSON merge patch makes of an object (RFC 7396)."""
    if not isinstance(wanted, dict):
        return wanted
    result = dict(stored) if isinstance(stored, dict) else {}
    for key, value in wanted.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def run(task: Task) -> dict[str, t.Any]:
    connection, name = task.connection, task.params["name"]
    deadline = time.monotonic() + task.params["wait_timeout"]
    wanted = wanted_spec(task.params)
    try:
        stored = connection.get(CDI, name)
    except NotServed:
        if not task.check_mode:
            raise
        stored = None
    if stored is None and not task.check_mode:
        raise CdiError(f"There is no CDI {name}; install CDI first (module kubevirt.cdi.cdi), or give its name.")
    before = (stored or {}).get("spec") or {}
    changed = not is_as_asked(wanted, before)
    if changed:
        _refuse_foreign_owner(name)
        _refuse_unknown_class(connection, task.params["scratch_space_storage_class"])
    after = merged(before, wanted)
    if changed and stored is not None:
        # A merge patch of just these fields: an apply would take away what module cdi has applied to the same object.
        after = connection.merge(CDI, name, None, {"spec": wanted}, dry_run=task.check_mode)["spec"]
    effective = {} if task.check_mode else _effective(connection, wanted, deadline, task.params)
    sides = difference(normalise(before), normalise(after)) if changed else {}
    return {"changed": changed, "config": wanted, "effective": effective, "diff": sides}


def effective_config(config: Object | None) -> dict[str, t.Any]:
    """`CDIConfig.status` by option names, with CDI's own defaults for what it leaves out."""
    status = (config or {}).get("status") or {}
    return {
        "preallocation": bool(status.get("preallocation")),
        "scratch_space_storage_class": status.get("scratchSpaceStorageClass") or None,
        "filesystem_overhead": status.get("filesystemOverhead", {}),
        "upload_proxy_url": status.get("uploadProxyURL"),
        "default_pod_resource_requirements": status.get("defaultPodResourceRequirements", {}),
        "import_proxy": status.get("importProxy", {}),
        "image_pull_secrets": [secret["name"] for secret in status.get("imagePullSecrets", [])],
    }


def _effective(connection: Connection, wanted: Object, deadline: float, params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    if not params["wait"]:
        return effective_config(connection.get(CDI_CONFIG, CONFIG_NAME))

    def judge(_name: str, config: Object | None) -> Verdict:
        missing = not_in_effect(wanted, (config or {}).get("status") or {}) if config else ["there is no CDIConfig"]
        return Verdict(WAITING, "; ".join(missing)) if missing else Verdict(REACHED)

    outcome = wait_for(connection, CDI_CONFIG, None, [CONFIG_NAME], judge, deadline)[CONFIG_NAME]
    if outcome.verdict.state != REACHED:
        raise CdiError(
            f"CDI {params['name']} is configured, but after {params['wait_timeout']} s this is not in effect: {outcome.verdict.reason}; "
            "one setting that CDI cannot use keeps it from taking any: see the log of Deployment cdi-deployment.",
            effective=effective_config(outcome.object),
        )
    return effective_config(outcome.object)


def _refuse_foreign_owner(name: str) -> None:
    if name == _HYPERCONVERGED_CDI:
        raise CdiError(
            f"CDI {name} belongs to HyperConverged, which undoes changes; set the field of HyperConverged kubevirt-hyperconverged instead "
            "(scratchSpaceStorageClass, filesystemOverhead, ..., or its annotation containerizeddataimporter.kubevirt.io/jsonpatch)."
        )


def _refuse_unknown_class(connection: Connection, name: str | None) -> None:
    """CDI ignores an unknown class without a word (config-controller.go, v1.65.0)."""
    if not name or connection.get(STORAGE_CLASS, name) is not None:
        return
    classes, _version = connection.list(STORAGE_CLASS)
    existing = ", ".join(sorted(item["metadata"]["name"] for item in classes)) or "none"
    raise CdiError(f"scratch_space_storage_class is {name}, and there is no such StorageClass; use one of: {existing}.")
