# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CDI would refuse, found before any request. Pure rules.

pkg/apiserver/webhooks/{datavolume-validate,util}.go, v1.65.0.
"""

from __future__ import annotations

import math
import string
import typing as t
from urllib.parse import urlsplit

from .._kubernetes.errors import CdiError
from .._kubernetes.public import public_url
from .._kubernetes.quantity import MIB, parse
from .options import SINCE, SOURCES

Volume = t.Mapping[str, t.Any]

_DIGEST_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
_URL_SCHEMES = ("http", "https", "gs")
_REGISTRY_SCHEMES = ("docker", "oci-archive")


def check(volume: Volume) -> None:
    """Refuse a volume that CDI could never accept. Raises CdiError that names option, value and remedy."""
    name = volume["name"]
    if volume["state"] == "absent":
        return
    reason = next(filter(None, (rule(volume) for rule in _RULES)), "")
    if reason:
        raise CdiError(f"DataVolume {name} {reason}.")


def check_clone_method(volume: Volume) -> None:
    """Refuse a required clone method for a volume that is not a clone."""
    source = volume["source"] or {}
    clone = volume["source_ref"] or source.get("pvc") or source.get("snapshot")
    if volume["require_clone_method"] and volume["state"] == "present" and not clone:
        raise CdiError(
            f"DataVolume {volume['name']} is not a clone, so require_clone_method does not apply; "
            "remove it, or give source.pvc, source.snapshot or source_ref."
        )


def needs_newer(volume: Volume, version: str) -> str:
    """Why CDI's release `version` is too old for the options, `` when it is not. Builds without a release know all."""
    from .._cdi.status import release

    for option, since in SINCE.items():
        value: t.Any = volume
        for part in option.split("."):
            value = (value or {}).get(part)
        if value is not None and release(version) and release(version) < release(since):
            return (
                f"{option} requires CDI {since}, and CDI {version} is installed; "
                "leave it out, or upgrade CDI (module kubevirt.cdi.cdi)"
            )
    return ""


def uses_newer(volume: Volume) -> bool:
    """Whether an option requires a certain release of CDI."""
    return bool(needs_newer(volume, "0.0.0"))


def _combination(volume: Volume) -> str:
    if volume["on_drift"] == "recreate" and volume["keep_claim"]:
        return "has on_drift=recreate and keep_claim; the kept claim would be in the way: give one of them"
    for option in ("labels", "annotations"):
        for key, value in (volume[option] or {}).items():
            if not isinstance(value, (str, int, float, bool)):
                return f"has {option}.{key}={value!r}; give a string"
    return ""


def _target(volume: Volume) -> str:
    if volume["storage"] and volume["pvc"]:
        return "has storage and pvc; give one of them"
    option = "storage" if volume["storage"] else "pvc"
    target = volume[option]
    if not target:
        return "has neither storage nor pvc; give storage with a size"
    source = volume["source"] or {}
    clone = volume["source_ref"] or source.get("pvc") or source.get("snapshot")
    by_image = source.get("http") and volume["check_source"] != "never" and volume["content_type"] != "archive"
    if target["size"] is None and (option == "pvc" or not (clone or by_image)):
        exceptions = "only storage of a clone, or of a disk image from HTTP, needs none"
        return f"has no size; give {option}.size, for example 10Gi ({exceptions})"
    if target["size"] is not None:
        try:
            too_small = math.ceil(parse(target["size"])) < MIB
        except ValueError as exc:
            return f"has a size that CDI cannot read: {str(exc).rstrip('.')}"
        if too_small:
            return f"has the size {target['size']}; request at least 1Mi"
    if option == "pvc" and len(target["access_modes"] or []) != 1:
        modes = target["access_modes"] or "none"
        return f"has pvc.access_modes={modes}; give exactly one (storage can have several, or leave them to CDI)"
    if volume["content_type"] == "archive" and target["volume_mode"] == "Block":
        return (
            f"has content_type=archive and {option}.volume_mode=Block; an archive needs a file system: give Filesystem"
        )
    return ""


def _population(volume: Volume) -> str:
    """A volume has exactly one of CDI's sources, a DataSource, or another populator."""
    option = "storage" if volume["storage"] else "pvc"
    populators = [kind for kind in ("data_source", "data_source_ref") if volume[option][kind]]
    given = [*(f"source.{kind}" for kind in SOURCES if (volume["source"] or {}).get(kind) is not None)]
    if volume["source"] is not None and not given:
        return f"has an empty source; give one of {', '.join(SOURCES)}, or leave source out"
    given += ["source_ref"] if volume["source_ref"] else []
    given += [f"{option}.{kind}" for kind in populators]
    if len(given) != 1:
        needed = f"exactly one source ({', '.join(SOURCES)}), source_ref or {option}.data_source_ref"
        return f"needs {needed}, and has {' and '.join(given) or 'none'}"
    if volume["source_ref"] and not volume["source_ref"]["name"]:
        return "has an empty source_ref.name; give it"
    for kind in populators:
        reference, where = volume[option][kind], f"{option}.{kind}"
        if not reference["api_group"] and reference["name"] == volume["name"]:
            return (
                f"is its own source ({where}.name={reference['name']!r}); "
                "name another claim, or give the volume another name"
            )
        if not reference["api_group"] and reference["kind"] != "PersistentVolumeClaim":
            return (
                f"has {where} of kind {reference['kind']} without an api_group; "
                "give it (only a PersistentVolumeClaim has none)"
            )
    return ""


def _source(volume: Volume) -> str:
    """What each kind of source requires."""
    sources: Volume = volume["source"] or {}
    kind = next((kind for kind, value in sources.items() if value is not None), "")
    if not kind:
        return ""
    source = sources[kind]
    required = [option for option, spec in SOURCES[kind]["options"].items() if spec.get("required")]
    empty = next((option for option in required if not source[option]), "")
    if empty:
        return f"has an empty source.{kind}.{empty}; give it, or another source"
    if kind == "blank" and volume["content_type"] == "archive":
        return "has source.blank and content_type=archive; a blank disk is not an archive: leave content_type out"
    own = volume["namespace"], volume["name"]
    if kind == "pvc" and (source["namespace"] or volume["namespace"], source["name"]) == own:
        return (
            f"is its own source (source.pvc.name={source['name']!r}); "
            "name the claim to clone from, or give the volume another name"
        )
    if kind == "registry":
        return _registry(source, volume["content_type"])
    if "url" in required and _scheme(source["url"]) not in _URL_SCHEMES:
        return f"has source.{kind}.url={public_url(source['url'])}; give a URL that starts with http:// or https://"
    if kind == "http":
        return _checksum(source["checksum"])
    if kind == "imageio" and not (source["cert_config_map"] or source["insecure_skip_verify"]):
        return "has source.imageio without cert_config_map; give it, or insecure_skip_verify=true"
    return ""


def _registry(source: Volume, content_type: str | None) -> str:
    url, image_stream = source["url"], source["image_stream"]
    if content_type == "archive":
        problem = "an image in a registry is not an archive"
        return f"has source.registry and content_type=archive; {problem}: leave content_type out"
    if (url is None) == (image_stream is None):
        return "needs source.registry.url or source.registry.image_stream; give one of them"
    if image_stream is not None and source["pull_method"] != "node":
        return "has source.registry.image_stream, which only the node can pull; give pull_method=node"
    if image_stream == "":
        return "has an empty source.registry.image_stream; give its name"
    if url is not None and _scheme(url) not in _REGISTRY_SCHEMES:
        return f"has source.registry.url={public_url(url)}; give a URL that starts with docker:// or oci-archive:"
    return ""


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _checksum(checksum: str | None) -> str:
    """`algorithm:digest` (pkg/util/checksum/checksum.go, v1.65.0)."""
    if not checksum:
        return ""
    algorithm, colon, digest = (part.strip().lower() for part in checksum.partition(":"))
    if not colon or algorithm not in _DIGEST_DIGITS:
        return f"has source.http.checksum={checksum}; give ALGORITHM:DIGEST with one of {', '.join(_DIGEST_DIGITS)}"
    if len(digest) != _DIGEST_DIGITS[algorithm] or not set(digest) <= set(string.hexdigits):
        digits = _DIGEST_DIGITS[algorithm]
        return f"has source.http.checksum={checksum}; a digest of {algorithm} has {digits} hexadecimal digits"
    return ""


# In the order in which CDI applies them.
_RULES = (_combination, _target, _population, _source)
