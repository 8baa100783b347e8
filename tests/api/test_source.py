# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images on a real HTTP server: module data_volume finds their size, and refuses some of them before a write."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME, SECRET

from tests.image_server import MIB, Server, qcow2, serving
from tests.modules import RunModule
from tests.wire import Wire


@pytest.fixture
def images() -> Iterator[Server]:
    with serving() as server:
        server.files = {
            "/disk.qcow2": qcow2(64 * MIB),
            "/disk.raw.gz": gzip.compress(bytes(8 * MIB)),
            "/index": b"<html>".ljust(4096, b" "),
        }
        yield server


def _import(url: str, **options: Any) -> dict[str, Any]:
    return {
        "name": "disk",
        "source": {"http": {"url": url}},
        "storage": {"storage_class_name": "thin"},
        "wait": False,
        **options,
    }


@pytest.mark.parametrize("check", [True, False])
def test_format_and_size_are_read_from_the_image(
    wire: Wire, module: RunModule, connection: Connection, namespace: str, images: Server, check: bool
) -> None:
    result = module("data_volume", namespace=namespace, check=check, **_import(f"{images.url}/disk.qcow2")).result
    assert result["changed"], result.get("msg")
    expected = {"checked": True, "reason": None, "format": "qcow2", "compression": None, "virtual_size": 64 * MIB}
    assert (
        result["source_image"] == {**expected, "file_size": len(images.files["/disk.qcow2"])}
        and result["size"] == "64Mi"
    )
    assert (connection.get(DATA_VOLUME, "disk", namespace) is None) == check


def test_unchanged_volume_takes_one_get_without_reading_the_image(
    wire: Wire, module: RunModule, namespace: str, images: Server
) -> None:
    module("data_volume", namespace=namespace, **_import(f"{images.url}/disk.qcow2"))
    wire.requests.clear()
    images.seen.clear()
    again = module("data_volume", namespace=namespace, **_import(f"{images.url}/disk.qcow2")).result
    assert not again["changed"] and again["drift"] == "none" and again["source_image"] is None, again
    assert [method for method, _path in wire.requests] == ["GET"] and images.seen == []


def test_image_of_twenty_volumes_is_read_once(module: RunModule, namespace: str, images: Server) -> None:
    volumes = [{**_import(f"{images.url}/disk.qcow2"), "name": f"disk-{number}"} for number in range(20)]
    for volume in volumes:
        del volume["wait"]
    result = module("data_volume", namespace=namespace, data_volumes=volumes, wait=False).result
    assert not result.get("failed") and {item["size"] for item in result["data_volumes"]} == {"64Mi"}
    assert len(images.seen) <= 2


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("/nothing", {}, ["returned 404", "correct source.http.url"]),
        ("/index", {}, ["/index is not a disk image that CDI accepts", "a web page (HTML)", "set check_source=never"]),
        ("/disk.raw.gz", {}, ["storage.size is not given, and the image does not reveal it", "give storage.size"]),
        (
            "/disk.qcow2",
            {"storage": {"size": "32Mi"}},
            ["storage.size is 32Mi, and the image holds a disk of 64Mi (qcow2)", "request at least 64Mi"],
        ),
        ("/disk.qcow2", {"check_source": "never"}, ["has no size; give storage.size"]),
        (
            "/disk.qcow2",
            {"content_type": "archive", "storage": {"size": "1Gi"}},
            ["is a disk image (qcow2), and content_type is archive"],
        ),
    ],
)
def test_image_that_cdi_cannot_import_is_refused(
    wire: Wire,
    module: RunModule,
    namespace: str,
    images: Server,
    check: bool,
    path: str,
    options: dict[str, Any],
    words: list[str],
) -> None:
    result = module("data_volume", namespace=namespace, check=check, **_import(images.url + path, **options)).result
    assert result["failed"] and wire.writes() == [] and not result.get("changed")
    for word in words:
        assert word in result["msg"], result["msg"]


@pytest.mark.parametrize("mode", ["auto", "always", "never"])
def test_unreachable_image_is_refused_only_with_check_source_always(
    module: RunModule, connection: Connection, namespace: str, mode: str
) -> None:
    result = module(
        "data_volume",
        namespace=namespace,
        **_import("http://127.0.0.1:9/disk", storage={"size": "64Mi"}, check_source=mode),
    ).result
    assert bool(result.get("failed")) == (mode == "always")
    assert (connection.get(DATA_VOLUME, "disk", namespace) is None) == (mode == "always")
    if mode == "always":
        assert (
            "check_source is 'always'" in result["msg"]
            and "cannot be reached from the host that runs the task" in result["msg"]
        )
    elif mode == "auto":
        assert not result["source_image"]["checked"] and "cannot be reached" in result["source_image"]["reason"]
    sizeless = module(
        "data_volume", namespace=namespace, **{**_import("http://127.0.0.1:9/disk"), "name": "other"}
    ).result
    assert sizeless["failed"] and "give storage.size, for example 10Gi" in sizeless["msg"]


def test_credentials_of_a_secret_are_used_but_not_shown(
    module: RunModule, connection: Connection, namespace: str, images: Server
) -> None:
    images.password = "user:hunter2-hunter2"
    refused = module("data_volume", namespace=namespace, **_import(f"{images.url}/disk.qcow2")).result
    assert refused["failed"] and "returned 401; give source.http.secret_ref" in refused["msg"]
    data = {
        key: base64.b64encode(value.encode()).decode()
        for key, value in (("accessKeyId", "user"), ("secretKey", "hunter2-hunter2"))
    }
    connection.create(SECRET, {"metadata": {"name": "images"}, "data": data}, namespace, dry_run=False)
    source = {"http": {"url": f"{images.url}/disk.qcow2", "secret_ref": "images"}}
    ran = module("data_volume", namespace=namespace, **_import("", source=source))
    assert ran.result["changed"] and ran.result["source_image"]["format"] == "qcow2" and "hunter2" not in ran.output


@pytest.mark.parametrize(
    ("options", "checked"),
    [
        ({}, True),
        ({"storage": {"size": "1Gi"}, "check_source": "always"}, True),
        ({"storage": {"size": "1Gi"}}, False),
    ],
)
def test_slow_server_is_awaited_if_the_task_needs_its_answer(
    module: RunModule, namespace: str, images: Server, options: dict[str, Any], checked: bool
) -> None:
    images.delay = 11
    result = module("data_volume", namespace=namespace, **_import(f"{images.url}/disk.qcow2", **options)).result
    assert result["changed"] and result["source_image"]["checked"] == checked, result
    assert ("did not answer in time" in str(result["source_image"]["reason"])) == (not checked)


def test_recreated_volume_gets_the_size_of_the_current_image(module: RunModule, namespace: str, images: Server) -> None:
    images.files["/larger.qcow2"] = qcow2(128 * MIB)
    module("data_volume", namespace=namespace, **_import(f"{images.url}/disk.qcow2"))
    result = module("data_volume", namespace=namespace, **_import(f"{images.url}/larger.qcow2")).result
    assert result["drift"] == "unfilled" and result["size"] == "128Mi", result.get("msg")
