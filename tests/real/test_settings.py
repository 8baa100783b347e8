# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check after each test: it finds changed settings of the cluster, and ignores what a test creates."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import STORAGE_CLASS, STORAGE_PROFILE

from tests.real.clone_setup import StorageClasses, without_default_class
from tests.real.objects import existing, until
from tests.real.scratch_setup import cdi_config
from tests.real.settings import differences, settings


def _changed(connection: Connection, before: dict[str, Any]) -> set[str]:
    return {line.partition(": ")[0] for line in differences(before, settings(connection))}


@pytest.mark.alone("changes the settings that the check compares")
def test_changed_settings_are_found_and_restored_ones_are_not(connection: Connection, cdi: dict[str, Any]) -> None:
    with cdi_config(connection, preallocation=True):
        until(
            lambda: _changed(connection, cdi) == {"CDI", "CDIConfig", "CDIConfig status"},
            300,
            "the change of preallocation is not found",
        )
    until(lambda: not _changed(connection, cdi), 300, "the restored preallocation counts as a change")
    with without_default_class(connection):
        assert _changed(connection, cdi) == {"StorageClass thin"}
    before = existing(connection, STORAGE_PROFILE, "thin")["spec"].get("cloneStrategy")
    connection.merge(STORAGE_PROFILE, "thin", None, {"spec": {"cloneStrategy": "copy"}}, dry_run=False)
    try:
        assert _changed(connection, cdi) == {"StorageProfile thin"}
    finally:
        connection.merge(STORAGE_PROFILE, "thin", None, {"spec": {"cloneStrategy": before}}, dry_run=False)
    until(lambda: not _changed(connection, cdi), 300, "the restored profile counts as a change")


def test_new_storage_class_is_not_a_change(connection: Connection, cdi: dict[str, Any]) -> None:
    classes = StorageClasses(connection, f"settings{uuid.uuid4().hex[:5]}")
    try:
        name = classes.make("new")
        assert connection.get(STORAGE_CLASS, name)
        assert not _changed(connection, cdi)
    finally:
        classes.remove()
