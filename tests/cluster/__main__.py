# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test cluster's command line."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys

from tests.cluster.errors import ClusterError
from tests.cluster.runtime import commands
from tests.cluster.runtime.extras import KUBEVIRT, from_options
from tests.cluster.runtime.profile import PROFILES, Profile, profile_named


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tests/run cluster", description="A real Kubernetes for the tests, built from packages."
    )
    subparsers = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "up": "build missing programs and start the cluster",
        "down": "end the cluster and remove everything it left",
        "status": "show the components and how often each one was restarted",
        "env": "print KUBECONFIG and the addresses for a shell",
        "reset": "empty the cluster for the next test",
        "logs": "print the log of a component",
    }.items():
        command = subparsers.add_parser(name, help=text, description=text)
        command.add_argument("--profile", default="full", help=f"{' or '.join(PROFILES)} (default: full)")
        if name == "up":
            text = f"also prepare an extra: {KUBEVIRT}, which tests install from its release manifest"
            command.add_argument("--with", dest="extras", action="append", default=[], metavar="EXTRA", help=text)
            command.add_argument("--nodes", type=int, default=1, help="1 or 2 (default: 1)")
        if name == "logs":
            command.add_argument("name", help="the name of a component, as shown by status")
        if name == "env":
            command.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        _run(options, profile_named(options.profile))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again to continue.", file=sys.stderr)
        return 130
    return 0


def _run(options: argparse.Namespace, profile: Profile) -> None:
    if options.command == "status":
        for row in commands.status(profile):
            state = f"pid {row['pid']}, up {row['up_seconds']} s" if row["pid"] else "ended, restarts soon"
            print(f"{row['name']:32} {state:28} restarts: {row['restarts']}")
    elif options.command == "env":
        variables = commands.environment(profile)
        print(
            json.dumps(variables, indent=1)
            if options.json
            else "\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items())
        )
    elif options.command == "logs":
        with commands.log_file(profile, options.name).open() as log:
            shutil.copyfileobj(log, sys.stdout)
    elif options.command == "up":
        commands.up(profile, from_options(profile, options.extras, options.nodes))
    else:
        {"down": commands.down, "reset": commands.reset}[options.command](profile)


if __name__ == "__main__":
    sys.exit(main())
