"""``python -m pyiso15118 decode`` and ``… encode``: messages between EXI and JSON, one a line, in and out.

``decode`` reads ``{"namespace": …, "hex": …}`` (or ``"payload_type"`` for ``"namespace"``), ``encode`` reads
``{"namespace": …, "json": …}``; ``"fragment": true`` means an EXI fragment, as signatures use them. Both write
``{"namespace", "message", "json", "hex"}``. A bad line is answered by ``{"error": …}`` on its line, and the exit code
is 1 at the end.

``decode FILE`` reads a capture (pcapng or pcap, ``-`` for standard input) and writes a line for each V2GTP message:
``time`` (UTC), ``source``, ``destination``, ``secured`` (it was within TLS), ``payload_type``, ``namespace`` (none for
discovery), ``message``, ``json``, ``hex``. What cannot be decoded has ``error`` and makes the exit code 1. A TLS
connection without secrets is a line with ``tls`` and ``unread``; secrets come from ``--keylog FILE``, as SSLKEYLOGFILE
names them, or from the capture itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TextIO

from pyiso15118 import exi
from pyiso15118.capture import Captured, CaptureError, Secrets, Unread, content_of, frames
from pyiso15118.errors import Iso15118Error
from pyiso15118.messages import jsonform
from pyiso15118.v2gtp import namespace_of

USAGE = """usage: python -m pyiso15118 decode [[--keylog FILE] CAPTURE]
       python -m pyiso15118 encode

Without CAPTURE, reads JSON lines on standard input and writes one JSON line for each:
  decode  {"namespace": N, "hex": H} or {"payload_type": 32770, "hex": H}
  encode  {"namespace": N, "json": {"SessionSetupReq": {...}}}
Add "fragment": true for an EXI fragment (SignedInfo, signed elements).

With CAPTURE (pcapng or pcap; - for standard input), writes one JSON line for each V2GTP message in it. TLS 1.3 is
opened where the capture names its secrets, or FILE does, which is a key log as SSLKEYLOGFILE makes it.
"""
CHUNK_BYTES = 65_536


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 where a line or a message was bad, 2 for wrong usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["-h"], ["--help"]):
        print(USAGE, end="")
        return 0
    command, key_log = words.pop(0) if words else "", None
    if command == "decode" and words[:1] == ["--keylog"] and len(words) == 3:
        key_log, words = words[1], words[2:]
    captures = len(words) == 1 and command == "decode" and (words[0] == "-" or not words[0].startswith("-"))
    if command not in COMMANDS or (words and not captures):
        print(USAGE, end="", file=sys.stderr)
        return 2
    try:
        if captures:
            return decode_capture(words[0], key_log, sys.stdout)
        return convert(COMMANDS[command], sys.stdin.buffer, sys.stdout)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; nobody is left to tell
        return 1


def decode_capture(name: str, key_log: str | None, output: TextIO) -> int:
    """A line for each message of the capture ``name``; what is wrong with the file is told on standard error."""
    secrets = Secrets()
    if key_log is not None:
        try:
            if not secrets.add(Path(key_log).read_bytes()):
                return _failed(f"{key_log} has no lines CLIENT_TRAFFIC_SECRET_0 or SERVER_TRAFFIC_SECRET_0 of TLS 1.3")
        except OSError as error:
            return _failed(f"{key_log} cannot be read: {error.strerror or error}")
    count = bad = 0
    try:
        for found in frames(_chunks(name), secrets):
            record = _record(found)
            count += "message" in record
            bad += "error" in record
            print(json.dumps(record), file=output, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _failed(f"{name} cannot be read: {error.strerror or error}")
    except CaptureError as error:
        return _failed(f"{name}: {error} (after {count} messages)")
    if not count:
        return _failed(f"{name} has no V2GTP message that could be read")
    return 1 if bad else 0


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


def _chunks(name: str) -> Iterator[bytes]:
    if name == "-":
        yield from _read(sys.stdin.buffer)
        return
    with Path(name).open("rb") as file:
        yield from _read(file)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _record(found: Captured | Unread) -> dict[str, Any]:
    record: dict[str, Any] = {
        "time": _utc(found.unix_s),
        "source": str(found.source),
        "destination": str(found.target),
    }
    if isinstance(found, Unread):
        return record | {"tls": found.version or None, "records": found.records, "unread": found.reason}
    record["secured"] = found.secured
    if found.frame is None:
        return record | {"error": found.problem}
    record["payload_type"] = f"{found.frame.payload_type:#06x}"
    if namespace := namespace_of(found.frame.payload_type):
        record["namespace"] = namespace.value
    try:
        content = content_of(found.frame)
    except Iso15118Error as error:
        return record | {"error": str(error), "hex": found.frame.payload.hex()}
    return record | {"message": next(iter(content)), "json": content, "hex": found.frame.payload.hex()}


def _utc(unix_s: float) -> str:
    try:
        return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        # A capture may name any number.
        return f"{unix_s:.6f} s"


def _failed(reason: str) -> int:
    print(f"pyiso15118: {reason}", file=sys.stderr)
    return 1


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
