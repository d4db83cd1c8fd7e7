"""What members of a mesh tell each other. Powers in W, positive downstream and into vehicles; msgpack in envelopes.

Every message is whole: nothing in it counts on one before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated

import msgspec
from msgspec import Meta

MOST_MEMBERS = 512
MOST_W = 1e9
"""A power beyond this is an error, not a power."""
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Words = Annotated[str, Meta(max_length=160)]


class MessageError(ValueError):
    """A message whose signature holds and whose content does not."""


class Range(msgspec.Struct, frozen=True, array_like=True):
    """``lo_w <= P <= hi_w``."""

    lo_w: float
    hi_w: float


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """The last sequence that was heard of somebody, and how long ago that was when this was said."""

    sequence: int
    held_ms: int


class Flexible(msgspec.Struct, frozen=True, kw_only=True):
    """Of the vehicles plugged in: how many, what they need before they leave, what they could give, Wh."""

    vehicles: int = 0
    needed_wh: float = 0.0
    surplus_wh: float = 0.0


class State(msgspec.Struct, frozen=True, kw_only=True, tag="state"):
    """Every second, and on change.

    ``member``: for whom it is said. ``floor``: the flows that it cannot stay below (import) or above (export) by
    itself; ``wish``: up to where it would go; ``claim``: between which it stays; ``ask``: what it takes once all whom
    it concerns have seen this. ``hi_w`` is the import side, ``lo_w`` the export side; ``lo_w`` is at most ``hi_w``.
    ``seen``: of each member that it hears. ``links``: the neighbours that it is connected to now.
    """

    member: Name
    flow_w: float | None
    """Through the transformer, measured; None: not known."""
    base_w: float | None
    """Without the vehicles."""
    floor: Range
    wish: Range
    claim: Range
    ask: Range
    capability: Range
    """V2G power that it could take now, without the mesh."""
    ahead: Range
    """The same by its forecast, at the end of its horizon."""
    top_oil_c: float | None = None
    hot_spot_c: float | None = None
    flexible: Flexible = Flexible()
    permit: Words = ""
    """Of the guard; empty: energy may flow."""
    seen: Mapping[str, Seen] = {}
    links: tuple[Name, ...] = ()
    version: Words = ""


class Cap(msgspec.Struct, frozen=True, kw_only=True, tag="cap"):
    """From the head, or from a region's gateway: the limits of a group until the envelope expires, W, magnitudes."""

    group: Name
    import_w: float
    export_w: float
    reason: Words = ""


class Ping(msgspec.Struct, frozen=True, kw_only=True, tag="ping"):
    """``to`` answers with a :class:`Pong`."""

    to: Name
    token: int


class Pong(msgspec.Struct, frozen=True, kw_only=True, tag="pong"):
    to: Name
    token: int


Message = State | Cap | Ping | Pong

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
    elif isinstance(message, Cap):
        for name, value in (("import_w", message.import_w), ("export_w", message.export_w)):
            if not 0.0 <= value <= MOST_W:
                raise MessageError(f"cap of {message.group}: {name} {value:g} is outside 0..{MOST_W:g}")
    return message


def _check_state(state: State) -> None:
    if len(state.seen) > MOST_MEMBERS or len(state.links) > MOST_MEMBERS:
        raise MessageError(f"state of {state.member}: more than {MOST_MEMBERS} members in it")
    for name in ("floor", "wish", "claim", "ask", "capability", "ahead"):
        pair: Range = getattr(state, name)
        if not (abs(pair.lo_w) <= MOST_W and abs(pair.hi_w) <= MOST_W):
            raise MessageError(f"state of {state.member}: {name} {pair.lo_w:g}..{pair.hi_w:g} W is no range")
        # Vehicles that charge lift what it cannot go below when exporting above what it cannot go above importing.
        if name != "floor" and pair.lo_w > pair.hi_w:
            raise MessageError(f"state of {state.member}: {name} {pair.lo_w:g}..{pair.hi_w:g} W is upside down")
    for name in ("flow_w", "base_w", "top_oil_c", "hot_spot_c"):
        value: float | None = getattr(state, name)
        if value is not None and not (isfinite(value) and abs(value) <= MOST_W):
            raise MessageError(f"state of {state.member}: {name} is no number")
    flexible = state.flexible
    if not all(isfinite(value) for value in (flexible.needed_wh, flexible.surplus_wh)):
        raise MessageError(f"state of {state.member}: its vehicles' energy is no number")
