# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses a claim: pods, virtual machines, and clones that read it. It is read before data are deleted, and on
request."""

from __future__ import annotations

import threading
import typing as t
from collections import defaultdict

from .._kubernetes.errors import CdiError
from .._kubernetes.mounts import claims_of, first_few, has_ended
from .._kubernetes.objects import Key, Object, key_of
from .._kubernetes.reader import Reader
from .._kubernetes.resources import POD, VIRTUAL_MACHINE, VOLUME_CLONE_SOURCE, Resource
from .names import APP, APP_NAME, COMPONENT, PREFIX

# Pods that fill the claim they mount (pkg/common/common.go, pkg/controller/clone/prep-claim.go, v1.65.0).
_FILLERS = ("importer", "cdi-upload-server", "cdi-populator-prep")
# This pod has the importer's label, but reads the source of a clone (pvc-clone-controller.go, v1.65.0).
_SIZE_DETECTION = "size-detection-"
_CLONER = "cdi-clone-source"
_OWNED_BY_VOLUME = f"{PREFIX}ownedByDataVolume"
_INSTANCE = "VirtualMachineInstance"
# What remains unknown when these cannot be listed.
_UNSEEN = {
    POD: "Pods that use the data",
    VIRTUAL_MACHINE: "Stopped virtual machines that use the data",
    VOLUME_CLONE_SOURCE: "Clones that read the data",
}


class Machine(t.NamedTuple):
    """A VirtualMachine, or a VirtualMachineInstance without one."""

    kind: str
    namespace: str
    name: str

    @property
    def title(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class PodUser(t.NamedTuple):
    """A pod that uses a claim, and the virtual machine that it runs for, if any."""

    namespace: str
    name: str
    machine: Machine | None = None

    @property
    def title(self) -> str:
        return f"{self.namespace}/{self.name}"


class Users(t.NamedTuple):
    """The users of one claim. `machines`: virtual machines with the volume but no pod that uses it; `clones`:
    DataVolumes that read it."""

    pods: tuple[PodUser, ...] = ()
    machines: tuple[Machine, ...] = ()
    clones: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(self)

    @property
    def sentence(self) -> str:
        """What follows "is in use by": `pod demo/a, VirtualMachine demo/vm (pod demo/virt-launcher-vm-x)`."""
        pods = [f"{pod.machine.title} (pod {pod.title})" if pod.machine else f"pod {pod.title}" for pod in self.pods]
        return first_few(
            [
                *pods,
                *(f"{machine.title} (in its template)" for machine in self.machines),
                *(f"the clone to DataVolume {clone}" for clone in self.clones),
            ]
        )

    def refusal(self, title: str, instead: str) -> str:
        """Why the data of `title` (`DataVolume demo/disk`) were not deleted, with `instead` as another remedy."""
        return f"{title} is in use by {self.sentence}, so it was not deleted; {self.remedy}, or {instead}."

    def without(self, machine: str) -> Users:
        """Those that are not a machine of this name, which is in the namespace of the claim."""
        pods = tuple(pod for pod in self.pods if pod.machine is None or pod.machine.name != machine)
        return self._replace(pods=pods, machines=tuple(each for each in self.machines if each.name != machine))

    @property
    def remedy(self) -> str:
        """How to end the use: `stop VirtualMachine demo/vm`."""
        running = dict.fromkeys(pod.machine.title for pod in self.pods if pod.machine)
        ways = [f"delete pod {pod.title}" for pod in self.pods if not pod.machine]
        ways += [f"stop {machine}" for machine in running]
        ways += [f"remove the volume from {machine.title}" for machine in self.machines]
        ways += [f"wait for DataVolume {clone}" for clone in self.clones]
        return first_few(ways, " and ")


class Consumers:
    """What may use claims of one or all namespaces, by claim: pods, VirtualMachines, and CDI's VolumeCloneSources.

    `unseen`: the kinds that the user may not list.
    """

    def __init__(
        self,
        pods: t.Iterable[Object] = (),
        machines: t.Iterable[Object] = (),
        clone_sources: t.Iterable[Object] = (),
        unseen: t.Iterable[Resource] = (),
    ) -> None:
        self.unseen = frozenset(unseen)
        self.pods = {key_of(pod): pod for pod in pods}
        self.machines = {key_of(machine): machine for machine in machines}
        self.running = {
            (namespace, _owner(pod)[1])
            for (namespace, _name), pod in self.pods.items()
            if _owner(pod)[0] == _INSTANCE and not has_ended(pod)
        }
        self.pods_of: dict[Key, list[Object]] = defaultdict(list)
        self.machines_of: dict[Key, list[Machine]] = defaultdict(list)
        self.clones_of: dict[Key, set[Key]] = defaultdict(set)
        for (namespace, _name), pod in self.pods.items():
            for claim in claims_of(pod) if _is_user(pod) else ():
                self.pods_of[namespace, claim].append(pod)
        for (namespace, name), machine in self.machines.items():
            for claim in _claims_of_machine(machine):
                self.machines_of[namespace, claim].append(Machine(VIRTUAL_MACHINE.kind, namespace, name))
        for source in clone_sources:
            if clone := _clone_of(source):
                self.clones_of[source["metadata"]["namespace"], source["spec"]["source"].get("name")].add(clone)

    def machine_of(self, pod: Object) -> Machine | None:
        """The virtual machine that a pod runs for, also through the pod that a hotplugged volume is attached to."""
        namespace, (kind, name) = pod["metadata"]["namespace"], _owner(pod)
        if kind == "Pod" and (namespace, name) in self.pods:
            kind, name = _owner(self.pods[namespace, name])
        if kind != _INSTANCE:
            return None
        # An instance has the name of its VirtualMachine, but may have none.
        return Machine(VIRTUAL_MACHINE.kind if (namespace, name) in self.machines else kind, namespace, name)


def users_of(key: Key, seen: Consumers, leaving: t.Collection[Key] = ()) -> Users:
    """The users of the claim `key`, a (namespace, name). `leaving`: DataVolumes that are also being removed and do not
    count."""
    using = seen.pods_of.get(key, [])
    readers = [pod for pod in using if component(pod) == _CLONER]
    others = tuple(PodUser(*key_of(pod), seen.machine_of(pod)) for pod in using if pod not in readers)
    clones = seen.clones_of.get(key, set())
    cloned = tuple(sorted("/".join(clone) for clone in clones if clone not in set(leaving)))
    if not clones:
        # A copy that no populator makes has nothing but its pod.
        others += tuple(PodUser(*key_of(pod)) for pod in readers)
    attached = {pod.machine for pod in others}
    return Users(others, tuple(each for each in seen.machines_of.get(key, []) if each not in attached), cloned)


def user_facts(key: Key, seen: Consumers) -> Object:
    """The users of the claim `key` as module data_volume_info returns them. Those of an unseen kind are None."""
    users = users_of(key, seen)
    pods = sorted(users.pods)
    attached = {pod.machine for pod in pods if pod.machine and pod.machine.kind == VIRTUAL_MACHINE.kind}
    machines = [
        {
            "name": each.name,
            "running": None if POD in seen.unseen else each in attached or (each.namespace, each.name) in seen.running,
        }
        for each in sorted({*attached, *users.machines})
    ]
    named = [
        {"name": pod.name, "machine": f"{pod.machine.kind}/{pod.machine.name}" if pod.machine else None} for pod in pods
    ]
    return {
        "in_use": True if users else None if seen.unseen else False,
        "pods": None if POD in seen.unseen else named,
        "virtual_machines": None if VIRTUAL_MACHINE in seen.unseen else machines,
        "clones": None if VOLUME_CLONE_SOURCE in seen.unseen else list(users.clones),
    }


def component(pod: Object) -> str | None:
    """Which part of CDI a pod is; None for any other pod."""
    labels = pod["metadata"].get("labels") or {}
    component = labels.get(COMPONENT) if labels.get(APP) == APP_NAME else None
    return None if component is None else str(component)


def _is_user(pod: Object) -> bool:
    """Whether a pod uses the claims that it mounts: it has not ended, and it does not fill them for CDI."""
    filler = component(pod) in _FILLERS and not pod["metadata"]["name"].startswith(_SIZE_DETECTION)
    return not filler and not has_ended(pod)


def _owner(stored: Object) -> tuple[str, str]:
    """Kind and name of the owner of an object, preferably its controller; empty without one."""
    owners = stored["metadata"].get("ownerReferences") or []
    owner = next((owner for owner in owners if owner.get("controller")), owners[0] if owners else {})
    return owner.get("kind", ""), owner.get("name", "")


def _claims_of_machine(machine: Object) -> set[str]:
    """The claims, also by the names of their DataVolumes, that a virtual machine uses at its next start."""
    if machine["metadata"].get("deletionTimestamp"):
        return set()
    spec = machine.get("spec") or {}
    made = {(each.get("metadata") or {}).get("name") for each in spec.get("dataVolumeTemplates") or []}
    volumes = ((spec.get("template") or {}).get("spec") or {}).get("volumes") or []
    requests = (machine.get("status") or {}).get("volumeRequests") or []
    volumes = [*volumes, *(((request.get("addVolumeOptions") or {}).get("volumeSource") or {}) for request in requests)]
    return {claim for claim in made.union(*map(_claims_of_disk, volumes)) if claim}


def _claims_of_disk(volume: Object) -> set[str | None]:
    ephemeral = (volume.get("ephemeral") or {}).get("persistentVolumeClaim")
    claims = (volume.get("persistentVolumeClaim"), ephemeral, volume.get("memoryDump"))
    return {(volume.get("dataVolume") or {}).get("name"), *((claim or {}).get("claimName") for claim in claims)}


def _clone_of(source: Object) -> Key | None:
    """The DataVolume that CDI fills by a VolumeCloneSource from a claim; None if that reads another source."""
    metadata, reference = source["metadata"], (source.get("spec") or {}).get("source") or {}
    if metadata.get("deletionTimestamp") or reference.get("kind") != "PersistentVolumeClaim":
        return None
    kind, name = _owner(source)
    if kind == "DataVolume":
        return metadata["namespace"], name
    namespace, slash, name = ((metadata.get("annotations") or {}).get(_OWNED_BY_VOLUME) or "").partition("/")
    return (namespace, name) if slash else None


class UserReader:
    """Reads the users of claims: three LISTs for each namespace (or for `all_namespaces`), and none before the first
    question. A kind that the user may not list is a warning, once."""

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
        return users_of(key, self._consumers(key[0], pods_required=True), self._leaving)

    def facts(self, key: Key) -> Object:
        """The users of the claim `key` for a result, see `user_facts`."""
        return user_facts(key, self._consumers(key[0]))

    def again(self) -> UserReader:
        """A reader that has read nothing yet."""
        return UserReader(self._reader.again(), self._warn, self._leaving, all_namespaces=self._all)

    def refuse(self, title: str, key: Key) -> None:
        """Raise CdiError when the claim of `title` (`DataVolume demo/disk`), whose data would be deleted, is in use."""
        users = self.users(key)
        if users:
            raise CdiError(users.refusal(title, "set when_in_use=delete to delete it anyway"))

    def _consumers(self, namespace: str, *, pods_required: bool = False) -> Consumers:
        place = None if self._all else namespace
        with self._lock:
            pods = self._reader.read(POD, place)
            if pods.is_forbidden and pods_required:
                raise CdiError(
                    "Cannot determine whether the data are in use: "
                    f"{str(pods.error).rstrip('.')}, or set when_in_use=delete to delete them anyway."
                ) from pods.error
            if place not in self._seen:
                self._seen[place] = Consumers(
                    pods.items,
                    self._reader.read(VIRTUAL_MACHINE, place).items,
                    self._reader.read(VOLUME_CLONE_SOURCE, place).items,
                    frozenset(kind for kind in _UNSEEN if self._is_unseen(kind, place)),
                )
            return self._seen[place]

    def _is_unseen(self, kind: Resource, namespace: str | None) -> bool:
        return self._reader.warn_if_forbidden(kind, namespace, f"{_UNSEEN[kind]} were not looked for", self._warn)
