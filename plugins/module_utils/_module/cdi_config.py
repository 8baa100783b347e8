# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configures CDI, and reports what is in effect."""

from __future__ import annotations

import re
import time
import typing as t

from .._ansible.module import Task
from .._cdi import config as rules
from .._cdi.installation import running_namespace
from .._cdi.names import CONTROLLER, UPLOAD_PROXY
from .._cdi.owner import find_hyperconverged, olm_owner, refuse
from .._cdi.status import judge_deployment
from .._kubernetes.client import Connection
from .._kubernetes.compare import diff_of
from .._kubernetes.errors import ApiError, CdiError, NotServed
from .._kubernetes.merge_patch import changes_nothing, merged
from .._kubernetes.objects import Object
from .._kubernetes.public import without_secrets
from .._kubernetes.reader import Reader
from .._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    CONFIG_MAP,
    CONFIG_NAME,
    DEPLOYMENT,
    INGRESS,
    SECRET,
    STORAGE_CLASS,
    STORAGE_PROFILE,
)
from .._kubernetes.verdict import REACHED, WAITING, Verdict
from .._kubernetes.wait import wait_for
from .._storage.classes import unknown_class
from .._storage.scratch import Settings, can_hold_scratch


def run(task: Task) -> dict[str, t.Any]:
    connection, params, name = task.connection, task.params, task.params["name"]
    deadline = time.monotonic() + params["wait_timeout"]
    wanted = rules.wanted_spec(params)
    stored = _stored(task, wanted)
    before = (stored or {}).get("spec") or {}
    after = merged(before, wanted)
    changed = not changes_nothing(wanted, before)
    version = ((stored or {}).get("status") or {}).get("observedVersion", "")
    odd_gates = rules.unknown_gates(params["feature_gates"] or [], version)
    for sentence in [*rules.ineffective_options(params, version), *odd_gates, rules.removed_gates(wanted, before)]:
        if sentence:
            task.warn(sentence)
    if changed:
        refuse(
            find_hyperconverged(connection, [stored] if stored else []) or olm_owner(stored),
            name,
            _changes(wanted, before),
        )
        rules.refuse_impossible_resources(after.get("config") or {})
        _refuse_unknown_names(task)
        if stored is not None:
            # A merge patch of these fields only: an apply would remove what module cdi has applied to the same object.
            after = _merge(connection, stored, wanted, dry_run=task.check_mode)
    effective = {} if task.check_mode else _effective(task, wanted, deadline, changed=changed)
    return {
        "changed": changed,
        "config": without_secrets(wanted),
        "effective": effective,
        "diff": diff_of(before, after) if changed else {},
    }


def _stored(task: Task, wanted: Object) -> Object | None:
    """The CDI object; None in check mode if an earlier task would have created it. Raises CdiError without one."""
    name = task.params["name"]
    try:
        stored = task.connection.get(CDI, name)
    except NotServed:
        if not task.check_mode:
            raise
        return None
    if stored is None:
        refuse(find_hyperconverged(task.connection, []), name, wanted)
        if not task.check_mode:
            raise CdiError(f"There is no CDI {name}; install CDI first (module kubevirt.cdi.cdi), or set its name.")
    return stored


def _changes(wanted: Object, before: Object) -> Object:
    """The part of a merge patch that would change something."""
    config = {
        field: value
        for field, value in wanted.get("config", {}).items()
        if not changes_nothing(value, (before.get("config") or {}).get(field))
    }
    spec = {
        field: value
        for field, value in wanted.items()
        if field != "config" and not changes_nothing(value, before.get(field))
    }
    return {**spec, "config": config}


def _merge(connection: Connection, stored: Object, wanted: Object, *, dry_run: bool) -> Object:
    """Merge the spec, and return the new one. The API server rejects fields that CDI of this release does not have
    (strict field validation)."""
    try:
        return t.cast(
            Object, connection.merge(CDI, stored["metadata"]["name"], None, {"spec": wanted}, dry_run=dry_run)["spec"]
        )
    except ApiError as exc:
        unknown = re.findall(r'unknown field "spec\.config\.(([A-Za-z]+)[^"]*)"', str(exc))
        if not unknown:
            raise
        version = (stored.get("status") or {}).get("observedVersion") or "of this release"
        fields = ", ".join(f"{path} of option {rules.option_of(field)}" for path, field in unknown)
        raise CdiError(
            f"CDI {version} does not have {fields}; omit the option, or use a release of CDI that has it."
        ) from exc


def _refuse_unknown_names(task: Task) -> None:
    """Raise CdiError for classes and ConfigMaps that do not exist, which CDI silently ignores (config-controller.go,
    v1.65.0)."""
    connection = task.connection
    named = rules.named_classes(task.params)
    if named:
        classes = connection.list(STORAGE_CLASS)[0]
        for name, option in named.items():
            if all(name != item["metadata"]["name"] for item in classes):
                raise CdiError(f"Cannot set {option}: {unknown_class(name, classes)}.")
    scratch = task.params["scratch_space_storage_class"]
    if scratch:
        _refuse_unfit_scratch_class(connection, scratch)
    bundle = (task.params["import_proxy"] or {}).get("trusted_ca_proxy")
    namespace = running_namespace(connection) if bundle else None
    if bundle and namespace and connection.get(CONFIG_MAP, bundle, namespace) is None:
        raise CdiError(
            f"Cannot set import_proxy.trusted_ca_proxy: ConfigMap '{namespace}/{bundle}' does not exist; "
            "create it first."
        )


def _refuse_unfit_scratch_class(connection: Connection, name: str) -> None:
    """Raise CdiError for a class that cannot hold scratch space: CDI accepts it, but then every worker pod stays
    Pending."""
    profile = Reader(connection).try_read(STORAGE_PROFILE, name=name)
    if profile.error:
        return
    if not can_hold_scratch(Settings(profiles={name: profile.object or {}}), name):
        raise CdiError(
            f"Cannot set scratch_space_storage_class to {name!r}: "
            "scratch space is always Filesystem and ReadWriteOnce, which the class does not support by its "
            "StorageProfile; use another class, or correct the profile (module kubevirt.cdi.storage_profile)."
        )


def _effective(task: Task, wanted: Object, deadline: float, *, changed: bool) -> dict[str, t.Any]:
    connection, params = task.connection, task.params

    def judge(_name: str, config: Object | None) -> Verdict:
        missing = rules.not_in_effect(wanted, config) if config else ["there is no CDIConfig"]
        return Verdict(WAITING, "; ".join(missing)) if missing else Verdict(REACHED)

    config = connection.get(CDI_CONFIG, CONFIG_NAME)
    if not params["wait"] or judge(CONFIG_NAME, config).state == REACHED:
        return rules.effective_config(config)
    if not changed:
        _refuse_unknown_names(task)
    outcome = wait_for(connection, CDI_CONFIG, None, [CONFIG_NAME], judge, deadline)[CONFIG_NAME]
    if outcome.verdict.state != REACHED:
        raise CdiError(
            f"CDI {params['name']} is configured, but after {params['wait_timeout']} s this is not in effect: "
            f"{outcome.verdict.reason}; {_why(task)}.",
            effective=rules.effective_config(outcome.object),
        )
    return rules.effective_config(outcome.object)


def _why(task: Task) -> str:
    """What keeps CDI from applying its configuration, which it applies completely or not at all (config-controller.go,
    v1.65.0)."""
    connection = task.connection
    namespace = running_namespace(connection)
    if namespace is None:
        return "CDI does not run; check the log of its operator"
    verdict = judge_deployment(connection.get(DEPLOYMENT, CONTROLLER, namespace))
    if verdict.state != REACHED:
        return f"CDI's controller does not run: {verdict.reason} of Deployment {namespace}/{CONTROLLER}"
    for ingress in connection.list(INGRESS, namespace)[0]:
        for tls in ingress["spec"].get("tls") or []:
            secret = tls.get("secretName")
            if secret and UPLOAD_PROXY in str(ingress["spec"]) and connection.get(SECRET, secret, namespace) is None:
                name = ingress["metadata"]["name"]
                return (
                    f"the Secret {namespace}/{secret} of Ingress {name} does not exist, "
                    "and CDI applies no setting until "
                    "it does: create it"
                )
    return f"CDI applies no setting while one of them is invalid; check the log of Deployment {namespace}/{CONTROLLER}"
