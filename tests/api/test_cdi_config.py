# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cdi_config. CDI does not run here: tests write into CDIConfig what CDI would write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.fields import field_name
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.config import CONFIG_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    CUSTOM_RESOURCE_DEFINITION,
    STORAGE_CLASS,
)

from tests.api.objects import body, fetch
from tests.modules import RunModule
from tests.wire import Wire

SECRET_PROXY = "http://user:very-secret@proxy.example.com:3128"


@pytest.fixture
def cdi(no_cdi: Connection) -> Connection:
    """A CDI object and its CDIConfig."""
    for resource, name in ((CDI, "cdi"), (CDI_CONFIG, "config")):
        no_cdi.create(resource, body(resource, name, spec={}), dry_run=False)
    return no_cdi


def _spec(cdi: Connection) -> dict[str, Any]:
    return dict(fetch(cdi, CDI, "cdi")["spec"].get("config") or {})


def test_each_field_of_the_configuration_has_an_option(no_cdi: Connection) -> None:
    definition = fetch(no_cdi, CUSTOM_RESOURCE_DEFINITION, "cdis.cdi.kubevirt.io")
    (schema,) = [
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["config"]
        for version in definition["spec"]["versions"]
        if version["name"] == "v1beta1"
    ]
    assert _same_names(CONFIG_OPTIONS, schema, "config") > 20


# A field of a newer release than this one; and empty objects beside `type`, which has the same meaning.
_NEWER, _MARKERS = {"webhookPvcRendering"}, {"old", "intermediate", "modern"}


def _same_names(options: dict[str, Any], schema: dict[str, Any], where: str) -> int:
    """Compare names and types on each level; return the number of fields."""
    known = {field_name(option): spec for option, spec in options.items()}
    assert known.keys() - _NEWER == schema["properties"].keys() - _MARKERS, where
    count = len(known)
    types = {"string": "str", "boolean": "bool", "integer": "int", "object": "dict", "array": "list"}
    for name, below in schema["properties"].items():
        if name not in known:
            continue
        spec = known[name]
        assert spec["type"] == types[below["type"]], name
        # A list of references to Secrets is a list of their names.
        nested = below.get("items", below) if name != "imagePullSecrets" else {}
        if "properties" in nested:
            count += _same_names(spec["options"], nested, name)
        if set(below.get("enum", ())):
            assert set(spec["choices"]) == set(below["enum"]), name
    return count


def test_check_mode_predicts_without_writing(wire: Wire, module: RunModule, cdi: Connection) -> None:
    options: dict[str, Any] = {
        "preallocation": True,
        "feature_gates": ["A"],
        "tls_security_profile": {"type": "Modern"},
        "wait": False,
    }
    predicted = module("cdi_config", check=True, **options).result
    assert wire.writes() == [] and predicted["changed"]
    real = module("cdi_config", **options).result
    assert (real["changed"], real["diff"]) == (True, predicted["diff"])
    assert _spec(cdi) == {"preallocation": True, "featureGates": ["A"], "tlsSecurityProfile": {"type": "Modern"}}


def test_unchanged_configuration_takes_two_requests(wire: Wire, module: RunModule, cdi: Connection) -> None:
    options: dict[str, Any] = {"preallocation": True, "feature_gates": ["A"], "clone_strategy_override": "copy"}
    module("cdi_config", **options, wait=False)
    effective = {"spec": _spec(cdi), "status": {"preallocation": True}}
    cdi.merge(CDI_CONFIG, "config", None, effective, dry_run=False)
    wire.requests.clear()
    assert not module("cdi_config", **options).result["changed"]
    assert [method for method, _path in wire.requests] == ["GET", "GET"]


def test_change_takes_one_write(wire: Wire, module: RunModule, cdi: Connection) -> None:
    module("cdi_config", preallocation=True, wait=False)
    assert len(wire.writes()) == 1 and wire.writes()[0][0] == "PATCH"


def test_each_setting_can_be_set_and_removed(module: RunModule, cdi: Connection, storage_class: str) -> None:
    given: dict[str, Any] = {
        "feature_gates": ["A", "B"],
        "filesystem_overhead": {"global": "0.1"},
        "image_pull_secrets": ["a"],
        "import_proxy": {"no_proxy": "a"},
        "insecure_registries": ["r:5000"],
        "pod_resource_requirements": {"limits": {"cpu": 1}},
        "scratch_space_storage_class": storage_class,
        "tls_security_profile": {"type": "Old"},
        "upload_proxy_url_override": "https://u",
    }
    removal = {option: type(value)() for option, value in given.items()}
    for options, fields in ((given, {field_name(option) for option in given}), (removal, set())):
        assert module("cdi_config", **options, wait=False).result["changed"]
        assert _spec(cdi).keys() == fields
        assert not module("cdi_config", **options, wait=False).result["changed"]


def test_custom_tls_profile_is_removed_with_its_type(module: RunModule, cdi: Connection) -> None:
    custom = {"ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"], "min_tls_version": "VersionTLS12"}
    module("cdi_config", tls_security_profile={"type": "Custom", "custom": custom}, wait=False)
    assert _spec(cdi)["tlsSecurityProfile"]["custom"]["minTLSVersion"] == "VersionTLS12"
    module("cdi_config", tls_security_profile={"type": "Modern"}, wait=False)
    assert _spec(cdi)["tlsSecurityProfile"] == {"type": "Modern"}


def test_clone_strategy_override_can_be_removed(module: RunModule, cdi: Connection) -> None:
    module("cdi_config", clone_strategy_override="copy", wait=False)
    assert fetch(cdi, CDI, "cdi")["spec"]["cloneStrategyOverride"] == "copy"
    assert module("cdi_config", clone_strategy_override="", wait=False).result["changed"]
    assert "cloneStrategyOverride" not in fetch(cdi, CDI, "cdi")["spec"]


@pytest.fixture
def storage_class(no_cdi: Connection) -> Iterator[str]:
    no_cdi.create(STORAGE_CLASS, body(STORAGE_CLASS, "cdi-test", provisioner="example.com/none"), dry_run=False)
    yield "cdi-test"
    no_cdi.delete(STORAGE_CLASS, "cdi-test", dry_run=False)


@pytest.mark.usefixtures("cdi")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"scratch_space_storage_class": "nothing"},
            "Cannot set scratch_space_storage_class: storage class 'nothing' does not exist; available: ",
        ),
        (
            {"filesystem_overhead": {"storage_class": {"nothing": "0.1"}}},
            "Cannot set filesystem_overhead.storage_class: storage class 'nothing' does not exist",
        ),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_unknown_storage_class_is_refused_before_a_write(
    wire: Wire, module: RunModule, storage_class: str, options: dict[str, Any], expected: str, check: bool
) -> None:
    message = module("cdi_config", check=check, **options).refusal
    assert expected in message and "available: " in message and (storage_class in message)
    assert wire.writes() == []


def test_deleted_storage_class_is_reported_without_a_wait(module: RunModule, cdi: Connection) -> None:
    cdi.merge(CDI, "cdi", None, {"spec": {"config": {"scratchSpaceStorageClass": "gone"}}}, dry_run=False)
    assert "storage class 'gone' does not exist" in module("cdi_config", scratch_space_storage_class="gone").refusal


@pytest.mark.usefixtures("cdi")
@pytest.mark.parametrize("check", [False, True])
def test_option_of_a_newer_release_is_refused(wire: Wire, module: RunModule, cdi: Connection, check: bool) -> None:
    ran = module("cdi_config", check=check, webhook_pvc_rendering="Enabled", preallocation=True)
    assert "does not have webhookPvcRendering of option webhook_pvc_rendering" in ran.refusal
    assert _spec(cdi) == {}


@pytest.mark.usefixtures("cdi")
def test_requests_above_the_default_limits_are_refused(wire: Wire, module: RunModule) -> None:
    message = module("cdi_config", pod_resource_requirements={"requests": {"memory": "1Gi"}}).refusal
    assert "requests.memory is 1Gi, but the limit is 600M" in message
    assert wire.writes() == []


@pytest.mark.usefixtures("cdi")
def test_value_that_does_not_take_effect_is_reported(module: RunModule) -> None:
    # Not through the counting proxy, which delays the answer of a watch.
    direct: dict[str, Any] = {"host": None, "api_key": None, "kubeconfig": os.environ["KUBECONFIG"]}
    ran = module("cdi_config", **direct, preallocation=True, wait_timeout=6)
    message = ran.refusal
    assert "after 6 s this is not in effect: preallocation: requested True, in effect: not set" in message
    assert "CDI does not run" in message and ran.result["effective"]["preallocation"] is False


@pytest.mark.usefixtures("cdi")
def test_proxy_password_is_never_printed(module: RunModule, cdi: Connection) -> None:
    outputs = [
        module("cdi_config", import_proxy={"http_proxy": SECRET_PROXY}, wait=False).output,
        module("cdi_config", check=True, import_proxy={"http_proxy": "http://other.example.com"}).output,
        module("cdi_config", preallocation=True, wait=False).output,
        module("cdi_info").output,
    ]
    assert _spec(cdi)["importProxy"]["HTTPProxy"] == SECRET_PROXY
    assert all("very-secret" not in output for output in outputs)
    assert "proxy.example.com" in outputs[-1]


@pytest.mark.usefixtures("hyperconverged")
def test_configuration_of_hyperconverged_is_not_changed(wire: Wire, module: RunModule, cdi: Connection) -> None:
    options: dict[str, Any] = {"preallocation": True, "scratch_space_storage_class": "fast"}
    message = module("cdi_config", **options).refusal
    assert "belongs to HyperConverged default/the-owner" in message
    assert "spec.scratchSpaceStorageClass for config.scratchSpaceStorageClass" in message
    assert 'jsonpatch: [{"op": "add", "path": "/spec/config/preallocation", "value": true}]' in message
    assert "belongs to HyperConverged" in module("cdi_config", name="not-there", preallocation=True).refusal
    assert wire.writes() == []
    config = {"preallocation": True, "scratchSpaceStorageClass": "fast"}
    cdi.merge(CDI, "cdi", None, {"spec": {"config": config}}, dry_run=False)
    assert not module("cdi_config", **options, wait=False).result["changed"]


@pytest.mark.usefixtures("cdi")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"filesystem_overhead": {"global": "6%"}}, "filesystem_overhead.global is '6%'"),
        ({"upload_proxy_url_override": "no url"}, "upload_proxy_url_override is 'no url'"),
        ({"import_proxy": {"https_proxy": "somewhere:3128"}}, "import_proxy.https_proxy is not a URL"),
        ({"tls_security_profile": {"type": "Custom"}}, "set ciphers and min_tls_version"),
        ({"clone_strategy_override": "fast"}, "clone_strategy_override"),
    ],
)
def test_invalid_option_is_refused_before_a_request(
    wire: Wire, module: RunModule, options: dict[str, Any], expected: str
) -> None:
    assert expected in module("cdi_config", **options).refusal
    assert wire.requests == []


def test_check_mode_predicts_without_cdi(module: RunModule) -> None:
    predicted = module("cdi_config", check=True, preallocation=True).result
    assert predicted["changed"] and predicted["effective"] == {}
