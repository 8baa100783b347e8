# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images in containerd."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.runtime import lifecycle
from tests.cluster.runtime.node import Node
from tests.cluster.versions import GUEST_IMAGE


def import_images(node: Node, archives: Iterable[Path]) -> None:
    """Import the images of each archive, unless an earlier start did: a reset keeps them.

    The guest also gets the name NAME@DIGEST, as if it had been pulled: the target of a migration requires it.
    """
    mark = node.file("containerd") / "imported"
    done = mark.read_text().split("\n") if mark.exists() else []
    lifecycle.wait_until(node.containerd_socket.exists, 60, "containerd does not start", node.profile)
    for archive in archives:
        if str(archive) in done:
            continue
        _ctr(node, "import", str(archive))
        if digest := _digests(archive).get(GUEST_IMAGE):
            _ctr(node, "tag", "--force", GUEST_IMAGE, f"{GUEST_IMAGE.rpartition(':')[0]}@{digest}")
        done.append(str(archive))
        mark.write_text("\n".join(done))


def forget_images(node: Node, registries: tuple[str, ...]) -> None:
    """Remove images pulled by an earlier start: its registries had the same addresses and tags, but other disks."""
    names = _ctr(node, "ls", "--quiet").split()
    stale = [name for name in names if name.startswith(tuple(f"{registry}/" for registry in registries))]
    if stale:
        _ctr(node, "rm", *stale)


def _digests(archive: Path) -> dict[str, str]:
    """The digests of the images in an archive, by their names."""
    with tarfile.open(archive) as layout:
        index = layout.extractfile("./index.json")
        if index is None:
            raise ClusterError(f"{archive} has no index: delete it and run `up` again.")
        manifests = json.loads(index.read())["manifests"]
    return {entry["annotations"]["io.containerd.image.name"]: entry["digest"] for entry in manifests}


def _ctr(node: Node, *arguments: str) -> str:
    ended = subprocess.run(
        [
            *(shutil.which("ctr") or "ctr", "--address", str(node.containerd_socket)),
            *("--namespace", "k8s.io", "images", *arguments),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise ClusterError(
            f"containerd refuses `images {arguments[0]}` ({ended.stderr.strip()}): see `logs containerd{node.suffix}`."
        )
    return ended.stdout
