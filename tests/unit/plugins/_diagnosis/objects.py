# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes and the objects around them, in the shape in which CDI v1.65.0 leaves them, for tests of diagnoses."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.options import VOLUME_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis import diagnose as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence

UIDS = [f"{number}0000000-0000-4000-8000-000000000000" for number in range(6)]
VOLUME, CLAIM, PRIME, POD, OTHER, SCRATCH = UIDS
PENDING = {"reason": "Pending", "message": "PVC disk Pending"}


def volume(**options: Any) -> dict[str, Any]:
    defaults = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
    return {
        **defaults,
        "name": "disk",
        "namespace": "demo",
        "source": {"blank": {}},
        "storage": {"size": "1Gi"},
        **options,
    }


def stored(phase: str, restarts: int = 0, **conditions: dict[str, str]) -> dict[str, Any]:
    listed = [{"type": kind, "status": "False", **condition} for kind, condition in conditions.items()]
    status = {"phase": phase, "restartCount": restarts, "conditions": listed}
    return {"metadata": {"name": "disk", "uid": VOLUME}, "status": status}


def item(uid: str, owner: str, kind: str = "PersistentVolumeClaim", phase: str = "Pending", **spec: Any) -> Any:
    return {
        "metadata": {"name": f"prime-{owner}", "uid": uid, "ownerReferences": [{"uid": owner, "kind": kind}]},
        "spec": {"storageClassName": "thin", **spec},
        "status": {"phase": phase},
    }


def event(about: str, reason: str, message: str, kind: str = "PersistentVolumeClaim", last: str = "00:00:00") -> Any:
    return {
        "metadata": {"uid": f"{about}{reason}{message}"},
        "involvedObject": {"uid": about, "kind": kind, "name": ""},
        "reason": reason,
        "message": message,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": f"2026-01-01T{last}Z",
    }


def around(*events: Any, pod: Any = None, prime: str = "Pending", others: Any = ()) -> Evidence:
    """The evidence on a volume: its claim, a prime claim, and the pod of that, if its status is given."""
    claims = [
        item(CLAIM, VOLUME, "DataVolume", dataSourceRef={"kind": "VolumeImportSource"}),
        item(PRIME, CLAIM, phase=prime),
        *others,
    ]
    pods = [{**item(POD, PRIME), "status": {"phase": "Pending", **pod}}] if pod else []
    return Evidence(events, pods, claims)


def cause(stored: dict[str, Any], evidence: Evidence | None = None) -> str | None:
    found = rules.diagnose(stored, evidence)
    return found.cause if found else None


def explained(
    stored: dict[str, Any] | None, evidence: Evidence | None = None, *, late: bool = False, still: float = 0
) -> dict[str, Any]:
    """What `explain` finds about a volume with a problem."""
    found = rules.explain(stored, evidence, late=late, still=still)
    assert found is not None
    return found


def owned(uid: str, annotations: dict[str, str] | None = None, **spec: Any) -> Evidence:
    """The evidence on a volume with one claim and no other helper."""
    claim = item(uid, VOLUME, **spec)
    claim["metadata"]["annotations"] = annotations
    return Evidence((), (), [claim])


def snapshot(error: dict[str, str]) -> Evidence:
    return Evidence(snapshots=[{**item(SCRATCH, VOLUME), "status": {"error": error}}])


def controller(available: int) -> dict[str, Any]:
    metadata = {"name": "cdi-deployment", "namespace": "cdi", "generation": 1}
    return {
        "metadata": metadata,
        "spec": {"replicas": 1},
        "status": {"availableReplicas": available, "observedGeneration": 1},
    }
