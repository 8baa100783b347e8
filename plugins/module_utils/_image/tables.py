# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a disk image is complete: the largest offset in its tables. QEMU, and therefore CDI, reads zeros after the
end of a file.

Only tables near the start of a compressed image are read. Each function returns how many bytes the image has to have
at least.
"""

from __future__ import annotations

import array
import struct
import sys
import typing as t

from .compression import Content, OutOfSight

_SECTOR = 512
_PART_BYTES = 1024 * 1024
# Of an entry in a qcow2's tables.
QCOW2_COMPRESSED = 1 << 62
QCOW2_OFFSET = 0x00FFFFFFFFFFFE00
_VHDX_BAT = b"\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"
# The states of a payload block that has data (MS-VHDX 2.5.1.1).
_VHDX_PRESENT = (6, 7)


def field(content: Content, offset: int, form: str) -> t.Any:
    """One value of the image's header, by `struct`'s form. Raises EOFError."""
    data = content.at(offset, struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        raise EOFError(f"its header ends before byte {offset + struct.calcsize(form)}")
    (value,) = struct.unpack(form, data)
    return value


def numbers(content: Content, offset: int, count: int, code: str) -> t.Iterator[tuple[int, int]]:
    """The entries of a table with their places, by `array`'s code; small letters are little-endian. Raises EOFError."""
    kind = {"q": "Q", "i": "I"}.get(code, code)
    size, first = array.array(kind).itemsize, 0
    while first < count:
        some = min(count - first, _PART_BYTES // size)
        data = content.at(offset + first * size, some * size)
        if len(data) < some * size:
            raise EOFError(
                f"its table at byte {offset} has {count * size} bytes and ends after {first * size + len(data)}"
            )
        values = array.array(kind, data)
        if (code == kind) == (sys.byteorder == "little"):
            values.byteswap()
        yield from enumerate(values, first)
        first += some


def _largest(ends: t.Iterator[int]) -> int:
    return max(ends, default=0)


def _part(start: int, length: int, place: int, disk: int) -> int:
    """The end of the data of a block. The last block counts only up to the end of the disk."""
    return start + min(length, max(disk - place * length, 0))


class Qcow2(t.NamedTuple):
    """What the header of a qcow2 says about its tables (QEMU 10.0, docs/interop/qcow2.rst).

    The first table is at offset `table`, and has `entries` that the disk needs, for a table of the second level each.
    `disk` is the size of the disk in bytes. With `is_extended`, an entry of the second level has a second word.
    """

    version: int
    cluster_bits: int
    disk: int
    table: int
    entries: int
    is_extended: bool

    @classmethod
    def of(cls, content: Content) -> Qcow2:
        """Raises EOFError."""
        bits, disk = field(content, 20, ">I"), field(content, 24, ">Q")
        if not 9 <= bits <= 21:
            raise EOFError(f"its clusters have 2^{bits} bytes")
        version = field(content, 4, ">I")
        header = cls(version, bits, disk, 0, 0, version == 3 and bool(field(content, 72, ">Q") & 16))
        if header.is_extended and header.cluster < 32 * _SECTOR:
            raise EOFError(f"its clusters have {header.cluster} bytes, which are too few for 32 parts")
        count, table = field(content, 36, ">I"), field(content, 40, ">Q")
        needed = -(-disk // (header.clusters_per_table * header.cluster))
        if count < needed:
            raise EOFError(f"its table has {count} entries, and its disk of {disk} bytes needs {needed}")
        return header._replace(table=table, entries=needed)

    @property
    def cluster(self) -> int:
        """The bytes of a cluster, and of a table of the second level."""
        return 1 << self.cluster_bits

    @property
    def clusters_per_table(self) -> int:
        return self.cluster // (16 if self.is_extended else 8)

    def tables(self, content: Content) -> t.Iterator[tuple[int, int]]:
        """The tables of the second level: the number of the first cluster in each, and its offset. Raises EOFError."""
        for number, entry in numbers(content, self.table, self.entries, "Q"):
            if start := entry & QCOW2_OFFSET:
                yield number * self.clusters_per_table, start

    def compressed(self, entry: int) -> tuple[int, int]:
        """Where a compressed cluster begins, and where the last sector ends that it touches."""
        size_shift = 62 - (self.cluster_bits - 8)
        start = entry & ((1 << size_shift) - 1)
        sectors = ((entry & (QCOW2_COMPRESSED - 1)) >> size_shift) + 1
        return start, (start & -_SECTOR) + sectors * _SECTOR


def qcow2_end(content: Content) -> int:
    """The end by both levels of tables. CDI does not read the tables of internal snapshots."""
    header = Qcow2.of(content)

    def ends() -> t.Iterator[int]:
        yield field(content, 48, ">Q") + 1
        for first, table in header.tables(content):
            yield table + header.cluster
            yield from _qcow2_clusters(content, header, table, first)

    return _largest(ends())


def _qcow2_clusters(content: Content, header: Qcow2, table: int, first: int) -> t.Iterator[int]:
    for number, entry in numbers(content, table, header.cluster // 8, "Q"):
        if not entry or (header.is_extended and number % 2):
            continue  # Of an extended entry the second word only says which parts are allocated.
        if entry & QCOW2_COMPRESSED:
            _start, end = header.compressed(entry)
            yield end - _SECTOR + 1  # The last sector has at least one byte.
        elif start := entry & QCOW2_OFFSET:
            if header.is_extended:
                yield start + 1
            elif not entry & 1:  # It reads as zeros.
                yield _part(start, header.cluster, first + number, header.disk)


def vdi_end(content: Content) -> int:
    blocks, first, disk = field(content, 0x154, "<I"), field(content, 0x158, "<I"), field(content, 0x170, "<Q")
    size, count = field(content, 0x178, "<I"), field(content, 0x180, "<I")
    if not size or count * size < disk:
        raise EOFError(f"its map has {count} blocks of {size} bytes for a disk of {disk} bytes")
    return _largest(
        _part(first + block * size, size, place, disk)
        for place, block in numbers(content, blocks, count, "i")
        if block < 0xFFFFFFFE
    )


def vmdk_end(content: Content) -> int:
    """The end by the grain tables. A stream-optimized vmdk repeats its header, with the directory, at its end."""
    header = 0
    if field(content, 56, "<Q") == 0xFFFFFFFFFFFFFFFF:
        size = content.size(exact=False)
        if size is None:
            raise OutOfSight
        end = content.end() or b""
        if len(end) < _SECTOR or end.strip(b"\0"):
            raise EOFError("its end marker is missing")
        header = size - 2 * _SECTOR
        if content.at(header, 4) != b"KDMV":
            raise EOFError("its footer is missing")
    capacity, grain = field(content, header + 12, "<Q") * _SECTOR, field(content, header + 20, "<Q") * _SECTOR
    per_table, directory = field(content, header + 44, "<I"), field(content, header + 56, "<Q") * _SECTOR
    if not grain or not per_table or per_table > 1 << 20:
        raise EOFError(f"its tables have {per_table} grains of {grain} bytes")
    tables = -(-capacity // (grain * per_table))
    compressed = bool(field(content, header + 8, "<I") & 1 << 16)

    def ends() -> t.Iterator[int]:
        for number, table in numbers(content, directory, tables, "i"):
            if table:
                yield (table * _SECTOR) + 4 * per_table
                for place, start in numbers(content, table * _SECTOR, per_table, "i"):
                    if start > 1:  # One that is 1 reads as zeros.
                        yield (
                            start * _SECTOR + 1
                            if compressed
                            else _part(start * _SECTOR, grain, number * per_table + place, capacity)
                        )

    return _largest(ends())


def vhd_end(content: Content) -> int:
    """The end of a dynamic vhd, 0 for a fixed one, which has neither tables nor a header."""
    if field(content, 60, ">I") != 3:
        return 0
    header = field(content, 16, ">Q")
    if content.at(header, 8) != b"cxsparse":
        raise EOFError(f"its header at byte {header} is missing")
    table, count, size = (
        field(content, header + 16, ">Q"),
        field(content, header + 28, ">I"),
        field(content, header + 32, ">I"),
    )
    if not size or size % _SECTOR:
        raise EOFError(f"its blocks have {size} bytes")
    bitmap = -(-size // _SECTOR // 8 // _SECTOR) * _SECTOR or _SECTOR
    return _largest(
        block * _SECTOR + bitmap + size for _place, block in numbers(content, table, count, "I") if block != 0xFFFFFFFF
    )


def vhdx_end(content: Content, regions: t.Mapping[bytes, int], block_bytes: int, sector_bytes: int, disk: int) -> int:
    """The end by the block table. A bitmap block follows each chunk of payload blocks."""
    table = regions.get(_VHDX_BAT)
    if table is None:
        raise EOFError("its block table is missing")
    if not block_bytes or not sector_bytes:
        raise EOFError("its blocks have no size")
    chunk = max((1 << 23) * sector_bytes // block_bytes, 1)
    blocks = -(-disk // block_bytes)
    count = blocks + max(blocks - 1, 0) // chunk
    ends = (
        _part(entry >> 20 << 20, block_bytes, place - place // (chunk + 1), disk)
        for place, entry in numbers(content, table, count, "q")
        if entry & 7 in _VHDX_PRESENT and place % (chunk + 1) != chunk
    )
    return _largest(ends)


def gpt_end(content: Content) -> int:
    """The end of a GPT disk, whose last sector has a copy of the partition table."""
    for sector in (512, 4096):
        if content.at(sector, 8) == b"EFI PART":
            return (int(field(content, sector + 32, "<Q")) + 1) * sector
    return 0


def iso_end(content: Content) -> int:
    """The end by the volume size in the descriptor."""
    return int(field(content, 32768 + 80, "<I")) * int(field(content, 32768 + 128, "<H"))
