# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a write is needed, and what a diff shows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.compare import (
    diff_of,
    difference,
    differs,
    for_result,
    keep_stored_spelling,
    normalise,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.managed_fields import owns_unrequested
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.server_side_apply import relinquish_patch


@pytest.mark.parametrize(
    ("desired", "stored", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {"b": 2}, True),
        ({"a": {}}, {}, False),
        ({"a": None}, {}, False),
        ({"a": []}, {}, False),
        ({"a": False}, {}, True),
        ({"a": True}, {"a": 1}, True),
        ({"a": ["x"]}, {"a": ["x", "y"]}, True),
        ({"a": [{"n": 1}]}, {"a": [{"n": 1, "default": 2}]}, False),
        ({"source": {"blank": {}}}, {"source": {"upload": {}}}, True),
        ({"requests": {"storage": "1Gi"}}, {"requests": {"storage": "1024Mi"}}, False),
        ({"requests": {"storage": "1Gi"}}, {"requests": {"storage": "2Gi"}}, True),
        ({"labels": {"version": "1.10"}}, {"labels": {"version": "1.1"}}, True),
        ({"labels": {"size": "1Gi"}}, {"labels": {"size": "1024Mi"}}, True),
        ({"requests": {"storage": "much"}}, {"requests": {"storage": "much"}}, False),
    ],
)
def test_only_what_is_asked_for_is_compared(desired: Any, stored: Any, expected: bool) -> None:
    assert differs(desired, stored) is expected


def test_what_the_server_keeps_for_itself_has_no_meaning() -> None:
    stored = {
        "metadata": {"name": "a", "uid": "1", "resourceVersion": "2", "managedFields": [1]},
        "status": {"phase": "x"},
    }
    assert normalise(stored) == {"metadata": {"name": "a"}}


def _entries(fields: Any, manager: str = "kubevirt.cdi", operation: str = "Apply") -> list[dict[str, Any]]:
    return [{"manager": manager, "operation": operation, "fieldsV1": fields}]


def _stored(fields: dict[str, Any], **manager: str) -> dict[str, Any]:
    return {"metadata": {"managedFields": _entries(fields, **manager)}}


def _key(**keys: str) -> str:
    return "k:" + json.dumps(keys)


@pytest.mark.parametrize(
    ("fields", "desired", "expected"),
    [
        ({"f:spec": {"f:a": {}}}, {"spec": {"a": 1}}, False),
        ({"f:spec": {"f:a": {}, "f:b": {}}}, {"spec": {"a": 1}}, True),
        ({"f:spec": {".": {}, _key(name="x"): {"f:name": {}}}}, {"spec": [{"name": "x"}]}, False),
        ({"f:spec": {_key(name="y"): {}}}, {"spec": [{"name": "x"}]}, True),
        ({"f:finalizers": {'v:"a"': {}}}, {"finalizers": ["a"]}, False),
        ({"f:finalizers": {'v:"b"': {}}}, {"finalizers": ["a"]}, True),
    ],
)
def test_a_field_that_we_applied_and_no_longer_want_needs_a_write(fields: Any, desired: Any, expected: bool) -> None:
    assert owns_unrequested(_stored(fields), desired) is expected


@pytest.mark.parametrize(
    ("spec", "desired", "expected"),
    [({"a": ["x"]}, {"a": []}, True), ({"a": []}, {"a": []}, False), ({}, {"a": []}, False)],
)
def test_a_list_that_we_applied_and_want_empty_needs_a_write(spec: Any, desired: Any, expected: bool) -> None:
    assert owns_unrequested({**_stored({"f:spec": {"f:a": {}}}), "spec": spec}, {"spec": desired}) is expected


@pytest.mark.parametrize(
    ("ours", "theirs", "desired", "expected"),
    [
        ({"f:a": {"f:x": {}}}, {}, {"a": {}}, {"a": {"x": None}}),
        ({"f:a": {"f:x": {}}}, {}, {}, {"a": {"x": None}}),
        ({"f:a": {"f:x": {}}}, {"f:a": {}}, {}, {"a": {"x": None}}),
        ({"f:a": {"f:x": {}}}, {"f:a": {".": {}, "f:y": {}}}, {}, {"a": {"x": None}}),
        ({"f:a": {"f:x": {}}}, {"f:a": {"f:x": {}}}, {}, {}),
        ({"f:a": {"f:x": {}}}, {}, {"a": {"x": 2}}, {}),
        ({"f:a": {}}, {"f:a": {"f:x": {}}}, {}, {}),
        ({"f:list": {}}, {}, {}, {"list": None}),
        ({"f:list": {_key(name="n"): {"f:name": {}}}}, {}, {}, {}),
        ({"f:gone": {}}, {}, {}, {}),
    ],
)
def test_only_what_is_ours_alone_and_unasked_is_given_up(ours: Any, theirs: Any, desired: Any, expected: Any) -> None:
    entries = [*_entries({"f:spec": theirs}, manager="cdi-operator"), *_entries({"f:spec": ours})]
    stored = {"metadata": {"managedFields": entries}, "spec": {"a": {"x": 1, "y": 2}, "list": [{"name": "n"}]}}
    assert relinquish_patch(stored, {"spec": desired}) == ({"spec": expected} if expected else {})


def test_fields_of_others_are_theirs() -> None:
    assert not owns_unrequested(_stored({"f:spec": {}}, manager="argocd"), {})
    assert not owns_unrequested(_stored({"f:spec": {}}, operation="Update"), {})
    assert not relinquish_patch({**_stored({"f:spec": {}}, operation="Update"), "spec": {}}, {})


def test_a_diff_has_only_what_is_not_the_same() -> None:
    before = {"a": {"x": 1, "y": 2}, "gone": 3, "same": 4}
    after = {"a": {"x": 1, "y": 5}, "new": 6, "same": 4}
    assert difference(before, after) == {"before": {"a": {"y": 2}, "gone": 3}, "after": {"a": {"y": 5}, "new": 6}}


def test_a_diff_of_something_new_is_all_of_it() -> None:
    assert difference({}, {"a": 1}) == {"before": {}, "after": {"a": 1}}


@pytest.mark.parametrize("function", [normalise, for_result])
def test_clone_tokens_of_cdi_are_in_no_result_and_no_diff(function: Any) -> None:
    annotations = {f"cdi.kubevirt.io/storage.{kind}.token": "s3cret" for kind in ("clone", "extended.clone")}
    stored = {"metadata": {"name": "disk", "annotations": {**annotations, "mine": "stays"}}}
    assert function(stored) == {"metadata": {"name": "disk", "annotations": {"mine": "stays"}}}


@pytest.mark.parametrize(
    ("desired", "stored", "expected"),
    [
        ({"requests": {"storage": "1024Mi"}}, {"requests": {"storage": "1Gi"}}, {"requests": {"storage": "1Gi"}}),
        ({"requests": {"storage": "2Gi"}}, {"requests": {"storage": "1Gi"}}, {"requests": {"storage": "2Gi"}}),
        ({"requests": {"storage": "2Gi"}}, {}, {"requests": {"storage": "2Gi"}}),
        ({"limits": {"cpu": "500m", "memory": 1}}, {"limits": {"cpu": "0.5"}}, {"limits": {"cpu": "0.5", "memory": 1}}),
        ([{"limits": {"cpu": 1}}], [{"limits": {"cpu": "1"}}], [{"limits": {"cpu": "1"}}]),
        ([{"limits": {"cpu": 1}}], [], [{"limits": {"cpu": 1}}]),
        ({"labels": {"size": "1024Mi"}}, {"labels": {"size": "1Gi"}}, {"labels": {"size": "1024Mi"}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": {"b": 1}}),
    ],
)
def test_a_quantity_that_is_stored_in_other_words_is_sent_in_those(desired: Any, stored: Any, expected: Any) -> None:
    assert keep_stored_spelling(desired, stored) == expected


def test_headers_are_in_no_result_and_no_diff() -> None:
    stored = {"metadata": {"name": "disk"}, "spec": {"source": {"http": {"extraHeaders": ["A: s3cret", "B: s3cret"]}}}}
    assert for_result(stored)["spec"]["source"]["http"]["extraHeaders"] == ["VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"] * 2
    assert "s3cret" not in str(diff_of(stored, None)) + str(diff_of(None, stored))
    assert differs({"extraHeaders": ["A: other"]}, {"extraHeaders": ["A: s3cret"]})


def test_secrets_of_urls_are_in_no_result_and_no_diff_which_still_tells_that_they_differ() -> None:
    first, second = (
        {"metadata": {"name": "a"}, "spec": {"source": {"http": {"url": f"https://me:p@s3cret@host/a?{word}"}}}}
        for word in ("s3cret-1", "s3cret-2")
    )
    assert for_result(first)["spec"]["source"]["http"]["url"] == "https://***@host/a?***"
    assert differs(first, second)
    diff = diff_of(first, second)
    assert diff["before"]["spec"]["source"]["http"]["url"] == "https://***@host/a?***"
    assert diff["after"]["spec"]["source"]["http"]["url"] == "https://***@host/a?*** (redacted parts differ)"
    assert "s3cret" not in str([diff_of(first, None), diff_of(None, first), diff])


def test_nothing_is_shown_of_nothing() -> None:
    assert for_result(None) == {} and diff_of(None, None) == {"before": {}, "after": {}}
