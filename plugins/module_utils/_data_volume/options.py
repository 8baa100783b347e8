# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of one DataVolume: those of module data_volume, and of each item of its list."""

from __future__ import annotations

import typing as t

from .._ansible.argspec import WHEN_IN_USE

Options = dict[str, t.Any]


def _text(*names: str) -> Options:
    return {name: {"type": "str", "no_log": False} for name in names}


def _required(*names: str) -> Options:
    return {name: {"type": "str", "no_log": False, "required": True} for name in names}


def _dict(options: Options) -> Options:
    return {"type": "dict", "options": options}


_REFERENCE: Options = {**_required("name"), **_text("namespace")}
_HTTP: Options = {
    **_required("url"),
    **_text("secret_ref", "cert_config_map", "checksum"),
    "extra_headers": {"type": "list", "elements": "str", "no_log": True},
    "secret_extra_headers": {"type": "list", "elements": "str", "no_log": False},
}
SOURCES: Options = {
    "http": _dict(_HTTP),
    "s3": _dict({**_required("url"), **_text("secret_ref", "cert_config_map")}),
    "gcs": _dict({**_required("url"), **_text("secret_ref")}),
    "registry": _dict(
        {
            **_text("url", "image_stream", "secret_ref", "cert_config_map"),
            "pull_method": {"type": "str", "choices": ["pod", "node"]},
            "platform": _dict(_text("architecture")),
        }
    ),
    "pvc": _dict(_REFERENCE),
    "snapshot": _dict(_REFERENCE),
    "blank": _dict({}),
    "upload": _dict({}),
    "imageio": _dict(
        {
            **_required("url", "disk_id", "secret_ref"),
            **_text("cert_config_map"),
            "insecure_skip_verify": {"type": "bool"},
        }
    ),
    "vddk": _dict(
        {
            **_required("url", "uuid", "backing_file", "thumbprint", "secret_ref"),
            **_text("init_image_url", "extra_args"),
        }
    ),
}
_SELECTOR: Options = {
    "match_labels": {"type": "dict"},
    "match_expressions": {
        "type": "list",
        "elements": "dict",
        "options": {
            **_required("key"),
            "operator": {"type": "str", "required": True, "choices": ["In", "NotIn", "Exists", "DoesNotExist"]},
            "values": {"type": "list", "elements": "str"},
        },
    },
}
_POPULATOR: Options = _dict({**_required("kind", "name"), **_text("api_group")})
_STORAGE: Options = {
    **_text("size", "storage_class_name", "volume_name"),
    "access_modes": {
        "type": "list",
        "elements": "str",
        "choices": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"],
    },
    "volume_mode": {"type": "str", "choices": ["Filesystem", "Block"]},
    "selector": _dict(_SELECTOR),
    "data_source": _POPULATOR,
    "data_source_ref": _POPULATOR,
}
SPEC_OPTIONS: Options = {
    "source": _dict(SOURCES),
    "source_ref": _dict({"kind": {"type": "str", "default": "DataSource", "choices": ["DataSource"]}, **_REFERENCE}),
    "storage": _dict(_STORAGE),
    "pvc": _dict({**_STORAGE, **_text("volume_attributes_class_name")}),
    "content_type": {"type": "str", "choices": ["kubevirt", "archive"]},
    "preallocation": {"type": "bool"},
    **_text("priority_class_name", "service_account_name"),
    "checkpoints": {
        "type": "list",
        "elements": "dict",
        "options": _required("previous", "current"),
    },
    "final_checkpoint": {"type": "bool"},
}
VOLUME_OPTIONS: Options = {
    "namespace": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "labels": {"type": "dict"},
    "annotations": {"type": "dict"},
    **SPEC_OPTIONS,
    "binding": {"type": "str", "choices": ["immediate", "wait_for_consumer"], "default": "wait_for_consumer"},
    "check_source": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
    "adopt_claim": {"type": "bool", "default": False},
    "on_drift": {"type": "str", "choices": ["fail", "recreate"], "default": "fail"},
    **WHEN_IN_USE,
    "keep_claim": {"type": "bool", "default": False},
    "require_clone_method": {"type": "list", "elements": "str", "choices": ["snapshot", "csi-clone", "copy"]},
    "wait_for": {"type": "str", "choices": ["succeeded", "bound", "upload_ready"]},
}
# Options that older releases of CDI do not know, and the first one that does (types.go of the releases).
SINCE = {
    "service_account_name": "1.65.0",
    "source.http.checksum": "1.65.0",
    "source.imageio.insecure_skip_verify": "1.64.0",
    "source.registry.platform": "1.63.0",
    "source.vddk.extra_args": "1.63.0",
}
