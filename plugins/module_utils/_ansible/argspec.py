# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specs shared by the modules, with constraints. They are documented in `plugins/doc_fragments`."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import env_fallback

Spec = dict[str, t.Any]


class ArgumentSpec:
    """An argument spec with constraints, combined from parts. `kinds` overrides the kinds of options (values.py)."""

    def __init__(self, options: Spec, *, kinds: t.Mapping[str, str] | None = None, **constraints: t.Any) -> None:
        self.options = options
        self.kinds = dict(kinds or {})
        self.constraints = constraints

    def __add__(self, other: ArgumentSpec) -> ArgumentSpec:
        constraints = dict(self.constraints)
        for name, value in other.constraints.items():
            before = constraints.get(name)
            constraints[name] = {**(before or {}), **value} if isinstance(value, dict) else [*(before or []), *value]
        return ArgumentSpec({**self.options, **other.options}, kinds={**self.kinds, **other.kinds}, **constraints)


def _from_env(*names: str) -> tuple[t.Any, list[str]]:
    return _set_variable, [f"K8S_AUTH_{name}" for name in names]


def _set_variable(*names: str) -> t.Any:
    """The first variable that is not empty. Surveys and compose files set empty ones."""
    return env_fallback(*(name for name in names if os.environ.get(name)))


AUTH = ArgumentSpec(
    {
        "kubeconfig": {"type": "raw", "fallback": _from_env("KUBECONFIG"), "no_log": False},
        "context": {"type": "str", "fallback": _from_env("CONTEXT")},
        "host": {"type": "str", "fallback": _from_env("HOST")},
        "api_key": {"type": "str", "no_log": True, "fallback": _from_env("API_KEY")},
        "username": {"type": "str", "fallback": _from_env("USERNAME")},
        "password": {"type": "str", "no_log": True, "fallback": _from_env("PASSWORD")},
        "client_cert": {"type": "path", "aliases": ["cert_file"], "fallback": _from_env("CLIENT_CERT", "CERT_FILE")},
        "client_key": {
            "type": "path",
            "aliases": ["key_file"],
            "no_log": False,
            "fallback": _from_env("CLIENT_KEY", "KEY_FILE"),
        },
        "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"], "fallback": _from_env("CA_CERT", "SSL_CA_CERT")},
        "validate_certs": {
            "type": "bool",
            "aliases": ["verify_ssl"],
            "fallback": _from_env("VALIDATE_CERTS", "VERIFY_SSL"),
        },
        "proxy": {"type": "str", "fallback": _from_env("PROXY")},
        "no_proxy": {"type": "str", "fallback": _from_env("NO_PROXY")},
        "proxy_headers": {
            "type": "dict",
            # Otherwise the variables are ignored when the option is not set.
            "apply_defaults": True,
            "options": {
                "proxy_basic_auth": {
                    "type": "str",
                    "no_log": True,
                    "fallback": _from_env("PROXY_HEADERS_PROXY_BASIC_AUTH"),
                },
                "basic_auth": {"type": "str", "no_log": True, "fallback": _from_env("PROXY_HEADERS_BASIC_AUTH")},
                "user_agent": {"type": "str", "fallback": _from_env("PROXY_HEADERS_USER_AGENT")},
            },
        },
        "persist_config": {"type": "bool", "fallback": _from_env("PERSIST_CONFIG")},
        "impersonate_user": {"type": "str", "fallback": _from_env("IMPERSONATE_USER")},
        "impersonate_groups": {"type": "list", "elements": "str", "fallback": _from_env("IMPERSONATE_GROUPS")},
    }
)

# For options that delete data. Not an ArgumentSpec, because each item of a list has it.
WHEN_IN_USE: Spec = {"when_in_use": {"type": "str", "choices": ["fail", "delete"], "default": "fail"}}

FORCE_CONFLICTS = ArgumentSpec({"force_conflicts": {"type": "bool", "default": False}})

CREATE_NAMESPACE = ArgumentSpec({"create_namespace": {"type": "bool", "default": False}})

PROGRESS = ArgumentSpec({"progress_file": {"type": "path"}})


def wait_spec(timeout: int) -> ArgumentSpec:
    """The options for waiting, with the default timeout in seconds."""
    return ArgumentSpec(
        {"wait": {"type": "bool", "default": True}, "wait_timeout": {"type": "int", "default": timeout}}
    )
