# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The options of one DataVolume: those of module data_volume, and of each item of its list."""

from __future__ import annotations

import typing as t

Options = t.Dict[str, t.Any]


def _text(*names: str) -> Options:
    return {name: {"type": "str", "no_log": False} for name in names}


def _dict(options: Options) -> Options:
    return {"type": "dict", "options": options}


_REFERENCE: Options = {"name": {"type": "str", "required": True}, "namespace": {"type": "str"}}
_HTTP: Options = {
    "url": {"type": "str", "required": True},
    **_text("secret_ref", "cert_config_map", "checksum"),
    "extra_headers": {"type": "list", "elements": "str", "no_log": True},
    "secret_extra_headers": {"type": "list", "elements": "str", "no_log": False},
}
SOURCES: Options = {
    "http": _dict(_HTTP),
    "s3": _dict({"url": {"type": "str", "required": True}, **_text("secret_ref", "cert_config_map")}),
    "gcs": _dict({"url": {"type": "str", "required": True}, **_text("secret_ref")}),
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
            "url": {"type": "str", "required": True},
            "disk_id": {"type": "str", "required": True},
            **_text("secret_ref", "cert_config_map"),
            "insecure_skip_verify": {"type": "bool"},
        }
    ),
    "vddk": _dict(_text("url", "uuid", "backing_file", "thumbprint", "secret_ref", "init_image_url", "extra_args")),
}
_TARGET: Options = {
    **_text("size", "storage_class_name", "volume_name"),
    "access_modes": {"type": "list", "elements": "str", "choices": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]},
    "volume_mode": {"type": "str", "choices": ["Filesystem", "Block"]},
    "selector": {"type": "dict"},
}
VOLUME_OPTIONS: Options = {
    "namespace": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "labels": {"type": "dict"},
    "annotations": {"type": "dict"},
    "source": _dict(SOURCES),
    "source_ref": _dict({"kind": {"type": "str", "default": "DataSource", "choices": ["DataSource"]}, **_REFERENCE}),
    "storage": _dict(_TARGET),
    "pvc": _dict(_TARGET),
    "content_type": {"type": "str", "choices": ["kubevirt", "archive"]},
    "preallocation": {"type": "bool"},
    **_text("priority_class_name", "service_account_name"),
    "checkpoints": {
        "type": "list",
        "elements": "dict",
        "options": {"previous": {"type": "str", "required": True}, "current": {"type": "str", "required": True}},
    },
    "final_checkpoint": {"type": "bool"},
    "binding": {"type": "str", "choices": ["immediate", "wait_for_consumer"], "default": "wait_for_consumer"},
    "on_drift": {"type": "str", "choices": ["fail", "recreate"], "default": "fail"},
    "keep_claim": {"type": "bool", "default": False},
    "wait_for": {"type": "str", "choices": ["succeeded", "bound", "upload_ready"]},
}
