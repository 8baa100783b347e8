# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CDI recorded of clones, and what it will do with clones that it has not begun."""

from __future__ import annotations

import copy
import json
import os
import time
import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .._ansible.batch import default_namespace
from .._ansible.missing import SKIP, missing_namespace, report_missing
from .._ansible.spelling import unknown_options
from .._ansible.values import tidy
from .._cdi.status import active
from .._clone.model import COPY
from .._clone.prediction import Prediction, predict
from .._clone.record import clone_facts, explain, is_clone
from .._data_volume import spec as rules
from .._data_volume.collected import is_collected
from .._data_volume.facts import ready_after
from .._data_volume.options import VOLUME_OPTIONS
from .._data_volume.preallocation import preallocation_facts
from .._data_volume.validation import check as check_volume
from .._kubernetes.client import UNVERIFIED, Connection, connect
from .._kubernetes.errors import CdiError, unexpected
from .._kubernetes.objects import Key, Object
from .._kubernetes.public import public_url
from .._kubernetes.reader import Reader
from .._kubernetes.redaction import redacted
from .._kubernetes.resources import CDI, DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_PROFILE
from .._kubernetes.secrets import remember, secrets_of_options

# A task that repeats a lookup gets the same answer, but a loop that waits for a different one must end.
SECONDS_KEPT = 2.0
SECONDS_KEPT_WHEN_FINISHED = 60.0
_NEVER: tuple[float, dict[str, t.Any]] = (float("-inf"), {})
_NO_VOLUME = "There is no such volume."
_EXPECTED = "write namespace/name, or give a DataVolume as module data_volume takes it."


@dataclass(frozen=True)
class Memory:
    """What a process keeps between lookups: connections by their options, and answers with the time of their end.

    `connect` opens a connection from options, and passes warnings to a function. `clock` has monotonic seconds.
    """

    connect: t.Callable[[dict[str, t.Any], t.Callable[[str], None]], Connection] = connect
    clock: t.Callable[[], float] = time.monotonic
    connections: dict[str, Connection] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[float, dict[str, t.Any]]] = field(default_factory=dict)


MEMORY = Memory()


def _no_warning(_text: str) -> None:
    """For callers that show no warnings."""


def look_up(
    params: dict[str, t.Any],
    terms: list[t.Any],
    on_missing: str = SKIP,
    warn: t.Callable[[str], None] = _no_warning,
    memory: Memory = MEMORY,
) -> list[dict[str, t.Any]]:
    """The facts of each term: `namespace/name`, or the options of a DataVolume as module data_volume takes them.

    Four requests for one finished clone, or for many of a namespace and class. Ten more when something has to be
    planned, also how a copy could have been faster. One more for each namespace with a missing volume, unless
    `on_missing` is skip.
    """
    remember(secrets_of_options(terms))
    try:
        return t.cast("list[dict[str, t.Any]]", redacted(_look_up(params, terms, on_missing, warn, memory)))
    except CdiError:
        raise
    except Exception as exc:
        # Ansible would print the error as it is.
        raise CdiError(unexpected(exc)) from None


def _look_up(
    params: dict[str, t.Any], terms: list[t.Any], on_missing: str, warn: t.Callable[[str], None], memory: Memory
) -> list[dict[str, t.Any]]:
    # A process that Ansible forks must not use the TLS connections of its parent.
    mark = f"{os.getpid()} {json.dumps(params, sort_keys=True, default=str)}"
    texts = [json.dumps(term, sort_keys=True, default=str) for term in terms]
    now = memory.clock()
    by_text = dict(zip(texts, terms, strict=True))
    missing = {text: term for text, term in by_text.items() if memory.answers.get((mark, text), _NEVER)[0] < now}
    if missing:
        declared = [_declared(term) for term in missing.values()]
        if mark not in memory.connections:
            memory.connections[mark] = memory.connect(params, warn)
            if not memory.connections[mark].verifies_certificates:
                warn(UNVERIFIED)
        wanted = [_wanted(volume, memory.connections[mark]) for volume in declared]
        for text, answer in zip(missing, _answer(Reader(memory.connections[mark]), wanted), strict=True):
            finished = answer["observed"] and answer["phase"] == "Succeeded"
            seconds = SECONDS_KEPT_WHEN_FINISHED if finished else SECONDS_KEPT
            memory.answers[mark, text] = memory.clock() + seconds, answer
    answers = [copy.deepcopy(memory.answers[mark, text][1]) for text in texts]
    if on_missing != SKIP:
        named = zip(answers, terms, strict=True)
        absent = [answer for answer, term in named if isinstance(term, str) and not answer["exists"]]
        report_missing(_why_missing(memory.connections[mark], absent), on_missing, warn)
    return answers


def _why_missing(connection: Connection, absent: list[dict[str, t.Any]]) -> t.Iterator[str]:
    """Why each volume is missing, or that its namespace does not exist."""
    namespaces = {answer["namespace"] for answer in absent if answer["reason"] == _NO_VOLUME}
    gone = {namespace: missing_namespace(connection, namespace) for namespace in sorted(namespaces)}
    for answer in absent:
        title = f"{answer['namespace']}/{answer['name']}"
        if answer["reason"] != _NO_VOLUME:
            yield f"Whether the volume {title!r} exists is unknown: {answer['reason']}"
        else:
            yield gone[answer["namespace"]] or (
                f"The volume {title!r} does not exist: there is neither a DataVolume nor a claim; "
                "correct its name, or create it."
            )


def _declared(term: t.Any) -> Key | dict[str, t.Any]:
    """The volume that a term names, or the options of the DataVolume that it declares."""
    if isinstance(term, str):
        namespace, slash, name = term.partition("/")
        if not (namespace and slash and name) or "/" in name:
            raise CdiError(f"{term!r} does not name a volume; {_EXPECTED}")
        return namespace, name
    if not isinstance(term, dict):
        raise CdiError(f"{term!r} is not a volume; {_EXPECTED}")
    options = {"name": {"type": "str", "required": True}, **VOLUME_OPTIONS}
    checked = ArgumentSpecValidator(options).validate(json.loads(json.dumps(term, default=str)))
    problems = unknown_options(term, options, f"volume {term.get('name')!r}") or [
        f"volume {term.get('name')!r}: {message}; see the options of module kubevirt.cdi.data_volume"
        for message in checked.error_messages
    ]
    if problems:
        raise CdiError(f"Cannot look up {problems[0].rstrip('.')}" + ("" if problems[0].endswith("?") else "."))
    tidied, _odd = tidy(options, checked.validated_parameters)
    check_volume(tidied)
    return tidied


def _wanted(declared: Key | dict[str, t.Any], connection: Connection) -> tuple[Key, Object | None]:
    """The key of a volume, and the DataVolume that is declared, if any."""
    if not isinstance(declared, dict):
        return declared, None
    volume = {**declared, "namespace": declared["namespace"] or default_namespace(connection)}
    return (volume["namespace"], volume["name"]), rules.desired(volume)


def _answer(reader: Reader, wanted: list[tuple[Key, Object | None]]) -> list[dict[str, t.Any]]:
    """The facts of each volume, by its key and the DataVolume that is declared, if any."""
    keys = {key for key, _declared in wanted}
    volumes = reader.objects(DATA_VOLUME, keys)
    claims = reader.objects(PERSISTENT_VOLUME_CLAIM, keys)
    recorded = {key: clone_facts(volumes.get(key), claims.get(key)) for key in keys}
    planned = [volumes.get(key) or declared for key, declared in wanted]
    # For a fast clone that has finished, CDI's record is complete.
    open_ones = [
        index
        for index, (key, _declared) in enumerate(wanted)
        if planned[index] and (recorded[key]["method"] in (None, COPY) or recorded[key]["phase"] != "Succeeded")
    ]
    plans = predict(reader, [volume for index in open_ones if (volume := planned[index])])
    predictions = dict(zip(open_ones, plans, strict=True))
    return [
        _facts(reader, key, volumes.get(key), claims.get(key), recorded[key], planned[index], predictions.get(index))
        for index, (key, _declared) in enumerate(wanted)
    ]


def _facts(
    reader: Reader,
    key: Key,
    volume: Object | None,
    claim: Object | None,
    known: dict[str, t.Any],
    planned: Object | None,
    prediction: Prediction | None,
) -> dict[str, t.Any]:
    collected = volume is None and is_collected(claim)
    answer = {
        "host": public_url(reader.connection.host),
        "namespace": key[0],
        "name": key[1],
        "exists": bool(volume or claim),
        "observed": known["method"] is not None,
        **known,
        "phase": known["phase"] or ("Succeeded" if collected else None),
        "ready_after": ready_after(volume),
        "waits_for": [],
        "remedy": None,
        "preallocation": preallocation_facts(planned, claim, prediction.plan.method if prediction else None),
    }
    if known["method"] is None and prediction and not collected:
        error = known["error"] or prediction.plan.error
        return {**answer, **prediction.facts, "error": error}
    if known["method"] == COPY and prediction and prediction.plan.method == COPY:
        answer["remedy"] = prediction.plan.remedy
    # CDI records no phase on a claim that is filled without a populator.
    if "Succeeded" not in (answer["phase"], ((volume or {}).get("status") or {}).get("phase")) and prediction:
        answer["waits_for"] = list(prediction.plan.waits_for)
    if known["method"] is None:
        reason = explain(known, None, None, None) if is_clone(volume, claim) else "The volume is not a clone."
        refusal = reader.refusal(DATA_VOLUME, key[0]) or reader.refusal(PERSISTENT_VOLUME_CLAIM, key[0])
        return {**answer, "reason": reason if answer["exists"] else refusal or _NO_VOLUME}
    storage_class = ((claim or {}).get("spec") or {}).get("storageClassName")
    override, strategy = (None, None) if known["fallback"] or known["forced"] else _settings(reader, storage_class)
    return {**answer, "reason": explain(known, override, strategy, storage_class)}


def _settings(reader: Reader, storage_class: str | None) -> tuple[str | None, str | None]:
    """The override of the CDI object and the strategy of the storage profile, None where they cannot be read."""
    spec = active(reader.read(CDI).items).get("spec") or {}
    profile = reader.read(STORAGE_PROFILE, name=storage_class).object if storage_class else None
    return spec.get("cloneStrategyOverride"), ((profile or {}).get("status") or {}).get("cloneStrategy")
