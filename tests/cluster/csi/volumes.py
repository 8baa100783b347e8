# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of volumes and snapshots: a JSON file beside each image.

The driver that manages them reads them at each start. Another one in the same pool reads a record when it needs it.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

BLOCK = "Block"
FILESYSTEM = "Filesystem"


@dataclass(frozen=True)
class Volume:
    """A volume; `size_bytes` is usable space, so the image of a Filesystem volume is larger."""

    id: str
    name: str
    mode: str
    size_bytes: int
    source_kind: str = ""  # "", "volume" or "snapshot"
    source_id: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot, with the mode and size of its volume at that time; `created` is in nanoseconds since 1970."""

    id: str
    name: str
    mode: str
    size_bytes: int
    source_id: str
    created: int


Record = TypeVar("Record", Volume, Snapshot)


def new_id() -> str:
    """An identifier that sorts by age."""
    return f"{time.time_ns():016x}-{uuid.uuid4()}"


class Store(Generic[Record]):
    """All records of one kind in a directory. A record exists when its JSON file exists."""

    def __init__(self, directory: Path, kind: type[Record], *, manages: bool) -> None:
        self.directory, self._manages = directory, manages
        self._kind: type[Record] = kind
        directory.mkdir(parents=True, exist_ok=True)
        self._records: dict[str, Record] = {}
        if not manages:
            return
        for file in directory.glob("*.json"):
            record = self._read(file)
            self._records[record.id] = record
        for file in directory.iterdir():
            if file.stem not in self._records or file.suffix == ".partial":
                file.unlink()

    def image(self, record_id: str) -> Path:
        """The image with the bytes of a record."""
        return self.directory / f"{record_id}.img"

    def get(self, record_id: str) -> Record | None:
        """The record with that id."""
        if self._manages:
            return self._records.get(record_id)
        try:
            return self._read(self.directory / f"{record_id}.json")
        except FileNotFoundError:
            return None

    def _read(self, file: Path) -> Record:
        return self._kind(**json.loads(file.read_text(encoding="utf-8")))

    def named(self, name: str) -> Record | None:
        """The record that a caller created with that name."""
        return next((record for record in self.all() if record.name == name), None)

    def all(self) -> list[Record]:
        """All records, the oldest first."""
        return sorted(self._records.copy().values(), key=lambda record: record.id)

    def put(self, record: Record) -> None:
        """Add or replace a record, whose image must be complete."""
        file = self.directory / f"{record.id}.json"
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")
        partial.rename(file)
        self._records[record.id] = record

    def delete(self, record_id: str) -> None:
        """Delete a record and its image."""
        (self.directory / f"{record_id}.json").unlink()
        self.image(record_id).unlink()
        del self._records[record_id]


class State:
    """The volumes and snapshots of a driver, and the locks that keep concurrent calls off the same object."""

    def __init__(self, directory: Path, *, manages: bool) -> None:
        self.volumes = Store(directory / "volumes", Volume, manages=manages)
        self.snapshots = Store(directory / "snapshots", Snapshot, manages=manages)
        self._locks: dict[str, threading.Lock] = {}

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Allow one call at a time for a volume id, a snapshot id or the name of one that is being created."""
        with self._locks.setdefault(key, threading.Lock()):
            yield
