# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DataVolume that options request, drift, and explanations of clones."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone.record import clone_facts, explain
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume import spec as rules

from tests.refused_volumes import volume


def test_options_become_fields_of_the_api() -> None:
    source = {"http": {"url": "https://x", "cert_config_map": "ca", "extra_headers": None}, "pvc": None}
    wanted = rules.desired(volume(source=source, binding="immediate", preallocation=False, labels={"a": "b"}))
    assert wanted["spec"] == {
        "source": {"http": {"url": "https://x", "certConfigMap": "ca"}},
        "storage": {"resources": {"requests": {"storage": "1Gi"}}},
        "preallocation": False,
    }
    assert wanted["metadata"]["annotations"] == {"cdi.kubevirt.io/storage.bind.immediate.requested": "true"}


def test_source_without_a_namespace_is_in_that_of_the_volume() -> None:
    wanted = rules.desired(
        volume(
            source={"pvc": {"name": "golden", "namespace": None}}, storage={"size": None, "storage_class_name": "thin"}
        )
    )
    assert wanted["spec"]["source"] == {"pvc": {"name": "golden", "namespace": "demo"}}
    assert wanted["spec"]["storage"] == {"storageClassName": "thin", "resources": {}}


def test_values_in_the_spelling_of_cdi_are_no_drift() -> None:
    wanted = rules.desired(volume(storage={"size": "1024Mi"}))
    stored = {
        "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": []}}
    }
    assert rules.spec_drift(wanted, stored) == rules.Drift([])


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"preallocation": False}, "preallocation: unset on the cluster, false requested"),
        ({"source": {"upload": {}}}, "source.blank: set on the cluster, not requested"),
        ({"source": {"upload": {}}}, "source.upload: unset on the cluster, set requested"),
        ({"source": {"pvc": {"name": "golden"}}}, "source.pvc.name: unset on the cluster, 'golden' requested"),
        (
            {"storage": {"size": "1Gi", "storage_class_name": "thin"}},
            "storage.storage_class_name: unset on the cluster, 'thin' requested",
        ),
        ({"storage": {"size": "512Mi"}}, "storage.size: '1024Mi' on the cluster, '512Mi' requested"),
        ({"storage": {"size": "3Gi"}}, "storage.size: '1Gi' on the cluster, '3Gi' requested"),
        ({"storage": {"size": "0.3Gi"}}, "storage.size: '1Gi' on the cluster, '322122548' requested"),
        (
            {"storage": {"size": "1Gi", "selector": {"match_labels": {"a.b/c": "d"}}}},
            "storage.selector.match_labels.a.b/c: unset on the cluster, 'd' requested",
        ),
    ],
)
def test_drift_names_option_and_both_values(options: dict[str, Any], reported: str) -> None:
    stored = rules.desired(volume())
    assert reported in rules.spec_drift(rules.desired(volume(**options)), stored).lines


@pytest.mark.parametrize(
    ("requested", "differs"),
    [
        ({"storage": {"size": "1Gi", "storage_class_name": "thin", "access_modes": ["ReadWriteOnce"]}}, ""),
        ({"storage": {"size": "1Gi", "volume_mode": "Filesystem"}, "content_type": "kubevirt"}, ""),
        ({"preallocation": False}, ""),
        ({"preallocation": True}, "preallocation: unset on the cluster, true requested"),
        (
            {"storage": {"size": "1Gi", "storage_class_name": "niht"}},
            "storage.storage_class_name: unset on the cluster, 'niht' requested",
        ),
        (
            {"storage": {"size": "1Gi", "volume_mode": "Block"}},
            "storage.volume_mode: unset on the cluster, 'Block' requested",
        ),
        ({"content_type": "archive"}, "content_type: unset on the cluster, 'archive' requested"),
    ],
)
def test_requesting_what_cdi_has_chosen_is_no_drift(requested: dict[str, Any], differs: str) -> None:
    """No volume is recreated for it."""
    stored = rules.desired(volume())
    claim = _claim(**{"storage.preallocation.requested": "false"})
    claim["spec"] = {"accessModes": ["ReadWriteOnce"], "storageClassName": "thin", "volumeMode": "Filesystem"}
    reported = rules.spec_drift(rules.without_chosen(rules.desired(volume(**requested)), stored, claim), stored).lines
    assert reported == ([differs] if differs else [])


def test_field_that_is_no_longer_requested_is_drift() -> None:
    stored = rules.desired(volume(preallocation=True))
    assert rules.spec_drift(rules.desired(volume()), stored).lines == [
        "preallocation: true on the cluster, not requested"
    ]


CLONE = {"spec": {"source": {"pvc": {"name": "golden"}}}}


def _claim(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {f"cdi.kubevirt.io/{key}": value for key, value in annotations.items()}}}


def test_clone_method_is_read_from_the_claim() -> None:
    facts = clone_facts(
        CLONE,
        _claim(cloneType="copy", cloneFallbackReason="No compatible volumesnapshotclass found", clonePhase="Succeeded"),
    )
    assert (facts["method"], facts["fallback"], facts["phase"]) == ("copy", True, "Succeeded")
    assert explain(facts, None, "snapshot", "thin") == "CDI fell back to copy: No compatible volumesnapshotclass found."


def test_clone_method_is_read_from_the_volume_without_a_claim() -> None:
    assert clone_facts({**CLONE, **_claim(cloneType="snapshot")}, None)["method"] == "snapshot"


def test_volume_that_is_not_a_clone_has_no_clone_method() -> None:
    assert clone_facts({"spec": {"source": {"blank": {}}}}, _claim(cloneType="copy"))["method"] is None
    assert clone_facts(None, None)["method"] is None


def test_explanation_needs_a_recorded_or_forced_method() -> None:
    assert explain(clone_facts(CLONE, _claim()), "copy", "copy", "thin") == "CDI has recorded no clone method."
    forced = {**clone_facts(CLONE, _claim(cloneType="copy")), "forced": True}
    assert explain(forced, "copy", "copy", "thin").startswith("The annotation cdi.kubevirt.io/cloneType requested it")


def test_copy_without_a_recorded_reason_is_explained_by_the_settings() -> None:
    facts = clone_facts(CLONE, _claim(cloneType="copy"))
    assert "cloneStrategyOverride requests copy" in explain(facts, "copy", "snapshot", "thin")
    assert "storage profile of thin has the strategy copy" in explain(facts, None, "copy", "thin")
    assert "now has the strategy snapshot" in explain(facts, None, "snapshot", "thin")


@pytest.mark.parametrize(
    ("requested", "stored", "grows_to"),
    [
        ({"size": "2Gi"}, {"size": "1Gi"}, 2 << 30),
        ({"size": "1Gi"}, {"size": "2Gi"}, None),
        ({"size": "2Gi"}, {"storage_class_name": "thin"}, None),
        ({"size": "2Gi", "storage_class_name": "thin"}, {"storage_class_name": "thin"}, 2 << 30),
        ({"storage_class_name": "thin"}, {"size": "2Gi", "storage_class_name": "thin"}, None),
        ({"size": "2Gi", "volume_mode": "Block"}, {"size": "1Gi"}, None),
        ({"size": "1024Mi"}, {"size": "1Gi"}, None),
    ],
)
def test_volume_grows_only_to_a_larger_size(requested: Any, stored: Any, grows_to: int | None) -> None:
    clone = {"source": {"pvc": {"name": "golden"}}}
    drift = rules.spec_drift(
        rules.desired(volume(**clone, storage=requested)), rules.desired(volume(**clone, storage=stored))
    )
    assert drift.grows_to == grows_to


@pytest.mark.parametrize("stored", ["0.3Gi", "322122548", "322122547200m", "314572.7999Ki"])
@pytest.mark.parametrize("requested", ["0.3Gi", "322122548", " 0.3Gi "])
def test_fractional_size_is_rounded_up_to_whole_bytes(requested: str, stored: str) -> None:
    wanted = rules.desired(volume(storage={"size": requested}))
    before = {"spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": stored}}}}}
    assert rules.spec_drift(wanted, before) == rules.Drift([])
    # CDI accepts no other spelling.
    written = rules.without_chosen(wanted, before, None)["spec"]["storage"]["resources"]["requests"]["storage"]
    assert written == stored


VDDK = {"url": "https://v", "uuid": "u", "backing_file": "b", "thumbprint": "t", "secret_ref": "s"}
FIRST, SECOND = {"previous": "", "current": "one"}, {"previous": "one", "current": "two"}


@pytest.mark.parametrize(
    ("before", "after", "lines", "changes"),
    [
        ({"checkpoints": [FIRST]}, {"checkpoints": [FIRST, SECOND]}, [], True),
        ({"checkpoints": [FIRST]}, {"checkpoints": [FIRST], "final_checkpoint": True}, [], True),
        (
            {"checkpoints": [FIRST], "final_checkpoint": True},
            {"checkpoints": [FIRST], "final_checkpoint": False},
            [],
            True,
        ),
        ({"checkpoints": [FIRST]}, {"checkpoints": [FIRST], "final_checkpoint": False}, [], False),
        ({}, {"checkpoints": [FIRST]}, [], True),
        ({"checkpoints": [FIRST]}, {}, ["checkpoints: "], True),
        ({"checkpoints": [FIRST]}, {"checkpoints": [SECOND], "storage": {"size": "512Mi"}}, ["storage.size: "], True),
    ],
)
def test_stages_may_change_without_drift(before: Any, after: Any, lines: list[str], changes: bool) -> None:
    stored, wanted = (rules.desired(volume(source={"vddk": VDDK}, **options)) for options in (before, after))
    found = rules.spec_drift(wanted, stored).lines
    assert [line.partition(" ")[0] + " " for line in found] == lines
    assert rules.changes_stages(wanted, stored) is changes


def test_stages_of_a_source_without_stages_are_drift() -> None:
    stored, wanted = (rules.desired(volume(checkpoints=stages)) for stages in ([FIRST], [FIRST, SECOND]))
    assert rules.spec_drift(wanted, stored).lines


def test_drift_hides_headers() -> None:
    stored, wanted = (
        rules.desired(volume(source={"http": {"url": "http://x", "extra_headers": [f"Authorization: {word}"]}}))
        for word in ("first", "second")
    )
    assert rules.spec_drift(wanted, stored).lines == ["source.http.extra_headers differs"]


def test_drift_hides_secrets_in_urls() -> None:
    stored, wanted, other = (
        rules.desired(volume(source={"http": {"url": f"https://user:{word}@host/{name}?X-Amz-Signature={word}"}}))
        for word, name in (("s3cret", "a.img"), ("s3c@ret", "a.img"), ("s3cret", "b.img"))
    )
    url = "source.http.url: 'https://***@host/a.img?***' on the cluster, 'https://***@host"
    assert rules.spec_drift(wanted, stored).lines == [f"{url}/a.img?*** (redacted parts differ)' requested"]
    assert rules.spec_drift(other, stored).lines == [f"{url}/b.img?***' requested"]
    assert not rules.spec_drift(stored, stored).lines


def test_labels_and_annotations_are_strings() -> None:
    wanted = rules.desired(volume(labels={"on": True, "level": 3}, annotations={"ratio": 0.5, "off": False}))
    assert wanted["metadata"]["labels"] == {"on": "true", "level": "3"}
    assert wanted["metadata"]["annotations"] == {"ratio": "0.5", "off": "false"}


def test_adopt_claim_becomes_the_annotation_of_cdi() -> None:
    wanted = rules.desired(volume(adopt_claim=True, labels={"a": "b"}))
    assert wanted["metadata"]["annotations"] == {"cdi.kubevirt.io/allowClaimAdoption": "true"}
