# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes to the upload proxy that are refused."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.transfer import route_by_url


@pytest.mark.parametrize("url", ["http://proxy.example.com", "ftp://x"])
def test_route_requires_https(url: str) -> None:
    with pytest.raises(CdiError, match="give an https URL"):
        route_by_url("url", url, None, "", "cdi-uploadproxy.cdi.svc")


def test_route_names_an_unreadable_ca() -> None:
    with pytest.raises(CdiError, match="upload_proxy_ca"):
        route_by_url("url", "proxy.example.com", "no certificate", "", "cdi-uploadproxy.cdi.svc")
