# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every call passes through: the faults, one log line, and the turn of exceptions into gRPC statuses."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import text_format

from tests.cluster.csi.errors import CsiError, from_exception
from tests.cluster.csi.faults import FaultFile

log = logging.getLogger(__name__)


class Interceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """Wraps the unary calls of a server."""

    def __init__(self, faults: FaultFile | None) -> None:
        self._faults = faults

    def intercept_service(self, continuation: Callable[..., Any], handler_call_details: Any) -> Any:
        handler = continuation(handler_call_details)
        if handler is None:  # an unknown method: gRPC itself answers UNIMPLEMENTED
            return None
        call = handler_call_details.method.rpartition("/")[2]

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            began = time.monotonic()
            text = text_format.MessageToString(request, as_one_line=True)
            try:
                self._inject(call, text)
                response = handler.unary_unary(request, context)
            except Exception as unexpected:
                error = from_exception(unexpected)
                if error.code is grpc.StatusCode.INTERNAL:
                    log.exception("%s", call)
                log.warning("%s %s %.0f ms: %s {%s}", call, error.code.name, _since(began), error, text)
                context.abort(error.code, str(error))
            log.info("%s OK %.0f ms {%s}", call, _since(began), text)
            return response

        return grpc.unary_unary_rpc_method_handler(answer, handler.request_deserializer, handler.response_serializer)

    def _inject(self, call: str, request: str) -> None:
        fault = self._faults.take(call, request) if self._faults else None
        if fault is None:
            return
        time.sleep(fault.delay_seconds)
        if fault.code:
            raise CsiError(grpc.StatusCode[fault.code], fault.message)


def _since(began: float) -> float:
    """Milliseconds from then to now."""
    return (time.monotonic() - began) * 1000
