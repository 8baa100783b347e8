# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role thicken: which moves may be refused, and which proof is a failure. Ansible evaluates the role's variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.playing import play, write_play
from tests.runner.tree import ROOT

ROLE = ROOT / "roles" / "thicken"
NEEDED = {"name": "root", "namespace": "demo", "target": "root-1", "state": "needed", "changed": False}
REFUSED = {**NEEDED, "error": "No second node."}
DONE = {"name": "data", "namespace": "demo", "target": "data-1", "state": "finished", "changed": False}
ANOTHER = {"kind": "PersistentVolumeClaim", "namespace": "images", "name": "golden", "reason": "It shares blocks."}
# The result of module volume_migration, cdi_thicken_if_possible, and what is refused without a failure.
MOVES: list[tuple[dict[str, Any], Any, dict[str, str]]] = [
    ({"changed": False, "volumes": [REFUSED]}, "yes", {"demo/root": "No second node."}),
    ({"changed": False, "volumes": [DONE, REFUSED]}, True, {"demo/root": "No second node."}),
    ({"changed": False, "volumes": [REFUSED]}, False, {}),
    ({"changed": True, "volumes": [{**DONE, "changed": True}, REFUSED]}, True, {"demo/root": "No second node."}),
    ({"changed": True, "volumes": [{**REFUSED, "changed": True}]}, True, {}),
    ({"changed": False, "volumes": [{**REFUSED, "state": "interrupted"}, REFUSED]}, True, {}),
    ({"changed": False, "volumes": [{**REFUSED, "state": "started"}]}, True, {}),
    ({"changed": False, "volumes": []}, True, {}),
    ({"changed": False, "msg": "Unauthorized"}, True, {}),
]
# What data_volume_info returns for a target, and a part of the error.
PROOFS: list[tuple[dict[str, Any], str]] = [
    ({"allocation": {"allocated_bytes": 9, "size_bytes": 8, "not_measured": None}, "depends_on": []}, ""),
    ({"allocation": {"allocated_bytes": None, "size_bytes": None, "not_measured": "Block"}, "depends_on": []}, ""),
    (
        {"allocation": {"allocated_bytes": 1, "size_bytes": 8, "not_measured": None}, "depends_on": []},
        "Volume demo/data is not thick: data-1 has 1 of 8 bytes allocated, and depends on no other volume. Remove",
    ),
    (
        {"allocation": {"allocated_bytes": None, "size_bytes": None, "not_measured": "-"}, "depends_on": [ANOTHER]},
        "data-1 was not measured, and depends on golden. Remove",
    ),
]


def expected(that: str, **variables: Any) -> dict[str, Any]:
    return {"ansible.builtin.assert": {"that": that, "quiet": True}, "vars": variables}


def test_refusals_and_proofs(tmp_path: Path) -> None:
    (block,) = [task["block"] for task in yaml.safe_load((ROLE / "tasks" / "main.yml").read_text()) if "block" in task]
    (check,) = [task for task in block if "ansible.builtin.fail" in task]
    tasks: list[dict[str, Any]] = []
    for result, if_possible, refused in MOVES:
        given = {"_thicken_result": result, "cdi_thicken_if_possible": if_possible, "refused": refused}
        tasks.append(expected("(_thicken_stays_thin | bool) == (refused | length > 0)", **given))
        tasks.append(expected("_thicken_refused == refused", **given))
    for facts, error in PROOFS:
        results = {
            "_thicken_result": {"changed": False, "volumes": [DONE]},
            "_thicken_proof": {"data_volumes": [{"name": "data-1", "namespace": "demo", **facts}]},
        }
        tasks.append({**check, "vars": results, "ignore_errors": True})
        tasks.append(expected("_thicken_thick['demo/data'].target == 'data-1'", **results))
        found = "error in _thicken_check.results[0].msg" if error else "_thicken_check is not failed"
        tasks.append(expected(found, error=error))
    written = write_play(tmp_path, tasks, vars_files=[str(ROLE / "vars" / "main.yml")], vars={"cdi_namespace": "demo"})
    played = play(written)
    assert played.code == 0, played.output
    assert played.output.count("...ignoring") == sum(bool(error) for _facts, error in PROOFS)
