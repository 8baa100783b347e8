# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of a report as role report collects them, and the template of its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATE = (Path(__file__).parents[1] / "roles" / "report" / "files" / "report.html.j2").read_text()


def found(name: str, **more: Any) -> dict[str, Any]:
    """An item of data_volume_info, by default an imported volume."""
    spec = more.pop("spec", {"source": {"http": {"url": "http://images/disk.qcow2"}}})
    spec.setdefault("storage", {"resources": {"requests": {"storage": "128Mi"}}})
    return {
        "name": name,
        "namespace": "images",
        "phase": "Succeeded",
        "progress": "100.0%",
        "restarts": 0,
        "storage_class_name": "fast",
        "volume_mode": "Filesystem",
        "capacity": "140Mi",
        "clone": {"method": None, "fallback": False, "fallback_reason": None, "phase": None, "error": None},
        "preallocation": {"requested": True, "applied": True, "supported": True, "ignored": None},
        "scratch": {
            "needed": True,
            "rule": "http",
            "storage_class_name": "cheap",
            "size": "136Mi",
            "problems": [],
            "observed": True,
            "left_over": None,
        },
        "ready_after": 12,
        "data_volume": {"metadata": {"name": name, "namespace": "images", "labels": {}}, "spec": spec},
        **more,
    }


def cloned(name: str, method: str, **more: Any) -> dict[str, Any]:
    return found(
        name,
        spec={"source": {"pvc": {"name": "golden"}}},
        clone={"method": method, "fallback": False, "fallback_reason": None, "phase": "Succeeded", "error": None},
        **more,
    )


def ill(message: str, cause: str = "source_not_found") -> dict[str, str]:
    return {"phase": "ImportInProgress", "cause": cause, "message": message, "remedy": "correct the URL"}


def facts(*volumes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "cdi": {
            "installed": True,
            "ready": True,
            "version": "v1.65.0",
            "cdi": {"spec": {}},
            "asked": {},
            "effective": {"preallocation": False, "scratch_space_storage_class": None},
        },
        "volumes": list(volumes),
        "clones": [],
        "results": {},
        "check_mode": False,
        "generated": "2026-11-21T12:00:00Z",
        **more,
    }
