# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP server and the registry of the full cluster do what imports need, well or badly."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.cluster.runtime import bed
from tests.cluster.runtime.fixtures_http import PASSWORD, USER
from tests.cluster.runtime.fixtures_images import DISK_BYTES
from tests.cluster.runtime.fixtures_registry import OTHER_FORMATS
from tests.cluster.runtime.profile import PROFILES


@pytest.fixture(scope="module")
def cluster() -> dict[str, str]:
    bed.up(PROFILES["full"])
    return bed.environment(PROFILES["full"])


def _get(url: str, **headers: str) -> http.client.HTTPResponse:
    context = ssl.create_default_context(cafile=bed.environment(PROFILES["full"])["KUBEVIRT_CDI_TEST_CA"])
    secure = context if url.startswith("https") else None
    answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10, context=secure)
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


@pytest.mark.parametrize(
    "name", ["raw", "raw.gz", "raw.xz", "raw.zst", "qcow2", "qcow2.gz", "qcow2.xz", "qcow2.zst", "tar"]
)
def test_every_image_is_served_with_the_digest_that_is_told(cluster: dict[str, str], name: str) -> None:
    told = (Path(cluster["KUBEVIRT_CDI_TEST_IMAGES"]) / f"disk.{name}.sha256").read_text().split()[0]
    with _get(f"{cluster['KUBEVIRT_CDI_TEST_HTTP']}/disk.{name}") as answer:
        assert hashlib.file_digest(answer, "sha256").hexdigest() == told
        assert answer.headers["ETag"] and answer.headers["Accept-Ranges"] == "bytes"


def test_a_part_is_served_over_tls_of_the_private_ca(cluster: dict[str, str]) -> None:
    with _get(f"{cluster['KUBEVIRT_CDI_TEST_HTTPS']}/disk.raw", Range="bytes=1024-2047") as answer:
        assert (answer.status, len(answer.read())) == (206, 1024)
        assert answer.headers["Content-Range"] == f"bytes 1024-2047/{DISK_BYTES}"


def test_a_path_asks_for_the_password(cluster: dict[str, str]) -> None:
    url = f"{cluster['KUBEVIRT_CDI_TEST_HTTP']}/auth/disk.tar"
    with pytest.raises(HTTPError, match="401"):
        _get(url)
    credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    with _get(url, Authorization=f"Basic {credentials}") as answer:
        assert answer.status == 200


def test_a_transfer_can_break_off(cluster: dict[str, str]) -> None:
    with _get(f"{cluster['KUBEVIRT_CDI_TEST_HTTP']}/broken/disk.raw") as answer:
        with pytest.raises(http.client.IncompleteRead):
            answer.read()


def test_a_transfer_can_be_slow(cluster: dict[str, str]) -> None:
    started = time.monotonic()
    with _get(f"{cluster['KUBEVIRT_CDI_TEST_HTTP']}/slow/disk.raw") as answer:
        answer.read(3 << 20)
    assert time.monotonic() - started > 1


def test_the_registry_has_the_container_disk_in_every_format(cluster: dict[str, str]) -> None:
    with _get(f"http://{cluster['KUBEVIRT_CDI_TEST_REGISTRY']}/v2/container-disk/tags/list") as answer:
        assert set(json.load(answer)["tags"]) == {"1", *OTHER_FORMATS}
