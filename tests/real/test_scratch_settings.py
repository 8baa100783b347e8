# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage class of scratch space: the claims of CDI's documentation that depend on settings of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI_CONFIG,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
)

from tests.cluster.runtime.node import NODE_NAME
from tests.modules import run_on_cluster
from tests.real.clone_setup import without_default_class
from tests.real.objects import create, until
from tests.real.scratch_setup import HTTP, IMAGES, SIZE, ScratchWatch, cdi_config, effective, namespace_with_credentials

pytestmark = pytest.mark.alone("changes the class of scratch space, and the default class")

_IMAGE = {"http": {"url": f"{HTTP}/disk.qcow2"}}


class Evidence(NamedTuple):
    """The class of the scratch claim of each volume, and results of the tasks."""

    classes: dict[str, str | None]
    reverted: tuple[str, str]
    configured: dict[str, Any]
    refused: dict[str, Any]
    ignored: dict[str, Any]
    misspelled: dict[str, Any]
    warnings: dict[str, list[str]]
    stuck: dict[str, Any]
    pending: dict[str, Any]
    filled: dict[str, Any]


@contextmanager
def static_volumes(connection: Connection, prefix: str, count: int) -> Iterator[None]:
    """PersistentVolumes without a class, in directories of the node."""
    names = [f"{prefix}-{number}" for number in range(count)]
    for name in names:
        path = IMAGES.parent / "static" / name
        path.mkdir(parents=True)
        path.chmod(0o777)
        term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}]}
        spec = {
            "capacity": {"storage": "128Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        }
        create(connection, PERSISTENT_VOLUME, name, metadata={"labels": {"static": prefix}}, spec=spec)
    try:
        yield
    finally:
        for name in names:
            connection.delete(PERSISTENT_VOLUME, name, dry_run=False)


@pytest.fixture(scope="module")
def evidence(connection: Connection) -> Evidence:
    """Changes all settings in one fixture, and restores them."""
    with namespace_with_credentials(connection) as namespace, cdi_config(connection, scratchSpaceStorageClass="thin"):
        watch = ScratchWatch(namespace).start()
        warnings: dict[str, list[str]] = {}

        def make(name: str, wait: bool = True, **more: Any) -> dict[str, Any]:
            volume = {"name": name, "namespace": namespace, "source": _IMAGE, "wait": wait, "wait_timeout": 300, **more}
            ran = run_on_cluster("data_volume", **volume)
            warnings.setdefault(name, ran.warnings)
            assert not ran.result.get("failed"), ran.result["msg"]
            return ran.result

        def spec_class() -> str:
            config = connection.get(CDI_CONFIG, "config") or {}
            return str(config["spec"].get("scratchSpaceStorageClass"))

        until(lambda: effective(connection).get("scratchSpaceStorageClass") == "thin", 300, "not in effect")
        edit = {"spec": {"scratchSpaceStorageClass": "plain"}}
        edited = connection.merge(CDI_CONFIG, "config", None, edit, dry_run=False)
        until(lambda: spec_class() == "thin", 300, "the edit of CDIConfig stays")
        reverted = (str(edited["spec"]["scratchSpaceStorageClass"]), spec_class())

        configured = run_on_cluster("cdi_config", scratch_space_storage_class="plain").result
        make("configured", storage=SIZE)
        refused = run_on_cluster("cdi_config", scratch_space_storage_class="no-such-class").result
        plain = {**SIZE, "storage_class_name": "plain"}
        with cdi_config(connection, scratchSpaceStorageClass="no-such-class"):
            until(lambda: "scratchSpaceStorageClass" not in effective(connection), 300, "the class stays in effect")
            ignored = effective(connection)
            misspelled = make("misspelled", storage=plain)
            block = {"size": "64Mi", "storage_class_name": "block-only", "volume_mode": "Block"}
            make("stuck", wait=False, storage=block)
            with without_default_class(connection):
                make("no-default", storage=plain)
                # The selector may match a volume that does not exist yet.
                selector = {"match_labels": {"static": namespace}}
                classless: dict[str, Any] = {
                    "pvc": {"size": "64Mi", "access_modes": ["ReadWriteOnce"], "selector": selector}
                }
                make("classless", wait=False, **classless)
                pending = run_on_cluster(
                    "data_volume", name="classless", namespace=namespace, source=_IMAGE, **classless
                ).result
                with static_volumes(connection, namespace, 2):
                    filled = until(lambda: _filled(namespace, "classless"), 300, "it is not filled")
                    names = ("configured", "misspelled", "no-default", "classless", "stuck")
                    claims = {name: watch.of(connection, name) for name in names}
                    until(lambda: watch.of(connection, "stuck"), 300, "no scratch claim of stuck")
                    stuck = _stuck(connection, watch)
        classes = {name: claim["spec"].get("storageClassName") if claim else None for name, claim in claims.items()}
    return Evidence(classes, reverted, configured, refused, ignored, misspelled, warnings, stuck, pending, filled)


def _filled(namespace: str, name: str) -> dict[str, Any] | None:
    (facts,) = run_on_cluster("data_volume_info", namespace=namespace, name=name).result["data_volumes"]
    return facts if facts["phase"] == "Succeeded" else None


def _stuck(connection: Connection, watch: ScratchWatch) -> dict[str, Any]:
    """The scratch claim of the volume whose class allows only Block, and the facts of the volume."""
    scratch = watch.of(connection, "stuck")
    assert scratch
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, scratch["metadata"]["name"], watch.namespace)
    facts = run_on_cluster("data_volume_info", namespace=watch.namespace, name="stuck").result["data_volumes"][0]
    return {"claim": claim, "facts": facts}


def test_s7_configured_class_is_used(evidence: Evidence) -> None:
    assert evidence.configured["effective"]["scratch_space_storage_class"] == "plain"
    assert evidence.classes["configured"] == "plain"


def test_s8_unknown_class_is_replaced_by_the_class_of_the_target(evidence: Evidence) -> None:
    """Since CDI 1.65; the default class of the cluster is `thin`."""
    assert "scratchSpaceStorageClass" not in evidence.ignored
    assert evidence.classes["misspelled"] == "plain"
    assert evidence.misspelled["scratch"]["storage_class_name"] == "plain"
    assert "since 1.65" in evidence.misspelled["scratch"]["storage_class_rule"]


def test_s9_unknown_class_is_replaced_also_without_a_default_class(evidence: Evidence) -> None:
    assert evidence.classes["no-default"] == "plain"


def test_s10_misspelled_class_is_refused_and_warned_about(evidence: Evidence) -> None:
    assert evidence.refused["failed"] and "no-such-class" in evidence.refused["msg"]
    (warning,) = evidence.warnings["misspelled"]
    assert "CDI ignores scratchSpaceStorageClass no-such-class" in warning and "uses plain" in warning


def test_s12_block_only_class_causes_a_warning_and_a_pending_claim(evidence: Evidence) -> None:
    assert any("StorageClass block-only does not support" in warning for warning in evidence.warnings["stuck"])
    claim = evidence.stuck["claim"]
    assert (claim["spec"]["storageClassName"], claim["spec"]["volumeMode"]) == ("block-only", "Filesystem")
    assert claim["status"]["phase"] == "Pending" and evidence.stuck["facts"]["phase"] != "Succeeded"
    assert any("block-only" in problem for problem in evidence.stuck["facts"]["scratch"]["problems"])


def test_s13_claim_without_a_class_waits_for_a_matching_volume(evidence: Evidence) -> None:
    assert any("wait for a PersistentVolume that fits" in warning for warning in evidence.warnings["classless"])
    assert evidence.pending["failed"] and "has no storage class, and no class is the default" in evidence.pending["msg"]
    assert evidence.filled["phase"] == "Succeeded" and evidence.classes["classless"] in (None, "")


def test_s19_edit_of_cdiconfig_is_accepted_and_reverted(evidence: Evidence) -> None:
    assert evidence.reverted == ("plain", "thin")
