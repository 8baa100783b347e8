# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and pushes a container disk in a registry, by the Python package python-dxf."""

from __future__ import annotations

import contextlib
import io
import re
import ssl
import typing as t

from .._kubernetes.answers import Answer, short, value_of
from .._kubernetes.errors import CdiError
from .._kubernetes.failures import without_object, wrapped
from .._kubernetes.secrets import remember
from .container_disk import ContainerDisk, digest_of

# Without an answer for so long, the connection counts as broken. Some registries copy a blob before they answer.
_SECONDS = 300
# HOST[:PORT]/REPOSITORY[:TAG], as in the distribution specification of OCI (v1.1).
_COMPONENT = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?P<host>(?:[\w-]+\.)*[\w-]+|\[[0-9a-fA-F:]+\])(?P<port>:\d{{1,5}})?/(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?",
    re.ASCII,
)
_EXAMPLE = "for example registry.example.com/disks/debian:13"


class Name(t.NamedTuple):
    """The name of an image. `host` has the port, if there is one."""

    host: str
    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}:{self.tag}"

    def at(self, digest: str) -> str:
        """The name of the content, whatever the tag refers to later."""
        return f"{self.host}/{self.repository}@{digest}"


def parse(image: str) -> Name:
    """The parts of option `image`; the tag is `latest` if there is none. Raises CdiError for any other text."""
    if "://" in image:
        raise CdiError(f"image is {short(image)!r}; leave out the scheme, {_EXAMPLE}.")
    if "@" in image:
        raise CdiError(f"image is {short(image)!r}; give a tag instead of a digest, {_EXAMPLE}.")
    found = _NAME.fullmatch(image)
    host = found["host"] if found else ""
    if not found or not (found["port"] or "." in host or ":" in host or host == "localhost"):
        raise CdiError(f"image is {short(image)!r}; give HOST[:PORT]/REPOSITORY[:TAG] in lower case, {_EXAMPLE}.")
    return Name(host + (found["port"] or ""), found["repository"], found["tag"] or "latest")


class Registry:
    """The repository of an image. Each method raises CdiError, one sentence, if the registry refuses or is not there.

    `ca` is the path of a file with certificates in PEM that replace those of the system. The password is not sent over
    plain HTTP.
    """

    def __init__(self, name: Name, *, username: str, password: str, ca: str, plain_http: bool) -> None:
        try:
            import dxf
        except ImportError as exc:
            raise CdiError(
                "The Python package python-dxf is missing on the host that runs this task; "
                "install it there with: pip install python-dxf."
            ) from exc
        self._name, self._plain_http = name, plain_http
        self._credentials = (username, password) if username else (None, None)
        self._repository = dxf.DXF(
            name.host,
            name.repository,
            self._log_in,
            insecure=plain_http,
            tlsverify=ca or True,
            timeout=_SECONDS,
        )

    def digest(self) -> str | None:
        """The digest of the image with this tag, None if there is none."""
        import requests

        with self._errors("read"):
            try:
                _manifest, answer = self._repository.get_manifest_and_response(self._name.tag)
            except requests.exceptions.HTTPError as exc:
                if exc.response is None or exc.response.status_code != 404 or _code(exc.response) == "":
                    raise
                return None
            if "schemaVersion" not in (_value(answer)):
                raise ValueError("the answer is no manifest")
            return digest_of(answer.content)

    def push(self, disk: ContainerDisk, sent: t.Callable[[int], t.Any]) -> None:
        """Push what the registry lacks, the tag at the end. `sent` is called with the number of bytes so far."""
        with self._errors("push"), self._repository:
            self._repository.push_blob(data=disk.layer(sent), digest=disk.layer_digest)
            self._repository.push_blob(data=io.BytesIO(disk.config), digest=digest_of(disk.config))
            self._repository.set_manifest(self._name.tag, disk.manifest.decode())

    def _log_in(self, repository: t.Any, answer: t.Any) -> None:
        username, password = self._credentials
        token = repository.authenticate(username, password, response=answer)
        if token:
            remember([token])

    @contextlib.contextmanager
    def _errors(self, verb: str) -> t.Iterator[None]:
        import dxf.exceptions
        import requests

        try:
            yield
        except CdiError:
            raise
        except dxf.exceptions.DXFAuthInsecureError as exc:
            raise self._error(
                verb, "the registry requires a login, which is not sent over plain HTTP", _OVER_TLS
            ) from exc
        except dxf.exceptions.DXFUnauthorizedError as exc:
            found = "the registry rejected the credentials" if self._credentials[0] else "the registry requires a login"
            raise self._error(verb, f"{found} (HTTP 401)", _LOGIN) from exc
        except requests.exceptions.HTTPError as exc:
            raise self._error(verb, *_refusal(exc.response)) from exc
        except requests.exceptions.SSLError as exc:
            raise self._error(verb, *self._tls(exc)) from exc
        except requests.exceptions.RequestException as exc:
            raise self._error(
                verb, f"no answer from {self._name.host} ({short(without_object(wrapped(exc)[-1]))})", _ADDRESS
            ) from exc
        # What the library does not expect in an answer: missing headers, another type, text that is not JSON.
        except (dxf.exceptions.DXFError, LookupError, TypeError, ValueError, AttributeError, OSError) as exc:
            found = f"the answer of {self._name.host} is not that of a registry ({short(repr(exc))})"
            raise self._error(verb, found, _ADDRESS) from exc

    def _error(self, verb: str, found: str, remedy: str) -> CdiError:
        return CdiError(f"Cannot {verb} image {self._name}: {found}; {remedy}.")

    def _tls(self, exc: Exception) -> tuple[str, str]:
        cause = wrapped(exc)[-1]
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {self._name.host} is not valid ({cause.verify_message})", _CA
        return f"no TLS connection to {self._name.host} ({short(str(cause))})", _PLAIN


_OVER_TLS = "leave out plain_http"
_LOGIN = "set username and password of an account that may push to the repository"
_ADDRESS = "correct the host in image, or check that the registry runs"
_CA = "set ca_cert to the certificate of its authority, or use a name of the certificate in image"
_PLAIN = "set plain_http=true if the registry does not use TLS"
_REMEDIES = {
    403: "grant the account the right to push to the repository",
    404: "correct the repository in image, or create it",
    405: "allow writes, if the registry is read-only",
    413: "raise the size that the registry, or the proxy in front of it, accepts",
    429: "run the task again later",
}


def _refusal(answer: t.Any) -> tuple[str, str]:
    """What an answer says, and the remedy."""
    code = int(answer.status_code)
    remedy = _REMEDIES.get(code, "check the log of the registry" if code >= 500 else _ADDRESS)
    said = ": ".join(filter(None, (_code(answer), short(_field(answer, "message")))))
    return f"the registry refused it{': ' + said if said else ''} (HTTP {code})", remedy


def _code(answer: t.Any) -> str:
    """The error code of a registry, for example MANIFEST_UNKNOWN; empty in the answer of another server."""
    return short(_field(answer, "code"))


def _field(answer: t.Any, name: str) -> str:
    errors = _value(answer).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    found = first.get(name) if isinstance(first, dict) else None
    return found if isinstance(found, str) else ""


def _value(answer: t.Any) -> dict[str, t.Any]:
    """The JSON object in an answer, empty for anything else."""
    value = value_of(Answer(int(answer.status_code), answer.headers, answer.content))
    return value if isinstance(value, dict) else {}
