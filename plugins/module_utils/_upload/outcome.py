# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One upload of a task: its options and its target as read, and what became of it.

All frozen; steps return new ones.
"""

from __future__ import annotations

import typing as t

from .._data_volume.volume import NOT_READ, Read, known
from .._disk.blocks import Disk, Survey
from .._image.file import FileIdentity
from .._image.formats import Image
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Key, Object
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, Resource
from .encoding import Encoding
from .plan import ACTION_LABELS, NOTHING
from .remote import Remote

# The value of `action` in the result of an upload that failed halfway, and the sentence about what it left behind.
CREATED, BEGUN, DELETED, EMPTIED = "created", "begun", "deleted", "emptied"
_LEFT_BEHIND = {
    CREATED: "{what} was created and is empty; run the task again to fill it.",
    BEGUN: "The upload into {what} has begun and is not finished; "
    "run the task again to send the file from its first byte.",
    DELETED: "{what} was deleted with its data and was not recreated; run the task again to create and fill it.",
    EMPTIED: "{what} was deleted with its data and recreated, and is not filled; run the task again to fill it.",
}


class Target(t.NamedTuple):
    """The DataVolume and the claim of an upload's name, as last read.

    A claim without a DataVolume can be a target, too.
    """

    key: Key
    volume: Object | None = None
    claim: Read = NOT_READ

    @property
    def title(self) -> str:
        return "/".join(self.key)

    @property
    def known_claim(self) -> Object | None:
        """The claim, None also when it has not been read."""
        return known(self.claim)

    @property
    def is_claim(self) -> bool:
        """Whether the claim itself is the target."""
        return self.volume is None

    @property
    def exists(self) -> bool:
        return self.volume is not None or self.known_claim is not None

    @property
    def resource(self) -> Resource:
        return PERSISTENT_VOLUME_CLAIM if self.is_claim else DATA_VOLUME

    @property
    def what(self) -> str:
        """For example `DataVolume demo/disk`."""
        return f"{self.resource.kind} {self.title}"

    @property
    def stored(self) -> Object | None:
        return self.known_claim if self.is_claim else self.volume


class File(t.NamedTuple):
    """The file as it was when it was read. What has not been computed is empty or None.

    `path` is a path or a URL without its secrets. `digest` is what is kept of it (see `reading.py`), `survey` that of
    the disk in it, and `unpacked` that disk, if it was kept when the file was decompressed.
    """

    path: str
    identity: FileIdentity | Remote
    image: Image
    digest: str = ""
    sha256: str = ""
    survey: Survey | None = None
    unpacked: Disk | None = None


class Transfer(t.NamedTuple):
    """The last attempt to send, and how many attempts before it failed.

    `may_finish`: CDI may be at work on all of the data.
    """

    bytes_sent: int = 0
    seconds: float = 0.0
    retries: int = 0
    route: str | None = None
    may_finish: bool = False


class Outcome(t.NamedTuple):
    """What a task did with one upload, also when an error came later.

    `action` and `changed` say what was done (in check mode, what would be). `digest` is what is kept of the file, known
    or expected, and `sha256` its SHA-256, where that was computed. `content_sha256` is that of the disk in the
    volume, after it was verified. `made` is the uid of a DataVolume that this task created and that is still there.
    """

    upload: t.Mapping[str, t.Any]
    target: Target
    image: Image | None = None
    digest: str = ""
    sha256: str = ""
    encoding: Encoding | None = None
    content_sha256: str = ""
    action: str = ACTION_LABELS[NOTHING]
    changed: bool = False
    reason: str = ""
    made: str = ""
    transfer: Transfer = Transfer()
    diff: t.Mapping[str, t.Any] = {}
    error: str = ""

    @property
    def key(self) -> Key:
        return self.target.key

    def with_target(self, **read: t.Any) -> Outcome:
        """With other objects of its target."""
        return self._replace(target=self.target._replace(**read))

    def done(self, action: str) -> Outcome:
        """After something was written, whatever comes next."""
        return self._replace(action=action, changed=True)

    def with_diff(self, side: str, **values: t.Any) -> Outcome:
        return self._replace(diff={**self.diff, side: {**self.diff.get(side, {}), **values}})

    def without_created(self) -> Outcome:
        """After the DataVolume that the task created was deleted. One that was there before it stays deleted."""
        if self.action == EMPTIED:
            return self._replace(made="", action=DELETED)
        return self._replace(made="", action=ACTION_LABELS[NOTHING], changed=False, diff={})

    @property
    def left_behind(self) -> str:
        """A sentence about what an upload that failed left, empty if it left nothing or CDI may still finish."""
        sentence = "" if self.transfer.may_finish else _LEFT_BEHIND.get(self.action, "")
        return sentence.format(what=self.target.what)


Steps = t.Generator[Outcome, None, Outcome]


def followed(steps: Steps, outcome: Outcome) -> tuple[Outcome, CdiError | None]:
    """Run steps that yield an outcome after each write.

    Returns the last outcome, and the error that ended the steps.
    """
    while True:
        try:
            outcome = next(steps)
        except StopIteration as stop:
            return stop.value, None
        except CdiError as exc:
            return outcome, exc
