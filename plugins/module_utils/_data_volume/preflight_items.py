# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which volumes of module data_volume will be created, so that they are looked at before the first write."""

from __future__ import annotations

import typing as t

from .._ansible.batch import default_namespace
from .._ansible.module import Task
from .._kubernetes.reader import Reader
from . import spec as rules
from .clone_order import will_be_made
from .reconcile import Item, drift_of
from .unfilled import never_filled

if t.TYPE_CHECKING:
    from .._storage.scratch import Settings
    from .preflight_reader import Preflight


class Looked(t.NamedTuple):
    """What was read before the first write; no `checks` when nothing is going to be created."""

    reader: Reader
    checks: Preflight | None = None

    @property
    def settings(self) -> Settings | None:
        return self.checks.settings if self.checks else None

    @property
    def created_namespaces(self) -> list[str]:
        return self.checks.created_namespaces if self.checks else []

    def source_image(self, item: Item) -> dict[str, t.Any] | None:
        """The facts of the image that the volume is imported from, if it was looked at."""
        return self.checks.source_images.get(item.key) if self.checks else None


def look_before_writing(task: Task, items: list[Item]) -> Looked:
    """Give each item that cannot be created its error. Items that stay as they are, or are deleted, cost no request."""
    made = [item for item in items if not item.error and (will_be_made(item) or _heals(item))]
    if not made:
        return Looked(Reader(task.connection))
    from .._storage.claims import Planned
    from .preflight_reader import Preflight
    from .preflight_sources import look_at_sources

    checks = Preflight(task, {*(item.key for item in items if item.present), *_planned_sources(task)})
    images = look_at_sources(checks, made)
    checks.source_images.update({key: found.facts for key, found in images.items()})
    planned = [
        Planned(rules.desired(item.volume), item.stored is not None or item.collected, item.volume["by_default"])
        for item in made
        if not item.error
    ]
    errors = checks.check(planned, {key: found.image for key, found in images.items() if found.image})
    for item in items:
        item.error = item.error or errors.get(item.key, "")
    return Looked(checks.reader, checks)


def create_namespaces(looked: Looked, items: list[Item]) -> None:
    """Just before the items are written, and not for those that will not be."""
    errors = looked.checks.create_namespaces([item.key for item in items if not item.error]) if looked.checks else {}
    for item in items:
        item.error = item.error or errors.get(item.key, "")


def _heals(item: Item) -> bool:
    """Whether it is made anew without asking, as it never held data."""
    if not item.present or item.stored is None or item.terminating or not never_filled(item.stored, item.claim):
        return False
    drift = drift_of(item)
    return bool(drift.lines) and drift.grows_to is None


def _planned_sources(task: Task) -> set[tuple[str, str]]:
    """What earlier tasks create, and only check mode does not find."""
    if not task.check_mode:
        return set()
    pairs = (name.rpartition("/")[::2] for name in task.params["planned_sources"])
    return {
        (namespace or task.params["namespace"] or default_namespace(task.connection), name) for namespace, name in pairs
    }
