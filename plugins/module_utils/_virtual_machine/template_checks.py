# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the DataVolumes that KubeVirt will create from new templates, as module data_volume does before it creates
them: storage class, quota, source, and whether the image or the source of a clone fits.
"""

from __future__ import annotations

import typing as t

from .._ansible.module import Task
from .._data_volume.clone_guard import predict_and_check
from .._data_volume.clone_order import clones_of
from .._data_volume.preflight import Preflight
from .._data_volume.preflight_sources import look_at_sources
from .._data_volume.spec import desired
from .._data_volume.volume import Volume
from .._kubernetes.objects import Key
from .._kubernetes.reader import Reader
from .._kubernetes.resources import DATA_VOLUME
from .._storage.claims import Planned
from .growth import in_namespace
from .target import Outcome
from .volume_rules import template_volume


def problems_of_templates(task: Task, reader: Reader, outcomes: t.Sequence[Outcome], deadline: float) -> dict[Key, str]:
    """Why DataVolumes of templates that are about to be added cannot be created or filled, by the keys of machines."""
    machine_of: dict[Key, Key] = {}
    volumes: list[Volume] = []
    for outcome in outcomes:
        added = {change.name for change in outcome.plan if change.added_template is not None}
        for entry in outcome.target.declared.entries:
            if entry.name not in added:
                continue
            options = {**template_volume(entry.disk), "namespace": outcome.key[0], "by_default": False}
            volume = Volume({**options, "require_clone_method": None}, None, None)
            # KubeVirt uses one that exists already.
            if in_namespace(reader, DATA_VOLUME, volume.key) is None:
                machine_of[volume.key] = outcome.key
                volumes.append(volume)
    found: dict[Key, str] = {}
    for key, problem in _problems(task, volumes, deadline).items():
        if problem:
            machine = machine_of[key]
            found[machine] = " ".join(filter(None, (found.get(machine), problem)))
    return found


def _problems(task: Task, volumes: list[Volume], deadline: float) -> dict[Key, str]:
    if not volumes:
        return {}
    # The namespace is that of a machine, and exists.
    task = task._replace(params={**task.params, "create_namespace": False})
    checks = Preflight(task, {volume.key for volume in volumes})
    looked = look_at_sources(checks, volumes)
    errors = {key: each.error for key, each in looked.items()}
    images = {key: each.source.image for key, each in looked.items() if each.source.image}
    planned = [Planned(desired(volume.options)) for volume in volumes if not errors.get(volume.key)]
    # KubeVirt creates the volume, and has nobody who reads the size of the image.
    found = checks.find_problems(planned, images)
    errors |= {key: problem.replace(", or omit the size", "") for key, problem in found.items()}
    clones = [each for each in clones_of(volumes) if not errors.get(each.key)]
    # Who may clone from another namespace is no matter of the user: KubeVirt asks for a service account
    # (pkg/storage/types/dv.go, v1.8.2).
    predictions = predict_and_check(task, clones, deadline, checks.reader).predictions if clones else {}
    for clone in clones:
        plan = predictions[clone.key].plan if clone.key in predictions else None
        if plan and plan.error:
            then = f"; {plan.remedy}" if plan.remedy else ""
            errors[clone.key] = f"DataVolume {clone.title} cannot be cloned: {plan.error}{then}."
    return errors
