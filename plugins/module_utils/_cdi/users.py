# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses a claim: pods, virtual machines, and clones that read it. It is read before data are deleted."""

from __future__ import annotations

import threading
import typing as t

from .._kubernetes.errors import CdiError
from .._kubernetes.mounts import first_few, is_mounted
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import POD, VIRTUAL_MACHINE, VOLUME_CLONE_SOURCE, Resource
from .names import APP, APP_NAME, COMPONENT, PREFIX

# Pods that fill the claim they mount (pkg/common/common.go, pkg/controller/clone/prep-claim.go, v1.65.0).
_FILLERS = ("importer", "cdi-upload-server", "cdi-populator-prep")
# This pod has the importer's label, but reads the source of a clone (pvc-clone-controller.go, v1.65.0).
_SIZE_DETECTION = "size-detection-"
_CLONER = "cdi-clone-source"
_OWNED_BY_VOLUME = f"{PREFIX}ownedByDataVolume"
# What remains unknown when these cannot be listed.
_UNSEEN = {
    VIRTUAL_MACHINE: "Stopped virtual machines that use the data",
    VOLUME_CLONE_SOURCE: "Clones that read the data",
}

Key = tuple[str, str]


class PodUser(t.NamedTuple):
    """A pod that uses a claim, and what it runs for: `VirtualMachine demo/vm`, or nothing."""

    title: str
    machine: str = ""


class Users(t.NamedTuple):
    """The users of one claim. `machines`: virtual machines with the volume but no pod that uses it; `clones`:
    DataVolumes that read it."""

    pods: tuple[PodUser, ...] = ()
    machines: tuple[str, ...] = ()
    clones: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(self)

    @property
    def sentence(self) -> str:
        """What follows "is in use by": `pod demo/a, VirtualMachine demo/vm (pod demo/virt-launcher-vm-x)`."""
        pods = [f"{pod.machine} (pod {pod.title})" if pod.machine else f"pod {pod.title}" for pod in self.pods]
        return first_few(
            [
                *pods,
                *(f"{machine} (in its template)" for machine in self.machines),
                *(f"the clone to DataVolume {clone}" for clone in self.clones),
            ]
        )

    @property
    def remedy(self) -> str:
        """How to end the use: `stop VirtualMachine demo/vm`."""
        running = dict.fromkeys(pod.machine for pod in self.pods if pod.machine)
        ways = [f"delete pod {pod.title}" for pod in self.pods if not pod.machine]
        ways += [f"stop {machine}" for machine in running]
        ways += [f"remove the volume from {machine}" for machine in self.machines]
        ways += [f"wait for DataVolume {clone}" for clone in self.clones]
        return first_few(ways, " and ")


class Consumers(t.NamedTuple):
    """What may use claims of one or all namespaces: pods, VirtualMachines, and CDI's VolumeCloneSources."""

    pods: t.Sequence[Object] = ()
    machines: t.Sequence[Object] = ()
    clone_sources: t.Sequence[Object] = ()


def users_of(key: Key, seen: Consumers, leaving: t.Collection[Key] = ()) -> Users:
    """The users of the claim `key`, a (namespace, name). `leaving`: DataVolumes that are also being removed and do not
    count."""
    namespace, name = key
    pods = {pod["metadata"]["name"]: pod for pod in seen.pods if pod["metadata"]["namespace"] == namespace}
    machines = {
        machine["metadata"]["name"]: machine
        for machine in seen.machines
        if machine["metadata"]["namespace"] == namespace
    }
    using = [pod for pod in pods.values() if _is_user(pod, name)]
    readers = [pod for pod in using if component(pod) == _CLONER]
    others = tuple(
        PodUser(f"{namespace}/{pod['metadata']['name']}", _machine(pod, pods, machines))
        for pod in using
        if pod not in readers
    )
    clones = {clone for source in seen.clone_sources if (clone := _clone_of(source, key))}
    cloned = tuple(sorted("/".join(clone) for clone in clones if clone not in set(leaving)))
    if not clones:
        # A copy that no populator makes has nothing but its pod.
        others += tuple(PodUser(f"{namespace}/{pod['metadata']['name']}") for pod in readers)
    running = {pod.machine for pod in others}
    named = [f"VirtualMachine {namespace}/{title}" for title, machine in machines.items() if _names(machine, name)]
    return Users(others, tuple(machine for machine in named if machine not in running), cloned)


def component(pod: Object) -> str | None:
    """Which part of CDI a pod is; None for any other pod."""
    labels = pod["metadata"].get("labels") or {}
    component = labels.get(COMPONENT) if labels.get(APP) == APP_NAME else None
    return None if component is None else str(component)


def _is_user(pod: Object, claim: str) -> bool:
    if component(pod) in _FILLERS and not pod["metadata"]["name"].startswith(_SIZE_DETECTION):
        return False
    return is_mounted(pod, claim)


def _owner(stored: Object) -> tuple[str, str]:
    """Kind and name of the owner of an object, preferably its controller; empty without one."""
    owners = stored["metadata"].get("ownerReferences") or []
    owner = next((owner for owner in owners if owner.get("controller")), owners[0] if owners else {})
    return owner.get("kind", ""), owner.get("name", "")


def _machine(pod: Object, pods: dict[str, Object], machines: dict[str, Object]) -> str:
    """The virtual machine that a pod runs for, also through the pod that a hotplugged volume is attached to; `` if
    none."""
    kind, name = _owner(pod)
    if kind == "Pod" and name in pods:
        kind, name = _owner(pods[name])
    if kind != "VirtualMachineInstance":
        return ""
    # An instance has the name of its VirtualMachine, but may have none.
    return f"{'VirtualMachine' if name in machines else kind} {pod['metadata']['namespace']}/{name}"


def _names(machine: Object, claim: str) -> bool:
    """Whether a virtual machine uses the claim, or its DataVolume, at its next start."""
    if machine["metadata"].get("deletionTimestamp"):
        return False
    spec = machine.get("spec") or {}
    if any((each.get("metadata") or {}).get("name") == claim for each in spec.get("dataVolumeTemplates") or []):
        return True
    volumes = ((spec.get("template") or {}).get("spec") or {}).get("volumes") or []
    requests = (machine.get("status") or {}).get("volumeRequests") or []
    volumes = [*volumes, *(((request.get("addVolumeOptions") or {}).get("volumeSource") or {}) for request in requests)]
    return any(claim in _claims_of_disk(volume) for volume in volumes)


def _claims_of_disk(volume: Object) -> set[str | None]:
    ephemeral = (volume.get("ephemeral") or {}).get("persistentVolumeClaim")
    claims = (volume.get("persistentVolumeClaim"), ephemeral, volume.get("memoryDump"))
    return {(volume.get("dataVolume") or {}).get("name"), *((claim or {}).get("claimName") for claim in claims)}


def _clone_of(source: Object, key: Key) -> Key | None:
    """The DataVolume that CDI fills by a VolumeCloneSource from the claim `key`; None if that reads another source."""
    metadata, reference = source["metadata"], (source.get("spec") or {}).get("source") or {}
    if (
        metadata.get("deletionTimestamp")
        or reference.get("kind") != "PersistentVolumeClaim"
        or (metadata["namespace"], reference.get("name")) != key
    ):
        return None
    kind, name = _owner(source)
    if kind == "DataVolume":
        return metadata["namespace"], name
    namespace, slash, name = ((metadata.get("annotations") or {}).get(_OWNED_BY_VOLUME) or "").partition("/")
    return (namespace, name) if slash else None


class UserReader:
    """Reads the users of claims: three LISTs for each namespace (or for `all_namespaces`), and none before the first
    question.

    It requires the right to list pods. What else is forbidden is a warning, once.
    """

    def __init__(
        self,
        reader: Reader,
        warn: t.Callable[[str], None],
        leaving: t.Collection[Key] = (),
        *,
        all_namespaces: bool = False,
    ) -> None:
        self._reader, self._warn, self._leaving, self._all = reader, warn, frozenset(leaving), all_namespaces
        self._seen: dict[str | None, Consumers] = {}
        self._lock = threading.Lock()

    def users(self, key: Key) -> Users:
        """The users of the claim `key`. Raises CdiError when pods cannot be listed."""
        namespace = None if self._all else key[0]
        with self._lock:
            if namespace not in self._seen:
                self._seen[namespace] = self._read(namespace)
        return users_of(key, self._seen[namespace], self._leaving)

    def again(self) -> UserReader:
        """A reader that has read nothing yet."""
        return UserReader(self._reader.again(), self._warn, self._leaving, all_namespaces=self._all)

    def refuse(self, title: str, key: Key) -> None:
        """Raise CdiError when the claim of `title` (`DataVolume demo/disk`), whose data would be deleted, is in use."""
        users = self.users(key)
        if users:
            raise CdiError(
                f"{title} is in use by {users.sentence}, so it was not deleted; "
                f"{users.remedy}, or set when_in_use=delete to delete it anyway."
            )

    def _read(self, namespace: str | None) -> Consumers:
        pods = self._reader.read(POD, namespace)
        if pods.is_forbidden:
            raise CdiError(
                "Cannot determine whether the data are in use: "
                f"{str(pods.error).rstrip('.')}, or set when_in_use=delete to delete them anyway."
            ) from pods.error
        return Consumers(
            pods.items, self._optional(VIRTUAL_MACHINE, namespace), self._optional(VOLUME_CLONE_SOURCE, namespace)
        )

    def _optional(self, resource: Resource, namespace: str | None) -> list[Object]:
        found = self._reader.read(resource, namespace)
        self._reader.warn_if_forbidden(resource, namespace, f"{_UNSEEN[resource]} were not looked for", self._warn)
        return found.items
