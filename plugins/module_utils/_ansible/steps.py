# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that change one object of a task, and the error that summarizes those of all objects."""

from __future__ import annotations

import typing as t

from .._kubernetes.errors import CdiError


class _Outcome(t.Protocol):
    @property
    def changed(self) -> bool: ...

    @property
    def error(self) -> str: ...


AnOutcome = t.TypeVar("AnOutcome", bound=_Outcome)


def in_steps(outcome: AnOutcome, *steps: t.Callable[[AnOutcome], AnOutcome]) -> AnOutcome:
    """Each step gets the outcome of the one before. An error ends them; the outcome keeps what was done before it.

    An outcome is a NamedTuple.
    """
    for step in steps:
        if outcome.error:
            break
        try:
            outcome = step(outcome)
        except CdiError as exc:
            # What may have been written counts as written.
            changed = outcome.changed or bool(exc.result.get("changed"))
            outcome = t.cast(t.Any, outcome)._replace(error=str(exc), changed=changed)
    return outcome


_MOST_ERRORS = 3


def summary(errors: t.Sequence[str], kind: str, plural: str) -> str:
    """The different errors of objects, one text for each, empty without an error; of many errors, only the first.

    `kind` has a plural in -s, and `plural` is the key of the results.
    """
    failed = list(filter(None, errors))
    different = list(dict.fromkeys(failed))
    if len(different) <= _MOST_ERRORS:
        return " ".join(different)
    first = " ".join(different[:_MOST_ERRORS])
    return f"{len(failed)} of {len(errors)} {kind}s failed: {first} The error of each is in {plural}."
