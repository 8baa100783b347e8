# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One volume of a task: what is declared, what was read of it, and what became of it. Frozen: steps return new ones."""

from __future__ import annotations

import typing as t

from .._cdi.phases import reached
from .._kubernetes.objects import Key, Object


class NotRead:
    """Stands where an object has not been read. None says that it was read, and does not exist."""


NOT_READ: t.Final = NotRead()
Read: t.TypeAlias = "Object | NotRead | None"
# The `drift` of a volume that was deleted and created again, because it differed or because it was never filled.
RECREATE, UNFILLED = "recreate", "unfilled"
RECREATED = (RECREATE, UNFILLED)


def known(read: Read) -> Object | None:
    """The object, None when it does not exist or has not been read: for results, which show both as null."""
    return None if isinstance(read, NotRead) else read


class Volume(t.NamedTuple):
    """A declared volume: its validated options, and the DataVolume and the claim of its name as last read.

    `sized_by_image`: the options leave the size to the image, and have the size of the stored volume in its place.
    """

    options: t.Mapping[str, t.Any]
    stored: Read = NOT_READ
    claim: Read = NOT_READ
    sized_by_image: bool = False

    @property
    def key(self) -> Key:
        return self.options["namespace"], self.options["name"]

    @property
    def title(self) -> str:
        return "/".join(self.key)

    @property
    def present(self) -> bool:
        return bool(self.options["state"] == "present")

    @property
    def data_volume(self) -> Object | None:
        return known(self.stored)

    @property
    def collected(self) -> bool:
        """Whether CDI deleted the DataVolume after it had succeeded, and left its claim."""
        if self.stored is not None:
            return False
        from .collected import is_collected

        return is_collected(known(self.claim))

    @property
    def terminating(self) -> bool:
        stored = self.data_volume
        return bool(stored and stored["metadata"].get("deletionTimestamp"))

    @property
    def typed_size(self) -> str:
        """The requested size as the user wrote it."""
        return str((self.options["storage"] or self.options["pvc"])["size"])


class Outcome(t.NamedTuple):
    """What a task did with a volume, also when an error followed, and the volume as it was last read or written.

    `grows`: its claim was made to grow. `paused_at`: when its multi-stage import last paused before its stages changed.
    """

    volume: Volume
    drift: str | None = None
    reason: str | None = None
    changed: bool = False
    grows: bool = False
    paused_at: str | None = None
    diff: t.Mapping[str, t.Any] = {}
    error: str = ""
    diagnosis: t.Mapping[str, t.Any] | None = None

    @property
    def key(self) -> Key:
        return self.volume.key

    @property
    def is_awaited(self) -> bool:
        """Whether the volume has yet to reach what the options wait for."""
        stored = self.volume.data_volume
        if self.error or stored is None:
            return False
        return self.paused_at is not None or not reached(self.volume.options, stored)

    def with_volume(self, **read: t.Any) -> Outcome:
        """The outcome with other fields of its volume."""
        return self._replace(volume=self.volume._replace(**read))


Outcomes = dict[Key, Outcome]


def with_errors(outcomes: Outcomes, errors: t.Mapping[Key, str]) -> Outcomes:
    """Each error becomes that of its volume, unless that has one."""
    return {
        key: outcome if outcome.error else outcome._replace(error=errors.get(key, ""))
        for key, outcome in outcomes.items()
    }


def unfailed(outcomes: Outcomes) -> list[Volume]:
    """The volumes that no step has failed for."""
    return [outcome.volume for outcome in outcomes.values() if not outcome.error]
