# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports DataVolumes and their claims."""

from __future__ import annotations

import typing as t

from .._ansible.argspec import ArgumentSpec
from .._ansible.missing import ON_MISSING, SKIP, missing_namespace, report_missing
from .._ansible.module import Task
from .._cdi.users import UserReader
from .._clone.dependence import depends_on
from .._data_volume.collected import as_volume, is_collected
from .._data_volume.facts import volume_facts
from .._data_volume.moved import moved_from
from .._diagnosis.diagnose import explain
from .._diagnosis.evidence_reader import EvidenceReader
from .._kubernetes.client import Connection
from .._kubernetes.errors import NotServed
from .._kubernetes.objects import Key, Object, key_of
from .._kubernetes.reader import Reader
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from .._storage.allocation_pod import measure
from .._storage.scratch import orphaned_scratch
from .._storage.scratch_claims import look_for, read_settings
from .._storage.scratch_facts import ObservedScratch, VolumeAndClaim

SPEC = ArgumentSpec(
    {
        "name": {"type": "str"},
        "names": {"type": "list", "elements": "str"},
        "namespace": {"type": "str"},
        "label_selectors": {"type": "list", "elements": "str", "default": []},
        "verify_allocation": {"type": "bool", "default": False},
        "find_users": {"type": "bool", "default": False},
        **ON_MISSING.options,
    },
    required_by={"name": ["namespace"], "names": ["namespace"]},
    mutually_exclusive=[("name", "names")],
)


def run(task: Task) -> dict[str, t.Any]:
    """Two LISTs for any number of volumes. Only the claims show why a clone fell back, whether preallocation was
    applied, and which volumes CDI deleted after they had succeeded.

    Where scratch space may be needed, more requests: CDIConfig, the CDI object and the events of claims; the storage
    profiles for volumes that are not filled, the storage classes for volumes without a class, and the scratch claim of
    a volume that is given by its name. For volumes that have not succeeded: Warning events, CDI's pods and claims, and
    CDI's controller if these explain nothing.

    With `find_users`, three LISTs for the users of any number of volumes.
    """
    connection, namespace, name = task.connection, task.params["namespace"], task.params["name"]
    names = {name} if name else None if task.params["names"] is None else set(task.params["names"])
    field_selector = f"metadata.name={name}" if name else ""
    try:
        volumes, _version = connection.list(
            DATA_VOLUME,
            namespace,
            label_selector=",".join(task.params["label_selectors"]),
            field_selector=field_selector,
        )
        items, _version = connection.list(PERSISTENT_VOLUME_CLAIM, namespace, field_selector=field_selector)
    except NotServed as exc:
        report_missing([str(exc)], task.params["on_missing"], task.warn)
        volumes, items = [], []
    claims = {key_of(claim): claim for claim in items}
    left = [pair for pair in _collected(task, volumes, items) if names is None or key_of(pair.volume)[1] in names]
    volumes = [volume for volume in volumes if names is None or key_of(volume)[1] in names]
    pairs = [VolumeAndClaim(volume, claims.get(key_of(volume))) for volume in volumes]
    collected = {key_of(pair.volume) for pair in left}
    missing = sorted((names or set()) - {key_of(pair.volume)[1] for pair in [*pairs, *left]})
    if namespace and task.params["on_missing"] != SKIP and (missing or not [*pairs, *left]):
        report_missing(_missing(connection, namespace, missing), task.params["on_missing"], task.warn)
    seen = look_for(connection, namespace, pairs, None if name else items)
    settings = read_settings(connection, pairs)
    # Before a pod measures the volumes: it would count as a user.
    users, not_readable = _users(task, [key_of(pair.volume) for pair in [*pairs, *left]])
    allocated = measure(task, [*pairs, *left]) if task.params["verify_allocation"] else {}
    unfinished = [volume for volume in volumes if (volume.get("status") or {}).get("phase") != "Succeeded"]
    around = (
        EvidenceReader(connection, namespace).probe(unfinished, claims=None if name else items) if unfinished else None
    )

    def facts(pair: VolumeAndClaim) -> dict[str, t.Any]:
        key = key_of(pair.volume)
        return {
            "name": key[1],
            "namespace": key[0],
            **volume_facts(
                None if key in collected else pair.volume,
                pair.claim,
                settings,
                seen.get(key, ObservedScratch()),
                allocated.get(key),
            ),
            "depends_on": depends_on(None if key in collected else pair.volume, pair.claim),
            "moved_from": moved_from(pair.volume, pair.claim),
            "diagnosis": None if key in collected else explain(pair.volume, around),
            "users": users.get(key),
        }

    return {
        "changed": False,
        "data_volumes": [facts(pair) for pair in sorted([*pairs, *left], key=lambda pair: key_of(pair.volume))],
        "scratch_without_volume": ["/".join(key) for key in orphaned_scratch(items)] if names is None else [],
        "not_readable": not_readable,
    }


def _users(task: Task, keys: list[Key]) -> tuple[dict[Key, Object], list[str]]:
    """The users of each volume if the task looks for them, and which of them the user may not list."""
    not_readable: list[str] = []

    def warn(text: str) -> None:
        not_readable.append(text)
        task.warn(text)

    if not task.params["find_users"]:
        return {}, []
    reader = UserReader(Reader(task.connection), warn, all_namespaces=not task.params["namespace"])
    return {key: reader.facts(key) for key in keys}, not_readable


def _collected(task: Task, volumes: list[Object], claims: list[Object]) -> list[VolumeAndClaim]:
    """Volumes that CDI deleted after they had succeeded. Their claims have their labels."""
    there = set(map(key_of, volumes))
    left = [claim for claim in claims if is_collected(claim) and key_of(claim) not in there]
    if left and task.params["label_selectors"]:
        some = task.connection.list(
            PERSISTENT_VOLUME_CLAIM, task.params["namespace"], label_selector=",".join(task.params["label_selectors"])
        )[0]
        selected = set(map(key_of, some))
        left = [claim for claim in left if key_of(claim) in selected]
    return [VolumeAndClaim(as_volume(claim), claim) for claim in left]


def _missing(connection: Connection, namespace: str, names: list[str]) -> list[str]:
    """What is missing: the namespace, or DataVolumes of these names. A namespace may have no DataVolume."""
    gone = missing_namespace(connection, namespace)
    if gone:
        return [gone]
    return [f"DataVolume '{namespace}/{name}' does not exist; correct its name, or create it." for name in names]
