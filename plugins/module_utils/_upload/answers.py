# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the answers of the upload proxy and the upload server mean, and the remedies. Pure rules."""

from __future__ import annotations

import http.client
import re
import typing as t

from .._diagnosis.rules import SPOILT
from .._image.formats import Image
from .._kubernetes.quantity import MIB

# For what stands in front of CDI's upload proxy.
_REMEDIES_OF_ROUTES = {
    **dict.fromkeys(
        (301, 302, 303, 307, 308), "The upload token is for this address only: give the right one as upload_proxy_url."
    ),
    404: "Correct upload_proxy_url: it leads to no upload proxy.",
    413: "Configure the route to the upload proxy to accept bodies of any size "
    "(for an nginx Ingress: proxy-body-size 0).",
}
# Since 1.63, CDI reports that the effective image size is larger; before that, the size (uploadserver.go and qemu.go,
# v1.61.1 and v1.65.0).
_TOO_LARGE = r"image size (\d+ )?is larger"
_NO_SPACE = "no space left on device|disk quota exceeded"
_REQUEST_MORE = "The image needs {needed}; request at least that, or omit the size"
# For what CDI reports, by regular expressions.
_REMEDIES = {
    "Invalid format": "Give an image in a format that CDI reads (raw, qcow2, vmdk, vdi, vhd, vhdx).",
    _TOO_LARGE: f"{_REQUEST_MORE}, or remove other files from the volume.",
    _NO_SPACE: f"{_REQUEST_MORE}, and free space in the storage if it is full.",
    "image header": "Give a complete image in a format that CDI reads.",
    SPOILT: "CDI corrupts some files in xz or zst while it inspects their header: "
    "decompress the file, or compress it with gzip.",
}
# No answer, success, or the upload proxy reports that it got no answer.
_NO_REFUSAL = (0, 200, 502, 504)
# The token is refused, or another upload is running: no byte was taken (validateShouldHandleRequest in
# pkg/uploadserver/uploadserver.go, v1.65.0).
_NOTHING_TAKEN = (401, 503)


class Answer(t.NamedTuple):
    """The answer of the proxy or the upload server; status 0 if the connection broke."""

    status: int
    text: str

    @property
    def is_refusal(self) -> bool:
        """Whether the data was refused, so that CDI cannot be at work on all of it."""
        return self.status not in _NO_REFUSAL or self.is_unreached

    @property
    def nothing_taken(self) -> bool:
        """Whether the upload server took no byte."""
        return self.is_unreached or self.status in _NOTHING_TAKEN

    @property
    def is_worth_a_retry(self) -> bool:
        """Whether the same data may be accepted next time: the connection broke, or the server was busy or gone; it
        did not refuse the image.
        """
        return self.status in (0, 401, 408, 409, 429, 502, 503, 504) or (
            self.status == 500 and bool(re.search(r"unexpected EOF|connection|timeout|reset", self.text))
        )

    @property
    def is_busy(self) -> bool:
        """Whether the upload server still processes what it was sent before, which it reports without a text
        (validateShouldHandleRequest, uploadserver.go, v1.65.0).
        """
        return self.status == 503 and not self.text

    @property
    def is_unreached(self) -> bool:
        """Whether the upload proxy found no upload server at its address, so that nothing was taken (uploadproxy.go,
        v1.61.1).
        """
        return self.status == 502 and "connect: connection refused" in self.text

    @property
    def is_full(self) -> bool:
        """Whether the upload server had too little space. CDI reports an invalid format in the same sentence."""
        return re.search(f"{_TOO_LARGE}|{_NO_SPACE}", self.text) is not None and "Invalid format" not in self.text

    @property
    def reason(self) -> str:
        """The answer as a clause."""
        if not self.status:
            return f"the connection broke ({self.text.rstrip('.') or 'no reason given'})"
        # A page of what stands in front of CDI's proxy says no more than the status.
        text = "" if self.text.startswith("<") else self.text.rstrip(".")
        text = text or http.client.responses.get(self.status, "no reason given")
        return f"the upload proxy said: {text} (HTTP {self.status})"

    def remedy(self, image: Image | None = None) -> str:
        """The remedy as a sentence with a leading space, empty if none is known."""
        found = next((remedy for words, remedy in _REMEDIES.items() if re.search(words, self.text)), None)
        found = found or _REMEDIES_OF_ROUTES.get(self.status)
        needed = image.needed_size if image else None
        return f" {found.format(needed='more space' if needed is None else f'{needed // MIB}Mi')}" if found else ""
