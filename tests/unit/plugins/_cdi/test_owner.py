# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CDI that HyperConverged or OLM manages is not changed, and the error names the field to set there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi import owner as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.owner import Owner, olm_owner, refuse
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

HYPERCONVERGED = Owner("HyperConverged", "kubevirt-hyperconverged", "kubevirt-hyperconverged")


def _refusal(owner: Owner, asked: dict[str, Any]) -> str:
    with pytest.raises(CdiError) as caught:
        refuse(owner, "cdi", asked)
    return str(caught.value)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"config": {"scratchSpaceStorageClass": "fast"}}, "spec.scratchSpaceStorageClass"),
        ({"config": {"filesystemOverhead": {}}}, "spec.filesystemOverhead"),
        ({"config": {"podResourceRequirements": {}}}, "spec.resourceRequirements.storageWorkloads"),
        ({"config": {"insecureRegistries": []}}, "spec.storageImport.insecureRegistries"),
        ({"config": {"logVerbosity": 3}}, "spec.logVerbosityConfig.cdi"),
        ({"config": {"tlsSecurityProfile": {}}}, "spec.tlsSecurityProfile"),
        ({"uninstallStrategy": "RemoveWorkloads"}, "spec.uninstallStrategy"),
        ({"infra": {}}, "spec.infra.nodePlacement"),
        ({"workload": {}}, "spec.workloads.nodePlacement"),
        ({"certConfig": {}}, "spec.certConfig"),
    ],
)
def test_refuse_names_the_field_of_hyperconverged(asked: dict[str, Any], field: str) -> None:
    message = _refusal(HYPERCONVERGED, asked)
    assert f"set on it {field} for" in message and "jsonpatch" not in message
    assert message.startswith("CDI cdi belongs to HyperConverged kubevirt-hyperconverged/kubevirt-hyperconverged,")


def test_refuse_names_the_annotation_when_hyperconverged_has_no_field() -> None:
    message = _refusal(HYPERCONVERGED, {"config": {"preallocation": True, "importProxy": None, "logVerbosity": 1}})
    assert "spec.logVerbosityConfig.cdi" in message
    assert (
        "containerizeddataimporter.kubevirt.io/jsonpatch: "
        '[{"op": "add", "path": "/spec/config/preallocation", "value": true}, '
        '{"op": "remove", "path": "/spec/config/importProxy"}]' in message
    )


def test_olm_owner_is_found_by_label_or_owner_reference() -> None:
    labels = {"olm.owner": "cdi.v1", "olm.owner.namespace": "cdi", "olm.owner.kind": "ClusterServiceVersion"}
    owner = Owner("ClusterServiceVersion", "cdi", "cdi.v1")
    assert olm_owner({"metadata": {"labels": labels}}) == owner
    references = [{"kind": "Other", "name": "x"}, {"kind": "ClusterServiceVersion", "name": "cdi.v1"}]
    assert olm_owner({"metadata": {"namespace": "cdi", "ownerReferences": references}}) == owner
    assert olm_owner({"metadata": {"ownerReferences": references[:1]}}) is None
    assert olm_owner(None) is None
    assert "ClusterServiceVersion cdi/cdi.v1 of the Operator Lifecycle Manager" in _refusal(owner, {})


def test_refuse_accepts_cdi_without_an_owner() -> None:
    refuse(None, "cdi", {"config": {"preallocation": True}})


def test_the_guide_for_openshift_has_the_fields_of_hyperconverged() -> None:
    guide = (Path(__file__).parents[4] / "docs" / "openshift.md").read_text()
    for path, field in rules.HYPERCONVERGED_FIELDS.items():
        assert f"`spec.{field}`" in guide or not path.startswith("config."), field
    assert rules.JSON_PATCH in guide
