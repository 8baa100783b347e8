# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DataVolumes that KubeVirt would create from new templates are looked at before module vm_disks writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.api.objects import SetStatus
from tests.api.virt_controller import Machines, create_volume, device, volume
from tests.image_server import qcow2, serving
from tests.modules import RunModule
from tests.wire import Wire

ROOT_DISK = (device("root"), volume("root"))


@pytest.mark.parametrize(
    ("source", "storage", "sentence"),
    [
        (
            {"http": {"url": "IMAGES/large.qcow2"}},
            {"size": "32Mi"},
            "Cannot create DataVolume NAMESPACE/made: storage.size is 32Mi, and the image holds a disk of 64Mi "
            "(qcow2); request at least 64Mi.",
        ),
        (
            {"pvc": {"name": "data"}},
            {"size": "512Mi", "access_modes": ["ReadWriteOnce"]},
            "DataVolume NAMESPACE/made cannot be cloned: 512Mi, which a claim of 512Mi has ",
        ),
        (
            {"pvc": {"name": "none"}},
            {"size": "1Gi"},
            "Cannot create DataVolume NAMESPACE/made: PersistentVolumeClaim 'NAMESPACE/none' (source.pvc) does not ",
        ),
        (
            {"blank": {}},
            {"size": "1Gi", "storage_class_name": "none"},
            "Cannot create DataVolume NAMESPACE/made: storage class 'none' (storage.storage_class_name) does not exist",
        ),
    ],
    ids=["image is larger", "source of clone is larger", "missing source", "missing class"],
)
def test_template_whose_volume_cannot_be_filled_is_refused_before_any_write(
    machines: Machines,
    module: RunModule,
    wire: Wire,
    direct: Connection,
    namespace: str,
    set_status: SetStatus,
    source: dict[str, Any],
    storage: dict[str, Any],
    sentence: str,
) -> None:
    machines.create("web", ROOT_DISK)
    create_volume(direct, namespace, set_status, "data")
    with serving() as images:
        images.files["/large.qcow2"] = qcow2(64 << 20)
        given = json.loads(json.dumps(source).replace("IMAGES", images.url))
        template = {"name": "made", "source": given, "storage": storage}
        disk = {"name": "made", "bus": "virtio", "data_volume_template": template}
        ran = module("vm_disks", name="web", namespace=namespace, disks=[disk])
        assert ran.refusal.startswith(f"VirtualMachine {namespace}/web: {sentence.replace('NAMESPACE', namespace)}")
        assert wire.writes() == []
        checked = module("vm_disks", check=True, name="web", namespace=namespace, disks=[disk])
    if given == {"pvc": {"name": "none"}}:
        # An earlier task may be the one that creates it.
        assert checked.result["changed"] and "/none' (source.pvc) does not exist" in checked.warnings[0]
    else:
        assert checked.refusal == ran.refusal
