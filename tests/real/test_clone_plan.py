# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prediction equals observation: many clones are predicted, made, and compared with what the real CDI did."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone import planner
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone.prediction import predict
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume import spec as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.options import VOLUME_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.objects import annotations_of, conditions
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.reader import Reader
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    EVENT,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    VOLUME_SNAPSHOT_CLASS,
    Resource,
)

from tests.real.clone_setup import (
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
_ENDED_WITHIN = 150.0
# How it is said of a method that was forced, and so tried.
_WORDS_OF_DRIVERS = {
    planner.INCOMPATIBLE_MODES: ("must have the same volume mode", "modifies the mode of the source volume"),
    planner.NO_EXPANSION: ("the storageclass that provisions the pvc must support resize",),
    planner.INCOMPATIBLE_PROVISIONERS: ("claim in dataSource not bound or invalid", "CSI driver does not support"),
}
# CDI's own words for a target that is too small; ours name both sizes as users write them.
_TOO_SMALL = "target resources requests storage size is smaller than the source"
# Events of type Warning that tell of no error: of what has not begun, of a source that is busy for now, and of an end.
_NO_ERRORS = ("Unschedulable", "CloneSourceInUse", "Completed", "Pending")
# Nor that a pod could not be asked yet how far it is, and that two controllers wrote at once.
_NO_MATTER = ("/metrics", "the object has been modified")


class CloneSetup(NamedTuple):
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

    def volume(self, name: str, setup: CloneSetup) -> dict[str, Any]:
        asked = {
            "size": _SIZES[self.size],
            "storage_class_name": setup.classes[self.target_class],
            "volume_mode": None if self.mode == "none" else self.mode,
            "access_modes": ["ReadWriteOnce"] if self.by == "pvc" else None,
        }
        defaults = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
        forced = {"cdi.kubevirt.io/cloneType": self.forced} if self.forced else {}
        kind = setup.sources[self.source]["kind"]
        source = {kind: {"name": setup.sources[self.source]["name"], "namespace": setup.namespace}}
        options = {"name": name, "namespace": setup.namespace, "source": source, "annotations": forced, self.by: asked}
        return rules.desired({**defaults, **options})


class Seen(NamedTuple):
    """What CDI has said of a clone: its method, the DataVolume's phase, and every error that was there at some time.

    `of_helpers` is what was said of pods and claims on the way, most of which heals.
    """

    method: str | None = None
    fallback_reason: str | None = None
    phase: str | None = None
    errors: tuple[str, ...] = ()
    of_helpers: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def setup(connection: Connection) -> Iterator[CloneSetup]:
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
        yield CloneSetup(mark, classes, sources)
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


def _cases(setup: CloneSetup) -> list[Case]:
    """Each source to each class, the rest drawn: the same cases in every run."""
    draw = random.Random(20260831)
    cases = []
    for source in setup.sources:
        for target_class in setup.classes:
            mode = draw.choice(["none", "Filesystem", "Filesystem", "Block"])
            size = draw.choice(["same", "same", "larger", "larger", "none", "smaller"])
            by = "pvc" if size != "none" and draw.random() < 0.3 else "storage"
            # Nothing serves that class: what comes after the choice of a method cannot be seen.
            size = "same" if target_class == "no-driver" else size
            forced = draw.choice(["", "", "", "", "", "", "", "copy", "csi-clone", "snapshot"])
            cases.append(Case(source, target_class, mode, size, by, forced))
    return [*cases, Case("files", "csi-fixed", "Filesystem", "larger", "storage", "csi-clone")]


def test_prediction_equals_observation_in_every_generated_case(
    connection: Connection,
    lookup: Callable[..., list[dict[str, Any]]],
    setup: CloneSetup,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """66 clones without an override; nothing is left out of the comparison, and many are followed to their end."""
    cases = _cases(setup)
    assert len(cases) >= 40
    rows = _compare(connection, lookup, setup, cases, "p", to_the_end=True)
    _print(capsys, rows)
    assert not [row for row in rows if row["predicted"] != row["observed"]]
    assert len([row for row in rows if row["predicted"][3]]) >= 20
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


@pytest.mark.alone("changes cloneStrategyOverride")
@pytest.mark.parametrize("strategy", ["copy", "snapshot", "csi-clone"])
def test_prediction_equals_observation_under_an_override(
    connection: Connection,
    lookup: Callable[..., list[dict[str, Any]]],
    setup: CloneSetup,
    capsys: pytest.CaptureFixture[str],
    strategy: str,
) -> None:
    classes = ("default", "copy", "csi-fixed", "plain")
    cases = [Case("files", name, "none", "same", "storage", "") for name in classes]
    cases += [
        Case("device", "csi", "Block", "larger", "storage", ""),
        Case("plain", "plain", "none", "same", "storage", ""),
        Case("snapshot of files", "copy", "none", "larger", "storage", ""),
    ]
    with override(connection, strategy):
        rows = _compare(connection, lookup, setup, cases, f"o-{strategy}")
    _print(capsys, rows)
    assert not [row for row in rows if row["predicted"] != row["observed"]]


def _compare(
    connection: Connection,
    lookup: Callable[..., list[dict[str, Any]]],
    setup: CloneSetup,
    cases: list[Case],
    mark: str,
    *,
    to_the_end: bool = False,
) -> list[dict[str, Any]]:
    """Foresee all, then make all, and delete each when CDI has said what it does with it, some only at their end."""
    volumes = {f"{mark}-{number}": case.volume(f"{mark}-{number}", setup) for number, case in enumerate(cases)}
    predictions = dict(zip(volumes, predict(Reader(connection), list(volumes.values())), strict=True))
    plans = {name: prediction.plan for name, prediction in predictions.items() if prediction}
    assert plans.keys() == volumes.keys()

    def make(body: dict[str, Any]) -> None:
        typed = {"apiVersion": DATA_VOLUME.api_version, "kind": "DataVolume", **body}
        connection.create(DATA_VOLUME, typed, setup.namespace, dry_run=False)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, volumes.values()))
    seen = {name: Seen() for name in volumes}
    expected = {name: _expected(plan, case) for (name, plan), case in zip(plans.items(), cases, strict=True)}
    awaited = _awaited(plans, cases, expected) if to_the_end else set()
    left = dict.fromkeys(volumes, time.monotonic() + _OBSERVED_WITHIN)
    left.update(dict.fromkeys(awaited, time.monotonic() + _ENDED_WITHIN))
    while left:
        time.sleep(2.1)  # As long as the lookup keeps an answer.
        seen.update(_look(connection, lookup, setup.namespace, {name: seen[name] for name in left}))
        for name, deadline in list(left.items()):
            if _over(plans[name], expected[name], seen[name], name in awaited) or time.monotonic() > deadline:
                connection.delete(DATA_VOLUME, name, setup.namespace, dry_run=False)
                del left[name]
    rows = []
    for (name, plan), case in zip(plans.items(), cases, strict=True):
        # Of the others it is not waited for what becomes of them.
        end = True if name in awaited else False if expected[name] else None
        ended = None if end is None else seen[name].phase == "Succeeded"
        observed = (seen[name].method, seen[name].fallback_reason, _error(expected[name], seen[name]), ended)
        predicted = (plan.method, plan.fallback_reason, expected[name], end)
        rows.append({"case": case, "predicted": predicted, "observed": observed, "remedy": plan.remedy})
    return rows


def _expected(plan: planner.Plan, case: Case) -> str | None:
    """The predicted error, and those of drivers, which nothing in the API predicts."""
    if plan.error is None and plan.method == planner.CSI_CLONE and case.target_class.startswith("plain"):
        return "CSI driver does not support clone operations"
    if plan.error is None and "to class block-only, the first of its driver by name" in plan.reason:
        return "the class offers no Filesystem volumes"
    return plan.error


def _awaited(plans: dict[str, planner.Plan], cases: list[Case], expected: dict[str, str | None]) -> set[str]:
    """The clones whose end is waited for: those that will succeed, but of the slow copies only two for each reason."""
    awaited, copies = set(), Counter[str | None]()
    for (name, plan), case in zip(plans.items(), cases, strict=True):
        if expected[name] or plan.method is None or case.target_class == "no-driver":
            continue
        if plan.method == planner.COPY:
            copies[plan.fallback_reason] += 1
        if plan.method != planner.COPY or copies[plan.fallback_reason] <= 2:
            awaited.add(name)
    return awaited


def _over(plan: planner.Plan, expected: str | None, seen: Seen, awaited: bool) -> bool:
    if awaited:
        return seen.phase == "Succeeded"
    if expected:
        return _error(expected, seen) == expected and seen.method == plan.method
    return seen.method is not None


def _error(expected: str | None, seen: Seen) -> str | None:
    """The expected error if CDI or the driver has told it, else the first that was told of a clone without success."""
    words = (
        (_TOO_SMALL,)
        if planner.SMALLER_THAN in (expected or "")
        else _WORDS_OF_DRIVERS.get(expected or "", (expected,))
    )
    if any(word and word in text for word in words for text in (*seen.errors, *seen.of_helpers)):
        return expected
    return None if seen.phase == "Succeeded" else next(iter(seen.errors), None)


def _look(
    connection: Connection, lookup: Callable[..., list[dict[str, Any]]], namespace: str, before: dict[str, Seen]
) -> dict[str, Seen]:
    """What CDI itself says of each clone now, and that the lookup says the same. What that only predicts counts for nothing."""
    answers = lookup(*[f"{namespace}/{name}" for name in before])
    volumes, claims = (_by_name(connection, kind, namespace) for kind in (DATA_VOLUME, PERSISTENT_VOLUME_CLAIM))
    warnings = _warnings(connection, namespace)
    found = {}
    for answer in answers:
        name = answer["name"]
        recorded = annotations_of(claims.get(name))
        method = reason = None
        if answer["observed"]:
            # Before that the annotation may be no more than a wish.
            method, reason = (recorded.get(f"cdi.kubevirt.io/{key}") for key in ("cloneType", "cloneFallbackReason"))
            assert (answer["method"], answer["fallback_reason"]) == (method, reason), answer
        failed = [text for text in conditions(volumes.get(name)).values() if "Failed" in text.get("reason", "")]
        told = [recorded.get("cdi.kubevirt.io/cloneError"), *warnings.get(name, [])]
        told += [text.get("message") for text in failed]
        now = [text for text in told if text and not any(words in text for words in _NO_MATTER)]
        errors = dict.fromkeys([*before[name].errors, *now])
        phase = (volumes.get(name, {}).get("status") or {}).get("phase")
        # The reason for a copy is a warning, too, and comes before CDI has recorded it.
        own = tuple(text for text in errors if text != reason)
        # What becomes a claim has that one's uid in its name, and CDI does not repeat all that is said of it.
        uid = claims[name]["metadata"]["uid"] if name in claims else None
        of_helpers = [text for about, texts in warnings.items() if uid and uid in about for text in texts]
        found[name] = Seen(method, reason, phase, own, (*before[name].of_helpers, *of_helpers))
    return found


def _by_name(connection: Connection, resource: Resource, namespace: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in connection.list(resource, namespace)[0]}


def _warnings(connection: Connection, namespace: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in connection.list(EVENT, namespace)[0]:
        if event["type"] == "Warning" and event["reason"] not in _NO_ERRORS:
            found.setdefault(event["involvedObject"]["name"], []).append(event.get("message") or "")
    return found


def _print(capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]]) -> None:
    with capsys.disabled():
        print()
        for row in rows:
            same = "=" if row["predicted"] == row["observed"] else "DIFFERS"
            told = row["predicted"][1] or row["predicted"][2] or ("Succeeded" if row["predicted"][3] else "")
            print(f"{' | '.join(row['case']):75} {row['predicted'][0] or '-':9} {same} {told}")
            if same != "=":
                print(f"    observed: {row['observed']}")
            if row["remedy"]:
                print(f"    faster: {row['remedy']}")
