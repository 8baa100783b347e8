# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP server, Debian's nginx, that serves the images well, slowly, with a password, or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster.runtime.component import Component

USER, PASSWORD = "importer", "secret"


def http_components(
    state: Path, address: str, certificate: Path, key: Path, *, port: int = 8080, tls_port: int = 8443
) -> list[Component]:
    """Plain on `port`, TLS on `tls_port`, both with Range and ETag. Paths below / are the files of state/images:

    /private/ asks for a password, /slow/ gives 1 MiB/s, /broken/ closes the connection, /forbidden/ is 403, /error/ is 500.
    """
    directory = state / "nginx"
    for name in ("", "body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    hashed = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], check=True, capture_output=True, text=True).stdout.strip()
    (directory / "passwords").write_text(f"{USER}:{hashed}\n")
    images = state / "images"
    temporary = "\n".join(
        f"    {option}_temp_path {directory}/{name};"
        for option, name in (("client_body", "body"), ("proxy", "proxy"), ("fastcgi", "fastcgi"), ("uwsgi", "uwsgi"), ("scgi", "scgi"))
    )
    config = directory / "nginx.conf"
    config.write_text(
        f"""# The images lie below the state directory, which is root's.
user root;
worker_processes 1;
daemon off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {directory}/access.log;
    default_type application/octet-stream;
    sendfile on;
{temporary}
    server {{
        listen {address}:{port};
        listen {address}:{tls_port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        root {images};
        location /private/ {{ alias {images}/; auth_basic images; auth_basic_user_file {directory}/passwords; }}
        location /slow/ {{ alias {images}/; limit_rate 1m; }}
        location /broken/ {{ return 444; }}
        location /forbidden/ {{ return 403; }}
        location /error/ {{ return 500; }}
    }}
}}
"""
    )
    return [Component("http", ["/usr/sbin/nginx", "-e", f"{directory}/error.log", "-c", str(config)])]
