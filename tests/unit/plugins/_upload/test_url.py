# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs as the path of an upload."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.options import check, stripped
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.url import file_name, is_url, request_of

from tests.upload_samples import upload_options

URL = "https://example.com/images/disk.qcow2"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (URL, True),
        ("HTTP://example.com/disk", True),
        ("http:/example.com/disk", False),
        ("ftp://example.com/disk", False),
        ("/http://example.com/disk", False),
        ("https", False),
    ],
)
def test_only_http_and_https_are_fetched(path: str, expected: bool) -> None:
    assert is_url(path) == expected


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/images/disk?.tar#1", "/images/disk?.tar#1"),
        (URL, "/images/disk.qcow2"),
        ("https://ann:pw/with/slash@example.com:8443/files.tar?token=a/b.c#x", "/files.tar"),
        ("https://example.com", ""),
        ("https://ann:pw@[broken/files.tar", "/files.tar"),
    ],
)
def test_name_of_a_file_has_no_secrets(path: str, name: str) -> None:
    assert file_name(path) == name


@pytest.mark.parametrize(
    ("path", "url", "credentials"),
    [
        (URL, URL, None),
        ("https://example.com:8443/a?b=c%20d", "https://example.com:8443/a?b=c%20d", None),
        ("http://ann:p%40ss%2Fword@example.com/a", "http://example.com/a", ("ann", "p@ss/word")),
        ("http://token@example.com/a", "http://example.com/a", ("token", "")),
        ("http://:pw@example.com/a", "http://example.com/a", ("", "pw")),
    ],
)
def test_user_and_password_are_sent_as_credentials(path: str, url: str, credentials: tuple[str, str] | None) -> None:
    request = request_of(path)
    assert (request.url, request.credentials) == (url, credentials)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("https://", "path of disk is https://, which has no host; correct it"),
        ("https:///disk", "which has no host"),
        ("https://[::1/disk", "which is not a valid URL"),
        ("https://example.com:port/disk", "which is not a valid URL"),
        ("https://example.com:0/disk", "which has no valid port"),
        ("https://ann:secret/word@example.com/disk", "whose user or password has special characters; percent-encode"),
        ("https://ann:secret#word@example.com/disk", "whose user or password has special characters; percent-encode"),
    ],
)
def test_url_that_cannot_be_fetched_is_refused(path: str, words: str) -> None:
    with pytest.raises(CdiError) as refused:
        check(upload_options(path=path, encoding="auto"))
    assert words in str(refused.value) and "secret" not in str(refused.value), str(refused.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoding": "qcow2"}, "encoding of disk is qcow2"),
        ({"encoding": "raw_gz"}, "encoding of disk is raw_gz"),
        ({"encoding": "auto", "verify_content": True}, "verify_content of disk is true"),
    ],
)
def test_option_that_needs_a_file_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(CdiError, match=words) as refused:
        check(upload_options(path=f"{URL}?signature=secret", **options))
    assert "download the file first" in str(refused.value) and "secret" not in str(refused.value)


def test_line_end_of_a_template_is_no_part_of_a_url() -> None:
    assert stripped(upload_options(path=f"{URL}\n"))["path"] == URL
    assert stripped(upload_options(path="/images/disk\n"))["path"] == "/images/disk\n"
