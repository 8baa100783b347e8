# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report escapes all facts and contains no credentials."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.plugin_utils import _report_view as view
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report import build, source_text

from tests.report_facts import TEMPLATE, cloned, facts, found, ill


class Elements(HTMLParser):
    """The elements of a page, and the values of attributes that load something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.loads: list[tuple[str, str | None]] = []
        self.handlers: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loads += [
            (tag, value) for name, value in attrs if name in ("src", "href", "action", "srcset", "background")
        ]
        self.handlers += [name for name, _value in attrs if name.startswith("on")]


def test_facts_are_escaped_in_the_page() -> None:
    """Kubernetes restricts names. Messages of servers, URLs, classes and settings can contain anything."""
    attack = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}{% raw %}</script>"
    harmless = Elements(view.page(build(facts(everything_is("text"), **everywhere("text"))), TEMPLATE))
    html = view.page(build(facts(everything_is(attack), **everywhere(attack))), TEMPLATE)
    attacked = Elements(html)
    # A text may be broken behind each of its slashes.
    assert [name for name in attacked.names if name != "wbr"] == [name for name in harmless.names if name != "wbr"]
    assert attacked.handlers == []
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
    assert "{{ 7 * 7 }}" in html


def everything_is(text: str) -> dict[str, Any]:
    volume = cloned(
        text,
        text,
        phase=text,
        progress=text,
        capacity=text,
        storage_class_name=text,
        diagnosis=ill(text),
        preallocation={"requested": True, "applied": False, "ignored": text},
        users={
            "in_use": True,
            "pods": [{"name": text, "machine": None}, {"name": text, "machine": text}],
            "virtual_machines": [{"name": text, "running": True}],
            "clones": [text],
        },
    )
    volume["namespace"] = text
    volume["data_volume"]["spec"]["source"] = {"http": {"url": text}}
    volume["data_volume"]["spec"]["storage"]["resources"]["requests"]["storage"] = text
    volume["scratch"].update(storage_class_name=text, size=text, problems=[text], left_over=text)
    return volume


def everywhere(text: str) -> dict[str, Any]:
    cdi = {**facts()["cdi"], "version": text, "asked": {text: text}, "effective": {text: text}}
    clone = {"name": text, "namespace": text, "method": "copy", "reason": text, "remedy": text}
    return {"cdi": cdi, "clones": [clone], "generated": text}


def test_the_page_loads_nothing() -> None:
    html = view.page(build(facts(found("a"))), TEMPLATE)
    # Links within the page load nothing.
    assert [(tag, value) for tag, value in Elements(html).loads if not str(value).startswith("#")] == []
    assert "url(" not in html and "@import" not in html and "http-equiv" not in html


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"source": {"blank": {}}}, "blank"),
        ({"source": {"upload": None}}, "upload"),
        ({"source": {"pvc": {"name": "g"}}}, "pvc images/g"),
        ({"source": {"snapshot": {"name": "s", "namespace": "other"}}}, "snapshot other/s"),
        ({"source": {"registry": {"imageStream": "stream"}}}, "registry stream"),
        ({"sourceRef": {"kind": "DataSource", "name": "fedora"}}, "DataSource images/fedora"),
        ({"storage": {}}, "external populator"),
        ({"source": {"s3": {"url": "https://bucket/disk?X-Amz-Signature=s3cret"}}}, "s3 https://bucket/disk?***"),
        ({"source": {"http": {"url": "https://me:s3cret@host/disk?token=s3cret"}}}, "https://***@host/disk?***"),
        ({"source": {"http": {"url": "http://u:p@s3cret@host"}}}, "http://***@host"),
    ],
)
def test_a_source_is_shown_without_credentials(spec: dict[str, Any], expected: str) -> None:
    assert source_text(spec, "images") == expected


def test_no_credential_of_a_proxy_or_an_error_reaches_the_report() -> None:
    cdi = facts()["cdi"]
    cdi["asked"] = {
        "importProxy": {"HTTPProxy": "http://me:s3cret@proxy:3128"},
        "insecureRegistries": ["x://u:s3cret@r"],
    }
    cdi["effective"]["import_proxy"] = {"HTTPProxy": "http://me:s3cret@proxy:3128", "noProxy": ""}
    results = {
        "config": {"changed": True, "config": {"config": {"importProxy": {"HTTPProxy": "http://me:s3cret@proxy"}}}}
    }
    volume = found("a", diagnosis=ill("GET https://me:p@s3cret@host/x?s3cret: 404"))
    report = build(facts(volume, cdi=cdi, results=results))
    assert "s3cret" not in json.dumps([report, view.lines(report)]) + view.page(report, TEMPLATE)
    assert "    problem: GET https://***@host/x?***: 404; correct the URL." in view.lines(report)
