# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observes scratch claims, and defines the matrix of CDI's formats and endpoints."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.quantity import parse
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    EVENT,
    PERSISTENT_VOLUME_CLAIM,
    Resource,
)

from tests.cluster.runtime.fixtures_http import PASSWORD, USER
from tests.cluster.runtime.fixtures_registry import CONTAINER_DISK
from tests.real.objects import create, new_namespace

IMAGES = Path(os.environ["KUBEVIRT_CDI_TEST_IMAGES"])
HTTP, HTTPS = os.environ["KUBEVIRT_CDI_TEST_HTTP"], os.environ["KUBEVIRT_CDI_TEST_HTTPS"]
REGISTRY = os.environ["KUBEVIRT_CDI_TEST_REGISTRY"]
CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap", True)
SECRET = Resource("", "v1", "secrets", "Secret", True)
SIZE = {"size": "64Mi", "storage_class_name": "thin"}


@contextmanager
def namespace_with_credentials(connection: Connection) -> Iterator[str]:
    """A namespace with ConfigMap `ca` (the CA of the servers) and Secret `login` (user and password)."""
    with new_namespace(connection) as name:
        authority = Path(os.environ["KUBEVIRT_CDI_TEST_CA"]).read_text()
        create(connection, CONFIG_MAP, "ca", name, data={"ca.crt": authority})
        create(connection, SECRET, "login", name, stringData={"accessKeyId": USER, "secretKey": PASSWORD})
        yield name


@dataclass
class ScratchWatch:
    """The scratch claims of a namespace as they were created, by name; `gone` are the names of deleted ones."""

    namespace: str
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def start(self) -> ScratchWatch:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def _run(self) -> None:
        own = connect({"kubeconfig": os.environ["KUBECONFIG"]})
        while True:
            try:
                events = own.watch(PERSISTENT_VOLUME_CLAIM, self.namespace, "", timeout_seconds=300, quiet_seconds=300)
                for kind, claim in events:
                    name = claim["metadata"].get("name", "")
                    if name.endswith("-scratch"):
                        self.seen.setdefault(name, claim)
                        if kind == "DELETED":
                            self.gone.add(name)
            except ApiError:
                time.sleep(0.2)

    def of(self, connection: Connection, volume: str) -> dict[str, Any] | None:
        """The scratch claim of a DataVolume; its name has the uid of the claim, or without populators the name."""
        claim = connection.get(PERSISTENT_VOLUME_CLAIM, volume, self.namespace)
        assert claim, f"the claim {volume} does not exist"
        names = (f"prime-{claim['metadata']['uid']}-scratch", f"{volume}-scratch")
        return next((self.seen[name] for name in names if name in self.seen), None)


def requested(claim: dict[str, Any]) -> int:
    return int(parse(claim["spec"]["resources"]["requests"]["storage"]))


def worker_pods(connection: Connection, namespace: str, claim_uid: str) -> set[str]:
    """The uids of the worker pods that filled a claim, from the events of the scheduler."""
    events, _version = connection.list(EVENT, namespace, field_selector="involvedObject.kind=Pod,reason=Scheduled")
    return {each["involvedObject"]["uid"] for each in events if claim_uid in each["involvedObject"]["name"]}


@contextmanager
def cdi_config(connection: Connection, **config: Any) -> Iterator[None]:
    """Set fields of spec.config in the CDI object, also those that the module refuses, and restore them at the end."""
    ((cdi,), _version) = connection.list(CDI)
    name, before = cdi["metadata"]["name"], cdi["spec"].get("config") or {}
    connection.merge(CDI, name, None, {"spec": {"config": config}}, dry_run=False)
    try:
        yield
    finally:
        restored = {field: before.get(field) for field in config}
        connection.merge(CDI, name, None, {"spec": {"config": restored}}, dry_run=False)


def effective(connection: Connection) -> dict[str, Any]:
    """`CDIConfig.status`."""
    return (connection.get(CDI_CONFIG, "config") or {}).get("status") or {}


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix: a file of the fixtures at an endpoint."""

    file: str
    endpoint: str

    @property
    def name(self) -> str:
        return f"{self.endpoint}-{self.file}".lower().replace(" ", "-").replace(".", "-")

    @property
    def volume(self) -> dict[str, Any]:
        """The options of the DataVolume."""
        archive = {"content_type": "archive"} if self.file == "tar" else {}
        return {"name": self.name, "source": self._source(), "storage": SIZE, **archive}

    def _source(self) -> dict[str, Any]:
        if self.endpoint == "Upload":
            return {"upload": {}}
        if self.endpoint == "Registry":
            tag = CONTAINER_DISK[1] if self.file == "qcow2" else self.file
            address = HTTPS.removeprefix("https://")
            return {"registry": {"url": f"docker://{address}/{CONTAINER_DISK[0]}:{tag}", "cert_config_map": "ca"}}
        return {
            "http": {
                "HTTP": {"url": f"{HTTP}/disk.{self.file}"},
                "HTTPS": {"url": f"{HTTPS}/disk.{self.file}", "cert_config_map": "ca"},
                "HTTP basic auth": {"url": f"{HTTP}/auth/disk.{self.file}", "secret_ref": "login"},
            }[self.endpoint]
        }


ENDPOINTS = ("HTTP", "HTTPS", "HTTP basic auth", "Registry", "Upload")
ROWS = {
    "QCOW2": "qcow2",
    "QCOW2 gz": "qcow2.gz",
    "QCOW2 xz": "qcow2.xz",
    "RAW": "raw",
    "RAW gz": "raw.gz",
    "RAW xz": "raw.xz",
    "Archive (TAR)": "tar",
}
CELLS = [Cell(file, endpoint) for file in ROWS.values() for endpoint in ENDPOINTS]
# The matrix of OpenShift 4.2: which cells are supported, and which of them need scratch space.
_REGISTRY_AND_UPLOAD = {(file, endpoint): "✓*" for endpoint in ("Registry", "Upload") for file in ("qcow2", "raw")} | {
    (f"{file}.{packing}", "Upload"): "✓*" for file in ("qcow2", "raw") for packing in ("gz", "xz")
}
_WEB = {(cell.file, cell.endpoint): "✓" for cell in CELLS if cell.endpoint.startswith("HTTP")}
_PACKED_QCOW2 = {key: "✓*" for key in _WEB if key[0].startswith("qcow2.")}
OPENSHIFT_4_2 = {
    **{(cell.file, cell.endpoint): "✗" for cell in CELLS},
    **_WEB,
    **_PACKED_QCOW2,
    ("qcow2", "HTTPS"): "✓*",  # If a custom certificate authority is required, as in this test.
    **_REGISTRY_AND_UPLOAD,
}


def markdown(now: dict[Cell, str]) -> str:
    """The matrix as a page; differences from OpenShift 4.2 are bold."""

    def shown(cell: Cell) -> str:
        text = now[cell].replace("*", "\\*")
        return text if now[cell] == OPENSHIFT_4_2[cell.file, cell.endpoint] else f"**{text}**"

    lines = [
        "<!--",
        "Copyright (c) 2026, kubevirt.cdi contributors",
        "GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)",
        # REUSE-IgnoreStart
        "SPDX-License-Identifier: GPL-3.0-or-later",
        # REUSE-IgnoreEnd
        "-->",
        "",
        "# What CDI reads, and where it needs scratch space",
        "",
        "`tests/real/test_scratch.py` generates this page, with the same result on CDI 1.61.1 and 1.65.0. For each",
        "cell, it creates a DataVolume, observes its scratch claim, and compares the content with the image.",
        "`KUBEVIRT_CDI_TEST_WRITE_DOCS=1` writes the page. Bold cells differ from the OpenShift 4.2 documentation.",
        "",
        "| | " + " | ".join(ENDPOINTS) + " |",
        "|---|" + "---|" * len(ENDPOINTS),
    ]
    for title, file in ROWS.items():
        lines.append(f"| {title} | " + " | ".join(shown(Cell(file, endpoint)) for endpoint in ENDPOINTS) + " |")
    return "\n".join([*lines, "", *_LEGEND, ""])


_LEGEND = (
    "- ✓ CDI reads the image, and the volume has the content of the image. ✗ CDI does not read the image.",
    "- \\* CDI creates a scratch claim. For an upload, it always does, but only an image that has to be converted is",
    "  stored there, not a raw image, compressed or not. The files of an archive are never stored there.",
    "- ✗ wrong data: CDI reports Succeeded, but the volume contains the compressed bytes, because CDI does not",
    "  decompress images from a registry.",
    "- HTTPS is with a private certificate authority (`cert_config_map`).",
)
