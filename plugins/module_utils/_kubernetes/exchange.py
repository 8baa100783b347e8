# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to an API server and its whole answer within a number of seconds, and which requests are repeated.

urllib3 limits the wait for each byte, not for the whole answer: a byte per second would never end. So each exchange
has a thread of its own, which is abandoned when the time is up.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
import time
import typing as t

from .answers import MOST_BYTES, Answer, NoAnswer, read_status
from .transport import CONNECT_TIMEOUT_SECONDS, Transport

# The API server itself gives up on a request after 60 s.
ANSWER_TIMEOUT_SECONDS = 60.0
# For an answer on a reused connection, which may be half-open.
REUSED_TIMEOUT_SECONDS = 20.0
LEAST_SECONDS = 1.0
RETRY_AFTER_MAX_SECONDS = 10.0
_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.5
_OVERLOADED = (429, 502, 503, 504)
_CHUNK = 65536
# How many chunks of a watch may wait to be read.
_QUEUED_CHUNKS = 64

_THREAD = "kubevirt.cdi exchange"
_LOGGERS = ("urllib3.connection", "urllib3.connectionpool", "urllib3.response")


class Request(t.NamedTuple):
    """A request. `repeatable`: it is idempotent, so it may be sent again after a lost answer."""

    method: str
    path: str
    body: bytes | None = None
    content_type: str = "application/json"
    repeatable: bool = True

    @property
    def headers(self) -> dict[str, str]:
        """As client-go: subresources of KubeVirt that answer without a body refuse JSON alone (406)."""
        return {"Accept": "application/json, */*", "Content-Type": self.content_type}


class Exchange:
    """Sends requests through one transport. After a time-out, the next requests of a task wait less for an answer."""

    def __init__(self, transport: Transport, sleep: t.Callable[[float], None] = time.sleep) -> None:
        import urllib3

        self._transport = transport
        self._urllib3 = urllib3
        self._sleep = sleep
        self._used = False
        self._unanswered = 0
        # urllib3 logs URLs and broken answers, which Ansible would write to its log file when a lookup connects.
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_not_of_ours)

    def ask(self, request: Request, seconds: float, *, once: bool) -> Answer:
        """The answer, of any status, within `seconds`. `once`: the request is not repeated. Raises NoAnswer."""
        if self._unanswered and not once:
            once, seconds = True, min(seconds, max(LEAST_SECONDS, 8.0 / self._unanswered))
        deadline = time.monotonic() + max(seconds, LEAST_SECONDS)
        attempt = 0
        while True:
            attempt += 1
            left = deadline - time.monotonic()
            event: Answer | NoAnswer
            try:
                short = self._used and attempt == 1 and request.repeatable and not once
                event = self._attempt(request, min(left, REUSED_TIMEOUT_SECONDS) if short else left)
            except NoAnswer as exc:
                event = exc
            pause = None if once else pause_before_next(request, attempt, event)
            if pause is None or time.monotonic() + pause > deadline - LEAST_SECONDS:
                break
            self._sleep(pause)
        if isinstance(event, NoAnswer):
            self._unanswered += not once
            raise event
        self._unanswered = 0
        return event

    def _attempt(self, request: Request, seconds: float) -> Answer:
        opened: list[t.Any] = []

        def exchange() -> Answer:
            response = self._open(request, seconds)
            opened.append(response)
            most = MOST_BYTES if 200 <= response.status <= 299 else _CHUNK
            body, cut = b"".join(_chunks(response, most)), False
            if len(body) > most:
                body, cut = body[:most], True
                _shut(response)
            elif response.status < 200:
                # The final answer is still to come, and must not be read as that to the next request.
                _shut(response)
            else:
                response.release_conn()
            return Answer(response.status, response.headers, body, cut)

        answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        _in_thread(exchange, answers.put)
        try:
            answer = answers.get(timeout=max(seconds, LEAST_SECONDS))
        except queue.Empty:
            for response in opened:
                _shut(response)
            what = "no whole answer" if opened else "no answer"
            words = f"{what} from the Kubernetes API at {self._transport.access.place}"
            late = f"{words} within {max(seconds, LEAST_SECONDS):.0f} s"
            raise NoAnswer(f"{late}; check host, proxy and that the API server runs", sent=True, late=True) from None
        if isinstance(answer, Exception):
            from .failures import no_answer

            raise no_answer(self._transport.access, answer) from answer
        self._used = True
        return answer

    def stream(
        self, request: Request, seconds: t.Callable[[], float]
    ) -> t.Generator[Answer | bytes | None, None, None]:
        """The head of the answer, then its body in pieces; None whenever nothing came for `seconds()`. Raises NoAnswer.

        An answer other than a 2xx comes with its body. Closing the generator ends the connection.
        """
        pieces: queue.Queue[Answer | bytes | Exception] = queue.Queue(_QUEUED_CHUNKS)
        opened: list[t.Any] = []

        def exchange() -> bytes:
            response = self._open(request, None)
            opened.append(response)
            if not 200 <= response.status <= 299:
                pieces.put(Answer(response.status, response.headers, b"".join(_chunks(response, _CHUNK))[:_CHUNK]))
                return b""
            pieces.put(Answer(response.status, response.headers, b""))
            for chunk in _chunks(response, None):
                pieces.put(chunk)
            return b""

        _in_thread(exchange, pieces.put)
        try:
            while True:
                try:
                    piece = pieces.get(timeout=max(seconds(), 0.01))
                except queue.Empty:
                    yield None
                    continue
                if isinstance(piece, Exception):
                    from .failures import no_answer

                    raise no_answer(self._transport.access, piece) from piece
                if piece == b"":
                    return
                yield piece
        finally:
            for response in opened:
                _shut(response)
            # The thread may be waiting for space in the queue.
            with contextlib.suppress(queue.Empty):
                while True:
                    pieces.get_nowait()

    def _open(self, request: Request, seconds: float | None) -> t.Any:
        """The head of an answer. Redirects are not followed: they would get the credentials."""
        timeout = self._urllib3.Timeout(
            connect=CONNECT_TIMEOUT_SECONDS if seconds is None else min(CONNECT_TIMEOUT_SECONDS, seconds),
            read=seconds or ANSWER_TIMEOUT_SECONDS,
        )
        options = {"retries": False, "preload_content": False, "decode_content": False}
        return self._transport.request(
            request.method, request.path, request.headers, body=request.body, timeout=timeout, **options
        )


def pause_before_next(request: Request, attempt: int, event: Answer | NoAnswer) -> float | None:
    """Seconds until the request is sent again; None when it is not repeated.

    | what came                                     | repeatable | not repeatable |
    | not sent (refused, no such host, no connect)  | again      | again          |
    | lost answer                                   | again      | no             |
    | time was up                                   | once       | no             |
    | TLS, certificate or proxy credentials refused | no         | no             |
    | 429                                           | again      | again          |
    | 502, 504; 503                                 | again      | no             |
    | 503, a Status with Retry-After                | again      | again          |
    | 500 with Retry-After                          | again      | no             |
    | any other answer                              | no         | no             |
    """
    if attempt >= _ATTEMPTS:
        return None
    pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) if attempt > 1 else 0.0
    if isinstance(event, NoAnswer):
        again = not event.final and (request.repeatable or not event.sent) and not (event.late and attempt > 1)
        return pause if again else None
    after = _retry_after(event)
    refused_whole = event.status == 429 or (event.status == 503 and after is not None and bool(read_status(event.body)))
    again = refused_whole or (
        request.repeatable and (event.status in _OVERLOADED or (event.status == 500 and after is not None))
    )
    if not again:
        return None
    return pause if after is None else min(after, RETRY_AFTER_MAX_SECONDS)


def _retry_after(answer: Answer) -> float | None:
    """The seconds in the header. A date counts as the longest pause."""
    value = answer.headers.get("Retry-After")
    if value is None:
        return None
    digits = value.strip()
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) < 9 else RETRY_AFTER_MAX_SECONDS


def _not_of_ours(_record: logging.LogRecord) -> bool:
    return threading.current_thread().name != _THREAD


def _in_thread(work: t.Callable[[], t.Any], put: t.Callable[[t.Any], None]) -> None:
    def run() -> None:
        try:
            result = work()
        except Exception as exc:  # Raised again by the thread that waits for the result.
            result = exc
        put(result)

    threading.Thread(target=run, daemon=True, name=_THREAD).start()


def _chunks(response: t.Any, most: int | None) -> t.Iterator[bytes]:
    """The chunks of a body as they arrive, at most one chunk beyond `most` bytes."""
    # urllib3 has it from release 2 on.
    read = getattr(response, "read1", None) or response._fp.read1
    size = 0
    while most is None or size <= most:
        chunk = read(_CHUNK)
        if not chunk:
            return
        size += len(chunk)
        yield chunk


def _shut(response: t.Any) -> None:
    """End a connection whose answer another thread may be reading."""
    with contextlib.suppress(Exception):
        response.connection.sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        response.close()
