# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Terms and options of lookup clone_method: where they come from, which are refused, and what a missing volume is."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import ansible.template
import pytest
from ansible.errors import AnsibleLookupError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.argspec import AUTH
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.clone_method import look_up

from tests.api.objects import ADMIN, LIMITED, HttpProxy
from tests.wire import Wire

SERVER = os.environ["KUBEVIRT_CDI_TEST_SERVER"]
CA = os.environ["KUBEVIRT_CDI_TEST_CA"]
LookUp = Callable[..., dict[str, Any]]


@pytest.fixture
def plugin() -> LookUp:
    """The lookup as a template of a play with these variables calls it, for one term."""

    def run(term: str, variables: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        variables = variables or {}
        templar = Templar(loader=DataLoader(), variables=variables)
        found = lookup_loader.get("kubevirt.cdi.clone_method", loader=None, templar=templar)
        (answer,) = found.run([term], variables, **options)
        return dict(answer)

    return run


@pytest.mark.parametrize("given", [None, {"user_agent": "me"}])
def test_environment_sets_the_headers_of_a_proxy(
    plugin: LookUp, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any] | None
) -> None:
    monkeypatch.setenv("K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH", "ann:pw")
    monkeypatch.setenv("K8S_AUTH_PROXY_HEADERS_USER_AGENT", "you")
    options = {"proxy_headers": given} if given else {}
    plugin("default/disk", host=SERVER, ca_cert=CA, api_key=ADMIN, proxy=f"http://{proxy.address}", **options)
    (head,) = proxy.heads
    assert f"user-agent: {'me' if given else 'you'}\r\n".encode() in head.lower()
    assert head.lower().count(b"authorization:") == head.lower().count(b"proxy-authorization:") == 1


def test_connection_variables_may_be_templates(plugin: LookUp, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("K8S_AUTH_KUBECONFIG", raising=False)
    # Before ansible-core 2.19, each text is a template.
    trusted = getattr(ansible.template, "trust_as_template", str)
    variables = {
        "kubevirt_cdi_host": trusted("http://{{ address }}"),
        "kubevirt_cdi_api_key": trusted("{{ key }}"),
        "kubevirt_cdi_impersonate_user": "ann",
        "kubevirt_cdi_impersonate_groups": [trusted("{{ group }}")],
        "address": wire.url.removeprefix("http://"),
        "key": ADMIN,
    }
    answer = plugin("default/disk", {**variables, "group": "system:masters"})
    assert (answer["host"], answer["reason"]) == (wire.url, "There is no such volume.")
    assert {token for *_request, token in wire.answered} == {ADMIN}
    assert "grant the verb" in plugin("default/disk", {**variables, "group": "nobodies"})["reason"]


def test_empty_environment_variable_is_not_set(plugin: LookUp, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable neither hides KUBECONFIG nor turns off the verification of certificates."""
    for name in ("HOST", "VALIDATE_CERTS", "KUBECONFIG", "PERSIST_CONFIG"):
        monkeypatch.setenv(f"K8S_AUTH_{name}", "")
    assert plugin("default/disk")["host"] == SERVER
    checked = ArgumentSpecValidator(AUTH.options).validate({})
    assert not checked.error_messages and checked.validated_parameters["validate_certs"] is None
    with pytest.raises(AnsibleLookupError, match=r"certificate .* is not valid"):
        plugin("default/disk", host=SERVER, api_key=ADMIN)
    monkeypatch.setenv("K8S_AUTH_VALIDATE_CERTS", "no")
    assert plugin("default/disk", host=SERVER, api_key=ADMIN)["host"] == SERVER


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("golden", "write namespace/name"),
        ("a/b/c", "write namespace/name"),
        (7, "write namespace/name"),
        ({"name": "x", "sorce": {}}, r"^Cannot look up volume 'x': unknown option 'sorce'; did you mean 'source'\?$"),
        (
            {"name": "x", "storage": {"sise": "1Gi"}},
            r"^Cannot look up volume 'x'.storage: unknown option 'sise'; did you mean 'size'\?$",
        ),
        (
            {"name": "x", "preallocation": "perhaps"},
            r"^Cannot look up volume 'x': .*preallocation.*; see the options of module kubevirt.cdi.data_volume\.$",
        ),
        ({"name": "x", "source": {"pvc": {"name": "golden"}}}, "neither storage nor pvc"),
    ],
)
def test_invalid_term_is_refused_before_a_request(wire: Wire, term: int | str | dict[str, Any], message: str) -> None:
    with pytest.raises(CdiError, match=message):
        look_up({"host": wire.url, "api_key": ADMIN}, [term])
    assert wire.requests == []


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (
            "{}/disk",
            "The volume '{}/disk' does not exist: there is neither a DataVolume nor a claim; "
            "correct its name, or create it.",
        ),
        ("no-such-namespace/disk", "Namespace 'no-such-namespace' does not exist; create it, or correct its name."),
    ],
)
def test_on_missing_makes_a_missing_volume_an_error_or_a_warning(
    wire: Wire, namespace: str, term: str, message: str
) -> None:
    params = {"host": wire.url, "api_key": ADMIN}
    warnings: list[str] = []
    terms, message = [term.format(namespace)], message.format(namespace)
    with pytest.raises(CdiError) as raised:
        look_up(params, terms, "error", warnings.append)
    assert str(raised.value) == message and warnings == []
    (answer,) = look_up(params, terms, "warn", warnings.append)
    assert warnings == [message] and not answer["exists"]
    (answer,) = look_up(params, terms, "skip", warnings.append)
    assert warnings == [message] and not answer["exists"] and answer["host"] == wire.url


def test_existence_of_a_forbidden_volume_is_unknown(wire: Wire, namespace: str) -> None:
    unknown = f"Whether the volume '{namespace}/disk' exists is unknown: "
    with pytest.raises(CdiError, match=f"{unknown}.*grant the verb"):
        look_up({"host": wire.url, "api_key": LIMITED}, [f"{namespace}/disk"], "error")


def test_plugin_raises_one_error_without_a_cause(plugin: LookUp, wire: Wire, namespace: str) -> None:
    with pytest.raises(AnsibleLookupError, match=r"^clone_method: The volume ") as raised:
        plugin(f"{namespace}/disk", host=wire.url, api_key=ADMIN, on_missing="error")
    assert raised.value.__cause__ is None and raised.value.__context__ is None


def test_certificate_that_is_not_verified_gives_a_warning() -> None:
    warnings: list[str] = []
    params = {"host": SERVER, "api_key": ADMIN, "validate_certs": False}
    look_up(params, ["default/none"], "skip", warnings.append)
    assert warnings == ["The API server's certificate is not verified: set validate_certs to true and give ca_cert."]
