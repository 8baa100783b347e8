# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The auth-provider `oidc` of kubeconfigs: an ID token, and how a refresh token gets the next one (client-go v0.34.4, `auth/oidc/oidc.go`).

The package `kubernetes` has one as well, which ends in a traceback when the issuer refuses.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import typing as t

from .access import Oidc, Pem, basic, is_sendable
from .answers import loads
from .errors import CdiError
from .secrets import remember
from .source import Credentials, Source
from .tls import context_of

_LEEWAY_SECONDS = 10
_SECONDS = 30


class OidcSource(Source):
    def __init__(self, oidc: Oidc, persist: bool) -> None:
        super().__init__()
        self._oidc, self._persist = oidc, persist
        self._config = dict(oidc.provider.config)
        self._held = None
        for field in ("idp-issuer-url", "client-id"):
            if not self._config.get(field):
                raise CdiError(f"{oidc.source}.config.{field} is missing; add it.")

    def _expired(self) -> bool:
        return not self._is_valid(self._config.get("id-token") or "")

    def _get(self, before: Credentials | None) -> Credentials:
        """`before` is empty for the first time, and after a 401: only then may what the kubeconfig has still be good."""
        token = self._config.get("id-token") or ""
        rejected = self._held is not None and self._held.authorization == f"Bearer {token}"
        if not token or rejected or not self._is_valid(token):
            token = self._refresh()
        if not is_sendable(token):
            raise self._failed("gives an id_token with a line end or another character that no token has")
        return Credentials(f"Bearer {token}")

    def _is_valid(self, token: str) -> bool:
        if not token:
            return False
        try:
            _header, payload, _signature = token.split(".")
            expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
            return float(expires) > time.time() + _LEEWAY_SECONDS
        except (ValueError, TypeError, KeyError, binascii.Error):
            raise CdiError(f"{self._oidc.source}.config.id-token is not a valid ID token; log in again.") from None

    def _refresh(self) -> str:
        refresh = self._config.get("refresh-token")
        if not refresh:
            raise CdiError(
                f"{self._oidc.source}: the ID token has expired and there is no refresh-token; log in again."
            )
        issuer, client, secret = (
            self._config.get(name) or "" for name in ("idp-issuer-url", "client-id", "client-secret")
        )
        found = self._ask("GET", f"{issuer.removesuffix('/')}/.well-known/openid-configuration", {}, "")
        endpoint = found.get("token_endpoint")
        if not isinstance(endpoint, str) or not endpoint:
            raise self._failed("names no token_endpoint")
        from urllib.parse import quote_plus, urlencode

        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        try:
            answer = self._ask(
                "POST", endpoint, {"Authorization": basic(quote_plus(client), quote_plus(secret))}, urlencode(form)
            )
        except CdiError:
            # Some issuers want client and secret in the form, as golang.org/x/oauth2 tries it, too.
            form.update({"client_id": client, **({"client_secret": secret} if secret else {})})
            answer = self._ask("POST", endpoint, {}, urlencode(form))
        token = answer.get("id_token")
        if not isinstance(token, str) or not token:
            raise self._failed("gives no id_token; log in with scope openid")
        self._config["id-token"] = token
        if isinstance(answer.get("refresh_token"), str) and answer["refresh_token"]:
            self._config["refresh-token"] = answer["refresh_token"]
        remember({token, self._config["refresh-token"]})
        if self._persist and self._oidc.path:
            self._write()
        return token

    def _ask(self, method: str, url: str, headers: dict[str, str], form: str) -> dict[str, t.Any]:
        import urllib3

        pem = None
        if self._config.get("idp-certificate-authority-data"):
            try:
                pem = Pem(
                    f"{self._oidc.source}.config.idp-certificate-authority-data",
                    data=base64.b64decode(self._config["idp-certificate-authority-data"]),
                )
            except (binascii.Error, ValueError):
                raise CdiError(
                    f"{self._oidc.source}.config.idp-certificate-authority-data is not valid base64; correct it."
                ) from None
        elif self._config.get("idp-certificate-authority"):
            pem = Pem(
                f"{self._oidc.source}.config.idp-certificate-authority", self._config["idp-certificate-authority"]
            )
        if form:
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        manager = urllib3.PoolManager(ssl_context=context_of(ca=pem))
        try:
            response = manager.request(
                method, url, headers=headers, body=form or None, timeout=_SECONDS, retries=False, redirect=False
            )
            body = response.data
        except (urllib3.exceptions.HTTPError, ValueError) as exc:
            raise self._failed(f"cannot be reached ({type(exc).__name__})") from None
        finally:
            manager.clear()
        if response.status != 200:
            raise self._failed(f"answered with HTTP {response.status}; log in again")
        try:
            answer = loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._failed("did not answer with a JSON object")
        return answer

    def _write(self) -> None:
        """Keep the renewed tokens in the kubeconfig that had the old ones."""
        import yaml

        try:
            with open(self._oidc.path, "r+b") as file:
                content = yaml.safe_load(file)
                for user in content["users"]:
                    if user["name"] == self._oidc.user:
                        user["user"]["auth-provider"]["config"] = dict(self._config)
                text = yaml.safe_dump(content, sort_keys=False).encode()
                file.seek(0)
                file.write(text)
                file.truncate()
        except (OSError, yaml.YAMLError, KeyError, TypeError) as exc:
            raise CdiError(
                f"{self._oidc.source}: the renewed tokens cannot be written to {self._oidc.path!r} ({type(exc).__name__})."
            ) from None

    def _failed(self, what: str) -> CdiError:
        return CdiError(f"{self._oidc.source}: the issuer {self._config['idp-issuer-url']!r} {what}.")
