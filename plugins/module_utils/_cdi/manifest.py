# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CDI's release manifest: read, checked, and made to pull its images from another registry."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import ssl
import typing as t

from .._kubernetes.answers import short
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import MANIFEST_KINDS, OPERATOR
from .status import operator_environment

CUSTOM_RESOURCE_DEFINITION_NAME = "cdis.cdi.kubevirt.io"
RELEASE_URL = "https://github.com/kubevirt/containerized-data-importer/releases/download/{version}/cdi-operator.yaml"
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)
_REGISTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)*")
_DOWNLOAD_SECONDS = 60
_OFFLINE = "offline, download it elsewhere and set manifest to its path; behind a proxy, set HTTPS_PROXY"
_USE_A_RELEASE = "use the cdi-operator.yaml of a release"
_SET_PATH_OR_URL = "set manifest to the path or URL of a release's cdi-operator.yaml"
_REMEDIES = {
    404: "correct version or manifest",
    **dict.fromkeys((401, 403), "set manifest to a URL that requires no login, or to a path"),
}


def release_url(version: str) -> str:
    """The URL of the manifest that the project publishes for a release. Raises CdiError for an invalid version."""
    match = _VERSION.fullmatch(version)
    if not match:
        raise CdiError(f"version is {version!r}; set it to a release, for example v1.65.0.")
    return RELEASE_URL.format(version=f"v{match.group(1)}")


def check_checksum(checksum: str) -> None:
    """Raise CdiError for anything but `sha256:` and 64 hexadecimal digits."""
    if not _CHECKSUM.fullmatch(checksum):
        raise CdiError(f"checksum is {checksum!r}; set it to sha256: and the manifest's 64 hexadecimal digits.")


def check_registry(registry: str) -> None:
    """Raise CdiError for anything but the host of a registry with an optional port and path."""
    if not _REGISTRY.fullmatch(registry):
        raise CdiError(
            f"image_registry is {registry!r}; "
            "set it to host[:port][/path], for example registry.example.com:5000/kubevirt."
        )


def read_manifest(source: str, checksum: str | None) -> list[Object]:
    """The objects of the manifest at a path or URL, in their order of creation. Raises CdiError for anything else."""
    import yaml

    content = _download(source) if "://" in source else _read(source)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    if checksum and digest != checksum.lower():
        raise CdiError(
            f"manifest {source} does not match checksum: expected {checksum}, got {digest}; "
            "nothing was written; correct checksum or the file."
        )
    try:
        # libyaml takes a tenth of the time.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return manifest_objects(yaml.load_all(content, Loader=loader), source)
    except (yaml.YAMLError, ValueError) as exc:  # ValueError: a date that does not exist.
        raise CdiError(f"manifest {source} is not YAML ({' '.join(str(exc).split())}); {_USE_A_RELEASE}.") from exc


def _read(path: str) -> bytes:
    try:
        with open(os.path.expanduser(path), "rb") as stream:
            return stream.read()
    except FileNotFoundError as exc:
        raise CdiError(f"manifest {path} does not exist on the host that runs the task; {_SET_PATH_OR_URL}.") from exc
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise CdiError(f"manifest {path} cannot be read ({why}); {_SET_PATH_OR_URL}.") from exc


def _download(url: str) -> bytes:
    from ansible.module_utils.urls import open_url

    try:
        return t.cast(bytes, open_url(url, timeout=_DOWNLOAD_SECONDS).read())
    except (
        Exception
    ) as exc:  # Ansible, urllib, http.client and ssl each raise their own errors for a bad URL or server.
        why, remedy = why_not_downloaded(exc)
        raise CdiError(f"manifest {url} cannot be downloaded ({why}); {remedy}.") from exc


def why_not_downloaded(exc: BaseException) -> tuple[str, str]:
    """The cause of a failed download in a few words, and the remedy."""
    code, reason = getattr(exc, "code", None), getattr(exc, "reason", None)
    if code:
        return f"the server answers HTTP {code} {short(str(reason or ''))}".rstrip(), _REMEDIES.get(code, _OFFLINE)
    if isinstance(reason, str) or isinstance(exc, (ValueError, http.client.InvalidURL)):
        return short(str(reason or exc)), "correct manifest"
    cause = reason if isinstance(reason, BaseException) else exc
    if isinstance(cause, socket.gaierror):
        return "the name does not resolve", _OFFLINE
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the certificate of the server is not trusted: {cause.verify_message}",
            "make this host trust its CA, or set manifest to a path",
        )
    if isinstance(cause, TimeoutError):
        return f"no answer within {_DOWNLOAD_SECONDS} s", _OFFLINE
    return short(str(getattr(cause, "strerror", None) or cause or type(cause).__name__)), _OFFLINE


def manifest_objects(documents: t.Iterable[t.Any], source: str) -> list[Object]:
    """The objects of a release manifest in their order of creation. Raises CdiError for other documents."""
    objects = [document for document in documents if document]
    for item in objects:
        kind, metadata = (item.get("kind"), item.get("metadata")) if isinstance(item, dict) else (item, None)
        if not isinstance(kind, str) or kind not in MANIFEST_KINDS:
            raise CdiError(
                f"manifest {source} has an object of kind {kind!r}, which no release of CDI has; {_USE_A_RELEASE}."
            )
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            raise CdiError(f"manifest {source} has a {kind} without metadata.name; {_USE_A_RELEASE}.")
        item.pop("status", None)
        item["metadata"].pop("creationTimestamp", None)
    for kind, name in (("CustomResourceDefinition", CUSTOM_RESOURCE_DEFINITION_NAME), ("Deployment", OPERATOR)):
        if not any((item["kind"], item["metadata"]["name"]) == (kind, name) for item in objects):
            raise CdiError(f"manifest {source} has no {kind} {name}; {_USE_A_RELEASE}.")
    try:
        operator_environment(operator_deployment(objects))
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise CdiError(
            f"manifest {source} has a Deployment {OPERATOR} without its container; {_USE_A_RELEASE}."
        ) from exc
    order = list(MANIFEST_KINDS)
    return sorted(objects, key=lambda item: order.index(item["kind"]))


def operator_deployment(objects: t.Iterable[Object]) -> Object:
    """The operator's Deployment in a checked manifest."""
    return next(item for item in objects if item["kind"] == "Deployment" and item["metadata"]["name"] == OPERATOR)


def pull_from(deployment: Object, registry: str | None, secrets: list[str] | None) -> None:
    """Take the images of the operator and of what it deploys from `registry`, and let the operator's pod pull with
    `secrets`.

    Changes `deployment` in place. Names, tags and digests of the images stay; None keeps what the manifest has.
    """
    pod = deployment["spec"]["template"]["spec"]
    if registry:
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            container["image"] = _moved(container["image"], registry)
            for entry in container.get("env", []):
                if entry["name"].endswith("_IMAGE") and entry.get("value"):
                    entry["value"] = _moved(entry["value"], registry)
    if secrets is not None:
        pod["imagePullSecrets"] = [{"name": name} for name in secrets]


def _moved(image: str, registry: str) -> str:
    return f"{registry}/{image.rpartition('/')[2]}"


def without_removed_version(desired: Object, stored: Object | None) -> Object:
    """The CRD without v1alpha1 once the operator has removed that from it (pkg/operator/controller/cruft.go,
    v1.65.0)."""
    if stored is None or desired["kind"] != "CustomResourceDefinition":
        return desired
    kept = {version["name"] for version in stored["spec"]["versions"]}
    versions = [
        version for version in desired["spec"]["versions"] if version["name"] in kept or version["name"] != "v1alpha1"
    ]
    return {**desired, "spec": {**desired["spec"], "versions": versions}}
