# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies the disk in a volume: a short-lived pod computes its SHA-256, and it has to be that of the disk sent."""

from __future__ import annotations

import typing as t

from .._diagnosis.rules import BEGUN, INTENDED
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.verdict import REACHED
from .._storage.allocation import VOLUME, Job, message_of, volume_pod
from .._storage.allocation_pod import run_to_end
from .changes import annotate
from .outcome import File, Outcome
from .session import Session


def verify_content(session: Session, outcome: Outcome, file: File) -> Outcome:
    """Compare the volume with the disk in the file, if `verify_content` was set.

    Raises CdiError if they differ, after removing the record of the file from the claim, or if no pod can read the
    volume.
    """
    if not outcome.upload["verify_content"] or file.survey is None:
        return outcome
    target, claim = outcome.target, t.cast(Object, outcome.target.known_claim)
    session.progress.say(target.title, "verifying the content")
    job = Job("kubevirt-cdi-content-", script(claim, file.survey.size), session.timeout, cpu="1", memory="128Mi")
    pod = volume_pod(claim, session.environment(), job)
    ended, name = run_to_end(session.connection, pod, session.timeout)
    if ended.verdict.state != REACHED:
        raise CdiError(
            f"The content of {target.what} was not verified, because Pod {target.key[0]}/{name} did not read it: "
            f"{ended.verdict.reason}; run the task again to verify it."
        )
    found = message_of(t.cast(Object, ended.object)).partition(" ")[0]
    if found != file.survey.content_sha256:
        annotate(session, target, {INTENDED: None, BEGUN: None})
        raise CdiError(
            f"{target.what} does not contain the disk that was sent: the SHA-256 of its first {file.survey.size} bytes "
            f"is {found}, and that of the disk in {file.path} is {file.survey.content_sha256}; do not use the volume, "
            "and set overwrite=different to upload the file again. If it happens again, check the storage."
        )
    return outcome._replace(content_sha256=found)


def script(claim: Object, size: int) -> str:
    """A script of bash that writes the SHA-256 of the first `size` bytes of the disk to the termination log."""
    disk = VOLUME if claim["spec"].get("volumeMode") == "Block" else "disk.img"
    return f"set -o pipefail; head --bytes={size} {disk} | sha256sum > /dev/termination-log 2>&1"
