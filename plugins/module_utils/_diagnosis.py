# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Where a DataVolume has got to, and what keeps it from getting further. Pure rules."""

from __future__ import annotations

import typing as t

from ._cdi import conditions
from ._wait import FAILED, REACHED, WAITING, Verdict

Object = t.Dict[str, t.Any]

NEEDS_CONSUMER = ("WaitForFirstConsumer", "PendingPopulation")
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
