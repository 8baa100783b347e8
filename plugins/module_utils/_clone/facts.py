# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the API's objects to the plain facts that a clone is planned from. Pure rules."""

from __future__ import annotations

import typing as t

from .._cdi.names import BIND_IMMEDIATELY, COMPONENT, CONTENT_TYPE, METHOD, MINIMUM_SIZE, PREFIX, USE_POPULATOR
from .._cdi.status import active, release
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.quantity import parse
from .._storage.classes import DEFAULT_CLASS, DEFAULT_VIRTUALIZATION_CLASS, default_class
from .._storage.scratch import Settings, overhead_of
from .model import BEING_DELETED, BLOCK, FILESYSTEM, SNAPSHOT_IN_ERROR, Source, StorageClass, Target
from .record import set_by_user

# CDI's own spelling (clone-controller-base.go, v1.65.0).
_VIRTUAL_SIZE = "cdi.Kubervirt.io/virtualSize"
_CAPACITY_THEN = "cdi.Kubervirt.io/sourceCapacity"


class Cluster(t.NamedTuple):
    """What is the same for all clones of a cluster. `default_class` is for claims, `virtualization_class` for disks by
    spec.storage."""

    classes: dict[str, StorageClass]
    default_class: StorageClass | None
    virtualization_class: StorageClass | None
    override: str | None
    snapshot_classes: tuple[tuple[str, str], ...]
    version: tuple[int, ...]
    waits_for_consumers: bool


def cluster(
    cdis: list[Object],
    config: Object,
    storage_classes: list[Object],
    profiles: list[Object],
    csi_drivers: list[Object],
    snapshot_classes: list[Object],
) -> Cluster:
    """The facts from CDI, StorageClass, StorageProfile, CSIDriver and VolumeSnapshotClass objects, and the
    CDIConfig."""
    drivers = {driver["metadata"]["name"] for driver in csi_drivers}
    by_name = {profile["metadata"]["name"]: profile for profile in profiles}
    settings = Settings(config)
    classes = {}
    for stored in storage_classes:
        name = stored["metadata"]["name"]
        classes[name] = _storage_class(
            stored, by_name.get(name), stored["provisioner"] in drivers, overhead_of(settings, name)
        )
    default = default_class(storage_classes, DEFAULT_CLASS)
    virtualization = default_class(storage_classes, DEFAULT_VIRTUALIZATION_CLASS) or default
    cdi = active(cdis)
    return Cluster(
        classes,
        classes.get(default or ""),
        classes.get(virtualization or ""),
        (cdi.get("spec") or {}).get("cloneStrategyOverride"),
        tuple(sorted((item["metadata"]["name"], item["driver"]) for item in snapshot_classes)),
        release((cdi.get("status") or {}).get("observedVersion") or ""),
        "HonorWaitForFirstConsumer" in ((config.get("spec") or {}).get("featureGates") or []),
    )


def _storage_class(stored: Object, profile: Object | None, csi: bool, overhead: float) -> StorageClass:
    spec, status = (profile or {}).get("spec") or {}, (profile or {}).get("status") or {}
    sets = status.get("claimPropertySets") or []
    return StorageClass(
        name=stored["metadata"]["name"],
        provisioner=stored["provisioner"],
        csi=csi,
        expansion=bool(stored.get("allowVolumeExpansion")),
        waits_for_consumer=stored.get("volumeBindingMode") == "WaitForFirstConsumer",
        strategy=status.get("cloneStrategy"),
        strategy_set_by_user=bool(spec.get("cloneStrategy")) or f"{PREFIX}clone-strategy" in annotations_of(stored),
        snapshot_class=status.get("snapshotClass"),
        overhead=overhead,
        minimum=_bytes(annotations_of(profile).get(MINIMUM_SIZE)) or 0,
        claim_property_sets=tuple(
            (tuple(item.get("accessModes") or ()), item.get("volumeMode") or FILESYSTEM) for item in sets
        ),
    )


def _bytes(quantity: t.Any) -> int | None:
    try:
        return None if quantity is None else int(parse(quantity))
    except ValueError:
        return None


def target(volume: Object, known: Cluster) -> Target:
    """What a stored or planned DataVolume requests."""
    spec, annotations = volume["spec"], annotations_of(volume)
    claim = spec.get("storage") or spec.get("pvc") or {}
    by_storage = "storage" in spec
    content_type = spec.get("contentType") or "kubevirt"
    name = claim.get("storageClassName")
    default = known.virtualization_class if by_storage and content_type == "kubevirt" else known.default_class
    # CDI also sets these on a volume.
    populator, forced = set_by_user(volume, USE_POPULATOR), set_by_user(volume, METHOD)
    return Target(
        by_storage=by_storage,
        storage_class=default if name is None else known.classes.get(name),
        class_name=name,
        volume_mode=claim.get("volumeMode"),
        access_modes=tuple(claim.get("accessModes") or ()),
        size=_bytes(((claim.get("resources") or {}).get("requests") or {}).get("storage")),
        content_type=content_type,
        forced=forced,
        populator=None if populator is None else populator == "true",
        permissive=f"{PREFIX}permissiveClone" in annotations,
        immediate=BIND_IMMEDIATELY in annotations or not known.waits_for_consumers,
    )


def claim_source(
    claim: Object, volume: Object | None, owner: Object | None, pods: list[Object], known: Cluster
) -> Source:
    """The source that a claim is. `volume`: its PersistentVolume; `owner`: the DataVolume that fills it; `pods`: its
    namespace's."""
    metadata, spec, status = claim["metadata"], claim["spec"], claim.get("status") or {}
    title = f"{metadata['namespace']}/{metadata['name']}"
    storage_class = (
        known.classes.get(spec["storageClassName"]) if spec.get("storageClassName") is not None else known.default_class
    )
    csi = ((volume or {}).get("spec") or {}).get("csi")
    capacity = _bytes((status.get("capacity") or {}).get("storage"))
    annotations = annotations_of(claim)
    image_size = annotations.get(_VIRTUAL_SIZE, "")
    is_current = capacity is not None and _bytes(annotations.get(_CAPACITY_THEN)) == capacity
    waits = []
    if status.get("phase") != "Bound":
        waits.append(f"PersistentVolumeClaim {title} to be bound (it is {status.get('phase') or 'Pending'})")
    phase = ((owner or {}).get("status") or {}).get("phase")
    if owner is not None and phase != "Succeeded":
        waits.append(f"DataVolume {title} to be filled (it is {phase or 'Pending'})")
    return Source(
        kind="pvc",
        title=title,
        driver=csi["driver"] if csi else storage_class.provisioner if storage_class else "",
        storage_class=storage_class,
        volume_mode=spec.get("volumeMode") or FILESYSTEM,
        request=_bytes(((spec.get("resources") or {}).get("requests") or {}).get("storage")) or 0,
        capacity=capacity,
        content_type="archive" if annotations.get(CONTENT_TYPE) == "archive" else "kubevirt",
        image_size=int(image_size) if is_current and image_size.isdecimal() else None,
        measured=annotations.get(CONTENT_TYPE) == "kubevirt",
        waits=tuple(waits),
        users=tuple(
            f"pod {metadata['namespace']}/{name} using PersistentVolumeClaim {metadata['name']}"
            for name in users(claim, pods)
        ),
        problem=f"{BEING_DELETED} since {metadata['deletionTimestamp']}" if metadata.get("deletionTimestamp") else None,
    )


def owner_name(claim: Object) -> str | None:
    """The DataVolume that must succeed before the claim can be cloned (IsPopulated, .../v1beta1/utils.go)."""
    references = claim["metadata"].get("ownerReferences") or []
    return next(
        (item["name"] for item in references if item.get("controller") and item.get("kind") == "DataVolume"), None
    )


def users(claim: Object, pods: list[Object]) -> list[str]:
    """The pods that CDI waits for before it clones: all that may write (GetPodsUsingPVCs,
    pkg/controller/common/util.go, v1.65.0)."""
    name, namespace = claim["metadata"]["name"], claim["metadata"]["namespace"]
    return [
        pod["metadata"]["name"] for pod in pods if pod["metadata"]["namespace"] == namespace and may_write(pod, name)
    ]


def may_write(pod: Object, claim: str) -> bool:
    """Whether CDI waits for the pod before it clones this claim of the pod's namespace."""
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return False
    labels = pod["metadata"].get("labels") or {}
    if pod["metadata"]["name"].endswith("-source-pod") and labels.get(COMPONENT) == "cdi-clone-source":
        return False
    for volume in pod["spec"].get("volumes") or []:
        used = volume.get("persistentVolumeClaim")
        if not used or used["claimName"] != claim or used.get("readOnly"):
            continue
        for container in pod["spec"].get("containers") or []:
            mounts = [mount for mount in container.get("volumeMounts") or [] if not mount.get("readOnly")]
            if any(item["name"] == volume["name"] for item in [*mounts, *(container.get("volumeDevices") or [])]):
                return True
    return False


def snapshot_source(snapshot: Object, content: Object | None, known: Cluster) -> Source:
    """The source that a VolumeSnapshot with its content is (IsSnapshotValidForClone, pkg/controller/common/util.go,
    v1.65.0)."""
    metadata, status = snapshot["metadata"], snapshot.get("status") or {}
    title = f"{metadata['namespace']}/{metadata['name']}"
    ready = bool(status.get("readyToUse"))
    size = _bytes(status.get("restoreSize"))
    problem = None
    if metadata.get("deletionTimestamp"):
        problem = f"{BEING_DELETED} since {metadata['deletionTimestamp']}"
    elif status.get("error"):
        problem = f"{SNAPSHOT_IN_ERROR}: {status['error'].get('message') or 'no details'}"
    elif not snapshot["spec"].get("volumeSnapshotClassName"):
        named = f"{metadata['name']}/{metadata['namespace']}"
        problem = f"snapshot {named} does not have volume snap class populated, can't clone"
    elif ready and size is None:
        problem = "snapshot has no restore size"
    found = (content or {}).get("spec") or {}
    driver = found.get("driver")
    # To copy a snapshot, CDI restores it to the first class of its driver.
    restored_to = next((item for _name, item in sorted(known.classes.items()) if item.provisioner == driver), None)
    return Source(
        kind="snapshot",
        title=title,
        driver=driver,
        storage_class=restored_to,
        volume_mode=BLOCK if found.get("sourceVolumeMode") == BLOCK else FILESYSTEM,
        request=size or 0,
        capacity=size,
        waits=() if ready else (f"VolumeSnapshot {title} to be ready",),
        problem=problem,
    )
