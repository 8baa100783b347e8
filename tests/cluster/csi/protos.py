# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python code of the CSI and kubelet registration protocols, generated once from their .proto files.

Importing this module generates: `csi`, `csi_grpc`, `registration` and `registration_grpc` are the usual gRPC modules.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

from tests.cluster.build import ensure
from tests.cluster.errors import ClusterError
from tests.cluster.paths import cache_dir

_NAMES = ("csi.proto", "pluginregistration.proto")


def _generated() -> Path:
    """The directory of the generated modules; its name tells the sources and the generator."""
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
    except FileExistsError:  # the other driver was faster
        shutil.rmtree(partial)
    return directory


sys.path.insert(0, str(_generated()))

import csi_pb2 as csi  # noqa: E402
import csi_pb2_grpc as csi_grpc  # noqa: E402
import pluginregistration_pb2 as registration  # noqa: E402
import pluginregistration_pb2_grpc as registration_grpc  # noqa: E402

__all__ = ["csi", "csi_grpc", "registration", "registration_grpc"]
