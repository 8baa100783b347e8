# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What options ask for, what has drifted, and what is said about a clone."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils import _data_volume as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone import clone_facts, explain
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume_options import VOLUME_OPTIONS


def _volume(**options: Any) -> dict[str, Any]:
    defaults = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
    return {
        **defaults,
        "name": "disk",
        "namespace": "demo",
        "source": {"blank": {}},
        "storage": {"size": "1Gi"},
        **options,
    }


def test_options_become_the_fields_of_cdi() -> None:
    source = {"http": {"url": "https://x", "cert_config_map": "ca", "extra_headers": None}, "pvc": None}
    made = rules.desired(_volume(source=source, binding="immediate", preallocation=False, labels={"a": "b"}))
    assert made["spec"] == {
        "source": {"http": {"url": "https://x", "certConfigMap": "ca"}},
        "storage": {"resources": {"requests": {"storage": "1Gi"}}},
        "preallocation": False,
    }
    assert made["metadata"]["annotations"] == {"cdi.kubevirt.io/storage.bind.immediate.requested": "true"}


def test_a_source_without_a_namespace_is_in_the_volumes_own() -> None:
    made = rules.desired(
        _volume(
            source={"pvc": {"name": "golden", "namespace": None}}, storage={"size": None, "storage_class_name": "thin"}
        )
    )
    assert made["spec"]["source"] == {"pvc": {"name": "golden", "namespace": "demo"}}
    assert made["spec"]["storage"] == {"storageClassName": "thin", "resources": {}}


def test_what_cdi_writes_again_in_its_own_way_is_no_drift() -> None:
    wanted = rules.desired(_volume(storage={"size": "1024Mi"}))
    stored = {
        "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": []}}
    }
    assert rules.spec_drift(wanted, stored) == rules.Drift([])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"preallocation": False}, "spec.preallocation is unset and not False"),
        ({"source": {"upload": {}}}, "spec.source.blank is {} and not unset"),
        (
            {"storage": {"size": "1Gi", "storage_class_name": "thin"}},
            "spec.storage.storageClassName is unset and not thin",
        ),
    ],
)
def test_drift_names_the_field_and_both_values(options: dict[str, Any], told: str) -> None:
    stored = rules.desired(_volume())
    assert told in rules.spec_drift(rules.desired(_volume(**options)), stored).lines


def test_a_field_that_is_no_longer_asked_for_is_drift() -> None:
    stored = rules.desired(_volume(preallocation=True))
    assert rules.spec_drift(rules.desired(_volume()), stored).lines == ["spec.preallocation is True and not unset"]


CLONE = {"spec": {"source": {"pvc": {"name": "golden"}}}}


def _claim(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {f"cdi.kubevirt.io/{key}": value for key, value in annotations.items()}}}


def test_a_clones_method_is_on_its_claim() -> None:
    facts = clone_facts(
        CLONE,
        _claim(cloneType="copy", cloneFallbackReason="No compatible volumesnapshotclass found", clonePhase="Succeeded"),
    )
    assert (facts["method"], facts["fallback"], facts["phase"]) == ("copy", True, "Succeeded")
    assert explain(facts, None, "snapshot", "thin") == "CDI fell back to copy: No compatible volumesnapshotclass found."


def test_the_volume_knows_the_method_when_the_claim_was_not_read() -> None:
    assert clone_facts({**CLONE, **_claim(cloneType="snapshot")}, None)["method"] == "snapshot"


def test_a_volume_that_is_no_clone_has_no_method_whatever_its_annotations_say() -> None:
    assert clone_facts({"spec": {"source": {"blank": {}}}}, _claim(cloneType="copy"))["method"] is None
    assert clone_facts(None, None)["method"] is None


def test_a_copy_without_a_reason_is_explained_by_the_settings() -> None:
    facts = clone_facts(CLONE, _claim(cloneType="copy"))
    assert "cloneStrategyOverride asks for copy" in explain(facts, "copy", "snapshot", "thin")
    assert "storage profile of thin says copy" in explain(facts, None, "copy", "thin")
    assert "says snapshot now" in explain(facts, None, "snapshot", "thin")
