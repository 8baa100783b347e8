# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encodings of a secret in answers, messages and logs, and whether a result contains one of them."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus


def spellings(secret: str) -> dict[str, str]:
    """The encodings by their names."""
    data = secret.encode()
    return {
        "plain": secret,
        "percent": quote(secret, safe=""),
        "percent in lower case": quote(secret, safe="").replace("%2F", "%2f").replace("%3F", "%3f"),
        "percent but for the slash": quote(secret),
        "form": quote_plus(secret),
        "percent everything": "".join(f"%{byte:02X}" for byte in data),
        "JSON": json.dumps(secret)[1:-1],
        "JSON, not ASCII": json.dumps(secret, ensure_ascii=False)[1:-1],
        "JSON in JSON": json.dumps(json.dumps(secret))[3:-3],
        "repr": repr(secret)[1:-1],
        "repr of bytes": repr(data)[2:-1],
        "ascii": ascii(secret)[1:-1],
        "HTML": html.escape(secret),
        "Latin-1": data.decode("latin-1"),
        "one line": " ".join(secret.split()),
        "base64": base64.b64encode(data).decode(),
        "base64 for URLs": base64.urlsafe_b64encode(data).decode(),
        "basic authentication": base64.b64encode(b"user:" + data).decode(),
        "basic authentication of ann": base64.b64encode(b"ann:" + data).decode(),
        "a file in base64": base64.b64encode(b"users:\n- token: " + data + b"\nmore: text\n").decode(),
    }


def shown_in(value: Any, secrets: Iterable[str]) -> list[str]:
    """The encodings of these secrets that occur in a text, or in the texts of plain data."""
    written = "\0".join(_texts(value))
    return [spelling for secret in secrets for spelling in spellings(secret).values() if spelling in written]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    else:
        yield str(value)
