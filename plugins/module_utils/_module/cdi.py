# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs, upgrades and removes CDI."""

from __future__ import annotations

import time
import typing as t

from .._ansible.module import Task
from .._cdi import status as rules
from .._cdi.installation import find_operator, namespace_of
from .._cdi.manifest import (
    CUSTOM_RESOURCE_DEFINITION_NAME,
    operator_deployment,
    pull_from,
    read_manifest,
    release_url,
    without_removed_version,
)
from .._cdi.options import LINUX, cr_spec
from .._cdi.owner import find_hyperconverged, olm_owner, refuse
from .._cdi.readiness import wait_established, wait_ready
from .._cdi.uninstall import remove
from .._kubernetes.apply import Change, ensure_present, write
from .._kubernetes.client import Connection
from .._kubernetes.compare import diff_of, for_result, normalise
from .._kubernetes.errors import CdiError
from .._kubernetes.merge_patch import changes_nothing, merged
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import CDI, FIELD_MANAGER, MANIFEST_KINDS, PRIORITY_CLASS

# The field manager of the configuration that a new CDI object starts with.
_FIRST_MANAGER = f"{FIELD_MANAGER}.start"


def run(task: Task) -> dict[str, t.Any]:
    params, name = task.params, task.params["name"]
    objects = _manifest(params) if params["state"] == "present" else []
    cdis = Reader(task.connection).read(CDI).unless_forbidden()
    operator = find_operator(task.connection)
    spec = cr_spec(params)
    asked = {field: value for field, value in spec.items() if objects and value != {"nodeSelector": LINUX}}
    refuse(find_hyperconverged(task.connection, cdis) or olm_owner(operator), name, asked)
    before = next((item for item in cdis if item["metadata"]["name"] == name), None)
    if cdis and before is None:
        found = rules.active(cdis)["metadata"]["name"]
        raise CdiError(
            f"name is {name}, but the CDI object of this cluster is {found}, and only one CDI object can be active; "
            f"set name={found}."
        )
    installed = ((before or {}).get("status") or {}).get("observedVersion") or None
    changes: dict[str, Change] = {}
    to = rules.operator_environment(operator_deployment(objects)).get("OPERATOR_VERSION") if objects else None
    try:
        if objects:
            stored: Object | None = _install(task, objects, spec, before, operator, installed, changes)
        else:
            stored = None
            changes.update(remove(task, before, operator))
    except CdiError as exc:
        exc.result = {**_facts(changes), "version": {"from": installed, "to": to}, **exc.result}
        raise
    return {**_facts(changes), "cdi": for_result(stored), "version": {"from": installed, "to": to}}


def _facts(changes: dict[str, Change]) -> dict[str, t.Any]:
    return {
        "changed": any(change.changed for change in changes.values()),
        "changed_objects": [title for title, change in changes.items() if change.changed],
        "diff": [
            {"before_header": title, "after_header": title, **change.diff}
            for title, change in changes.items()
            if change.changed
        ],
    }


def _manifest(params: dict[str, t.Any]) -> list[Object]:
    objects = read_manifest(params["manifest"] or release_url(params["version"]), params["checksum"])
    pull_from(operator_deployment(objects), params["image_registry"], params["image_pull_secrets"])
    return objects


def _install(
    task: Task,
    objects: list[Object],
    spec: Object,
    before: Object | None,
    operator: Object | None,
    installed: str | None,
    changes: dict[str, Change],
) -> Object:
    """Install or upgrade CDI, and return the CDI object. `changes` collects the writes, also those before an error."""
    connection, params = task.connection, task.params
    deadline = time.monotonic() + params["wait_timeout"]
    deployment = operator_deployment(objects)
    namespace, environment = deployment["metadata"]["namespace"], rules.operator_environment(deployment)
    runs_in = namespace_of(operator) or namespace
    if runs_in != namespace:
        raise CdiError(
            f"CDI's operator runs in namespace {runs_in}, but the manifest is for namespace {namespace}, "
            "and two operators "
            "would revert each other's changes; change the namespace in the manifest, or remove CDI first."
        )
    rules.refuse_downgrade(installed or "", environment.get("OPERATOR_VERSION", ""))
    _refuse_unknown_priority_class(task, before)
    for desired in objects:
        changes[rules.title(MANIFEST_KINDS[desired["kind"]], desired)] = _ensure_manifest_object(task, desired)
    if not task.check_mode and changes[f"CustomResourceDefinition {CUSTOM_RESOURCE_DEFINITION_NAME}"].changed:
        wait_established(connection, deadline)
    change = changes[f"CDI {params['name']}"] = _ensure_cdi(task, spec, before)
    if not params["wait"] or task.check_mode:
        return change.object
    return wait_ready(task, namespace, environment, deadline)


def _refuse_unknown_priority_class(task: Task, before: Object | None) -> None:
    """Raise CdiError for a class that does not exist, which CDI silently ignores
    (pkg/operator/controller/cr-manager.go, v1.65.0)."""
    name = task.params["priority_class"]
    if (
        name
        and name != ((before or {}).get("spec") or {}).get("priorityClass")
        and task.connection.get(PRIORITY_CLASS, name) is None
    ):
        raise CdiError(
            f"priority_class is {name}, but PriorityClass {name} does not exist; "
            "create it first, because CDI would silently use no priority class."
        )


def _ensure_manifest_object(task: Task, desired: Object) -> Change:
    resource = MANIFEST_KINDS[desired["kind"]]
    if desired["kind"] != "CustomResourceDefinition":
        return ensure_present(
            task.connection, resource, desired, check_mode=task.check_mode, force=task.params["force_conflicts"]
        )
    # The operator edits its own CRD, so conflicts with it are overridden.
    stored = task.connection.get(resource, desired["metadata"]["name"])
    return write(
        task.connection,
        resource,
        without_removed_version(desired, stored),
        stored,
        check_mode=task.check_mode,
        force=True,
    )


def _ensure_cdi(task: Task, spec: Object, before: Object | None) -> Change:
    """Create or update the CDI object. Its `spec.config` belongs to module cdi_config, except for what CDI requires at
    its start: feature gates and pull secrets.

    These are merged, because an apply would remove the rest of `spec.config`.
    """
    connection, name, check_mode = task.connection, task.params["name"], task.check_mode
    config: Object = {} if before else {"featureGates": rules.FIRST_FEATURE_GATES}
    if task.params["image_pull_secrets"] is not None:
        config["imagePullSecrets"] = [{"name": secret} for secret in task.params["image_pull_secrets"]]
    patch = {"spec": {"config": config}}
    desired = {"apiVersion": CDI.api_version, "kind": CDI.kind, "metadata": {"name": name}, "spec": spec}
    if before is None and not check_mode:
        after = _create(connection, desired, config)
    else:
        after = write(
            connection, CDI, desired, before, check_mode=check_mode, force=task.params["force_conflicts"]
        ).object
    if not changes_nothing(patch, after):
        if before is not None:
            connection.merge(CDI, name, None, patch, dry_run=check_mode)
        after = merged(after, patch)
    changed = normalise(before or {}) != normalise(after)
    return Change(changed, before is not None, after, diff_of(before, after) if changed else {})


def _create(connection: Connection, desired: Object, config: Object) -> Object:
    """Create the CDI object with its whole spec: otherwise CDI would start without its placement, and restart.

    `config` gets a field manager of its own, because a manager that no longer applies a field removes it.
    """

    def apply(spec: Object, manager: str = "") -> Object:
        return connection.apply(CDI, {**desired, "spec": spec}, dry_run=False, manager=manager)

    apply({**desired["spec"], "config": config}, _FIRST_MANAGER)
    apply(desired["spec"])
    return apply({"config": config}, _FIRST_MANAGER)
