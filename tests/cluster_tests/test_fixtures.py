# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP server, the registry and the object store of the full cluster serve images as the tests need them."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.cluster.build.disk_images import DISK_BYTES
from tests.cluster.runtime import commands
from tests.cluster.runtime.fixtures_http import PASSWORD, USER
from tests.cluster.runtime.fixtures_objects import (
    ACCESS_KEY,
    OBJECT,
    PRIVATE_BUCKET,
    PUBLIC_BUCKET,
    SECRET_KEY,
    signed_request,
)
from tests.cluster.runtime.fixtures_registry import OTHER_FORMATS
from tests.cluster.runtime.profile import PROFILES


@pytest.fixture(scope="module")
def cluster() -> dict[str, str]:
    commands.up(PROFILES["full"])
    return commands.environment(PROFILES["full"])


def _get(url: str, **headers: str) -> http.client.HTTPResponse:
    context = ssl.create_default_context(cafile=commands.environment(PROFILES["full"])["KUBEVIRT_CDI_TEST_CA"])
    secure = context if url.startswith("https") else None
    answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10, context=secure)
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


@pytest.mark.parametrize(
    "name", ["raw", "raw.gz", "raw.xz", "raw.zst", "qcow2", "qcow2.gz", "qcow2.xz", "qcow2.zst", "tar"]
)
def test_image_has_the_digest_of_its_checksum_file(cluster: dict[str, str], name: str) -> None:
    expected = (Path(cluster["KUBEVIRT_CDI_TEST_IMAGES"]) / f"disk.{name}.sha256").read_text().split()[0]
    with _get(f"{cluster['KUBEVIRT_CDI_TEST_HTTP']}/disk.{name}") as answer:
        assert hashlib.file_digest(answer, "sha256").hexdigest() == expected
        assert answer.headers["ETag"] and answer.headers["Accept-Ranges"] == "bytes"


def test_range_is_served_over_tls(cluster: dict[str, str]) -> None:
    with _get(f"{cluster['KUBEVIRT_CDI_TEST_HTTPS']}/disk.raw", Range="bytes=1024-2047") as answer:
        assert (answer.status, len(answer.read())) == (206, 1024)
        assert answer.headers["Content-Range"] == f"bytes 1024-2047/{DISK_BYTES}"


def test_protected_path_requires_the_password(cluster: dict[str, str]) -> None:
    url = f"{cluster['KUBEVIRT_CDI_TEST_HTTP']}/auth/disk.tar"
    with pytest.raises(HTTPError, match=r"401"):
        _get(url)
    credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    with _get(url, Authorization=f"Basic {credentials}") as answer:
        assert answer.status == 200


def test_broken_path_ends_a_transfer(cluster: dict[str, str]) -> None:
    url = f"{cluster['KUBEVIRT_CDI_TEST_HTTP']}/broken/disk.raw"
    with _get(url) as answer, pytest.raises(http.client.IncompleteRead):
        answer.read()


def test_slow_path_limits_the_speed(cluster: dict[str, str]) -> None:
    started = time.monotonic()
    with _get(f"{cluster['KUBEVIRT_CDI_TEST_HTTP']}/slow/disk.raw") as answer:
        answer.read(3 << 20)
    assert time.monotonic() - started > 1


def test_registry_has_the_container_disk_in_every_format(cluster: dict[str, str]) -> None:
    with _get(f"http://{cluster['KUBEVIRT_CDI_TEST_REGISTRY']}/v2/container-disk/tags/list") as answer:
        assert set(json.load(answer)["tags"]) == {"1", *OTHER_FORMATS}


@pytest.mark.parametrize(
    ("path", "keys", "expected"),
    [
        (f"{PRIVATE_BUCKET}/{OBJECT}", (ACCESS_KEY, SECRET_KEY), "200"),
        (f"{PRIVATE_BUCKET}/{OBJECT}", (ACCESS_KEY, "wrong"), "403"),
        (f"{PRIVATE_BUCKET}/{OBJECT}", ("unknown", SECRET_KEY), "403"),
        (f"{PRIVATE_BUCKET}/missing", (ACCESS_KEY, SECRET_KEY), "404"),
        (f"missing/{OBJECT}", (ACCESS_KEY, SECRET_KEY), "404"),
    ],
)
def test_object_store_checks_the_signature(
    cluster: dict[str, str], path: str, keys: tuple[str, str], expected: str
) -> None:
    write_out = ("--output", "/dev/null", "--write-out", "%{http_code}")
    command = signed_request(PROFILES["full"].address, path, *write_out, access_key=keys[0], secret_key=keys[1])
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == expected


def test_object_store_serves_the_public_bucket_without_a_key(cluster: dict[str, str]) -> None:
    expected = (Path(cluster["KUBEVIRT_CDI_TEST_IMAGES"]) / f"{OBJECT}.sha256").read_text().split()[0]
    for server in (cluster["KUBEVIRT_CDI_TEST_OBJECTS"], cluster["KUBEVIRT_CDI_TEST_OBJECTS_TLS"]):
        with _get(f"{server}/{PUBLIC_BUCKET}/{OBJECT}") as answer:
            assert hashlib.file_digest(answer, "sha256").hexdigest() == expected
        with _get(f"{server}/{PUBLIC_BUCKET}/{OBJECT}", Range="bytes=1024-2047") as answer:
            assert (answer.status, len(answer.read())) == (206, 1024)
        with pytest.raises(HTTPError, match=r"403"):
            _get(f"{server}/{PRIVATE_BUCKET}/{OBJECT}")
