# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""From authentication options to an API server, and the verbs used on it.

The package `kubernetes` reads kubeconfigs, runs credential plugins and sets TLS and proxies up. Requests go through its
urllib3 pool: that part is the same in every release from 29 to 37, and the Authorization header is set here, because
36.0.0 and 36.0.1 drop it.
"""

from __future__ import annotations

import json
import os
import typing as t

from ._errors import ApiError, CdiError, api_error, status_of, target
from ._resources import Resource

FIELD_MANAGER = "kubevirt.cdi"
PAGE_SIZE = 500
CONNECT_TIMEOUT_SECONDS = 10
ANSWER_TIMEOUT_SECONDS = 60
RETRIED_CODES = (429, 500, 502, 503, 504)

Object = t.Dict[str, t.Any]


class WatchExpired(Exception):
    """The API server no longer knows the resource version: list again."""


def connect(params: t.Mapping[str, t.Any]) -> Connection:
    """Open a connection from the authentication options (see the documentation fragment `_auth`).

    Nothing is sent yet. Raises CdiError when the package `kubernetes` is missing or the options lead to no cluster.
    """
    try:
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException
    except ImportError as exc:
        raise CdiError(
            "The Python package kubernetes is missing on the host that runs this task; install it there with: pip install 'kubernetes>=29'."
        ) from exc

    configuration = client.Configuration()
    try:
        _load(config, ConfigException, configuration, params)
    except (ConfigException, OSError) as exc:
        raise CdiError(f"Cannot load the cluster's credentials: {exc}; give kubeconfig, or host and api_key (or the variables K8S_AUTH_*).") from exc
    _override(configuration, params)
    return Connection(client.ApiClient(configuration), configuration, _headers(params))


def _load(config: t.Any, config_exception: type[Exception], configuration: t.Any, params: t.Mapping[str, t.Any]) -> None:
    """Choose the source of credentials in kubernetes.core's order."""
    complete = params.get("host") and (
        params.get("api_key")
        or (params.get("username") and params.get("password"))
        or (params.get("client_cert") and params.get("client_key"))
    )
    if complete:
        return
    kubeconfig, context = params.get("kubeconfig"), params.get("context")
    if isinstance(kubeconfig, dict):
        config.load_kube_config_from_dict(kubeconfig, context=context, client_configuration=configuration, persist_config=False)
        return
    if kubeconfig and not os.path.isfile(kubeconfig):
        raise CdiError(f"kubeconfig is {kubeconfig}, and there is no such file; give the path of a kubeconfig.")
    if not kubeconfig and not context:
        try:
            config.load_incluster_config(client_configuration=configuration)
            return
        except config_exception:
            pass  # Not in a pod: the default kubeconfig is next.
    config.load_kube_config(
        config_file=kubeconfig, context=context, client_configuration=configuration, persist_config=bool(params.get("persist_config"))
    )


def _override(configuration: t.Any, params: t.Mapping[str, t.Any]) -> None:
    """Options win over what the kubeconfig says."""
    names = {
        "host": "host",
        "username": "username",
        "password": "password",
        "client_cert": "cert_file",
        "client_key": "key_file",
        "ca_cert": "ssl_ca_cert",
        "validate_certs": "verify_ssl",
        "proxy": "proxy",
        "no_proxy": "no_proxy",
    }
    for option, attribute in names.items():
        if params.get(option) is not None:
            setattr(configuration, attribute, params[option])
    if params.get("api_key"):
        configuration.refresh_api_key_hook = None
        configuration.api_key = {"authorization": f"Bearer {params['api_key']}"}
        configuration.api_key_prefix = {}
    if params.get("proxy_headers"):
        import urllib3

        headers = {name: value for name, value in params["proxy_headers"].items() if value is not None}
        configuration.proxy_headers = urllib3.util.make_headers(**headers)


def _headers(params: t.Mapping[str, t.Any]) -> list[tuple[str, str]]:
    headers = []
    if params.get("impersonate_user"):
        headers.append(("Impersonate-User", params["impersonate_user"]))
    headers += [("Impersonate-Group", group) for group in params.get("impersonate_groups") or []]
    return headers


class Connection:
    """The verbs of one API server. Objects are plain dictionaries, as in JSON."""

    def __init__(self, api_client: t.Any, configuration: t.Any, headers: list[tuple[str, str]]) -> None:
        import urllib3

        self.api_client = api_client
        self._configuration = configuration
        self._headers = headers
        self._urllib3 = urllib3
        self._retries = urllib3.Retry(
            total=4, backoff_factor=0.5, status_forcelist=RETRIED_CODES, allowed_methods=None, raise_on_status=False, respect_retry_after_header=True
        )
        if not configuration.verify_ssl:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    @property
    def verifies_certificates(self) -> bool:
        return bool(self._configuration.verify_ssl)

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The stored object, None when there is none. Raises NotServed when the kind is unknown."""
        try:
            return self._json("get", "GET", resource, namespace, name)
        except ApiError as exc:
            if exc.code == 404 and exc.reason == "NotFound":
                return None
            raise

    def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> tuple[list[Object], str]:
        """All objects (of one namespace, or of the cluster), page by page, and the list's resource version."""
        query = {"limit": str(PAGE_SIZE), "labelSelector": label_selector, "fieldSelector": field_selector}
        items: list[Object] = []
        while True:
            page = self._json("list", "GET", resource, namespace, None, query=query)
            items += page["items"]
            if not page["metadata"].get("continue"):
                return items, page["metadata"]["resourceVersion"]
            query["continue"] = page["metadata"]["continue"]

    def apply(self, resource: Resource, body: Object, *, dry_run: bool, force: bool = False) -> Object:
        """Server-side apply as field manager `kubevirt.cdi`."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "", "dryRun": "All" if dry_run else ""}
        metadata = body["metadata"]
        return self._json(
            "patch", "PATCH", resource, metadata.get("namespace"), metadata["name"], query=query, body=body, content_type="application/apply-patch+yaml"
        )

    def merge(self, resource: Resource, name: str, namespace: str | None, body: Object, *, dry_run: bool) -> Object:
        """JSON merge patch: null removes a key."""
        query = {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else ""}
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
        try:
            self._json("delete", "DELETE", resource, namespace, name, query={"dryRun": "All" if dry_run else ""}, body=body)
        except ApiError as exc:
            if exc.code != 404 or exc.reason != "NotFound":
                raise

    def watch(
        self, resource: Resource, namespace: str | None, resource_version: str, *, timeout_seconds: float, field_selector: str = ""
    ) -> t.Iterator[tuple[str, Object]]:
        """Yield (type, object) until `timeout_seconds` have passed. Raises WatchExpired, or ApiError when cut off."""
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "fieldSelector": field_selector,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, int(timeout_seconds))),
        }
        response = self._send("watch", "GET", resource, namespace, None, query=query, stream_seconds=timeout_seconds)
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

    def _json(self, verb: str, method: str, resource: Resource, namespace: str | None, name: str | None, **kwargs: t.Any) -> Object:
        response = self._send(verb, method, resource, namespace, name, **kwargs)
        return t.cast(Object, json.loads(response.data))

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
        stream_seconds: float | None = None,
    ) -> t.Any:
        headers = self._urllib3.HTTPHeaderDict(self._headers)
        headers.update({"Accept": "application/json", "Content-Type": content_type})
        authorization = self._authorization()
        if authorization:
            headers["Authorization"] = authorization
        url = self._configuration.host.rstrip("/") + resource.path(namespace, name)
        asked = {key: value for key, value in (query or {}).items() if value}
        if asked:
            from urllib.parse import urlencode

            url += "?" + urlencode(asked)
        read_timeout = ANSWER_TIMEOUT_SECONDS if stream_seconds is None else stream_seconds + 1
        try:
            response = self.api_client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=self._urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=read_timeout),
                retries=self._retries,
                preload_content=stream_seconds is None,
            )
        except self._urllib3.exceptions.HTTPError as exc:
            cause = getattr(exc, "reason", None) or exc
            raise ApiError(
                f"Cannot {verb} {target(resource, namespace, name)}: no answer from the Kubernetes API at {self._configuration.host} ({cause}); "
                "check host, proxy, ca_cert and that the API server runs.",
                0,
            ) from exc
        if response.status == 410 and status_of(response.data):
            raise WatchExpired
        if not 200 <= response.status <= 299:
            raise api_error(verb, resource, namespace, name, response.status, response.data)
        return response

    def _authorization(self) -> str | None:
        token = self._configuration.get_api_key_with_prefix("authorization")
        if token:
            return str(token)
        if self._configuration.username:
            return str(self._configuration.get_basic_auth_token())
        return None


def _lines(response: t.Any) -> t.Iterator[bytes]:
    """Whole lines of a streamed answer."""
    rest = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line)
