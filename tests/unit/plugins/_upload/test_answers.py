# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers of the upload proxy, and the remedies."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.answers import Answer

from tests.upload_samples import (
    RAW,
)


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
            "Saving stream failed: virtual image size 67108864 is larger than the reported available storage "
            "62914560. A larger PVC is required",
            False,
        ),
        (500, "Saving stream failed: unable to write to file: write /data/disk.img: no space left on device", False),
    ],
)
def test_answer_is_worth_a_retry_when_the_image_was_not_refused(status: int, text: str, again: bool) -> None:
    assert Answer(status, text).is_worth_a_retry is again


@pytest.mark.parametrize(
    ("status", "text", "said", "remedy"),
    [
        (
            *(400, "effective image size is larger than 64 MiB.", "larger than 64 MiB (HTTP 400)"),
            " The image needs 64Mi; request at least that, or omit the size, or remove other files from the volume.",
        ),
        (
            *(
                400,
                "virtual image size 67108864 is larger than the reported available storage 62914560. A larger PVC is "
                "required",
                "required (HTTP 400)",
            ),
            " The image needs 64Mi; request at least that, or omit the size, or remove other files from the volume.",
        ),
        (
            *(
                500,
                "unable to write to file: write /scratch/tmpimage: no space left on device",
                "left on device (HTTP 500)",
            ),
            " The image needs 64Mi; request at least that, or omit the size, and free space in the storage if it is "
            "full.",
        ),
        (500, "could not process image header", "(HTTP 500)", " Give a complete image in a format that CDI reads."),
        (503, "", "the upload proxy said: Service Unavailable (HTTP 503)", ""),
        (
            *(
                500,
                "to scratch space: failed to pull image: writeMatch: distance out of range",
                "out of range (HTTP 500)",
            ),
            " CDI corrupts some files in xz or zst while it inspects their header: decompress the file, or compress "
            "it with gzip.",
        ),
        (500, "failed to pull image: input/output error", "input/output error (HTTP 500)", ""),
        (599, "", "the upload proxy said: no reason given (HTTP 599)", ""),
        (0, "Broken pipe", "the connection broke (Broken pipe)", ""),
        (
            *(413, "<html> <head><title>413 Request Entity Too Large", " Too Large (HTTP 413)"),
            " Configure the route to the upload proxy to accept bodies of any size (for an nginx Ingress: "
            "proxy-body-size 0).",
        ),
        (404, "<html>", "said: Not Found (HTTP 404)", " Correct upload_proxy_url: it leads to no upload proxy."),
    ],
)
def test_answer_is_reported_with_its_remedy(status: int, text: str, said: str, remedy: str) -> None:
    assert Answer(status, text).reason.endswith(said)
    assert Answer(status, text).remedy(RAW) == remedy
    assert Answer(status, text).is_full is ("larger" in text or "no space" in text)
