# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Installs, upgrades and removes CDI."""

from __future__ import annotations

import hashlib
import time
import typing as t

from . import _cdi as rules
from ._apply import Change, ensure_absent, ensure_present, shown, write
from ._argspec import FORCE_CONFLICTS, ArgumentSpec, wait_spec
from ._connection import Connection, Object
from ._errors import ApiError, CdiError, NotServed
from ._fields import to_fields
from ._module import Task
from ._resources import API_SERVICE, CDI, CUSTOM_RESOURCE_DEFINITION, DATA_VOLUME, DEPLOYMENT, MANIFEST_KINDS
from ._wait import REACHED, WAITING, Verdict, poll_until, wait_for

_PLACEMENT: dict[str, t.Any] = {
    "node_selector": {"type": "dict"},
    "tolerations": {"type": "list", "elements": "dict"},
    "affinity": {"type": "dict"},
}
_CR_OPTIONS: dict[str, t.Any] = {
    "image_pull_policy": {"type": "str", "choices": ["Always", "IfNotPresent", "Never"]},
    "uninstall_strategy": {"type": "str", "choices": ["RemoveWorkloads", "BlockUninstallIfWorkloadsExist"]},
    "priority_class": {"type": "str"},
    "infra": {
        "type": "dict",
        "options": {
            **_PLACEMENT,
            "deployment_replicas": {"type": "int"},
            "api_server_replicas": {"type": "int"},
            "upload_proxy_replicas": {"type": "int"},
        },
    },
    "workload": {"type": "dict", "options": _PLACEMENT},
}
SPEC = (
    ArgumentSpec(
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "name": {"type": "str", "default": "cdi"},
            "version": {"type": "str"},
            "manifest": {"type": "str"},
            "checksum": {"type": "str"},
            "delete_data_volumes": {"type": "bool", "default": False},
            **_CR_OPTIONS,
        },
        required_one_of=[("version", "manifest")],
        mutually_exclusive=[("version", "manifest")],
    )
    + FORCE_CONFLICTS
    + wait_spec(300)
)


def check(params: dict[str, t.Any]) -> None:
    """Refuse what can be seen to be wrong without a cluster."""
    checksum = params["checksum"]
    if checksum and not checksum.startswith("sha256:"):
        raise CdiError(f"checksum is {checksum!r}; give sha256: and the 64 hexadecimal digits of the manifest.")


def run(task: Task) -> dict[str, t.Any]:
    source = task.params["manifest"] or rules.RELEASE_URL.format(version=task.params["version"])
    objects = rules.manifest_objects(_load(source, task.params["checksum"]), source)
    return (_install if task.params["state"] == "present" else _remove)(task, objects)


def _load(source: str, checksum: str | None) -> list[t.Any]:
    """The documents of a manifest at a path or URL."""
    import yaml
    from ansible.module_utils.urls import open_url

    try:
        if "://" in source:
            content = open_url(source, timeout=60).read()
        else:
            with open(source, "rb") as stream:
                content = stream.read()
    except (OSError, ValueError) as exc:
        raise CdiError(f"manifest {source} cannot be read ({exc}); give the path or URL of a release's cdi-operator.yaml.") from exc
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    if checksum and digest != checksum.lower():
        raise CdiError(f"manifest {source} has the checksum {digest} and not {checksum}; nothing was written.")
    try:
        return list(yaml.safe_load_all(content))
    except yaml.YAMLError as exc:
        raise CdiError(f"manifest {source} is no YAML ({' '.join(str(exc).split())}).") from exc


def _stored_cdi(connection: Connection, name: str) -> Object | None:
    try:
        return connection.get(CDI, name)
    except NotServed:
        return None


def _install(task: Task, objects: list[Object]) -> dict[str, t.Any]:
    connection, params = task.connection, task.params
    deadline = time.monotonic() + params["wait_timeout"]
    wanted = rules.operator_version(rules.operator_deployment(objects))
    before = _stored_cdi(connection, params["name"])
    installed = ((before or {}).get("status") or {}).get("observedVersion", "")
    rules.refuse_downgrade(installed, wanted)
    changes = {}
    for desired in objects:
        changes[_title(desired)] = _ensure_manifest_object(task, desired)
    if not task.check_mode:
        _wait_established(connection, deadline)
    changes[f"CDI {params['name']}"] = _ensure_cdi(task)
    stored = changes[f"CDI {params['name']}"].object
    if params["wait"] and not task.check_mode:
        namespace = rules.operator_deployment(objects)["metadata"]["namespace"]
        stored = _wait_ready(connection, params["name"], namespace, wanted, deadline, params["wait_timeout"])
    return {
        "changed": any(change.changed for change in changes.values()),
        "changed_objects": [title for title, change in changes.items() if change.changed],
        "cdi": shown(stored),
        "version": {"from": installed or None, "to": wanted},
        "diff": [{"before_header": title, "after_header": title, **change.diff} for title, change in changes.items() if change.changed],
    }


def _ensure_manifest_object(task: Task, desired: Object) -> Change:
    resource = MANIFEST_KINDS[desired["kind"]]
    if desired["kind"] != "CustomResourceDefinition":
        return ensure_present(task.connection, resource, desired, check_mode=task.check_mode, force=task.params["force_conflicts"])
    # The operator edits its own CRD: it is the one other manager that is not asked.
    stored = task.connection.get(resource, desired["metadata"]["name"])
    return write(task.connection, resource, rules.without_removed_version(desired, stored), stored, check_mode=task.check_mode, force=True)


def _ensure_cdi(task: Task) -> Change:
    """The CDI object without `spec.config`, which is cdi_config's; a new one starts with the release's feature gates."""
    desired = {"metadata": {"name": task.params["name"]}, "spec": to_fields(task.params, _CR_OPTIONS)}
    change = ensure_present(task.connection, CDI, desired, check_mode=task.check_mode, force=task.params["force_conflicts"])
    if not change.existed and not task.check_mode:
        gates = {"spec": {"config": {"featureGates": rules.FIRST_FEATURE_GATES}}}
        task.connection.merge(CDI, task.params["name"], None, gates, dry_run=False)
    return change


def _wait_established(connection: Connection, deadline: float) -> None:
    def established() -> Verdict:
        stored = connection.get(CUSTOM_RESOURCE_DEFINITION, rules.CUSTOM_RESOURCE_DEFINITION_NAME)
        return rules.judge_condition(stored, "Established")

    verdict = poll_until(established, deadline)
    if verdict.state != REACHED:
        raise CdiError(f"The CRD {rules.CUSTOM_RESOURCE_DEFINITION_NAME} is not served: {verdict.reason}.")


def _wait_ready(connection: Connection, name: str, namespace: str, version: str, deadline: float, timeout: int) -> Object:
    """Until CDI of this release works, as far as a DataVolume can be created; returns the CDI object."""

    def operator() -> Verdict:
        return rules.judge_deployment(connection.get(DEPLOYMENT, rules.OPERATOR, namespace))

    def upload_api() -> Verdict:
        return rules.judge_condition(connection.get(API_SERVICE, "v1beta1.upload.cdi.kubevirt.io"), "Available")

    def webhook() -> Verdict:
        body = {
            "apiVersion": DATA_VOLUME.api_version,
            "kind": DATA_VOLUME.kind,
            "metadata": {"generateName": "ready-", "namespace": namespace},
            "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Mi"}}}},
        }
        try:
            connection.create(DATA_VOLUME, body, namespace, dry_run=True)
        except ApiError as exc:
            return Verdict(WAITING, str(exc))
        return Verdict(REACHED)

    def failed(what: str, reason: str) -> CdiError:
        return CdiError(
            f"CDI {version} is not ready after {timeout} s: {what}: {reason}. See the pods in namespace {namespace}, or give a longer wait_timeout.",
            version={"to": version},
        )

    verdict = poll_until(operator, deadline)
    if verdict.state != REACHED:
        raise failed(f"Deployment {namespace}/{rules.OPERATOR}", verdict.reason)
    outcome = wait_for(connection, CDI, None, [name], lambda _name, stored: rules.judge_cdi(stored, version), deadline)[name]
    if outcome.verdict.state != REACHED:
        raise failed(f"CDI {name}", outcome.verdict.reason)
    for what, probe in (("the upload API", upload_api), ("the webhook for DataVolumes", webhook)):
        verdict = poll_until(probe, deadline)
        if verdict.state != REACHED:
            raise failed(what, verdict.reason)
    return t.cast(Object, outcome.object)


def _remove(task: Task, objects: list[Object]) -> dict[str, t.Any]:
    connection, params = task.connection, task.params
    deadline = time.monotonic() + params["wait_timeout"]
    before = _stored_cdi(connection, params["name"])
    if before is not None and not params["delete_data_volumes"]:
        _refuse_with_data(connection)
    changes = {f"CDI {params['name']}": ensure_absent(connection, CDI, params["name"], check_mode=task.check_mode)}
    if before is not None and not task.check_mode:
        # The operator must live until CDI's finalizer is gone.
        gone = wait_for(
            connection, CDI, None, [params["name"]], lambda _name, stored: Verdict(WAITING if stored else REACHED, "its finalizer is still there"), deadline
        )
        if gone[params["name"]].verdict.state != REACHED:
            raise CdiError(f"CDI {params['name']} is not gone after {params['wait_timeout']} s: its finalizer is still there; see the log of {rules.OPERATOR}.")
    for item in reversed(objects):
        resource, metadata = MANIFEST_KINDS[item["kind"]], item["metadata"]
        changes[_title(item)] = ensure_absent(connection, resource, metadata["name"], metadata.get("namespace"), check_mode=task.check_mode)
    if params["wait"] and not task.check_mode:
        verdict = poll_until(lambda: _left(connection, objects), deadline)
        if verdict.state != REACHED:
            raise CdiError(f"CDI is not gone after {params['wait_timeout']} s: {verdict.reason}.")
    return {
        "changed": any(change.changed for change in changes.values()),
        "changed_objects": [title for title, change in changes.items() if change.changed],
        "cdi": {},
        "version": {"from": ((before or {}).get("status") or {}).get("observedVersion"), "to": None},
        "diff": [{"before_header": title, "after_header": title, **change.diff} for title, change in changes.items() if change.changed],
    }


def _refuse_with_data(connection: Connection) -> None:
    """Uninstalling CDI deletes every DataVolume and its claim (pkg/operator/controller, v1.65.0)."""
    try:
        volumes, _version = connection.list(DATA_VOLUME)
    except NotServed:
        return
    if volumes:
        first = ", ".join(f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in volumes[:3])
        raise CdiError(
            f"There are {len(volumes)} DataVolumes ({first}{', ...' if len(volumes) > 3 else ''}), which would be deleted with their data; "
            "delete them first, or say delete_data_volumes=true."
        )


def _left(connection: Connection, objects: list[Object]) -> Verdict:
    for item in objects:
        if connection.get(MANIFEST_KINDS[item["kind"]], item["metadata"]["name"], item["metadata"].get("namespace")) is not None:
            return Verdict(WAITING, f"{_title(item)} is still there")
    return Verdict(REACHED)


def _title(item: Object) -> str:
    namespace = item["metadata"].get("namespace")
    return f"{item['kind']} {namespace + '/' if namespace else ''}{item['metadata']['name']}"
