# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A URL as the `path` of an upload, and the request for its file. Pure rules."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from .._data_volume.source_fetch import Names, Request
from .._kubernetes.errors import CdiError
from .._kubernetes.public import public_url, user_of

DOWNLOAD = "download the file first (ansible.builtin.get_url)"
_NAMES = Names("path", "a URL in path")


def is_url(path: str) -> bool:
    """Whether the file is fetched from a web server."""
    return re.match("https?://", path, re.IGNORECASE) is not None


def shown(path: str) -> str:
    """The path of a file, or its URL without secrets, for results. Errors and warnings hide them in any case."""
    return public_url(path) if is_url(path) else path


def file_name(path: str) -> str:
    """The path of a file, without the host and the query of a URL, which can be secrets."""
    return re.sub(r"^\w+://[^/?#]*|[?#].*", "", shown(path)) if is_url(path) else path


def check_url(name: str, path: str) -> None:
    """Refuse a URL, for the upload with this name, that cannot be fetched. Raises CdiError."""
    problem = ""
    try:
        parts = urlsplit(path)
        if user_of(path) != _user(parts):
            problem = "whose user or password has special characters; percent-encode them"
        elif not parts.hostname:
            problem = "which has no host; correct it"
        elif parts.port == 0:
            problem = "which has no valid port; correct it"
    except ValueError:  # Its text can contain a part of the password.
        problem = "which is not a valid URL; correct it"
    if problem:
        raise CdiError(f"path of {name} is {public_url(path)}, {problem}.")


def request_of(path: str) -> Request:
    """The request for a URL that was checked. User and password are sent only to its own host."""
    parts = urlsplit(path)
    user, colon, password = _user(parts).partition(":")
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return Request(url, credentials=(unquote(user), unquote(password)) if user or colon else None, names=_NAMES)


def _user(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[0]
