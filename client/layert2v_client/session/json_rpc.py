"""JSON-RPC 2.0 with one message a line: read requests, write responses and notifications.

Knows the shapes and codes of the standard, not which methods there are. Parameters are given by
name, and batches are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from layert2v.errors import SpecError
from layert2v.json_reader import parse

VERSION = "2.0"

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
# The standard leaves -32000 to -32099 to the application.
REQUEST_FAILED = -32000
NOT_INITIALIZED = -32002  # the code of the Language Server Protocol
PROTOCOL_UNSUPPORTED = -32003

RequestId = Union[int, str, None]


class RpcError(Exception):
    """The error of a response: ``code`` of the standard, and what errors of the client have."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        hint: str = "",
        *,
        request_id: RequestId = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.hint = hint
        self.request_id = request_id


@dataclass(frozen=True)
class Request:
    """A call of a method. ``is_notification`` means that nobody waits for a response."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    id: RequestId = None
    is_notification: bool = False


def read_request(line: bytes) -> Request:
    """Return the request in one line. Raises ``RpcError`` for whatever is none."""
    try:
        message = parse(line.decode(), SpecError)
    except UnicodeDecodeError as error:
        raise RpcError(PARSE_ERROR, "LINE_INVALID", "A line is UTF-8 text.") from error
    except SpecError as error:
        raise RpcError(PARSE_ERROR, error.reason, error.message) from error
    if isinstance(message, list):
        raise RpcError(
            INVALID_REQUEST, "BATCH_UNSUPPORTED", "Send requests one by one, not as a batch."
        )
    if not isinstance(message, dict):
        raise _invalid("A request is a JSON object.")
    request_id = message.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, (int, str, type(None))):
        raise _invalid("The id of a request is a whole number or text.")
    if message.get("jsonrpc") != VERSION:
        raise _invalid('A request has "jsonrpc": "2.0".', request_id)
    method, params = message.get("method"), message.get("params", {})
    if not isinstance(method, str):
        raise _invalid("The method of a request is text.", request_id)
    if "id" in message and request_id is None:
        raise _invalid("The id of a request is a whole number or text.")
    if not isinstance(params, dict):
        raise RpcError(
            INVALID_PARAMS,
            "PARAMS_INVALID",
            "Parameters are given by name, as an object.",
            request_id=request_id,
        )
    return Request(method, params, request_id, is_notification="id" not in message)


def result_response(request_id: RequestId, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response to a request that succeeded."""
    return {"jsonrpc": VERSION, "id": request_id, "result": result}


def error_response(error: RpcError) -> dict[str, Any]:
    """Return the response to a request that failed."""
    data = {"reason": error.reason, "hint": error.hint}
    body = {"code": error.code, "message": error.message, "data": data}
    return {"jsonrpc": VERSION, "id": error.request_id, "error": body}


def notification(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message that nobody responds to."""
    return {"jsonrpc": VERSION, "method": method, "params": params}


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as one line."""
    return json.dumps(message).encode() + b"\n"


def _invalid(message: str, request_id: RequestId = None) -> RpcError:
    return RpcError(INVALID_REQUEST, "REQUEST_INVALID", message, request_id=request_id)
