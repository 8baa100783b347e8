# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the images on HTTP servers that volumes will be imported from: whether they exist, format and size."""

from __future__ import annotations

import base64
import binascii
import typing as t

from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Key
from .._kubernetes.quantity import MIB
from .._kubernetes.resources import CONFIG_MAP, SECRET
from .preflight import Preflight
from .source_fetch import Request, fetch_all
from .source_image import SourceImage, inspect_answer
from .source_size import http_source, is_sizeless, with_size
from .volume import Volume

# The task fails without the answer, or goes on without it.
_SECONDS_IF_NEEDED, _SECONDS = 30.0, 10.0


class LookedAt(t.NamedTuple):
    """A volume with the size that its image gives, what is known of the image, and why the volume cannot be created."""

    volume: Volume
    source: SourceImage
    error: str = ""


def look_at_sources(checks: Preflight, volumes: t.Sequence[Volume]) -> dict[Key, LookedAt]:
    """Those of the volumes, which will be created, that are imported from an HTTP server, by their keys."""
    looked = [
        with_size(volume, None) if volume.sized_by_image else volume  # The image may have changed.
        for volume in volumes
        if http_source(volume) and volume.options["check_source"] != "never"
    ]
    requests: dict[Key, Request] = {}
    found: dict[Key, SourceImage] = {}
    for volume in looked:
        try:
            requests[volume.key] = _request(checks, volume)
        except CdiError as exc:
            found[volume.key] = SourceImage(reason=str(exc).rstrip("."))
    patience: dict[Request, float] = {}
    for volume in looked:
        if volume.key in requests:
            request = requests[volume.key]
            patience[request] = max(patience.get(request, 0), _seconds(volume))
    fetched = fetch_all(patience)
    for volume in looked:
        if volume.key in requests:
            answer = fetched[requests[volume.key]]
            found[volume.key] = (
                inspect_answer(requests[volume.key].url, answer.answer, volume.options["content_type"])
                if answer.answer
                else SourceImage(reason=answer.reason or answer.refusal, refusal=answer.refusal)
            )
    return {volume.key: _looked_at(volume, found[volume.key]) for volume in looked}


def _seconds(volume: Volume) -> float:
    return _SECONDS_IF_NEEDED if is_sizeless(volume) or volume.options["check_source"] == "always" else _SECONDS


def _looked_at(volume: Volume, found: SourceImage) -> LookedAt:
    problem = found.refusal
    if not problem and found.image is None and volume.options["check_source"] == "always":
        problem = f"check_source is 'always', and {found.reason}; correct source.http.url, or set check_source=auto"
    if not problem and is_sizeless(volume):
        needed = found.image.needed_size if found.image else None
        if needed is not None:
            return LookedAt(with_size(volume, f"{needed // MIB}Mi"), found)
        why = found.reason or "its size cannot be determined without unpacking all of it"
        problem = (
            f"storage.size is not given, and the image does not reveal it ({why}); give storage.size, for example 10Gi"
        )
    return LookedAt(volume, found, f"Cannot create DataVolume {volume.title}: {problem}." if problem else "")


def _request(checks: Preflight, volume: Volume) -> Request:
    """The request that CDI's importer will send. Raises CdiError when an object that it needs cannot be read."""
    http, namespace = t.cast(t.Mapping[str, t.Any], http_source(volume)), volume.key[0]

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
        raise CdiError("its Secret has a value that is not text") from exc
