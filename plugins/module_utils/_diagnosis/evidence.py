# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects around volumes, which of them belong to a volume, and what they report. Pure rules."""

from __future__ import annotations

import functools
import re
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from .._cdi.names import CLONE_ERROR, PREFIX, RUNNING, SOURCE_RUNNING
from .._cdi.phases import NEEDS_CONSUMER
from .._kubernetes.objects import Object, annotations_of, timestamp
from .._kubernetes.public import redact_urls
from .._kubernetes.quantity import parse, short
from .helpers import age, is_at_work
from .refusals import Room, Worker

# Events that repeat the conditions of the volume, or that each attempt creates.
_ECHOES = ("ErrImportFailed", "ImportFailed", "importFailed", "BackOff", "Error", "Unschedulable")
# Reasons why a pod has not started, which no longer matter once it has (kubelet's pkg/kubelet/events/event.go, v1.34).
_BEFORE_START = ("FailedScheduling", "FailedAttachVolume", "FailedMapVolume", "FailedMount", "FailedCreatePodSandBox")
_OUTSIZES = 10
_OWNED_BY = f"{PREFIX}OwnedByUID"
# What is reported of every volume: conflicts between controllers, and pods that are created before their claims are
# bound.
_NOISE = re.compile(
    r"the object has been modified|ErrCreatingPVCPrime: .* already exists|unbound immediate"
    r'|-scratch" not found|could not find [^ ]* "[^"]*-scratch"|PVC is not bound|Error starting pod|BackOff:'
    r"|Unschedulable: Importer|mportFailed: .*import into|Pending: Clone Pending|[IWE][0-9]{4} [0-9:.]+ "
)
# What is reported of a bound claim whose scratch claim is rejected.
_NO_SCRATCH = re.compile('-scratch" is forbidden')
# Warnings that the diagnosis replaces.
_SAID_BETTER = ("exceeded quota", "CloneSourceInUse")
# What CDI puts before a message about a helper claim.
_HELPER = re.compile(r"(Pending: target PVC \S+ Pending and )?\[\S+\] : |^Pending: target PVC \S+ Pending and ")
_UID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_CHARACTERS = 500
# Set on a claim whose pod the API server rejects (HandleFailedPod in pkg/controller/common/util.go, v1.65.0).
_CONDITIONS = (RUNNING, SOURCE_RUNNING)
_REFUSED_POD = re.compile("Error starting pod '([^']+)'")
_PRIORITY_CLASS, _ACCOUNT = f"{PREFIX}storage.pod.priorityclassname", f"{PREFIX}storage.pod.serviceAccountName"


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of the objects around the volumes of a namespace. All objects are as the API server returns them.

    `events` are Warnings; `pods`, `claims` and `snapshots` are those that CDI creates. None or no entry: not read.
    """

    events: t.Sequence[Object] = ()
    pods: t.Sequence[Object] = ()
    claims: t.Sequence[Object] = ()
    snapshots: t.Sequence[Object] = ()
    # Deployments of CDI's controller in the cluster.
    controllers: t.Sequence[Object] | None = None
    # The storage classes of the cluster, and the names of the provisioners that it has.
    classes: t.Sequence[Object] | None = None
    drivers: t.AbstractSet[str] | None = None
    # What limits the pods of CDI that the API server rejects.
    rooms: t.Mapping[Worker, Room] = field(default_factory=dict)
    # The ResourceQuotas of namespaces in which claims are rejected.
    quotas: t.Mapping[str, t.Sequence[Object]] = field(default_factory=dict)
    # Why a trial of a claim that CDI does not create is rejected, by the uid of the volume.
    refused_claims: t.Mapping[str, str] = field(default_factory=dict)
    # All pods of the namespaces of clone sources.
    users: t.Mapping[str, t.Sequence[Object]] = field(default_factory=dict)
    # The last lines of the logs of silent pods, by their uid.
    logs: t.Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def events_by_uid(self) -> dict[str, list[Object]]:
        """The events by the uid of the object. The name of an object that no longer exists has the uid of its claim."""
        by_uid: dict[str, list[Object]] = defaultdict(list)
        for event in self.events:
            about = event["involvedObject"]
            for uid in {about.get("uid", ""), *_UID.findall(about.get("name") or "")}:
                by_uid[uid].append(event)
        return by_uid

    def _kinds_and_objects(self) -> t.Iterator[tuple[str, Object]]:
        for kind, items in (("claim", self.claims), ("pod", self.pods), ("snapshot", self.snapshots)):
            yield from ((kind, item) for item in items)

    @functools.cached_property
    def owned(self) -> dict[str, list[tuple[str, Object]]]:
        """Kinds and objects by the uid of an owner."""
        owned: dict[str, list[tuple[str, Object]]] = defaultdict(list)
        for kind, item in self._kinds_and_objects():
            for owner in _owners(item):
                owned[owner].append((kind, item))
        return owned

    @functools.cached_property
    def helpers(self) -> dict[str, tuple[str, Object]]:
        """Kinds and objects by their own uid, without the claims that are the volumes'."""
        return {
            item["metadata"]["uid"]: (kind, item)
            for kind, item in self._kinds_and_objects()
            if kind != "claim" or any(reference.get("kind") != "DataVolume" for reference in _references(item))
        }

    @functools.cached_property
    def working(self) -> set[str]:
        """The uids of the helpers that make progress, and so release what they use."""
        claims = {claim["metadata"]["uid"]: claim for claim in self.claims}
        return {uid for uid in self.helpers if self._works(uid, claims)}

    def _works(self, uid: str, claims: dict[str, Object]) -> bool:
        kind, item = self.helpers[uid]
        owners = [item]
        for each in owners:
            owners += [claims[owner] for owner in _owners(each) if owner in claims and claims[owner] not in owners]
        warned = any(
            not _NOISE.search(_event(event).text) and event.get("reason") not in _ECHOES
            for event in self.events_by_uid.get(uid, ())
        )
        in_use = any(
            event.get("reason") == "CloneSourceInUse"
            for owner in owners[1:]
            for event in self.events_by_uid.get(owner["metadata"]["uid"], ())
        )
        return is_at_work(kind, item, owners[1:], warned or in_use)


class Statement(t.NamedTuple):
    """A text about a volume, the seconds that it is known to have been true, and since when."""

    text: str
    lasted: float = 0.0
    since: str = ""


class RelatedObjects:
    """The objects that belong to a volume: its claim, the helper claims and pods in a chain of owners, and their
    events."""

    def __init__(self, stored: Object, evidence: Evidence) -> None:
        self._evidence = evidence
        self._waits_for_consumer = (stored.get("status") or {}).get("phase") in NEEDS_CONSUMER
        self._uids: dict[str, None] = {stored["metadata"].get("uid", ""): None}
        self._found: dict[str, list[Object]] = {
            "claim": [stored] if is_claim(stored) else [],
            "pod": [],
            "snapshot": [],
        }
        reached = list(self._uids)
        while reached:
            for kind, item in evidence.owned.get(reached.pop(), ()):
                uid = item["metadata"]["uid"]
                if uid not in self._uids:
                    self._uids[uid] = None
                    reached.append(uid)
                    self._found[kind].append(item)
        events = {
            event["metadata"]["uid"]: event for uid in self._uids for event in evidence.events_by_uid.get(uid, ())
        }
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
        """The annotations of its claims, in which a client records what it uploads."""
        return (claim["metadata"].get("annotations") or {} for claim in self._found["claim"])

    def others_work(self) -> bool:
        """Whether helpers of other volumes make progress, and will release what they use."""
        return bool(self._evidence.working.difference(self._uids))

    def outsizes_others(self) -> bool:
        """Whether a claim of this volume is so large that what the other helpers may release does not matter."""
        helpers = self._evidence.helpers
        others = sum(_size(item) for uid, (kind, item) in helpers.items() if kind == "claim" and uid not in self._uids)
        return max(map(_size, self._found["claim"]), default=Decimal(0)) > _OUTSIZES * others > 0

    def refused(self, stored: Object) -> Worker | None:
        """The pod of CDI that the API server rejects; None if it rejects none."""
        spec, metadata = stored.get("spec") or {}, stored["metadata"]
        texts = [condition.get("message") or "" for condition in (stored.get("status") or {}).get("conditions") or ()]
        texts += [statement.text for statement in self.conditions()]
        texts = [text for text in texts if not self.is_past_refusal(text)]
        name = next((found.group(1) for text in texts if (found := _REFUSED_POD.search(text))), None)
        if name is None:
            return None
        source = (spec.get("source") or {}).get("pvc") or {}
        # A pod that reads a source runs in the namespace of the source.
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

    def is_past_refusal(self, text: str) -> bool:
        """Whether CDI reports an error for a pod that exists. It does so also when its own cache lacks the pod and it
        creates it again (HandleFailedPod in pkg/controller/common/util.go, v1.65.0)."""
        found = _REFUSED_POD.search(text)
        return found is not None and any(pod["metadata"]["name"] == found.group(1) for pod in self._found["pod"])

    def conditions(self) -> t.Iterator[Statement]:
        """What CDI records on claims about pods that the API server rejects."""
        for claim in self._found["claim"]:
            noted = annotations_of(claim)
            for condition in _CONDITIONS:
                if noted.get(condition) == "false" and noted.get(f"{condition}.reason", "").startswith("Err"):
                    yield Statement(_tidy(f"{noted[f'{condition}.reason']}: {noted.get(f'{condition}.message', '')}"))

    def running(self) -> list[Object]:
        return [pod for pod in self._found["pod"] if (pod.get("status") or {}).get("phase") == "Running"]

    def failed_after(self) -> float:
        """The seconds that a failed worker ran; 0 if none has failed."""
        ended = [state for pod in self._found["pod"] for state in _states(pod) if state.get("exitCode")]
        return max((age(state.get("startedAt")) - age(state.get("finishedAt")) for state in ended), default=0.0)

    def last_error(self) -> str:
        """The message with which a worker failed last; `` if none has failed."""
        ended = next((state for pod in self._found["pod"] for state in _states(pod) if state.get("exitCode")), None)
        return condition_text(ended) if ended else ""

    def pods(self) -> t.Iterator[Statement]:
        """What containers, conditions and events report of pods that do not run."""
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
        """What the pod that does not start requests of a node, in parentheses."""
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
        """What is reported of unbound claims and of snapshots for them, and at the end that they are not bound."""
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
            statement = _event(event)
            if not _NOISE.search(statement.text) and (
                about.get("uid") not in settled or _NO_SCRATCH.search(statement.text)
            ):
                yield statement
        for claim in self._found["claim"]:
            name, storage_class = claim["metadata"]["name"], claim["spec"].get("storageClassName")
            if claim["metadata"]["uid"] in settled or "volumeName" in claim["spec"]:
                continue
            if storage_class is None:
                yield Statement(f"NoStorageClass: claim {name} has no storage class, and no class is the default")
            elif not storage_class:
                yield Statement(
                    f"ClaimPending: claim {name} has the empty storage class, and no PersistentVolume matches it"
                )
            # A claim with a populator is pending until the end, and with WaitForFirstConsumer until a pod uses it.
            elif claim["metadata"]["uid"] in self._evidence.helpers or not (
                claim["spec"].get("dataSourceRef") or self._waits_for_consumer
            ):
                yield Statement(f"ClaimPending: claim {name} of storage class {storage_class} is not bound")


def _bytes(value: Decimal) -> str:
    """`64Mi`, or `60M` in the units of CDI's defaults."""
    return f"{value / 10**6:.0f}M" if value and value % 10**6 == 0 else short(value)


def _states(pod: Object) -> t.Iterator[Object]:
    """How the containers of a pod have terminated, for each container the last time first."""
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


def warnings_about(stored: Object, evidence: Evidence, explained: t.Mapping[str, str]) -> list[str]:
    """The last three distinct warnings about a volume and its related objects that add to `explained`, the newest
    last."""
    warnings: dict[str, None] = {}
    for event in RelatedObjects(stored, evidence).events:
        text = _event(event).text
        message = text.partition(": ")[2]
        if any(words in text and words in explained["message"] for words in _SAID_BETTER):
            continue
        if (
            not _NOISE.search(text)
            and message not in explained["message"]
            and not any(message in other for other in warnings)
        ):
            warnings[text] = None
    return list(warnings)[:3][::-1]


def _tidy(text: str) -> str:
    """The text on one line, of bounded length, and without secrets in URLs."""
    text = redact_urls(_HELPER.sub("", " ".join(str(text).split()))).rstrip(".")
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def stated(condition: Object) -> Statement:
    """The statement of a condition, whose heartbeat is when CDI changed its words
    (pkg/controller/datavolume/conditions.go, v1.65.0)."""
    return Statement(
        condition_text(condition), since=condition.get("lastHeartbeatTime") or condition.get("lastTransitionTime") or ""
    )


def condition_text(condition: Object) -> str:
    reason, message = condition.get("reason", ""), condition.get("message", "")
    if reason == "OOMKilled":
        message = "the pod needs more memory than its limit"  # CDI's message is the end of its log.
    return _tidy(f"{reason or 'no reason'}: {message or 'no message'}")
