"""``v2g-tool trace --decode``: what a capture says, message by message."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from pyiso15118.capture import Captured, CaptureError, Unread, content_of, frames
from pyiso15118.errors import Iso15118Error
from v2g.cli.common import fail
from v2g.cli.manners import FAILED

_CHUNK_BYTES: Final = 65_536


def decode(capture: Path, name: str, as_json: bool) -> None:
    """Print each message: time, direction, name and content. Ends with 1 where one could not be decoded."""
    count = bad = 0
    unread: list[Unread] = []
    try:
        with capture.open("rb") as file:
            for found in frames(iter(lambda: file.read(_CHUNK_BYTES), b"")):
                if isinstance(found, Unread):
                    unread.append(found)
                    continue
                count += 1
                record = _record(found)
                bad += "error" in record
                sys.stdout.write((json.dumps(record) if as_json else _text(record)) + "\n")
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        fail(name, f"{capture} cannot be read: {error.strerror or error}", FAILED)
    except CaptureError as error:
        fail(name, f"{capture}: {error} (after {count} messages)", FAILED)
    if not count:
        fail(
            name,
            f"{capture} has no V2GTP messages"
            + "".join(f"; in TLS from {found.source} to {found.target}: {found.reason}" for found in unread[:1]),
            FAILED,
        )
    if bad:
        click.echo(f"{name}: {bad} of {count} messages could not be decoded", err=True)
        sys.exit(FAILED)


def _record(found: Captured) -> dict[str, Any]:
    head: dict[str, Any] = {
        "time": _utc(found.unix_s),
        "from": str(found.source),
        "to": str(found.target),
    }
    if found.frame is None:
        return {**head, "error": found.problem}
    head["payload_type"] = f"{found.frame.payload_type:#06x}"
    try:
        content = content_of(found.frame)
    except (Iso15118Error, ValueError) as error:
        return {**head, "error": str(error), "hex": found.frame.payload.hex()}
    return {**head, "message": next(iter(content)), "json": content}


def _utc(unix_s: float) -> str:
    try:
        moment = datetime.fromtimestamp(unix_s, UTC)
    except (ValueError, OverflowError, OSError):
        # A capture may name any number.
        return f"{unix_s:.6f} s"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z"


def _text(record: dict[str, Any]) -> str:
    head = f"{record['time']} {record['from']} -> {record['to']}"
    if "error" in record:
        return f"{head} not decoded: {record['error']}"
    return f"{head} {record['message']} {json.dumps(record['json'][record['message']])}"
