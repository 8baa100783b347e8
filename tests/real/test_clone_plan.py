# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prediction equals observation: many clones are foreseen, made, and compared with what the real CDI did."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils import _clone_plan as planner
from ansible_collections.kubevirt.cdi.plugins.module_utils import _data_volume as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone_prediction import Reader, predict
from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume_options import VOLUME_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import (
    DATA_VOLUME,
    EVENT,
    NAMESPACE,
    VOLUME_SNAPSHOT_CLASS,
)
from tests.real.clone_bed import (
    NO_DRIVER,
    PLAIN,
    THIN,
    StorageClasses,
    make_snapshot_class,
    override,
    snapshot,
)

_SIZES = {"same": "64Mi", "larger": "96Mi", "smaller": "32Mi", "none": None}
_OBSERVED_WITHIN = 90.0


class Bed(NamedTuple):
    """What the cases choose from: classes and sources by a short name."""

    namespace: str
    classes: dict[str, str]
    sources: dict[str, dict[str, Any]]


class Case(NamedTuple):
    source: str
    target_class: str
    mode: str
    size: str
    by: str
    forced: str

    def volume(self, name: str, bed: Bed) -> dict[str, Any]:
        asked = {
            "size": _SIZES[self.size],
            "storage_class_name": bed.classes[self.target_class],
            "volume_mode": None if self.mode == "none" else self.mode,
            "access_modes": ["ReadWriteOnce"] if self.by == "pvc" else None,
        }
        defaults = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
        forced = {"cdi.kubevirt.io/cloneType": self.forced} if self.forced else {}
        kind = bed.sources[self.source]["kind"]
        source = {kind: {"name": bed.sources[self.source]["name"], "namespace": bed.namespace}}
        options = {"name": name, "namespace": bed.namespace, "source": source, "annotations": forced, self.by: asked}
        return rules.desired({**defaults, **options})


@pytest.fixture(scope="module")
def bed(connection: Connection) -> Iterator[Bed]:
    """Classes for every way to a method and to each fallback, and small sources of each kind."""
    mark = f"plan{uuid.uuid4().hex[:5]}"
    metadata = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": mark}}
    connection.create(NAMESPACE, metadata, dry_run=False)
    made = StorageClasses(connection, mark)
    # It comes after `thin` by name, so CDI chooses it nowhere by itself.
    second = f"zz-{mark}"
    make_snapshot_class(connection, second, THIN)
    try:
        classes = {
            "default": made.make("default"),
            "snapshot": made.make("snapshot", strategy="snapshot"),
            "snapshot-fixed": made.make("snapshot-fixed", strategy="snapshot", expansion=False),
            "csi": made.make("csi", strategy="csi-clone"),
            "csi-fixed": made.make("csi-fixed", strategy="csi-clone", expansion=False),
            "copy": made.make("copy", strategy="copy"),
            "second": made.make("second", strategy="snapshot", snapshot_class=second),
            "block-first": made.make("block-first", block_first=True),
            "annotated": made.make("annotated", annotations={"cdi.kubevirt.io/clone-strategy": "csi-clone"}),
            "plain": made.make("plain", PLAIN, expansion=False),
            "plain-snapshot": made.make("plain-snapshot", PLAIN, strategy="snapshot", expansion=False),
            "plain-csi": made.make("plain-csi", PLAIN, strategy="csi-clone"),
            "no-driver": made.make("no-driver", NO_DRIVER),
        }
        made.wait()
        _blank(connection, mark, "files", classes["default"], "Filesystem")
        _blank(connection, mark, "device", classes["default"], "Block")
        _blank(connection, mark, "plain", classes["plain"], "Filesystem")
        _wait_succeeded(connection, mark, ["files", "device", "plain"])
        snapshot(connection, mark, "files", "files")
        snapshot(connection, mark, "device", "device")
        sources = {name: {"kind": "pvc", "name": name} for name in ("files", "device", "plain")}
        sources |= {f"snapshot of {name}": {"kind": "snapshot", "name": name} for name in ("files", "device")}
        yield Bed(mark, classes, sources)
    finally:
        made.remove()
        connection.delete(VOLUME_SNAPSHOT_CLASS, second, dry_run=False)
        connection.delete(NAMESPACE, mark, dry_run=False)


def _blank(connection: Connection, namespace: str, name: str, storage_class: str, mode: str) -> None:
    asked = {"resources": {"requests": {"storage": "64Mi"}}, "storageClassName": storage_class, "volumeMode": mode}
    body = {
        "apiVersion": DATA_VOLUME.api_version,
        "kind": "DataVolume",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": {"blank": {}}, "storage": asked},
    }
    connection.create(DATA_VOLUME, body, namespace, dry_run=False)


def _wait_succeeded(connection: Connection, namespace: str, names: list[str]) -> None:
    deadline = time.monotonic() + 120
    while True:
        items, _version = connection.list(DATA_VOLUME, namespace)
        phases = {item["metadata"]["name"]: (item.get("status") or {}).get("phase") for item in items}
        if all(phases[name] == "Succeeded" for name in names):
            return
        assert time.monotonic() < deadline, phases
        time.sleep(0.5)


def _cases(bed: Bed) -> list[Case]:
    """Each source to each class, the rest drawn: the same cases in every run."""
    draw = random.Random(20260831)
    cases = []
    for source in bed.sources:
        for target_class in bed.classes:
            mode = draw.choice(["none", "Filesystem", "Filesystem", "Block"])
            size = draw.choice(["same", "same", "larger", "larger", "none", "smaller"])
            by = "pvc" if size != "none" and draw.random() < 0.3 else "storage"
            # Nothing serves that class: what comes after the choice of a method cannot be seen.
            size = "same" if target_class == "no-driver" else size
            forced = draw.choice(["", "", "", "", "", "", "", "copy", "csi-clone", "snapshot"])
            cases.append(Case(source, target_class, mode, size, by, forced))
    return cases


def test_prediction_equals_observation_in_every_generated_case(connection, lookup, bed, capsys) -> None:
    """65 clones without an override; nothing is left out of the comparison."""
    cases = _cases(bed)
    assert len(cases) >= 40
    rows = _compare(connection, lookup, bed, cases, "p")
    _print(capsys, rows)
    assert not [row for row in rows if row["predicted"] != row["observed"]]
    assert {row["predicted"][0] for row in rows} >= {"copy", "snapshot", "csi-clone", None}
    reasons = {row["predicted"][1] for row in rows}
    assert reasons >= {
        planner.NO_POPULATOR,
        planner.NO_SNAPSHOT_CLASS,
        planner.INCOMPATIBLE_PROVISIONERS,
        planner.INCOMPATIBLE_MODES,
        planner.NO_EXPANSION,
        planner.NO_PROVISIONER_MATCH,
    }


@pytest.mark.parametrize("strategy", ["copy", "snapshot", "csi-clone"])
def test_prediction_equals_observation_under_an_override(connection, lookup, bed, capsys, strategy) -> None:
    classes = ("default", "copy", "csi-fixed", "plain")
    cases = [Case("files", name, "none", "same", "storage", "") for name in classes]
    cases += [
        Case("device", "csi", "Block", "larger", "storage", ""),
        Case("plain", "plain", "none", "same", "storage", ""),
        Case("snapshot of files", "copy", "none", "larger", "storage", ""),
    ]
    with override(connection, strategy):
        rows = _compare(connection, lookup, bed, cases, f"o-{strategy}")
    _print(capsys, rows)
    assert not [row for row in rows if row["predicted"] != row["observed"]]


def _compare(connection: Connection, lookup, bed: Bed, cases: list[Case], mark: str) -> list[dict[str, Any]]:
    """Foresee all, then make all, and delete each as soon as CDI has said what it does with it."""
    volumes = {f"{mark}-{number}": case.volume(f"{mark}-{number}", bed) for number, case in enumerate(cases)}
    predictions = dict(zip(volumes, predict(Reader(connection), list(volumes.values())), strict=True))
    plans = {name: prediction.plan for name, prediction in predictions.items() if prediction}
    assert plans.keys() == volumes.keys()

    def make(body: dict[str, Any]) -> None:
        typed = {"apiVersion": DATA_VOLUME.api_version, "kind": "DataVolume", **body}
        connection.create(DATA_VOLUME, typed, bed.namespace, dry_run=False)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, volumes.values()))
    observed: dict[str, tuple[Any, Any, Any]] = {}
    deadline = time.monotonic() + _OBSERVED_WITHIN
    while len(observed) < len(volumes) and time.monotonic() < deadline:
        time.sleep(2.1)  # As long as the lookup keeps an answer.
        waiting = [name for name in volumes if name not in observed]
        answers = lookup(*[f"{bed.namespace}/{name}" for name in waiting])
        warnings = _warnings(connection, bed.namespace)
        for name, answer in zip(waiting, answers, strict=True):
            told = [answer["error"] or "", *warnings.get(name, [])]
            error = plans[name].error
            error = error if error and any(error in text for text in told) else None
            method = answer["method"] if answer["observed"] else None
            if (method and error == plans[name].error) or (error and not plans[name].method):
                observed[name] = (method, answer["fallback_reason"], error)
            if name in observed:
                connection.delete(DATA_VOLUME, name, bed.namespace, dry_run=False)
    rows = []
    for (name, plan), case in zip(plans.items(), cases, strict=True):
        predicted = (plan.method, plan.fallback_reason, plan.error)
        rows.append({"case": case, "predicted": predicted, "observed": observed.get(name), "remedy": plan.remedy})
    return rows


def _warnings(connection: Connection, namespace: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in connection.list(EVENT, namespace)[0]:
        if event["type"] == "Warning":
            found.setdefault(event["involvedObject"]["name"], []).append(event.get("message") or "")
    return found


def _print(capsys, rows: list[dict[str, Any]]) -> None:
    with capsys.disabled():
        print()
        for row in rows:
            same = "=" if row["predicted"] == row["observed"] else "DIFFERS"
            told = row["predicted"][1] or row["predicted"][2] or ""
            print(f"{' | '.join(row['case']):75} {row['predicted'][0] or '-':9} {same} {told}")
            if same != "=":
                print(f"    observed: {row['observed']}")
            if row["remedy"]:
                print(f"    faster: {row['remedy']}")
