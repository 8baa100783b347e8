# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to read beside the first evidence, so that it explains volumes completely. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object
from .diagnose import diagnose
from .evidence import Evidence, RelatedObjects
from .refine import claim_in_use, may_be_silent
from .refusals import QUOTA_EXCEEDED, Worker
from .rules import CLAIM_MISSING, CLAIM_PENDING, CLASS_MISSING, CLONE_SOURCE_IN_USE, WORKER_REFUSED


class Needs(t.NamedTuple):
    """`classes`, `drivers`: of the cluster. `users`, `quotas`: namespaces. `silent`: pods with a log. `workers`:
    rejected pods."""

    classes: bool
    drivers: bool
    users: t.Sequence[str]
    silent: t.Sequence[Object]
    workers: t.Sequence[Worker]
    quotas: t.Sequence[str]


def needs(volumes: t.Iterable[Object], evidence: Evidence) -> Needs:
    """What is left open by the evidence on these volumes."""
    by_cause: dict[str, list[Object]] = {}
    users = set()
    for volume in volumes:
        found = diagnose(volume, evidence)
        by_cause.setdefault(found.cause if found else "", []).append(volume)
        if found and found.cause == CLONE_SOURCE_IN_USE and (key := claim_in_use(found.message)):
            users.add(key[0])
    rejected = [
        (RelatedObjects(volume, evidence).refused(volume), volume["metadata"].get("namespace") or "")
        for cause in (WORKER_REFUSED, QUOTA_EXCEEDED)
        for volume in by_cause.get(cause, ())
    ]
    return Needs(
        classes=CLASS_MISSING in by_cause or CLAIM_PENDING in by_cause,
        drivers=CLAIM_PENDING in by_cause,
        users=sorted(users),
        silent=[pod for volume in by_cause.get("", ()) for pod in may_be_silent(volume, evidence)],
        workers=[worker for worker, _namespace in rejected if worker],
        quotas=list(dict.fromkeys(namespace for worker, namespace in rejected if worker is None)),
    )


def without_claim(volumes: t.Iterable[Object], evidence: Evidence) -> list[Object]:
    """The volumes whose claim CDI has not created, for an unknown reason."""
    return [volume for volume in volumes if (found := diagnose(volume, evidence)) and found.cause == CLAIM_MISSING]
