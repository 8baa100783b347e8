# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The start and the size of what is in a Zstandard file (RFC 8878), which Python's library reads only from 3.14 on.

Made for the headers of images, some hundred kilobytes at most: it keeps all that it has decoded, and is slow.
"""

from __future__ import annotations

import os
import typing as t

MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = 0x184D2A50
_LARGEST_BLOCK = 128 * 1024
_DEEPEST_TREE = 11


class _Frame(t.NamedTuple):
    """A frame's header: where its blocks begin, the size of its content in bytes when it says one, and whether a checksum ends it."""

    blocks: int
    content_size: int | None
    checksum: bool


class _Table(t.NamedTuple):
    """A decoding table of finite state entropy: for each state its symbol, the bits to read, and what to add to them for the next."""

    log: int
    symbols: list[int]
    bits: list[int]
    bases: list[int]


_LITERAL_LENGTHS = [(value, 0) for value in range(16)] + [
    *((16, 1), (18, 1), (20, 1), (22, 1), (24, 2), (28, 2), (32, 3), (40, 3), (48, 4)),
    *((64 << shift, shift + 6) for shift in range(11)),
]
_MATCH_LENGTHS = [(value + 3, 0) for value in range(32)] + [
    *((35, 1), (37, 1), (39, 1), (41, 1), (43, 2), (47, 2), (51, 3), (59, 3), (67, 4), (83, 4), (99, 5)),
    *((3 + (128 << shift), shift + 7) for shift in range(10)),
]


def is_skippable(magic: bytes) -> bool:
    """Whether a frame that begins so holds no data."""
    return int.from_bytes(magic, "little") & 0xFFFFFFF0 == _SKIPPABLE


def demands(descriptor: int) -> tuple[int, int]:
    """The window in bytes and the number of the dictionary that the first frame needs."""
    flags = _number(descriptor, 4, 1)
    single = bool(flags & 0x20)
    at = 5 if single else 6
    length = (0, 1, 2, 4)[flags & 3]
    dictionary = _number(descriptor, at, length) if length else 0
    if single:
        return 0, dictionary  # The content itself is the window, which CDI does not limit.
    window = _number(descriptor, 5, 1)
    return (8 + (window & 7) << 10 + (window >> 3)) >> 3, dictionary


def measured(descriptor: int, file_size: int) -> tuple[int | None, int]:
    """The bytes in all frames, None when a frame does not say, and where the last frame ends. Reads headers only. Raises EOFError."""
    total: int | None = 0
    at = 0
    while at < file_size:
        magic = os.pread(descriptor, 4, at)
        if at and magic != MAGIC and not is_skippable(magic):
            break
        if is_skippable(magic):
            at += 8 + _number(descriptor, at + 4, 4)
            continue
        frame = _frame(descriptor, at)
        total = None if total is None or frame.content_size is None else total + frame.content_size
        at = frame.blocks
        last = False
        while not last:
            last, kind, size = _block(descriptor, at)
            if kind == 3:
                raise EOFError("its zstd frame is damaged")
            at += 3 + (1 if kind == 1 else size)
        at += 4 if frame.checksum else 0
    if at > file_size:
        raise EOFError("its zstd frame ends too early")
    return total, at


def pieces(descriptor: int, file_size: int) -> t.Iterator[bytes]:
    """What is in the file, block by block. Raises EOFError when it is damaged."""
    at = 0
    try:
        while at < file_size:
            magic = os.pread(descriptor, 4, at)
            if is_skippable(magic):
                at += 8 + _number(descriptor, at + 4, 4)
                continue
            if at and magic != MAGIC:
                return
            frame = _frame(descriptor, at)
            at, last, decoder = frame.blocks, False, _Decoder()
            while not last:
                last, kind, size = _block(descriptor, at)
                data = _bytes(descriptor, at + 3, 1 if kind == 1 else size)
                at += 3 + len(data)
                yield decoder.block(kind, size, data)
            at += 4 if frame.checksum else 0
    except (IndexError, ValueError) as exc:
        raise EOFError(f"its zstd frame is damaged ({exc})") from exc


def _frame(descriptor: int, at: int) -> _Frame:
    if _bytes(descriptor, at, 4) != MAGIC:
        raise EOFError("its zstd frame is damaged")
    flags = _number(descriptor, at + 4, 1)
    single, at = bool(flags & 0x20), at + 5
    at += 0 if single else 1
    at += (0, 1, 2, 4)[flags & 3]
    length = (1 if single else 0, 2, 4, 8)[flags >> 6]
    size = _number(descriptor, at, length) + (256 if length == 2 else 0) if length else None
    return _Frame(at + length, size, bool(flags & 4))


def _block(descriptor: int, at: int) -> tuple[bool, int, int]:
    """Whether it is the last, its kind (0 raw, 1 one byte repeated, 2 compressed), and its size."""
    header = _number(descriptor, at, 3)
    return bool(header & 1), header >> 1 & 3, header >> 3


def _bytes(descriptor: int, at: int, length: int) -> bytes:
    data = os.pread(descriptor, length, at)
    if len(data) < length:
        raise EOFError("its zstd frame ends too early")
    return data


def _number(descriptor: int, at: int, length: int) -> int:
    return int.from_bytes(_bytes(descriptor, at, length), "little")


class _Backwards:
    """Bits read from the end of the data to its start; a one marks the end. Before the start there are zeros."""

    def __init__(self, data: bytes) -> None:
        if not data or not data[-1]:
            raise ValueError("no end mark")
        self._data = data
        self.left = len(data) * 8 - 9 + data[-1].bit_length()

    def peek(self, count: int) -> int:
        start = self.left - count
        if start >= 0:
            first = start >> 3
            return int.from_bytes(self._data[first : first + 8], "little") >> (start & 7) & ((1 << count) - 1)
        return (int.from_bytes(self._data[:8], "little") & ((1 << max(self.left, 0)) - 1)) << -start & (
            (1 << count) - 1
        )

    def read(self, count: int) -> int:
        value = self.peek(count)
        self.left -= count
        return value


def _counts(data: bytes) -> tuple[int, list[int], int]:
    """Accuracy, probabilities and length of a table's description (section 4.1.1)."""
    bits, at, counts = int.from_bytes(data[:512], "little"), 4, []
    log = (bits & 15) + 5
    remaining = 1 << log
    while remaining > 0:
        width = (remaining + 1).bit_length()
        value, low = bits >> at & ((1 << width) - 1), (1 << (width - 1)) - 1
        threshold = (1 << width) - 2 - remaining
        at += width
        if value & low < threshold:
            value, at = value & low, at - 1
        elif value > low:
            value -= threshold
        remaining -= abs(value - 1)
        counts.append(value - 1)
        repeat = 3 if value == 1 else 0
        while repeat == 3:
            repeat, at = bits >> at & 3, at + 2
            counts += [0] * repeat
        if at > len(data) * 8 or len(counts) > 256:
            raise ValueError("bad table")
    return log, counts, -(-at // 8)


def _table(log: int, counts: t.Sequence[int]) -> _Table:
    size = high = 1 << log
    symbols = [0] * size
    for symbol, count in enumerate(counts):
        if count < 0:
            high -= 1
            symbols[high] = symbol
    step, at = (size >> 1) + (size >> 3) + 3, 0
    for symbol, count in enumerate(counts):
        for _time in range(count):
            symbols[at] = symbol
            at = (at + step) % size
            while at >= high:
                at = (at + step) % size
    following = [abs(count) for count in counts]
    bits, bases = [], []
    for symbol in symbols:
        state = following[symbol]
        following[symbol] += 1
        bits.append(log - state.bit_length() + 1)
        bases.append((state << bits[-1]) - size)
    return _Table(log, symbols, bits, bases)


_RLE = 1
_PREDEFINED = (
    _table(6, [4, 3, *[2] * 11, 1, 1, 1, *[2] * 9, 3, 2, *[1] * 5, *[-1] * 4]),
    _table(5, [*[1] * 6, 2, 2, 2, *[1] * 15, *[-1] * 5]),
    _table(6, [1, 4, 3, *[2] * 6, *[1] * 37, *[-1] * 7]),
)


class _Decoder:
    """One frame: what it has decoded, and the tables that later blocks may use again."""

    def __init__(self) -> None:
        self._output = bytearray()
        self._offsets = [1, 4, 8]
        self._huffman: tuple[int, list[tuple[int, int]]] | None = None
        self._tables = list(_PREDEFINED)

    def block(self, kind: int, size: int, data: bytes) -> bytes:
        begun = len(self._output)
        if kind == 3 or (size > _LARGEST_BLOCK and kind == 2):
            raise ValueError("bad block")
        if kind < 2:
            self._output += data * size if kind == _RLE else data
        else:
            literals, rest = self._literals(data)
            self._sequences(literals, rest)
        return bytes(self._output[begun:])

    def _literals(self, data: bytes) -> tuple[bytes, bytes]:
        """The literals of a block, and what comes behind them (section 3.1.1.3.1)."""
        kind, form = data[0] & 3, data[0] >> 2 & 3
        if kind < 2:
            length, shift = ((1, 3), (2, 4), (1, 3), (3, 4))[form]
            size = int.from_bytes(data[:length], "little") >> shift
            if kind == _RLE:
                return data[length : length + 1] * min(size, _LARGEST_BLOCK), data[length + 1 :]
            return data[length : length + size], data[length + size :]
        length, width = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
        sizes = int.from_bytes(data[:length], "little") >> 4
        size, compressed = sizes & ((1 << width) - 1), sizes >> width
        stream, rest = data[length : length + compressed], data[length + compressed :]
        if kind == 2:
            stream = self._read_huffman(stream)
        if form == 0:
            return self._huffman_stream(stream, size), rest
        ends = [6]
        for number in range(3):
            ends.append(ends[-1] + int.from_bytes(stream[2 * number : 2 * number + 2], "little"))
        ends.append(len(stream))
        quarter = (size + 3) // 4
        parts = [
            self._huffman_stream(stream[ends[n] : ends[n + 1]], quarter if n < 3 else size - 3 * quarter)
            for n in range(4)
        ]
        return b"".join(parts), rest

    def _read_huffman(self, data: bytes) -> bytes:
        """Read the tree's description (section 4.2.1), and return what comes behind it."""
        header, rest = data[0], data[1:]
        if header >= 128:
            count = header - 127
            weights = [value for byte in rest[: (count + 1) // 2] for value in (byte >> 4, byte & 15)][:count]
            rest = rest[(count + 1) // 2 :]
        else:
            weights = self._weights(rest[:header])
            rest = rest[header:]
        total = sum(1 << weight - 1 for weight in weights if weight)
        bits = total.bit_length()
        if bits > _DEEPEST_TREE:
            raise ValueError("bad tree")
        weights.append(((1 << bits) - total).bit_length())
        codes: list[tuple[int, int]] = []
        for weight in range(1, bits + 1):
            for symbol, own in enumerate(weights):
                if own == weight:
                    codes += [(symbol, bits + 1 - weight)] * (1 << weight - 1)
        if len(codes) != 1 << bits:
            raise ValueError("bad tree")
        self._huffman = bits, codes
        return rest

    def _weights(self, data: bytes) -> list[int]:
        log, counts, length = _counts(data)
        table, stream = _table(log, counts), _Backwards(data[length:])
        states, weights, turn = [stream.read(log), stream.read(log)], [], 0
        while len(weights) < 256:
            state = states[turn]
            weights.append(table.symbols[state])
            if stream.left < table.bits[state]:
                return [*weights, table.symbols[states[1 - turn]]]
            states[turn] = table.bases[state] + stream.read(table.bits[state])
            turn = 1 - turn
        raise ValueError("bad weights")

    def _huffman_stream(self, data: bytes, size: int) -> bytes:
        if self._huffman is None:
            raise ValueError("no tree")
        bits, codes = self._huffman
        stream, decoded = _Backwards(data), bytearray()
        for _literal in range(size):
            symbol, length = codes[stream.peek(bits)]
            stream.left -= length
            decoded.append(symbol)
        return bytes(decoded)

    def _sequences(self, literals: bytes, data: bytes) -> None:
        """Put literals and repetitions together (sections 3.1.1.3.2 and 3.1.1.4)."""
        count, at = data[0], 1
        if count >= 128:
            count, at = ((count - 128 << 8) + data[1], 2) if count < 255 else (data[1] + (data[2] << 8) + 0x7F00, 3)
        if not count:
            self._output += literals
            return
        modes, at = data[at], at + 1
        for number, shift in enumerate((6, 4, 2)):
            at += self._read_table(number, modes >> shift & 3, data[at:])
        stream = _Backwards(data[at:])
        tables = self._tables
        states = [stream.read(table.log) for table in tables]
        begun, taken = len(self._output), 0
        for number in range(count):
            literal_code, offset_code, match_code = (table.symbols[state] for table, state in zip(tables, states))
            offset_value = (1 << offset_code) + stream.read(offset_code)
            match_base, match_bits = _MATCH_LENGTHS[match_code]
            match = match_base + stream.read(match_bits)
            literal_base, literal_bits = _LITERAL_LENGTHS[literal_code]
            length = literal_base + stream.read(literal_bits)
            self._output += literals[taken : taken + length]
            taken += length
            self._repeat(self._offset(offset_value, length == 0), match)
            if len(self._output) - begun > _LARGEST_BLOCK:
                raise ValueError("a block is too large")
            if number < count - 1:
                for which in (0, 2, 1):
                    table, state = tables[which], states[which]
                    states[which] = table.bases[state] + stream.read(table.bits[state])
        self._output += literals[taken:]

    def _read_table(self, number: int, mode: int, data: bytes) -> int:
        """Set one of the three tables, and return the length of its description."""
        if mode == 0:
            self._tables[number] = _PREDEFINED[number]
        elif mode == _RLE:
            self._tables[number] = _Table(0, [data[0]], [0], [0])
            return 1
        elif mode == 2:
            log, counts, length = _counts(data)
            self._tables[number] = _table(log, counts)
            return length
        return 0

    def _offset(self, value: int, no_literals: bool) -> int:
        """How far back a repetition begins; small values stand for the last three (section 3.1.1.5)."""
        first, second, third = self._offsets
        if value > 3:
            self._offsets = [value - 3, first, second]
            return value - 3
        choice = value - 1 + no_literals
        if choice == 1:
            self._offsets = [second, first, third]
        elif choice > 1:
            self._offsets = [third if choice == 2 else first - 1, first, second]
        return self._offsets[0]

    def _repeat(self, offset: int, length: int) -> None:
        if not 0 < offset <= len(self._output):
            raise ValueError("bad offset")
        start = len(self._output) - offset
        pattern = bytes(self._output[start : start + length])
        self._output += (pattern * (length // len(pattern) + 1))[:length]
