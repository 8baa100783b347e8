# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CDI 1.61.1: its installation, the site playbook, and settings that differ from newer releases."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI, CONFIG_MAP, DEPLOYMENT

from tests.cluster.runtime.fixtures_registry import CONTAINER_DISK
from tests.real.clone_setup import without_default_class
from tests.real.conftest import MANIFEST
from tests.real.objects import Module, Ok, create, existing, until
from tests.real.scratch_setup import ScratchWatch, cdi_config, effective, namespace_with_credentials
from tests.runner.site import INVENTORY, OWN_VARIABLES
from tests.runner.tree import ROOT

pytestmark = pytest.mark.alone("installs and configures CDI", for_good=True)

IMPORT = {"http": {"url": f"{os.environ['KUBEVIRT_CDI_TEST_HTTP']}/disk.qcow2"}}
THIN = {"size": "128Mi", "storage_class_name": "thin"}


def test_installation_starts_each_component_once(connection: Connection) -> None:
    """Each change of the pod template is a revision of a Deployment."""
    deployments = {item["metadata"]["name"]: item for item in connection.list(DEPLOYMENT, "cdi")[0]}
    revisions = {
        name: item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for name, item in deployments.items()
    }
    assert revisions == dict.fromkeys(("cdi-operator", "cdi-apiserver", "cdi-deployment", "cdi-uploadproxy"), "1")
    assert existing(connection, CDI, "cdi")["spec"]["infra"]["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_site_playbook_changes_nothing_in_the_second_run() -> None:
    variables = json.dumps({"cdi_manifest": MANIFEST, "cdi_preallocation": False})
    command = [
        "ansible-playbook",
        f"--inventory={INVENTORY}",
        f"--extra-vars=@{OWN_VARIABLES}",
        "--extra-vars",
        variables,
    ]
    outputs = []
    for _run in range(2):
        ran = subprocess.run(
            [*command, str(ROOT / "playbooks" / "site.yml")], check=False, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        outputs.append(ran.stdout)
    assert re.search(r"changed=[1-9]", outputs[0]) and "changed=0 " in outputs[1], outputs[1]
    assert "v1.61.1" in outputs[1]


def test_scratch_space_uses_the_default_class_then_the_class_of_the_target(connection: Connection, ok: Ok) -> None:
    """CDI 1.65 does not use the default class for this (config-controller.go in both releases)."""
    volume = {"source": IMPORT, "storage": {**THIN, "storage_class_name": "plain"}}
    with (
        namespace_with_credentials(connection) as own,
        cdi_config(connection, scratchSpaceStorageClass="no-such-class"),
    ):
        watch = ScratchWatch(own).start()
        until(
            lambda: effective(connection).get("scratchSpaceStorageClass") == "thin",
            300,
            "the default class is not in effect",
        )
        by_default = ok("data_volume", name="by-default", namespace=own, **volume)
        with without_default_class(connection):
            until(lambda: "scratchSpaceStorageClass" not in effective(connection), 300, "a class is in effect")
            by_target = ok("data_volume", name="by-target", namespace=own, **volume)
        seen = {name: watch.of(connection, name) for name in ("by-default", "by-target")}
    classes = {name: claim["spec"]["storageClassName"] for name, claim in seen.items() if claim}
    assert classes == {"by-default": "thin", "by-target": "plain"}
    assert by_default["scratch"]["storage_class_name"] == "thin"
    assert "CDI before 1.65 uses" in by_default["scratch"]["storage_class_rule"]
    assert by_target["scratch"]["storage_class_name"] == "plain"
    assert "the cluster has no default class" in by_target["scratch"]["storage_class_rule"]


def test_registry_ca_without_a_crt_key_warns(connection: Connection, module: Module, ok: Ok) -> None:
    """CDI 1.65 also reads `.pem` (registry-datasource.go in both releases)."""
    address = os.environ["KUBEVIRT_CDI_TEST_HTTPS"].removeprefix("https://")
    registry = {"url": f"docker://{address}/{CONTAINER_DISK[0]}:{CONTAINER_DISK[1]}", "cert_config_map": "pem"}
    volume: dict[str, Any] = {"source": {"registry": registry}, "storage": THIN}
    with namespace_with_credentials(connection) as own:
        authority = existing(connection, CONFIG_MAP, "ca", own)["data"]["ca.crt"]
        create(connection, CONFIG_MAP, "pem", own, data={"ca.pem": authority})
        ran = module("data_volume", name="pem", namespace=own, **volume)
        assert any(
            "for a registry, CDI before 1.65 only reads keys that end in .crt, and its keys are ca.pem" in warning
            for warning in ran.warnings
        ), ran.output
        assert ran.result["failed"] and ran.result["diagnosis"]["cause"] == "certificate_untrusted"
        assert "under a key that ends in .crt" in ran.result["msg"]
        volume["source"] = {"registry": {**registry, "cert_config_map": "ca"}}
        corrected = ok("data_volume", name="pem", namespace=own, **volume)
        assert (corrected["drift"], corrected["phase"]) == ("unfilled", "Succeeded")
