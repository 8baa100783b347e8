# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How little of an upload has to be said."""

from __future__ import annotations

from ansible_collections.kubevirt.cdi.plugins.module_utils._module import volume_upload as _upload_task


def test_path_and_name_are_enough_for_an_upload() -> None:
    options = {name: option.get("default") for name, option in _upload_task.SPEC.options.items()}
    _upload_task.check({**options, "name": "disk", "namespace": "images", "path": "/images/disk.qcow2"})
