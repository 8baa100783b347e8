# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on demand: a JSON file, read again at every call, says which CSI calls fail or are slow.

The file maps a call to its fault. Every key of a fault is optional:

    {
      "CreateVolume": {"code": "INTERNAL", "message": "the array is on fire", "match": "pvc-1a2b", "count": 2},
      "CreateSnapshot": {"delay_seconds": 5}
    }

code           gRPC status code in capitals; without it the call is only delayed
message        message of the error
delay_seconds  seconds to wait before the call fails or runs
match          regular expression, searched in the request as one line of text (names, ids, parameters)
count          number of calls that the fault affects; writing the file again restarts the count

Without a file, or with an empty object, no call has a fault.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import grpc

from tests.cluster.errors import ClusterError
from tests.cluster.paths import state_dir

CALLS = frozenset(
    (
        *("GetPluginInfo", "GetPluginCapabilities", "Probe"),
        *("ControllerGetCapabilities", "ValidateVolumeCapabilities", "GetCapacity"),
        *("CreateVolume", "DeleteVolume", "ListVolumes", "ControllerExpandVolume"),
        *("CreateSnapshot", "DeleteSnapshot", "ListSnapshots"),
        *("NodeGetInfo", "NodeGetCapabilities", "NodeGetVolumeStats", "NodeExpandVolume"),
        *("NodeStageVolume", "NodeUnstageVolume", "NodePublishVolume", "NodeUnpublishVolume"),
    )
)


@dataclass(frozen=True)
class Fault:
    """The fault of a call; the docstring of the module describes the keys."""

    code: str = ""
    message: str = "injected fault"
    delay_seconds: float = 0
    match: str = ""
    count: int | None = None


def parse(faults: Mapping[str, Any]) -> dict[str, Fault]:
    """The faults in the content of a file. Raises ClusterError for the first error in it."""
    known = {field.name for field in fields(Fault)}
    parsed = {}
    for call, fault in faults.items():
        if call not in CALLS:
            raise ClusterError(f"Fault for unknown CSI call {call!r}: use one of {', '.join(sorted(CALLS))}.")
        if not isinstance(fault, Mapping) or set(fault) - known:
            raise ClusterError(
                f"Fault for {call} is {fault!r}: give an object with keys of {', '.join(sorted(known))}."
            )
        parsed[call] = Fault(**fault)
        _check(call, parsed[call])
    return parsed


def _check(call: str, fault: Fault) -> None:
    if fault.code and (fault.code not in grpc.StatusCode.__members__ or fault.code == "OK"):
        raise ClusterError(f"Fault for {call} has code {fault.code!r}: use a gRPC status code such as INTERNAL.")
    if not isinstance(fault.delay_seconds, int | float) or fault.delay_seconds < 0:
        raise ClusterError(
            f"Fault for {call} has delay_seconds {fault.delay_seconds!r}: use a number of seconds, at least 0."
        )
    if fault.count is not None and (not isinstance(fault.count, int) or fault.count < 1):
        raise ClusterError(f"Fault for {call} has count {fault.count!r}: use a whole number, at least 1.")
    try:
        re.compile(fault.match)
    except (re.error, TypeError) as error:
        raise ClusterError(
            f"Fault for {call} has match {fault.match!r}, which is no regular expression: {error}."
        ) from None


class FaultFile:
    """The driver's view of the file: which fault, if any, a call has."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._written = 0
        self._hits: Counter[str] = Counter()

    def read(self) -> tuple[int, dict[str, Fault]]:
        """The modification time of the file in nanoseconds, and its faults. Raises ClusterError for an invalid file."""
        try:
            with self._file.open(encoding="utf-8") as stream:
                written = os.fstat(stream.fileno()).st_mtime_ns
                content = json.load(stream)
        except FileNotFoundError:
            return 0, {}
        except json.JSONDecodeError as error:
            raise ClusterError(
                f"The fault file {self._file} is not valid JSON ({error}): correct or delete it."
            ) from None
        if not isinstance(content, dict):
            raise ClusterError(f"The fault file {self._file} contains no object: write {{}} or delete it.")
        return written, parse(content)

    def take(self, call: str, request: str) -> Fault | None:
        """The fault of this call, if any; counts the call."""
        with self._lock:
            written, faults = self.read()
            fault = faults.get(call)
            if fault is None or not re.search(fault.match, request):
                return None
            if written != self._written:
                self._written = written
                self._hits.clear()
            self._hits[call] += 1
            return fault if fault.count is None or self._hits[call] <= fault.count else None


def faults_file(profile: str) -> Path:
    """The file that the drivers of a cluster get as --faults."""
    return state_dir(profile) / "csi-faults.json"


def set_faults(profile: str, faults: Mapping[str, Any]) -> None:
    """Replace all faults of a running cluster by these."""
    parse(faults)
    file = faults_file(profile)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(faults), encoding="utf-8")
    partial.rename(file)


def clear_faults(profile: str) -> None:
    """End all faults of a running cluster."""
    faults_file(profile).unlink(missing_ok=True)
