# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.cluster.build NAME...` builds by hand; without a name it builds everything."""

from __future__ import annotations

import sys

from tests.cluster.build import ensure
from tests.cluster.build.recipes import PRODUCTS
from tests.cluster.errors import ClusterError


def main() -> int:
    """Print `NAME PATH` for each product; the exit code is 1 when one cannot be built."""
    try:
        for name, path in ensure(*(sys.argv[1:] or PRODUCTS)).items():
            print(name, path)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; the same command goes on from here", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
