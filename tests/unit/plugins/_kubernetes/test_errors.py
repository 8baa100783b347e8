# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of an answer of the API server: one sentence with the remedy that is known."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import NotServed, target
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.refusals import api_error, not_served
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    DATA_VOLUME,
    POD,
    VOLUME_SNAPSHOT,
    Resource,
)


def _status(message: str = "", reason: str = "", **details: Any) -> bytes:
    return json.dumps({"kind": "Status", "message": message, "reason": reason, "details": details}).encode()


@pytest.mark.parametrize(
    ("resource", "code", "body", "said"),
    [
        (DATA_VOLUME, 422, _status("spec.x: Invalid\n value."), "spec.x: Invalid value (HTTP 422)."),
        (
            DATA_VOLUME,
            401,
            _status("Unauthorized"),
            "Unauthorized (HTTP 401); the API server rejected the credentials, which may have expired: ",
        ),
        (
            DATA_VOLUME,
            400,
            b"Client sent an HTTP request to an HTTPS server.\n",
            "HTTPS server (HTTP 400); write host, or server in the kubeconfig, as https://.",
        ),
        (
            DATA_VOLUME,
            403,
            _status(
                'users "bob" is forbidden: User "ann" cannot impersonate resource "users" '
                'in API group "" at the cluster scope',
                "Forbidden",
            ),
            'grant the verb "impersonate" on it to the user that connects, or leave out impersonate_user.',
        ),
        (DATA_VOLUME, 500, b"<html><title>Bad\nGateway</title>" + b"x" * 3000, "Bad Gateway (HTTP 500)."),
        (DATA_VOLUME, 500, b"<html>not\nJSON</html>", "Internal Server Error (HTTP 500)."),
        (DATA_VOLUME, 500, b"\x1b[31mred\x00" + b"x" * 3000, f"[31mred {'x' * 92} ... {'x' * 100} (HTTP 500)."),
        (DATA_VOLUME, 502, b"[1]", "[1] (HTTP 502)."),
        (DATA_VOLUME, 503, b"", "Service Unavailable (HTTP 503)."),
        (
            DATA_VOLUME,
            403,
            _status('User "me" cannot create resource', "Forbidden", name="disk"),
            '(HTTP 403); grant the verb "create" on datavolumes.cdi.kubevirt.io.',
        ),
        (POD, 403, _status('User "me" cannot create resource', "Forbidden"), 'grant the verb "create" on pods.'),
        (
            DATA_VOLUME,
            403,
            _status("exceeded quota: small", "Forbidden", name="disk"),
            "raise the namespace's quota, or delete what is no longer needed.",
        ),
        (DATA_VOLUME, 409, _status("the object has been modified", "Conflict", name="disk"), "run the task again, or "),
        (
            DATA_VOLUME,
            404,
            _status("not found", "NotFound", name="demo", kind="namespaces"),
            "namespace 'demo' does not exist; create it first, or correct its name.",
        ),
        (DATA_VOLUME, 404, _status("not found", "NotFound", name="disk"), "not found (HTTP 404)."),
        (POD, 404, b"404 page not found", "404 page not found (HTTP 404)."),
    ],
)
def test_refusal_is_one_sentence_with_a_remedy(resource: Resource, code: int, body: bytes, said: str) -> None:
    error = api_error("create", resource, "demo", "disk", code, body)
    assert str(error).startswith(f"Cannot create {resource.kind} demo/disk: ") and said in str(error)
    assert "\n" not in str(error) and str(error).endswith(".")
    assert error.code == code and not isinstance(error, NotServed)


@pytest.mark.parametrize(
    ("resource", "remedy"),
    [(DATA_VOLUME, "install CDI first (module kubevirt.cdi.cdi)"), (VOLUME_SNAPSHOT, "install its CRD first")],
)
def test_unserved_kind_is_reported_with_what_to_install(resource: Resource, remedy: str) -> None:
    error = not_served("list", resource, None, None)
    assert str(error).endswith(f"the cluster does not serve {resource.plural}.{resource.group}; {remedy}.")


def test_conflict_names_managers_and_fields() -> None:
    causes = [
        {"message": 'conflict with "kubectl"', "field": ".spec.config.preallocation"},
        {"message": 'conflict with "argocd" using cdi.kubevirt.io/v1beta1', "field": ".spec.infra"},
    ]
    error = api_error("apply", CDI, None, "cdi", 409, _status("Apply failed", "Conflict", causes=causes))
    assert str(error) == (
        "Cannot apply CDI cdi: argocd using cdi.kubevirt.io/v1beta1, kubectl already manages "
        "spec.config.preallocation, spec.infra with a different value; change it there, leave it out here, "
        "or take it over with force_conflicts=true."
    )


@pytest.mark.parametrize(
    ("namespace", "name", "said"),
    [
        ("demo", "disk", "DataVolume demo/disk"),
        (None, "disk", "DataVolume disk"),
        ("demo", None, "DataVolume objects in namespace demo"),
        (None, None, "DataVolume objects"),
    ],
)
def test_target_names_kind_namespace_and_name(namespace: str | None, name: str | None, said: str) -> None:
    assert target(DATA_VOLUME, namespace, name) == said


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "path"),
    [
        (DATA_VOLUME, "demo", "disk", "/apis/cdi.kubevirt.io/v1beta1/namespaces/demo/datavolumes/disk"),
        (DATA_VOLUME, None, None, "/apis/cdi.kubevirt.io/v1beta1/datavolumes"),
        (POD, "demo", None, "/api/v1/namespaces/demo/pods"),
        (CDI, "demo", "cdi", "/apis/cdi.kubevirt.io/v1beta1/cdis/cdi"),
        (POD, "../secrets", "a/b?c", "/api/v1/namespaces/..%2Fsecrets/pods/a%2Fb%3Fc"),
    ],
)
def test_name_cannot_escape_its_path(resource: Resource, namespace: str | None, name: str | None, path: str) -> None:
    assert resource.path(namespace, name) == path
