# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of CONTRIBUTING.md: `tests/run` with `site`, `test`, `pytest`, `cluster` or `release`."""

from __future__ import annotations

import argparse
import signal
import sys

from tests.cluster.__main__ import main as cluster_main
from tests.cluster.errors import ClusterError
from tests.runner import release, site, stages


def main(arguments: list[str]) -> int:
    # A shell that starts this in the background has its children ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if arguments[:1] == ["cluster"]:
        return cluster_main(arguments[1:])
    if arguments[:1] == ["pytest"]:
        return stages.run_pytest(arguments[1:])
    parser = argparse.ArgumentParser(prog="tests/run", description="Install missing tools, then run a command.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "site",
        help="run playbooks/site.yml on the cluster of KUBECONFIG or the test cluster; takes ansible-playbook options",
    )
    test = commands.add_parser("test", help="run all tests, or the named stages")
    test.add_argument("stages", nargs="*", help=f"names of {', '.join(stages.STAGES | stages.ON_REQUEST)}")
    commands.add_parser("pytest", help="run single tests; takes pytest options")
    commands.add_parser("cluster", help="the test cluster: up, down, status, env, reset, logs")
    releasing = commands.add_parser(
        "release", help="check and build a release; with --tag, also commit and tag it; publishes nothing"
    )
    releasing.add_argument("version", help="MAJOR.MINOR.PATCH")
    releasing.add_argument("--tag", action="store_true", help="commit and tag, when the checks pass")
    commands.add_parser("part", help="run a stage as a part of `test`").add_argument("stage")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "site":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        if options.command == "site":
            return site.run(rest)
        if options.command == "release":
            return release.run(options.version, tag=options.tag)
        if options.command == "part":
            return stages.run_part(options.stage)
        return stages.run(options.stages)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again to continue.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
