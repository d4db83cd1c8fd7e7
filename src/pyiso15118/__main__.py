"""``python -m pyiso15118 decode`` and ``… encode``: messages between EXI and JSON, one a line, in and out.

``decode`` reads ``{"namespace": …, "hex": …}`` (or ``"payload_type"`` for ``"namespace"``), ``encode`` reads
``{"namespace": …, "json": …}``; ``"fragment": true`` means an EXI fragment, as signatures use them. Both write
``{"namespace", "message", "json", "hex"}``. A bad line is answered by ``{"error": …}`` on its line, and the exit code
is 1 at the end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from pyiso15118 import exi
from pyiso15118.errors import Iso15118Error
from pyiso15118.messages import jsonform
from pyiso15118.v2gtp import namespace_of

USAGE = """usage: python -m pyiso15118 {decode,encode}

Reads JSON lines on standard input and writes one JSON line for each:
  decode  {"namespace": N, "hex": H} or {"payload_type": 32770, "hex": H}
  encode  {"namespace": N, "json": {"SessionSetupReq": {...}}}
Add "fragment": true for an EXI fragment (SignedInfo, signed elements).
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 where a line was bad, 2 for wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments in (["-h"], ["--help"]):
        print(USAGE, end="")
        return 0
    command = COMMANDS.get(arguments[0]) if len(arguments) == 1 else None
    if command is None:
        print(USAGE, end="", file=sys.stderr)
        return 2
    try:
        return convert(command, sys.stdin.buffer, sys.stdout)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; nobody is left to tell
        return 1


def convert(command: Callable[[dict[str, Any]], dict[str, Any]], lines: Iterable[bytes], output: TextIO) -> int:
    """Answer each line; 1 if any was bad."""
    code = 0
    for line in lines:
        if not line.strip():
            continue
        try:
            answer = command(_request(line))
        except Iso15118Error as error:
            answer = {"error": str(error)}
            code = 1
        print(json.dumps(answer), file=output, flush=True)
    return code


def decode_line(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one line of ``decode``."""
    namespace, fragment = _namespace(request), _flag(request)
    text = request.get("hex")
    if not isinstance(text, str):
        raise Iso15118Error('a line needs "hex", the EXI payload in hexadecimal digits')
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise Iso15118Error('"hex" holds something else than hexadecimal digits') from None
    message = exi.decode_fragment(namespace, data) if fragment else exi.decode(namespace, data)
    return _answer(namespace, jsonform.to_json(message), data)


def encode_line(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one line of ``encode``."""
    namespace, fragment = _namespace(request), _flag(request)
    if "json" not in request:
        raise Iso15118Error('a line needs "json", the message: {"SessionSetupReq": {...}}')
    message = jsonform.from_json(namespace, request["json"], fragment=fragment)
    if fragment:
        (element,) = request["json"]
        return _answer(namespace, request["json"], exi.encode_fragment(message, namespace, element))
    return _answer(namespace, jsonform.to_json(message), exi.encode(message, namespace))


COMMANDS = {"decode": decode_line, "encode": encode_line}


def _request(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Iso15118Error(f"the line is no JSON: {error}") from None
    if not isinstance(request, dict):
        raise Iso15118Error("the line is no JSON object")
    return request


def _namespace(request: dict[str, Any]) -> str:
    if isinstance(request.get("namespace"), str):
        return str(request["namespace"])
    payload_type = request.get("payload_type")
    try:
        number = int(payload_type, 0) if isinstance(payload_type, str) else payload_type
    except ValueError:
        number = None
    if not isinstance(number, int):
        raise Iso15118Error('a line needs "namespace", or "payload_type" such as "0x8002"')
    namespace = namespace_of(number)
    if namespace is None:
        raise Iso15118Error(f"payload type {number:#06x} is bound to no known schema")
    return namespace.value


def _flag(request: dict[str, Any]) -> bool:
    fragment = request.get("fragment", False)
    if not isinstance(fragment, bool):
        raise Iso15118Error('"fragment" is true or false')
    return fragment


def _answer(namespace: str, body: dict[str, Any], data: bytes) -> dict[str, Any]:
    return {"namespace": namespace, "message": next(iter(body)), "json": body, "hex": data.hex()}


if __name__ == "__main__":
    sys.exit(main())
