# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of an upload."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import volume_upload
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.options import check, digest_of

from tests.upload_samples import (
    DIGEST,
    upload_options,
)


@pytest.mark.parametrize(
    ("checksum", "fault"),
    [
        (f"sha256:{DIGEST.upper()}", None),
        (DIGEST, "give sha256: and the 64 hexadecimal digits"),
        ("sha256:abc", "give sha256: and the 64 hexadecimal digits"),
        ("md5:" + "a" * 64, "give sha256: and the 64 hexadecimal digits"),
    ],
)
def test_checksum_must_be_a_sha256(checksum: str, fault: str | None) -> None:
    upload = upload_options(checksum=checksum)
    if fault:
        with pytest.raises(CdiError, match=fault):
            check(upload)
    else:
        check(upload)
        assert digest_of(checksum) == DIGEST


def test_name_and_path_are_enough() -> None:
    options = {name: option.get("default") for name, option in volume_upload.SPEC.options.items()}
    volume_upload.check({**options, "name": "disk", "namespace": "images", "path": "/images/disk.qcow2"})
