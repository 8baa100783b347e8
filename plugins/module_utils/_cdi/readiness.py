# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until CDI works."""

from __future__ import annotations

import typing as t

from .._ansible.module import Task
from .._kubernetes.client import Connection
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import API_SERVICE, CDI, CUSTOM_RESOURCE_DEFINITION, DATA_VOLUME, DEPLOYMENT, POD
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .._kubernetes.wait import poll_until, wait_for
from . import status as rules
from .manifest import CUSTOM_RESOURCE_DEFINITION_NAME
from .names import UPLOAD_API


def wait_established(connection: Connection, deadline: float) -> None:
    """Until the API server serves CDI objects."""

    def established(bounded: Connection) -> Verdict:
        return rules.judge_condition(
            bounded.get(CUSTOM_RESOURCE_DEFINITION, CUSTOM_RESOURCE_DEFINITION_NAME), "Established"
        )

    verdict = poll_until(connection, established, deadline)
    if verdict.state != REACHED:
        raise CdiError(f"The CRD {CUSTOM_RESOURCE_DEFINITION_NAME} is not served: {verdict.reason}.")


def wait_ready(task: Task, namespace: str, environment: t.Mapping[str, str], deadline: float) -> Object:
    """Until CDI of the operator's release works, as far as a DataVolume can be created; returns the CDI object.

    `environment` is the operator's.
    """
    connection, name, timeout = task.connection, task.params["name"], task.params["wait_timeout"]
    version = environment.get("OPERATOR_VERSION", "")

    def components(bounded: Connection) -> Verdict:
        return rules.judge_components(bounded.list(DEPLOYMENT, namespace)[0], environment, stored)

    def upload_api(bounded: Connection) -> Verdict:
        return rules.judge_condition(bounded.get(API_SERVICE, UPLOAD_API), "Available")

    def webhook(bounded: Connection) -> Verdict:
        body = {
            "apiVersion": DATA_VOLUME.api_version,
            "kind": DATA_VOLUME.kind,
            "metadata": {"generateName": "ready-", "namespace": namespace},
            "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Mi"}}}},
        }
        try:
            bounded.create(DATA_VOLUME, body, namespace, dry_run=True)
        except ApiError as exc:
            # Rights are looked at before the webhook is: no waiting helps.
            return Verdict(FAILED if exc.code in (401, 403) else WAITING, str(exc).rstrip("."))
        return Verdict(REACHED)

    def failed(what: str, reason: str) -> CdiError:
        troubles = rules.pods_in_trouble(Reader(connection).try_read(POD, namespace).items)
        return CdiError(
            f"CDI {version} is not ready after {timeout} s: {what}: {reason}. "
            + (
                f"In namespace {namespace}: {'; '.join(troubles)}."
                if troubles
                else f"See the pods in namespace {namespace}, or give a longer wait_timeout."
            )
        )

    def shown(what: str, verdict: Verdict) -> Verdict:
        if verdict.state == WAITING:
            task.progress.waits(version, what, None, verdict.reason)
        return verdict

    def polled(what: str, probe: t.Callable[[Connection], Verdict]) -> Verdict:
        return poll_until(connection, lambda bounded: shown(what, probe(bounded)), deadline)

    outcome = wait_for(
        connection, CDI, None, [name], lambda _name, cdi: shown(f"CDI {name}", rules.judge_cdi(cdi, version)), deadline
    )[name]
    if outcome.verdict.state != REACHED:
        raise failed(f"CDI {name}", outcome.verdict.reason)
    stored = t.cast(Object, outcome.object)
    for what, probe in (
        ("components", components),
        ("the upload API", upload_api),
        ("the webhook for DataVolumes", webhook),
    ):
        verdict = polled(what, probe)
        if verdict.state == FAILED:
            raise CdiError(
                f"CDI {version} is installed, but it cannot be verified that DataVolumes can be created: {verdict.reason}."
            )
        if verdict.state != REACHED:
            raise failed(what, verdict.reason)
    task.progress.ends(version, "ready")
    return stored
