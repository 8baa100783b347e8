# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upload needs, decides and shows."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.spec import Drift
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.rules import INTENDED
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import MIB, Image
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.overhead import NO_OVERHEAD, Overhead
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload import plan as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.transfer import _by_url

DIGEST, OTHER = "a" * 64, "b" * 64
RAW = Image("raw", None, 64 * MIB, 64 * MIB, 64 * MIB)
SAME, ANOTHER, LARGER = Drift([]), Drift(["spec.x is 1 and not 2"]), Drift(["size is 1Gi and not 2Gi"], 2 << 30)


def _upload(**options: Any) -> dict[str, Any]:
    none = dict.fromkeys([*rules.OPTIONS, "checksum"])
    return {**none, "name": "disk", "namespace": "demo", "path": "/disk.raw", "overwrite": "never", **options}


def _target(**options: Any) -> dict[str, Any]:
    return {**dict.fromkeys(rules.OPTIONS["storage"]["options"]), **options}


def _volume(phase: str, restarts: int = 0, message: str = "") -> dict[str, Any]:
    conditions = [{"type": "Running", "status": "True", "message": message}]
    return {
        "metadata": {"name": "disk"},
        "spec": {"source": {"upload": {}}, "storage": {"resources": {"requests": {"storage": "64Mi"}}}},
        "status": {"phase": phase, "restartCount": restarts, "conditions": conditions},
    }


def _claim(**annotations: str) -> dict[str, Any]:
    noted = {
        f"cdi.kubevirt.io/storage.{key.replace('_', '.')}": value
        for key, value in annotations.items()
        if not key.isupper()
    }
    noted.update({getattr(rules, key): value for key, value in annotations.items() if key.isupper()})
    spec = {"resources": {"requests": {"storage": "128Mi"}}}
    return {"metadata": {"name": "disk", "namespace": "demo", "annotations": noted}, "spec": spec}


@pytest.mark.parametrize(
    ("image", "size"),
    [
        (RAW, "64Mi"),
        (RAW._replace(virtual_size=64 * MIB + 1, stored_size=64 * MIB + 1), "65Mi"),
        (Image("qcow2", None, 64 * MIB, 200_000, 200_000), "64Mi"),
        (Image("qcow2", None, 64 * MIB, 70 * MIB, 70 * MIB), "70Mi"),
        (Image("qcow2", "gz", 64 * MIB, None, 70 * MIB), "64Mi"),
    ],
)
def test_the_image_tells_the_size(image: Image, size: str) -> None:
    made = rules.wanted_volume(_upload(), image, NO_OVERHEAD, None)
    assert made["spec"] == {"source": {"upload": {}}, "storage": {"resources": {"requests": {"storage": size}}}}
    assert made["metadata"]["annotations"] == {"cdi.kubevirt.io/storage.bind.immediate.requested": "true"}


@pytest.mark.parametrize(
    ("version", "size"),
    [((1, 65, 0), "68Mi"), ((1, 63, 0), "68Mi"), ((1, 62, 0), "69Mi"), ((1, 61, 1), "69Mi"), ((), "69Mi")],
)
def test_with_pvc_the_overhead_of_the_file_system_is_added(version: tuple[int, ...], size: str) -> None:
    """CDI takes it off again: at 6 per cent 64 MiB are usable of 68 MiB, until 1.62 of 69 MiB (GetUsableSpace, pkg/util/util.go, v1.61.1 and v1.65.0)."""
    upload = _upload(pvc=_target(access_modes=["ReadWriteOnce"]))
    made = rules.wanted_volume(upload, RAW, Overhead(0.06, version), None)
    assert made["spec"]["pvc"]["resources"]["requests"]["storage"] == size
    # The same size is taken when it is given, and kept when it is there.
    given = rules.wanted_volume(_upload(pvc=_target(size=size)), RAW, Overhead(0.06, version), None)
    assert given["spec"]["pvc"]["resources"]["requests"]["storage"] == size
    assert rules.wanted_volume(upload, RAW, Overhead(0.06, version), made)["spec"] == made["spec"]
    blocks = rules.wanted_volume(_upload(pvc=_target(access_modes=["ReadWriteOnce"])), RAW, NO_OVERHEAD, None)
    assert blocks["spec"]["pvc"]["resources"]["requests"]["storage"] == "64Mi"


def test_one_mebibyte_too_little_is_refused() -> None:
    assert rules.wanted_volume(_upload(storage=_target(size="64Mi")), RAW, NO_OVERHEAD, None)
    with pytest.raises(CdiError, match="size is '63Mi', and /disk.raw .raw of 64 MiB. needs 64Mi"):
        rules.wanted_volume(_upload(storage=_target(size="63Mi")), RAW, NO_OVERHEAD, None)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (Image("vhdx", "gz", None, None, 5), "because decompressing it requires too much memory or time; {remedy}."),
        (
            Image(None, "zst", None, None, 5),
            "because it is compressed with zstd and this Python has no decompressor for it; {remedy}, or install one on "
            "the host that runs the task: pip install backports.zstd.",
        ),
    ],
)
def test_size_is_required_when_the_image_does_not_give_one(image: Image, why: str) -> None:
    for target in ("storage", "pvc"):
        with pytest.raises(CdiError) as refused:
            rules.wanted_volume(_upload(pvc=_target() if target == "pvc" else None), image, NO_OVERHEAD, None)
        remedy = f"give {target}.size for disk, for example 10Gi"
        assert str(refused.value) == f"Cannot read the size of the disk in /disk.raw, {why.format(remedy=remedy)}"
        assert rules.wanted_volume(_upload(**{target: _target(size="1Gi")}), image, NO_OVERHEAD, None)


@pytest.mark.parametrize(
    ("path", "asked", "becomes"),
    [
        ("/disk.raw.zst", None, None),
        ("/disk.raw.zst", "archive", "archive"),
        ("/files.tar.zst", None, "archive"),
        ("/files.tar.zst", "kubevirt", "kubevirt"),
    ],
)
def test_the_name_decides_about_an_archive_that_cannot_be_decompressed(
    path: str, asked: str | None, becomes: str | None
) -> None:
    upload = {**_upload(content_type=asked), "path": path}
    assert rules.content_type(upload, Image(None, "zst", None, None, 5)) == becomes


def test_what_is_not_asked_for_stays_as_it_is_and_nothing_of_an_old_life_is_inherited() -> None:
    stored = _volume("Succeeded")
    stored["spec"].update(
        preallocation=True, storage={"resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Block"}
    )
    stored["metadata"].update(
        labels={"instancetype.kubevirt.io/default-preference": "fedora", "kubevirt.cdi/x": "y"},
        annotations={"cdi.kubevirt.io/storage.usePopulator": "true", "team": "a", INTENDED: OTHER},
    )
    made = rules.wanted_volume(_upload(annotations={"new": 1}), RAW, NO_OVERHEAD, stored)
    assert made["spec"] == stored["spec"]
    assert made["metadata"]["labels"] == {"instancetype.kubevirt.io/default-preference": "fedora"}
    assert set(made["metadata"]["annotations"]) == {"team", "new", "cdi.kubevirt.io/storage.bind.immediate.requested"}


@pytest.mark.parametrize(
    ("overwrite", "uploaded", "intended", "drift", "action"),
    [
        ("never", DIGEST, DIGEST, SAME, rules.NOTHING),
        ("never", None, DIGEST, SAME, rules.RECORD),
        (
            "never",
            OTHER,
            DIGEST,
            SAME,
            "is already filled, and it holds the file with SHA-256 b+, and /disk.raw has a+",
        ),
        ("never", None, None, SAME, "it is not known which file it holds.*annotate its claim"),
        ("never", DIGEST, DIGEST, ANOTHER, "spec.x is 1 and not 2; say overwrite=different"),
        ("never", DIGEST, DIGEST, LARGER, "holds the file, and size is 1Gi and not 2Gi; to make it grow with its data"),
        ("different", DIGEST, DIGEST, SAME, rules.NOTHING),
        ("different", None, DIGEST, SAME, rules.RECORD),
        ("different", OTHER, None, SAME, rules.REPLACE),
        ("different", OTHER, None, LARGER, rules.REPLACE),
        ("different", None, None, SAME, rules.REPLACE),
        ("different", DIGEST, DIGEST, ANOTHER, rules.REPLACE),
        ("different", DIGEST, DIGEST, LARGER, "or say overwrite=always to delete it with its data"),
        ("always", DIGEST, DIGEST, SAME, rules.REPLACE),
        ("always", DIGEST, DIGEST, LARGER, rules.REPLACE),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_a_filled_volume_is_replaced_only_in_words(
    alone: bool, overwrite: str, uploaded: str | None, intended: str | None, drift: Drift, action: str
) -> None:
    noted = {name: value for name, value in (("UPLOADED", uploaded), ("INTENDED", intended)) if value}
    claim = _claim(pod_phase="Succeeded", UPLOAD_TARGET="", **noted)
    arguments = (_upload(overwrite=overwrite), DIGEST, None if alone else _volume("Succeeded"), claim, drift)
    if " " in action:
        with pytest.raises(CdiError, match=action):
            rules.plan(*arguments)
    else:
        assert rules.plan(*arguments)[0] == action


def test_an_empty_volume_is_sent_to_and_a_missing_one_created() -> None:
    assert rules.plan(_upload(), DIGEST, None, None, SAME)[0] == rules.CREATE
    assert rules.plan(_upload(), DIGEST, _volume("UploadReady"), None, SAME) == (rules.SEND, "")
    assert rules.plan(_upload(), DIGEST, _volume("UploadReady"), _claim(INTENDED=DIGEST), SAME) == (rules.SEND, "")
    with pytest.raises(CdiError, match="is empty, but its spec differs"):
        rules.plan(_upload(), DIGEST, _volume("UploadReady"), _claim(), ANOTHER)


def test_the_remains_of_another_file_are_thrown_away_without_a_word() -> None:
    """CDI would write over them, or even make a disk of them."""
    action, why = rules.plan(_upload(), DIGEST, _volume("UploadReady"), _claim(INTENDED=OTHER), SAME)
    assert (
        action == rules.REPLACE
        and why == f"it has the remains of an unfinished upload of the file with SHA-256 {OTHER}"
    )
    arguments = (DIGEST, _volume("UploadReady"), _claim(INTENDED=OTHER), ANOTHER)
    assert rules.plan(_upload(overwrite="different"), *arguments) == (rules.REPLACE, f"spec.x is 1 and not 2; {why}")
    with pytest.raises(CdiError, match="is empty, but its spec differs: spec.x is 1 and not 2;"):
        rules.plan(_upload(), *arguments)


def test_in_a_claim_that_became_a_target_later_may_be_more_than_remains() -> None:
    claim = _claim(UPLOAD_TARGET="", INTENDED=OTHER)
    with pytest.raises(
        CdiError, match=f"demo/disk: it has the remains .*{OTHER}, and perhaps older data; say overwrite="
    ):
        rules.plan(_upload(), DIGEST, None, claim, SAME)
    assert rules.plan(_upload(overwrite="different"), DIGEST, None, claim, SAME)[0] == rules.REPLACE
    assert rules.plan(_upload(), OTHER, None, claim, SAME)[0] == rules.SEND
    claim["spec"]["dataSourceRef"] = {"kind": "VolumeUploadSource", "name": "target"}
    assert rules.plan(_upload(), DIGEST, None, claim, SAME)[0] == rules.REPLACE


def test_a_volume_with_another_source_takes_no_upload() -> None:
    volume = _volume("Succeeded")
    volume["spec"]["source"] = {"blank": {}}
    with pytest.raises(CdiError, match="filled from another source"):
        rules.plan(_upload(overwrite="always"), DIGEST, volume, _claim(), SAME)
    with pytest.raises(CdiError, match="takes no uploads"):
        rules.plan(_upload(overwrite="always"), DIGEST, None, _claim(), SAME)


def test_a_claim_of_somebody_else_is_not_deleted() -> None:
    claim = _claim(pod_phase="Succeeded", UPLOAD_TARGET="")
    claim["spec"]["volumeName"] = "pv-1"
    claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes"
    again = rules.recreated_claim(claim)
    assert again["metadata"]["annotations"] == {rules.UPLOAD_TARGET: ""} and "volumeName" not in again["spec"]
    claim["metadata"]["ownerReferences"] = [{"kind": "VirtualMachine", "name": "vm", "controller": True}]
    with pytest.raises(CdiError, match="belongs to VirtualMachine vm"):
        rules.refuse_owned("PersistentVolumeClaim", claim)


def test_after_the_last_byte_the_volume_itself_tells_the_truth() -> None:
    finish = rules.CompletionJudge(_volume("UploadReady", restarts=1), is_claim=False)
    assert finish.judge(_volume("UploadReady", restarts=1)).state == WAITING
    assert finish.judge(_volume("Succeeded", restarts=1)).state == REACHED
    failed = finish.judge(_volume("UploadReady", restarts=2, message="qemu-img failed"))
    assert failed.state == FAILED and "qemu-img failed" in failed.reason
    assert finish.judge(_volume("UploadScheduled", restarts=1)).state == WAITING
    assert "waits for the data again" in finish.judge(_volume("UploadReady", restarts=1)).reason
    assert finish.judge(None).state == FAILED


def test_a_claim_tells_it_by_its_annotations() -> None:
    finish = rules.CompletionJudge(_claim(pod_ready="true", pod_restarts="0"), is_claim=True)
    assert finish.judge(_claim(pod_phase="Running", pod_ready="true", pod_restarts="0")).state == WAITING
    assert finish.judge(_claim(pod_phase="Running", pod_ready="true", pod_restarts="1")).state == FAILED
    assert finish.judge(_claim(pod_phase="Succeeded")).state == REACHED
    assert rules.judge_claim_ready(_claim(pod_ready="true")).state == REACHED
    assert rules.judge_claim_ready(_claim()).state == WAITING
    assert rules.judge_claim_ready(None).state == FAILED


def test_what_keeps_a_claim_from_uploads_is_known_from_its_events() -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "thin"}
    claim = {"metadata": {"name": "disk", "uid": "u"}, "spec": spec, "status": {"phase": "Pending"}}
    about = {"uid": "u", "kind": "PersistentVolumeClaim", "name": "disk"}
    said = {
        "metadata": {"uid": "e"},
        "involvedObject": about,
        "reason": "ErrExceededQuota",
        "message": "exceeded quota",
    }
    verdict = rules.judge_claim_ready(claim, Evidence([said]))
    assert verdict.state == FAILED and "raise the namespace's quota" in verdict.reason
    assert "claim disk of storage class thin is not bound" in rules.judge_claim_ready(claim, Evidence()).reason
    bound = {**claim, "status": {"phase": "Bound"}}
    assert "its upload server is not ready" in rules.judge_claim_ready(bound, Evidence()).reason


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, True),
        ({"preallocation": True}, True),
        ({"preallocation": False}, False),
        ({"content_type": "archive"}, False),
        ({"pvc": {"size": "1Gi"}}, False),
    ],
)
def test_what_a_checksum_does_not_tell_is_compared_without_the_file(asked: dict[str, Any], expected: bool) -> None:
    options = ("storage", "pvc", "content_type", "preallocation", "priority_class_name", "service_account_name")
    assert rules.is_as_asked({**dict.fromkeys(options), **asked}, {"spec": {"preallocation": True}}) is expected


@pytest.mark.parametrize(
    ("status", "text", "again"),
    [
        (0, "Connection reset by peer", True),
        (401, "", True),
        (502, "error in upload-proxy", True),
        (503, "rejecting Upload Request", True),
        (500, "Saving stream failed: unexpected EOF", True),
        (500, "Saving stream failed: Invalid format qcow for image", False),
        (400, "Saving stream failed: effective image size is larger than the reported available storage", False),
        (
            400,
            "Saving stream failed: virtual image size 67108864 is larger than the reported available storage 62914560. A larger PVC is required",
            False,
        ),
        (500, "Saving stream failed: unable to write to file: write /data/disk.img: no space left on device", False),
    ],
)
def test_only_what_may_be_another_way_next_time_is_tried_again(status: int, text: str, again: bool) -> None:
    assert rules.is_worth_a_retry(status, text) is again


@pytest.mark.parametrize(
    ("status", "text", "said", "remedy"),
    [
        (
            *(400, "effective image size is larger than 64 MiB.", "larger than 64 MiB (HTTP 400)"),
            " The image needs 64Mi; request at least that, or omit the size.",
        ),
        (
            *(
                400,
                "virtual image size 67108864 is larger than the reported available storage 62914560. A larger PVC is required",
                "required (HTTP 400)",
            ),
            " The image needs 64Mi; request at least that, or omit the size.",
        ),
        (
            *(
                500,
                "unable to write to file: write /scratch/tmpimage: no space left on device",
                "left on device (HTTP 500)",
            ),
            " The image needs 64Mi; request at least that, or omit the size, and make room in the storage if it has less left.",
        ),
        (500, "could not process image header", "(HTTP 500)", " Give a whole image in a format that CDI reads."),
        (503, "", "the upload proxy said: Service Unavailable (HTTP 503)", ""),
        (
            *(
                500,
                "to scratch space: failed to pull image: writeMatch: distance out of range",
                "out of range (HTTP 500)",
            ),
            " CDI spoils some files in xz or zst while it looks at their header: unpack the file, or pack it with gzip.",
        ),
        (500, "failed to pull image: input/output error", "input/output error (HTTP 500)", ""),
        (599, "", "the upload proxy said: no reason given (HTTP 599)", ""),
        (0, "Broken pipe", "the connection broke (Broken pipe)", ""),
        (
            *(413, "<html> <head><title>413 Request Entity Too Large", " Too Large (HTTP 413)"),
            " Let the route to the upload proxy take bodies of any size (of an nginx Ingress: proxy-body-size 0).",
        ),
        (404, "<html>", "said: Not Found (HTTP 404)", " Correct upload_proxy_url: it leads to no upload proxy."),
    ],
)
def test_what_the_proxy_says_is_passed_on_with_what_helps(status: int, text: str, said: str, remedy: str) -> None:
    assert rules.told(status, text).endswith(said)
    assert rules.remedy(status, text, RAW) == remedy
    assert rules.is_full(text) is ("larger" in text or "no space" in text)


@pytest.mark.parametrize(
    ("checksum", "fault"),
    [
        (f"sha256:{DIGEST.upper()}", None),
        (DIGEST, "give sha256: and the 64 hexadecimal digits"),
        ("sha256:abc", "give sha256: and the 64 hexadecimal digits"),
        ("md5:" + "a" * 64, "give sha256: and the 64 hexadecimal digits"),
    ],
)
def test_a_checksum_is_a_sha256(checksum: str, fault: str | None) -> None:
    upload = _upload(checksum=checksum)
    if fault:
        with pytest.raises(CdiError, match=fault):
            rules.check(upload)
    else:
        rules.check(upload)
        assert rules.digest_of(checksum) == DIGEST


@pytest.mark.parametrize(
    ("asked", "form", "becomes"),
    [
        (None, "raw", None),
        (
            None,
            "tar",
            "/disk.raw is a tar archive, perhaps an exported volume.*set content_type=archive.*or unpack it first",
        ),
        ("archive", "tar", "archive"),
        ("kubevirt", "iso", "kubevirt"),
        ("archive", "qcow2", "is a disk image .qcow2.; give a tar archive, or leave content_type out"),
        ("kubevirt", "tar", "is a tar archive; give a disk image, or leave content_type out"),
    ],
)
def test_the_file_tells_whether_it_is_an_archive(asked: str | None, form: str, becomes: str | None) -> None:
    arguments = (_upload(content_type=asked), RAW._replace(format=form))
    if becomes and " " in becomes:
        with pytest.raises(CdiError, match=becomes):
            rules.content_type(*arguments)
    else:
        assert rules.content_type(*arguments) == becomes


@pytest.mark.parametrize(
    "name", ["files.tar", "files.tar.gz", "FILES.TGZ", "files.tar.xz", "files.txz", "files.tar.zst"]
)
def test_a_tar_archive_that_is_named_so_is_one(name: str) -> None:
    upload = {**_upload(), "path": f"/{name}"}
    assert rules.content_type(upload, RAW._replace(format="tar")) == "archive"
    with pytest.raises(
        CdiError, match="is an OVA.*To unpack the archive itself into the volume, set content_type=archive"
    ):
        rules.content_type(upload, RAW._replace(format="tar", wraps="an OVA; unpack it"))
    upload["content_type"] = "archive"
    assert rules.content_type(upload, RAW._replace(format="tar", wraps="an OVA; unpack it")) == "archive"


def test_into_a_volume_for_archives_goes_a_tar_archive_of_any_name() -> None:
    stored = _volume("UploadReady")
    stored["spec"]["contentType"] = "archive"
    assert (
        rules.wanted_volume(_upload(), RAW._replace(format="tar"), NO_OVERHEAD, stored)["spec"]["contentType"]
        == "archive"
    )
    assert rules.wanted_volume(_upload(), RAW, NO_OVERHEAD, stored)["spec"]["contentType"] == "kubevirt"


def test_cdi_uses_all_of_a_device_and_of_a_file_system_what_was_asked_for() -> None:
    claim = _claim()
    assert rules.claim_size(claim) == 128 * MIB
    claim["status"] = {"capacity": {"storage": "1Gi"}}
    assert rules.claim_size(claim) == 128 * MIB
    claim["spec"]["volumeMode"] = "Block"
    assert rules.claim_size(claim) == 1024 * MIB


def test_a_claim_for_an_archive_says_so() -> None:
    assert rules.is_archive_claim(_claim(contentType="archive"))
    assert not rules.is_archive_claim(_claim(contentType="kubevirt"))


@pytest.mark.parametrize("url", ["http://proxy.example.com", "ftp://x"])
def test_a_token_never_travels_in_the_clear(url: str) -> None:
    with pytest.raises(CdiError, match="give an https URL"):
        _by_url("url", url, None, "", "cdi-uploadproxy.cdi.svc")


def test_an_unreadable_ca_is_named() -> None:
    with pytest.raises(CdiError, match="upload_proxy_ca"):
        _by_url("url", "proxy.example.com", "no certificate", "", "cdi-uploadproxy.cdi.svc")
