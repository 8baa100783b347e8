# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials that renew themselves, when client-go renews its own: a file's after a minute, a plugin's when they expire.

A 401 renews each of them once: whoever sent the request asks `renewed`, with what was rejected, and repeats the request. client-go
v0.34.4 has the rules in `transport/token_source.go` and `plugin/pkg/client/auth/exec/exec.go`. The package `kubernetes` has a
runner of plugins, too, but loads all of its models with it, runs the plugin before every request in a token's last five minutes, and
logs what goes wrong.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
import typing as t
from datetime import datetime, timezone

from .access import Access, Oidc, Pem, Plugin, TokenFile, is_sendable
from .answers import loads
from .errors import CdiError
from .redaction import redact
from .secrets import remember
from .tls import content_of, context_of

_FILE_SECONDS = 50  # A minute, less client-go's leeway.
_PLUGIN_SECONDS = 60
_QUOTED_CHARACTERS = 300


class Credentials(t.NamedTuple):
    """What a request is sent with: an Authorization header's value, and from some plugins a client certificate with its key."""

    authorization: str | None = None
    certificate: str = ""
    key: str = ""


class Source:
    """Credentials that nothing renews, and what all sources share: they are got once, by one thread, and again when they expire."""

    def __init__(self, authorization: str | None = None) -> None:
        self._lock = threading.Lock()
        self._held: Credentials | None = Credentials(authorization)

    def current(self) -> Credentials:
        """The credentials to send now. Raises CdiError when there are none."""
        with self._lock:
            if self._held is None or self._expired():
                self._held = self._get(self._held)
            return self._held

    def renewed(self, rejected: Credentials) -> Credentials:
        """What to send after a 401; the same as `rejected` when there is nothing else."""
        with self._lock:
            if self._held is None or self._held == rejected:
                self._held = self._get(None)
            return self._held

    def _expired(self) -> bool:
        return False

    def _get(self, before: Credentials | None) -> Credentials:
        """Get credentials anew. `before` are those that have expired, and that still serve if need be."""
        return t.cast(Credentials, self._held)


class _ReadAgain(Source):
    """What stands in files, and is read again when `_until`, a time of the monotonic clock, has come."""

    def __init__(self) -> None:
        super().__init__()
        self._held = None
        self._until = 0.0

    def _expired(self) -> bool:
        return time.monotonic() >= self._until


class FileSource(_ReadAgain):
    def __init__(self, file: TokenFile) -> None:
        super().__init__()
        self._file = file

    def _get(self, before: Credentials | None) -> Credentials:
        try:
            with open(self._file.path, encoding="utf-8") as file:
                token = file.read().strip()
            problem = (
                "holds a line end or another character that no token has"
                if not is_sendable(token)
                else ""
                if token
                else "is empty"
            )
        except (OSError, ValueError) as exc:
            token, problem = "", f"cannot be read ({getattr(exc, 'strerror', None) or type(exc).__name__})"
        if not problem:
            self._until = time.monotonic() + _FILE_SECONDS
            remember({token})
            return Credentials(f"Bearer {token}")
        if before or self._file.token:
            return before or Credentials(f"Bearer {self._file.token}")
        raise CdiError(
            f"{self._file.source}: the token file {self._file.path!r} {problem}; correct its path or its content."
        )


class CertificateSource(_ReadAgain):
    """A client certificate in files, which somebody renews there."""

    def __init__(self, certificate: Pem, key: Pem) -> None:
        super().__init__()
        self._pems = (certificate, key)

    def _get(self, before: Credentials | None) -> Credentials:
        """A pair of which one file is new and the other is not yet still serves as it was."""
        try:
            certificate, key = (content_of(pem) for pem in self._pems)
            found = Credentials(None, certificate.decode("utf-8", "replace"), key.decode("utf-8", "replace"))
            if before is not None and found != before:
                context_of(
                    verify=False,
                    certificate=self._pems[0]._replace(data=certificate),
                    key=self._pems[1]._replace(data=key),
                )
        except CdiError:
            if before is None:
                raise
            found = before
        self._until = time.monotonic() + _FILE_SECONDS
        return found


class PluginSource(Source):
    """Runs a credential plugin."""

    def __init__(self, plugin: Plugin, access: Access) -> None:
        super().__init__()
        self._plugin, self._access = plugin, access
        self._held = None
        self._until: datetime | None = None

    def _expired(self) -> bool:
        return self._until is not None and datetime.now(timezone.utc) > self._until

    def _get(self, before: Credentials | None) -> Credentials:
        status = self._status(self._run())
        token, certificate, key = (
            status.get(name) or "" for name in ("token", "clientCertificateData", "clientKeyData")
        )
        remember({token, key})
        if not (token or certificate or key):
            raise self._failed("printed no status.token")
        if bool(certificate) != bool(key):
            raise self._failed(f"printed no status.{'clientKeyData' if certificate else 'clientCertificateData'}")
        if not is_sendable(token):
            raise self._failed("printed a status.token with a line end or another character that no token has")
        self._until = self._time(status.get("expirationTimestamp"))
        return Credentials(f"Bearer {token}" if token else None, certificate, key)

    def _time(self, text: t.Any) -> datetime | None:
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(_six_digits(text.replace("Z", "+00:00")))
            # What Go writes for no time at all: it never comes.
            return None if moment.year == 1 else moment.astimezone(timezone.utc)
        except OverflowError:
            return None
        except ValueError:
            raise self._failed("printed a status.expirationTimestamp that is no time") from None

    def _run(self) -> bytes:
        import shutil
        import subprocess

        plugin = self._plugin.exec
        if plugin.interactive_mode == "Always":
            raise CdiError(
                f"{self._plugin.source}: the credential plugin wants a terminal (interactiveMode Always), and a task has none; use another plugin."
            )
        command = shutil.which(plugin.command)
        if command is None:
            # A name alone is looked for in PATH.
            if "/" in plugin.command and os.path.isdir(plugin.command):
                raise CdiError(
                    f"{self._plugin.source}: the credential plugin {plugin.command!r} is a directory; correct its path."
                )
            if "/" in plugin.command and os.path.exists(plugin.command):
                raise CdiError(
                    f"{self._plugin.source}: the credential plugin {plugin.command!r} is not executable; allow it with chmod +x."
                )
            hint = (
                " ".join(plugin.install_hint.split())
                or "install it on the host that runs the task, or correct its path"
            )
            raise CdiError(
                f"{self._plugin.source}: the credential plugin {plugin.command!r} is not installed; {hint.rstrip('.')}."
            )
        spec: dict[str, t.Any] = {"interactive": False}
        if self._plugin.cluster is not None:
            spec["cluster"] = self._cluster(self._plugin.cluster)
        info = json.dumps({"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec})
        environment = {**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": info}
        try:
            ran = subprocess.run(
                [command, *plugin.args],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PLUGIN_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._failed(f"did not end within {_PLUGIN_SECONDS} s") from None
        except (OSError, ValueError) as exc:
            raise self._failed(f"cannot be run ({getattr(exc, 'strerror', None) or type(exc).__name__})") from None
        if ran.returncode:
            # Without secrets before it is cut: a half of one is none that anybody would know.
            said = " ".join(redact(ran.stderr.decode("utf-8", "replace")).split())[-_QUOTED_CHARACTERS:].rstrip(".")
            raise self._failed(f"ended with code {ran.returncode}" + (f" ({said})" if said else ""))
        return ran.stdout

    def _cluster(self, info: dict[str, t.Any]) -> dict[str, t.Any]:
        ca = self._access.ca
        if ca and ca.path:
            with open(ca.path, "rb") as file:
                info = {**info, "certificate-authority-data": base64.b64encode(file.read()).decode()}
        return info

    def _status(self, printed: bytes) -> dict[str, t.Any]:
        """`status` of the ExecCredential that the plugin printed, whose fields are texts. Quotes nothing: it may be a token."""
        try:
            credential = loads(printed)
        except ValueError:
            raise self._failed("did not print JSON") from None
        if not isinstance(credential, dict):
            raise self._failed("did not print an ExecCredential")
        for field, expected in (("kind", "ExecCredential"), ("apiVersion", self._plugin.exec.api_version)):
            if credential.get(field) != expected:
                raise self._failed(f"printed another {field} than {expected}")
        status = credential.get("status")
        if not isinstance(status, dict):
            raise self._failed("printed no status")
        for field in ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp"):
            if not isinstance(status.get(field) or "", str):
                raise self._failed(f"printed a status.{field} that is not a string")
        return status

    def _failed(self, what: str) -> CdiError:
        return CdiError(
            f"{self._plugin.source}: the credential plugin {self._plugin.exec.command!r} {what}; run it by hand to see why."
        )


def _six_digits(moment: str) -> str:
    """A time as Python 3.10 reads it: fractions of a second have six digits or none."""
    head, point, rest = moment.partition(".")
    if not point:
        return moment
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{head}.{rest[:digits][:6]:0<6}{rest[digits:]}"


def source_of(access: Access, persist: bool) -> Source:
    """What gives this access its credentials."""
    identity = access.identity
    if isinstance(identity, TokenFile):
        return FileSource(identity)
    if isinstance(identity, Plugin):
        return PluginSource(identity, access)
    if isinstance(identity, Oidc):
        from .oidc import OidcSource

        return OidcSource(identity, persist)
    if identity is None and access.certificate and access.key:
        return CertificateSource(access.certificate, access.key)
    return Source(identity)
