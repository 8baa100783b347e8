# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds and installs the tarball for users, and checks it with Galaxy's importer."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster.errors import ClusterError

# The settings of Automation Hub, which is stricter than Galaxy. Without ansible-lint: the check of that name applies
# more rules to the same files and has no limit of 180 s.
_STRICT = {
    "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "true",
    "GALAXY_IMPORTER_REQUIRE_V1_OR_GREATER": "true",
    "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false",
}


def build(tree: Path, into: Path) -> Path:
    """Build the collection in `tree` and return the path of the tarball in `into`. Raises ClusterError."""
    command = ["ansible-galaxy", "collection", "build", "--force", "--output-path", str(into), str(tree)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode or "WARNING" in ended.stderr:
        raise ClusterError(f"ansible-galaxy cannot build the collection: {ended.stderr.strip()}")
    (built,) = into.glob("kubevirt-cdi-*.tar.gz")
    return built


def install(built: Path, path: Path) -> None:
    """Install a tarball below a collections path."""
    command = ["ansible-galaxy", "collection", "install", "--offline", "--collections-path", str(path), str(built)]
    subprocess.run(command, check=True, capture_output=True, env=users_environment(path))


def users_environment(path: Path) -> dict[str, str]:
    """The environment for processes that see only the collections of a path, not this checkout."""
    ours = ("ANSIBLE_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"ANSIBLE_COLLECTIONS_PATH": str(path), "ANSIBLE_HOME": str(path / "home")}


def importer_findings(built: Path) -> list[str]:
    """The errors and warnings of galaxy-importer; its whole output if it fails without one."""
    with tempfile.TemporaryDirectory() as home:
        # It writes a result to the working directory, and needs ansible-doc in PATH.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        ended = subprocess.run(
            [sys.executable, "-m", "galaxy_importer.main", str(built)],
            cwd=home,
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | _STRICT | {"PATH": path, "ANSIBLE_HOME": home},
        )
        imported = (Path(home) / "importer_result.json").exists()
    said = (ended.stdout + ended.stderr).splitlines()
    found = [line for line in said if line.startswith(("ERROR", "WARNING", "CRITICAL"))]
    return found if imported or found else [*said, "galaxy-importer did not import the tarball"]
