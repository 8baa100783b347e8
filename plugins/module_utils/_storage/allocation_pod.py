# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures how many bytes of volumes are allocated, by short-lived pods with the image of CDI's cloner."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._ansible.module import Task
from .._cdi.installation import read_operator
from .._cdi.status import active, operator_environment
from .._kubernetes.client import Connection
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Key, Object, key_of
from .._kubernetes.resources import CDI, CDI_CONFIG, CONFIG_NAME, OPERATOR, PERSISTENT_VOLUME_CLAIM, POD
from .._kubernetes.verdict import REACHED
from .._kubernetes.wait import Outcome, wait_for
from .allocation import (
    SECONDS,
    Environment,
    bound,
    filled,
    judge_bound,
    judge_pod,
    measured,
    measuring_pod,
    not_measured,
    obstacle,
    occupant,
)
from .scratch_facts import VolumeAndClaim

_PARALLEL = 8
_BOUND_SECONDS = 10


def measure(task: Task, pairs: t.Iterable[VolumeAndClaim]) -> dict[Key, dict[str, t.Any]]:
    """`allocated_bytes`, `size_bytes` and why they are `not_measured`, of each volume by namespace and name.

    Nothing that goes wrong is an error: it is the reason. A claim that was bound a moment ago may not say so yet: it
    gets some seconds.
    """
    connection = task.connection
    found: dict[Key, dict[str, t.Any]] = {}
    claims: dict[Key, Object] = {}
    for volume, claim in pairs:
        key = key_of(volume)
        if not task.check_mode and filled(volume) and not bound(claim):
            claim = _when_bound(connection, key)
        reason = "Check mode starts no pod." if task.check_mode else obstacle(volume, claim)
        if reason or claim is None:
            found[key] = not_measured(reason or "")
        else:
            claims[key] = claim
    try:
        pods = {namespace: connection.list(POD, namespace)[0] for namespace in sorted({key[0] for key in claims})}
        environment = read_environment(connection) if claims else None
    except CdiError as exc:
        return {**found, **{key: not_measured(str(exc)) for key in claims}}
    with ThreadPoolExecutor(_PARALLEL) as pool:
        results = pool.map(
            lambda key: measure_claim(connection, claims[key], pods[key[0]], t.cast(Environment, environment)), claims
        )
        return {**found, **dict(zip(claims, results, strict=True))}


def read_environment(connection: Connection) -> Environment:
    """Three requests: the operator's Deployment has the image, the CDI object the placement, CDIConfig the pull
    secrets."""
    operator = read_operator(connection)
    variables = operator_environment(operator) if operator else {}
    if not variables.get("CLONER_IMAGE"):
        raise CdiError(
            f"The pod that measures volumes has the image that Deployment {OPERATOR} names as CLONER_IMAGE, "
            "and there is none; install CDI first."
        )
    cdis, _version = connection.list(CDI)
    spec = active(cdis).get("spec") or {}
    status = (connection.get(CDI_CONFIG, CONFIG_NAME) or {}).get("status") or {}
    return Environment(
        variables["CLONER_IMAGE"],
        spec.get("imagePullPolicy") or "IfNotPresent",
        status.get("imagePullSecrets") or [],
        spec.get("workload") or {},
    )


def _when_bound(connection: Connection, key: Key) -> Object | None:
    """The claim of a filled volume after some seconds in which it may bind, as populators rebind it; None on errors."""
    namespace, name = key
    deadline = time.monotonic() + _BOUND_SECONDS
    try:
        return wait_for(
            connection, PERSISTENT_VOLUME_CLAIM, namespace, [name], lambda _name, claim: judge_bound(claim), deadline
        )[name].object
    except CdiError:
        return None


def measure_claim(
    connection: Connection, claim: Object, users: list[Object], environment: Environment, seconds: float = SECONDS
) -> dict[str, t.Any]:
    """Measure one bound claim, which takes at most `seconds`, by a pod on the node of `users`.

    Nothing that goes wrong is an error: it is `not_measured`.
    """
    namespace = claim["metadata"]["namespace"]
    occupied = occupant(claim, users)
    if occupied:
        return not_measured(occupied)
    try:
        outcome, name = run_to_end(connection, measuring_pod(claim, users, environment), seconds)
    except CdiError as exc:
        return not_measured(str(exc))
    if outcome.verdict.state != REACHED:
        return not_measured(f"Pod {namespace}/{name} did not measure it: {outcome.verdict.reason}")
    return measured(t.cast(Object, outcome.object))


def run_to_end(connection: Connection, pod: Object, seconds: float) -> tuple[Outcome, str]:
    """Create a pod, wait for its end, and delete it. Returns what became of it, and its name. Raises CdiError."""
    namespace = pod["metadata"]["namespace"]
    made = connection.create(POD, pod, namespace, dry_run=False)
    name = made["metadata"]["name"]
    deadline = time.monotonic() + seconds
    try:
        return wait_for(connection, POD, namespace, [name], lambda _name, pod: judge_pod(pod), deadline)[name], name
    finally:
        connection.delete(POD, name, namespace, dry_run=False, uid=made["metadata"].get("uid"))
