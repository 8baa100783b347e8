# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.cluster.csi`: runs a driver in the mount namespace of the kubelet."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import grpc

from tests.cluster.csi.faults import FaultFile
from tests.cluster.csi.pool import check_pool
from tests.cluster.errors import ClusterError

FEATURES = frozenset(("snapshot", "clone", "expand"))
_SOCKET_PATH_BYTES = 107  # sun_path of unix(7) without the terminating null byte
_GRACE_SECONDS = 5
_TOOLS = ("losetup", "findmnt", "mount", "umount", "mkfs.ext4", "e2fsck", "resize2fs")
log = logging.getLogger("csi")


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse and check the command line. Raises ClusterError."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.csi", description=__doc__)
    parser.add_argument("--driver-name", required=True, help="name of the CSIDriver object")
    parser.add_argument(
        "--features", default="", help="a comma-separated list of snapshot, clone and expand (default: none)"
    )
    parser.add_argument("--endpoint", required=True, help="unix:///path of the driver's socket")
    parser.add_argument(
        "--registration-dir", type=Path, help="the plugins_registry directory of the kubelet (default: do not register)"
    )
    parser.add_argument("--node-id", required=True, help="name of the Node object")
    parser.add_argument(
        "--pool", type=Path, required=True, help="an XFS file system with reflink; see pool.create_pool"
    )
    parser.add_argument(
        "--node-only", action="store_true", help="mount volumes that a driver on another node manages in the same pool"
    )
    parser.add_argument("--faults", type=Path, help="JSON file of faults; see faults.py")
    parsed = parser.parse_args(argv)
    parsed.features = frozenset(filter(None, parsed.features.split(",")))
    if parsed.features - FEATURES:
        unknown = ", ".join(sorted(parsed.features - FEATURES))
        raise ClusterError(f"--features contains {unknown}: use {', '.join(sorted(FEATURES))}.")
    if not parsed.endpoint.startswith("unix:///"):
        raise ClusterError(f"--endpoint is {parsed.endpoint!r}: use unix:///path/csi.sock.")
    parsed.socket = Path(parsed.endpoint.removeprefix("unix://"))
    parsed.registration_socket = parsed.registration_dir and parsed.registration_dir / f"{parsed.driver_name}-reg.sock"
    for path in filter(None, (parsed.socket, parsed.registration_socket)):
        if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
            raise ClusterError(
                f"The socket path {path} is longer than {_SOCKET_PATH_BYTES} bytes: use a shorter directory."
            )
    return parsed


def check_machine() -> None:
    """Raises ClusterError when this machine cannot mount volumes."""
    if os.geteuid() != 0:
        raise ClusterError(f"The CSI driver runs as user {os.geteuid()}: mounting volumes needs root.")
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise ClusterError(f"This machine lacks {', '.join(missing)}: install the packages e2fsprogs and util-linux.")


def serve(options: argparse.Namespace) -> NoReturn:
    """Serve until SIGTERM or SIGINT, let running calls end for a moment, and end the process."""
    # Not at the top: the services import the generated protocol code, and a wrong option must not wait for it.
    from tests.cluster.csi.controller import Controller
    from tests.cluster.csi.identity import Identity
    from tests.cluster.csi.node import Node
    from tests.cluster.csi.protos import csi, registration
    from tests.cluster.csi.registration import Registration
    from tests.cluster.csi.rpc import Interceptor, handler
    from tests.cluster.csi.volumes import State

    faults = FaultFile(options.faults) if options.faults else None
    if faults:
        faults.read()
    state = State(options.pool / options.driver_name, manages=not options.node_only)
    node = Node(state, options.node_id, options.features)
    for mount_point in () if options.node_only else node.thaw_all():
        log.warning("%s was left frozen by a driver that was killed", mount_point)
    driver = grpc.server(ThreadPoolExecutor(max_workers=32), interceptors=[Interceptor(faults)])
    services = {"Identity": Identity(options.driver_name, options.features), "Node": node}
    if not options.node_only:
        services["Controller"] = Controller(state, options.pool, options.features)
    driver.add_generic_rpc_handlers([handler(csi, name, service) for name, service in services.items()])
    servers = [(driver, options.socket)]
    if options.registration_socket:
        kubelet = grpc.server(ThreadPoolExecutor(max_workers=1), interceptors=[Interceptor(None)])
        service = Registration(options.driver_name, str(options.socket))
        kubelet.add_generic_rpc_handlers([handler(registration, "Registration", service)])
        servers.append((kubelet, options.registration_socket))
    # Blocked before the servers start their threads, so that only sigwait below receives the signals.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    for server, path in servers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        server.add_insecure_port(f"unix://{path}")
        server.start()
    log.info("%s serves at %s", options.driver_name, options.socket)
    signal.sigwait(signals)
    for server, _path in reversed(servers):
        server.stop(grace=_GRACE_SECONDS).wait()
    os._exit(0)  # a normal exit would wait for calls that a fault delays


def main(argv: list[str]) -> int:
    """Run the driver. Returns only if it cannot start, with exit code 1 and a message."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        options = arguments(argv)
        check_machine()
        check_pool(options.pool)
        serve(options)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
