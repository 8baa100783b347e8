# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes the secret values of this run from all output, in any spelling.

secrets.py has the values; public.py finds secrets by their place (URLs, headers, tokens). Values of fewer than 4
characters are ignored, because each word would contain them. Values of fewer than 8 are removed only as whole words.
"""

from __future__ import annotations

import base64
import re
import typing as t
from functools import cached_property, lru_cache

from .public import SHORTEST, redact_urls
from .secrets import known_secrets

HIDDEN = "***"
SHORT = 8
# For a value inside a longer base64 text: fewer characters would match by chance.
_LEAST_BASE64 = 8
_MOST_PERCENT = 256
_SPACE = r"(?:\s|\\+[ntr]|%20|%0[AaDd9]|\+)+"
# Characters that no escaping changes, and those of base64.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_BASE64 = _PLAIN | frozenset("+/-_=")
_HTML = {
    "&": ("&amp;", "&#38;"),
    "<": ("&lt;", "&#60;"),
    ">": ("&gt;", "&#62;"),
    '"': ("&quot;", "&#34;"),
    "'": ("&#x27;", "&#39;", "&apos;"),
}


class _Spelling:
    """One spelling of a value. Each match of the pattern contains `needle`. `run`: hide all the base64 around it."""

    def __init__(self, needle: str, pattern: str, *, run: bool = False) -> None:
        self.needle, self._text, self._run = needle, pattern, run

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self._text)

    def hidden_in(self, text: str) -> str:
        """A text that contains `needle`, with `***` for each match."""
        if not self._run:
            return self._pattern.sub(HIDDEN, text)
        shown, end = [], 0
        for found in self._pattern.finditer(text):
            if found.start() < end:
                continue
            begin = found.start()
            while begin > end and text[begin - 1] in _BASE64:
                begin -= 1
            shown += [text[end:begin], HIDDEN]
            end = found.end()
            while end < len(text) and text[end] in _BASE64:
                end += 1
        return "".join([*shown, text[end:]])


def redact(text: str) -> str:
    """A text without the secrets of this run and those in its URLs."""
    return redact_urls(_hide(text, _spellings_of(frozenset(known_secrets()))))


def redacted(value: t.Any) -> t.Any:
    """Plain data, including keys, without the secrets of this run. `without_secrets` handles URLs by field."""
    spellings = _spellings_of(frozenset(known_secrets()))
    return _without(value, spellings) if spellings else value


def _hide(text: str, spellings: tuple[_Spelling, ...]) -> str:
    for spelling in spellings:
        if spelling.needle in text:
            text = spelling.hidden_in(text)
    return text


def _without(value: t.Any, spellings: tuple[_Spelling, ...]) -> t.Any:
    if isinstance(value, dict):
        return {_without(key, spellings): _without(item, spellings) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without(item, spellings) for item in value]
    if isinstance(value, bytes):
        return _hide(value.decode("utf-8", "replace"), spellings)
    if isinstance(value, str):
        return _hide(value, spellings)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # A number can also be a password.
        text = _hide(str(value), spellings)
        return value if text == str(value) else text
    return value


@lru_cache(maxsize=4)
def _spellings_of(values: frozenset[str]) -> tuple[_Spelling, ...]:
    """The longest values first, because a value can be a part of a longer one."""
    texts = {text for value in values for text in (value.strip(), *_lines(value)) if len(text) >= SHORTEST}
    return tuple(
        spelling for text in sorted(texts, key=lambda text: (-len(text), text)) for spelling in _spellings(text)
    )


def _lines(value: str) -> list[str]:
    """The longer lines of a key or a file, which can be quoted alone. Short lines (`users:`) are common words."""
    lines = [line.strip() for line in value.splitlines()]
    return [line for line in lines if len(line) >= 2 * SHORT] if len(lines) > 1 else []


def _spellings(value: str) -> t.Iterator[_Spelling]:
    plain = max(re.findall("[A-Za-z0-9]*", value), key=len)
    written = "".join(_SPACE if character == " " else _character(character) for character in re.sub(r"\s+", " ", value))
    yield _Spelling(plain, written if len(value) >= SHORT else rf"(?<![A-Za-z0-9]){written}(?![A-Za-z0-9])")
    encoded = value.encode("utf-8", "surrogatepass")
    if len(encoded) <= _MOST_PERCENT:
        yield _Spelling("%", "(?i:" + "".join(f"%{byte:02x}" for byte in encoded) + ")")
    yield from _in_base64(encoded)


def _character(character: str) -> str:
    """One character in the spellings of JSON, URLs, HTML, Python and shells."""
    if character in _PLAIN:
        return character
    encoded = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass")
    ways = [
        r"\\+" if character == "\\" else r"\\*" + re.escape(character),
        "(?i:" + "".join(f"%{byte:02x}" for byte in encoded) + ")",
        "(?i:" + "".join(rf"\\+u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2)) + ")",
        "(?i:" + "".join(rf"\\+x{byte:02x}" for byte in encoded) + ")",
        *map(re.escape, _HTML.get(character, ())),
    ]
    if len(encoded) > 1:
        # As bytes of headers are decoded, and as Python shows them.
        ways.append(re.escape(encoded.decode("latin-1")))
        ways.append(rf"(?i:\\+x{ord(character):02x})" if ord(character) < 256 else rf"(?i:\\+U{ord(character):08x})")
    return f"(?:{'|'.join(ways)})"


def _in_base64(value: bytes) -> t.Iterator[_Spelling]:
    """The encoded value, alone and inside a longer encoded text such as `user:password` or a file."""
    exact = base64.b64encode(value).decode().rstrip("=")
    yield _base64(exact, rf"(?<![A-Za-z0-9+/_-]){_either(exact)}={{0,2}}(?![A-Za-z0-9+/_=-])", run=False)
    for before in range(3):
        # Without the characters that also depend on the text around the value: each holds 6 bits.
        core = base64.b64encode(b"\0" * before + value).decode()[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]
        if len(core) >= _LEAST_BASE64:
            yield _base64(core, _either(core), run=True)


def _base64(core: str, pattern: str, *, run: bool) -> _Spelling:
    return _Spelling(max(re.findall("[A-Za-z0-9]*", core), key=len), pattern, run=run)


def _either(encoded: str) -> str:
    """A pattern for both alphabets of base64."""
    return "".join({"+": "[+-]", "/": "[/_]"}.get(character, character) for character in encoded)
