# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upload has to do with its target. Pure rules.

Two annotations keep the digest of a file (see `reading.py`): `INTENDED` is written before the first byte, with
`BEGUN`, the time, and `UPLOADED` when CDI has taken the last byte. A populated volume with only `INTENDED` was left by
a run that was interrupted while CDI finished:
the sender holds the last bytes back until it knows that the file has not changed, so CDI can have taken no other file.

During its life, a target gets the bytes of one file, and `INTENDED` does not change. Otherwise CDI could make a disk
from the remains of a different file: it clears neither a device nor the files of an archive before it writes (CleanAll
in pkg/importer/util.go, UnArchiveTar in pkg/util/util.go, v1.65.0).
"""

from __future__ import annotations

import typing as t

from .._ansible.fields import field_name
from .._data_volume.spec import Drift
from .._diagnosis.rules import INTENDED, UPLOADED
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object, annotations_of
from .options import SPEC_FIELDS, TARGETS
from .target import UPLOAD_TARGET, is_populated, is_upload_claim, populated_by_source, recorded_digest
from .url import shown

CREATE, SEND, REPLACE, RECORD, NOTHING = "create", "send", "replace", "record", "nothing"
# The value of `action` in a result when the step is done.
ACTION_LABELS = {CREATE: "uploaded", SEND: "uploaded", REPLACE: "replaced", RECORD: "recorded", NOTHING: "unchanged"}


class Plan(t.NamedTuple):
    """`step` is CREATE, SEND, REPLACE, RECORD or NOTHING; `reason` says why the target has to be replaced, else it is
    empty.
    """

    step: str
    reason: str = ""


def is_as_requested(upload: t.Mapping[str, t.Any], volume: Object | None) -> bool:
    """Whether a stored DataVolume has the options that can be compared without the file."""
    spec = (volume or {}).get("spec") or {}
    return not any(upload[target] for target in TARGETS) and all(
        upload[option] in (None, spec.get(field_name(option))) for option in SPEC_FIELDS
    )


def plan(upload: t.Mapping[str, t.Any], digest: str, volume: Object | None, claim: Object | None, drift: Drift) -> Plan:
    """What to do. `drift` is the difference between the requested DataVolume and the stored one.

    Raises CdiError if data would have to be deleted without the user's consent, or if the target accepts no uploads.
    """
    if volume is None and claim is None:
        return Plan(CREATE)
    what = f"{'PersistentVolumeClaim' if volume is None else 'DataVolume'} {upload['namespace']}/{upload['name']}"
    if volume is not None and (volume.get("spec", {}).get("source") or {}).get("upload") is None:
        raise CdiError(f"{what} is filled from another source, and accepts no upload; delete it, or give another name.")
    if volume is None and not is_upload_claim(t.cast(Object, claim)):
        raise CdiError(
            f"{what} accepts no uploads: it has neither a DataVolume nor a VolumeUploadSource nor the annotation "
            f"{UPLOAD_TARGET}; set the annotation if its content may be overwritten, or give another name."
        )
    if is_populated(volume, claim):
        return _plan_populated(what, upload, digest, claim, drift)
    return _plan_empty(what, upload, digest, volume, claim, drift)


def _plan_empty(
    what: str,
    upload: t.Mapping[str, t.Any],
    digest: str,
    volume: Object | None,
    claim: Object | None,
    drift: Drift,
) -> Plan:
    may_replace = upload["overwrite"] != "never"
    if drift.lines and not may_replace:
        raise CdiError(
            f"{what} is empty, but its spec differs: {'; '.join(drift.lines)}; a DataVolume's spec is immutable: "
            "correct the options, or set overwrite=different to delete and recreate the volume."
        )
    intended = annotations_of(claim).get(INTENDED)
    remains = ""
    if intended not in (None, digest):
        remains = f"it has the remains of an unfinished upload of the file with digest {intended}"
    # A claim that was made a target later may contain older data.
    if remains and volume is None and populated_by_source(t.cast(Object, claim)) is None and not may_replace:
        raise CdiError(
            f"{what}: {remains}, and perhaps older data; set overwrite=different to delete it with its data and "
            "upload the file."
        )
    why = "; ".join(filter(None, [*drift.lines, remains]))
    return Plan(REPLACE, why) if why else Plan(SEND)


def _plan_populated(what: str, upload: t.Mapping[str, t.Any], digest: str, claim: Object | None, drift: Drift) -> Plan:
    recorded, overwrite = recorded_digest(claim), upload["overwrite"]
    if recorded == digest and overwrite != "always":
        if not drift.lines:
            return Plan(NOTHING) if UPLOADED in annotations_of(claim) else Plan(RECORD)
        if drift.grows_to is not None:
            raise CdiError(
                f"{what} contains the file, and {drift.lines[0]}; to expand it with its data, declare it with this "
                "size and "
                "source.upload by module kubevirt.cdi.data_volume, or set overwrite=always to delete it with its "
                "data and "
                "upload the file again."
            )
    if recorded == digest:
        why = "; ".join(drift.lines) or "overwrite is always"
    elif recorded:
        why = f"it contains the file with digest {recorded}, but {shown(upload['path'])} has {digest}"
    else:
        why = "it is not known which file it contains"
    if overwrite == "never":
        record = "" if recorded else f", or annotate its claim with {UPLOADED} if you know the file"
        raise CdiError(
            f"{what} is already filled, and {why}; "
            f"set overwrite=different to delete it with its data and upload the file{record}."
        )
    return Plan(REPLACE, why)
