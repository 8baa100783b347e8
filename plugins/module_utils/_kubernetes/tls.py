# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS contexts with the trust of kubectl: the given CA, else the store of the system or SSL_CERT_FILE."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
import typing as t

from .access import Pem
from .errors import CdiError

_PEM = "give it in PEM format"


def context_of(
    *,
    verify: bool = True,
    ca: Pem | None = None,
    certificate: Pem | None = None,
    key: Pem | None = None,
    system_too: bool = False,
) -> ssl.SSLContext:
    """The context of a client. Raises CdiError with the option or field, and the file, that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    # Like Go, trust each given certificate, also one that is not self-signed.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca:
        _trust(context, ca)
    if verify and (system_too or not ca):
        context.load_default_certs()
    if certificate and key:
        _identify(context, certificate, key)
    return context


def _trust(context: ssl.SSLContext, ca: Pem) -> None:
    try:
        context.load_verify_locations(cadata=content_of(ca).decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise CdiError(f"{ca.source} contains no valid CA certificate; {_PEM}.") from None


def _identify(context: ssl.SSLContext, certificate: Pem, key: Pem) -> None:
    parts = {"certificate": content_of(certificate), "key": content_of(key)}
    if b"-----BEGIN CERTIFICATE-----" not in parts["certificate"]:
        swapped = b"PRIVATE KEY-----" in parts["certificate"] and b"-----BEGIN CERTIFICATE-----" in parts["key"]
        raise CdiError(
            f"{certificate.source} contains no certificate; "
            f"{'certificate and key seem to be swapped' if swapped else _PEM}."
        )
    if b"PRIVATE KEY-----" not in parts["key"]:
        raise CdiError(f"{key.source} contains no private key; {_PEM}.")
    with _as_path(parts["certificate"]) as certificate_path, _as_path(parts["key"]) as key_path:
        try:
            context.load_cert_chain(certificate_path, key_path, password="")
        except ssl.SSLError as exc:
            if exc.reason == "KEY_VALUES_MISMATCH":
                raise CdiError(
                    f"{key.source} is not the key of {certificate.source}; set the key that belongs to the certificate."
                ) from None
            why = exc.reason or "not valid PEM"
            raise CdiError(
                f"{certificate.source} and {key.source} cannot be used ({why}); {_PEM}, the key without a password."
            ) from None


def content_of(pem: Pem) -> bytes:
    """The data, or the current content of the file."""
    if pem.data or not pem.path:
        return pem.data
    try:
        with open(pem.path, "rb") as file:
            return file.read()
    except OSError as exc:
        raise CdiError(f"{pem.source} cannot be read ({exc.strerror}); set the path of a PEM file.") from exc


@contextlib.contextmanager
def _as_path(content: bytes) -> t.Iterator[str]:
    """A path for OpenSSL, of an unlinked file, so that no key is left behind in any case."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
