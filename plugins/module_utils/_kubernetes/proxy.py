# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which proxy a request goes through, by the rules of Go's `golang.org/x/net/http/httpproxy` (proxy.go, as of Go 1.26). Pure rules."""

from __future__ import annotations

import contextlib
import ipaddress
import typing as t
from urllib.parse import unquote, urlsplit

from .errors import CdiError

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443}
# What the URLs of proxies have without a port.
_PROXY_PORTS = {"http": 80, "https": 443}
_SOCKS_PORT = 1080
_SHORTEST_TOKEN = 16


class Proxy(t.NamedTuple):
    """`source` names the option, variable or entry that gave it. `url` has no credentials."""

    source: str
    url: str
    username: str = ""
    password: str = ""

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def secret(self) -> str:
        """A name without a password may be a token."""
        return self.password or (self.username if len(self.username) >= _SHORTEST_TOKEN else "")


class Address(t.NamedTuple):
    """Where an API server is."""

    scheme: str
    host: str
    port: int


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    return Address(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])


def environment_proxy(target: Address, environment: t.Mapping[str, str]) -> Proxy | None:
    """What HTTPS_PROXY or HTTP_PROXY names for this server, unless NO_PROXY or a loopback address forbids it."""
    names = ("HTTPS_PROXY", "https_proxy") if target.scheme == "https" else ("HTTP_PROXY", "http_proxy")
    name = next((name for name in names if environment.get(name)), None)
    if name is None or _is_loopback(target.host):
        return None
    if excluded(target, environment.get("NO_PROXY") or environment.get("no_proxy") or ""):
        return None
    return proxy_of(f"the variable {name}", environment[name])


def proxy_of(source: str, url: str) -> Proxy:
    """A proxy's URL in its parts; without a scheme it is an HTTP proxy. Raises CdiError without showing anything of it."""
    url = url.strip()
    if "://" not in url:
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        usable = parts.scheme in _SCHEMES and host and url.isascii() and url.isprintable() and " " not in url
        usable = usable and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        usable = False
    if not usable or not host:
        hint = "; percent-encode special characters of its password" if "@" in url else ""
        raise CdiError(f"{source} is not a valid proxy URL; write it as http://NAME:3128{hint}.")
    # A proxy is asked for names that only it may know: Go makes no difference between socks5 and socks5h.
    scheme = {"socks5": "socks5h", "socks4": "socks4a"}.get(parts.scheme, parts.scheme)
    shown = f"[{host}]" if ":" in host else host
    return Proxy(
        source,
        f"{scheme}://{shown}:{port or _PROXY_PORTS.get(scheme, _SOCKS_PORT)}",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


def _is_loopback(host: str) -> bool:
    address = _ip(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _ip(text: str) -> t.Any:
    """An address; that of an IPv4 host that is written as one of IPv6 is the IPv4 one, as Go compares them."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def excluded(target: Address, no_proxy: str) -> bool:
    """Whether a list such as NO_PROXY names the server: by name, domain, address or network, each with or without a port."""
    host, address = target.host.strip().lower(), _ip(target.host)
    for item in no_proxy.split(","):
        item = item.strip().lower()
        if item == "*":
            return True
        if item and _matches(item, host, address, str(target.port)):
            return True
    return False


def _matches(item: str, host: str, address: t.Any, port: str) -> bool:
    if "/" in item:
        try:
            network = ipaddress.ip_network(item, strict=False)
        except ValueError:
            pass
        else:
            return address is not None and address.version == network.version and address in network
    name, wanted_port = _split_port(item)
    if not name:
        return False
    ip = _ip(name)
    if ip is not None:
        return address is not None and ip == address and wanted_port in ("", port)
    if address is not None:
        return False
    name = name.removeprefix("*") if name.startswith("*.") else name
    with contextlib.suppress(UnicodeError):
        name = name if name.isascii() else name.encode("idna").decode()
    suffix = name if name.startswith(".") else f".{name}"
    return (host.endswith(suffix) or host == name) and wanted_port in ("", port)


def _split_port(item: str) -> tuple[str, str]:
    """Name and port as Go's `net.SplitHostPort` has them; without a port, the whole is the name."""
    name, colon, port = item.rpartition(":")
    if not colon:
        return item, ""
    if item.startswith("["):
        return (name[1:-1], port) if name.endswith("]") else (item, "")
    return (item, "") if ":" in name else (name, port)
