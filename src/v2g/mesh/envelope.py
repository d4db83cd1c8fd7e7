"""What states and orders travel in: signed end to end by the sender, with sequence, time of issue and expiry.

Links are between neighbours and routed over others, so that only the signature says who speaks. An envelope is msgpack
of ``(body, signature)``; the body, msgpack too, has version, network, sender, sequence, both times, the key's id, at
times the certificate, and the message. The signature is over a fixed prefix and the body as it was sent.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from v2g.mesh.identity import Identity
from v2g.mesh.messages import Message, MessageError, decode, encode
from v2g.mesh.trust import Drop, PublicKey, Trust, TrustError, verify

VERSION: Final = 1
LARGEST_BYTES: Final = 65_536
CLOCK_TOLERANCE_S: Final = 1.0
MOST_PER_S: Final = 20.0
BURST: Final = 40.0
LONGEST_VALID_S: Final = 60.0
_PREFIX: Final = b"v2g-mesh-1\x00"
_WRONG_CLOCK_S: Final = 30.0
_RECENT: Final = 128
_RESTART_JUMP: Final = 100_000
"""Sequences begin at the microsecond of the start: no sender skips so many."""
_KEY_ID_BYTES: Final = 16
_CERTIFICATES_EACH: Final = 2
_JUDGE_EVERY_S: Final = 60.0
"""A certificate may expire, or be revoked, while it is in use."""

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Positive = Annotated[int, Meta(ge=1, le=(1 << 62))]


class EnvelopeError(ValueError):
    """One that is not taken. ``sender``: who it says it is from, None where it does not say."""

    def __init__(self, reason: Drop, words: str, sender: str | None = None) -> None:
        super().__init__(words)
        self.reason = reason
        self.sender = sender


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    body: Annotated[bytes, Meta(max_length=LARGEST_BYTES)]
    signature: Annotated[bytes, Meta(max_length=256)]


class _Body(msgspec.Struct, frozen=True, array_like=True):
    version: int
    network: Name
    sender: Name
    sequence: Positive
    issued_ms: Positive
    expires_ms: Positive
    key_id: Annotated[bytes, Meta(min_length=_KEY_ID_BYTES, max_length=_KEY_ID_BYTES)]
    certificate: Annotated[bytes, Meta(max_length=4096)]
    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """``missed``: how many of this sender's are missing before it; 0 after a restart of the sender."""

    sender: str
    sequence: int
    issued_unix_s: float
    expires_unix_s: float
    message: Message
    missed: int


_encoder = msgspec.msgpack.Encoder()
_envelopes = msgspec.msgpack.Decoder(_Envelope)
_bodies = msgspec.msgpack.Decoder(_Body)
_UNREADABLE = (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError)


def key_id(certificate_der: bytes) -> bytes:
    return hashlib.sha256(certificate_der).digest()[:_KEY_ID_BYTES]


class Sealer:
    """Of one sender in one network. ``boot_unix_us``: of this start; its sequence goes on from there."""

    def __init__(self, network: str, identity: Identity, boot_unix_us: int) -> None:
        self._network = network
        self._identity = identity
        self._sequence = max(1, boot_unix_us)
        self._key_id = key_id(identity.certificate_der)

    def seal(self, message: Message, unix_s: float, valid_s: float, *, with_certificate: bool) -> tuple[int, bytes]:
        """``(sequence, envelope)``."""
        self._sequence += 1
        body = _encoder.encode(
            _Body(
                VERSION,
                self._network,
                self._identity.name,
                self._sequence,
                max(1, round(unix_s * 1e3)),
                max(1, round((unix_s + valid_s) * 1e3)),
                self._key_id,
                self._identity.certificate_der if with_certificate else b"",
                encode(message),
            )
        )
        return self._sequence, _encoder.encode(_Envelope(body, self._identity.sign(_PREFIX + body)))


@dataclass(slots=True)
class _Sender:
    keys: dict[bytes, tuple[PublicKey, float]] = field(default_factory=dict)
    """By id, with when (unix) the certificate was judged."""
    last: int = 0
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT))
    tokens: float = BURST
    filled_at_s: float | None = None

    def admits(self, now_s: float, most_per_s: float, burst: float) -> bool:
        if self.filled_at_s is not None:
            self.tokens = min(burst, self.tokens + most_per_s * max(0.0, now_s - self.filled_at_s))
        self.filled_at_s = now_s
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Opener:
    """Of one receiver. ``voices``: who may speak; everything else is dropped and counted, by reason and sender."""

    def __init__(
        self,
        network: str,
        trust: Trust,
        voices: frozenset[str],
        *,
        clock_tolerance_s: float = CLOCK_TOLERANCE_S,
        most_per_s: float = MOST_PER_S,
        burst: float = BURST,
    ) -> None:
        self._network = network
        self._trust = trust
        self._tolerance_s = clock_tolerance_s
        self._most_per_s = most_per_s
        self._burst = burst
        self._senders = {voice: _Sender(tokens=burst) for voice in voices}
        self.opened = 0
        self.counts: Counter[Drop] = Counter()
        self.by_sender: Counter[tuple[str, Drop]] = Counter()

    def trust_anew(self, trust: Trust) -> None:
        """Authorities or revocations have changed: every certificate is judged again."""
        self._trust = trust
        for sender in self._senders.values():
            sender.keys.clear()

    def open(self, data: bytes, now_s: float, unix_s: float) -> Opened:
        """Raises :class:`EnvelopeError`; what was dropped is counted."""
        try:
            opened = self._open(data, now_s, unix_s)
        except EnvelopeError as error:
            self.counts[error.reason] += 1
            if error.sender in self._senders:
                self.by_sender[error.sender, error.reason] += 1
            raise
        self.opened += 1
        return opened

    def _open(self, data: bytes, now_s: float, unix_s: float) -> Opened:
        if len(data) > LARGEST_BYTES:
            raise EnvelopeError(Drop.MALFORMED, f"an envelope of {len(data)} bytes; at most {LARGEST_BYTES}")
        try:
            envelope = _envelopes.decode(data)
            body = _bodies.decode(envelope.body)
        except _UNREADABLE as error:
            raise EnvelopeError(Drop.MALFORMED, f"not an envelope: {error}") from None
        who = body.sender
        if body.version != VERSION:
            raise EnvelopeError(Drop.MALFORMED, f"envelope of {who} has version {body.version}, not {VERSION}", who)
        if body.network != self._network:
            raise EnvelopeError(Drop.FOREIGN, f"envelope of {who} is for network {body.network!r}", who)
        sender = self._senders.get(who)
        if sender is None:
            raise EnvelopeError(Drop.NOT_A_MEMBER, f"{who} is no member", who)
        if not sender.admits(now_s, self._most_per_s, self._burst):
            raise EnvelopeError(Drop.FLOOD, f"more than {self._most_per_s:g} envelopes a second from {who}", who)
        known = sender.keys.get(body.key_id)
        judge = known is None or (body.certificate and not abs(unix_s - known[1]) < _JUDGE_EVERY_S)
        key = self._key(sender, body, unix_s) if judge or known is None else known[0]
        if not verify(key, envelope.signature, _PREFIX + envelope.body):
            raise EnvelopeError(Drop.UNSIGNED, f"signature of {who} does not hold", who)
        self._check_time(body, unix_s)
        missed = self._check_sequence(sender, body)
        try:
            message = decode(body.message)
        except MessageError as error:
            raise EnvelopeError(Drop.CONTENT, f"from {who}: {error}", who) from None
        return Opened(
            sender=who,
            sequence=body.sequence,
            issued_unix_s=body.issued_ms / 1e3,
            expires_unix_s=body.expires_ms / 1e3,
            message=message,
            missed=missed,
        )

    def _key(self, sender: _Sender, body: _Body, unix_s: float) -> PublicKey:
        who = body.sender
        if not body.certificate:
            raise EnvelopeError(Drop.UNKNOWN_CERTIFICATE, f"certificate of {who} has not come yet", who)
        if key_id(body.certificate) != body.key_id:
            raise EnvelopeError(Drop.MALFORMED, f"envelope of {who} has another certificate than it names", who)
        try:
            key = self._trust.check(body.certificate, who, unix_s)
        except TrustError as error:
            raise EnvelopeError(error.reason, str(error), who) from None
        sender.keys.pop(body.key_id, None)
        while len(sender.keys) >= _CERTIFICATES_EACH:
            del sender.keys[next(iter(sender.keys))]
        sender.keys[body.key_id] = key, unix_s
        return key

    def _check_time(self, body: _Body, unix_s: float) -> None:
        who, issued_s, expires_s = body.sender, body.issued_ms / 1e3, body.expires_ms / 1e3
        if expires_s < issued_s or expires_s - issued_s > LONGEST_VALID_S:
            raise EnvelopeError(Drop.EXPIRED, f"envelope of {who} is valid for {expires_s - issued_s:.1f} s", who)
        if issued_s > unix_s + self._tolerance_s:
            ahead_s = issued_s - unix_s
            raise EnvelopeError(Drop.CLOCK, f"clock of {who} is {ahead_s:.1f} s ahead of ours, or ours behind", who)
        if unix_s >= expires_s:
            late_s = unix_s - issued_s
            if late_s > _WRONG_CLOCK_S:
                raise EnvelopeError(Drop.CLOCK, f"clock of {who} is {late_s:.1f} s behind ours, or ours ahead", who)
            raise EnvelopeError(Drop.EXPIRED, f"envelope of {who} came {late_s:.1f} s after it was issued", who)

    def _check_sequence(self, sender: _Sender, body: _Body) -> int:
        who, sequence = body.sender, body.sequence
        if sequence <= sender.last:
            if sequence in sender.recent:
                raise EnvelopeError(Drop.REPLAYED, f"envelope {sequence} of {who} came before", who)
            raise EnvelopeError(Drop.REORDERED, f"envelope {sequence} of {who} is older than one that came", who)
        gap = sequence - sender.last - 1 if sender.last else 0
        sender.last = sequence
        sender.recent.append(sequence)
        return gap if gap < _RESTART_JUMP else 0
