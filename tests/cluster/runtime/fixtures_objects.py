# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An S3 server (Versity S3 Gateway) on the node's address, with the raw disk in a private and in a public bucket."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.runtime.component import Component

OBJECTS_PORT = 9000
OBJECTS_TLS_PORT = 9443
ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"
PRIVATE_BUCKET, PUBLIC_BUCKET = "private", "public"
OBJECT = "disk.raw"
_START_SECONDS = 20


def object_store_components(state: Path, address: str, program: Path) -> list[Component]:
    """Serves plain HTTP and keeps its data in `state`/objects; nginx adds TLS at OBJECTS_TLS_PORT."""
    directory = state / "objects"
    for name in ("buckets", "metadata", "users"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    command = [
        *(str(program), "--port", f"{address}:{OBJECTS_PORT}", "--region", region(address), "--quiet", "--keep-alive"),
        # A directory of users makes an unknown access key InvalidAccessKeyId (403), as in S3.
        *("--iam-dir", str(directory / "users")),
        # Metadata in files: the state directory's file system may lack extended attributes.
        *("posix", "--sidecar", str(directory / "metadata"), str(directory / "buckets")),
    ]
    return [Component("objects", command, {"ROOT_ACCESS_KEY_ID": ACCESS_KEY, "ROOT_SECRET_ACCESS_KEY": SECRET_KEY})]


def region(address: str) -> str:
    """The region that CDI signs its requests for: the part of the endpoint before the first dot."""
    return address.partition(".")[0]


def fill_object_store(address: str, images: Path) -> None:
    """Create both buckets with OBJECT in them; the server may still be starting.

    Anyone may read PUBLIC_BUCKET. Raises ClusterError.
    """
    readable = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{PUBLIC_BUCKET}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [readable]})
    for bucket in (PRIVATE_BUCKET, PUBLIC_BUCKET):
        _put(address, bucket)
        _put(address, f"{bucket}/{OBJECT}", "--upload-file", str(images / OBJECT))
    _put(address, f"{PUBLIC_BUCKET}?policy=", "--data", policy)


def signed_request(
    address: str, path: str, *options: str, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY
) -> list[str]:
    """The curl command for a request that is signed with these keys."""
    return [
        *("curl", "--silent", "--show-error", "--aws-sigv4", f"aws:amz:{region(address)}:s3"),
        *("--user", f"{access_key}:{secret_key}", "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"),
        *(*options, f"http://{address}:{OBJECTS_PORT}/{path}"),
    ]


def _put(address: str, path: str, *options: str) -> None:
    wait = ("--retry-connrefused", "--retry", str(_START_SECONDS), "--retry-delay", "1")
    command = signed_request(address, path, "--request", "PUT", "--fail-with-body", *wait, *options)
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode:
        said = f"{ended.stderr.strip()} {ended.stdout.strip()}".strip()
        raise ClusterError(f"The object store refuses PUT {shlex.quote(path)} ({said}): see `logs objects`.")
