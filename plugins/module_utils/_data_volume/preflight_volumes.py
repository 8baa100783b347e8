# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the volumes that a task will create before its first write, and creates their namespaces."""

from __future__ import annotations

import typing as t

from .._ansible.batch import default_namespace
from .._ansible.module import Task
from .._kubernetes.objects import Key
from .._kubernetes.reader import Reader
from . import spec as rules
from .clone_order import will_be_created
from .drift import drift_of
from .unfilled import never_filled
from .volume import NotRead, Outcomes, Volume, unfailed, with_errors

if t.TYPE_CHECKING:
    from .._storage.scratch import Settings
    from .preflight import Preflight


class LookedBefore(t.NamedTuple):
    """What was read before the first write. Without volumes to create there are no `checks`.

    `images`: the facts of their images by the volumes' keys.
    """

    reader: Reader
    checks: Preflight | None = None
    images: t.Mapping[Key, dict[str, t.Any]] = {}

    @property
    def settings(self) -> Settings | None:
        return self.checks.settings if self.checks else None

    @property
    def created_namespaces(self) -> list[str]:
        return self.checks.created_namespaces if self.checks else []


def look_before_writing(task: Task, outcomes: Outcomes) -> tuple[Outcomes, LookedBefore]:
    """Volumes that cannot be created get an error. Those that stay as they are, or are deleted, cost no request."""
    created = [volume for volume in unfailed(outcomes) if will_be_created(volume) or _will_be_recreated(volume)]
    if not created:
        return outcomes, LookedBefore(Reader(task.connection))
    from .._storage.claims import Planned
    from .preflight import Preflight
    from .preflight_sources import look_at_sources

    present = {key for key, outcome in outcomes.items() if outcome.volume.present}
    checks = Preflight(task, {*present, *_planned_sources(task)})
    looked = look_at_sources(checks, created)
    sized = {key: outcomes[key]._replace(volume=each.volume) for key, each in looked.items()}
    outcomes = with_errors({**outcomes, **sized}, {key: each.error for key, each in looked.items()})
    planned = [
        Planned(
            rules.desired(outcomes[volume.key].volume.options),
            volume.data_volume is not None or volume.collected,
            volume.options["by_default"],
        )
        for volume in created
        if not outcomes[volume.key].error
    ]
    images = {key: each.source.image for key, each in looked.items() if each.source.image}
    outcomes = with_errors(outcomes, checks.find_problems(planned, images))
    return outcomes, LookedBefore(checks.reader, checks, {key: each.source.facts for key, each in looked.items()})


def create_namespaces(looked: LookedBefore, volumes: t.Sequence[Volume]) -> dict[Key, str]:
    """Create the namespaces of volumes that are about to be written; why volumes cannot be created, by their keys."""
    return looked.checks.create_namespaces([volume.key for volume in volumes]) if looked.checks else {}


def _will_be_recreated(volume: Volume) -> bool:
    """Whether it is recreated in any case, because it never held data."""
    if not volume.present or volume.data_volume is None or volume.terminating or isinstance(volume.claim, NotRead):
        return False
    drift = drift_of(volume)
    return bool(drift.lines) and drift.grows_to is None and never_filled(volume.data_volume, volume.claim)


def _planned_sources(task: Task) -> set[Key]:
    """What earlier tasks create, and only check mode does not find."""
    if not task.check_mode:
        return set()
    pairs = (name.rpartition("/")[::2] for name in task.params["planned_sources"])
    return {
        (namespace or task.params["namespace"] or default_namespace(task.connection), name) for namespace, name in pairs
    }
