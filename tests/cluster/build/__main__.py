# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.cluster.build NAME...` builds the named products; without a name, all of them."""

from __future__ import annotations

import sys

from tests.cluster.build import ensure
from tests.cluster.build.recipes import PRODUCTS
from tests.cluster.errors import ClusterError


def main() -> int:
    """Print `NAME PATH` for each product. The exit code is 1 when a build fails."""
    try:
        for name, path in ensure(*(sys.argv[1:] or PRODUCTS)).items():
            print(name, path)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again to continue", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
