# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the test cluster: layers, their capabilities, and the order of the guest's kernel modules."""

from __future__ import annotations

import hashlib
import json
import struct
import tarfile
from pathlib import Path

import pytest

from tests.cluster.build.guest import in_load_order
from tests.cluster.build.oci import Layout
from tests.cluster.errors import ClusterError


def _module(*needs: str) -> bytes:
    return b"ELF\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=x\0"


def test_image_has_its_files_and_a_program_its_capability(tmp_path: Path) -> None:
    for name in ("monitor", "probe"):
        (tmp_path / name).write_text(name)
    layout = Layout(tmp_path / "layout")
    files = {f"usr/bin/{name}": tmp_path / name for name in ("monitor", "probe")}
    layer = layout.add_layer(files, {"usr/bin/monitor": "cap_net_bind_service"})
    layout.add_image("registry.test/launcher:v1", [layer], {"Entrypoint": ["/usr/bin/monitor"]})
    layout.write(tmp_path / "images.tar")
    assert not layout.root.exists()
    with tarfile.open(tmp_path / "images.tar") as archive:
        archive.extractall(tmp_path / "read", filter="data")
    blobs = tmp_path / "read/blobs/sha256"
    for blob in blobs.iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    (entry,) = json.loads((tmp_path / "read/index.json").read_text())["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "registry.test/launcher:v1"
    manifest = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_text())
    assert manifest["layers"] == [layer]
    with tarfile.open(blobs / layer["digest"].removeprefix("sha256:")) as content:
        monitor, probe = content.getmembers()
    assert (monitor.name, monitor.mode, monitor.uid) == ("usr/bin/monitor", 0o755, 0)
    attribute = "SCHILY.xattr.security.capability"
    assert attribute not in probe.pax_headers
    capability = monitor.pax_headers[attribute].encode()
    # struct vfs_cap_data of version 2: magic and flags, then permitted and inheritable, low and high.
    assert struct.unpack("<5I", capability) == (0x02000001, 1 << 10, 0, 0, 0)


def test_modules_come_after_those_that_they_need() -> None:
    modules = {
        "sd_mod": _module("scsi_mod", "crc-t10dif"),
        "scsi_mod": _module("scsi_common"),
        "scsi_common": _module(),
        "crc_t10dif": _module(),
        "unused": _module(),
    }
    order = in_load_order(["sd_mod", "ext4"], modules.get, {"ext4"})
    assert list(order) == ["scsi_common", "scsi_mod", "crc_t10dif", "sd_mod"]


def test_missing_module_is_named() -> None:
    with pytest.raises(ClusterError, match="no module virtio_blk"):
        in_load_order(["virtio_blk"], lambda _name: None, set())
