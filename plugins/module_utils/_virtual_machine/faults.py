# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a machine from running, or from attaching a disk, and what to do about it. Pure rules.

KubeVirt never gives up on a machine: it reports what went wrong, and tries again. A condition is overwritten by what
follows from the problem, so that the events of the instance count as well.
"""

from __future__ import annotations

import re
import typing as t

from .._diagnosis.diagnose import diagnose as diagnose_volume
from .._diagnosis.diagnose import explain
from .._diagnosis.evidence import Evidence
from .._diagnosis.helpers import age
from .._diagnosis.rules import LASTING, Diagnosis
from .._kubernetes.objects import Object, conditions
from .._kubernetes.public import redact_urls
from .._kubernetes.verdict import FAILED, WAITING, Verdict
from .elements import Element, elements_of, template_spec, templates_of
from .fault_rules import CLAIM_MISSING, CLAIM_PENDING, NOT_SYNCHRONIZED, NOTHING_TO_BOOT, VOLUME_FILLING, matched
from .target import phase_of

_STARTED, _TAKEN_OVER = "Running", ("Scheduled", "Running")
_FILLED = ("Succeeded", "WaitForFirstConsumer", "PendingPopulation")
_LAUNCHER = re.compile(r"Message='(.*)'\)\"?$", re.DOTALL)
# What follows from another problem of the same instance, which an event has reported before.
_SYMPTOM = re.compile("still not ready after one minute|server error|Synchronizing with the Domain failed")
_MOST_CHARACTERS = 500
# A machine without a condition for so long is not processed.
_UNPROCESSED_SECONDS = 15.0


class Surroundings(t.NamedTuple):
    """What was read around the machines of a namespace: `evidence` has its Warning events, and what CDI has created.

    `volumes`: DataVolumes by their names. `pods`: those of KubeVirt. `agents`: whether virt-handler is ready, by the
    names of its nodes; None if they could not be read.
    """

    evidence: Evidence = Evidence()
    volumes: t.Mapping[str, Object] = {}
    claims: t.Mapping[str, Object] = {}
    pods: t.Sequence[Object] = ()
    agents: t.Mapping[str, bool] | None = None


NOTHING_READ: t.Final = Surroundings()


def diagnose(
    machine: Object | None,
    instance: Object | None,
    around: Surroundings = NOTHING_READ,
    attached: t.Mapping[str, Element] | None = None,
) -> Diagnosis | None:
    """The problem of a machine that does not run yet, or of the disks that it shall attach; None if none is known."""
    disks = elements_of((instance or {}).get("spec") or template_spec(machine or {}))
    of_machine = _condition(machine, "Failure", "True")
    found = matched([of_machine])
    templates = templates_of(machine or {})
    found = found or _volume(attached or disks, templates, around)
    if found is None and attached:
        found = _blocked(
            _volume({name: each for name, each in disks.items() if each.is_hotpluggable}, templates, around)
        )
    texts = [text for text in _statements(machine, instance, around) if text]
    found = found or matched(texts) or _agent(instance, around)
    if found is None and (texts or of_machine):
        causes = [text for text in texts if not _SYMPTOM.search(text)]
        text = (causes or texts or [of_machine])[0]
        found = Diagnosis(
            NOT_SYNCHRONIZED,
            f"KubeVirt reports: {text}",
            "correct what the message names; the events of the VirtualMachineInstance have more",
            None,
        )
    return _refined(found, disks, around) if found else _unprocessed(machine, instance)


def boots_nothing(console: str) -> Diagnosis | None:
    """The problem of a machine that has started, by the last lines of its console: SeaBIOS gives up on its disks."""
    lines = [line.strip() for line in console.splitlines() if line.strip()]
    if not lines or not lines[-1].startswith("No bootable device"):
        return None
    failed = next((line for line in reversed(lines) if line.startswith("Boot failed")), lines[-1])
    return Diagnosis(
        NOTHING_TO_BOOT,
        f"its firmware finds nothing to boot ({failed}): the disk is empty, or its image is for another "
        "architecture or for EFI",
        "fill the disk that has the first boot_order with a bootable image, or set firmware.bootloader.efi",
        None,
    )


def verdict_of(found: Diagnosis) -> Verdict:
    """A problem as the verdict on what is waited for."""
    reason = f"{found.message}; {found.remedy}"
    return Verdict(WAITING, reason) if found.grace is None else Verdict(FAILED, reason, found.grace)


def _condition(stored: Object | None, kind: str, status: str) -> str:
    """The reason and the message of a condition that is set; `` if it is not."""
    condition = conditions(stored).get(kind) or {}
    if condition.get("status") != status:
        return ""
    reason = str(condition.get("reason") or "")
    # virt-handler has a sentence for a reason.
    return _tidy(": ".join(filter(None, ("" if " " in reason else reason, condition.get("message")))))


def _statements(machine: Object | None, instance: Object | None, around: Surroundings) -> t.Iterator[str]:
    """What conditions, events and pods say about an instance that should run."""
    yield _condition(instance, "Synchronized", "False")
    yield _condition(instance, "PodScheduled", "False")
    pods = _pods_of(instance, around)
    waiting = {pod["metadata"]["uid"] for pod in pods if (pod.get("status") or {}).get("phase") == "Pending"}
    for event in around.evidence.events:
        about = event["involvedObject"]
        if event.get("reason") == "SyncFailed" and _is_about(about, machine, instance):
            yield _tidy(event.get("message") or "")
        elif about.get("uid", "") in waiting:
            yield _tidy(f"{event.get('reason')}: {event.get('message') or ''}")
    for pod in pods:
        status = pod.get("status") or {}
        for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
            state = (container.get("state") or {}).get("waiting") or {}
            if state.get("message"):
                yield _tidy(f"{state.get('reason')}: {state['message']}")
        yield _condition(pod, "PodScheduled", "False")


def _is_about(about: Object, machine: Object | None, instance: Object | None) -> bool:
    """Whether an event is about an instance that starts, or about an earlier one if the machine fails to start again
    and again."""
    if phase_of(instance) == _STARTED or about.get("kind") != "VirtualMachineInstance":
        return False
    if ((machine or {}).get("status") or {}).get("startFailure"):
        return bool(about.get("name") == (machine or {})["metadata"]["name"])
    return instance is not None and bool(about.get("uid") == instance["metadata"].get("uid", ""))


def _pods_of(instance: Object | None, around: Surroundings) -> list[Object]:
    """The pod of an instance, and those to which its volumes are attached."""
    owners = {(instance or {}).get("metadata", {}).get("uid")} - {None}
    found: list[Object] = []
    while owners:
        some = [pod for pod in around.pods if owners & {each["uid"] for each in _owners(pod)} and pod not in found]
        found += some
        owners = {pod["metadata"]["uid"] for pod in some}
    return found


def _owners(stored: Object) -> list[Object]:
    return stored["metadata"].get("ownerReferences") or []


def _volume(
    disks: t.Mapping[str, Element], templates: t.Mapping[str, Object], around: Surroundings
) -> Diagnosis | None:
    """The problem of the first DataVolume that is not filled."""
    for disk, element in disks.items():
        name = element.claim or ""
        stored = around.volumes.get(name)
        if stored is None or (stored.get("status") or {}).get("phase") in _FILLED:
            continue
        made = "DataVolume of its template" if name in templates else "DataVolume"
        title = f"disk {disk!r} waits for {made} {name!r}"
        status = stored.get("status") or {}
        found = explain(stored, around.evidence, late=status.get("phase") == "UploadReady")
        phase = f"phase {status.get('phase') or 'Pending'}"
        if found is None:
            progress = status.get("progress") or "N/A"
            return Diagnosis(
                VOLUME_FILLING,
                f"{title} ({phase}, progress {progress})",
                "wait until CDI has filled it: KubeVirt then continues by itself",
                None,
            )
        message = f"{title} ({phase}): {found['message']}"
        known = diagnose_volume(stored, around.evidence)
        return Diagnosis(found["cause"], message, found["remedy"], known and known.grace, found["since"] or "")
    return None


def _blocked(found: Diagnosis | None) -> Diagnosis | None:
    """The problem of another disk: KubeVirt attaches none before the volumes of all of them are ready
    (pkg/virt-controller/watch/vmi/volume-hotplug.go podVolumesMatchesReadyVolumes, v1.8.2)."""
    return found and found._replace(message=f"KubeVirt attaches no disk while {found.message}")


def _agent(instance: Object | None, around: Surroundings) -> Diagnosis | None:
    """The problem of an instance whose node has no virt-handler, which starts it and attaches its disks."""
    node = ((instance or {}).get("status") or {}).get("nodeName")
    if not node or phase_of(instance) not in _TAKEN_OVER or around.agents is None or around.agents.get(node):
        return None
    return Diagnosis(
        "agent_down",
        f"virt-handler of KubeVirt, which starts machines and attaches disks, does not run on node {node!r}",
        "ask an administrator to check DaemonSet virt-handler and the node, or let the machine run on another node",
        LASTING,
    )


def _unprocessed(machine: Object | None, instance: Object | None) -> Diagnosis | None:
    """The problem of a machine about which KubeVirt says nothing."""
    if machine is None or instance is not None or conditions(machine):
        return None
    seconds = age(machine["metadata"].get("creationTimestamp"))
    if seconds < _UNPROCESSED_SECONDS:
        return None
    return Diagnosis(
        "not_processed",
        f"KubeVirt has not processed it for {seconds:.0f} s",
        "ask an administrator to check that Deployments virt-controller and virt-api run and answer in time",
        None,
    )


def _refined(found: Diagnosis, disks: t.Mapping[str, Element], around: Surroundings) -> Diagnosis:
    """The diagnosis with the disks of a missing claim, and why a claim is not bound."""
    if found.cause == CLAIM_MISSING:
        named = re.search(r"PVC (?:[^\s/]+/)?(\S+) (?:does not exist|not found)", found.message)
        claim = named.group(1) if named else ""
        users = [(name, each) for name, each in disks.items() if each.claim == claim]
        kind = "DataVolume" if any(each.source == "dataVolume" for _name, each in users) else "claim"
        of = "".join(f" of disk {name!r}" for name, _each in users[:1])
        return found._replace(message=f"{kind} {claim!r}{of} does not exist; KubeVirt waits for it")
    if found.cause == CLAIM_PENDING:
        for name, element in disks.items():
            claim_of_disk = around.claims.get(element.claim or "")
            if claim_of_disk is None or (claim_of_disk.get("status") or {}).get("phase") == "Bound":
                continue
            why = explain(claim_of_disk, around.evidence)
            if why:
                message = f"claim {element.claim!r} of disk {name!r} is not bound: {why['message']}"
                return Diagnosis(why["cause"], message, why["remedy"], LASTING, why["since"] or "")
    return found


def _tidy(text: str) -> str:
    """KubeVirt's text on one line, without secrets in URLs. Of an error of virt-launcher, only libvirt's message."""
    text = " ".join(redact_urls(str(text)).split())
    inner = _LAUNCHER.search(text)
    text = (inner.group(1).replace('\\"', '"').replace("\\n", " ") if inner else text).rstrip(".")
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:120]} … {text[120 - _MOST_CHARACTERS :]}"
