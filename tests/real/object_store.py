# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of S3 and of Google Cloud Storage as an import needs: GET of one object, for S3 only with a valid signature."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"
SIGNED_BUCKET, PUBLIC_BUCKET = "signed", "public"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>(?P<day>\d+)/(?P<region>[^/]+)/s3/aws4_request), "
    r"SignedHeaders=(?P<names>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)


@contextmanager
def object_store(directory: Path) -> Iterator[str]:
    """Serve the files of a directory as objects of both buckets, where pods of the test cluster can get to; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            bucket, _slash, key = urlsplit(self.path).path.strip("/").partition("/")
            path = directory / Path(key).name
            if bucket == SIGNED_BUCKET and not _is_signed(self):
                self.send_error(403)
            elif bucket in (SIGNED_BUCKET, PUBLIC_BUCKET) and path.is_file():
                self.send_response(200)
                self.send_header("Content-Length", str(path.stat().st_size))
                self.end_headers()
                with path.open("rb") as content:
                    shutil.copyfileobj(content, self.wfile, 1 << 20)
            else:
                self.send_error(404)

        def log_message(self, *_arguments: object) -> None:
            """CDI says what went wrong."""

    server = ThreadingHTTPServer((_own_address(), 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{server.server_address[0]}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _own_address() -> str:
    """This machine's address as the cluster sees it."""
    cluster = urlsplit(os.environ["KUBEVIRT_CDI_TEST_SERVER"]).hostname
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((cluster, 9))
        return str(probe.getsockname()[0])


def _is_signed(request: BaseHTTPRequestHandler) -> bool:
    """AWS Signature Version 4 of a request without query and body."""
    match = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if not match or match["key"] != ACCESS_KEY:
        return False
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in match["names"].split(";"))
    body = request.headers["X-Amz-Content-Sha256"]
    canonical = "\n".join([request.command, request.path, "", headers, match["names"], body])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers["X-Amz-Date"], match["scope"], digest])
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (match["day"], match["region"], "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), match["signature"])
