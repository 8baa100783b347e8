# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Valid and invalid kubeconfigs, environments and proxies, a case each. See `Servers.text` for placeholders."""

from __future__ import annotations

import json
from typing import Any

from tests.kubectl.entries import CA, CLUSTERS, KUBE_FILES, LOCAL, PLAIN, PLUGIN, REMOTE, TOKEN, USERS
from tests.kubectl.servers import HERE, SECRET, Case

CONFIG = ".kube/config"


def config(cluster: Any = None, user: Any = None, context: Any = None, **top: Any) -> dict[str, Any]:
    cluster, user = LOCAL if cluster is None else cluster, TOKEN if user is None else user
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
    "no-user-http": (config(PLAIN, context={"cluster": "c"}), ""),
    "no-users-http": (config(PLAIN, users=None), ""),
    "http-sends-no-token": (config(PLAIN), ""),
    "http-impersonates": (config(PLAIN, {**TOKEN, "as": "bob"}), ""),
    "http-runs-no-plugin": (config(PLAIN, {"exec": {**PLUGIN, "command": "./gone.sh"}}), ""),
    "http-bad-user": (config(PLAIN, {"token": "a", "username": "b"}), ""),
    "namespace": (config(context={"cluster": "c", "user": "u", "namespace": "demo"}), ""),
    "two-clusters-of-a-name": (config(clusters=[{"name": "c", "cluster": LOCAL}, {"name": "c", "cluster": PLAIN}]), ""),
    "two-users-of-a-name": (config(users=[{"name": "u", "user": TOKEN}, {"name": "u", "user": {}}]), ""),
    "two-contexts-of-a-name": (config(contexts=[{"name": "x", "context": {"cluster": "c", "user": "u"}}] * 2), ""),
    "another-user-is-bad": (
        config(users=[{"name": "u", "user": TOKEN}, {"name": "v", "user": {"token": "a", "username": "b"}}]),
        "",
    ),
    "another-user-has-a-number": (
        config(users=[{"name": "u", "user": TOKEN}, {"name": "v", "user": {"token": 1}}]),
        "",
    ),
    "another-cluster-has-no-server": (config(clusters=[{"name": "c", "cluster": LOCAL}, {"name": "d"}]), ""),
    "misspelt-user": (config(users=[{"name": "u", "usr": TOKEN}]), ""),
    "misspelt-cluster": (config(clusters=[{"name": "c", "clster": LOCAL}]), ""),
    "misspelt-users": (config(users=None, user=[{"name": "u", "user": TOKEN}]), ""),
    "null-entries": (config(users=[None, {"name": "u", "user": TOKEN}]), ""),
    "users-a-mapping": (config(users={"u": TOKEN}), ""),
    "kind-other": (config(kind="Secret"), ""),
    "kind-missing": (config(kind=""), ""),
    "version-other": (config(apiVersion="v2"), ""),
    "version-missing": (config(apiVersion=None), ""),
    "preferences": (config(preferences={"colors": True}, extensions=[{"name": "e", "extension": {"a": 1}}]), ""),
    "name-a-number": (config(users=[{"name": 1, "user": TOKEN}]), ""),
    "unicode-names": (config(contexts=[{"name": "prod/ü 1", "context": {"cluster": "c", "user": "u"}}]), "prod/ü 1"),
}
_UNQUOTED = {
    "number": "12345",
    "date": "2020-01-01",
    "sexagesimal": "12:34:56",
    "yes": "yes",
    "y": "y",
    "float": "1.5",
    "octal": "0123",
    "hexadecimal": "0xff",
    "digits-and-letters": "089abc",
    "null": "~",
}


def _lines(content: dict[str, Any]) -> str:
    """YAML with one line per key."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in content.items())


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
    "duplicate-key-of-yaml": "current-context: gone\n" + _lines(config()),
    "anchors": "users: [{name: u, user: &t {token: "
    + SECRET
    + "}}, {name: v, user: *t}]\n"
    + _lines({key: value for key, value in config(context={"cluster": "c", "user": "v"}).items() if key != "users"}),
    "merge-keys": "users: [{name: w, user: &t {token: "
    + SECRET
    + "}}, {name: u, user: {<<: *t}}]\n"
    + _lines({key: value for key, value in config().items() if key != "users"}),
    "unknown-anchor": "users: *nothing\n",
    "python-tag": "users: !!python/object:os.system x\n",
    "folded-token": "users: [{name: u, user: {token: >-\n  " + SECRET + "}}]\n",
    **{f"unquoted-{name}": _lines(config()).replace(f'"{SECRET}"', text) for name, text in _UNQUOTED.items()},
    "insecure-yes": _lines(config({"server": LOCAL["server"], "insecure-skip-tls-verify": True})).replace(
        "true", "yes"
    ),
}
_WRONG: dict[str, Any] = {"number": 17, "boolean": True, "list": ["a"], "mapping": {"a": "b"}, "string": "text"}
_FIELDS: dict[str, tuple[str, str]] = {
    **{
        f"cluster.{name}": ("cluster", name)
        for name in ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    },
    **{
        f"user.{name}": ("user", name)
        for name in ("token", "tokenFile", "as", "as-groups", "as-user-extra", "username", "auth-provider", "exec")
    },
    **{f"exec.{name}": ("exec", name) for name in ("command", "args", "env", "provideClusterInfo", "installHint")},
}
_NO_PROXY = (
    *(
        "",
        HERE,
        f"{HERE}:@https@",
        f"{HERE}:1",
        f"{HERE}/8",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "*",
        f"other.test, {HERE}",
        f" {HERE} ,",
        f".{HERE}",
        "*.0.0.0",
    ),
    *("0.0.0", "::/0", "[0.0.0.0]:@https@", ":@https@", "0.0.0.0.", "garbage/99", "::ffff:0.0.0.0"),
)
_NO_PROXY_OF_NAMES = (
    *(
        "api.test",
        ".test",
        "test",
        "*.test",
        "*.api.test",
        ".api.test",
        "pi.test",
        "API.TEST",
        "api.test:@https@",
        "api.test:1",
        "www.api.test",
        "api.test.",
    ),
    *("https://api.test", "10.0.0.0/8", "api.*", ","),
)


def _wrong_types() -> list[Case]:
    cases = []
    for field, (kind, name) in _FIELDS.items():
        for type_name, value in _WRONG.items():
            cluster: dict[str, Any] = dict(LOCAL)
            user: dict[str, Any] = dict(TOKEN)
            if kind == "cluster":
                cluster[name] = value
            elif kind == "user":
                user = {**TOKEN, "as": "bob", name: value} if name.startswith("as-") else {name: value}
            else:
                user = {"exec": {**PLUGIN, name: value}}
            cases.append(_case(f"type-{field}-{type_name}", config(cluster, user), KUBE_FILES))
    return cases


def _merging() -> list[Case]:
    one, two = config(), config(PLAIN, {"token": "second"})
    only = {
        "users": {"users": one["users"]},
        "clusters": {"clusters": one["clusters"]},
        "rest": {"contexts": one["contexts"], "current-context": "x"},
    }
    files = {
        "one": json.dumps(one),
        "two": json.dumps(two),
        "empty": "",
        "broken": "{",
        "directory/": "",
        "no-current": json.dumps({**one, "current-context": ""}),
        "gone": json.dumps({**two, "current-context": "gone"}),
        "deep/relative": json.dumps(
            config({"server": LOCAL["server"], "certificate-authority": "../ca.crt"}, {"tokenFile": "token"})
        ),
        "deep/token": "deep-token",
        "ca.crt": "@text:ca.crt@",
        **{name: json.dumps(content) for name, content in only.items()},
    }
    lists = (
        *(
            "one",
            "one:two",
            "two:one",
            "empty:one",
            "one:empty",
            "missing:one",
            "missing",
            "missing:gone-too",
            ":",
            "one:one",
            "broken:one",
            "one:broken",
        ),
        *(
            "directory",
            "one:directory",
            "users:clusters:rest",
            "rest:users",
            "no-current:gone",
            "no-current:two",
            "gone:one",
            "deep/relative",
            "empty",
        ),
        *("~/one", "./one", "@home@/one", "one: two", "deep/../one"),
    )
    cases = [Case(f"KUBECONFIG={paths}", files, {"KUBECONFIG": paths}) for paths in lists]
    cases += [
        Case(f"kubeconfig={path}", {**files, CONFIG: files["two"]}, kubeconfig=path)
        for path in ("one", "missing", "directory", "empty", "broken")
    ]
    cases += [
        Case("kubeconfig-over-KUBECONFIG", files, {"KUBECONFIG": "two"}, kubeconfig="one"),
        Case("nothing", {"unrelated": ""}),
    ]
    return cases


def _environments() -> list[Case]:
    proxy, remote = "http://127.0.0.1:@proxy@", config(REMOTE)
    named = config({"server": "https://api.test:@https@", **CA})
    own = config({**REMOTE, "proxy-url": proxy})
    cases = [
        _case(f"NO_PROXY={each}", remote, environment={"HTTPS_PROXY": proxy, "NO_PROXY": each}) for each in _NO_PROXY
    ]
    cases += [
        _case(f"NO_PROXY={each}-for-a-name", named, environment={"HTTPS_PROXY": proxy, "NO_PROXY": each})
        for each in _NO_PROXY_OF_NAMES
    ]
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
        _case(
            "proxy-not-for-localhost",
            config({"server": "https://localhost:@https@", **CA}),
            environment={"HTTPS_PROXY": proxy},
        ),
        _case("proxy-for-http", config({"server": f"http://{HERE}:@http@"}), environment={"HTTP_PROXY": proxy}),
        _case("proxy-url-over-environment", own, environment={"HTTPS_PROXY": "http://127.0.0.1:1"}),
        _case("proxy-url-over-no-proxy", own, environment={"NO_PROXY": HERE}),
        _case("store-by-variable", config({"server": LOCAL["server"]}), environment={"SSL_CERT_FILE": "@file:ca.crt@"}),
        _case(
            "store-by-variable-foreign",
            config({"server": LOCAL["server"]}),
            environment={"SSL_CERT_FILE": "@file:foreign.crt@"},
        ),
        _case("ca-over-store", config(), environment={"SSL_CERT_FILE": "@file:foreign.crt@"}),
    ]
    return cases


def namespace_cases() -> list[Case]:
    """Contexts with and without a namespace."""
    one = {"cluster": "c", "user": "u", "namespace": "one"}
    contexts: list[dict[str, Any]] = [
        {"name": "x", "context": one},
        {"name": "y", "context": {**one, "namespace": "two"}},
        {"name": "z", "context": {**one, "namespace": ""}},
    ]
    several = config(contexts=contexts)
    files = {
        "first": json.dumps({**several, "current-context": ""}),
        "second": json.dumps(config(context={**one, "namespace": "never"})),
    }
    return [
        _case("current", several),
        _case("chosen", several, context="y"),
        _case("empty", several, context="z"),
        _case("missing", config()),
        _case("null", config(context={**one, "namespace": None})),
        Case("of-the-first-file", files, {"KUBECONFIG": "first:second"}),
        Case("of-a-file-that-is-named", {**files, CONFIG: json.dumps(several)}, kubeconfig="second"),
        _case(
            "variables-of-a-pod-that-is-none",
            several,
            environment={"POD_NAMESPACE": "pod", "KUBERNETES_SERVICE_HOST": HERE},
            context="z",
        ),
        _case("http", config(PLAIN, context=one)),
    ]


def all_cases() -> list[Case]:
    return [
        *(
            _case(f"cluster-{name}", config(clusters=[{"name": "c", "cluster": cluster}]), KUBE_FILES)
            for name, cluster in CLUSTERS.items()
        ),
        *(
            _case(f"user-{name}", config(users=[{"name": "u", "user": user}]), KUBE_FILES)
            for name, user in USERS.items()
        ),
        *(_case(f"context-{name}", content, context=context) for name, (content, context) in _CONTEXTS.items()),
        *(_case(f"text-{name}", text) for name, text in _TEXTS.items()),
        *_wrong_types(),
        *_merging(),
        *_environments(),
    ]
