# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a container disk from a file, and pushes it unless the registry already has it."""

from __future__ import annotations

import time
import typing as t

from .._ansible.argspec import PROGRESS, ArgumentSpec
from .._ansible.module import LocalTask
from .._image.container_disk import container_disk
from .._image.registry import Registry, parse

SPEC = PROGRESS + ArgumentSpec(
    {
        "path": {"type": "path", "required": True, "aliases": ["src"]},
        "image": {"type": "str", "required": True},
        "architecture": {"type": "str", "choices": ["amd64", "arm64", "s390x"], "default": "amd64"},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "ca_cert": {"type": "path"},
        "plain_http": {"type": "bool", "default": False},
    },
    required_together=[("username", "password")],
)


def run(task: LocalTask) -> dict[str, t.Any]:
    """The result of the module."""
    params = task.params
    name = parse(params["image"])
    registry = Registry(
        name,
        username=params["username"] or "",
        password=params["password"] or "",
        ca=params["ca_cert"] or "",
        plain_http=params["plain_http"],
    )
    task.progress.say(str(name), f"reading {params['path']}")
    disk = container_disk(params["path"], params["architecture"])
    before = registry.digest()
    changed = before != disk.digest
    if changed and not task.check_mode:
        started = time.monotonic()

        def sent(done: int) -> None:
            task.progress.sent(str(name), done, disk.layer_size, time.monotonic() - started)

        registry.push(disk, sent)
    return {
        "changed": changed,
        "image": str(name),
        "digest": disk.digest,
        "reference": name.at(disk.digest),
        "previous_digest": before,
        "format": disk.image.format,
        "virtual_size": disk.image.virtual_size,
        "file_size": disk.image.file_size,
        "diff": {"before": f"{name}: {before or 'not there'}\n", "after": f"{name}: {disk.digest}\n"}
        if changed
        else {},
    }
