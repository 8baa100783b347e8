# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which proxy a request goes through. That kubectl goes the same way: see tests/kubectl."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.proxy import (
    Proxy,
    address_of,
    environment_proxy,
    excluded,
    proxy_of,
)


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://10.203.1.2:6443", "10.203.1.2:6443", True),
        ("https://10.203.1.2:6443", "10.203.1.2:443", False),
        ("https://10.203.1.2:6443", "10.203.0.0/16", True),
        ("https://10.203.1.2:6443", "10.204.0.0/16", False),
        ("https://10.203.1.2", "10.203.1.2:443", True),
        ("https://[fd00::1]:6443", "fd00::1", True),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", True),
        ("https://[fd00::1]:6443", "[fd00::1]:443", False),
        ("https://[fd00::1]:6443", "fd00::/8", True),
        ("https://[fd00::1]:6443", "10.0.0.0/8", False),
        ("https://api.test", "other.test, api.test", True),
        ("https://API.test", "api.TEST", True),
        ("https://a.api.test", "api.test", True),
        ("https://a.api.test", ".api.test", True),
        ("https://a.api.test", "*.api.test", True),
        ("https://api.test", ".api.test", False),
        ("https://myapi.test", "api.test", False),
        ("https://api.test", "*", True),
        ("https://api.test", "", False),
        ("https://api.test", ",:443,/,[", False),
        ("https://xn--bcher-kva.test", "bücher.test", True),
    ],
)
def test_no_proxy_matches_hosts_domains_addresses_networks_and_ports(url: str, no_proxy: str, direct: bool) -> None:
    assert excluded(address_of(url), no_proxy) is direct


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:6443", "https://localhost", "https://[::1]:6443", "https://127.8.9.10"]
)
def test_loopback_ignores_the_proxy_of_the_environment(url: str) -> None:
    assert environment_proxy(address_of(url), {"HTTPS_PROXY": "http://proxy.test:3128"}) is None


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("10.0.0.1:3128", Proxy("p", "http://10.0.0.1:3128")),
        ("proxy.test:3128", Proxy("p", "http://proxy.test:3128")),
        (" http://proxy.test/ ", Proxy("p", "http://proxy.test:80")),
        ("https://proxy.test", Proxy("p", "https://proxy.test:443")),
        ("http://[fd00::1]:3128", Proxy("p", "http://[fd00::1]:3128")),
        ("socks5://proxy.test", Proxy("p", "socks5h://proxy.test:1080")),
        ("http://ann:p%40w%2F@proxy.test:1", Proxy("p", "http://proxy.test:1", "ann", "p@w/")),
        ("ann:p@w@proxy.test:1", Proxy("p", "http://proxy.test:1", "ann", "p@w")),
    ],
)
def test_proxy_url_is_parsed(url: str, proxy: Proxy) -> None:
    assert proxy_of("p", url) == proxy


@pytest.mark.parametrize(
    "url",
    [
        "ftp://proxy.test",
        "http://",
        "http://proxy.test:x",
        "http://u:p@ss/w?@proxy.test:1",
        "http://u:pä@proxy.test",
        "http://a b",
        "[",
        "a\nb",
    ],
)
def test_bad_proxy_url_is_reported_with_its_source(url: str) -> None:
    with pytest.raises(CdiError) as refused:
        proxy_of("the variable HTTPS_PROXY", url)
    assert str(refused.value).startswith(
        "the variable HTTPS_PROXY is not a valid proxy URL; write it as http://NAME:3128"
    )
    assert "ss" not in str(refused.value).replace("password", "")
