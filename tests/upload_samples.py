# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, DataVolumes and claims of uploads, for unit tests."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.spec import Drift
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.rules import INTENDED, UPLOADED
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.quantity import MIB
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.options import OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.target import UPLOAD_TARGET

DIGEST, OTHER = "a" * 64, "b" * 64
RAW = Image("raw", None, 64 * MIB, 64 * MIB, 64 * MIB)
SAME, DIFFERENT = Drift([]), Drift(["spec.x is 1 and not 2"])
LARGER = Drift(["size is 1Gi and not 2Gi"], 2 << 30)
_ANNOTATIONS = {"UPLOAD_TARGET": UPLOAD_TARGET, "INTENDED": INTENDED, "UPLOADED": UPLOADED}


def upload_options(**options: Any) -> dict[str, Any]:
    """The options of an upload, None where not given."""
    none = dict.fromkeys([*OPTIONS, "checksum"])
    given = {"name": "disk", "namespace": "demo", "path": "/disk.raw", "overwrite": "never", "content_type": None}
    return {**none, **given, "when_in_use": "fail", "on_failure": "delete", "verify_content": False, **options}


def target_options(**options: Any) -> dict[str, Any]:
    """The suboptions of `storage` or `pvc`."""
    return {**dict.fromkeys(OPTIONS["storage"]["options"]), **options}


def data_volume(phase: str, restarts: int = 0, message: str = "") -> dict[str, Any]:
    conditions = [{"type": "Running", "status": "True", "message": message}]
    return {
        "metadata": {"name": "disk"},
        "spec": {"source": {"upload": {}}, "storage": {"resources": {"requests": {"storage": "64Mi"}}}},
        "status": {"phase": phase, "restartCount": restarts, "conditions": conditions},
    }


def claim(**annotations: str) -> dict[str, Any]:
    """A claim with CDI's annotations, by names such as pod_phase, and with those of the collection, by their
    constants.
    """
    annotated = {
        _ANNOTATIONS.get(key, f"cdi.kubevirt.io/storage.{key.replace('_', '.')}"): value
        for key, value in annotations.items()
    }
    spec = {"resources": {"requests": {"storage": "128Mi"}}}
    return {"metadata": {"name": "disk", "namespace": "demo", "annotations": annotated}, "spec": spec}
