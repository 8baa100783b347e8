# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upload asks for, what is there, and what has to be done. Pure rules.

Two annotations keep a file's SHA-256: `INTENDED` is written before the first byte, with `BEGUN`, the time, and `UPLOADED` to the claim when CDI has
taken the last.
A volume that is populated and has only `INTENDED` is what a run left that was interrupted while CDI finished: the sender
holds the last bytes back until it knows that nobody has written to the file, so CDI can have taken no other.

In its life a target gets the bytes of one file, and `INTENDED` does not change. CDI may still make a disk of what another file has left, and
clears neither a device nor the files of an archive before it writes (CleanAll in pkg/importer/util.go, UnArchiveTar in pkg/util/util.go, v1.65.0).
"""

from __future__ import annotations

import copy
import http.client
import re
import shlex
import typing as t

from .._ansible.fields import field_name
from .._cdi.names import PREFIX
from .._data_volume.collected import is_collected
from .._data_volume.options import VOLUME_OPTIONS
from .._data_volume.preallocation import REQUESTED
from .._data_volume.resize import requested
from .._data_volume.spec import BIND_IMMEDIATELY, Drift, desired
from .._data_volume.validation import check as check_volume
from .._diagnosis.diagnose import weigh
from .._diagnosis.evidence import Evidence
from .._diagnosis.rules import INTENDED, SPOILT, UPLOADED
from .._image.formats import MIB, Image
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object, annotations_of, conditions
from .._kubernetes.quantity import parse
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .._storage.overhead import NO_OVERHEAD, Overhead, enough_space, required_space

UPLOAD_TARGET = f"{PREFIX}storage.upload.target"
_ARCHIVE_NAME = re.compile(r"\.(tar|tar\.(gz|xz|zst)|tgz|txz|tzst)$", re.IGNORECASE)
_CHECKSUM = re.compile(r"sha256:([0-9a-fA-F]{64})")
# Annotations and labels that belong to one life of a volume or claim; a new one must not inherit them.
NOT_INHERITED = re.compile(r"cdi\.kubevirt\.io/|kubevirt\.cdi/|(pv|volume|volume\.beta|kubectl)\.kubernetes\.io/")
_OF_A_CLAIM = (UPLOAD_TARGET, f"{PREFIX}storage.contentType", REQUESTED, BIND_IMMEDIATELY)
_SPEC_FIELDS = ("content_type", "preallocation", "priority_class_name", "service_account_name")
_TARGET_OPTIONS = ("size", "storage_class_name", "volume_name", "access_modes", "volume_mode")
# The options of a data volume that make sense for an upload's target, too.
OPTIONS: Object = {
    **{option: VOLUME_OPTIONS[option] for option in ("namespace", "labels", "annotations", *_SPEC_FIELDS)},
    **{
        target: {
            "type": "dict",
            "options": {option: VOLUME_OPTIONS[target]["options"][option] for option in _TARGET_OPTIONS},
        }
        for target in ("storage", "pvc")
    },
}
_NO_VOLUME = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
_NO_TARGET = dict.fromkeys({**VOLUME_OPTIONS["storage"]["options"], **VOLUME_OPTIONS["pvc"]["options"]})

# Of what stands before CDI's proxy, and of what CDI says.
_REMEDIES_OF_ROUTES = {
    **dict.fromkeys(
        (301, 302, 303, 307, 308), "The upload token is for this address only: give the right one as upload_proxy_url."
    ),
    404: "Correct upload_proxy_url: it leads to no upload proxy.",
    413: "Let the route to the upload proxy take bodies of any size (of an nginx Ingress: proxy-body-size 0).",
}
# Since 1.63 CDI says that the effective image size is larger, before that what it found (uploadserver.go and qemu.go, v1.61.1 and v1.65.0).
_TOO_LARGE = r"image size (\d+ )?is larger"
_NO_SPACE = "no space left on device|disk quota exceeded"
# By regular expressions.
_REMEDIES = {
    "Invalid format": "Give an image in a format that CDI reads (raw, qcow2, vmdk, vdi, vhd, vhdx).",
    _TOO_LARGE: "The image needs {needed}; request at least that, or omit the size.",
    _NO_SPACE: "The image needs {needed}; request at least that, or omit the size, and make room in the storage if it has less left.",
    "image header": "Give a whole image in a format that CDI reads.",
    SPOILT: "CDI spoils some files in xz or zst while it looks at their header: unpack the file, or pack it with gzip.",
}

NO_ZSTD = "it is compressed with zstd and this Python has no decompressor for it"
INSTALL_ZSTD = "install one on the host that runs the task: pip install backports.zstd"
CREATE, SEND, REPLACE, RECORD, NOTHING = "create", "send", "replace", "record", "nothing"
# What a result calls them when they have been done.
ACTION_LABELS = {CREATE: "uploaded", SEND: "uploaded", REPLACE: "replaced", RECORD: "recorded", NOTHING: "unchanged"}
# What a result says of an upload that failed halfway.
CREATED, BEGUN_ACTION, DELETED, EMPTIED = "created", "begun", "deleted", "emptied"
LEFT_BEHIND = {
    CREATED: "{what} was created and is empty; run the task again to fill it",
    BEGUN_ACTION: "The upload into {what} was begun and is not finished; run the task again to send the file from its first byte",
    DELETED: "{what} was deleted with its data and was not made anew; run the task again to create and fill it",
    EMPTIED: "{what} was deleted with its data and made anew, and is not filled; run the task again to fill it",
}


def stripped(upload: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options without the spaces and line ends that templates leave around values; a path may end in one."""
    values = {
        key: value.strip() if isinstance(value, str) and key != "path" else value for key, value in upload.items()
    }
    for target in ("storage", "pvc"):
        if values[target]:
            values[target] = {
                key: value.strip() if isinstance(value, str) else value for key, value in values[target].items()
            }
    return values


def check(upload: t.Mapping[str, t.Any]) -> None:
    """Refuse an upload that could never work. Raises CdiError that names option, value and remedy."""
    name = upload["name"]
    if upload["content_type"] == "archive" and upload["format"] == "raw":
        raise CdiError(f"{name} has content_type=archive and format=raw; give one of them.")
    if upload["checksum"] is not None and not _CHECKSUM.fullmatch(upload["checksum"]):
        raise CdiError(
            f"checksum of {name} is {upload['checksum']!r}; give sha256: and the 64 hexadecimal digits of the file's SHA-256."
        )
    given = [target for target in ("storage", "pvc") if upload[target]]
    volume = declared(upload)
    for target in given or ["storage"]:
        volume[target] = {**_NO_TARGET, **(volume[target] or {}), "size": (upload[target] or {}).get("size") or "1Mi"}
    check_volume(volume)


def digest_of(checksum: str) -> str:
    """The digest in a checked `checksum`."""
    return checksum.partition(":")[2].lower()


def declared(upload: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options of a data volume (see `_data_volume_options`) for an upload's target. Nobody else would bind it, so CDI shall."""
    given = {key: upload[key] for key in ("name", "namespace", *OPTIONS)}
    for target in ("storage", "pvc"):
        given[target] = given[target] and {**_NO_TARGET, **given[target]}
    return {**_NO_VOLUME, **given, "source": {"upload": {}}, "binding": "immediate"}


def content_type(upload: t.Mapping[str, t.Any], image: Image, *, for_archives: bool = False) -> str | None:
    """Archive or disk: as asked for, else a tar archive is one if its name, or a volume `for_archives`, says so. Raises CdiError when it is the other."""
    asked, name, path = upload["content_type"], upload["name"], upload["path"]
    if image.format is None:  # It cannot be decompressed here.
        return asked or ("archive" if for_archives or _ARCHIVE_NAME.search(path) else None)
    undecided = image.format == "tar" and asked is None and not for_archives
    if undecided and image.wraps:
        raise CdiError(
            f"{path} is {image.wraps}. To unpack the archive itself into the volume, set content_type=archive."
        )
    if undecided and not _ARCHIVE_NAME.search(path):
        raise CdiError(
            f"{path} is a tar archive, perhaps an exported volume, and its name does not say so; set content_type=archive to unpack it into a file system, "
            f"or unpack it first (tar -xf {shlex.quote(path)}) and give the disk image that is inside as path."
        )
    if asked == "archive" and image.format != "tar":
        raise CdiError(
            f"{name} has content_type=archive, and {path} is a disk image ({image.format}); give a tar archive, or leave content_type out."
        )
    if asked == "kubevirt" and image.format == "tar":
        raise CdiError(
            f"{name} has content_type=kubevirt, and {path} is a tar archive; give a disk image, or leave content_type out."
        )
    return "archive" if image.format == "tar" else t.cast("str | None", asked)


def wanted_volume(upload: t.Mapping[str, t.Any], image: Image, overhead: Overhead, stored: Object | None) -> Object:
    """The DataVolume for the image; what is not asked for is as in the stored one, whose size is kept when it is large enough.

    `overhead` is the file system's share that CDI takes off a claim given by `pvc`. Raises CdiError when a size is needed that nothing tells.
    """
    volume = copy.deepcopy(declared(upload))
    spec = (stored or {}).get("spec") or {}
    for_archives = spec.get("contentType") == "archive"
    # Of a volume for archives CDI would only find out when all has been sent.
    volume["content_type"] = content_type(upload, image, for_archives=for_archives) or (
        "kubevirt" if for_archives else None
    )
    target = "pvc" if volume["pvc"] or ("pvc" in spec and not volume["storage"]) else "storage"
    given = volume[target] or {}
    before = spec.get(target) or {}
    wanted = desired({**volume, "storage": None, "pvc": None, target: given})
    for option in _SPEC_FIELDS:
        field = field_name(option)
        if volume[option] is None and field in spec:
            wanted["spec"][field] = spec[field]
    if volume[target] is None and before:
        wanted["spec"][target] = copy.deepcopy(before)
    wanted["spec"][target]["resources"] = {
        "requests": {"storage": _size(upload, image, overhead if target == "pvc" else NO_OVERHEAD, target, given, before)}
    }
    for kind, keep in (("labels", ()), ("annotations", (BIND_IMMEDIATELY,))):
        wanted["metadata"][kind] = {
            **_inherited((stored or {}).get("metadata", {}).get(kind), keep),
            **wanted["metadata"][kind],
        }
    return wanted


def _size(
    upload: t.Mapping[str, t.Any], image: Image, overhead: Overhead, target: str, given: Object, before: Object
) -> str:
    size, disk = given.get("size"), image.needed_size
    needed = required_space(disk, *overhead) if disk is not None and overhead.share else disk
    if size is not None:
        refuse_too_small(
            upload, image, int(parse(size)), needed, f"size is {size!r}", "request at least that, or omit the size"
        )
        return str(size)
    requested = ((before.get("resources") or {}).get("requests") or {}).get("storage")
    if requested is not None and (needed is None or parse(requested) >= needed):
        return str(requested)
    if disk is None:
        remedy_ = f", or {INSTALL_ZSTD}" if image.format is None else ""
        raise CdiError(
            f"Cannot read the size of the disk in {upload['path']}, because {_why_unread(image)}; "
            f"give {target}.size for {upload['name']}, for example 10Gi{remedy_}."
        )
    return f"{-(-enough_space(disk, *overhead) // MIB)}Mi"


def _why_unread(image: Image) -> str:
    if image.format is None:
        return NO_ZSTD
    return "decompressing it requires too much memory or time"


def refuse_too_small(
    upload: t.Mapping[str, t.Any], image: Image, size: int, needed: int | None, told: str, remedy_: str
) -> None:
    """CDI would only find out when all has been sent."""
    if needed is not None and size < needed:
        what = f"{upload['path']} ({describe(image)})"
        raise CdiError(f"{upload['name']}: {told}, and {what} needs {-(-needed // MIB)}Mi; {remedy_}.")


def describe(image: Image) -> str:
    """`qcow2 in gz with a disk of 1024 MiB`."""
    told = " in ".join(filter(None, (image.format, image.compression)))
    return told if image.virtual_size is None else f"{told} of {-(-image.virtual_size // MIB)} MiB"


def _inherited(values: t.Mapping[str, str] | None, keep: t.Collection[str]) -> dict[str, str]:
    return {key: value for key, value in (values or {}).items() if key in keep or not NOT_INHERITED.match(key)}


def refuse_owned(kind: str, target: Object) -> None:
    """A target that belongs to something else is not ours to delete. Raises CdiError."""
    metadata = target["metadata"]
    owner = next((owner for owner in metadata.get("ownerReferences") or [] if owner.get("controller")), None)
    if owner:
        raise CdiError(
            f"{kind} {metadata['namespace']}/{metadata['name']} belongs to {owner['kind']} {owner['name']}; replace it there, or give another name."
        )


def recreated_claim(claim: Object) -> Object:
    """A claim like this one with nothing in it."""
    metadata, spec = claim["metadata"], claim["spec"]
    kept = {key: value for key, value in spec.items() if key not in ("volumeName", "dataSource")}
    return {
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": _inherited(metadata.get("labels"), ()),
            "annotations": _inherited(metadata.get("annotations"), _OF_A_CLAIM),
        },
        "spec": kept,
    }


def is_as_asked(upload: t.Mapping[str, t.Any], volume: Object | None) -> bool:
    """Whether a stored DataVolume has what can be compared without the file."""
    spec = (volume or {}).get("spec") or {}
    return not any(upload[target] for target in ("storage", "pvc")) and all(
        upload[option] in (None, spec.get(field_name(option))) for option in _SPEC_FIELDS
    )


def is_upload_claim(claim: Object) -> bool:
    """Whether CDI takes uploads for a claim that has no DataVolume (upload-populator.go and upload-controller.go, v1.65.0)."""
    return populated_by_source(claim) is not None or UPLOAD_TARGET in annotations_of(claim)


def populated_by_source(claim: Object) -> str | None:
    """The VolumeUploadSource that a claim names."""
    source = claim["spec"].get("dataSourceRef") or {}
    return source.get("name") if source.get("kind") == "VolumeUploadSource" else None


def is_populated(volume: Object | None, claim: Object | None) -> bool:
    if volume is not None:
        return bool(((volume.get("status") or {}).get("phase")) == "Succeeded")
    return is_collected(claim) or annotations_of(claim).get(f"{PREFIX}storage.pod.phase") == "Succeeded"


def plan(
    upload: t.Mapping[str, t.Any], digest: str, volume: Object | None, claim: Object | None, drift: Drift
) -> tuple[str, str]:
    """What to do (CREATE, SEND, REPLACE, RECORD or NOTHING), and why it has to be a replacement.

    `drift`: what differs between the DataVolume that is asked for and the stored one. Raises CdiError when data would have to be deleted
    and the user has not said so.
    """
    if volume is None and claim is None:
        return CREATE, ""
    what = f"{'PersistentVolumeClaim' if volume is None else 'DataVolume'} {upload['namespace']}/{upload['name']}"
    if volume is not None and (volume.get("spec", {}).get("source") or {}).get("upload") is None:
        raise CdiError(f"{what} is filled from another source, and takes no upload; delete it, or give another name.")
    if volume is None and not is_upload_claim(t.cast(Object, claim)):
        raise CdiError(
            f"{what} takes no uploads: it has neither a DataVolume nor a VolumeUploadSource nor the annotation {UPLOAD_TARGET}; "
            "set the annotation when what it holds may be overwritten, or give another name."
        )
    if not is_populated(volume, claim):
        if drift.lines and upload["overwrite"] == "never":
            raise CdiError(
                f"{what} is empty, but its spec differs: {'; '.join(drift.lines)}; a DataVolume's spec is immutable: correct the options, "
                "or say overwrite=different to delete the volume and make it anew."
            )
        begun = annotations_of(claim).get(INTENDED)
        remains = (
            []
            if begun in (None, digest)
            else [f"it has the remains of an unfinished upload of the file with SHA-256 {begun}"]
        )
        # Who makes a claim of their own a target may have put something into it before.
        if (
            remains
            and volume is None
            and populated_by_source(t.cast(Object, claim)) is None
            and upload["overwrite"] == "never"
        ):
            raise CdiError(
                f"{what}: {remains[0]}, and perhaps older data; say overwrite=different to delete it with its data and upload anew."
            )
        why = "; ".join([*drift.lines, *remains])
        return (REPLACE, why) if why else (SEND, "")
    uploaded = annotations_of(claim).get(UPLOADED)
    held = uploaded or annotations_of(claim).get(INTENDED)
    if held == digest and not drift.lines and upload["overwrite"] != "always":
        return (NOTHING, "") if uploaded else (RECORD, "")
    if held == digest and drift.grows_to is not None and upload["overwrite"] != "always":
        raise CdiError(
            f"{what} holds the file, and {drift.lines[0]}; to make it grow with its data declare it with this size and source.upload by module "
            "kubevirt.cdi.data_volume, or say overwrite=always to delete it with its data and upload anew."
        )
    if held != digest:
        why = (
            f"it holds the file with SHA-256 {held}, and {upload['path']} has {digest}"
            if held
            else "it is not known which file it holds"
        )
    else:
        why = "; ".join(drift.lines) or "overwrite is always"
    if upload["overwrite"] == "never":
        keep = "" if held else f", or annotate its claim with {UPLOADED} when you know the file"
        raise CdiError(
            f"{what} is already filled, and {why}; say overwrite=different to delete it with its data and upload anew{keep}."
        )
    return REPLACE, why


def judge_claim_ready(claim: Object | None, around: Evidence | None = None) -> Verdict:
    """Whether bytes can be sent to a claim that has no DataVolume, or what keeps it from that."""
    if claim is None:
        return Verdict(FAILED, "it was deleted while it was waited for")
    if is_populated(None, claim) or annotations_of(claim).get(f"{PREFIX}storage.pod.ready") == "true":
        return Verdict(REACHED)
    verdict = weigh(claim, around) if around else None
    if verdict:
        return verdict
    told = annotations_of(claim).get(f"{PREFIX}storage.condition.running.message") or annotations_of(claim).get(
        f"{PREFIX}storage.condition.bound.message"
    )
    phase = (claim.get("status") or {}).get("phase")
    return Verdict(WAITING, f"it is {phase}, and its upload server is not ready" + (f" ({told})" if told else ""))


class CompletionJudge:
    """Judges a target after its last byte has been sent: CDI may still convert the image, or lose its worker."""

    def __init__(self, target: Object, *, is_claim: bool) -> None:
        self._is_claim = is_claim
        self._restarts = self._read(target)[2]
        self._was_away = False

    def judge(self, stored: Object | None) -> Verdict:
        if stored is None:
            return Verdict(FAILED, "it was deleted")
        if is_populated(None, stored) if self._is_claim else is_populated(stored, None):
            return Verdict(REACHED)
        phase, ready, restarts, message = self._read(stored)
        told = f": {message}" if message else ""
        if phase == "Failed" or restarts > self._restarts:
            return Verdict(FAILED, f"CDI could not process what it was sent{told}")
        if ready and self._was_away:
            return Verdict(FAILED, "the upload server was started anew, and waits for the data again")
        self._was_away = self._was_away or not ready
        return Verdict(WAITING, f"phase {phase}{told}")

    def _read(self, stored: Object) -> tuple[str, bool, int, str]:
        """Phase, whether the upload server is ready, how often it was started again, and what it says."""
        if self._is_claim:
            keys = ("pod.phase", "pod.ready", "pod.restarts", "condition.running.message")
            phase, ready, restarts, message = (
                annotations_of(stored).get(f"{PREFIX}storage.{key}") or "" for key in keys
            )
            return phase, ready == "true", int(restarts or 0), message
        status = stored.get("status") or {}
        phase = status.get("phase") or "Pending"
        return (
            phase,
            phase == "UploadReady",
            status.get("restartCount", 0),
            conditions(stored).get("Running", {}).get("message", ""),
        )


def is_worth_a_retry(status: int, text: str) -> bool:
    """Whether the same bytes may be taken next time: the way was bad, or the server busy or gone; not what it said of the image."""
    return status in (0, 401, 408, 409, 429, 502, 503, 504) or (
        status == 500 and bool(re.search(r"unexpected EOF|connection|timeout|reset", text))
    )


def is_busy(status: int, text: str) -> bool:
    """Whether the upload server is still at what it was sent before, which it says without a word (validateShouldHandleRequest, uploadserver.go, v1.65.0)."""
    return status == 503 and not text


def is_unreached(status: int, text: str) -> bool:
    """Whether the upload proxy found nobody at the upload server's address, so that nothing was taken (uploadproxy.go, v1.61.1)."""
    return status == 502 and "connect: connection refused" in text


def is_full(text: str) -> bool:
    """Whether the upload server had too little room."""
    full = re.search(f"{_TOO_LARGE}|{_NO_SPACE}", text)
    return full is not None and "Invalid format" not in text  # Which CDI says in one sentence.


def told(status: int, text: str) -> str:
    """An answer as a part of a sentence."""
    # A page of what stands before CDI's proxy says no more than the status.
    text = ("" if text.startswith("<") else text.rstrip(".")) or http.client.responses.get(status, "no reason given")
    return f"the upload proxy said: {text} (HTTP {status})" if status else f"the connection broke ({text})"


def remedy(status: int, text: str, image: Image | None = None) -> str:
    """What helps against what the upload server said, or what stands before it, as a sentence of its own."""
    found = next(
        (sentence for words, sentence in _REMEDIES.items() if re.search(words, text)), _REMEDIES_OF_ROUTES.get(status)
    )
    needed = image.needed_size if image else None
    return f" {found.format(needed='more room' if needed is None else f'{needed // MIB}Mi')}" if found else ""


def claim_size(claim: Object) -> int:
    """How much of a claim CDI uses, in bytes: all of a device, and of a file system no more than was asked for (calculateTargetSize,
    pkg/importer/data-processor.go, v1.65.0).
    """
    capacity = ((claim.get("status") or {}).get("capacity") or {}).get("storage")
    asked = int(requested(claim))
    if capacity is None:
        return asked
    return int(parse(capacity)) if claim["spec"].get("volumeMode") == "Block" else min(asked, int(parse(capacity)))


def is_archive_claim(claim: Object) -> bool:
    return annotations_of(claim).get(f"{PREFIX}storage.contentType") == "archive"
