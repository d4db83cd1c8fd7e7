"""``v2g-tool trace --decode``: what a capture says, message by message."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pyiso15118 import exi, sdp
from pyiso15118.errors import Iso15118Error
from pyiso15118.messages import jsonform
from pyiso15118.v2gtp import Frame, PayloadType, namespace_of
from v2g.cli.common import fail
from v2g.cli.manners import FAILED
from v2g.host.pcap_read import CaptureError
from v2g.host.v2gtp_capture import Found, frames


def decode(capture: Path, name: str, as_json: bool) -> None:
    """Print each message: time, direction, name and content. Ends with 1 where one could not be decoded."""
    count = bad = 0
    try:
        with capture.open("rb") as file:
            for found in frames(file):
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
            f"{capture} has no V2GTP messages over IPv6; what is in TLS cannot be read from a capture of the network",
            FAILED,
        )
    if bad:
        click.echo(f"{name}: {bad} of {count} messages could not be decoded", err=True)
        sys.exit(FAILED)


def _record(found: Found) -> dict[str, Any]:
    moment = datetime.fromtimestamp(found.unix_s, UTC)
    head: dict[str, Any] = {
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z",
        "from": f"[{found.source.address}]:{found.source.port}",
        "to": f"[{found.target.address}]:{found.target.port}",
    }
    if found.frame is None:
        return {**head, "error": found.problem}
    head["payload_type"] = f"{found.frame.payload_type:#06x}"
    try:
        content = content_of(found.frame)
    except (Iso15118Error, ValueError) as error:
        return {**head, "error": str(error), "hex": found.frame.payload.hex()}
    return {**head, "message": next(iter(content)), "json": content}


def content_of(frame: Frame) -> dict[str, Any]:
    """The message as JSON, under its name. Raises :class:`Iso15118Error`."""
    if frame.payload_type == PayloadType.SDP_REQUEST:
        return {"SDPRequest": _plain(sdp.decode_request(_datagram(frame)))}
    if frame.payload_type == PayloadType.SDP_RESPONSE:
        return {"SDPResponse": _plain(sdp.decode_response(_datagram(frame)))}
    namespace = namespace_of(frame.payload_type)
    if namespace is None:
        raise Iso15118Error(f"payload type {frame.payload_type:#06x} is of no schema that is known here")
    return dict(jsonform.to_json(exi.decode(namespace.value, frame.payload)))


def _datagram(frame: Frame) -> bytes:
    from pyiso15118.v2gtp import encode_frame

    return encode_frame(frame.payload_type, frame.payload)


def _plain(message: sdp.SdpRequest | sdp.SdpResponse) -> dict[str, Any]:
    found = {"Security": message.security.name, "TransportProtocol": message.transport.name}
    if isinstance(message, sdp.SdpResponse):
        return {"IP": str(message.host), "Port": message.port, **found}
    return found


def _text(record: dict[str, Any]) -> str:
    head = f"{record['time']} {record['from']} -> {record['to']}"
    if "error" in record:
        return f"{head} not decoded: {record['error']}"
    return f"{head} {record['message']} {json.dumps(record['json'][record['message']])}"
