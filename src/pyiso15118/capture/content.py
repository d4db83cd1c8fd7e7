"""What a frame says, whatever its payload type."""

from __future__ import annotations

from typing import Any

from pyiso15118 import exi, sdp
from pyiso15118.errors import RemoteProtocolError
from pyiso15118.messages import jsonform
from pyiso15118.v2gtp import Frame, PayloadType, encode_frame, namespace_of


def content_of(frame: Frame) -> dict[str, Any]:
    """The message of a frame as JSON, under its name; discovery's two are ``SDPRequest`` and ``SDPResponse``.

    Raises :class:`~pyiso15118.errors.Iso15118Error` where the payload is not what its type says, or of no known type.
    """
    if frame.payload_type == PayloadType.SDP_REQUEST:
        return {"SDPRequest": _plain(sdp.decode_request(encode_frame(*frame)))}
    if frame.payload_type == PayloadType.SDP_RESPONSE:
        return {"SDPResponse": _plain(sdp.decode_response(encode_frame(*frame)))}
    namespace = namespace_of(frame.payload_type)
    if namespace is None:
        raise RemoteProtocolError(f"payload type {frame.payload_type:#06x} is of no schema that is known here")
    return dict(jsonform.to_json(exi.decode(namespace.value, frame.payload)))


def _plain(message: sdp.SdpRequest | sdp.SdpResponse) -> dict[str, Any]:
    found = {"Security": message.security.name, "TransportProtocol": message.transport.name}
    if isinstance(message, sdp.SdpResponse):
        return {"IP": str(message.host), "Port": message.port, **found}
    return found
