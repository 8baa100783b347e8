# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a declared volume differs from what is on the cluster, and what has to be read to know. Pure rules."""

from __future__ import annotations

import typing as t

from .._cdi.names import BIND_IMMEDIATELY
from .._cdi.phases import NEEDS_CONSUMER, phase_of
from .._kubernetes.compare import differs
from .._kubernetes.managed_fields import owns_unrequested
from .._kubernetes.objects import Object, annotations_of, conditions
from . import spec as rules
from .resize import grown_to
from .volume import NotRead, Volume, known


def wanted_of(volume: Volume) -> Object:
    """The declared DataVolume, without requested values that CDI has chosen anyway for the existing one."""
    wanted = rules.desired(volume.options)
    stored = volume.data_volume
    return wanted if stored is None else rules.without_chosen(wanted, stored, known(volume.claim))


def drift_of(volume: Volume) -> rules.Drift:
    """How the stored volume, or the claim that is left of it, differs from the declared one."""
    if volume.collected:
        from .collected import collected_drift

        return collected_drift(volume.options, t.cast(Object, volume.claim))
    return rules.spec_drift(wanted_of(volume), t.cast(Object, volume.stored))


def is_settled(volume: Volume) -> bool:
    """Whether the task has nothing to write. Its DataVolume has been read, and its claim where `needs_claim`."""
    stored = volume.data_volume
    if isinstance(volume.stored, NotRead):
        return False
    if not volume.present:
        return stored is None and (not volume.collected or bool(volume.options["keep_claim"]))
    if volume.collected:
        return not drift_of(volume).lines
    if stored is None or volume.terminating:
        return False
    wanted = wanted_of(volume)
    return (
        not rules.spec_drift(wanted, stored).lines
        and not binds_now(wanted, stored)
        and not rules.changes_stages(wanted, stored)
        and not differs(wanted, stored)
        and not owns_unrequested(stored, wanted)
    )


def needs_claim(volume: Volume) -> bool:
    """Whether the claim decides what has to be done."""
    stored = volume.data_volume
    if stored is None:
        return True
    if not volume.present or volume.terminating:
        return False
    return bool(drift_of(volume).lines) or binds_now(rules.desired(volume.options), stored)


def binds_now(wanted: Object, stored: Object) -> bool:
    """Whether a volume that waits for a consumer is to be bound without one."""
    return (
        phase_of(stored) in NEEDS_CONSUMER
        and BIND_IMMEDIATELY in annotations_of(wanted)
        and BIND_IMMEDIATELY not in annotations_of(stored)
    )


def paused_since(stored: Object | None) -> str | None:
    """When the import of a volume last paused after a stage, None when it is not paused."""
    if ((stored or {}).get("status") or {}).get("phase") != "Paused":
        return None
    return str(conditions(stored).get("Running", {}).get("lastTransitionTime", ""))


def needs_release(volume: Volume) -> bool:
    """Whether CDI's release decides if the volume can be created, or how large its claim has to be."""
    from .validation import uses_newer

    if not volume.present:
        return False
    if volume.collected and drift_of(volume).grows_to is not None:
        return True
    if volume.data_volume is None or volume.terminating:
        return uses_newer(volume.options)
    drift, claim = drift_of(volume), known(volume.claim)
    if drift.grows_to is not None:
        return claim is not None and grown_to(claim) != drift.grows_to
    return bool(drift.lines) and uses_newer(volume.options)
