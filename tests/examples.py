# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the examples of hostile input in property tests. A run of the unit tests prints their number."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

# Tests with other releases of Python and Ansible try only this fraction.
_SHARE = int(os.environ.get("KUBEVIRT_CDI_TEST_EXAMPLES_SHARE", "1"))
TRIED: Counter[str] = Counter()
_SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)


def examples(number: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a test below `given`: it runs with this number of examples, and each that succeeds is counted."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(*arguments: Any, **named: Any) -> None:
            test(*arguments, **named)
            TRIED[test.__name__] += 1

        decorated: Callable[..., None] = settings(suppress_health_check=_SLOW, max_examples=number // _SHARE)(counted)
        return decorated

    return decorate
