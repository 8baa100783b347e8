# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""A DataVolume's meaning: what options ask for, what has drifted, and where it has got to. Pure rules."""

from __future__ import annotations

import copy
import re
import typing as t

from ._apply import differs, normalise
from ._cdi import conditions
from ._clone import PREFIX
from ._data_volume_options import SOURCES, VOLUME_OPTIONS
from ._errors import CdiError
from ._fields import to_fields
from ._quantity import parse
from ._wait import FAILED, REACHED, WAITING, Verdict

Object = t.Dict[str, t.Any]

BIND_IMMEDIATELY = f"{PREFIX}storage.bind.immediate.requested"
NEEDS_CONSUMER = ("WaitForFirstConsumer", "PendingPopulation")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SPEC_OPTIONS = (
    *("source", "source_ref", "storage", "pvc", "content_type", "preallocation"),
    *("priority_class_name", "service_account_name", "checkpoints", "final_checkpoint"),
)
# CDI's own threshold for an unusual number of restarts (pkg/common/common.go, v1.65.0).
_RESTARTS = 3
_GRACE_SECONDS = 10.0
# What a worker says when trying again cannot help, and what can.
_PERMANENT = {
    "got 404": "correct the URL",
    "got 403": "give a secret_ref with the right to read the URL",
    "got 401": "give a secret_ref with valid credentials",
    "too small to contain image": "ask for a larger size",
    "larger than the reported available storage": "ask for a larger size",
    "Invalid format": "give an image in a format that CDI reads (raw, qcow2, vmdk, vdi, vhd, vhdx)",
    "certificate signed by unknown authority": "give the server's CA in cert_config_map",
    "failed to verify certificate": "give the server's CA in cert_config_map",
    "checksum": "correct the checksum, or the image",
}
# A worker that fails is started again, and may succeed; one that cannot start gets some seconds.
_WORKER_FAILURES = ("Error", "OOMKilled")
_START_FAILURES = ("ErrImagePull", "ImagePullBackOff", "ImagePullFailed", "Unschedulable")
_BOUND_FAILURES = {
    "ErrClaimNotValid": "give access_modes and volume_mode, or set the class's storage profile (module kubevirt.cdi.storage_profile)",
    "ErrResourceExists": "delete the claim of that name, or give the volume another name",
}
_BOUND_AILMENTS = {
    "ErrExceededQuota": "raise the namespace's quota: an import or clone needs room for two or three claims",
    "ProvisioningFailed": "see what the storage driver says",
    "CloneWithoutSource": "create the source, or correct its name",
    "CloneValidationFailed": "correct the size or the source",
    "ErrIncompatiblePVC": "ask for at least the size of the source",
}


def check(volume: t.Mapping[str, t.Any]) -> None:
    """Refuse a volume that CDI could never accept. Raises CdiError that names option, value and remedy."""
    name = volume["name"]
    if not _NAME.fullmatch(name):
        raise CdiError(f"name is {name!r}; use lower case letters, digits, - and ., at most 253 of them.")
    if volume["state"] == "absent":
        return
    if volume["on_drift"] == "recreate" and volume["keep_claim"]:
        raise CdiError(f"DataVolume {name} has on_drift=recreate and keep_claim; the claim that is kept would be in the way: give one of them.")
    if volume["storage"] and volume["pvc"]:
        raise CdiError(f"DataVolume {name} has storage and pvc; give one of them.")
    target = volume["storage"] or volume["pvc"]
    if not target:
        raise CdiError(f"DataVolume {name} has neither storage nor pvc; give storage with a size.")
    chosen = [kind for kind in SOURCES if (volume["source"] or {}).get(kind) is not None]
    if bool(chosen) == bool(volume["source_ref"]) or len(chosen) > 1:
        given = ", ".join([*chosen, *(["source_ref"] if volume["source_ref"] else [])]) or "none"
        raise CdiError(f"DataVolume {name} needs exactly one source ({', '.join(SOURCES)}) or source_ref, and has {given}.")
    size = target["size"]
    if size is None:
        if volume["pvc"] or chosen not in (["pvc"], ["snapshot"], []):
            where = "pvc" if volume["pvc"] else "storage"
            raise CdiError(f"DataVolume {name} has no size; give {where}.size, for example 10Gi (only a clone by storage can do without).")
        return
    try:
        too_small = parse(size) < 1024 * 1024
    except ValueError as exc:
        raise CdiError(f"DataVolume {name} has the size {exc}") from exc
    if too_small:
        raise CdiError(f"DataVolume {name} has the size {size}; ask for at least 1Mi.")


def desired(volume: t.Mapping[str, t.Any]) -> Object:
    """The DataVolume that checked options ask for."""
    values = copy.deepcopy(dict(volume))
    for target in ("storage", "pvc"):
        if values[target]:
            size = values[target].pop("size", None)
            values[target]["resources"] = {"requests": {"storage": size}} if size else {}
    for kind in ("pvc", "snapshot"):
        reference = (values["source"] or {}).get(kind)
        if reference is not None and not reference["namespace"]:
            reference["namespace"] = values["namespace"]
    options = {option: VOLUME_OPTIONS[option] for option in _SPEC_OPTIONS}
    spec = to_fields(values, options)
    for target in ("storage", "pvc"):
        if values[target]:
            spec[target]["resources"] = values[target]["resources"]
    annotations = dict(values["annotations"] or {})
    if values["binding"] == "immediate":
        annotations[BIND_IMMEDIATELY] = "true"
    metadata = {"name": values["name"], "namespace": values["namespace"], "labels": values["labels"] or {}, "annotations": annotations}
    return {"metadata": metadata, "spec": spec}


def spec_drift(wanted: Object, stored: Object) -> list[str]:
    """What differs between two DataVolume specs, as CDI's webhook compares them: it lets no spec change (datavolume-validate.go, v1.65.0)."""
    return _drift(normalise(wanted["spec"]), normalise(stored["spec"]), "spec")


def _drift(wanted: t.Any, stored: t.Any, path: str) -> list[str]:
    if isinstance(wanted, dict) and isinstance(stored, dict):
        return [line for key in sorted({*wanted, *stored}) for line in _drift(wanted.get(key), stored.get(key), f"{path}.{key}")]
    if wanted is None or stored is None:
        same = wanted is stored
    else:
        same = not differs({"value": wanted}, {"value": stored})
    return [] if same else [f"{path} is {_told(stored)} and not {_told(wanted)}"]


def _told(value: t.Any) -> str:
    return "unset" if value is None else str(value)


def goal(volume: t.Mapping[str, t.Any]) -> str:
    """What to wait for: what was said, else an upload's readiness, else success."""
    uploads = (volume["source"] or {}).get("upload") is not None
    return volume["wait_for"] or ("upload_ready" if uploads else "succeeded")


def judge(volume: t.Mapping[str, t.Any], stored: Object | None) -> Verdict:
    """Whether a stored DataVolume has got where it should, or cannot get there."""
    if stored is None:
        return Verdict(FAILED, "it was deleted while it was waited for")
    status = stored.get("status") or {}
    phase = status.get("phase") or "Pending"
    if phase == "Succeeded" or (phase in NEEDS_CONSUMER and volume["binding"] != "immediate"):
        return Verdict(REACHED)
    found = conditions(stored)
    running, bound = found.get("Running", {}), found.get("Bound", {})
    if goal(volume) == "upload_ready" and phase == "UploadReady":
        return Verdict(REACHED)
    if goal(volume) == "bound" and bound.get("status") == "True":
        return Verdict(REACHED)
    reason, message = running.get("reason", ""), running.get("message", "")
    if phase == "Failed":
        return Verdict(FAILED, _sentence(phase, running))
    remedy = next((remedy for text, remedy in _PERMANENT.items() if text in message), "")
    if remedy and running.get("status") != "True":
        return Verdict(FAILED, _sentence(phase, running, remedy))
    if reason in _WORKER_FAILURES and status.get("restartCount", 0) >= _RESTARTS:
        return Verdict(FAILED, f"{_sentence(phase, running)} (after {status['restartCount']} restarts)")
    if reason in _START_FAILURES:
        return Verdict(FAILED, _sentence(phase, running), _GRACE_SECONDS)
    if bound.get("status") != "True":
        reason = bound.get("reason", "")
        if reason in _BOUND_FAILURES:
            return Verdict(FAILED, _sentence(phase, bound, _BOUND_FAILURES[reason]))
        if reason in _BOUND_AILMENTS:
            return Verdict(FAILED, _sentence(phase, bound, _BOUND_AILMENTS[reason]), _GRACE_SECONDS)
    told = [f"{kind}: {condition['message']}" for kind, condition in found.items() if condition.get("message") and kind != "Ready"]
    return Verdict(WAITING, f"phase {phase}" + (f" ({'; '.join(told)})" if told else ""))


def _sentence(phase: str, condition: Object, remedy: str = "") -> str:
    told = f"phase {phase}, {condition.get('reason') or 'no reason'}: {condition.get('message') or 'no message'}"
    return f"{told.rstrip('.')}; {remedy}" if remedy else told.rstrip(".")


def warnings_about(events: t.Iterable[Object], name: str, uid: str | None) -> list[str]:
    """The last three different warnings about a volume, its claim, its helper claims and pods."""
    mine = [
        event
        for event in events
        if event.get("type") == "Warning"
        and (name == event["involvedObject"].get("name") or (uid and uid in (event["involvedObject"].get("name") or "")))
    ]
    mine.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    told = {f"{event.get('reason')}: {' '.join((event.get('message') or '').split())}": None for event in mine}
    return list(told)[-3:]
