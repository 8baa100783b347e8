# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which form a disk is sent: as the file is, or as a stream that leaves out zeros. Pure rules.

CDI writes a raw disk, also one in gz, straight into the volume while it receives it. It stores any other format in the
scratch space first, and converts it there (pkg/importer/upload-datasource.go, v1.65.0).
"""

from __future__ import annotations

import typing as t

from .._disk.blocks import Survey
from .._disk.gzip_stream import gzip_stream
from .._disk.qcow2_stream import qcow2_stream
from .._disk.stream import Stream
from .._image.formats import Image
from .._kubernetes.errors import CdiError
from .._kubernetes.quantity import MIB
from .url import is_url

AUTO, FILE, RAW_GZ, QCOW2 = "auto", "file", "raw_gz", "qcow2"
STREAMS: dict[str, t.Callable[[Survey], Stream]] = {RAW_GZ: gzip_stream, QCOW2: qcow2_stream}
# What CDI decompresses at a fraction of the speed of a library (xz), or may corrupt (both, pkg/importer/
# format-readers.go, v1.65.0).
_UNPACKED_HERE = ("xz", "zst")
# Below that, a stream saves less than what it costs.
_WORTH_BYTES = 64 * MIB
_WORTH_SHARE = 0.25
# CDI decompresses zeros of a gzip stream at some 3 GiB/s. Writing the data of a qcow2 image to the scratch space and
# converting them takes as long as so many times as many zeros (docs/benchmarks.md), in each kind of volume.
_ZEROS_PER_DATA = 10


class Encoding(t.NamedTuple):
    """What is sent, and why. `stream` is None if that is the file itself."""

    name: str
    reason: str
    stream: Stream | None = None


def choose(upload: t.Mapping[str, t.Any], image: Image, survey: Survey | None) -> Encoding:
    """The encoding for an image. `survey` is None if the image cannot be read as a disk here.

    Raises CdiError for an encoding that was requested and is not possible.
    """
    wanted = upload["encoding"]
    if survey is None:
        what = f"{upload['path']} ({' in '.join(filter(None, (image.format or 'unknown', image.compression)))})"
        only = "only raw disks, also in gz, xz or zst, and files with a qcow2 image can"
        if wanted in STREAMS:
            raise CdiError(
                f"encoding of {upload['name']} is {wanted}, and {what} cannot be encoded: {only}; set encoding=auto."
            )
        if upload["verify_content"]:
            raise CdiError(
                f"verify_content of {upload['name']} is true, and the disk in {what} cannot be read here: {only}; omit "
                "verify_content."
            )
        if is_url(upload["path"]):
            reason = "a file on a web server is sent as it is"
        else:
            reason = "only raw disks and qcow2 images in files are encoded"
        return Encoding(FILE, "encoding is file" if wanted == FILE else reason)
    if wanted == AUTO:
        name, reason = _fastest(image, survey)
    else:
        name, reason = wanted, f"encoding is {wanted}"
    return Encoding(name, reason, STREAMS[name](survey) if name in STREAMS else None)


def _fastest(image: Image, survey: Survey) -> tuple[str, str]:
    data, zeros = survey.data_bytes, survey.size - survey.data_bytes
    share = f"{-(-data // MIB)} MiB of {-(-survey.size // MIB)} MiB are not zero"
    is_sparse = zeros >= max(_WORTH_BYTES, _WORTH_SHARE * survey.size)
    if image.format == "qcow2":
        return FILE, "a qcow2 image leaves out zeros"
    if image.compression in _UNPACKED_HERE:
        share = f"{share}, and CDI decompresses {image.compression} slowly"
    elif not is_sparse:
        return FILE, share
    return (QCOW2 if is_sparse and zeros > _ZEROS_PER_DATA * data else RAW_GZ), share
