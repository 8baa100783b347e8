# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requested configuration of module cdi_config, and whether it is in effect."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi import config as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError


def _params(**given: Any) -> dict[str, Any]:
    return {**dict.fromkeys(rules.SPEC.options), **given}


def _wanted(**given: Any) -> dict[str, Any]:
    return rules.wanted_spec(_params(**given))


def test_wanted_spec_has_only_given_options() -> None:
    assert _wanted() == {}
    assert _wanted(preallocation=False) == {"config": {"preallocation": False}}
    assert _wanted(clone_strategy_override="copy") == {"cloneStrategyOverride": "copy"}
    assert _wanted(image_pull_secrets=["a"]) == {"config": {"imagePullSecrets": [{"name": "a"}]}}
    assert _wanted(data_volume_ttl_seconds=-1) == {"config": {"dataVolumeTTLSeconds": -1}}
    proxy = {"http_proxy": "http://p", "no_proxy": "", "trusted_ca_proxy": None}
    assert _wanted(import_proxy=proxy) == {"config": {"importProxy": {"HTTPProxy": "http://p", "noProxy": None}}}
    assert _wanted(filesystem_overhead={"storage_class": {"fast": 0.1, "slow": ""}}) == {
        "config": {"filesystemOverhead": {"storageClass": {"fast": "0.1", "slow": None}}}
    }


@pytest.mark.parametrize(
    ("option", "empty", "field"),
    [
        ("scratch_space_storage_class", "", "scratchSpaceStorageClass"),
        ("feature_gates", [], "featureGates"),
        ("image_pull_secrets", [], "imagePullSecrets"),
        ("import_proxy", {"http_proxy": None, "trusted_ca_proxy": None}, "importProxy"),
        ("tls_security_profile", {"type": None, "custom": None}, "tlsSecurityProfile"),
        ("webhook_pvc_rendering", "", "webhookPvcRendering"),
    ],
)
def test_wanted_spec_removes_a_field_for_an_empty_value(option: str, empty: Any, field: str) -> None:
    assert _wanted(**{option: empty}) == {"config": {field: None}}
    assert _wanted(clone_strategy_override="") == {"cloneStrategyOverride": None}


def test_wanted_spec_removes_the_custom_profile_of_another_type() -> None:
    modern = {"type": "Modern", "old": None, "intermediate": None, "custom": None}
    assert _wanted(tls_security_profile={"type": "Modern"}) == {"config": {"tlsSecurityProfile": modern}}
    custom = {"ciphers": ["A"], "min_tls_version": "VersionTLS12"}
    assert _wanted(tls_security_profile={"type": "Custom", "custom": custom})["config"]["tlsSecurityProfile"] == {
        "type": "Custom",
        "custom": {"ciphers": ["A"], "minTLSVersion": "VersionTLS12"},
        "old": None,
        "intermediate": None,
        "modern": None,
    }


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"filesystem_overhead": {"global": "6%"}}, "filesystem_overhead.global is '6%'"),
        (
            {"filesystem_overhead": {"storage_class": {"fast": "0.0001"}}},
            "filesystem_overhead.storage_class.fast is '0.0001'",
        ),
        ({"filesystem_overhead": {"storage_class": {"fast": 1.5}}}, "filesystem_overhead.storage_class.fast is 1.5"),
        ({"import_proxy": {"http_proxy": "proxy:3128"}}, "import_proxy.http_proxy is not a URL"),
        ({"import_proxy": {"https_proxy": "http://[::1"}}, "import_proxy.https_proxy is not a URL"),
        ({"upload_proxy_url_override": "ftp://x"}, "upload_proxy_url_override is 'ftp://x'"),
        ({"upload_proxy_url_override": "https://a b"}, "upload_proxy_url_override is 'https://a b'"),
        ({"insecure_registries": ["docker://r"]}, "insecure_registries has 'docker://r'"),
        ({"insecure_registries": ["r/path"]}, "insecure_registries has 'r/path'"),
        ({"log_verbosity": -1}, "log_verbosity is -1"),
        ({"data_volume_ttl_seconds": -2}, "data_volume_ttl_seconds is -2"),
        ({"pod_resource_requirements": {"limits": {"gpu": 1}}}, "limits has gpu, which CDI ignores"),
        ({"pod_resource_requirements": {"requests": {"cpu": "much"}}}, "requests.cpu: 'much' is not a Kubernetes"),
        ({"tls_security_profile": {"type": "Custom"}}, "set ciphers and min_tls_version"),
        ({"tls_security_profile": {"type": "Old", "custom": {"ciphers": []}}}, "custom and type Old"),
    ],
)
def test_check_refuses_invalid_values(given: dict[str, Any], named: str) -> None:
    with pytest.raises(CdiError, match=named.replace("[", r"\[")):
        rules.check(_params(**given))


def test_check_hides_the_password_of_an_invalid_proxy() -> None:
    with pytest.raises(CdiError) as caught:
        rules.check(_params(import_proxy={"http_proxy": "user:very-secret@proxy"}))
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"filesystem_overhead": {"global": "", "storage_class": {"a": 0, "b": "1", "c": "0.055"}}},
        {"import_proxy": {"http_proxy": "http://user:pw@proxy:3128", "https_proxy": ""}},
        {"upload_proxy_url_override": "https://cdi.example.com:31001/path"},
        {"upload_proxy_url_override": "cdi.example.com"},
        {"insecure_registries": ["r", "r.example.com:5000", "[::1]:5000"]},
        {"pod_resource_requirements": {"limits": {"cpu": "", "memory": "1Gi"}}},
        {"tls_security_profile": {"type": "Custom", "custom": {"ciphers": ["A"], "min_tls_version": "VersionTLS12"}}},
        {"tls_security_profile": {"type": None, "custom": None}},
    ],
)
def test_check_accepts_valid_values(given: dict[str, Any]) -> None:
    rules.check(_params(**given))


def test_resources_are_refused_when_a_request_exceeds_its_limit() -> None:
    rules.refuse_impossible_resources({})
    rules.refuse_impossible_resources({"podResourceRequirements": {"requests": {"cpu": "750m"}}})
    both = {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}
    rules.refuse_impossible_resources({"podResourceRequirements": both})
    with pytest.raises(CdiError, match=r"requests.memory is 1Gi, but the limit is 600M.*set limits.memory"):
        rules.refuse_impossible_resources({"podResourceRequirements": {"requests": {"memory": "1Gi"}}})
    with pytest.raises(CdiError, match=r"requests\.cpu is 100m, but the limit is 50m"):
        rules.refuse_impossible_resources({"podResourceRequirements": {"limits": {"cpu": "50m"}}})


def test_named_classes_have_the_option_that_names_them() -> None:
    given = _params(
        scratch_space_storage_class="fast", filesystem_overhead={"storage_class": {"slow": "0.1", "gone": ""}}
    )
    assert rules.named_classes(given) == {
        "slow": "filesystem_overhead.storage_class",
        "fast": "scratch_space_storage_class",
    }
    assert rules.named_classes(_params()) == {}


def test_ineffective_options_are_reported() -> None:
    assert "since CDI 1.62" in rules.ineffective_options(_params(data_volume_ttl_seconds=0), "v1.62.0")[0]
    assert rules.ineffective_options(_params(data_volume_ttl_seconds=0), "v1.61.1") == []
    claims = {"claims": [{"name": "a"}]}
    assert "claims has no effect" in rules.ineffective_options(_params(pod_resource_requirements=claims), "v1.65.0")[0]
    assert rules.ineffective_options(_params(), "") == []


def _config(spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"spec": spec, "status": status}


def test_a_value_is_in_effect_when_spec_and_status_have_it() -> None:
    asked = {"preallocation": True, "scratchSpaceStorageClass": "fast", "featureGates": ["A"]}
    done = _config(asked, preallocation=True, scratchSpaceStorageClass="fast")
    assert rules.not_in_effect({"config": asked}, done) == []
    ignored = _config(asked, preallocation=True)
    assert rules.not_in_effect({"config": asked}, ignored) == [
        "scratch_space_storage_class: requested 'fast', in effect: not set"
    ]
    late = _config(asked, scratchSpaceStorageClass="fast")
    assert rules.not_in_effect({"config": asked}, late) == ["preallocation: requested True, in effect: False"]
    frozen = _config({}, preallocation=True, scratchSpaceStorageClass="fast")
    assert len(rules.not_in_effect({"config": asked}, frozen)) == 3


def test_a_removed_value_may_have_a_default_of_cdi() -> None:
    removed = {"config": {"uploadProxyURLOverride": None, "filesystemOverhead": {"global": None}, "importProxy": None}}
    status = {"uploadProxyURL": "x", "filesystemOverhead": {"global": "0.06"}, "importProxy": {"HTTPProxy": ""}}
    found = _config({}, **status)
    assert rules.not_in_effect(removed, found) == []
    stays = _config({}, scratchSpaceStorageClass="x")
    assert rules.not_in_effect({"config": {"scratchSpaceStorageClass": None}}, stays)
    assert rules.not_in_effect({"config": {"preallocation": False}}, _config({"preallocation": False})) == []


def test_resource_claims_are_not_expected_in_the_status() -> None:
    asked = {"podResourceRequirements": {"limits": {"cpu": "1"}, "claims": [{"name": "a"}]}}
    done = _config(asked, defaultPodResourceRequirements={"limits": {"cpu": "1000m", "memory": "600M"}})
    assert rules.not_in_effect({"config": asked}, done) == []


def test_option_of_finds_each_option_by_its_field() -> None:
    assert rules.option_of("uploadProxyURLOverride") == "upload_proxy_url_override"
    assert rules.option_of("unknown") == "unknown"


def test_not_in_effect_hides_the_credentials_of_a_proxy() -> None:
    expected = rules.effective_config({"status": {"importProxy": {"HTTPProxy": "http://user:p@w@proxy"}}})
    assert expected["import_proxy"] == {"HTTPProxy": "http://***@proxy"}
    assert rules.effective_config(None)["preallocation"] is False
    old, new = ({"importProxy": {"HTTPProxy": f"http://user:{word}@proxy"}} for word in ("old", "new"))
    (line,) = rules.not_in_effect({"config": new}, _config(old, **old))
    assert line == (
        "import_proxy: requested {'HTTPProxy': 'http://***@proxy (redacted parts differ)'}, "
        "in effect: {'HTTPProxy': 'http://***@proxy'}"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"upload_proxy_url_override": "ann:s3cret@proxy:x"}, "is '***@proxy:x'"),
        ({"insecure_registries": ["https://ann:s3cret@registry"]}, "has 'https://***@registry'"),
    ],
)
def test_check_hides_credentials_in_an_invalid_url(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(CdiError) as raised:
        rules.check(_params(**options))
    assert expected in str(raised.value) and "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("gate", "meant"),
    [
        ("HonorWaitForFirstConsumr", "HonorWaitForFirstConsumer"),
        ("honorwaitforfirstconsumer", "HonorWaitForFirstConsumer"),
        ("DataVolumeClaimAdoptions", "DataVolumeClaimAdoption"),
        ("WebhookPVCRendering", "WebhookPvcRendering"),
    ],
)
def test_a_misspelled_gate_is_refused_with_a_suggestion(gate: str, meant: str) -> None:
    with pytest.raises(CdiError, match=f"feature_gates has '{gate}', which CDI does not know; did you mean '{meant}'"):
        rules.unknown_gates([gate], "v1.65.0")


def test_an_unknown_gate_is_a_warning() -> None:
    (expected,) = rules.unknown_gates(["HonorWaitForFirstConsumer", "SomethingNew"], "v1.65.0")
    assert expected.startswith("feature_gates has 'SomethingNew': CDI v1.65.0 ignores")
    assert rules.unknown_gates(rules.FEATURE_GATES, "") == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(["B"], "feature_gates replaces all feature gates: A is removed; add it"), (["A", "B"], ""), ([], ""), (None, "")],
)
def test_gates_that_a_list_removes_are_a_warning(asked: list[str] | None, expected: str) -> None:
    wanted = _wanted(feature_gates=asked) if asked is not None else {}
    assert rules.removed_gates(wanted, {"config": {"featureGates": ["A"]}}).startswith(expected)
    assert bool(expected) == bool(rules.removed_gates(wanted, {"config": {"featureGates": ["A"]}}))
