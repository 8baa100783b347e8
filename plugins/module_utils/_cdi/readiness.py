# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until CDI works."""

from __future__ import annotations

import functools
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
    """Wait until the API server serves CDI objects. Raises CdiError at the deadline."""

    def established(bounded: Connection) -> Verdict:
        return rules.judge_condition(
            bounded.get(CUSTOM_RESOURCE_DEFINITION, CUSTOM_RESOURCE_DEFINITION_NAME), "Established"
        )

    verdict = poll_until(connection, established, deadline)
    if verdict.state != REACHED:
        raise CdiError(
            f"The API server does not serve CRD {CUSTOM_RESOURCE_DEFINITION_NAME}: {verdict.reason}; "
            "check the conditions of the CRD."
        )


def wait_ready(task: Task, namespace: str, environment: t.Mapping[str, str], deadline: float) -> Object:
    """Wait until CDI of the operator's release works, up to a trial of a DataVolume; return the CDI object.

    `environment` is the operator's. Raises CdiError with what is not ready at the deadline.
    """
    connection, name = task.connection, task.params["name"]
    version = environment.get("OPERATOR_VERSION", "")

    def show(what: str, verdict: Verdict) -> None:
        if verdict.state == WAITING:
            task.progress.waits(version, what, None, verdict.reason)

    outcome = wait_for(
        connection,
        CDI,
        None,
        [name],
        lambda _name, cdi: rules.judge_cdi(cdi, version),
        deadline,
        observe=lambda name, _cdi, verdict: show(f"CDI {name}", verdict),
    )[name]
    if outcome.verdict.state != REACHED:
        raise _not_ready(task, version, namespace, f"CDI {name}", outcome.verdict.reason)
    stored = t.cast(Object, outcome.object)
    looks: dict[str, t.Callable[[Connection], Verdict]] = {
        "components": lambda bounded: rules.judge_components(
            bounded.list(DEPLOYMENT, namespace)[0], environment, stored
        ),
        "the upload API": lambda bounded: rules.judge_condition(bounded.get(API_SERVICE, UPLOAD_API), "Available"),
        "the webhook for DataVolumes": lambda bounded: judge_trial(_try_volume(bounded, namespace)),
    }
    for what, look in looks.items():
        verdict = poll_until(connection, look, deadline, observe=functools.partial(show, what))
        if verdict.state == FAILED:
            raise CdiError(
                f"CDI {version} is installed, but it cannot be verified that DataVolumes can be created: "
                f"{verdict.reason}."
            )
        if verdict.state != REACHED:
            raise _not_ready(task, version, namespace, what, verdict.reason)
    task.progress.ends(version, "ready")
    return stored


def _try_volume(connection: Connection, namespace: str) -> ApiError | None:
    """Why the API server, with CDI's webhook, rejects a DataVolume, by a dry run; None when it accepts it."""
    body = {
        "apiVersion": DATA_VOLUME.api_version,
        "kind": DATA_VOLUME.kind,
        "metadata": {"generateName": "ready-", "namespace": namespace},
        "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Mi"}}}},
    }
    try:
        connection.create(DATA_VOLUME, body, namespace, dry_run=True)
    except ApiError as exc:
        return exc
    return None


def judge_trial(error: ApiError | None) -> Verdict:
    """Whether CDI's webhook answers. The API server checks rights before it calls the webhook, so waiting does not help
    there."""
    if error is None:
        return Verdict(REACHED)
    return Verdict(FAILED if error.code in (401, 403) else WAITING, str(error).rstrip("."))


def _not_ready(task: Task, version: str, namespace: str, what: str, reason: str) -> CdiError:
    troubles = rules.pods_in_trouble(Reader(task.connection).try_read(POD, namespace).items)
    return CdiError(
        f"CDI {version} is not ready after {task.params['wait_timeout']} s: {what}: {reason}. "
        + (
            f"In namespace {namespace}: {'; '.join(troubles)}."
            if troubles
            else f"See the pods in namespace {namespace}, or set a longer wait_timeout."
        )
    )
