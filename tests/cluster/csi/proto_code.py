# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generates the Python code of the CSI and kubelet registration protocols, from their .proto files."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

from tests.cluster.build import ensure
from tests.cluster.errors import ClusterError
from tests.cluster.paths import cache_dir

_NAMES = ("csi.proto", "pluginregistration.proto")


def generate_code() -> Path:
    """Generate missing modules and return their directory; its name depends on the sources and the generator."""
    sources = {name: (ensure("protos")["protos"] / name).read_bytes() for name in _NAMES}
    key = hashlib.sha256(version("grpcio-tools").encode() + b"".join(sources.values())).hexdigest()[:16]
    directory = cache_dir() / f"csi-stubs-{key}"
    if directory.exists():
        return directory
    cache_dir().mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=cache_dir(), prefix="csi-stubs-partial-"))
    for name, content in sources.items():
        (partial / name).write_bytes(content)
    well_known = str(files("grpc_tools") / "_proto")
    outputs = (f"--python_out={partial}", f"--grpc_python_out={partial}")
    if protoc.main(["protoc", f"-I{partial}", f"-I{well_known}", *outputs, *_NAMES]) != 0:
        raise ClusterError(f"protoc cannot compile {' and '.join(_NAMES)}: see its messages above.")
    try:
        partial.rename(directory)
    except FileExistsError:  # another driver was faster
        shutil.rmtree(partial)
    return directory
