# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of a kubeconfig as frozen types, and an empty choice of them. No I/O."""

from __future__ import annotations

import typing as t

from .errors import CdiError


class Origin(t.NamedTuple):
    """Where a kubeconfig comes from: a file, or a dictionary in an option, whose relative paths start where the task runs."""

    path: str = ""

    def __str__(self) -> str:
        return f"kubeconfig {self.path!r}" if self.path else "the dictionary in kubeconfig"


class Exec(t.NamedTuple):
    """A credential plugin."""

    command: str = ""
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    api_version: str = ""
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""


class AuthProvider(t.NamedTuple):
    name: str = ""
    config: tuple[tuple[str, str], ...] = ()


class Cluster(t.NamedTuple):
    """`exec_config` is what the cluster has for credential plugins."""

    server: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    certificate_authority_data: bytes = b""
    proxy_url: str = ""
    disable_compression: bool = False
    exec_config: t.Any = None


class User(t.NamedTuple):
    client_certificate: str = ""
    client_certificate_data: bytes = b""
    client_key: str = ""
    client_key_data: bytes = b""
    token: str = ""
    token_file: str = ""
    impersonate: str = ""
    impersonate_uid: str = ""
    impersonate_groups: tuple[str, ...] = ()
    impersonate_extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    username: str = ""
    password: str = ""
    auth_provider: AuthProvider | None = None
    exec: Exec | None = None

    def has_credentials(self) -> bool:
        """As `canIdentifyUser` has it: kubectl would ask for a user name at the terminal otherwise."""
        certificate = self.client_certificate or self.client_certificate_data
        return bool(self.username or certificate or self.token or self.token_file or self.auth_provider or self.exec)


class Context(t.NamedTuple):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class Entry(t.NamedTuple):
    """A named cluster, user or context, and the file that it is from. `raw`: as it is written there."""

    name: str
    origin: Origin
    value: t.Any
    raw: t.Any = None

    def where(self, kind: str, field: str = "") -> str:
        return f"{self.origin}, {kind}[{self.name!r}]" + (f".{field}" if field else "")


class Kubeconfig(t.NamedTuple):
    clusters: dict[str, Entry]
    users: dict[str, Entry]
    contexts: dict[str, Entry]
    current_context: str
    origins: tuple[Origin, ...]


def refuse(where: str, what: str, remedy: str = "correct it") -> CdiError:
    return CdiError(f"{where} {what}; {remedy}.")


class Choice(t.NamedTuple):
    """The entries that a context leads to. An entry that it does not lead to is empty."""

    context: Entry
    cluster: Entry
    user: Entry


NO_KUBECONFIG = Kubeconfig({}, {}, {}, "", ())
NO_CHOICE = Choice(Entry("", Origin(), Context()), Entry("", Origin(), Cluster()), Entry("", Origin(), User()))
