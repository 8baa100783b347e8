# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints how many examples of hostile input all workers of pytest-xdist tried. Examples have no deadline."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.plugins.loader import init_plugin_loader
from hypothesis import settings

from tests.examples import TRIED

# Ansible finds the plugins only if its loader is set up before they are imported, also by conftest files below.
init_plugin_loader()
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["examples"] = dict(TRIED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    TRIED.update(getattr(node, "workeroutput", {}).get("examples", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TRIED:
        terminalreporter.write_line(f"{TRIED.total()} examples of hostile input tried by {len(TRIED)} property tests")
