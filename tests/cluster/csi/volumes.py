# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the driver knows of its volumes and snapshots: one JSON file beside every image, read again at each start."""

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
    """A volume; `size_bytes` is what its user can fill, the image of a Filesystem volume is larger."""

    id: str
    name: str
    mode: str
    size_bytes: int
    source_kind: str = ""  # "", "volume" or "snapshot"
    source_id: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot; mode and size are those of the volume at that time, `created` is in nanoseconds since 1970."""

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
    """All records of one kind in one directory. A record exists from the moment its JSON file does."""

    def __init__(self, directory: Path, kind: type[Record]) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._records: dict[str, Record] = {}
        for file in directory.glob("*.json"):
            record = kind(**json.loads(file.read_text(encoding="utf-8")))
            self._records[record.id] = record
        for file in directory.iterdir():
            if file.stem not in self._records or file.suffix == ".partial":
                file.unlink()

    def image(self, record_id: str) -> Path:
        """Where the bytes are."""
        return self.directory / f"{record_id}.img"

    def get(self, record_id: str) -> Record | None:
        """The record of that id."""
        return self._records.get(record_id)

    def named(self, name: str) -> Record | None:
        """The record that a caller made under that name."""
        return next((record for record in self.all() if record.name == name), None)

    def all(self) -> list[Record]:
        """Every record, the oldest first."""
        return sorted(self._records.copy().values(), key=lambda record: record.id)

    def put(self, record: Record) -> None:
        """Adds or replaces a record; its image is complete by then."""
        file = self.directory / f"{record.id}.json"
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")
        partial.rename(file)
        self._records[record.id] = record

    def delete(self, record_id: str) -> None:
        """Forgets a record and deletes its bytes."""
        (self.directory / f"{record_id}.json").unlink()
        self.image(record_id).unlink()
        del self._records[record_id]


class State:
    """The volumes and snapshots of one driver, and the locks that keep two calls from one object."""

    def __init__(self, directory: Path) -> None:
        self.volumes = Store(directory / "volumes", Volume)
        self.snapshots = Store(directory / "snapshots", Snapshot)
        self._locks: dict[str, threading.Lock] = {}

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """One call at a time for a volume id, a snapshot id or the name of one that is being made."""
        with self._locks.setdefault(key, threading.Lock()):
            yield
