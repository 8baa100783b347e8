# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After any answer, a module or the lookup ends with a result or one sentence: no traceback, no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from ansible.errors import AnsibleLookupError
from ansible.plugins.loader import lookup_loader
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import forget
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.clone_method import Memory
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.examples import examples
from tests.hostile import Hostile, chunked, hostile_server, http
from tests.modules import Ran, no_sleep, run_in_process
from tests.spellings import shown_in, spellings

TOKEN, PASSWORD, HEADER, SIGNATURE = "planted-T0ken/+x==", "S3c/ret?P@w-rd", "planted;H3ader-1", "planted-S1gnature0"
SECRETS = (TOKEN, PASSWORD, HEADER, SIGNATURE)
URL = f"http://me:{quote(PASSWORD, safe='')}@images.test/disk.raw?X-Amz-Signature={SIGNATURE}"
IMPORT = {"http": {"url": URL, "extra_headers": [f"Authorization: Bearer {HEADER}"]}}
TASKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("data_volume_info", {"namespace": "demo"}),
    ("data_volume_info", {"name": "disk", "namespace": "demo", "find_users": True}),
    ("data_volume", {"name": "disk", "namespace": "demo", "source": IMPORT, "storage": {"size": "1Gi"}, "wait": False}),
    ("data_volume", {"name": "disk", "namespace": "demo", "state": "absent", "wait": False}),
    (
        "data_volume",
        {
            "data_volumes": [
                {"name": "a", "state": "absent"},
                {"name": "b", "source": {"blank": {}}, "storage": {"size": "1Mi"}},
            ],
            "wait": False,
        },
    ),
    ("cdi_info", {}),
    ("cdi_config", {"preallocation": True, "wait": False}),
    ("storage_profile", {"name": "fast", "clone_strategy": "copy", "wait": False}),
    ("clone_permission", {"namespace": "demo", "groups": ["team"]}),
)


@pytest.fixture(autouse=True, scope="module")
def _no_kubeconfig_and_no_proxy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KUBECONFIG", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "K8S_AUTH_KUBECONFIG"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[Hostile]:
    with hostile_server() as running:
        yield running


def _spelled(secret: str) -> st.SearchStrategy[str]:
    return st.sampled_from(
        [*spellings(secret).values(), f"Invalid source URL: {URL}", f"http://me:{PASSWORD}@images.test"]
    )


WORDS = st.one_of(
    st.sampled_from(SECRETS).flatmap(_spelled),
    st.text(max_size=30),
    st.sampled_from(["", "NotFound", "Forbidden", "Conflict", "disk", "demo"]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 10**20), st.floats(), WORDS)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=8
)
METADATA = {
    "name": "disk",
    "namespace": "demo",
    "uid": "1",
    "resourceVersion": "7",
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "labels": {"a": "b"},
    "annotations": {"cdi.kubevirt.io/x": "y"},
}
OBJECT = {
    "apiVersion": "cdi.kubevirt.io/v1beta1",
    "kind": "DataVolume",
    "metadata": METADATA,
    "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}},
    "status": {
        "phase": "ImportInProgress",
        "progress": "5%",
        "conditions": [{"type": "Ready", "status": "False", "message": "m", "reason": "r"}],
    },
}
CDI_KINDS = ["DataVolume", "CDI", "CDIConfig", "StorageProfile"]
KINDS = st.sampled_from(
    [*CDI_KINDS, "PersistentVolumeClaim", "Role", "RoleBinding", "Pod", "Event", "APIGroupList", "Status"]
)


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    """The value with one part replaced by any JSON, or left out, on the levels of every Kubernetes object."""
    place, path = value, []
    for _level in range(draw(st.integers(0, 2))):
        if not isinstance(place, dict) or not place:
            break
        path.append(draw(st.sampled_from(sorted(place))))
        place = place[path[-1]]
    copy = json.loads(json.dumps(value))
    if not path:
        return draw(JSON)
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    # What is below spec and status has the types of the kind's schema, which the API server sees to.
    assume(path[0] not in ("spec", "status", "items") or len(path) == 1)
    if draw(st.booleans()):
        inside[path[-1]] = draw(JSON)
    else:
        del inside[path[-1]]
    return copy


@st.composite
def _documents(draw: st.DrawFn) -> Any:
    kind = draw(KINDS)
    item = draw(st.one_of(st.just({**OBJECT, "kind": kind}), _changed({**OBJECT, "kind": kind})))
    whole: Any = {"kind": f"{kind}List", "metadata": {"resourceVersion": "9"}, "items": [item]}
    details = {"name": draw(WORDS), "kind": draw(WORDS), "causes": [{"message": draw(WORDS), "field": draw(WORDS)}]}
    status: Any = {
        "kind": "Status",
        "code": draw(st.integers(0, 600)),
        "reason": draw(WORDS),
        "message": draw(WORDS),
        "details": details,
    }
    event = {
        "type": draw(st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "?"])),
        "object": draw(st.sampled_from([item, status])),
    }
    return draw(
        st.one_of(
            JSON,
            st.sampled_from([item, whole, status, event]),
            _changed(status),
            _changed(whole),
            st.just({"message": "x"}),
        )
    )


BODIES = st.one_of(
    _documents().map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"404 page not found\n",
            b"<html><head><title>Sign\nin</title></head><body>" + PASSWORD.encode() + b"</body></html>" + b"x" * 3000,
            f"<!doctype html><h1>{URL}</h1>".encode(),
            b"[" * 100000,
            b'{"kind":"DataVolumeList","items":',
            b"\xff\xfe\x00",
            b"\x1b[31m\x00\r\n" * 50,
            b"9" * 5000,
        ]
    ),
)
STATUSES = st.sampled_from(
    [
        101,
        200,
        201,
        202,
        204,
        206,
        300,
        302,
        304,
        307,
        308,
        400,
        401,
        403,
        404,
        405,
        407,
        409,
        410,
        422,
        429,
        500,
        502,
        503,
        504,
        999,
    ]
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "Content-Type",
                "Location",
                "Retry-After",
                "Warning",
                "Content-Encoding",
                "WWW-Authenticate",
                "Set-Cookie",
                "X-\xe9",
            ]
        ),
        st.one_of(
            st.sampled_from(["application/json", "gzip", "deflate", "0", "-1", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT"]),
            st.sampled_from([f'299 - "old {PASSWORD}"', "/login", URL, "//[", "Basic"]),
            st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20),
        ),
    ),
    max_size=3,
)


@st.composite
def _answers(draw: st.DrawFn) -> Sequence[bytes]:
    """One answer on the wire: framed well, badly, or not HTTP at all."""
    status, body, headers = draw(STATUSES), draw(BODIES), draw(HEADERS)
    kind = draw(
        st.sampled_from(
            [
                "plain",
                "plain",
                "plain",
                "chunks",
                "chunks",
                "short",
                "long",
                "cut",
                "bad chunks",
                "no HTTP",
                "nothing",
                "to the end",
            ]
        )
    )
    if kind == "chunks":
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
        pieces = [body[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True) if body[begin:end]]
        return chunked(status, pieces, *headers)
    if kind == "bad chunks":
        return chunked(
            status,
            [body[:10]],
            *headers,
            end=draw(st.sampled_from([b"", b"zz\r\n", b"-5\r\n", b"fffffffffff\r\nx", b"5;a=b\r\nab"])),
        )
    if kind in ("no HTTP", "nothing"):
        return [draw(st.binary(max_size=60)) + b"\r\n\r\n"] if kind == "no HTTP" else []
    if kind == "to the end":
        return [f"HTTP/1.0 {status}\r\n\r\n".encode() + body]
    length = {"plain": len(body), "short": len(body) // 2, "long": len(body) + 7, "cut": len(body)}[kind]
    whole = http(status, body, *headers, length=length)
    return [whole[: len(whole) // 2] if kind == "cut" else whole]


def _judge(output: Any, message: str, given: Any) -> None:
    """`given` are the task's options: the server also says what is no secret of this task."""
    assert "Traceback" not in str(output) and "Unexpected " not in message, message
    assert "\n" not in message and len(message) < 2500
    assert shown_in(output, [TOKEN, *(SECRETS[1:] if "http" in str(given) else ())]) == []


def _run(server: Hostile, task: tuple[str, dict[str, Any]], check: bool = False) -> Ran:
    name, options = task
    return run_in_process(name, {"host": server.url, "api_key": TOKEN, **options}, check=check)


@given(st.sampled_from(TASKS), st.booleans(), st.lists(_answers(), min_size=1, max_size=3))
@example(TASKS[0], False, [[b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 0\x1f\r\n\r\n"]])
@examples(1200)
def test_module_survives_any_answer_without_traceback_or_secret(
    server: Hostile, task: Any, check: bool, answers: list[Sequence[bytes]]
) -> None:
    first = len(server.heads)
    server.answer = lambda number, _head: answers[min(number - first, len(answers) - 1)]
    ran = _run(server, task, check)
    assert "Unsupported parameters" not in ran.result.get("msg", "")
    _judge([ran.result, ran.output], ran.result.get("msg", ""), task)
    assert not ran.result.get("failed") or ran.result["msg"].endswith(".")


@given(st.lists(_answers(), min_size=1, max_size=2))
@examples(400)
def test_lookup_survives_any_answer_without_traceback_or_secret(
    server: Hostile, answers: list[Sequence[bytes]]
) -> None:
    first = len(server.heads)
    server.answer = lambda number, _head: answers[min(number - first, len(answers) - 1)]
    forget()
    lookup = lookup_loader.get("kubevirt.cdi.clone_method")
    # A connection that is kept has its secrets from the time when it was made.
    lookup.memory = Memory(partial(connect, sleep=no_sleep))
    try:
        found = lookup.run(
            [{"name": "disk", "namespace": "demo", "source": IMPORT, "storage": {"size": "1Gi"}}],
            {},
            host=server.url,
            api_key=TOKEN,
        )
    except AnsibleLookupError as exc:
        assert exc.__cause__ is None and exc.__context__ is None
        _judge(str(exc), str(exc), IMPORT)
    else:
        _judge(found, "", IMPORT)


NOT_THERE = [
    http(404, b"404 page not found\n"),
    http(404, b"<html><title>Not Found</title></html>"),
    http(404, b"{}"),
    http(404, b'{"message":"no such route","reason":"NotFound"}'),
    http(404, b""),
    http(404, b'{"kind":"Status","reason":"NotFound"}'),
    http(302, b"", ("Location", "https://login.test/?back=1")),
    http(200, b"<html>Please log in</html>"),
    http(200, b"{}"),
    http(200, b"[]"),
    http(200, b'{"message":"hello"}'),
    http(200, b'{"kind":"DataVolumeList","metadata":{"resourceVersion":"1"}}'),
    http(200, b""),
    http(204, b""),
    http(410, b"gone"),
]


@pytest.mark.parametrize("answer", NOT_THERE, ids=map(str, range(len(NOT_THERE))))
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task[0])
def test_answer_of_another_server_never_means_not_found(server: Hostile, task: Any, answer: bytes) -> None:
    server.answer = lambda _number, _head: [answer]
    first = len(server.heads)
    ran = _run(server, task)
    assert ran.result.get("failed") and not ran.result.get("changed")
    assert "install CDI" not in ran.result["msg"] and ("Kubernetes API" in ran.result["msg"])
    # One request, and one that asks what the API serves; not one of them again.
    assert len(server.heads) - first <= (4 if "data_volumes" in task[1] else 2)
    assert not [head for head in server.heads[first:] if not head.startswith(b"GET")] or task[0] == "clone_permission"


def test_answer_after_an_early_hint_is_not_read_as_the_next_one(server: Hostile) -> None:
    """A server that says 103 first. The connection is kept open for long enough to be used again."""
    late = http(200, json.dumps({"kind": "DataVolumeList", "metadata": {"resourceVersion": "1"}, "items": []}).encode())
    server.answer = lambda _number, _head: [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + late, 1.0]
    connection = connect({"host": server.url, "api_key": TOKEN})
    first = len(server.heads)
    for _time in range(2):
        with pytest.raises(ApiError, match=r"is not a Kubernetes API: Early Hints \(HTTP 103\)"):
            connection.list(DATA_VOLUME)
    assert len(server.heads) - first == 2


@pytest.mark.parametrize("before", range(65536 - 24, 65536, 3))
def test_cut_text_contains_no_part_of_a_secret(server: Hostile, before: int) -> None:
    server.answer = lambda _number, _head: [http(500, b"x" * before + TOKEN.encode() + b"y" * 100)]
    message = _run(server, TASKS[0]).result["msg"]
    assert not [TOKEN[:size] for size in range(4, len(TOKEN)) if TOKEN[:size] in message]


def test_token_in_a_url_fragment_is_hidden(server: Hostile) -> None:
    server.answer = lambda _number, _head: [
        http(302, b"", ("Location", "https://login.test/a#access_token=unknown-token&state=1"))
    ]
    assert "redirects to https://login.test/a#*** (HTTP 302)" in _run(server, TASKS[0]).result["msg"]
    server.answer = lambda _number, _head: [
        http(500, b"see https://login.test/#id_token=unknown-token, or https://docs.test/page#section.")
    ]
    assert (
        ": see https://login.test/#***, or https://docs.test/page#section (HTTP 500)"
        in _run(server, TASKS[0]).result["msg"]
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_token_is_not_sent_to_a_redirect_target(server: Hostile, status: int) -> None:
    with hostile_server() as other:
        server.answer = lambda _number, _head: [http(status, b"", ("Location", f"{other.url}/login?x=1"))]
        message = _run(server, TASKS[0]).result["msg"]
        assert f"redirects to {other.url}/login?*** (HTTP {status}), and redirects are not followed" in message
        assert other.heads == []
