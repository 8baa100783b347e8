# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cdi_config on the wire. CDI itself does not run here: what it would answer is put into CDIConfig."""

from __future__ import annotations

import os
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

SECRET_PROXY = "http://user:very-secret@proxy.example.com:3128"


@pytest.fixture
def cdi(no_cdi: Connection) -> Connection:
    """A CDI object and its CDIConfig."""
    for resource, name in ((CDI, "cdi"), (CDI_CONFIG, "config")):
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": {}}
        no_cdi.create(resource, body, dry_run=False)
    return no_cdi


def _spec(cdi: Connection) -> dict[str, Any]:
    return dict(cdi.get(CDI, "cdi")["spec"].get("config") or {})


def _refusal(ran: Any) -> str:
    assert ran.result.get("failed"), ran.result
    assert "Traceback" not in ran.output and "\n" not in ran.result["msg"]
    return str(ran.result["msg"])


def test_there_is_one_option_for_each_field_of_the_configuration(no_cdi: Connection) -> None:
    definition = no_cdi.get(CUSTOM_RESOURCE_DEFINITION, "cdis.cdi.kubevirt.io")
    (schema,) = [
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["config"]
        for version in definition["spec"]["versions"]
        if version["name"] == "v1beta1"
    ]
    assert _same_names(CONFIG_OPTIONS, schema, "config") > 20


# Of a newer release than the one here; and markers without content beside `type`, which says the same.
_NEWER, _MARKERS = {"webhookPvcRendering"}, {"old", "intermediate", "modern"}


def _same_names(options: dict[str, Any], schema: dict[str, Any], where: str) -> int:
    """Compare names and types all the way down; answers how many there were."""
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


def test_check_mode_predicts_and_writes_nothing(wire, module, cdi) -> None:
    options = {"preallocation": True, "feature_gates": ["A"], "tls_security_profile": {"type": "Modern"}, "wait": False}
    predicted = module("cdi_config", check=True, **options).result
    assert wire.writes() == [] and predicted["changed"]
    real = module("cdi_config", **options).result
    assert (real["changed"], real["diff"]) == (True, predicted["diff"])
    assert _spec(cdi) == {"preallocation": True, "featureGates": ["A"], "tlsSecurityProfile": {"type": "Modern"}}


def test_what_is_so_already_costs_two_requests(wire, module, cdi) -> None:
    options = {"preallocation": True, "feature_gates": ["A"], "clone_strategy_override": "copy"}
    module("cdi_config", **options, wait=False)
    effective = {"spec": _spec(cdi), "status": {"preallocation": True}}
    cdi.merge(CDI_CONFIG, "config", None, effective, dry_run=False)
    wire.requests.clear()
    assert not module("cdi_config", **options).result["changed"]
    assert [method for method, _path in wire.requests] == ["GET", "GET"]


def test_a_change_is_one_write(wire, module, cdi) -> None:
    module("cdi_config", preallocation=True, wait=False)
    assert len(wire.writes()) == 1 and wire.writes()[0][0] == "PATCH"


def test_every_setting_can_be_made_and_removed(module, cdi, storage_class) -> None:
    given = {
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


def test_a_custom_profile_goes_with_its_type(module, cdi) -> None:
    custom = {"ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"], "min_tls_version": "VersionTLS12"}
    module("cdi_config", tls_security_profile={"type": "Custom", "custom": custom}, wait=False)
    assert _spec(cdi)["tlsSecurityProfile"]["custom"]["minTLSVersion"] == "VersionTLS12"
    module("cdi_config", tls_security_profile={"type": "Modern"}, wait=False)
    assert _spec(cdi)["tlsSecurityProfile"] == {"type": "Modern"}


def test_the_clone_method_can_be_left_to_the_profiles_again(module, cdi) -> None:
    module("cdi_config", clone_strategy_override="copy", wait=False)
    assert cdi.get(CDI, "cdi")["spec"]["cloneStrategyOverride"] == "copy"
    assert module("cdi_config", clone_strategy_override="", wait=False).result["changed"]
    assert "cloneStrategyOverride" not in cdi.get(CDI, "cdi")["spec"]


@pytest.fixture
def storage_class(no_cdi: Connection) -> Any:
    body = {
        "apiVersion": STORAGE_CLASS.api_version,
        "kind": "StorageClass",
        "metadata": {"name": "cdi-test"},
        "provisioner": "example.com/none",
    }
    no_cdi.create(STORAGE_CLASS, body, dry_run=False)
    yield "cdi-test"
    no_cdi.delete(STORAGE_CLASS, "cdi-test", dry_run=False)


@pytest.mark.usefixtures("cdi")
@pytest.mark.parametrize(
    ("options", "named"),
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
def test_an_unknown_class_is_refused_before_the_write(wire, module, storage_class, options, named, check) -> None:
    message = _refusal(module("cdi_config", check=check, **options))
    assert named in message and "available: " in message and (storage_class in message)
    assert wire.writes() == []


def test_a_class_that_is_gone_is_told_at_once(module, cdi) -> None:
    cdi.merge(CDI, "cdi", None, {"spec": {"config": {"scratchSpaceStorageClass": "gone"}}}, dry_run=False)
    assert "storage class 'gone' does not exist" in _refusal(module("cdi_config", scratch_space_storage_class="gone"))


@pytest.mark.usefixtures("cdi")
@pytest.mark.parametrize("check", [False, True])
def test_an_option_of_a_newer_release_is_refused_and_not_pruned(wire, module, cdi, check) -> None:
    ran = module("cdi_config", check=check, webhook_pvc_rendering="Enabled", preallocation=True)
    assert "does not know webhookPvcRendering of option webhook_pvc_rendering" in _refusal(ran)
    assert _spec(cdi) == {}


@pytest.mark.usefixtures("cdi")
def test_workers_that_could_not_be_created_are_refused(wire, module) -> None:
    message = _refusal(module("cdi_config", pod_resource_requirements={"requests": {"memory": "1Gi"}}))
    assert "requests.memory is 1Gi and the limit 600M" in message
    assert wire.writes() == []


@pytest.mark.usefixtures("cdi")
def test_a_value_that_does_not_get_into_effect_is_told(module) -> None:
    # Not through the wire, which hands on no watch before its end.
    direct = {"host": None, "api_key": None, "kubeconfig": os.environ["KUBECONFIG"]}
    ran = module("cdi_config", **direct, preallocation=True, wait_timeout=1)
    message = _refusal(ran)
    assert "after 1 s this is not in effect: preallocation: requested True, in effect: not set" in message
    assert "CDI does not run" in message and ran.result["effective"]["preallocation"] is False


@pytest.mark.usefixtures("cdi")
def test_a_password_of_a_proxy_is_never_printed(module, cdi) -> None:
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
def test_hyperconverged_keeps_its_configuration(wire, module, cdi) -> None:
    options = {"preallocation": True, "scratch_space_storage_class": "fast"}
    message = _refusal(module("cdi_config", **options))
    assert "belongs to HyperConverged default/the-owner" in message
    assert "spec.scratchSpaceStorageClass for config.scratchSpaceStorageClass" in message
    assert 'jsonpatch: [{"op": "add", "path": "/spec/config/preallocation", "value": true}]' in message
    assert "belongs to HyperConverged" in _refusal(module("cdi_config", name="not-there", preallocation=True))
    assert wire.writes() == []
    asked = {"preallocation": True, "scratchSpaceStorageClass": "fast"}
    cdi.merge(CDI, "cdi", None, {"spec": {"config": asked}}, dry_run=False)
    assert not module("cdi_config", **options, wait=False).result["changed"]


@pytest.mark.usefixtures("cdi")
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"filesystem_overhead": {"global": "6%"}}, "filesystem_overhead.global is '6%'"),
        ({"upload_proxy_url_override": "no url"}, "upload_proxy_url_override is 'no url'"),
        ({"import_proxy": {"https_proxy": "somewhere:3128"}}, "import_proxy.https_proxy is no URL"),
        ({"tls_security_profile": {"type": "Custom"}}, "give its ciphers"),
        ({"clone_strategy_override": "fast"}, "clone_strategy_override"),
    ],
)
def test_bad_input_ends_before_any_request(wire, module, options, named) -> None:
    assert named in _refusal(module("cdi_config", **options))
    assert wire.requests == []


def test_without_cdi_check_mode_still_predicts(module) -> None:
    predicted = module("cdi_config", check=True, preallocation=True).result
    assert predicted["changed"] and predicted["effective"] == {}
