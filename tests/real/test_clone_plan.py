# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Predicts and creates many clones, and compares the predictions with what CDI does."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone import model
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone.prediction import predict
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume import spec as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.options import VOLUME_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.objects import annotations_of, conditions
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.reader import Reader
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    EVENT,
    PERSISTENT_VOLUME_CLAIM,
    VOLUME_SNAPSHOT_CLASS,
    Resource,
)

from tests.real.clone_setup import (
    NO_DRIVER,
    PLAIN,
    THIN,
    StorageClasses,
    logged_warnings,
    make_snapshot_class,
    override,
    snapshot,
)
from tests.real.objects import Lookup, create, new_namespace, until

_SIZES = {"same": "64Mi", "larger": "96Mi", "smaller": "32Mi", "none": None}
_OBSERVED_WITHIN = 300.0
_ENDED_WITHIN = 420.0
# The messages of drivers when a method is forced.
_WORDS_OF_DRIVERS = {
    model.INCOMPATIBLE_MODES: ("must have the same volume mode", "modifies the mode of the source volume"),
    model.NO_EXPANSION: ("the storageclass that provisions the pvc must support resize",),
    model.INCOMPATIBLE_PROVISIONERS: ("claim in dataSource not bound or invalid", "CSI driver does not support"),
}
# The words of CDI for a target that is too small; the collection names both sizes.
_TOO_SMALL = "target resources requests storage size is smaller than the source"
# Warning events that are not errors: not started, waiting for a source in use, and ended.
_NO_ERRORS = ("Unschedulable", "CloneSourceInUse", "Completed", "Pending")
# Messages that are not errors: the progress of a pod is not available yet, and a conflict of two controllers.
_NO_MATTER = ("/metrics", "the object has been modified")


class CloneSetup(NamedTuple):
    """The namespace, and the classes and sources of the cases by their short names."""

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
        storage = {
            "size": _SIZES[self.size],
            "storage_class_name": setup.classes[self.target_class],
            "volume_mode": None if self.mode == "none" else self.mode,
            "access_modes": ["ReadWriteOnce"] if self.by == "pvc" else None,
        }
        defaults = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
        forced = {"cdi.kubevirt.io/cloneType": self.forced} if self.forced else {}
        kind = setup.sources[self.source]["kind"]
        source = {kind: {"name": setup.sources[self.source]["name"], "namespace": setup.namespace}}
        options = {
            "name": name,
            "namespace": setup.namespace,
            "source": source,
            "annotations": forced,
            self.by: storage,
        }
        return rules.desired({**defaults, **options})


class Seen(NamedTuple):
    """What CDI has reported on a clone: its method, the phase of the DataVolume, and all errors so far.

    `of_helpers` has messages about temporary pods and claims, most of which are transient.
    """

    method: str | None = None
    fallback_reason: str | None = None
    phase: str | None = None
    errors: tuple[str, ...] = ()
    of_helpers: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def setup(connection: Connection) -> Iterator[CloneSetup]:
    """A class for each method and each fallback, and small sources of each kind."""
    with new_namespace(connection, "plan") as namespace:
        yield from _setup(connection, namespace)


def _setup(connection: Connection, mark: str) -> Iterator[CloneSetup]:
    made = StorageClasses(connection, mark)
    # Its name comes after `thin`, so CDI never chooses it by default.
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


def _blank(connection: Connection, namespace: str, name: str, storage_class: str, mode: str) -> None:
    storage = {"resources": {"requests": {"storage": "64Mi"}}, "storageClassName": storage_class, "volumeMode": mode}
    create(connection, DATA_VOLUME, name, namespace, spec={"source": {"blank": {}}, "storage": storage})


def _wait_succeeded(connection: Connection, namespace: str, names: list[str]) -> None:
    def succeeded() -> bool:
        items, _version = connection.list(DATA_VOLUME, namespace)
        phases = {item["metadata"]["name"]: (item.get("status") or {}).get("phase") for item in items}
        return all(phases[name] == "Succeeded" for name in names)

    until(succeeded, 300, f"{', '.join(names)} are not Succeeded")


def _cases(setup: CloneSetup) -> list[Case]:
    """Each source to each class, the other properties random, but the same in every run."""
    draw = random.Random(20260831)
    cases = []
    for source in setup.sources:
        for target_class in setup.classes:
            mode = draw.choice(["none", "Filesystem", "Filesystem", "Block"])
            size = draw.choice(["same", "same", "larger", "larger", "none", "smaller"])
            by = "pvc" if size != "none" and draw.random() < 0.3 else "storage"
            # This class has no driver: only the choice of the method is observable.
            size = "same" if target_class == "no-driver" else size
            forced = draw.choice(["", "", "", "", "", "", "", "copy", "csi-clone", "snapshot"])
            cases.append(Case(source, target_class, mode, size, by, forced))
    return [*cases, Case("files", "csi-fixed", "Filesystem", "larger", "storage", "csi-clone")]


def test_prediction_equals_observation_in_every_generated_case(
    connection: Connection,
    lookup: Lookup,
    setup: CloneSetup,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """66 clones without an override, all of them compared, and many observed until they end."""
    cases = _cases(setup)
    assert len(cases) >= 40
    rows = _compare(connection, lookup, setup, cases, "p", to_the_end=True)
    _print(capsys, rows)
    assert not [row for row in rows if row["predicted"] != row["observed"]]
    assert len([row for row in rows if row["predicted"][3]]) >= 20
    assert {row["predicted"][0] for row in rows} >= {"copy", "snapshot", "csi-clone", None}
    reasons = {row["predicted"][1] for row in rows}
    assert reasons >= {
        model.NO_POPULATOR,
        model.NO_SNAPSHOT_CLASS,
        model.INCOMPATIBLE_PROVISIONERS,
        model.INCOMPATIBLE_MODES,
        model.NO_EXPANSION,
        model.NO_PROVISIONER_MATCH,
    }


@pytest.mark.alone("changes cloneStrategyOverride")
@pytest.mark.parametrize("strategy", ["copy", "snapshot", "csi-clone"])
def test_prediction_equals_observation_under_an_override(
    connection: Connection,
    lookup: Lookup,
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
    lookup: Lookup,
    setup: CloneSetup,
    cases: list[Case],
    mark: str,
    *,
    to_the_end: bool = False,
) -> list[dict[str, Any]]:
    """Predict and create all clones. Delete each when CDI has reported its method, some only when they end."""
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
        time.sleep(2.1)  # The lookup caches its results for this time.
        seen.update(_look(connection, lookup, setup.namespace, {name: seen[name] for name in left}))
        for name, deadline in list(left.items()):
            if _over(plans[name], expected[name], seen[name], name in awaited) or time.monotonic() > deadline:
                connection.delete(DATA_VOLUME, name, setup.namespace, dry_run=False)
                del left[name]
    rows = []
    for (name, plan), case in zip(plans.items(), cases, strict=True):
        # The test does not wait for the end of the others.
        end = True if name in awaited else False if expected[name] else None
        ended = None if end is None else seen[name].phase == "Succeeded"
        observed = (seen[name].method, seen[name].fallback_reason, _error(expected[name], seen[name]), ended)
        predicted = (plan.method, plan.fallback_reason, expected[name], end)
        rows.append({"case": case, "predicted": predicted, "observed": observed, "remedy": plan.remedy})
    return rows


def _expected(plan: model.Plan, case: Case) -> str | None:
    """The predicted error, or an error of a driver, which the API does not predict."""
    if plan.error is None and plan.method == model.CSI_CLONE and case.target_class.startswith("plain"):
        return "CSI driver does not support clone operations"
    if plan.error is None and "to class block-only, the first class of the driver by name" in plan.reason:
        return "the class offers no Filesystem volumes"
    return plan.error


def _awaited(plans: dict[str, model.Plan], cases: list[Case], expected: dict[str, str | None]) -> set[str]:
    """The clones to wait for: those that will succeed, but only two of the slow copies for each reason."""
    awaited, copies = set(), Counter[str | None]()
    for (name, plan), case in zip(plans.items(), cases, strict=True):
        if expected[name] or plan.method is None or case.target_class == "no-driver":
            continue
        if plan.method == model.COPY:
            copies[plan.fallback_reason] += 1
        if plan.method != model.COPY or copies[plan.fallback_reason] <= 2:
            awaited.add(name)
    return awaited


def _over(plan: model.Plan, expected: str | None, seen: Seen, awaited: bool) -> bool:
    if awaited:
        return seen.phase == "Succeeded"
    if expected:
        return _error(expected, seen) == expected and seen.method == plan.method
    return seen.method is not None


def _error(expected: str | None, seen: Seen) -> str | None:
    """The expected error if CDI or the driver reports it, else the first error of a clone without success."""
    words = (
        (_TOO_SMALL,) if model.SMALLER_THAN in (expected or "") else _WORDS_OF_DRIVERS.get(expected or "", (expected,))
    )
    if any(word and word in text for word in words for text in (*seen.errors, *seen.of_helpers)):
        return expected
    return None if seen.phase == "Succeeded" else next(iter(seen.errors), None)


def _look(connection: Connection, lookup: Lookup, namespace: str, before: dict[str, Seen]) -> dict[str, Seen]:
    """What CDI reports on each clone now. The lookup must agree, except for its predictions."""
    answers = lookup(*[f"{namespace}/{name}" for name in before])
    volumes, claims = (_by_name(connection, kind, namespace) for kind in (DATA_VOLUME, PERSISTENT_VOLUME_CLAIM))
    warnings = _warnings(connection, namespace)
    found = {}
    for answer in answers:
        name = answer["name"]
        recorded = annotations_of(claims.get(name))
        method = reason = None
        if answer["observed"]:
            # Before that, the annotation may be only a request.
            method, reason = (recorded.get(f"cdi.kubevirt.io/{key}") for key in ("cloneType", "cloneFallbackReason"))
            assert (answer["method"], answer["fallback_reason"]) == (method, reason), answer
        failed = [text for text in conditions(volumes.get(name)).values() if "Failed" in text.get("reason", "")]
        texts = [recorded.get("cdi.kubevirt.io/cloneError"), *warnings.get(name, [])]
        texts += [text.get("message") for text in failed]
        now = [text for text in texts if text and not any(words in text for words in _NO_MATTER)]
        errors = dict.fromkeys([*before[name].errors, *now])
        phase = (volumes.get(name, {}).get("status") or {}).get("phase")
        # The reason for a copy is also a warning, and appears before CDI records it.
        own = tuple(text for text in errors if text != reason)
        # Temporary objects have the uid of the claim in their names. CDI does not repeat all their messages.
        uid = claims[name]["metadata"]["uid"] if name in claims else None
        of_helpers = [text for about, said in warnings.items() if uid and uid in about for text in said]
        found[name] = Seen(method, reason, phase, own, (*before[name].of_helpers, *of_helpers))
    return found


def _by_name(connection: Connection, resource: Resource, namespace: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in connection.list(resource, namespace)[0]}


def _warnings(connection: Connection, namespace: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in connection.list(EVENT, namespace)[0]:
        if event["type"] == "Warning" and event["reason"] not in _NO_ERRORS:
            found.setdefault(event["involvedObject"]["name"], []).append(event.get("message") or "")
    for event in logged_warnings(9):
        if event["object"].get("namespace") == namespace and event["reason"] not in _NO_ERRORS:
            found.setdefault(event["object"]["name"], []).append(event["msg"])
    return found


def _print(capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]]) -> None:
    with capsys.disabled():
        print()
        for row in rows:
            same = "=" if row["predicted"] == row["observed"] else "DIFFERS"
            outcome = row["predicted"][1] or row["predicted"][2] or ("Succeeded" if row["predicted"][3] else "")
            print(f"{' | '.join(row['case']):75} {row['predicted'][0] or '-':9} {same} {outcome}")
            if same != "=":
                print(f"    observed: {row['observed']}")
            if row["remedy"]:
                print(f"    faster: {row['remedy']}")
