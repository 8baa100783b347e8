# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be shown of texts and objects that may hold secrets."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.public import (
    public_url,
    redact_urls,
    without_secrets,
)

URLS = [
    ("https://me:s3cret@host/disk", "https://***@host/disk"),
    ("http://u:s3@cret@host", "http://***@host"),
    ("http://u:s3?cret@host:80/x", "http://***@host:80/x"),
    ("https://s3cret@host/a@b", "https://***@host/a@b"),
    ("https://me:s3cret@host.test/a@b", "https://***@host.test/a@b"),
    ("http://u:s3/cret@host/disk", "http://***@host/disk"),
    ("http://u:s3@cr/et?@host:3128", "http://***@host:3128"),
    ("https://host:8080/path@v1/disk", "https://host:8080/path@v1/disk"),
    ("https://host/disk?X-Amz-Signature=s3cret&a='s3cret'&b", "https://host/disk?***"),
    ("https://me:s3cret@host?s3cret", "https://***@host?***"),
    ("docker://registry/image@sha256:abc", "docker://registry/image@sha256:abc"),
    ("http://[::1]:80/disk.raw", "http://[::1]:80/disk.raw"),
]


@pytest.mark.parametrize(("url", "shown"), URLS)
def test_url_is_shown_without_user_and_query(url: str, shown: str) -> None:
    assert redact_urls(url) == public_url(url) == redact_urls(shown) == public_url(shown) == shown
    assert redact_urls(f'Get "{url}": refused') == f'Get "{shown}": refused'
    assert redact_urls(f"is {url}; ({url}), {url}.") == f"is {shown}; ({shown}), {shown}."
    assert str(CdiError(f"url is {url}; correct it.")) == f"url is {shown}; correct it."


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("me:s3cret@host/disk?s3cret", "***@host/disk?***"),
        ("https:me:s3cret@host", "***@host"),
        ("http:/me:s3cret@host.test/a@b", "http:/***@host.test/a@b"),
        ("u:s3/c?ret@host/disk", "***@host/disk"),
        ("http://u:s3@cr/et@host/disk", "http://***@host/disk"),
        ("//s3cret@host", "//***@host"),
        ("https://me:s3 cret@host/disk", "https://***@host/disk"),
        ("bucket/disk@1?a b", "bucket/disk@1?***"),
        ("/images/disk.tar", "/images/disk.tar"),
    ],
)
def test_malformed_url_is_shown_without_user_and_query(url: str, shown: str) -> None:
    assert public_url(url) == shown
    assert without_secrets({"host": url, "proxy": [{"url": url}]}) == {"host": shown, "proxy": [{"url": shown}]}


@pytest.mark.parametrize("text", ["Who? me@example.com", "a:b@c", "see https://host/docs. Why?", "", "no such host ?x"])
def test_text_without_secrets_is_unchanged(text: str) -> None:
    assert redact_urls(text) == text and without_secrets([text, 1, None, True]) == [text, 1, None, True]


def test_text_that_differs_only_in_hidden_parts_says_so() -> None:
    before = {"url": "https://host/a?sig=1", "extraHeaders": ["A: 1", "B: 2"], "same": "https://u:p@host", "gone": 1}
    after = {"url": "https://host/a?sig=2", "extraHeaders": ["A: 1", "B: 3"], "same": "https://u:p@host", "new": "x"}
    hidden = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    assert without_secrets(after, before) == {
        "url": "https://host/a?*** (redacted parts differ)",
        "extraHeaders": [hidden, f"{hidden} (redacted parts differ)"],
        "same": "https://***@host",
        "new": "x",
    }
    assert without_secrets({"url": "https://host/b?sig=2"}, before) == {"url": "https://host/b?***"}
    assert without_secrets({"extraHeaders": ["A: 1"]}, before) == {"extraHeaders": [hidden]}
    assert without_secrets({"url": {"a": "b"}}, before) == {"url": {"a": "b"}}
