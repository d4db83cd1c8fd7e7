"""What is fuzzed of the mesh: envelopes from the wire, and what a member signed.

The first byte says what the rest is: an envelope as it comes, or, sealed anew by its sender's key, a body or a message.
So the decoders behind the signature are reached as a member reaches them that lies.
"""

from __future__ import annotations

import tempfile
from functools import cache
from math import isfinite
from pathlib import Path
from random import Random

import msgspec

from fuzz.checks import Sampler, require
from fuzz.mutators import change_tree
from support.mesh_pki import MeshPki
from v2g.mesh.envelope import LONGEST_VALID_S, EnvelopeError, Opened, Opener, Sealer
from v2g.mesh.identity import Identity
from v2g.mesh.messages import Cap, Flexible, Message, MessageError, Ping, Pong, Range, Seen, State, decode, encode
from v2g.mesh.trust import Drop, Trust, verify

NOW_S = 1_790_000_000.0
NETWORK = "fuzz/flat"
VOICES = frozenset({"tr-1", "tr-2"})
BOOT_US = 1_789_999_000_000_000
OPEN_BYTES = 16_384
"""What opening holds whatever the envelope's size, above all for a certificate and its authority."""
WORDS = sorted(
    {*State.__struct_fields__, *Cap.__struct_fields__, *Ping.__struct_fields__, "type", "state", "cap", "pong"}
)
_PREFIX = b"v2g-mesh-1\x00"
_UNPROVEN = frozenset({Drop.EXPIRED, Drop.CLOCK, Drop.REPLAYED, Drop.REORDERED, Drop.CONTENT})
"""Reasons that an envelope without a member's signature never gets as far as."""


@cache
def members() -> tuple[Trust, Identity]:
    """One authority for the whole process, and who signs."""
    with tempfile.TemporaryDirectory() as folder:
        pki = MeshPki(Path(folder), NOW_S)
        return pki.trust(), pki.identity("tr-1")


def seed_messages() -> list[Message]:
    pair = Range(-1e4, 2e4)
    state = State(
        member="tr-1", flow_w=1.5e4, base_w=9e3, floor=pair, wish=pair, claim=pair, ask=pair, capability=pair,
        ahead=pair, top_oil_c=61.0, hot_spot_c=77.5, flexible=Flexible(vehicles=2, needed_wh=9e3, surplus_wh=1e4),
        permit="", seen={"tr-2": Seen(BOOT_US, 120)}, links=("tr-2",), version="0.1.0",
    )  # fmt: skip
    bare = State(member="a", flow_w=None, base_w=None, floor=pair, wish=pair, claim=pair, ask=pair, capability=pair,
                 ahead=pair)  # fmt: skip
    return [
        state,
        bare,
        Cap(group="feeder", import_w=1e5, export_w=0.0, reason="fire"),
        Ping(to="tr-2", token=7),
        Pong(to="tr-1", token=-7),
    ]


def envelope_seeds() -> list[bytes]:
    sealer = Sealer(NETWORK, members()[1], BOOT_US)
    found = []
    for number, message in enumerate(seed_messages()):
        for certificate in (True, False):
            _, data = sealer.seal(message, NOW_S - number % 2, 3.0, with_certificate=certificate)
            found += [b"\x00" + data, b"\x01" + bytes(msgspec.msgpack.decode(data)[0])]
        found.append(b"\x02" + encode(message))
    return found


def rewrite(rng: Random, data: bytes) -> bytes | None:
    """Another tree of values, packed as it was; None where there is none."""
    try:
        tree = msgspec.msgpack.decode(data[1:])
        for _ in range(rng.choice((1, 1, 2, 4))):
            tree = change_tree(rng, tree, WORDS)
        return data[:1] + msgspec.msgpack.encode(tree)
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None


def check_envelope(sampler: Sampler, data: bytes) -> None:
    """Opened, and then signed by a member for this mesh and this moment; or dropped for one reason and counted once."""
    if not data:
        return
    kind, content = data[0] % 3, data[1:]
    if kind == 2:
        check_message(content)
    identity = members()[1]
    envelope = content
    if kind:
        body = content if kind == 1 else body_of(content)
        envelope = msgspec.msgpack.encode([body, identity.sign(_PREFIX + body)])
    if sampler.due():
        sampler.memory(lambda: fresh().open(envelope, 0.0, NOW_S), OPEN_BYTES + len(envelope), (EnvelopeError,))
    opener = fresh()
    try:
        opened = opener.open(envelope, 0.0, NOW_S)
    except EnvelopeError as error:
        sampler.counts["refused"] += 1
        require(bool(str(error)), "dropped without a word")
        require(opener.counts == {error.reason: 1} and opener.opened == 0, f"{error} was not counted once")
        require(kind != 0 or error.reason not in _UNPROVEN or is_signed(envelope), f"{error.reason} before a signature")
        return
    sampler.counts["accepted"] += 1
    require(not opener.counts and opener.opened == 1, "opened, and counted as dropped")
    require(is_signed(envelope), "opened without a member's signature")
    check_opened(opened)
    try:
        opener.open(envelope, 0.0, NOW_S)
    except EnvelopeError as error:
        require(error.reason is Drop.REPLAYED, f"{error.reason} the second time")
    else:
        require(False, "opened twice")


def check_opened(opened: Opened) -> None:
    require(opened.sender == "tr-1", f"{opened.sender} did not sign this")
    require(opened.issued_unix_s <= NOW_S + 1.0 and opened.expires_unix_s > NOW_S, "not of this moment")
    require(opened.expires_unix_s - opened.issued_unix_s <= LONGEST_VALID_S + 0.01, "valid without end")
    require(decode(encode(opened.message)) == opened.message, f"{opened.message} is another when sent again")
    if isinstance(opened.message, State):
        state = opened.message
        pairs = (state.floor, state.wish, state.claim, state.ask, state.capability, state.ahead)
        require(all(isfinite(pair.lo_w) and isfinite(pair.hi_w) for pair in pairs), "a power that is none")
        require(all(pair.lo_w <= pair.hi_w for pair in pairs[1:]), "a range upside down")
        require(state.permit.isprintable() and state.version.isprintable(), "text that spoils a terminal")


def check_message(content: bytes) -> None:
    try:
        message = decode(content)
    except MessageError as error:
        require(bool(str(error)), "refused without a word")
    else:
        require(decode(encode(message)) == message, f"{message} is another when sent again")


def fresh() -> Opener:
    return Opener(NETWORK, members()[0], VOICES)


def body_of(message: bytes) -> bytes:
    """A sound one around whatever a member puts into it."""
    _, data = Sealer(NETWORK, members()[1], BOOT_US).seal(Ping(to="a", token=0), NOW_S, 3.0, with_certificate=True)
    body = msgspec.msgpack.decode(msgspec.msgpack.decode(data)[0])
    return msgspec.msgpack.encode([*body[:-1], message])


def is_signed(envelope: bytes) -> bool:
    """Whether the member's key signed the body, by the library alone."""
    body, signature = msgspec.msgpack.decode(envelope)[:2]
    key = members()[1].key.public_key()
    return verify(key, signature, _PREFIX + body)
