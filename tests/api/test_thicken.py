# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role and playbook thicken, with simulated controllers, and what data_volume_info says about moved volumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.api.moving_volumes import Controllers, acting, create_source, nodes
from tests.api.objects import ADMIN, SetStatus, body, fetch, patch_status
from tests.api.test_awx import TEMPLATES
from tests.api.virt_controller import Machines, device, volume
from tests.modules import RunModule
from tests.playing import play, write_play
from tests.wire import Wire

__all__ = ["nodes"]  # A fixture that each test uses.
DISK = (device("data"), volume("data", "web-data"))
THICK = "cdi.kubevirt.io/storage.thick-provisioned"
METHOD = "cdi.kubevirt.io/cloneType"
(SURVEY,) = [template["survey"] for template in TEMPLATES if template["playbook"] == "thicken.yml"]
THIN_VOLUMES = "- {{name: web-data, source: {{pvc: {{name: golden}}}}, storage: {{size: 1Gi, storage_class_name: {}}}}}"


class Cloning(Controllers):
    """CDI also fills clones, and records its method on them."""

    def fill(self) -> None:
        for each in self.direct.list(resources.DATA_VOLUME, self.namespace)[0]:
            if _is_clone(each) and METHOD not in each["metadata"].get("annotations", {}):
                recorded = {"metadata": {"annotations": {METHOD: "csi-clone"}}}
                self.direct.merge(
                    resources.DATA_VOLUME, each["metadata"]["name"], self.namespace, recorded, dry_run=False
                )
        super().fill()

    def fills(self, data_volume: dict[str, Any]) -> bool:
        return _is_clone(data_volume) or super().fills(data_volume)


def _is_clone(data_volume: dict[str, Any]) -> bool:
    return "pvc" in data_volume["spec"].get("source", {})


@pytest.fixture
def storage(direct: Connection, namespace: str) -> Iterator[str]:
    """A storage class whose driver clones."""
    provisioner = f"{namespace}.example.com"
    sets = [{"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}]
    objects = (
        (resources.STORAGE_CLASS, body(resources.STORAGE_CLASS, namespace, provisioner=provisioner)),
        (resources.CSI_DRIVER, body(resources.CSI_DRIVER, provisioner, spec={})),
        (resources.STORAGE_PROFILE, body(resources.STORAGE_PROFILE, namespace, spec={})),
    )
    for resource, content in objects:
        direct.create(resource, content, dry_run=False)
    status = {"cloneStrategy": "csi-clone", "claimPropertySets": sets}
    patch_status(direct, resources.STORAGE_PROFILE, namespace, None, status)
    yield namespace
    for resource, content in objects:
        direct.delete(resource, content["metadata"]["name"], dry_run=False)


@pytest.fixture
def controllers(
    machines: Machines, direct: Connection, namespace: str, set_status: SetStatus, storage: str
) -> Iterator[None]:
    """A filled volume `golden`, and controllers that act until the test ends."""
    create_source(direct, namespace, set_status, "golden", namespace)
    with acting(Cloning(machines)):
        yield


def start(machines: Machines, name: str) -> None:
    """Start a machine after its claims were annotated."""
    machines.start(name)
    moments = [{"phase": "Scheduled", "phaseTransitionTimestamp": "2099-01-01T00:00:00Z"}]
    machines.change(name, resources.VIRTUAL_MACHINE_INSTANCE, status={"phaseTransitionTimestamps": moments})


def role(state: str, **variables: Any) -> dict[str, Any]:
    """A task that runs the role."""
    named = {f"cdi_thicken_{name}": value for name, value in {"state": state, **variables}.items()}
    return {"ansible.builtin.import_role": {"name": "kubevirt.cdi.thicken"}, "vars": named}


def test_thin_volume_becomes_thick_and_is_not_declared_again(
    controllers: None,
    machines: Machines,
    module: RunModule,
    wire: Wire,
    direct: Connection,
    namespace: str,
    set_status: SetStatus,
    tmp_path: Path,
) -> None:
    common = {
        "cdi_namespace": namespace,
        "cdi_host": wire.url,
        "cdi_api_key": ADMIN,
        "cdi_thin_volumes": THIN_VOLUMES.format(namespace),
    }
    thin = play(write_play(tmp_path, [role("thin")]), variables=common)
    assert "changed=1 " in thin.output, thin.output
    claim = fetch(direct, resources.PERSISTENT_VOLUME_CLAIM, "web-data", namespace)
    assert claim["metadata"]["annotations"][THICK] == "true"
    options: dict[str, Any] = {"namespace": namespace, "names": ["web-data", "golden"]}
    golden, cloned = module("data_volume_info", **options).result["data_volumes"]
    assert (golden["depends_on"], golden["moved_from"], cloned["moved_from"]) == ([], None, None)
    assert [each["name"] for each in cloned["depends_on"]] == ["golden"]

    machines.create("web", DISK)
    start(machines, "web")
    answers = {question["variable"]: question["default"] for question in SURVEY}
    variables = {**common, "cdi_thicken_when_done": "delete_source"}
    thick = play("kubevirt.cdi.thicken", variables={**answers, **variables})
    assert thick.code == 0 and "changed=1 " in thick.output, thick.output
    proof = thick.artifacts["cdi_artifact_thick"][f"{namespace}/web-data"]
    assert (proof["depends_on"], proof["allocated_bytes"]) == ([], None) and proof["not_measured"]
    assert machines.volumes("web") == [volume("data", proof["target"])]
    assert f"1 volume moved: {namespace}/web-data." in thick.output
    assert direct.get(resources.DATA_VOLUME, "web-data", namespace) is None

    # The second run of both states, and a machine that cannot be moved.
    create_source(direct, namespace, set_status, "db-data", namespace)
    machines.create("db", (device("data", shareable=True), volume("data", "db-data")))
    start(machines, "db")
    tasks = [role("thin"), role("thick"), role("thick", machines="db", if_possible="yes")]
    again = play(write_play(tmp_path, tasks), variables=variables)
    assert again.code == 0 and "changed=0 " in again.output, again.output
    assert again.artifacts["cdi_artifact_thick"][f"{namespace}/web-data"] == proof
    assert "is shareable" in again.artifacts["cdi_artifact_stays_thin"][f"{namespace}/db-data"]
    assert direct.get(resources.DATA_VOLUME, "web-data", namespace) is None


def test_names_select_volumes_and_missing_ones_are_reported(
    controllers: None, module: RunModule, namespace: str, set_status: SetStatus, direct: Connection
) -> None:
    create_source(direct, namespace, set_status, "other", namespace)
    found = module("data_volume_info", namespace=namespace, names=["golden"]).result["data_volumes"]
    assert [each["name"] for each in found] == ["golden"]
    assert module("data_volume_info", namespace=namespace, names=[]).result["data_volumes"] == []
    missing = module("data_volume_info", namespace=namespace, names=["golden", "a", "b"], on_missing="error")
    assert missing.refusal == " ".join(
        f"DataVolume '{namespace}/{name}' does not exist; correct its name, or create it." for name in ("a", "b")
    )
