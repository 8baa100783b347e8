# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each option is a field of CDI, and each field an option, by the CRDs that CDI's operator installs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.fields import field_name
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.status import release
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.options import SINCE, SPEC_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.storage_profile import OPTIONS as PROFILE_OPTIONS

MANIFESTS = Path(os.environ["KUBEVIRT_CDI_TEST_MANIFESTS"])
RELEASES = sorted((path.name for path in MANIFESTS.iterdir()), key=release)


def _spec(version: str, kind: str) -> dict[str, Any]:
    for document in yaml.safe_load_all((MANIFESTS / version / "crds.yaml").read_text()):
        if document and document["spec"]["names"]["kind"] == kind:
            schema = document["spec"]["versions"][-1]["schema"]["openAPIV3Schema"]
            return dict(schema["properties"]["spec"])
    raise AssertionError(kind)


def _fields(schema: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """Each property by its path. Properties of list items count as those of the list."""
    found = {}
    for name, below in (schema.get("items") or schema).get("properties", {}).items():
        found[f"{path}{name}"] = below
        found.update(_fields(below, f"{path}{name}."))
    return found


def _options(options: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    found = {}
    for name, spec in options.items():
        found[f"{path}{field_name(name)}"] = spec
        found.update(_options(spec.get("options") or {}, f"{path}{field_name(name)}."))
    return found


def _is_offered(path: str) -> bool:
    """False for what `size` sets, what CDI ignores, and the namespace of dataSourceRef, which CDI refuses."""
    target, _dot, rest = path.partition(".")
    resources = ("resources", "resources.requests", "resources.limits")
    return target not in ("storage", "pvc") or rest not in (*resources, "dataSourceRef.namespace")


def test_data_volume_has_an_option_for_each_field() -> None:
    offered = {path for path in _fields(_spec(RELEASES[-1], "DataVolume")) if _is_offered(path)}
    options = set(_options(SPEC_OPTIONS)) - {"storage.size", "pvc.size"}
    assert options == offered


def test_storage_profile_has_an_option_for_each_field() -> None:
    assert set(_options(PROFILE_OPTIONS)) == set(_fields(_spec(RELEASES[-1], "StorageProfile")))


TYPES = {"str": "string", "bool": "boolean", "list": "array", "dict": "object"}


@pytest.mark.parametrize("kind", ["DataVolume", "StorageProfile"])
def test_options_have_the_types_and_choices_of_their_fields(kind: str) -> None:
    fields = _fields(_spec(RELEASES[-1], kind))
    for path, option in _options(SPEC_OPTIONS if kind == "DataVolume" else PROFILE_OPTIONS).items():
        if path not in ("storage.size", "pvc.size"):
            assert TYPES[option["type"]] == fields[path]["type"], path
            assert set(fields[path].get("enum") or option.get("choices", [])) - {""} == set(
                option.get("choices", [])
            ) - {""}, path


def test_options_of_newer_releases_are_listed() -> None:
    oldest, newest = (set(_fields(_spec(version, "DataVolume"))) for version in (RELEASES[0], RELEASES[-1]))
    missing = {path for path in newest - oldest if path.rpartition(".")[0] not in newest - oldest}
    assert {".".join(map(field_name, option.split("."))) for option in SINCE} == missing
    assert all(release(RELEASES[0]) < release(since) <= release(RELEASES[-1]) for since in SINCE.values())
