# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes of users end before a write, also in check mode, with a sentence that names option, value and remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect

from tests.api.mistakes import IMAGE, MISTAKES, ONLY_WARNED, SIZE
from tests.api.objects import body, patch_status
from tests.modules import RunModule
from tests.wire import Wire


@pytest.fixture(scope="module")
def cdi() -> Iterator[None]:
    """CDI and its configuration as CDI writes them, and a profile of a class without file systems."""
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    overhead = {"filesystemOverhead": {"global": "0.06", "storageClass": {}}}
    created = (
        (resources.CDI, body(resources.CDI, "cdi", spec={})),
        (resources.CDI_CONFIG, body(resources.CDI_CONFIG, "config", spec={}, status=overhead)),
        (resources.STORAGE_PROFILE, body(resources.STORAGE_PROFILE, "block-only", spec={})),
    )
    for resource, content in created:
        direct.create(resource, content, dry_run=False)
    block = [{"volumeMode": "Block", "accessModes": ["ReadWriteOnce"]}]
    patch_status(direct, resources.STORAGE_PROFILE, "block-only", None, {"claimPropertySets": block})
    yield
    for resource, content in created:
        direct.delete(resource, content["metadata"]["name"], dry_run=False)


@pytest.fixture
def limited_claims(direct: Connection, namespace: str) -> str:
    """A namespace with a LimitRange for claims and a quota of 250Mi."""
    limits = [{"type": "PersistentVolumeClaim", "max": {"storage": "200Mi"}, "min": {"storage": "10Mi"}}]
    limit_range = body(resources.LIMIT_RANGE, "claims", spec={"limits": limits})
    direct.create(resources.LIMIT_RANGE, limit_range, namespace, dry_run=False)
    hard = {"requests.storage": "250Mi"}
    quota = body(resources.RESOURCE_QUOTA, "storage", spec={"hard": hard})
    direct.create(resources.RESOURCE_QUOTA, quota, namespace, dry_run=False)
    # No controller counts here.
    used = {"hard": hard, "used": {"requests.storage": "0"}}
    patch_status(direct, resources.RESOURCE_QUOTA, "storage", namespace, used)
    return namespace


@pytest.fixture
def sources(direct: Connection, namespace: str) -> Iterator[str]:
    """A namespace with two claims, one of which is being deleted."""
    kind = resources.PERSISTENT_VOLUME_CLAIM
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
    for name, finalizers in (("golden", []), ("going", ["tests.kubevirt-cdi.test/stays"])):
        direct.create(kind, body(kind, name, metadata={"finalizers": finalizers}, spec=spec), namespace, dry_run=False)
    direct.delete(kind, "going", namespace, dry_run=False)
    yield namespace
    direct.merge(kind, "going", namespace, {"metadata": {"finalizers": None}}, dry_run=False)


@pytest.mark.usefixtures("cdi", "limited_claims")
@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_refused_before_a_write(
    wire: Wire, module: RunModule, sources: str, tmp_path: Path, name: str, check: bool
) -> None:
    (module_name, options), words = MISTAKES[name]
    file = tmp_path / "disk.raw"
    file.write_bytes(bytes(1 << 20))
    options = {key: str(file) if value == "FILE" else value for key, value in options.items()}
    if module_name in ("data_volume", "volume_upload"):
        options = {"namespace": sources, **options}
    wire.requests.clear()
    ran = module(module_name, check=check, **options)
    warned = check and name in ONLY_WARNED
    message = " ".join(ran.warnings) if warned else ran.result.get("msg", "")
    print(f"{name}: {len(wire.requests)} requests: {message}")
    assert warned != bool(ran.result.get("failed")), ran.result
    for word in words:
        assert word.replace("NS", sources) in message, message
    assert wire.writes() == [] and "Traceback" not in ran.output and "\n" not in message
    # Neither polls nor waits.
    assert len(wire.requests) <= 16 and bool(ran.result.get("changed")) == warned


def test_missing_secret_config_map_or_service_account_is_named(wire: Wire, module: RunModule, namespace: str) -> None:
    for option, kind in (("secret_ref", "Secret"), ("cert_config_map", "ConfigMap")):
        ran = module(
            "data_volume", namespace=namespace, name="disk", storage=SIZE, source={"http": {**IMAGE, option: "nope"}}
        )
        assert f"{kind} '{namespace}/nope' (source.http.{option}) does not exist" in ran.result["msg"], ran.result[
            "msg"
        ]
    ran = module(
        "data_volume",
        namespace=namespace,
        name="disk",
        storage=SIZE,
        source={"http": {**IMAGE, "secret_extra_headers": ["nope"]}},
    )
    assert "(source.http.secret_extra_headers) does not exist" in ran.result["msg"]
    ran = module(
        "data_volume",
        namespace=namespace,
        name="disk",
        storage=SIZE,
        source={"blank": {}},
        service_account_name="nobody",
    )
    assert f"ServiceAccount '{namespace}/nobody' (service_account_name) does not exist" in ran.result["msg"]
    assert wire.writes() == []
