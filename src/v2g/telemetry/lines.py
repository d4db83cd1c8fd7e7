"""How an event becomes one line: nothing a peer sent can end the line, start a new one or hide text in a terminal."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

_PLAIN_VALUE = re.compile(r"[^\s\"'=\\]+")
_NOT_IN_CODE = re.compile(r"[^A-Za-z0-9_.:-]")
_NOT_IN_KEY = re.compile(r"[^A-Za-z0-9_.-]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MAX_MESSAGE = 2000
_MAX_VALUE = 1000
_MAX_FIELDS = 40
_RESERVED = frozenset({"time", "level", "log", "code", "message"})


def timestamp(unix_s: float) -> str:
    """1767323045.678 -> ``2026-01-02T03:04:05.678Z``."""
    moment = datetime.fromtimestamp(round(unix_s, 3), UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def text_line(unix_s: float, level: str, code: str, message: str, fields: Mapping[str, object]) -> str:
    """``time LEVEL: CODE message key=value key2="value with space"``, without the line end."""
    return f"{timestamp(unix_s)} {body(level, code, message, fields)}"


def body(level: str, code: str, message: str, fields: Mapping[str, object]) -> str:
    """:func:`text_line` without the time."""
    parts = [f"{level.upper()}:", plain_code(code)]
    if message:
        parts.append(_clip(escape(message), _MAX_MESSAGE))
    for key, value in _bounded(fields):
        parts.append(f"{_NOT_IN_KEY.sub('_', key) or '_'}={_quoted(value)}")
    return " ".join(parts)


def json_line(log: str, unix_s: float, level: str, code: str, message: str, fields: Mapping[str, object]) -> str:
    """The same event as one JSON object; fields that collide with ours get a trailing underscore."""
    record: dict[str, object] = {
        "time": timestamp(unix_s),
        "level": level.upper(),
        "log": log,
        "code": plain_code(code),
        "message": _clip(message, _MAX_MESSAGE),
    }
    for key, value in _bounded(fields):
        plain = value if isinstance(value, bool | int | float) or value is None else _clip(_text(value), _MAX_VALUE)
        record[f"{key}_" if key in _RESERVED else key] = plain
    return escape(msgspec.json.encode(_scalars_only(record)).decode("utf-8", "replace"), json=True)


def escape(text: str, *, json: bool = False) -> str:
    r"""Control, format and separator characters as ``\n``, ``\x1b``, ``\u202e``; with ``json`` as JSON has them."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char, json) for char in text)


def _escaped(char: str, json: bool) -> str:
    point = ord(char)
    if json:
        if point > 0xFFFF:
            return f"\\u{0xD800 + ((point - 0x10000) >> 10):04x}\\u{0xDC00 + ((point - 0x10000) & 0x3FF):04x}"
        return f"\\u{point:04x}"
    if char in _NAMED:
        return _NAMED[char]
    if point <= 0xFF:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def _bounded(fields: Mapping[str, object]) -> list[tuple[str, object]]:
    items = list(fields.items())
    if len(items) <= _MAX_FIELDS:
        return items
    return [*items[:_MAX_FIELDS], ("fields_left_out", len(items) - _MAX_FIELDS)]


def _quoted(value: object) -> str:
    text = _text(value)
    if _PLAIN_VALUE.fullmatch(text) and text.isprintable():
        return _clip(text, _MAX_VALUE)
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_clip(escape(inner), _MAX_VALUE)}"'


def _text(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case enum.Enum():
            return str(value) if isinstance(value, str) else value.name
        case bytes() | bytearray() | memoryview():
            return bytes(value[: _MAX_VALUE // 2]).hex()
        case _:
            try:
                return str(value)
            except Exception:  # a log line is never worth an exception of the object it tells of
                return f"<{type(value).__name__}>"


def _scalars_only(record: dict[str, object]) -> dict[str, object]:
    return {
        key: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for key, value in record.items()
    }


def plain_code(code: str) -> str:
    """A code as it stands in a line."""
    return _NOT_IN_CODE.sub("_", code)[:64] or "UNNAMED"


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…(+{len(text) - limit})"
