# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CDI's configuration: the requested spec, the effective values, and what is not in effect. Pure rules."""

from __future__ import annotations

import difflib
import re
import typing as t
from urllib.parse import urlsplit

from .._ansible.argspec import ArgumentSpec, wait_spec
from .._ansible.fields import field_name, to_fields
from .._kubernetes.errors import CdiError
from .._kubernetes.merge_patch import changes_nothing
from .._kubernetes.objects import Object
from .._kubernetes.public import public_url, without_secrets
from .._kubernetes.quantity import parse

_RESOURCES: dict[str, t.Any] = {
    "limits": {"type": "dict"},
    "requests": {"type": "dict"},
    "claims": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, "request": {"type": "str"}},
    },
}
_CUSTOM_PROFILE: dict[str, t.Any] = {
    "ciphers": {"type": "list", "elements": "str", "required": True},
    "min_tls_version": {
        "type": "str",
        "choices": ["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"],
        "required": True,
    },
}
# One option for each field of CDI.spec.config (CDIConfigSpec in types.go, v1.65.0; webhook_pvc_rendering: v1.66.0).
CONFIG_OPTIONS: dict[str, t.Any] = {
    "data_volume_ttl_seconds": {"type": "int"},
    "feature_gates": {"type": "list", "elements": "str"},
    "filesystem_overhead": {"type": "dict", "options": {"global": {"type": "str"}, "storage_class": {"type": "dict"}}},
    "image_pull_secrets": {"type": "list", "elements": "str", "no_log": False},
    "import_proxy": {
        "type": "dict",
        "options": {
            # CDI's own documentation puts user and password into these.
            "http_proxy": {"type": "str", "no_log": True},
            "https_proxy": {"type": "str", "no_log": True},
            "no_proxy": {"type": "str"},
            "trusted_ca_proxy": {"type": "str"},
        },
    },
    "insecure_registries": {"type": "list", "elements": "str"},
    "log_verbosity": {"type": "int"},
    "pod_resource_requirements": {"type": "dict", "options": _RESOURCES},
    "preallocation": {"type": "bool"},
    "scratch_space_storage_class": {"type": "str"},
    "tls_security_profile": {
        "type": "dict",
        "options": {
            "type": {"type": "str", "choices": ["Old", "Intermediate", "Modern", "Custom"]},
            "custom": {"type": "dict", "options": _CUSTOM_PROFILE},
        },
    },
    "upload_proxy_url_override": {"type": "str"},
    "webhook_pvc_rendering": {"type": "str", "choices": ["Enabled", "Disabled", ""]},
}
_CLONE_OPTIONS: dict[str, t.Any] = {
    "clone_strategy_override": {"type": "str", "choices": ["copy", "snapshot", "csi-clone", ""]}
}
SPEC = ArgumentSpec({"name": {"type": "str", "default": "cdi"}, **CONFIG_OPTIONS, **_CLONE_OPTIONS}) + wait_spec(60)

# pkg/feature-gates/feature-gates.go, v1.61.1 to v1.66.0. CDI checks no name.
FEATURE_GATES = ("HonorWaitForFirstConsumer", "DataVolumeClaimAdoption", "WebhookPvcRendering", "BootcImageImport")
# From this similarity on, an unknown name counts as a misspelling of a known one.
_NEAR = 0.8
# config-controller.go and types.go, v1.65.0.
_OVERHEAD = re.compile(r"(0(?:\.\d{1,3})?|1)")
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:]+\](:\d{1,5})?")
_RESERVED = ("cpu", "memory")
# CDI's defaults for its worker pods.
_WORKER = {"limits": {"cpu": "750m", "memory": "600M"}, "requests": {"cpu": "100m", "memory": "60M"}}
# Fields of CDI.spec.config, and the field of CDIConfig.status that reports each. CDI copies the others to
# CDIConfig.spec.
_REPORTED = {
    "filesystemOverhead": "filesystemOverhead",
    "imagePullSecrets": "imagePullSecrets",
    "importProxy": "importProxy",
    "podResourceRequirements": "defaultPodResourceRequirements",
    "preallocation": "preallocation",
    "scratchSpaceStorageClass": "scratchSpaceStorageClass",
    "uploadProxyURLOverride": "uploadProxyURL",
}
# CDI finds a value for these when they are not set: any value is right.
_FOUND_OTHERWISE = ("filesystemOverhead", "importProxy", "podResourceRequirements", "uploadProxyURLOverride")


def check(params: t.Mapping[str, t.Any]) -> None:
    """Validate the options before any request. Raises CdiError."""
    overhead = params["filesystem_overhead"] or {}
    by_class = {f"storage_class.{name}": value for name, value in (overhead.get("storage_class") or {}).items()}
    for option, value in {"global": overhead.get("global"), **by_class}.items():
        if value not in (None, "") and not _OVERHEAD.fullmatch(str(value)):
            raise CdiError(
                f"filesystem_overhead.{option} is {value!r}; "
                "set it to a fraction between 0 and 1 with at most three decimals, for example 0.06."
            )
    proxy = params["import_proxy"] or {}
    for option in ("http_proxy", "https_proxy"):
        if proxy.get(option) and not _is_url(proxy[option], ("http", "https")):
            raise CdiError(
                f"import_proxy.{option} is not a URL; set it to a URL such as http://proxy.example.com:3128."
            )
    url = params["upload_proxy_url_override"]
    if url and not (_is_url(url, ("http", "https")) or _HOST.fullmatch(url)):
        raise CdiError(
            f"upload_proxy_url_override is {public_url(url)!r}; "
            "give a URL or a host, for example https://cdi-uploadproxy.example.com."
        )
    for registry in params["insecure_registries"] or []:
        if not _HOST.fullmatch(registry):
            shown = public_url(registry)
            raise CdiError(
                f"insecure_registries has {shown!r}; give host or host:port, "
                "because CDI compares it with the host of an image's URL."
            )
    for option in ("log_verbosity", "data_volume_ttl_seconds"):
        if params[option] is not None and params[option] < (0 if option == "log_verbosity" else -1):
            raise CdiError(f"{option} is {params[option]}; set it to 0 or more.")
    for kind in ("limits", "requests"):
        for name, quantity in ((params["pod_resource_requirements"] or {}).get(kind) or {}).items():
            if name not in _RESERVED:
                raise CdiError(
                    f"pod_resource_requirements.{kind} has {name}, which CDI ignores; "
                    f"give only {' and '.join(_RESERVED)}."
                )
            if quantity != "":
                _quantity(f"pod_resource_requirements.{kind}.{name}", quantity)
    _check_profile(params["tls_security_profile"] or {})


def _is_url(text: str, schemes: t.Collection[str]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", text)
    except ValueError:
        return False


def _quantity(option: str, quantity: t.Any) -> t.Any:
    try:
        return parse(quantity)
    except ValueError as exc:
        raise CdiError(f"{option}: {exc}") from exc


def _check_profile(profile: t.Mapping[str, t.Any]) -> None:
    kind, custom = profile.get("type"), profile.get("custom")
    if kind == "Custom" and not custom:
        raise CdiError("tls_security_profile.type is Custom; set ciphers and min_tls_version in custom.")
    if custom and kind != "Custom":
        raise CdiError(
            f"tls_security_profile has custom and type {kind}; "
            "set type to Custom, because CDI uses custom with any type."
        )


def wanted_spec(params: t.Mapping[str, t.Any]) -> Object:
    """The merge patch of `CDI.spec` for the options. An empty text, list or dictionary removes the value."""
    fields = to_fields(params, CONFIG_OPTIONS)
    overhead = fields.get("filesystemOverhead", {})
    if overhead.get("storageClass"):
        overhead["storageClass"] = {name: str(value or "") for name, value in overhead["storageClass"].items()}
    config = {field: _or_none(value) for field, value in fields.items()}
    if config.get("imagePullSecrets"):
        config["imagePullSecrets"] = [{"name": name} for name in config["imagePullSecrets"]]
    if config.get("tlsSecurityProfile"):
        # CDI reads `custom` first, so it must not stay when the type changes.
        kind = config["tlsSecurityProfile"]["type"]
        others = {other: None for other in ("old", "intermediate", "modern", "custom") if other != kind.lower()}
        config["tlsSecurityProfile"] = {**others, **config["tlsSecurityProfile"]}
    spec = {field: _or_none(value) for field, value in to_fields(params, _CLONE_OPTIONS).items()}
    return {**spec, "config": config} if config else spec


def _or_none(value: t.Any) -> t.Any:
    if isinstance(value, dict) and value:
        return {key: _or_none(item) for key, item in value.items()}
    return None if value in ("", [], {}) else value


def option_of(field: str) -> str:
    """The option that sets a field of CDI.spec.config."""
    return next((option for option in CONFIG_OPTIONS if field_name(option) == field), field)


def refuse_impossible_resources(config: Object) -> None:
    """Raise CdiError for a request above its limit, given or CDI's own, with which every worker pod would be invalid.

    `config` is the new CDI.spec.config.
    """
    given = config.get("podResourceRequirements") or {}
    for name in _RESERVED:
        request, limit = ((given.get(kind) or {}).get(name, _WORKER[kind][name]) for kind in ("requests", "limits"))
        if _quantity("requests", request) > _quantity("limits", limit):
            raise CdiError(
                f"pod_resource_requirements.requests.{name} is {request}, but the limit is {limit}, "
                "so no worker pod could be "
                f"created; set limits.{name} also."
            )


def named_classes(params: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The storage classes that the options name, and the option that names each."""
    overhead = (params["filesystem_overhead"] or {}).get("storage_class") or {}
    named = {name: "filesystem_overhead.storage_class" for name, value in overhead.items() if value not in (None, "")}
    if params["scratch_space_storage_class"]:
        named[params["scratch_space_storage_class"]] = "scratch_space_storage_class"
    return named


def unknown_gates(asked: t.Collection[str], version: str) -> list[str]:
    """A warning for each gate that no known release has. Raises CdiError for a misspelled one."""
    sentences = []
    for gate in asked:
        if gate in FEATURE_GATES:
            continue
        spelled = {known.lower(): known for known in FEATURE_GATES}
        near = difflib.get_close_matches(gate.lower(), spelled, 1, _NEAR)
        if near:
            raise CdiError(f"feature_gates has {gate!r}, which CDI does not know; did you mean {spelled[near[0]]!r}?")
        installed = f"CDI {version}" if version else "CDI"
        sentences.append(
            f"feature_gates has {gate!r}: {installed} ignores unknown gates; known gates: {', '.join(FEATURE_GATES)}."
        )
    return sentences


def removed_gates(wanted: Object, before: Object) -> str:
    """A warning when the list, which replaces the stored one, removes gates; `` when it removes none."""
    asked = (wanted.get("config") or {}).get("featureGates")
    removed = [gate for gate in (before.get("config") or {}).get("featureGates") or [] if gate not in (asked or [])]
    if not asked or not removed:
        return ""
    return f"feature_gates replaces all feature gates: {', '.join(removed)} is removed; add it to the list to keep it."


def ineffective_options(params: t.Mapping[str, t.Any], version: str) -> list[str]:
    """A warning for each given option that CDI of this release stores but does not use."""
    sentences = []
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if params["data_volume_ttl_seconds"] is not None and (not match or tuple(map(int, match.groups())) >= (1, 62)):
        sentences.append(
            "data_volume_ttl_seconds has no effect since CDI 1.62, which no longer deletes completed DataVolumes."
        )
    if (params["pod_resource_requirements"] or {}).get("claims"):
        sentences.append("pod_resource_requirements.claims has no effect: CDI uses only limits and requests.")
    return sentences


def not_in_effect(wanted: Object, cdi_config: Object) -> list[str]:
    """What was requested but is not in CDIConfig: in its spec, to which CDI copies all of it, or in its status."""
    status, spec = cdi_config.get("status") or {}, cdi_config.get("spec") or {}
    missing = []
    for field, asked in wanted.get("config", {}).items():
        sides = [(asked, spec.get(field))]
        if field == "preallocation":
            sides.append((asked, bool(status.get(field))))
        elif field in _REPORTED and not (asked is None and field in _FOUND_OTHERWISE):
            sides.append((_reported(field, asked), status.get(_REPORTED[field])))
        for expected, effective in sides:
            if not changes_nothing(expected, effective):
                requested, found = without_secrets(expected, effective), without_secrets(effective)
                missing.append(f"{option_of(field)}: requested {_shown(requested)}, in effect: {_shown(found)}")
                break
    return missing


def _shown(value: t.Any) -> str:
    return "not set" if value is None else repr(value)


def _reported(field: str, asked: t.Any) -> t.Any:
    """What the status reports for a requested value: nothing for what is removed, and no resource claims."""
    given = (
        {key: value for key, value in asked.items() if key != "claims"} if field == "podResourceRequirements" else asked
    )
    return _without_removals(given)


def _without_removals(asked: t.Any) -> t.Any:
    if not isinstance(asked, dict):
        return asked
    return {key: _without_removals(value) for key, value in asked.items() if value is not None}


def effective_config(config: Object | None) -> dict[str, t.Any]:
    """The values in effect, by option names, with CDI's defaults for what CDIConfig omits."""
    status, spec = (config or {}).get("status") or {}, (config or {}).get("spec") or {}
    return t.cast(
        dict[str, t.Any],
        without_secrets(
            {
                "preallocation": bool(status.get("preallocation")),
                "scratch_space_storage_class": status.get("scratchSpaceStorageClass") or None,
                "filesystem_overhead": status.get("filesystemOverhead", {}),
                "upload_proxy_url": status.get("uploadProxyURL"),
                "upload_proxy_ca": status.get("uploadProxyCA"),
                "default_pod_resource_requirements": status.get("defaultPodResourceRequirements", {}),
                "import_proxy": status.get("importProxy", {}),
                "image_pull_secrets": [secret["name"] for secret in status.get("imagePullSecrets", [])],
                "feature_gates": spec.get("featureGates", []),
                "insecure_registries": spec.get("insecureRegistries", []),
                "log_verbosity": spec.get("logVerbosity"),
                "tls_security_profile": spec.get("tlsSecurityProfile", {}),
            }
        ),
    )
