# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a namespace holds beside its volumes, what of it belongs to a volume, and what that says. Pure rules."""

from __future__ import annotations

import functools
import re
import typing as t
from collections import defaultdict
from decimal import Decimal

from .._cdi.names import CLONE_ERROR, PREFIX, RUNNING, SOURCE_RUNNING
from .._cdi.phases import NEEDS_CONSUMER
from .._kubernetes.objects import Object, annotations_of, timestamp
from .._kubernetes.public import redact_urls
from .._kubernetes.quantity import parse, short
from .others import age, is_at_work
from .refusals import Room, Worker

# Events that repeat what the volume's own conditions say, or what a new attempt always says.
_ECHOES = ("ErrImportFailed", "ImportFailed", "importFailed", "BackOff", "Error", "Unschedulable")
# What keeps a pod from starting, and is overcome once it has (kubelet's pkg/kubelet/events/event.go, v1.34).
_BEFORE_START = ("FailedScheduling", "FailedAttachVolume", "FailedMapVolume", "FailedMount", "FailedCreatePodSandBox")
_NEXT_TO_NOTHING = 10
_OWNED_BY = f"{PREFIX}OwnedByUID"
# What is said of every volume on its way: conflicts between controllers, and pods that are made before their claims are bound.
_NOISE = re.compile(
    'the object has been modified|ErrCreatingPVCPrime: .* already exists|unbound immediate|-scratch" not found|could not find [^ ]* "[^"]*-scratch"'
    "|PVC is not bound|Error starting pod|BackOff:|Unschedulable: Importer|mportFailed: .*import into|Pending: Clone Pending|[IWE][0-9]{4} [0-9:.]+ "
)
# What is said of a bound claim that cannot be given its scratch claim.
_NO_SCRATCH = re.compile('-scratch" is forbidden')
# What the diagnosis says better.
_SAID_BETTER = ("exceeded quota", "CloneSourceInUse")
# How CDI marks what it says of a helper claim.
_HELPER = re.compile(r"(Pending: target PVC \S+ Pending and )?\[\S+\] : |^Pending: target PVC \S+ Pending and ")
_UID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_CHARACTERS = 500
# Of a claim whose pod the API server refuses (HandleFailedPod in pkg/controller/common/util.go, v1.65.0).
_CONDITIONS = (RUNNING, SOURCE_RUNNING)
_REFUSED_POD = re.compile("Error starting pod '([^']+)'")
_PRIORITY_CLASS, _ACCOUNT = f"{PREFIX}storage.pod.priorityclassname", f"{PREFIX}storage.pod.serviceAccountName"


class Evidence:
    """What a namespace holds beside its volumes: Warning events, CDI's pods, claims and snapshots; and CDI's controllers.

    `controllers` are the Deployments of that name in the cluster, `classes` its storage classes, `drivers` the provisioners that are known to be
    there; None when they were not, or could not be, read. `rooms`: what is known of the namespaces that refuse pods. `quotas`: those of the
    namespaces that refuse claims. `refused_claims`: what a trial says of the claims that CDI does not make, by the uids of the volumes. `users`:
    the pods of the namespaces of sources. `logs`: the last lines of pods that seem to do nothing, by their uids.
    """

    def __init__(
        self,
        events: t.Iterable[Object] = (),
        pods: t.Iterable[Object] = (),
        claims: t.Iterable[Object] = (),
        snapshots: t.Iterable[Object] = (),
        controllers: list[Object] | None = None,
    ) -> None:
        self.controllers = controllers
        self.classes: list[Object] | None = None
        self.drivers: set[str] | None = None
        self.rooms: dict[Worker, Room] = {}
        self.quotas: dict[str, list[Object]] = {}
        self.refused_claims: dict[str, str] = {}
        self.users: dict[str, list[Object]] = {}
        self.logs: dict[str, str] = {}
        self.events: dict[str, list[Object]] = defaultdict(list)
        for event in events:
            about = event["involvedObject"]
            # An object that is gone by now had the uid of its claim in its name.
            for uid in {about.get("uid", ""), *_UID.findall(about.get("name") or "")}:
                self.events[uid].append(event)
        self.owned: dict[str, list[tuple[str, Object]]] = defaultdict(list)
        self.helpers: dict[str, tuple[str, Object]] = {}
        self._claims: dict[str, Object] = {}
        for kind, items in (("claim", claims), ("pod", pods), ("snapshot", snapshots)):
            for item in items:
                for owner in _owners(item):
                    self.owned[owner].append((kind, item))
                if kind != "claim" or any(reference.get("kind") != "DataVolume" for reference in _references(item)):
                    self.helpers[item["metadata"]["uid"]] = kind, item
                if kind == "claim":
                    self._claims[item["metadata"]["uid"]] = item

    @functools.cached_property
    def working(self) -> set[str]:
        """The helpers that get on, and so give back what they use."""
        return {uid for uid in self.helpers if self._works(uid)}

    def _works(self, uid: str) -> bool:
        kind, item = self.helpers[uid]
        owners = [item]
        for each in owners:
            owners += [
                self._claims[owner]
                for owner in _owners(each)
                if owner in self._claims and self._claims[owner] not in owners
            ]
        warned = any(
            not _NOISE.search(_event(event).text) and event.get("reason") not in _ECHOES
            for event in self.events.get(uid, ())
        )
        in_use = any(
            event.get("reason") == "CloneSourceInUse"
            for owner in owners[1:]
            for event in self.events.get(owner["metadata"]["uid"], ())
        )
        return is_at_work(kind, item, owners[1:], warned or in_use)


class Statement(t.NamedTuple):
    """Words about a volume, for how many seconds they are known to have held, and since when."""

    text: str
    lasted: float = 0.0
    since: str = ""


class RelatedObjects:
    """What around a volume belongs to it: its claim, the helper claims and pods that own one another, and their events."""

    def __init__(self, stored: Object, around: Evidence) -> None:
        self._around = around
        self._waits_for_consumer = (stored.get("status") or {}).get("phase") in NEEDS_CONSUMER
        self._uids: dict[str, None] = {stored["metadata"].get("uid", ""): None}
        self._found: dict[str, list[Object]] = {
            "claim": [stored] if is_claim(stored) else [],
            "pod": [],
            "snapshot": [],
        }
        reached = list(self._uids)
        while reached:
            for kind, item in around.owned.get(reached.pop(), ()):
                uid = item["metadata"]["uid"]
                if uid not in self._uids:
                    self._uids[uid] = None
                    reached.append(uid)
                    self._found[kind].append(item)
        events = {event["metadata"]["uid"]: event for uid in self._uids for event in around.events.get(uid, ())}
        started = {
            pod["metadata"]["uid"] for pod in self._found["pod"] if (pod.get("status") or {}).get("phase") != "Pending"
        }
        lasting = [
            event
            for event in events.values()
            if event["involvedObject"].get("uid") not in started or event.get("reason") not in _BEFORE_START
        ]
        self.events = sorted(lasting, key=_last_seen, reverse=True)

    def has_claims(self) -> bool:
        return bool(self._found["claim"])

    def uploads(self) -> t.Iterator[t.Mapping[str, str]]:
        """The annotations of its claims, where a client writes down what it sends."""
        return (claim["metadata"].get("annotations") or {} for claim in self._found["claim"])

    def others_work(self) -> bool:
        """Whether other volumes' helpers are at work, which give back what they use."""
        return bool(self._around.working.difference(self._uids))

    def outsizes_others(self) -> bool:
        """Whether what other volumes' helpers may give back is next to nothing beside a claim of this one."""
        helpers = self._around.helpers
        others = sum(_size(item) for uid, (kind, item) in helpers.items() if kind == "claim" and uid not in self._uids)
        return max(map(_size, self._found["claim"]), default=Decimal(0)) > _NEXT_TO_NOTHING * others > 0

    def refused(self, stored: Object) -> Worker | None:
        """The pod that the API server does not take."""
        spec, metadata = stored.get("spec") or {}, stored["metadata"]
        texts = [condition.get("message") or "" for condition in (stored.get("status") or {}).get("conditions") or ()]
        texts += [statement.text for statement in self.conditions()]
        name = next((found.group(1) for text in texts if (found := _REFUSED_POD.search(text))), None)
        if name is None:
            return None
        source = (spec.get("source") or {}).get("pvc") or {}
        # What reads a source is in the source's namespace.
        abroad = name.endswith("-source-pod") or name.startswith("size-detection-")
        named = [annotations_of(claim) for claim in self._found["claim"]]
        return Worker(
            (abroad and source.get("namespace")) or metadata.get("namespace") or "",
            name,
            spec.get("priorityClassName")
            or next((each[_PRIORITY_CLASS] for each in named if each.get(_PRIORITY_CLASS)), ""),
            ""
            if abroad
            else spec.get("serviceAccountName") or next((each[_ACCOUNT] for each in named if each.get(_ACCOUNT)), ""),
        )

    def conditions(self) -> t.Iterator[Statement]:
        """What CDI writes down on claims of pods that the API server does not take."""
        for claim in self._found["claim"]:
            noted = annotations_of(claim)
            for condition in _CONDITIONS:
                if noted.get(condition) == "false" and noted.get(f"{condition}.reason", "").startswith("Err"):
                    yield Statement(_tidy(f"{noted[f'{condition}.reason']}: {noted.get(f'{condition}.message', '')}"))

    def running(self) -> list[Object]:
        return [pod for pod in self._found["pod"] if (pod.get("status") or {}).get("phase") == "Running"]

    def lasted(self) -> float:
        """For how many seconds a worker ran that has failed."""
        ended = [state for pod in self._found["pod"] for state in _states(pod) if state.get("exitCode")]
        return max((age(state.get("startedAt")) - age(state.get("finishedAt")) for state in ended), default=0.0)

    def last_error(self) -> str:
        """What a worker said when it failed last, and was started again."""
        ended = next((state for pod in self._found["pod"] for state in _states(pod) if state.get("exitCode")), None)
        return condition_text(ended) if ended else ""

    def pods(self) -> t.Iterator[Statement]:
        """What pods that do not run say: their containers, and their events."""
        waiting = {pod["metadata"]["uid"]: pod for pod in self._pending()}
        for pod in waiting.values():
            status = pod["status"]
            for container in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
                yield Statement(condition_text((container.get("state") or {}).get("waiting") or {}))
            for condition in status.get("conditions") or ():
                if condition.get("type") == "PodScheduled" and condition.get("status") != "True":
                    yield stated(condition)
        yield from (_event(event) for event in self.events if event["involvedObject"].get("uid") in waiting)

    def _pending(self) -> list[Object]:
        return [pod for pod in self._found["pod"] if (pod.get("status") or {}).get("phase") == "Pending"]

    def requests(self) -> str:
        """What the pod that does not start asks a node for, in brackets."""
        asked: dict[str, Decimal] = defaultdict(Decimal)
        for pod in self._pending()[:1]:
            for container in (pod.get("spec") or {}).get("containers") or ():
                for name, quantity in ((container.get("resources") or {}).get("requests") or {}).items():
                    asked[name] += parse(quantity)
        texts = [
            f"{value * 1000:.0f}m CPU" if name == "cpu" else f"{_bytes(value)} {name}"
            for name, value in sorted(asked.items())
        ]
        return f" (the pod requests {', '.join(texts)})" if texts else ""

    def claims(self) -> t.Iterator[Statement]:
        """What is said of claims that are not bound, and of objects that are to become them; last, that they are not."""
        settled = {
            claim["metadata"]["uid"]
            for claim in self._found["claim"]
            if (claim.get("status") or {}).get("phase") == "Bound"
        }
        for snapshot in self._found["snapshot"]:
            error = (snapshot.get("status") or {}).get("error") or {}
            if error.get("message"):
                yield Statement(_tidy(f"SnapshotFailed: {error['message']}"))
        for claim in self._found["claim"]:
            error = (claim["metadata"].get("annotations") or {}).get(CLONE_ERROR)
            if error:
                yield Statement(_tidy(f"CloneError: {error}"))
        for event in self.events:
            about = event["involvedObject"]
            if about.get("kind") == "Pod" or event.get("reason") in _ECHOES:
                continue
            said = _event(event)
            if not _NOISE.search(said.text) and (about.get("uid") not in settled or _NO_SCRATCH.search(said.text)):
                yield said
        for claim in self._found["claim"]:
            name, storage_class = claim["metadata"]["name"], claim["spec"].get("storageClassName")
            if claim["metadata"]["uid"] in settled or "volumeName" in claim["spec"]:
                continue
            if storage_class is None:
                yield Statement(f"NoStorageClass: claim {name} names no storage class, and none is the default")
            elif not storage_class:
                yield Statement(
                    f"ClaimPending: claim {name} has the empty storage class, and no persistent volume fits it"
                )
            # The claim that is to be populated is pending until the end; and one that a consumer has to bind until there is one.
            elif claim["metadata"]["uid"] in self._around.helpers or not (
                claim["spec"].get("dataSourceRef") or self._waits_for_consumer
            ):
                yield Statement(f"ClaimPending: claim {name} of storage class {storage_class} is not bound")


def _bytes(value: Decimal) -> str:
    """`64Mi`, or `60M`, as CDI writes its own."""
    return f"{value / 10**6:.0f}M" if value and value % 10**6 == 0 else short(value)


def _states(pod: Object) -> t.Iterator[Object]:
    """How the containers of a pod have ended, the last end first."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            if state.get("terminated"):
                yield state["terminated"]


def _size(claim: Object) -> Decimal:
    return parse(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", 0))


def is_claim(stored: Object) -> bool:
    return "accessModes" in (stored.get("spec") or {})


def _references(item: Object) -> list[Object]:
    return item["metadata"].get("ownerReferences") or []


def _owners(item: Object) -> list[str]:
    return [*(owner["uid"] for owner in _references(item)), (item["metadata"].get("labels") or {}).get(_OWNED_BY, "")]


def _event(event: Object) -> Statement:
    text = _tidy(f"{event.get('reason')}: {event.get('message') or ''}")
    since = event.get("firstTimestamp") or ""
    first, last = timestamp(since), timestamp(event.get("lastTimestamp"))
    return Statement(text, (last - first).total_seconds() if first and last else 0.0, since)


def _last_seen(event: Object) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or ""


def warnings_about(stored: Object, around: Evidence, explained: t.Mapping[str, str]) -> list[str]:
    """The last three different warnings about a volume, its claim, its helper claims and pods, the newest last, that say more than `explained`."""
    told: dict[str, None] = {}
    for event in RelatedObjects(stored, around).events:
        text = _event(event).text
        message = text.partition(": ")[2]
        if any(words in text and words in explained["message"] for words in _SAID_BETTER):
            continue
        if (
            not _NOISE.search(text)
            and message not in explained["message"]
            and not any(message in other for other in told)
        ):
            told[text] = None
    return list(told)[:3][::-1]


def _tidy(text: str) -> str:
    """On one line, of bounded length, and without what a URL may carry of secrets."""
    text = redact_urls(_HELPER.sub("", " ".join(str(text).split()))).rstrip(".")
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def stated(condition: Object) -> Statement:
    """CDI moves the heartbeat when it changes the words (pkg/controller/datavolume/conditions.go, v1.65.0)."""
    return Statement(
        condition_text(condition), since=condition.get("lastHeartbeatTime") or condition.get("lastTransitionTime") or ""
    )


def condition_text(condition: Object) -> str:
    reason, message = condition.get("reason", ""), condition.get("message", "")
    if reason == "OOMKilled":
        message = "the pod needs more memory than its limit"  # and what CDI quotes is its log.
    return _tidy(f"{reason or 'no reason'}: {message or 'no message'}")
