# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""CDI's release manifest: read, checked, and made to pull its images from another registry."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import typing as t

from ._errors import CdiError
from ._resources import MANIFEST_KINDS

Object = t.Dict[str, t.Any]

OPERATOR = "cdi-operator"
CUSTOM_RESOURCE_DEFINITION_NAME = "cdis.cdi.kubevirt.io"
RELEASE_URL = "https://github.com/kubevirt/containerized-data-importer/releases/download/{version}/cdi-operator.yaml"
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)
_REGISTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)*")
_DOWNLOAD_SECONDS = 60


def release_url(version: str) -> str:
    """Where the project publishes the manifest of a release. Raises CdiError for what is no release."""
    match = _VERSION.fullmatch(version)
    if not match:
        raise CdiError(f"version is {version!r}; give one release, for example v1.65.0.")
    return RELEASE_URL.format(version=f"v{match.group(1)}")


def check_checksum(checksum: str) -> None:
    """Raises CdiError for what can be no SHA-256 digest."""
    if not _CHECKSUM.fullmatch(checksum):
        raise CdiError(f"checksum is {checksum!r}; give sha256: and the 64 hexadecimal digits of the manifest.")


def check_registry(registry: str) -> None:
    """Raises CdiError for what can be no registry with an optional path."""
    if not _REGISTRY.fullmatch(registry):
        raise CdiError(f"image_registry is {registry!r}; give the host, and the port and path if it has them, for example registry.example.com:5000/kubevirt.")


def read_manifest(source: str, checksum: str | None) -> list[Object]:
    """The objects of the manifest at a path or URL, in the order of their creation. Raises CdiError when it is none."""
    import yaml
    from ansible.module_utils.urls import open_url

    try:
        if "://" in source:
            content = open_url(source, timeout=_DOWNLOAD_SECONDS).read()
        else:
            with open(os.path.expanduser(source), "rb") as stream:
                content = stream.read()
    except (OSError, ValueError) as exc:
        if "://" in source:
            raise CdiError(
                f"manifest {source} cannot be downloaded ({_why(exc)}); correct version or manifest, or, without the internet, download the release's "
                "cdi-operator.yaml elsewhere and set manifest to its path."
            ) from exc
        raise CdiError(f"manifest {source!r} cannot be read ({_why(exc)}); set manifest to the path or URL of a release's cdi-operator.yaml.") from exc
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    if checksum and digest != checksum.lower():
        raise CdiError(f"manifest {source} does not match checksum: expected {checksum}, got {digest}; nothing was written. Correct checksum, or the file.")
    try:
        return manifest_objects(yaml.safe_load_all(content), source)
    except yaml.YAMLError as exc:
        raise CdiError(f"manifest {source} is no YAML ({' '.join(str(exc).split())}).") from exc


def _why(exc: BaseException) -> str:
    """The cause inside an error of urllib, in words."""
    reason: t.Any = getattr(exc, "reason", exc)
    if isinstance(reason, socket.gaierror):
        return "the name of its host does not resolve"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    return str(getattr(reason, "strerror", None) or reason)


def manifest_objects(documents: t.Iterable[t.Any], source: str) -> list[Object]:
    """The objects of a release manifest in the order of their creation. Raises CdiError when it is none."""
    objects = [document for document in documents if document]
    for item in objects:
        if not isinstance(item, dict) or item.get("kind") not in MANIFEST_KINDS:
            kind = item.get("kind") if isinstance(item, dict) else item
            raise CdiError(f"manifest {source} holds an object of kind {kind!r}, which no release of CDI has; give the cdi-operator.yaml of a release.")
        item.pop("status", None)
        item["metadata"].pop("creationTimestamp", None)
    for kind, name in (("CustomResourceDefinition", CUSTOM_RESOURCE_DEFINITION_NAME), ("Deployment", OPERATOR)):
        if not any((item["kind"], item["metadata"]["name"]) == (kind, name) for item in objects):
            raise CdiError(f"manifest {source} has no {kind} {name}; give the cdi-operator.yaml of a release.")
    order = list(MANIFEST_KINDS)
    return sorted(objects, key=lambda item: order.index(item["kind"]))


def operator_deployment(objects: t.Iterable[Object]) -> Object:
    """The operator's Deployment in a manifest that has one."""
    return next(item for item in objects if item["kind"] == "Deployment" and item["metadata"]["name"] == OPERATOR)


def operator_environment(deployment: Object) -> dict[str, str]:
    """What the operator is told by environment variables: its OPERATOR_VERSION and an image for each component."""
    (container, *_others) = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: str(entry.get("value", "")) for entry in container.get("env", [])}


def pull_from(deployment: Object, registry: str | None, secrets: list[str] | None) -> None:
    """Make the operator, and what it deploys, come from `registry`; let the operator's own pod pull with `secrets`.

    Names, tags and digests of the images stay as they are. None leaves what the manifest says.
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
    """The operator takes v1alpha1 out of its own CRD (pkg/operator/controller/cruft.go, v1.65.0): do not put it back."""
    if stored is None or desired["kind"] != "CustomResourceDefinition":
        return desired
    kept = {version["name"] for version in stored["spec"]["versions"]}
    versions = [version for version in desired["spec"]["versions"] if version["name"] in kept or version["name"] != "v1alpha1"]
    return {**desired, "spec": {**desired["spec"], "versions": versions}}
