# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How uploads reach CDI's upload proxy: by a URL or a port-forward, and never a server that is not CDI's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CONFIG_MAP,
    DATA_VOLUME,
    ROLE,
    ROLE_BINDING,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload import transfer as _upload_transport

from tests.real.objects import existing
from tests.real.uploads import THIN, ForeignProxy, Images, upload_here


def test_a_foreign_certificate_gets_neither_token_nor_bytes(
    images: Images, namespace: str, module: Any, tmp_path: Path
) -> None:
    with ForeignProxy(tmp_path) as foreign:
        result = module(
            "volume_upload",
            name="disk",
            namespace=namespace,
            path=images.disks["raw"],
            upload_proxy_url=foreign.url,
        ).result
    assert result["failed"] and "is not trusted" in result["msg"] and "upload_proxy_ca" in result["msg"]
    assert foreign.received == [] and result["bytes_sent"] == 0


def test_a_foreign_ca_does_not_vouch_for_the_proxy(
    images: Images, namespace: str, module: Any, connection: Connection, proxy_url: str, tmp_path: Path
) -> None:
    """Of a URL: here neither the given CA nor the cluster's is the proxy's."""
    with ForeignProxy(tmp_path) as foreign:
        ca = {"metadata": {"name": "cdi-uploadproxy-signer-bundle"}, "data": {"ca-bundle.crt": foreign.ca}}
        connection.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", **ca}, namespace, dry_run=False)
        result = module(
            "volume_upload",
            name="disk",
            namespace=namespace,
            path=images.disks["raw"],
            cdi_namespace=namespace,
            upload_proxy_url=proxy_url,
            upload_proxy_ca=foreign.ca,
        ).result
    assert result["failed"] and "is not trusted" in result["msg"] and result["bytes_sent"] == 0


def test_a_foreign_ca_does_not_vouch_for_the_pod_of_a_port_forward(
    images: Images, namespace: str, connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """CDI's own proxy, by its own name; only the cluster's CA is another one."""
    with ForeignProxy(tmp_path) as foreign:
        monkeypatch.setattr(_upload_transport, "_own_ca", lambda *_asked, **_more: foreign.ca)
        with pytest.raises(CdiError) as refused:
            upload_here(connection, name="disk", namespace=namespace, path=images.disks["raw"])
    assert "The certificate of the upload proxy at Pod cdi/cdi-uploadproxy-" in str(refused.value)
    assert "is not trusted" in str(refused.value) and "upload_proxy_ca" not in str(refused.value)
    assert refused.value.result["bytes_sent"] == 0
    assert connection.get(DATA_VOLUME, "disk", namespace) is None


def test_nothing_is_deleted_for_a_file_that_there_is_no_way_for(
    images: Images, namespace: str, ok: Any, module: Any, connection: Connection
) -> None:
    """The account may do all but forward ports."""
    disk = {"name": "disk", "namespace": namespace, "overwrite": "different"}
    ok("volume_upload", **disk, path=images.disks["qcow2"], storage=THIN)
    rules = [
        {"apiGroups": ["cdi.kubevirt.io", "upload.cdi.kubevirt.io"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims", "configmaps", "pods"], "verbs": ["*"]},
    ]
    for where in (namespace, "cdi"):
        role = {"apiVersion": ROLE.api_version, "kind": "Role", "metadata": {"name": namespace}, "rules": rules}
        connection.create(ROLE, role, where, dry_run=False)
        reference = {"apiGroup": ROLE.group, "kind": "Role", "name": namespace}
        subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]
        binding = {"apiVersion": ROLE.api_version, "kind": "RoleBinding", "metadata": {"name": namespace}}
        connection.create(ROLE_BINDING, {**binding, "roleRef": reference, "subjects": subjects}, where, dry_run=False)
    before = connection.get(DATA_VOLUME, "disk", namespace)
    limited = {"impersonate_user": f"system:serviceaccount:{namespace}:default"}
    try:
        refused = module("volume_upload", **disk, **limited, path=images.disks["raw"]).result
    finally:
        for resource in (ROLE, ROLE_BINDING):
            connection.delete(resource, namespace, "cdi", dry_run=False)
    assert refused["failed"] and 'grant "get" and "create" on pods/portforward' in refused["msg"], refused["msg"]
    assert existing(connection, DATA_VOLUME, "disk", namespace)["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.fixture
def published(ok: Any) -> Iterator[Callable[[str], None]]:
    """Publishes a URL of the proxy while the test runs."""
    yield lambda url: ok("cdi_config", upload_proxy_url_override=url)
    ok("cdi_config", upload_proxy_url_override="")


@pytest.mark.alone("changes uploadProxyURLOverride")
def test_a_published_or_given_url_is_used_and_verified(
    images: Images, namespace: str, ok: Any, proxy_url: str, published: Callable[[str], None]
) -> None:
    """CDI's certificate names only the service: the address in the URL is none of its names."""
    options = {"namespace": namespace, "path": images.disks["qcow2"], "storage": THIN}
    given = ok("volume_upload", name="given", upload_proxy_url=proxy_url, **options)
    assert given["transport"] == "url" and given["phase"] == "Succeeded"
    published(proxy_url)
    assert ok("volume_upload", name="published", **options)["transport"] == "published-url"
    published("https://127.0.0.1:1")
    fallen_back = ok("volume_upload", name="unreachable", **options)
    assert fallen_back["transport"] == "port-forward"
    assert "No upload proxy answers at https://127.0.0.1:1" in json.dumps(fallen_back["warnings"])
