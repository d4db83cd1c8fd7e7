"""JSON-RPC 2.0 as this project speaks it: one object a line, named parameters, every call has an id and an answer."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import msgspec

MAX_LINE_BYTES = 64 * 1024
"""Longest request."""


class ErrorCode(enum.IntEnum):
    """The codes of JSON-RPC 2.0, and ours from -32000 down."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    REFUSED = -32000
    TOO_MANY_CLIENTS = -32001
    HELLO_FIRST = -32002
    WRONG_PROTOCOL = -32003
    FORBIDDEN = -32004
    TOO_SLOW = -32005


class RpcError(Exception):
    """An answer that is an error. ``word`` is a short name for programs, such as ``REVERSE_FLOW_DENIED``."""

    def __init__(
        self, code: ErrorCode, message: str, word: str | None = None, request_id: int | str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.word = word or code.name
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Request:
    id: int | str
    method: str
    params: dict[str, Any]


def parse_request(line: bytes) -> Request:
    """One line as a request. Raises :class:`RpcError` that says what is wrong with it."""
    try:
        raw = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RpcError(
            ErrorCode.PARSE_ERROR, f"this line is no JSON ({error}); send one JSON-RPC 2.0 object a line"
        ) from None
    if isinstance(raw, list):
        raise RpcError(ErrorCode.INVALID_REQUEST, "batches are not supported; send one call a line")
    if not isinstance(raw, dict):
        raise RpcError(ErrorCode.INVALID_REQUEST, "a call is a JSON object")
    request_id = raw.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, int | str):
        raise RpcError(ErrorCode.INVALID_REQUEST, "a call needs an 'id', a number or a text: every call is answered")
    if raw.get("jsonrpc") != "2.0":
        raise RpcError(ErrorCode.INVALID_REQUEST, 'a call needs \'"jsonrpc": "2.0"\'', request_id=request_id)
    method = raw.get("method")
    if not isinstance(method, str) or not method:
        raise RpcError(ErrorCode.INVALID_REQUEST, "a call needs a 'method', a text", request_id=request_id)
    params = raw.get("params", {})
    if not isinstance(params, dict):
        raise RpcError(
            ErrorCode.INVALID_PARAMS, "'params' must be an object with named parameters", request_id=request_id
        )
    return Request(request_id, method, params)


def encode_request(request_id: int, method: str, params: Any) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}) + b"\n"


def encode_result(request_id: int | str, result: Any) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "result": result}) + b"\n"


def encode_error(error: RpcError, request_id: int | str | None = None) -> bytes:
    body = {"code": int(error.code), "message": error.message, "data": {"code": error.word}}
    answered = request_id if request_id is not None else error.request_id
    return msgspec.json.encode({"jsonrpc": "2.0", "id": answered, "error": body}) + b"\n"


def encode_notification(topic: str, payload: Any) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "method": topic, "params": payload}) + b"\n"
