# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the images on HTTP servers that volumes will be imported from: whether they are there, what they are, and how large their disks are."""

from __future__ import annotations

import base64
import binascii
import typing as t

from .._kubernetes.errors import CdiError
from .._kubernetes.resources import CONFIG_MAP, SECRET
from .preflight_reader import Preflight
from .reconcile import Item
from .source_check import Request, fetch_all
from .source_image import SourceImage, inspect_answer
from .source_size import http_source, sizeless

MIB = 1024 * 1024


def look_at_sources(checks: Preflight, items: t.Sequence[Item]) -> dict[tuple[str, str], SourceImage]:
    """What is known of the images of volumes that will be created, by the volumes' keys. Sets sizes that are left to the image, and errors."""
    looked = [item for item in items if http_source(item) and item.volume["check_source"] != "never"]
    for item in looked:
        if item.volume.get("size_by_image"):
            item.volume["storage"]["size"] = None  # The image of now may be another one.
    requests: dict[tuple[str, str], Request] = {}
    found: dict[tuple[str, str], SourceImage] = {}
    for item in looked:
        try:
            requests[item.key] = _request(checks, item)
        except CdiError as exc:
            found[item.key] = SourceImage(reason=str(exc).rstrip("."))
    fetched = fetch_all(set(requests.values()))
    for item in looked:
        if item.key in requests:
            answer = fetched[requests[item.key]]
            found[item.key] = (
                inspect_answer(requests[item.key].url, answer.answer, item.volume["content_type"])
                if answer.answer
                else SourceImage(reason=answer.reason or answer.refusal, refusal=answer.refusal)
            )
        item.error = _error(item, found[item.key])
    return found


def _error(item: Item, found: SourceImage) -> str:
    problem = found.refusal
    if not problem and found.image is None and item.volume["check_source"] == "always":
        problem = f"check_source is 'always', and {found.reason}; correct source.http.url, or set check_source=auto"
    target = None if problem else sizeless(item)
    if target is not None:
        needed = found.image.needed_size if found.image else None
        if needed is None:
            why = found.reason or "its size cannot be told without unpacking all of it"
            problem = f"storage.size is not given, and the image does not tell it ({why}); give storage.size, for example 10Gi"
        else:
            target["size"] = f"{needed // MIB}Mi"
    return f"Cannot create DataVolume {item.title}: {problem}." if problem else ""


def _request(checks: Preflight, item: Item) -> Request:
    """As CDI's importer will ask. Raises CdiError when something that it needs may not be read, or is not there."""
    http, namespace = t.cast(t.Mapping[str, t.Any], http_source(item)), item.key[0]

    def data(resource: t.Any, name: str) -> dict[str, str]:
        stored = checks.find(resource, namespace, name)
        if not stored:
            raise CdiError(f"{resource.kind} '{namespace}/{name}' cannot be read")
        return stored.get("data") or {}

    ca = "\n".join(data(CONFIG_MAP, http["cert_config_map"]).values()) if http["cert_config_map"] else ""
    credentials = None
    if http["secret_ref"]:
        secret = data(SECRET, http["secret_ref"])
        credentials = (_decoded(secret.get("accessKeyId", "")), _decoded(secret.get("secretKey", "")))
    lines = list(http["extra_headers"] or [])
    for name in http["secret_extra_headers"] or []:
        lines += [_decoded(value) for value in data(SECRET, name).values()]
    return Request(http["url"], ca, credentials, tuple(lines))


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise CdiError("its Secret holds what is no text") from exc
