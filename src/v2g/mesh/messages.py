"""What members of a mesh tell each other. Powers in W, positive downstream and into vehicles; msgpack in envelopes.

Every message is whole: nothing in it counts on one before it. Fields that are not known are passed over, so that a
newer version may add some; one that is missing without a default is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

MOST_MEMBERS = 512
MOST_W = 1e9
"""A power beyond this is an error, not a power."""
MOST_WH = 1e9
MOST_VEHICLES = 100_000
MOST_C = 1000.0
"""A temperature beyond this, or below its negative, is none."""
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Words = Annotated[str, Meta(max_length=160)]
"""For people. What cannot be printed is ``?`` once it is decoded."""
Sequence = Annotated[int, Meta(ge=0, le=(1 << 62))]
Power = Annotated[float, Meta(ge=-MOST_W, le=MOST_W)]
Limit = Annotated[float, Meta(ge=0, le=MOST_W)]
Celsius = Annotated[float, Meta(ge=-MOST_C, le=MOST_C)]
Energy = Annotated[float, Meta(ge=-MOST_WH, le=MOST_WH)]
Token = Annotated[int, Meta(ge=-(1 << 62), le=(1 << 62))]


class MessageError(ValueError):
    """A message whose signature holds and whose content does not."""


class Range(msgspec.Struct, frozen=True, array_like=True):
    """``lo_w <= P <= hi_w``, W."""

    lo_w: Power
    hi_w: Power


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """The last sequence that was heard of somebody, and how long ago that was when this was said."""

    sequence: Sequence
    held_ms: Annotated[int, Meta(ge=0, le=(1 << 40))]


class Flexible(msgspec.Struct, frozen=True, kw_only=True):
    """Of the vehicles plugged in: how many, what they need before they leave, what they could give, Wh."""

    vehicles: Annotated[int, Meta(ge=0, le=MOST_VEHICLES)] = 0
    needed_wh: Energy = 0.0
    surplus_wh: Energy = 0.0


class State(msgspec.Struct, frozen=True, kw_only=True, tag="state"):
    """Every second, and on change.

    ``member``: for whom it is said. ``floor``: the flows that it cannot stay below (import) or above (export) by
    itself; ``wish``: up to where it would go; ``claim``: between which it stays; ``ask``: what it takes once all whom
    it concerns have seen this. ``hi_w`` is the import side, ``lo_w`` the export side; ``lo_w`` is at most ``hi_w``.
    ``seen``: of each member that it hears. ``links``: the neighbours that it is connected to now.
    """

    member: Name
    flow_w: Power | None
    """Through the transformer, measured; None: not known."""
    base_w: Power | None
    """Without the vehicles."""
    floor: Range
    wish: Range
    claim: Range
    ask: Range
    capability: Range
    """V2G power that it could take now, without the mesh."""
    ahead: Range
    """The same by its forecast, at the end of its horizon."""
    top_oil_c: Celsius | None = None
    hot_spot_c: Celsius | None = None
    flexible: Flexible = Flexible()
    permit: Words = ""
    """Of the guard; empty: energy may flow."""
    seen: Annotated[Mapping[Name, Seen], Meta(max_length=MOST_MEMBERS)] = {}
    links: Annotated[tuple[Name, ...], Meta(max_length=MOST_MEMBERS)] = ()
    version: Words = ""


class Cap(msgspec.Struct, frozen=True, kw_only=True, tag="cap"):
    """From the head, or from a region's gateway: the limits of a group until the envelope expires, W, magnitudes."""

    group: Name
    import_w: Limit
    export_w: Limit
    reason: Words = ""


class Ping(msgspec.Struct, frozen=True, kw_only=True, tag="ping"):
    """``to`` answers with a :class:`Pong`."""

    to: Name
    token: Token


class Pong(msgspec.Struct, frozen=True, kw_only=True, tag="pong"):
    to: Name
    token: Token


Message = State | Cap | Ping | Pong

# Not ``floor``: vehicles that charge lift what it cannot stay above above what it cannot stay below.
_UPRIGHT = ("wish", "claim", "ask", "capability", "ahead")
_decoder = msgspec.msgpack.Decoder(Message)
_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    return _encoder.encode(message)


def decode(payload: bytes) -> Message:
    """Raises :class:`MessageError`: not one of ours, a number that is none, a range upside down."""
    try:
        message: Message = _decoder.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError) as error:
        raise MessageError(f"not a message of this mesh: {error}") from None
    if isinstance(message, State):
        _check_state(message)
        if not "".join((message.permit, message.version, *message.links)).isprintable():
            return replace(
                message,
                permit=printable(message.permit),
                version=printable(message.version),
                links=tuple(map(printable, message.links)),
            )
    elif isinstance(message, Cap) and not message.reason.isprintable():
        return replace(message, reason=printable(message.reason))
    return message


def _check_state(state: State) -> None:
    for name in _UPRIGHT:
        pair: Range = getattr(state, name)
        if pair.lo_w > pair.hi_w:
            raise MessageError(f"state of {state.member}: {name} {pair.lo_w:g}..{pair.hi_w:g} W is upside down")


def printable(text: str) -> str:
    """For logs and terminals, whoever wrote it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
