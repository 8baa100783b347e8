# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs, environments and proxies, right and wrong: each entry of a table becomes a case. See `bed` for the words in @."""

from __future__ import annotations

import json
from typing import Any

from tests.kubectl.bed import HERE, SECRET, Case

CONFIG = ".kube/config"
_CA = {"certificate-authority-data": "@data:ca.crt@"}
_LOCAL = {"server": "https://127.0.0.1:@https@", **_CA}
_REMOTE = {"server": f"https://{HERE}:@https@", **_CA}
_PLAIN = {"server": "http://127.0.0.1:@http@"}
_TOKEN = {"token": SECRET}
_CERTIFICATE = {"client-certificate-data": "@data:admin.crt@", "client-key-data": "@data:admin.key@"}
_PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin.sh", "interactiveMode": "Never"}
_OLD = "client.authentication.k8s.io/v1beta1"


def config(cluster: Any = None, user: Any = None, context: Any = None, **top: Any) -> dict[str, Any]:
    cluster, user = _LOCAL if cluster is None else cluster, _TOKEN if user is None else user
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"} if context is None else context}],
        "current-context": "x",
        **top,
    }


def _case(name: str, content: Any, files: dict[str, str] | None = None, **more: Any) -> Case:
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    return Case(name, {CONFIG: text, **(files or {})}, **more)


def _printing(**status: Any) -> str:
    credential = {"apiVersion": _PLUGIN["apiVersion"], "kind": "ExecCredential", "status": status}
    return f"#!/bin/sh\necho '{json.dumps(credential)}'\n"


_CLUSTERS: dict[str, Any] = {
    "ca-data": _LOCAL,
    "ca-file": {"server": _LOCAL["server"], "certificate-authority": "@file:ca.crt@"},
    "ca-file-of-two": {"server": _LOCAL["server"], "certificate-authority": "@file:mixed.crt@"},
    "ca-relative": {"server": _LOCAL["server"], "certificate-authority": "ca.crt"},
    "ca-missing": {"server": _LOCAL["server"], "certificate-authority": "nothing.crt"},
    "ca-home": {"server": _LOCAL["server"], "certificate-authority": "~/.kube/ca.crt"},
    "ca-directory": {"server": _LOCAL["server"], "certificate-authority": "."},
    "ca-both": {**_LOCAL, "certificate-authority": "@file:ca.crt@"},
    "ca-foreign": {"server": _LOCAL["server"], "certificate-authority": "@file:foreign.crt@"},
    "ca-broken": {"server": _LOCAL["server"], "certificate-authority": "@file:broken.crt@"},
    "ca-is-a-key": {"server": _LOCAL["server"], "certificate-authority": "@file:ca.key@"},
    "ca-not-base64": {"server": _LOCAL["server"], "certificate-authority-data": "not base64!"},
    "ca-base64-with-line-ends": {"server": _LOCAL["server"], "certificate-authority-data": "@data:ca.crt@\n"},
    "ca-base64-with-spaces": {"server": _LOCAL["server"], "certificate-authority-data": " @data:ca.crt@"},
    "ca-the-text-itself": {"server": _LOCAL["server"], "certificate-authority-data": "-----BEGIN CERTIFICATE-----"},
    "no-ca": {"server": _LOCAL["server"]},
    "insecure": {"server": _LOCAL["server"], "insecure-skip-tls-verify": True},
    "insecure-with-ca": {**_LOCAL, "insecure-skip-tls-verify": True},
    "insecure-false": {**_LOCAL, "insecure-skip-tls-verify": False},
    "server-name": {**_LOCAL, "tls-server-name": "api.test"},
    "server-name-of-another": {**_LOCAL, "tls-server-name": "nobody.test"},
    "localhost": {"server": "https://localhost:@https@", **_CA},
    "host-not-in-the-certificate": {"server": "https://127.0.0.2:@https@", **_CA},
    "prefix": {"server": "https://127.0.0.1:@https@/k8s/clusters/c-1", **_CA},
    "prefix-with-slash": {"server": "https://127.0.0.1:@https@/k8s/", **_CA},
    "slash": {"server": "https://127.0.0.1:@https@/", **_CA},
    "query": {"server": "https://127.0.0.1:@https@/?a=b", **_CA},
    "query-of-a-prefix": {"server": "https://127.0.0.1:@https@/p?a=b#c", **_CA},
    "no-scheme-with-ca": {"server": "127.0.0.1:@https@", **_CA},
    "no-scheme-no-ca": {"server": "127.0.0.1:@http@"},
    "no-scheme-insecure": {"server": "127.0.0.1:@https@", "insecure-skip-tls-verify": True},
    "no-scheme-with-path": {"server": "127.0.0.1:@https@/path", **_CA},
    "upper-case-scheme": {"server": "HTTPS://127.0.0.1:@https@", **_CA},
    "other-scheme": {"server": "ftp://127.0.0.1:@https@", **_CA},
    "no-host": {"server": "https://:@https@", **_CA},
    "bad-port": {"server": "https://127.0.0.1:port", **_CA},
    "space": {"server": "https://127.0.0.1 :@https@", **_CA},
    "line-end": {"server": "https://127.0.0.1:@https@\n", **_CA},
    "user-name-in-the-url": {"server": "https://ann:pw@127.0.0.1:@https@", **_CA},
    "no-server": {**_CA},
    "empty-server": {"server": "", **_CA},
    "empty": {},
    "null": None,
    "http": _PLAIN,
    "http-to-https": {"server": "http://127.0.0.1:@https@"},
    "https-to-http": {"server": "https://127.0.0.1:@http@", **_CA},
    "nothing-listens": {"server": "https://127.0.0.1:1", **_CA},
    "disable-compression": {**_LOCAL, "disable-compression": True},
    "unknown-field": {**_LOCAL, "colour": "blue"},
    "misspelt-case": {"Server": _LOCAL["server"], **_CA},
    "proxy-http": {**_REMOTE, "proxy-url": "http://127.0.0.1:@proxy@"},
    "proxy-to-loopback": {**_LOCAL, "proxy-url": "http://127.0.0.1:@proxy@"},
    "proxy-with-password": {**_REMOTE, "proxy-url": "http://ann:p%40w%2F@127.0.0.1:@proxy@"},
    "proxy-https": {**_REMOTE, "proxy-url": "https://127.0.0.1:@tls_proxy@"},
    "proxy-https-foreign": {"server": _REMOTE["server"], "certificate-authority": "@file:foreign.crt@", "proxy-url": "https://127.0.0.1:@tls_proxy@"},
    "proxy-name-only-it-knows": {"server": "https://api.test:@https@", **_CA, "proxy-url": "http://127.0.0.1:@proxy@"},
    "proxy-for-http": {"server": f"http://{HERE}:@http@", "proxy-url": "http://127.0.0.1:@proxy@"},
    "proxy-without-scheme": {**_LOCAL, "proxy-url": "127.0.0.1:@proxy@"},
    "proxy-name-without-scheme": {**_LOCAL, "proxy-url": "localhost:@proxy@"},
    "proxy-ftp": {**_LOCAL, "proxy-url": "ftp://127.0.0.1:@proxy@"},
    "proxy-socks4": {**_LOCAL, "proxy-url": "socks4://127.0.0.1:@proxy@"},
    "proxy-dead": {**_LOCAL, "proxy-url": "http://127.0.0.1:1"},
    "proxy-password-not-encoded": {**_LOCAL, "proxy-url": "http://u:p@ss/wörd?@127.0.0.1:@proxy@"},
    "proxy-with-path": {**_LOCAL, "proxy-url": "http://127.0.0.1:@proxy@/path"},
    "proxy-bad-port": {**_LOCAL, "proxy-url": "http://127.0.0.1:x"},
}
_USERS: dict[str, Any] = {
    "token": _TOKEN,
    "token-with-line-end": {"token": f"{SECRET}\n"},
    "token-with-space-inside": {"token": f"{SECRET} {SECRET}"},
    "token-empty": {"token": ""},
    "token-file": {"tokenFile": "@home@/token"},
    "token-file-relative": {"tokenFile": "token"},
    "token-file-missing": {"tokenFile": "nothing"},
    "token-file-empty": {"tokenFile": "empty"},
    "token-and-file": {"token": "old-token", "tokenFile": "@home@/token"},
    "token-and-missing-file": {"token": SECRET, "tokenFile": "nothing"},
    "token-and-empty-file": {"token": SECRET, "tokenFile": "empty"},
    "certificate-data": _CERTIFICATE,
    "certificate-files": {"client-certificate": "@file:admin.crt@", "client-key": "@file:admin.key@"},
    "certificate-relative": {"client-certificate": "admin.crt", "client-key": "admin.key"},
    "certificate-file-and-key-data": {"client-certificate": "@file:admin.crt@", "client-key-data": "@data:admin.key@"},
    "certificate-both": {**_CERTIFICATE, "client-certificate": "@file:admin.crt@"},
    "key-both": {**_CERTIFICATE, "client-key": "@file:admin.key@"},
    "certificate-without-key": {"client-certificate-data": "@data:admin.crt@"},
    "key-without-certificate": {"client-key-data": "@data:admin.key@", "token": SECRET},
    "certificate-of-another-key": {"client-certificate-data": "@data:admin.crt@", "client-key-data": "@data:other.key@"},
    "certificate-and-key-swapped": {"client-certificate-data": "@data:admin.key@", "client-key-data": "@data:admin.crt@"},
    "certificate-missing": {"client-certificate": "nothing", "client-key": "@file:admin.key@"},
    "key-missing": {"client-certificate": "@file:admin.crt@", "client-key": "nothing"},
    "certificate-broken": {"client-certificate": "@file:broken.crt@", "client-key": "@file:admin.key@"},
    "certificate-and-token": {**_CERTIFICATE, **_TOKEN},
    "basic": {"username": "ann", "password": "pw€:x"},
    "basic-without-password": {"username": "ann"},
    "password-alone": {"password": "pw"},
    "basic-and-token": {"username": "ann", "password": "pw", **_TOKEN},
    "basic-and-token-file": {"username": "ann", "password": "pw", "tokenFile": "@home@/token"},
    "basic-and-certificate": {"username": "ann", "password": "pw", **_CERTIFICATE},
    "empty": {},
    "null": None,
    "misspelt": {"tokn": SECRET},
    "upper-case": {"Token": SECRET},
    "as": {**_TOKEN, "as": "nobody"},
    "as-all": {**_TOKEN, "as": "bob", "as-uid": "17", "as-groups": ["dev", "ops"], "as-user-extra": {"scope/x": ["a", "b"], "Upper%": ["ü"]}},
    "as-groups-alone": {**_TOKEN, "as-groups": ["dev"]},
    "as-uid-alone": {**_TOKEN, "as-uid": "17"},
    "as-extra-alone": {**_TOKEN, "as-user-extra": {"a": ["b"]}},
    "as-with-line-end": {**_TOKEN, "as": "bob\nX-Header: 1"},
    "as-not-ascii": {**_TOKEN, "as": "bób"},
    "as-alone": {"as": "bob"},
    "as-with-certificate": {**_CERTIFICATE, "as": "bob", "as-groups": []},
    "provider-gcp": {"auth-provider": {"name": "gcp", "config": {}}},
    "provider-azure": {"auth-provider": {"name": "azure"}},
    "provider-unknown": {"auth-provider": {"name": "mine"}},
    "provider-oidc-without-issuer": {"auth-provider": {"name": "oidc", "config": {"id-token": SECRET}}},
    "provider-oidc-bad-token": {"auth-provider": {"name": "oidc", "config": {"idp-issuer-url": "https://127.0.0.1:1", "client-id": "c", "id-token": SECRET}}},
    "provider-oidc-dead-issuer": {"auth-provider": {"name": "oidc", "config": {"idp-issuer-url": "https://127.0.0.1:1", "client-id": "c", "refresh-token": SECRET}}},
    "provider-and-exec": {"auth-provider": {"name": "oidc"}, "exec": _PLUGIN},
    "exec": {"exec": _PLUGIN},
    "exec-and-token": {"exec": _PLUGIN, "token": "other"},
    "exec-and-certificate": {"exec": _PLUGIN, **_CERTIFICATE},
    "exec-and-basic": {"exec": _PLUGIN, "username": "ann", "password": "pw"},
    "exec-and-as": {"exec": _PLUGIN, "as": "bob"},
    "exec-absolute": {"exec": {**_PLUGIN, "command": "@home@/.kube/plugin.sh"}},
    "exec-not-there": {"exec": {**_PLUGIN, "command": "no-such-plugin", "installHint": "brew install it"}},
    "exec-not-on-the-path": {"exec": {**_PLUGIN, "command": "plugin.sh"}},
    "exec-by-name": {"exec": {**_PLUGIN, "command": "sh", "args": ["@home@/.kube/plugin.sh"]}},
    "exec-directory": {"exec": {**_PLUGIN, "command": "./"}},
    "exec-without-command": {"exec": {"apiVersion": _PLUGIN["apiVersion"], "interactiveMode": "Never"}},
    "exec-without-version": {"exec": {"command": "./plugin.sh", "interactiveMode": "Never"}},
    "exec-without-mode": {"exec": {"apiVersion": _PLUGIN["apiVersion"], "command": "./plugin.sh"}},
    "exec-unknown-mode": {"exec": {**_PLUGIN, "interactiveMode": "Sometimes"}},
    "exec-mode-always": {"exec": {**_PLUGIN, "interactiveMode": "Always"}},
    "exec-mode-if-available": {"exec": {**_PLUGIN, "interactiveMode": "IfAvailable"}},
    "exec-v1alpha1": {"exec": {**_PLUGIN, "apiVersion": "client.authentication.k8s.io/v1alpha1"}},
    "exec-v1beta1-without-mode": {"exec": {"apiVersion": _OLD, "command": "./old.sh"}},
    "exec-version-differs": {"exec": {**_PLUGIN, "command": "./old.sh"}},
    "exec-environment": {"exec": {**_PLUGIN, "command": "./environment.sh", "env": [{"name": "GIVEN", "value": "yes"}]}},
    "exec-environment-without-name": {"exec": {**_PLUGIN, "env": [{"value": "yes"}]}},
    "exec-arguments": {"exec": {**_PLUGIN, "command": "./arguments.sh", "args": ["one two", "$HOME"]}},
    "exec-cluster-information": {"exec": {**_PLUGIN, "command": "./information.sh", "provideClusterInfo": True}},
    "exec-no-cluster-information": {"exec": {**_PLUGIN, "command": "./information.sh"}},
    "exec-certificate": {"exec": {**_PLUGIN, "command": "./certificate.sh"}},
    "exec-certificate-without-key": {"exec": {**_PLUGIN, "command": "./half.sh"}},
    "exec-fails": {"exec": {**_PLUGIN, "command": "./fails.sh"}},
    "exec-prints-nothing": {"exec": {**_PLUGIN, "command": "true"}},
    "exec-prints-no-json": {"exec": {**_PLUGIN, "command": "./no_json.sh"}},
    "exec-status-null": {"exec": {**_PLUGIN, "command": "./null.sh"}},
    "exec-status-empty": {"exec": {**_PLUGIN, "command": "./nothing.sh"}},
    "exec-token-a-number": {"exec": {**_PLUGIN, "command": "./number.sh"}},
    "exec-token-with-line-end": {"exec": {**_PLUGIN, "command": "./line_end.sh"}},
    "exec-expired": {"exec": {**_PLUGIN, "command": "./expired.sh"}},
    "exec-expires-oddly": {"exec": {**_PLUGIN, "command": "./oddly.sh"}},
    "exec-fraction-of-a-second": {"exec": {**_PLUGIN, "command": "./fraction.sh"}},
    "exec-null": {"exec": None, **_TOKEN},
}
_KUBE_FILES = {
    ".kube/admin.crt": "@text:admin.crt@",
    ".kube/admin.key": "@text:admin.key@",
    ".kube/certificate.json": _printing(clientCertificateData="C", clientKeyData="K").splitlines()[1][6:-1].replace('"C"', "@json:admin.crt@").replace('"K"', "@json:admin.key@"),
    ".kube/token": f"{SECRET}\n",
    "token": f"  {SECRET}-of-home\n",
    ".kube/empty": "",
    ".kube/plugin.sh": _printing(token=SECRET),
    ".kube/old.sh": _printing(token=SECRET).replace(_PLUGIN["apiVersion"], _OLD),
    ".kube/environment.sh": _printing(token="@").replace("@", "'$GIVEN-$FROM_TEST'"),
    ".kube/arguments.sh": _printing(token="@").replace("@", "'$(echo \"$1+$2\" | tr -dc a-zA-Z+)'"),
    ".kube/information.sh": _printing(token="@").replace("@", "'$(printf %s \"$KUBERNETES_EXEC_INFO\" | tr -dc a-zA-Z0-9 | fold -w 1 | sort | tr -d \"\\n\")'"),
    ".kube/certificate.sh": "#!/bin/sh\ncat \"$(dirname \"$0\")/certificate.json\"\n",
    ".kube/half.sh": _printing(clientCertificateData="certificate"),
    ".kube/fails.sh": "#!/bin/sh\necho log in first >&2\nexit 3\n",
    ".kube/no_json.sh": f"#!/bin/sh\necho {SECRET}\n",
    ".kube/null.sh": _printing().replace("{}", "null"),
    ".kube/nothing.sh": _printing(),
    ".kube/number.sh": _printing(token=17),
    ".kube/line_end.sh": _printing(token=f"{SECRET}\n"),
    ".kube/expired.sh": _printing(token=SECRET, expirationTimestamp="2020-01-01T00:00:00Z"),
    ".kube/oddly.sh": _printing(token=SECRET, expirationTimestamp="tomorrow"),
    ".kube/fraction.sh": _printing(token=SECRET, expirationTimestamp="2099-01-01T00:00:00.123456789+02:00"),
}
_CONTEXTS: dict[str, tuple[dict[str, Any], str]] = {
    "current": (config(), ""),
    "chosen": (config(**{"current-context": ""}), "x"),
    "chosen-over-a-missing-one": (config(**{"current-context": "gone"}), "x"),
    "missing": (config(**{"current-context": "gone"}), ""),
    "chosen-missing": (config(), "gone"),
    "none": (config(**{"current-context": ""}), ""),
    "null": (config(**{"current-context": None}), ""),
    "cluster-missing": (config(context={"cluster": "gone", "user": "u"}), ""),
    "user-missing": (config(context={"cluster": "c", "user": "gone"}), ""),
    "no-cluster": (config(context={"user": "u"}), ""),
    "no-user": (config(context={"cluster": "c"}), ""),
    "no-user-http": (config(_PLAIN, context={"cluster": "c"}), ""),
    "no-users-http": (config(_PLAIN, users=None), ""),
    "http-sends-no-token": (config(_PLAIN), ""),
    "http-impersonates": (config(_PLAIN, {**_TOKEN, "as": "bob"}), ""),
    "http-runs-no-plugin": (config(_PLAIN, {"exec": {**_PLUGIN, "command": "./gone.sh"}}), ""),
    "http-bad-user": (config(_PLAIN, {"token": "a", "username": "b"}), ""),
    "namespace": (config(context={"cluster": "c", "user": "u", "namespace": "demo"}), ""),
    "two-clusters-of-a-name": (config(clusters=[{"name": "c", "cluster": _LOCAL}, {"name": "c", "cluster": _PLAIN}]), ""),
    "two-users-of-a-name": (config(users=[{"name": "u", "user": _TOKEN}, {"name": "u", "user": {}}]), ""),
    "two-contexts-of-a-name": (config(contexts=[{"name": "x", "context": {"cluster": "c", "user": "u"}}] * 2), ""),
    "another-user-is-bad": (config(users=[{"name": "u", "user": _TOKEN}, {"name": "v", "user": {"token": "a", "username": "b"}}]), ""),
    "another-user-has-a-number": (config(users=[{"name": "u", "user": _TOKEN}, {"name": "v", "user": {"token": 1}}]), ""),
    "another-cluster-has-no-server": (config(clusters=[{"name": "c", "cluster": _LOCAL}, {"name": "d"}]), ""),
    "misspelt-user": (config(users=[{"name": "u", "usr": _TOKEN}]), ""),
    "misspelt-cluster": (config(clusters=[{"name": "c", "clster": _LOCAL}]), ""),
    "misspelt-users": (config(users=None, user=[{"name": "u", "user": _TOKEN}]), ""),
    "null-entries": (config(users=[None, {"name": "u", "user": _TOKEN}]), ""),
    "users-a-mapping": (config(users={"u": _TOKEN}), ""),
    "kind-other": (config(kind="Secret"), ""),
    "kind-missing": (config(kind=""), ""),
    "version-other": (config(apiVersion="v2"), ""),
    "version-missing": (config(apiVersion=None), ""),
    "preferences": (config(preferences={"colors": True}, extensions=[{"name": "e", "extension": {"a": 1}}]), ""),
    "name-a-number": (config(users=[{"name": 1, "user": _TOKEN}]), ""),
    "unicode-names": (config(contexts=[{"name": "prod/ü 1", "context": {"cluster": "c", "user": "u"}}]), "prod/ü 1"),
}
_TEXTS = {
    "empty": "",
    "blank": "\n\n",
    "comment": "# nothing yet\n",
    "null": "null\n",
    "list": "- a\n",
    "scalar": f"{SECRET}\n",
    "tabs-in-json": json.dumps(config(), indent="\t"),
    "tabs-in-yaml": "apiVersion: v1\nclusters:\n\t- name: c\n",
    "byte-order-mark": "\ufeff" + json.dumps(config()),
    "two-documents": json.dumps(config()) + "\n---\nkind: Other\n",
    "second-document-broken": json.dumps(config()) + "\n---\n{ [\n",
    "first-document-empty": "---\n---\n" + json.dumps(config()),
    "document-start": "---\n" + json.dumps(config()) + "\n...\n",
    "trailing-text-after-json": json.dumps(config()) + "\nmore\n",
    "trailing-comma": json.dumps(config())[:-1] + ",}",
    "carriage-returns": json.dumps(config(), indent=1).replace("\n", "\r\n"),
    "cut": json.dumps(config())[:-20],
    "broken": f"token: {SECRET}\n  other: [\n",
    "nul": json.dumps(config()) + "\0",
    "not-utf-8": json.dumps(config()) + "\n# \udcff\n",
    "duplicate-key": json.dumps(config())[:-1] + ', "current-context": "gone"}',
    "duplicate-key-of-yaml": "current-context: gone\n" + "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items()) + "\n",
    "anchors": "users: [{name: u, user: &t {token: " + SECRET + "}}, {name: v, user: *t}]\n"
    + "\n".join(f"{key}: {json.dumps(value)}" for key, value in config(context={"cluster": "c", "user": "v"}).items() if key != "users"),
    "merge-keys": "users: [{name: w, user: &t {token: " + SECRET + "}}, {name: u, user: {<<: *t}}]\n"
    + "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items() if key != "users"),
    "unknown-anchor": "users: *nothing\n",
    "python-tag": "users: !!python/object:os.system x\n",
    "folded-token": "users: [{name: u, user: {token: >-\n  " + SECRET + "}}]\n",
    "unquoted-number": json.dumps(config()).replace(f'"{SECRET}"', "12345"),
    "unquoted-date": "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items()).replace(f'"{SECRET}"', "2020-01-01"),
    "unquoted-sexagesimal": "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items()).replace(f'"{SECRET}"', "12:34:56"),
    "unquoted-yes": "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items()).replace(f'"{SECRET}"', "yes"),
    "unquoted-y": "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items()).replace(f'"{SECRET}"', "y"),
    "unquoted-float": "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items()).replace(f'"{SECRET}"', "1.5"),
    "unquoted-octal": "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items()).replace(f'"{SECRET}"', "0123"),
    "unquoted-hexadecimal": "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items()).replace(f'"{SECRET}"', "0xff"),
    "unquoted-digits-and-letters": "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items()).replace(f'"{SECRET}"', "089abc"),
    "unquoted-null": "\n".join(f"{key}: {json.dumps(value)}" for key, value in config().items()).replace(f'"{SECRET}"', "~"),
    "insecure-yes": "\n".join(
        f"{key}: {json.dumps(value)}" for key, value in config({"server": _LOCAL["server"], "insecure-skip-tls-verify": True}).items()
    ).replace("true", "yes"),
}
_WRONG: dict[str, Any] = {"number": 17, "boolean": True, "list": ["a"], "mapping": {"a": "b"}, "string": "text"}
_FIELDS: dict[str, tuple[str, str]] = {
    **{f"cluster.{name}": ("cluster", name) for name in ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")},
    **{f"user.{name}": ("user", name) for name in ("token", "tokenFile", "as", "as-groups", "as-user-extra", "username", "auth-provider", "exec")},
    **{f"exec.{name}": ("exec", name) for name in ("command", "args", "env", "provideClusterInfo", "installHint")},
}
_NO_PROXY = (
    *("", HERE, f"{HERE}:@https@", f"{HERE}:1", f"{HERE}/8", "10.0.0.0/8", "0.0.0.0/0", "*", f"other.test, {HERE}", f" {HERE} ,", f".{HERE}", "*.0.0.0"),
    *("0.0.0", "::/0", "[0.0.0.0]:@https@", ":@https@", "0.0.0.0.", "garbage/99", "::ffff:0.0.0.0"),
)
_NO_PROXY_OF_NAMES = (
    *("api.test", ".test", "test", "*.test", "*.api.test", ".api.test", "pi.test", "API.TEST", "api.test:@https@", "api.test:1", "www.api.test", "api.test."),
    *("https://api.test", "10.0.0.0/8", "api.*", ","),
)


def _wrong_types() -> list[Case]:
    cases = []
    for field, (kind, name) in _FIELDS.items():
        for type_name, value in _WRONG.items():
            cluster, user = dict(_LOCAL), dict(_TOKEN)
            if kind == "cluster":
                cluster[name] = value
            elif kind == "user":
                user = {**_TOKEN, "as": "bob", name: value} if name.startswith("as-") else {name: value}
            else:
                user = {"exec": {**_PLUGIN, name: value}}
            cases.append(_case(f"type-{field}-{type_name}", config(cluster, user), _KUBE_FILES))
    return cases


def _merging() -> list[Case]:
    one, two = config(), config(_PLAIN, {"token": "second"})
    only = {"users": {"users": one["users"]}, "clusters": {"clusters": one["clusters"]}, "rest": {"contexts": one["contexts"], "current-context": "x"}}
    files = {
        "one": json.dumps(one),
        "two": json.dumps(two),
        "empty": "",
        "broken": "{",
        "directory/": "",
        "no-current": json.dumps({**one, "current-context": ""}),
        "gone": json.dumps({**two, "current-context": "gone"}),
        "deep/relative": json.dumps(config({"server": _LOCAL["server"], "certificate-authority": "../ca.crt"}, {"tokenFile": "token"})),
        "deep/token": "deep-token",
        "ca.crt": "@text:ca.crt@",
        **{name: json.dumps(content) for name, content in only.items()},
    }
    lists = (
        *("one", "one:two", "two:one", "empty:one", "one:empty", "missing:one", "missing", "missing:gone-too", ":", "one:one", "broken:one", "one:broken"),
        *("directory", "one:directory", "users:clusters:rest", "rest:users", "no-current:gone", "no-current:two", "gone:one", "deep/relative", "empty", "~/one"),
        *("./one", "@home@/one", "one: two", "deep/../one"),
    )
    cases = [Case(f"KUBECONFIG={paths}", files, {"KUBECONFIG": paths}) for paths in lists]
    cases += [Case(f"kubeconfig={path}", {**files, CONFIG: files["two"]}, kubeconfig=path) for path in ("one", "missing", "directory", "empty", "broken")]
    cases += [Case("kubeconfig-over-KUBECONFIG", files, {"KUBECONFIG": "two"}, kubeconfig="one"), Case("nothing", {"unrelated": ""})]
    return cases


def _environments() -> list[Case]:
    proxy, remote = "http://127.0.0.1:@proxy@", config(_REMOTE)
    named = config({"server": "https://api.test:@https@", **_CA})
    own = config({**_REMOTE, "proxy-url": proxy})
    cases = [_case(f"NO_PROXY={each}", remote, environment={"HTTPS_PROXY": proxy, "NO_PROXY": each}) for each in _NO_PROXY]
    cases += [_case(f"NO_PROXY={each}-for-a-name", named, environment={"HTTPS_PROXY": proxy, "NO_PROXY": each}) for each in _NO_PROXY_OF_NAMES]
    variables: dict[str, dict[str, str]] = {
        "lower-case": {"https_proxy": proxy},
        "upper-case-first": {"HTTPS_PROXY": proxy, "https_proxy": "http://127.0.0.1:1"},
        "lower-case-no-proxy": {"HTTPS_PROXY": proxy, "no_proxy": HERE},
        "upper-case-no-proxy-first": {"HTTPS_PROXY": proxy, "NO_PROXY": "other.test", "no_proxy": HERE},
        "empty-then-lower": {"HTTPS_PROXY": "", "https_proxy": proxy},
        "no-scheme": {"HTTPS_PROXY": "127.0.0.1:@proxy@"},
        "name-without-scheme": {"HTTPS_PROXY": "localhost:@proxy@"},
        "password": {"HTTPS_PROXY": "http://ann:p%40w@127.0.0.1:@proxy@"},
        "password-without-scheme": {"HTTPS_PROXY": "ann:pw@127.0.0.1:@proxy@"},
        "tls": {"HTTPS_PROXY": "https://127.0.0.1:@tls_proxy@"},
        "of-http-alone": {"HTTP_PROXY": proxy},
        "of-all": {"ALL_PROXY": proxy},
        "slash": {"HTTPS_PROXY": f"{proxy}/"},
        "dead": {"HTTPS_PROXY": "http://127.0.0.1:1"},
        "bad-port": {"HTTPS_PROXY": "http://127.0.0.1:port"},
        "space": {"HTTPS_PROXY": "http://127.0.0.1 :@proxy@"},
        "other-scheme": {"HTTPS_PROXY": "ftp://127.0.0.1:@proxy@"},
    }
    cases += [_case(f"proxy-{name}", remote, environment=variable) for name, variable in variables.items()]
    cases += [
        _case("proxy-not-for-loopback", config(), environment={"HTTPS_PROXY": proxy}),
        _case("proxy-not-for-localhost", config({"server": "https://localhost:@https@", **_CA}), environment={"HTTPS_PROXY": proxy}),
        _case("proxy-for-http", config({"server": f"http://{HERE}:@http@"}), environment={"HTTP_PROXY": proxy}),
        _case("proxy-url-over-environment", own, environment={"HTTPS_PROXY": "http://127.0.0.1:1"}),
        _case("proxy-url-over-no-proxy", own, environment={"NO_PROXY": HERE}),
        _case("store-by-variable", config({"server": _LOCAL["server"]}), environment={"SSL_CERT_FILE": "@file:ca.crt@"}),
        _case("store-by-variable-foreign", config({"server": _LOCAL["server"]}), environment={"SSL_CERT_FILE": "@file:foreign.crt@"}),
        _case("ca-over-store", config(), environment={"SSL_CERT_FILE": "@file:foreign.crt@"}),
    ]
    return cases


def all_cases() -> list[Case]:
    return [
        *(_case(f"cluster-{name}", config(cluster) if cluster is not None else config(clusters=[{"name": "c", "cluster": None}]), {".kube/ca.crt": "@text:ca.crt@"}) for name, cluster in _CLUSTERS.items()),
        *(_case(f"user-{name}", config(user=user) if user is not None else config(users=[{"name": "u", "user": None}]), _KUBE_FILES) for name, user in _USERS.items()),
        *(_case(f"context-{name}", content, context=context) for name, (content, context) in _CONTEXTS.items()),
        *(_case(f"text-{name}", text) for name, text in _TEXTS.items()),
        *_wrong_types(),
        *_merging(),
        *_environments(),
    ]
