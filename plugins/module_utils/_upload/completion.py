# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether CDI has processed the data after the last byte was sent: it may still convert the image, or lose its worker.

Pure rules.
"""

from __future__ import annotations

import typing as t

from .._cdi.names import PREFIX, RUNNING
from .._kubernetes.objects import Object, annotations_of, conditions
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .target import POD_PHASE, POD_READY, is_populated


class _Server(t.NamedTuple):
    """The upload server of a target: the target's phase, whether the server is ready, its restarts, and its message."""

    phase: str
    is_ready: bool
    restarts: int
    message: str

    @classmethod
    def of(cls, target: Object, *, is_claim: bool) -> _Server:
        if is_claim:
            keys = (POD_PHASE, POD_READY, f"{PREFIX}storage.pod.restarts", f"{RUNNING}.message")
            phase, ready, restarts, message = (annotations_of(target).get(key) or "" for key in keys)
            return cls(phase, ready == "true", int(restarts or 0), message)
        status = target.get("status") or {}
        phase = status.get("phase") or "Pending"
        message = conditions(target).get("Running", {}).get("message", "")
        return cls(phase, phase == "UploadReady", status.get("restartCount", 0), message)


class Completion(t.NamedTuple):
    """What was seen of a target since its last byte was sent.

    `was_away`: its upload server was not ready at some time.
    """

    is_claim: bool
    restarts: int
    was_away: bool = False

    @classmethod
    def of(cls, target: Object, *, is_claim: bool) -> Completion:
        """Nothing yet: the target as it was before the data was sent."""
        return cls(is_claim, _Server.of(target, is_claim=is_claim).restarts)

    def judge(self, stored: Object | None) -> Verdict:
        """The verdict on the target as it is now, after what was seen before."""
        if stored is None:
            return Verdict(FAILED, "it was deleted")
        if is_populated(None, stored) if self.is_claim else is_populated(stored, None):
            return Verdict(REACHED)
        server = _Server.of(stored, is_claim=self.is_claim)
        detail = f": {server.message}" if server.message else ""
        if server.phase == "Failed" or server.restarts > self.restarts:
            return Verdict(FAILED, f"CDI could not process the data{detail}")
        if server.is_ready and self.was_away:
            return Verdict(FAILED, "the upload server was restarted, and waits for the data again")
        return Verdict(WAITING, f"phase {server.phase}{detail}")

    def after(self, stored: Object | None) -> Completion:
        """With what is seen of the target now."""
        if stored is None or _Server.of(stored, is_claim=self.is_claim).is_ready:
            return self
        return self._replace(was_away=True)
