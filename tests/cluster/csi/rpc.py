# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serves the methods of a class by gRPC; faults, logging and errors are the same for every call."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import grpc
from google.protobuf import text_format
from google.protobuf.message_factory import GetMessageClass

from tests.cluster.csi.errors import CsiError, from_exception
from tests.cluster.csi.faults import FaultFile

log = logging.getLogger(__name__)


def handler(module: ModuleType, name: str, service: object) -> grpc.GenericRpcHandler:
    """Serve the service `name` of a generated module with the methods of `service`, by their names.

    For methods that `service` lacks, gRPC answers UNIMPLEMENTED.
    """
    descriptor = module.DESCRIPTOR.services_by_name[name]
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            getattr(service, method.name),
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
        for method in descriptor.methods
        if hasattr(service, method.name)
    }
    return grpc.method_handlers_generic_handler(descriptor.full_name, handlers)


class Interceptor(grpc.ServerInterceptor):
    """Injects the faults, logs each unary call in one line and turns exceptions into gRPC statuses."""

    def __init__(self, faults: FaultFile | None) -> None:
        self._faults = faults

    def intercept_service(self, continuation: Callable[..., Any], handler_call_details: Any) -> Any:
        method = continuation(handler_call_details)
        if method is None:  # an unknown method: gRPC itself answers UNIMPLEMENTED
            return None
        call = handler_call_details.method.rpartition("/")[2]

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            began = time.monotonic()
            text = text_format.MessageToString(request, as_one_line=True)
            try:
                self._inject(call, text)
                response = method.unary_unary(request, context)
            except Exception as unexpected:
                error = from_exception(unexpected)
                if error.code is grpc.StatusCode.INTERNAL:
                    log.exception("%s", call)
                log.warning("%s %s %.0f ms: %s {%s}", call, error.code.name, _since(began), error, text)
                context.abort(error.code, str(error))
            log.info("%s OK %.0f ms {%s}", call, _since(began), text)
            return response

        return grpc.unary_unary_rpc_method_handler(answer, method.request_deserializer, method.response_serializer)

    def _inject(self, call: str, request: str) -> None:
        fault = self._faults.take(call, request) if self._faults else None
        if fault is None:
            return
        time.sleep(fault.delay_seconds)
        if fault.code:
            raise CsiError(grpc.StatusCode[fault.code], fault.message)


def _since(began: float) -> float:
    """Milliseconds since `began`."""
    return (time.monotonic() - began) * 1000
