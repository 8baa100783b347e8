# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of module cdi, and what they ask of a CDI object."""

from __future__ import annotations

import json
import re
import typing as t

from .._ansible.argspec import FORCE_CONFLICTS, PROGRESS, WHEN_IN_USE, ArgumentSpec, wait_spec
from .._ansible.fields import to_fields
from .._kubernetes.errors import CdiError
from .manifest import check_checksum, check_registry, release_url

# As in the release's cdi-cr.yaml (manifests/templates/release/cdi-cr.yaml.in, v1.65.0).
LINUX = {"kubernetes.io/os": "linux"}
_PLACEMENT: dict[str, t.Any] = {
    "node_selector": {"type": "dict", "default": LINUX},
    "tolerations": {"type": "list", "elements": "dict"},
    "affinity": {"type": "dict"},
}
_CERTIFICATE: dict[str, t.Any] = {
    "type": "dict",
    "options": {"duration": {"type": "str"}, "renew_before": {"type": "str"}},
}
_PATCH: dict[str, t.Any] = {
    "resource_name": {"type": "str", "required": True},
    "resource_type": {"type": "str", "required": True},
    "patch": {"type": "jsonarg", "required": True},
    "type": {"type": "str", "choices": ["json", "merge", "strategic"], "required": True},
}
CR_OPTIONS: dict[str, t.Any] = {
    "image_pull_policy": {"type": "str", "choices": ["Always", "IfNotPresent", "Never"]},
    "uninstall_strategy": {"type": "str", "choices": ["RemoveWorkloads", "BlockUninstallIfWorkloadsExist"]},
    "priority_class": {"type": "str"},
    "infra": {
        "type": "dict",
        "apply_defaults": True,
        "options": {
            **_PLACEMENT,
            "deployment_replicas": {"type": "int"},
            "api_server_replicas": {"type": "int"},
            "upload_proxy_replicas": {"type": "int"},
        },
    },
    "workload": {"type": "dict", "apply_defaults": True, "options": _PLACEMENT},
    "cert_config": {"type": "dict", "options": {"ca": _CERTIFICATE, "server": _CERTIFICATE, "client": _CERTIFICATE}},
    "customize_components": {
        "type": "dict",
        "options": {
            "patches": {"type": "list", "elements": "dict", "options": _PATCH},
            "flags": {
                "type": "dict",
                "options": {"api": {"type": "dict"}, "controller": {"type": "dict"}, "upload_proxy": {"type": "dict"}},
            },
        },
    },
}
SPEC = (
    ArgumentSpec(
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "name": {"type": "str", "default": "cdi"},
            "version": {"type": "str"},
            "manifest": {"type": "str"},
            "checksum": {"type": "str"},
            "image_registry": {"type": "str"},
            "image_pull_secrets": {"type": "list", "elements": "str", "no_log": False},
            "delete_data_volumes": {"type": "bool", "default": False},
            **WHEN_IN_USE,
            **CR_OPTIONS,
        },
        required_if=[("state", "present", ["version", "manifest"], True)],
        mutually_exclusive=[("version", "manifest")],
    )
    + FORCE_CONFLICTS
    + wait_spec(300)
    + PROGRESS
)
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def check(params: dict[str, t.Any]) -> None:
    """Validate the options before any request. Raises CdiError."""
    if params["version"]:
        release_url(params["version"])
    if params["checksum"]:
        check_checksum(params["checksum"])
    if params["image_registry"]:
        check_registry(params["image_registry"])
    for option, value in params["infra"].items():
        if option.endswith("_replicas") and value is not None and value < 1:
            raise CdiError(f"infra.{option} is {value}; set it to 1 or more.")
    for name, certificate in (params["cert_config"] or {}).items():
        seconds = {
            option: _seconds(f"cert_config.{name}.{option}", value)
            for option, value in (certificate or {}).items()
            if value
        }
        if seconds.get("renew_before", 0) >= seconds.get("duration", float("inf")):
            raise CdiError(
                f"cert_config.{name}.renew_before is {certificate['renew_before']}; "
                f"set it to less than the duration, {certificate['duration']}."
            )
    for patch in (params["customize_components"] or {}).get("patches") or []:
        try:
            json.loads(patch["patch"])
        except ValueError as exc:
            raise CdiError(
                f"The patch of {patch['resource_type']} {patch['resource_name']} in customize_components is not JSON "
                f"({exc}); correct it."
            ) from exc


def cr_spec(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The requested `CDI.spec` without `config`, which belongs to module cdi_config."""
    spec = to_fields(params, CR_OPTIONS)
    for certificate in spec.get("certConfig", {}).values():
        for field, value in certificate.items():
            certificate[field] = _as_go_writes(_seconds(field, value))
    flags = spec.get("customizeComponents", {}).get("flags", {})
    for component, values in flags.items():
        flags[component] = {name: str(value) for name, value in values.items()}
    return spec


def _seconds(option: str, duration: str) -> int:
    match = _DURATION.fullmatch(duration)
    if not match or not duration:
        raise CdiError(f"{option} is {duration!r}; set it to hours, minutes and seconds, for example 48h or 1h30m.")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _as_go_writes(seconds: int) -> str:
    """The operator writes the CDI object from Go's types: `48h` would become `48h0m0s` and differ in every run."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
