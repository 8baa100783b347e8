# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""A connection to an API server, and the verbs used on it.

Requests go through the urllib3 pool of the package `kubernetes`: that part is the same in every release from 29 to 37. The
Authorization header is set here, because 36.0.0 and 36.0.1 drop it.
"""

from __future__ import annotations

import base64
import json
import math
import re
import ssl
import typing as t

from ._credentials import check, configure
from ._errors import ApiError, CdiError, api_error, status_of, target
from ._resources import Resource

FIELD_MANAGER = "kubevirt.cdi"
PAGE_SIZE = 500
CONNECT_TIMEOUT_SECONDS = 10
ANSWER_TIMEOUT_SECONDS = 60
_LEAST_SECONDS = 0.5
RETRIED_CODES = (429, 502, 503, 504)
RETRY_AFTER_MAX_SECONDS = 10

# How urllib3 begins its messages.
_OBJECT_SHOWN = re.compile(r"^(<[^>]*>|HTTPS?Connection(Pool)?\([^)]*\)): ")

Object = t.Dict[str, t.Any]


class WatchExpired(Exception):
    """The API server no longer knows the resource version: list again."""


def connect(params: t.Mapping[str, t.Any], warn: t.Callable[[str], None] | None = None) -> Connection:
    """Open a connection from the authentication options (see the documentation fragment `_auth`).

    Nothing is sent yet. `warn` gets each of the API server's warnings once. Raises CdiError when the package `kubernetes` is
    missing or the options lead to no cluster.
    """
    check(params)
    try:
        import urllib3
        from kubernetes import client
    except ImportError as exc:
        raise CdiError(
            "The Python package kubernetes is missing on the host that runs this task; install it there with: pip install 'kubernetes>=29'."
        ) from exc
    configuration = configure(params)
    try:
        api_client = client.ApiClient(configuration)
    except (urllib3.exceptions.HTTPError, ImportError) as exc:
        raise CdiError(f"proxy is {configuration.proxy}, which the Python package urllib3 cannot use: {exc}.") from exc
    return Connection(api_client, configuration, _headers(params), warn)


def _headers(params: t.Mapping[str, t.Any]) -> list[tuple[str, str]]:
    headers = []
    if params.get("impersonate_user"):
        headers.append(("Impersonate-User", params["impersonate_user"]))
    headers += [("Impersonate-Group", group) for group in params.get("impersonate_groups") or []]
    return headers


class Connection:
    """The verbs of one API server. Objects are plain dictionaries, as in JSON."""

    def __init__(
        self, api_client: t.Any, configuration: t.Any, headers: list[tuple[str, str]], warn: t.Callable[[str], None] | None = None
    ) -> None:
        import urllib3

        self.api_client = api_client
        self.host = configuration.host.rstrip("/")
        self.verifies_certificates = bool(configuration.verify_ssl)
        self._configuration = configuration
        self._headers = headers
        self._warn = warn
        self._warned: set[str] = set()
        self._urllib3 = urllib3
        self._retries = _retries(urllib3)
        if not self.verifies_certificates:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The stored object, None when there is none. Raises NotServed when the kind is unknown."""
        try:
            return self._json("get", "GET", resource, namespace, name)
        except ApiError as exc:
            if exc.code == 404 and exc.reason == "NotFound":
                return None
            raise

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        within_seconds: float | None = None,
    ) -> tuple[list[Object], str]:
        """All objects (of one namespace, or of the cluster), page by page, and the list's resource version.

        With `within_seconds` nothing is tried again, and an answer that takes longer is an ApiError.
        """
        query = {"limit": str(PAGE_SIZE), "labelSelector": label_selector, "fieldSelector": field_selector}
        items: list[Object] = []
        while True:
            try:
                page = self._json("list", "GET", resource, namespace, None, query=query, within_seconds=within_seconds)
            except WatchExpired:
                if "continue" not in query:
                    raise
                # So many objects, or so slow a server, that the first page's version is no longer kept.
                items = []
                del query["continue"]
                continue
            items += page["items"]
            if not page["metadata"].get("continue"):
                return items, page["metadata"]["resourceVersion"]
            query["continue"] = page["metadata"]["continue"]

    def apply(self, resource: Resource, body: Object, *, dry_run: bool, force: bool = False, manager: str = "") -> Object:
        """Server-side apply as field manager `kubevirt.cdi`, or another one."""
        query = {"fieldManager": manager or FIELD_MANAGER, "force": "true" if force else "", "dryRun": "All" if dry_run else ""}
        metadata = body["metadata"]
        return self._json(
            "patch", "PATCH", resource, metadata.get("namespace"), metadata["name"], query=query, body=body, content_type="application/apply-patch+yaml"
        )

    def merge(self, resource: Resource, name: str, namespace: str | None, body: Object, *, dry_run: bool) -> Object:
        """JSON merge patch: null removes a key. A field that the server does not know is refused, not pruned in silence."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "dryRun": "All" if dry_run else ""}
        return self._json("patch", "PATCH", resource, namespace, name, query=query, body=body, content_type="application/merge-patch+json")

    def create(self, resource: Resource, body: Object, namespace: str | None = None, *, dry_run: bool) -> Object:
        """POST, for objects that must not exist yet or that are answered and never stored."""
        query = {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else ""}
        return self._json("create", "POST", resource, namespace, None, query=query, body=body)

    def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, dry_run: bool, propagation: str = "Background", uid: str | None = None
    ) -> None:
        """Delete; an object that is already gone is no error. With `uid` only that very object is deleted."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        if dry_run:
            body["dryRun"] = ["All"]  # The API server does not look at the query of a deletion that has a body.
        try:
            self._json("delete", "DELETE", resource, namespace, name, query={"dryRun": "All" if dry_run else ""}, body=body)
        except ApiError as exc:
            if exc.code != 404 or exc.reason != "NotFound":
                raise

    def watch(
        self, resource: Resource, namespace: str | None, resource_version: str, *, timeout_seconds: float, quiet_seconds: float, field_selector: str = ""
    ) -> t.Iterator[tuple[str, Object]]:
        """Yield (type, object) until `timeout_seconds` have passed, or nothing has come for `quiet_seconds`.

        Raises WatchExpired, or ApiError when cut off; nothing is tried again.
        """
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "fieldSelector": field_selector,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, math.ceil(timeout_seconds))),
        }
        response = self._send("watch", "GET", resource, namespace, None, query=query, within_seconds=quiet_seconds, stream=True)
        try:
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    if event["object"].get("code") == 410:
                        raise WatchExpired
                    raise api_error("watch", resource, namespace, None, event["object"].get("code", 0), json.dumps(event["object"]).encode())
                yield event["type"], event["object"]
        except self._urllib3.exceptions.ReadTimeoutError:
            return
        except self._urllib3.exceptions.HTTPError as exc:
            raise ApiError(f"Cannot watch {target(resource, namespace, None)}: the connection broke ({exc}).", 0) from exc
        finally:
            response.close()

    def websocket(self, resource: Resource, namespace: str, name: str, subresource: str, query: str, subprotocols: list[str]) -> t.Any:
        """Open a WebSocket of package `websocket-client` to a subresource, by the same credentials, TLS and proxy as all requests."""
        import websocket

        verb, configuration = f"{subresource} to", self._configuration
        options: dict[str, t.Any] = {"cert_reqs": ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE}
        names = {"ca_certs": "ssl_ca_cert", "certfile": "cert_file", "keyfile": "key_file", "server_hostname": "tls_server_name"}
        options.update({name: getattr(configuration, attribute, None) for name, attribute in names.items() if getattr(configuration, attribute, None)})
        proxy, proxy_errors = _websocket_proxy(configuration, self.api_client.rest_client.pool_manager)
        headers = [f"{key}: {value}" for key, value in self._headers]
        authorization = self._authorization()
        if authorization:
            headers.append(f"Authorization: {authorization}")
        url = self.host.replace("http", "ws", 1) + f"{resource.path(namespace, name)}/{subresource}?{query}"
        opened = websocket.WebSocket(sslopt=options, skip_utf8_validation=True)
        opened.settimeout(ANSWER_TIMEOUT_SECONDS)
        broken = (websocket.WebSocketException, OSError, *proxy_errors)
        try:
            opened.connect(url, header=headers, subprotocols=subprotocols, suppress_origin=True, **proxy)
        except websocket.WebSocketBadStatusException as exc:
            # The request is a GET, for which the API server wants `create`, too. Old releases of the package do not keep the answer's body.
            right = f'"get" and "create" on {resource.plural}/{subresource}'
            raise api_error(verb, resource, namespace, name, exc.status_code, getattr(exc, "resp_body", None) or b"", right) from exc
        except broken as exc:
            raise ApiError(f"Cannot {verb} {target(resource, namespace, name)}: no WebSocket to {self.host} ({exc}).", 0) from exc
        return opened

    def _json(self, verb: str, method: str, resource: Resource, namespace: str | None, name: str | None, **kwargs: t.Any) -> Object:
        response = self._send(verb, method, resource, namespace, name, **kwargs)
        try:
            return t.cast(Object, json.loads(response.data))
        except ValueError as exc:
            raise ApiError(
                f"Cannot {verb} {target(resource, namespace, name)}: {self.host} did not answer with JSON; "
                "check that host is the Kubernetes API, not a login page or a dashboard.",
                response.status,
            ) from exc

    def _send(
        self,
        verb: str,
        method: str,
        resource: Resource,
        namespace: str | None,
        name: str | None,
        *,
        query: t.Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        within_seconds: float | None = None,
        stream: bool = False,
    ) -> t.Any:
        headers = self._urllib3.HTTPHeaderDict(self._headers)
        headers.update({"Accept": "application/json", "Content-Type": content_type})
        authorization = self._authorization()
        if authorization:
            headers["Authorization"] = authorization
        url = self.host + resource.path(namespace, name)
        asked = {key: value for key, value in (query or {}).items() if value}
        if asked:
            from urllib.parse import urlencode

            url += "?" + urlencode(asked)
        seconds: float = ANSWER_TIMEOUT_SECONDS
        if within_seconds is not None:
            seconds = max(within_seconds if stream else min(within_seconds, seconds), _LEAST_SECONDS)
        try:
            response = self.api_client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=self._urllib3.Timeout(connect=min(CONNECT_TIMEOUT_SECONDS, seconds), read=seconds),
                retries=self._retries if within_seconds is None else False,
                preload_content=not stream,
            )
        except self._urllib3.exceptions.HTTPError as exc:
            raise ApiError(f"Cannot {verb} {target(resource, namespace, name)}: {self._unreachable(exc)}.", 0) from exc
        self._tell_warnings(response)
        if response.status == 410 and status_of(response.data):
            raise WatchExpired
        if not 200 <= response.status <= 299:
            raise api_error(verb, resource, namespace, name, response.status, response.data)
        return response

    def _authorization(self) -> str | None:
        """The header's value; the hook renews a token that a plugin, or a pod's service account, has given for some time."""
        if self._configuration.refresh_api_key_hook:
            self._configuration.refresh_api_key_hook(self._configuration)
        # Releases differ in the key, and none of them understands all of its own.
        token = self._configuration.api_key.get("BearerToken") or self._configuration.api_key.get("authorization")
        if token:
            return str(token).strip()
        if self._configuration.username:
            return str(self._configuration.get_basic_auth_token())
        return None

    def _unreachable(self, exc: BaseException) -> str:
        """Why there is no answer, in words and with a remedy, out of what urllib3 wrapped."""
        cause = getattr(exc, "reason", None) or exc
        while cause.args and isinstance(cause.args[-1], BaseException):
            cause = cause.args[-1]
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {self.host} is not valid ({cause.verify_message}); give its CA as ca_cert"
        through = f" through the proxy {self._configuration.proxy}" if self._configuration.proxy else ""
        return (
            f"no answer from the Kubernetes API at {self.host}{through} ({_OBJECT_SHOWN.sub('', str(cause))}); "
            "check host, proxy, ca_cert and that the API server runs"
        )

    def _tell_warnings(self, response: t.Any) -> None:
        """Pass on what the API server warns of (deprecated kinds, fields that it does not know), each text once."""
        for header in response.headers.getlist("Warning"):
            quoted = re.match(r'299 \S+ "((?:[^"\\]|\\.)*)"', header)
            text = re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else header
            if self._warn and text not in self._warned:
                self._warned.add(text)
                self._warn(f"The API server warns: {text}")


def _retries(urllib3: t.Any) -> t.Any:
    """Up to 4 more attempts after a lost connection or an overloaded server; none after a failed TLS handshake."""

    class Retry(urllib3.Retry):  # type: ignore[misc]
        def get_retry_after(self, response: t.Any) -> float | None:
            seconds = super().get_retry_after(response)
            return None if seconds is None else min(seconds, RETRY_AFTER_MAX_SECONDS)

        def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
            # A 500 tells of something broken, such as a webhook: another attempt only when the server asks for it.
            return bool(status_code == 500 and has_retry_after and self.total or super().is_retry(method, status_code, has_retry_after))

    return Retry(total=4, other=0, backoff_factor=0.5, status_forcelist=RETRIED_CODES, allowed_methods=None, raise_on_status=False)


def _websocket_proxy(configuration: t.Any, pool: t.Any) -> tuple[dict[str, t.Any], tuple[type[Exception], ...]]:
    """Options of websocket-client for the proxy that the pool of all other requests uses, and what it raises for it alone.

    Also that there is none has to be said: the package would look at the environment, and at lists of exceptions by other rules.
    """
    from urllib.parse import urlsplit

    if not (pool.proxy or getattr(pool, "proxy_url", None)):
        return {"http_proxy_host": "none", "http_no_proxy": ["*"]}, ()
    parts = urlsplit(configuration.proxy)
    told = f"proxy is {configuration.proxy}, and"
    if parts.scheme == "https":
        raise CdiError(f"{told} port-forwards go through http and socks proxies only; publish the upload proxy and give its URL as upload_proxy_url.")
    port = parts.port or 80
    errors: tuple[type[Exception], ...] = ()
    if parts.scheme != "http":
        try:
            from python_socks import ProxyError
        except ImportError as exc:
            raise CdiError(
                f"{told} the Python package python-socks, which port-forwards through it need, is missing on the host that runs this task; "
                "install it there with: pip install python-socks."
            ) from exc
        port, errors = parts.port or 1080, (ProxyError,)
    options = {"proxy_type": parts.scheme, "http_proxy_host": parts.hostname, "http_proxy_port": port, "http_no_proxy": [""]}
    basic = (configuration.proxy_headers or {}).get("proxy-authorization", "").removeprefix("Basic ")
    if basic:
        options["http_proxy_auth"] = tuple(base64.b64decode(basic).decode().split(":", 1))
    return options, errors


def _lines(response: t.Any) -> t.Iterator[bytes]:
    """Whole lines of a streamed answer."""
    rest = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line)
