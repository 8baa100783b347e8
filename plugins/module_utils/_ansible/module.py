# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module: validates arguments, opens a connection, calls one function, and returns errors as one sentence."""

from __future__ import annotations

import time
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule

from .._kubernetes.credentials import public_params
from .._kubernetes.errors import CdiError, unexpected
from .._kubernetes.redaction import SHORT, redact, redacted
from .._kubernetes.secrets import forget, known_secrets, remember_options
from .argspec import AUTH, ArgumentSpec
from .progress import SILENT, Progress
from .values import tidy

if t.TYPE_CHECKING:
    from .._kubernetes.client import Connection


# The number of -v with which Ansible shows tracebacks.
_VERBOSE = 3


class _Module(AnsibleModule):
    """Removes secrets from logs and results. Ansible itself hides only whole options.

    Both can happen before `__init__` ends, so that a caller would be too late.
    """

    params: dict[str, t.Any]
    wrong_types = ""

    def _load_params(self) -> None:
        super()._load_params()
        give_empty_options(self.params, self.argument_spec)
        if not _fits({"type": "dict", "options": self.argument_spec}, self.params):
            from .types import wrong_types

            wrong = wrong_types(self.argument_spec, self.params)
            self.wrong_types = " ".join(f"{option} is {problem}." for option, problem in wrong)
            # Ansible refuses some without naming their options, fails for others, and shows all: also secrets.
            kept = "_ansible_" if wrong else ""
            self.params = {name: value for name, value in self.params.items() if name.startswith(kept)}

    def fail_json(self, msg: str, **options: t.Any) -> t.Any:
        """Ansible refuses a task without its required options before it returns to the caller."""
        super().fail_json(self.wrong_types or msg, **options)

    def _log_invocation(self) -> None:
        params = self.params
        remember_options(params)
        self.params = redacted(public_params(params))
        super()._log_invocation()
        self.params = params

    def warn(self, warning: str, **options: t.Any) -> None:
        super().warn(redact(warning), **options)

    def _return_formatted(self, kwargs: dict[str, t.Any]) -> None:
        if not known_secrets():
            remember_options(self.params)  # The options may have been refused before they were registered.
        _hide(self, known_secrets())
        super()._return_formatted(redacted({"invocation": {"module_args": public_params(self.params)}, **kwargs}))


def _fits(spec: t.Mapping[str, t.Any], value: t.Any) -> bool:
    """Whether a value surely has the type of its option. Only others are judged by `types`."""
    kind = spec.get("type")
    if kind == "list" and isinstance(value, list):
        return all(_fits({**spec, "type": spec.get("elements")}, item) for item in value)
    if kind == "dict" and isinstance(value, dict):
        return all(_fits((spec.get("options") or {}).get(name, {}), item) for name, item in value.items())
    if value is None or kind in (None, "raw"):
        return True
    return isinstance(value, int) if kind in ("bool", "int") else isinstance(value, str) and kind in ("path", "str")


def give_empty_options(values: t.Any, options: t.Mapping[str, t.Any]) -> None:
    """Reads `source: {blank: }`, which is null in YAML, as an empty dictionary if it is the only key."""
    for item in values if isinstance(values, list) else [values]:
        if not isinstance(item, dict):
            continue
        below = {name: (options.get(name) or {}).get("options") for name in item}
        empty = [name for name, suboptions in below.items() if suboptions == {}]
        if len(empty) == 1 and all(value is None for value in item.values()):
            item[empty[0]] = {}
        for name, suboptions in below.items():
            if suboptions:
                give_empty_options(item[name], suboptions)


class Task(t.NamedTuple):
    """The input of a module's function. `warn` shows a warning, `progress` writes the progress of the task."""

    params: dict[str, t.Any]
    connection: Connection
    check_mode: bool
    warn: t.Callable[[str], None]
    progress: Progress = SILENT


class LocalTask(t.NamedTuple):
    """The input of the function of a module that sends nothing to a Kubernetes cluster."""

    params: dict[str, t.Any]
    check_mode: bool
    progress: Progress


def run(
    spec: ArgumentSpec,
    function: t.Callable[[Task], dict[str, t.Any]],
    check: t.Callable[[dict[str, t.Any]], None] | None = None,
    sleep: t.Callable[[float], None] = time.sleep,
) -> None:
    """Run a module: `function(task)` returns its result. `check(params)` refuses bad values before any request.

    `sleep` pauses before a request is sent again.
    """

    def on_cluster(module: _Module, progress: Progress) -> dict[str, t.Any]:
        from .._kubernetes.client import UNVERIFIED, connect

        connection = connect(module.params, module.warn, sleep=sleep)
        if not connection.verifies_certificates:
            module.warn(UNVERIFIED)
        return function(Task(module.params, connection, module.check_mode, module.warn, progress))

    _answer(spec, AUTH + spec, on_cluster, check)


def run_without_cluster(spec: ArgumentSpec, function: t.Callable[[LocalTask], dict[str, t.Any]]) -> None:
    """Run a module that has no connection options."""

    def here(module: _Module, progress: Progress) -> dict[str, t.Any]:
        return function(LocalTask(module.params, module.check_mode, progress))

    _answer(spec, spec, here)


def _answer(
    spec: ArgumentSpec,
    whole: ArgumentSpec,
    function: t.Callable[[_Module, Progress], dict[str, t.Any]],
    check: t.Callable[[dict[str, t.Any]], None] | None = None,
) -> None:
    """Run a module with the options `whole`, of which those of `spec` are its own, and return its result."""
    forget()
    module = _Module(argument_spec=whole.options, supports_check_mode=True, **whole.constraints)
    try:
        remember_options(module.params)
        if module.wrong_types:
            raise CdiError(module.wrong_types)
        module.params, odd = tidy(spec.options, module.params, spec.kinds)
        for sentence in odd:
            module.warn(sentence)
        if check:
            check(module.params)
        with Progress(module.params.get("progress_file")) as progress:
            result = function(module, progress)
        end: t.Callable[..., t.NoReturn] = module.exit_json
    except CdiError as exc:
        result = {"msg": str(exc), **exc.result}
        end = module.fail_json
    except Exception as exc:
        # Ansible would print the traceback with the unredacted error.
        result = {"msg": unexpected(exc)}
        if module._verbosity >= _VERBOSE:
            result["exception"] = redact(traceback.format_exc())
        end = module.fail_json
    if not module._diff:
        result.pop("diff", None)
    end(**result)


def _hide(module: AnsibleModule, values: set[str]) -> None:
    """Hide the values in the output of the task. Since ansible-core 2.22, the controller does that."""
    # Ansible also hides values inside words.
    values = {value for value in values if len(value) >= SHORT}
    try:
        from ansible.module_utils.secrets import register_secrets
    except ImportError:
        module.no_log_values.update(values)
    else:
        register_secrets(values)
