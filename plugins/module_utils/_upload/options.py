# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of an upload, and the DataVolume that they declare. Pure rules."""

from __future__ import annotations

import re
import typing as t

from .._data_volume.options import VOLUME_OPTIONS
from .._data_volume.validation import check as check_volume
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.public import public_url
from .encoding import STREAMS
from .url import DOWNLOAD, check_url, is_url

SPEC_FIELDS = ("content_type", "preallocation", "priority_class_name", "service_account_name")
TARGETS = ("storage", "pvc")
_CHECKSUM = re.compile(r"sha256:([0-9a-fA-F]{64})")
_TARGET_OPTIONS = ("size", "storage_class_name", "volume_name", "access_modes", "volume_mode")
# The options of a data volume that also apply to the target of an upload.
OPTIONS: Object = {
    **{option: VOLUME_OPTIONS[option] for option in ("namespace", "labels", "annotations", *SPEC_FIELDS)},
    **{
        target: {
            "type": "dict",
            "options": {option: VOLUME_OPTIONS[target]["options"][option] for option in _TARGET_OPTIONS},
        }
        for target in TARGETS
    },
}
_NO_VOLUME = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
_NO_TARGET = dict.fromkeys({**VOLUME_OPTIONS["storage"]["options"], **VOLUME_OPTIONS["pvc"]["options"]})


def stripped(upload: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options without the spaces and line ends that templates leave around values; the path of a file may end in
    one.
    """
    values = {key: _stripped(value) for key, value in upload.items()}
    if not is_url(values["path"]):
        values["path"] = upload["path"]
    for target in TARGETS:
        if values[target]:
            values[target] = {key: _stripped(value) for key, value in values[target].items()}
    return values


def _stripped(value: t.Any) -> t.Any:
    return value.strip() if isinstance(value, str) else value


def check(upload: t.Mapping[str, t.Any]) -> None:
    """Refuse options that can never work. Raises CdiError that names the option, its value and the remedy."""
    name = upload["name"]
    if upload["content_type"] == "archive" and upload["format"] == "raw":
        raise CdiError(f"{name} has content_type=archive and format=raw; give one of them.")
    if upload["checksum"] is not None and not _CHECKSUM.fullmatch(upload["checksum"]):
        raise CdiError(
            f"checksum of {name} is {upload['checksum']!r}; give sha256: and the 64 hexadecimal digits of the file's "
            "SHA-256."
        )
    if is_url(upload["path"]):
        _check_remote(upload)
    given = [target for target in TARGETS if upload[target]]
    volume = declared(upload)
    for target in given or ["storage"]:
        volume[target] = {**_NO_TARGET, **(volume[target] or {}), "size": (upload[target] or {}).get("size") or "1Mi"}
    check_volume(volume)


def _check_remote(upload: t.Mapping[str, t.Any]) -> None:
    name, shown = upload["name"], public_url(upload["path"])
    check_url(name, upload["path"])
    if upload["encoding"] in STREAMS:
        raise CdiError(
            f"encoding of {name} is {upload['encoding']}, and {shown} is a URL, whose file is sent as it is; "
            f"set encoding=auto, or {DOWNLOAD}."
        )
    if upload["verify_content"]:
        raise CdiError(
            f"verify_content of {name} is true, and {shown} is a URL, whose disk is not read here; omit "
            f"verify_content, or {DOWNLOAD}."
        )


def digest_of(checksum: str) -> str:
    """The digest in a valid `checksum`."""
    return checksum.partition(":")[2].lower()


def declared(upload: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options of a data volume (see `_data_volume/options.py`) for the target of an upload.

    CDI binds it at once, because no pod uses it before it is filled.
    """
    given = {key: upload[key] for key in ("name", "namespace", *OPTIONS)}
    for target in TARGETS:
        given[target] = given[target] and {**_NO_TARGET, **given[target]}
    return {**_NO_VOLUME, **given, "source": {"upload": {}}, "binding": "immediate"}
