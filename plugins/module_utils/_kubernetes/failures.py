# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a request got no answer: what urllib3, TLS or the socket raised, as a sentence with a remedy. Sends nothing."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import typing as t

from .access import Access
from .answers import MOST_WORDS, NoAnswer, short

# The errors of OpenSSL for a certificate with a different host name or address.
_HOST_MISMATCH = (62, 64)
# The errors for a certificate that is not valid yet, and for an expired one.
_OUT_OF_TIME = (9, 10)

# The beginning of messages of urllib3.
_OBJECT_SHOWN = re.compile(r"^(<[^>]*>|HTTPS?Connection(Pool)?\([^)]*\)): ")
# The other end does not speak TLS (the names of OpenSSL 1.1 and 3): a retry cannot succeed.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")


def no_answer(access: Access, exc: Exception) -> NoAnswer:
    """The sentence for what urllib3, TLS or the socket raised."""
    from urllib3 import exceptions as errors

    known = (errors.HTTPError, http.client.HTTPException, OSError, ValueError)
    if not isinstance(exc, known):
        raise exc
    causes = list(_causes(exc))
    other = _other_protocol(causes)
    if other:
        return NoAnswer(f"{access.host} {other}", sent=False, final=True)
    cut = next((cause for cause in causes if isinstance(cause, http.client.IncompleteRead)), None)
    if cut is not None:
        return NoAnswer(
            f"the answer from {access.host} was cut off; check the proxies on the way, and that the API server runs",
            sent=True,
        )
    final = any(_is_final(cause) for cause in causes)
    unsent = final or any(
        isinstance(cause, (errors.NewConnectionError, errors.ConnectTimeoutError, errors.ProxyError))
        for cause in causes
    )
    late = any(isinstance(cause, (errors.TimeoutError, socket.timeout)) for cause in causes)
    return NoAnswer(short(unreachable(access, exc), MOST_WORDS), sent=not unsent, final=final, late=late)


def unreachable(access: Access, exc: BaseException) -> str:
    """Why there is no answer, with a remedy, from the errors that urllib3 wrapped."""
    from urllib3 import exceptions

    of_proxy = any(isinstance(each, exceptions.ProxyError) for each in wrapped(exc))
    cause = wrapped(exc)[-1]
    proxy = access.proxy
    if isinstance(cause, ssl.SSLCertVerificationError):
        if of_proxy and proxy:
            return (
                f"the certificate of the proxy {proxy.url} is not valid ({cause.verify_message}); "
                "add its CA to the store of the system, or to ca_cert"
            )
        if cause.verify_code in _HOST_MISMATCH:
            name = access.server_name
            named = f", requested as {name!r}," if name else ""
            return (
                f"the certificate of {access.host}{named} is for other names ({cause.verify_message}); "
                "use a name of the certificate in host, or set tls-server-name in the kubeconfig to one"
            )
        remedy = (
            "renew it, or correct the clock of the host that runs the task"
            if cause.verify_code in _OUT_OF_TIME
            else "set its CA as ca_cert"
        )
        return f"the certificate of {access.host} is not valid ({cause.verify_message}); {remedy}"
    shown = without_object(cause)
    if isinstance(cause, ssl.SSLError) and cause.reason in (
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "RECORD_LAYER_FAILURE",
    ):
        return f"{access.place} does not speak TLS ({cause.reason}); check the port, or write host as http://"
    checked = f"host, {proxy.source}" if proxy else "host, proxy"
    return (
        f"no answer from the Kubernetes API at {access.place} ({shown}); check {checked} and that the API server runs"
    )


def wrapped(exc: BaseException) -> list[BaseException]:
    """An error and the errors that it wraps, from the outside in."""
    chain = [exc]
    while True:
        inner = getattr(chain[-1], "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((each for each in reversed(chain[-1].args) if isinstance(each, BaseException)), None)
        if inner is None:
            inner = getattr(chain[-1], "original_error", None)
        if not isinstance(inner, BaseException) or inner in chain:
            return chain
        chain.append(inner)


def without_object(exc: BaseException) -> str:
    """The text of an error of urllib3, without the connection at its beginning."""
    return _OBJECT_SHOWN.sub("", str(exc))


def _causes(exc: BaseException) -> t.Iterator[BaseException]:
    """The error and the errors that it wraps."""
    seen: set[int] = set()
    waiting: list[t.Any] = [exc]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [getattr(each, "reason", None), each.__cause__, each.__context__, *each.args]


def _other_protocol(causes: t.Iterable[BaseException]) -> str:
    """What the other end speaks instead of HTTP; empty when it may be HTTP."""
    for cause in causes:
        # A server that closes the connection without an answer may be restarting.
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, http.client.RemoteDisconnected):
            begins = str(cause.args[0] if cause.args else "").lstrip("'\"b")
            if begins.startswith(("\x15\x03", "\x16\x03", "\\x15\\x03")):
                return "speaks TLS; write host with https://"
            return f"does not speak HTTP (it sent: {short(begins, 60)}); check host and its port"
    return ""


def _is_final(cause: BaseException) -> bool:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return True
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        words = str(cause.reason or cause).upper().replace(" ", "_")
        return "ALERT" in words or any(word in words for word in _NO_TLS)
    # The proxy's answer to CONNECT: http.client puts it into the error's text.
    return isinstance(cause, OSError) and str(cause).startswith(
        ("Tunnel connection failed: 4", "Tunnel connection failed: 3")
    )
