# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option sample_growth of module volume_migration, with simulated controllers. No kubelet runs the measuring pods."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError

from tests.api.moving_volumes import Controllers, acting, create_source, nodes
from tests.api.objects import SetStatus, body, patch_status
from tests.api.test_volume_migration import DATA, run
from tests.api.virt_controller import Machines
from tests.modules import RunModule
from tests.wire import Wire

__all__ = ["nodes"]  # A fixture that each test uses.
PLAIN = {"storage_class_name": "plain", "access_modes": ["ReadWriteOnce"]}
NOT_PULLED = {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
MEASURED = {"state": {"terminated": {"exitCode": 0, "message": "4096 67108864\n"}}}


class Kubelet(Controllers):
    """Also gives measuring pods the status that a test sets."""

    container: dict[str, Any] = NOT_PULLED

    def step(self) -> None:
        super().step()
        for pod in self.direct.list(resources.POD, self.namespace)[0]:
            name = pod["metadata"]["name"]
            whole = {"name": "allocation", "ready": False, "restartCount": 0, "image": "", "imageID": ""}
            status = {"phase": "Succeeded" if "terminated" in self.container["state"] else "Pending"}
            with contextlib.suppress(ApiError, AssertionError):  # The module has deleted it.
                statuses = [{**whole, **self.container}]
                patch_status(
                    self.direct, resources.POD, name, self.namespace, {**status, "containerStatuses": statuses}
                )


@pytest.fixture
def operator(direct: Connection, namespace: str) -> Iterator[None]:
    """The Deployment of CDI's operator, which names the image of measuring pods, and what pods need."""
    direct.create(resources.SERVICE_ACCOUNT, {"metadata": {"name": "default"}}, namespace, dry_run=False)
    labels = {"app": "operator"}
    container = {"name": "operator", "image": "none", "env": [{"name": "CLONER_IMAGE", "value": "cloner"}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    direct.create(resources.DEPLOYMENT, body(resources.DEPLOYMENT, "cdi-operator", spec=spec), namespace, dry_run=False)
    yield
    direct.delete(resources.DEPLOYMENT, "cdi-operator", namespace, dry_run=False)


@pytest.fixture
def kubelet(
    machines: Machines, direct: Connection, namespace: str, set_status: SetStatus, operator: None
) -> Iterator[Kubelet]:
    create_source(direct, namespace, set_status, "source")
    found = Kubelet(machines)
    with acting(found):
        yield found


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(
    ("container", "allocated", "missing"), [(NOT_PULLED, [], "no such image"), (MEASURED, [4096], None)]
)
def test_move_succeeds_with_and_without_samples_and_measuring_pods_are_deleted(
    kubelet: Kubelet,
    machines: Machines,
    module: RunModule,
    wire: Wire,
    direct: Connection,
    namespace: str,
    running: bool,
    container: dict[str, Any],
    allocated: list[int],
    missing: str | None,
) -> None:
    machines.create("web", DATA, running=running)
    kubelet.container = container
    (found,) = run(module, namespace, to=PLAIN, sample_growth=True)["volumes"]
    assert (found["state"], found["action"], found.get("error")) == ("finished", "moved", None)
    assert [sample["allocated_bytes"] for sample in found["growth"]] == allocated
    assert (missing or "") in (found["not_sampled"] or "") and (found["not_sampled"] is None) is (missing is None)
    assert (wire.count("POST", "/pods"), wire.count("DELETE", "/pods/kubevirt-cdi-allocation-")) == (1, 1)
    assert direct.list(resources.POD, namespace)[0] == []


def test_nothing_more_is_requested_without_the_option_or_without_a_move(
    kubelet: Kubelet, machines: Machines, module: RunModule, wire: Wire, namespace: str
) -> None:
    machines.create("web", DATA, running=True)
    run(module, namespace, check=True, to=PLAIN, sample_growth=True)
    (moved,) = run(module, namespace, to=PLAIN)["volumes"]
    assert (moved["growth"], moved["not_sampled"]) == ([], None)
    assert (wire.count("POST", "/pods"), wire.count("GET", "/deployments")) == (0, 0)
    wire.requests.clear()
    (same,) = run(module, namespace, to=PLAIN, sample_growth=True)["volumes"]
    assert (same["state"], same["growth"], len(wire.requests)) == ("finished", [], 4)
