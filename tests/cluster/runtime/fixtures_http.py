# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx on the node's address: images over HTTP and TLS, with a password, slowly, and with the failures of a server."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.runtime.component import Component
from tests.cluster.runtime.fixtures_objects import OBJECTS_PORT, OBJECTS_TLS_PORT
from tests.cluster.runtime.fixtures_registry import REGISTRY_PORT

HTTP_PORT = 8080
HTTPS_PORT = 8443
PRIVATE_REGISTRY_PORT = 5001
USER, PASSWORD = "test-user", "test-password"
SLOW_RATE = "1m"  # bytes per second and connection
BROKEN_AFTER = "4m"  # bytes of each answer
_BROKEN_PORT, _SILENT_PORT = 8081, 8082
# The server answers every request below /status/CODE/ with CODE.
STATUSES = (405, 410, 418, 429, 500, 502, 503, 504)


def http_components(state: Path, address: str, certificate: Path, key: Path) -> list[Component]:
    """Serves `state`/images; its configuration is in `state`/nginx. Over TLS it also serves the registry, at /v2/.

    At PRIVATE_REGISTRY_PORT the same registry requires the password.
    """
    directory = state / "nginx"
    directory.mkdir(exist_ok=True)
    images = state / "images"
    (directory / "passwords").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n    ".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    statuses = "\n        ".join(f"location /status/{code}/ {{ return {code}; }}" for code in STATUSES)
    config = directory / "nginx.conf"
    # Workers run as root: the state directory may be inside a home directory that other users cannot enter.
    config.write_text(f"""user root;
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log {directory}/access.log;
    default_type application/octet-stream;
    sendfile on;
    {temporary}
    server {{
        listen {address}:{HTTP_PORT};
        listen {address}:{HTTPS_PORT} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{
            root {images};
        }}
        location /auth/ {{
            alias {images}/;
            auth_basic test;
            auth_basic_user_file {directory}/passwords;
        }}
        location /slow/ {{
            alias {images}/;
            limit_rate {SLOW_RATE};
        }}
        # The upstream server stops sending, so this one ends the response before its Content-Length.
        location /broken/ {{
            proxy_pass http://127.0.0.1:{_BROKEN_PORT}/;
            proxy_buffering off;
            proxy_read_timeout 1s;
        }}
        # The file exists, but the server never sends a byte of it.
        location /silent/ {{
            proxy_pass http://127.0.0.1:{_SILENT_PORT}/;
            proxy_buffering off;
        }}
        location /loop/ {{
            return 302 /loop/;
        }}
        {statuses}
        location /v2/ {{
            proxy_pass http://{address}:{REGISTRY_PORT};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
    server {{
        listen {address}:{PRIVATE_REGISTRY_PORT};
        location /v2/ {{
            auth_basic test;
            auth_basic_user_file {directory}/passwords;
            proxy_pass http://{address}:{REGISTRY_PORT};
            proxy_set_header Host $http_host;
        }}
    }}
    server {{
        listen {address}:{OBJECTS_TLS_PORT} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{
            proxy_pass http://{address}:{OBJECTS_PORT};
            proxy_set_header Host $http_host;
            proxy_buffering off;
        }}
    }}
    server {{
        listen 127.0.0.1:{_BROKEN_PORT};
        root {images};
        limit_rate_after {BROKEN_AFTER};
        limit_rate 1;
    }}
    server {{
        listen 127.0.0.1:{_SILENT_PORT};
        root {images};
        limit_rate_after 1;
        limit_rate 1;
    }}
}}
""")
    return [Component("http", ["/usr/sbin/nginx", "-p", str(directory), "-c", str(config), "-e", "stderr"])]
