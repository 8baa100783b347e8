# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The size and the content type of the volume that an image requires."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.rules import INTENDED
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.quantity import MIB
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.overhead import NO_OVERHEAD, Overhead
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.wanted import content_type, wanted_volume

from tests.upload_samples import (
    OTHER,
    RAW,
    data_volume,
    target_options,
    upload_options,
)


@pytest.mark.parametrize(
    ("image", "size"),
    [
        (RAW, "64Mi"),
        (RAW._replace(virtual_size=64 * MIB + 1, stored_size=64 * MIB + 1), "65Mi"),
        (Image("qcow2", None, 64 * MIB, 200_000, 200_000), "64Mi"),
        (Image("qcow2", None, 64 * MIB, 70 * MIB, 70 * MIB), "70Mi"),
        (Image("qcow2", "gz", 64 * MIB, None, 70 * MIB), "64Mi"),
    ],
)
def test_size_is_taken_from_the_image(image: Image, size: str) -> None:
    made = wanted_volume(upload_options(), image, NO_OVERHEAD, None)
    assert made["spec"] == {"source": {"upload": {}}, "storage": {"resources": {"requests": {"storage": size}}}}
    assert made["metadata"]["annotations"] == {"cdi.kubevirt.io/storage.bind.immediate.requested": "true"}


@pytest.mark.parametrize(
    ("version", "size"),
    [((1, 65, 0), "68Mi"), ((1, 63, 0), "68Mi"), ((1, 62, 0), "69Mi"), ((1, 61, 1), "69Mi"), ((), "69Mi")],
)
def test_size_includes_the_file_system_overhead_with_pvc(version: tuple[int, ...], size: str) -> None:
    """CDI takes it off again: at 6 per cent 64 MiB are usable of 68 MiB, until 1.62 of 69 MiB (GetUsableSpace,
    pkg/util/util.go, v1.61.1 and v1.65.0).
    """
    upload = upload_options(pvc=target_options(access_modes=["ReadWriteOnce"]))
    made = wanted_volume(upload, RAW, Overhead(0.06, version), None)
    assert made["spec"]["pvc"]["resources"]["requests"]["storage"] == size
    # The same size is taken when it is given, and kept when it is there.
    given = wanted_volume(upload_options(pvc=target_options(size=size)), RAW, Overhead(0.06, version), None)
    assert given["spec"]["pvc"]["resources"]["requests"]["storage"] == size
    assert wanted_volume(upload, RAW, Overhead(0.06, version), made)["spec"] == made["spec"]
    blocks = wanted_volume(upload_options(pvc=target_options(access_modes=["ReadWriteOnce"])), RAW, NO_OVERHEAD, None)
    assert blocks["spec"]["pvc"]["resources"]["requests"]["storage"] == "64Mi"


def test_name_of_an_archive_at_a_url_has_no_query() -> None:
    tar = Image("tar", None, None, None, 4096)
    assert content_type(upload_options(path="https://example.com/files.tar?token=x"), tar) == "archive"
    with pytest.raises(CdiError, match="does not have the suffix of one"):
        content_type(upload_options(path="https://example.com/disk?name=x.tar"), tar)


def test_size_that_the_ends_of_a_file_do_not_reveal_is_asked_for() -> None:
    upload = upload_options(path="https://example.com/disk.raw.gz?token=hidden")
    with pytest.raises(CdiError, match="bytes of the file at this URL do not reveal it; give storage") as raised:
        wanted_volume(upload, Image("raw", "gz", None, None, 4096), NO_OVERHEAD, None)
    assert "hidden" not in str(raised.value)


def test_size_is_refused_when_one_mebibyte_too_small() -> None:
    assert wanted_volume(upload_options(storage=target_options(size="64Mi")), RAW, NO_OVERHEAD, None)
    with pytest.raises(CdiError, match=r"size is '63Mi', but /disk.raw .raw of 64 MiB. needs 64Mi"):
        wanted_volume(upload_options(storage=target_options(size="63Mi")), RAW, NO_OVERHEAD, None)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (Image("vhdx", "gz", None, None, 5), "because decompressing it requires too much memory or time; {remedy}."),
        (
            Image(None, "zst", None, None, 5),
            "because it is compressed with zstd and this Python has no decompressor for it; {remedy}, or install one "
            "on "
            "the host that runs the task: pip install backports.zstd.",
        ),
    ],
)
def test_size_is_required_when_the_image_does_not_give_one(image: Image, why: str) -> None:
    for target in ("storage", "pvc"):
        with pytest.raises(CdiError) as refused:
            wanted_volume(upload_options(pvc=target_options() if target == "pvc" else None), image, NO_OVERHEAD, None)
        remedy = f"give {target}.size for disk, for example 10Gi"
        assert str(refused.value) == f"Cannot read the size of the disk in /disk.raw, {why.format(remedy=remedy)}"
        assert wanted_volume(upload_options(**{target: target_options(size="1Gi")}), image, NO_OVERHEAD, None)


@pytest.mark.parametrize(
    ("path", "asked", "becomes"),
    [
        ("/disk.raw.zst", None, None),
        ("/disk.raw.zst", "archive", "archive"),
        ("/files.tar.zst", None, "archive"),
        ("/files.tar.zst", "kubevirt", "kubevirt"),
    ],
)
def test_content_type_follows_the_name_when_the_file_cannot_be_decompressed(
    path: str, asked: str | None, becomes: str | None
) -> None:
    upload = {**upload_options(content_type=asked), "path": path}
    assert content_type(upload, Image(None, "zst", None, None, 5)) == becomes


def test_recreated_volume_keeps_unrequested_fields_but_not_its_old_annotations() -> None:
    stored = data_volume("Succeeded")
    stored["spec"].update(
        preallocation=True, storage={"resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Block"}
    )
    stored["metadata"].update(
        labels={"instancetype.kubevirt.io/default-preference": "fedora", "kubevirt.cdi/x": "y"},
        annotations={"cdi.kubevirt.io/storage.usePopulator": "true", "team": "a", INTENDED: OTHER},
    )
    made = wanted_volume(upload_options(annotations={"new": 1}), RAW, NO_OVERHEAD, stored)
    assert made["spec"] == stored["spec"]
    assert made["metadata"]["labels"] == {"instancetype.kubevirt.io/default-preference": "fedora"}
    assert set(made["metadata"]["annotations"]) == {"team", "new", "cdi.kubevirt.io/storage.bind.immediate.requested"}


@pytest.mark.parametrize(
    ("asked", "form", "becomes"),
    [
        (None, "raw", None),
        (
            None,
            "tar",
            "/disk.raw is a tar archive, perhaps an exported volume.*set content_type=archive.*or unpack it first",
        ),
        ("archive", "tar", "archive"),
        ("kubevirt", "iso", "kubevirt"),
        ("archive", "qcow2", "is a disk image .qcow2.; give a tar archive, or omit content_type"),
        ("kubevirt", "tar", "is a tar archive; give a disk image, or omit content_type"),
    ],
)
def test_content_type_follows_the_file(asked: str | None, form: str, becomes: str | None) -> None:
    arguments = (upload_options(content_type=asked), RAW._replace(format=form))
    if becomes and " " in becomes:
        with pytest.raises(CdiError, match=becomes):
            content_type(*arguments)
    else:
        assert content_type(*arguments) == becomes


@pytest.mark.parametrize(
    "name", ["files.tar", "files.tar.gz", "FILES.TGZ", "files.tar.xz", "files.txz", "files.tar.zst"]
)
def test_content_type_is_archive_when_the_name_says_so(name: str) -> None:
    upload = {**upload_options(), "path": f"/{name}"}
    assert content_type(upload, RAW._replace(format="tar")) == "archive"
    with pytest.raises(
        CdiError, match=r"is an OVA.*To unpack the archive itself into the volume, set content_type=archive"
    ):
        content_type(upload, RAW._replace(format="tar", wraps="an OVA; unpack it"))
    upload["content_type"] = "archive"
    assert content_type(upload, RAW._replace(format="tar", wraps="an OVA; unpack it")) == "archive"


def test_content_type_is_archive_when_the_volume_is_for_archives() -> None:
    stored = data_volume("UploadReady")
    stored["spec"]["contentType"] = "archive"
    assert (
        wanted_volume(upload_options(), RAW._replace(format="tar"), NO_OVERHEAD, stored)["spec"]["contentType"]
        == "archive"
    )
    assert wanted_volume(upload_options(), RAW, NO_OVERHEAD, stored)["spec"]["contentType"] == "kubevirt"
