# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials that a plugin (`exec` in a kubeconfig) prints, which runs again when they expire.

The package `kubernetes` can also run plugins. It loads all of its models for that, runs the plugin before every request in the last
five minutes of a token, and logs what goes wrong.
"""

from __future__ import annotations

import base64
import json
import os
import typing as t
from datetime import datetime, timezone

from .access import Access, Plugin, is_sendable
from .answers import loads
from .errors import CdiError
from .objects import timestamp
from .redaction import redact
from .secrets import remember
from .source import Credentials, Source

PLUGIN_SECONDS = 60.0
_QUOTED_CHARACTERS = 300


class PluginSource(Source):
    """Runs a credential plugin. `seconds`: how long it may take."""

    def __init__(self, plugin: Plugin, access: Access, seconds: float = PLUGIN_SECONDS) -> None:
        super().__init__()
        self._plugin, self._access, self._seconds = plugin, access, seconds
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
            moment = timestamp(text)
            # Go writes year 1 for a time that is not set: the token does not expire.
            return None if moment is None or moment.year == 1 else moment
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
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._failed(f"did not end within {self._seconds:g} s") from None
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
