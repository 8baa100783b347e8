# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of one volume, as both modules return them."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.facts import volume_facts
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.scratch import Settings
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.scratch_facts import ObservedScratch

VOLUME: dict[str, Any] = {
    "metadata": {"name": "disk", "namespace": "demo", "creationTimestamp": "2026-01-01T12:00:00Z"},
    "spec": {
        "source": {"http": {"url": "https://x/disk.qcow2"}},
        "storage": {"resources": {"requests": {"storage": "64Mi"}}},
    },
    "status": {
        "phase": "Succeeded",
        "progress": "100.0%",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T12:00:17Z"}],
    },
}
CLAIM: dict[str, Any] = {
    "metadata": {"name": "disk", "namespace": "demo", "uid": "u-1"},
    "spec": {
        "storageClassName": "thin",
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": "71135396"}},
    },
    "status": {"capacity": {"storage": "68Mi"}},
}
SETTINGS = Settings({"status": {"filesystemOverhead": {"global": "0.06"}}}, (1, 65, 0), {}, "thin", "thin")


def test_facts_of_a_filled_volume() -> None:
    facts = volume_facts(VOLUME, CLAIM, SETTINGS)
    reported = {
        name: facts[name] for name in ("source", "phase", "size", "capacity", "storage_class_name", "ready_after")
    }
    assert reported == {
        "source": "http",
        "phase": "Succeeded",
        "size": "64Mi",
        "capacity": "68Mi",
        "storage_class_name": "thin",
        "ready_after": 17,
    }
    scratch = facts["scratch"]
    assert (scratch["needed"], scratch["storage_class_name"], scratch["size"]) == (True, "thin", "68Mi")
    assert (scratch["observed"], scratch["left_over"], scratch["problems"]) == (None, None, [])


def test_scratch_claim_is_predicted_without_a_claim() -> None:
    waiting = {**VOLUME, "status": {}}
    facts = volume_facts(waiting, None, SETTINGS)
    assert (facts["capacity"], facts["ready_after"]) == (None, None)
    assert (facts["scratch"]["storage_class_name"], facts["scratch"]["size"]) == ("thin", "68Mi")


def test_clone_without_a_size_has_no_predicted_scratch_size() -> None:
    clone = {"metadata": VOLUME["metadata"], "spec": {"source": {"pvc": {"name": "a"}}, "storage": {"resources": {}}}}
    facts = volume_facts(clone, None, SETTINGS)
    assert (facts["size"], facts["scratch"]["needed"], facts["scratch"]["size"]) == (None, False, None)


def test_existing_scratch_claim_replaces_the_prediction() -> None:
    claim = {
        "metadata": {"name": "prime-u-1-scratch", "namespace": "demo"},
        "spec": {"storageClassName": "other", "resources": {"requests": {"storage": "104857600"}}},
    }
    scratch = volume_facts(VOLUME, CLAIM, SETTINGS, ObservedScratch(claim, True))["scratch"]
    assert (scratch["storage_class_name"], scratch["size"]) == ("other", "100Mi")
    assert scratch["left_over"] == "demo/prime-u-1-scratch"


def test_scratch_rule_needs_no_right_to_read_the_configuration() -> None:
    scratch = volume_facts(VOLUME, CLAIM, None)["scratch"]
    assert (scratch["needed"], scratch["storage_class_name"], scratch["size"]) == (True, None, None)


def test_deleted_volume_has_no_facts() -> None:
    facts = volume_facts(None, None)
    assert (facts["phase"], facts["source"], facts["scratch"], facts["data_volume"]) == (None, None, None, {})


def test_size_is_the_recorded_one_after_growth() -> None:
    grown = {**CLAIM, "metadata": {**CLAIM["metadata"], "annotations": {"kubevirt.cdi/grown-to": "128Mi"}}}
    assert volume_facts(VOLUME, grown)["size"] == "128Mi"
