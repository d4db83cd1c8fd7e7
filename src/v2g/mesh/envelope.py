"""What states and orders travel in: signed end to end by the sender, with sequence, time of issue and expiry.

Links are between neighbours and routed over others, so that only the signature says who speaks. An envelope is msgpack
of ``(body, signature)``; the body, msgpack too, has version, network, sender, sequence, both times, the key's id, at
times the certificate, and the message. The signature is over a fixed prefix and the body as it was sent.

What is checked in which order: size and shape, network, sender, how often it sends, certificate, signature, time,
sequence, content. All up to the certificate costs a few microseconds, so that a flood costs little; the price is that
whoever is in the mesh can use up the rate of another and so silence it. A member that is silenced counts with the
worst, which takes room from others and gives none.

Sequences of one life of a sender count up by one. A life begins with the microsecond of its start, far from any other;
between two lives the times of issue decide, and the later life is left for an earlier one only once what it said last
has expired: that is a sender whose clock was ahead when it started before.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from v2g.mesh.identity import Identity
from v2g.mesh.messages import Message, MessageError, decode, encode
from v2g.mesh.trust import LARGEST_CERTIFICATE, Drop, Judged, Trust, TrustError, verify

VERSION: Final = 1
LARGEST_BYTES: Final = 65_536
CLOCK_TOLERANCE_S: Final = 1.0
MOST_PER_S: Final = 20.0
BURST: Final = 40.0
JUDGED_PER_S: Final = 1.0
"""Certificates of one sender that are not in use yet: each costs several times what a signature does."""
JUDGED_BURST: Final = 4.0
LONGEST_VALID_S: Final = 60.0
_PREFIX: Final = b"v2g-mesh-1\x00"
_WRONG_CLOCK_S: Final = 60.0
_RECENT: Final = 256
_OTHER_LIFE: Final = 100_000
"""Sequences that are so far apart are of two lives: nobody sends so many while one is valid, or starts so soon."""
_KEY_ID_BYTES: Final = 16
_CERTIFICATES_EACH: Final = 2
_JUDGE_EVERY_S: Final = 60.0
"""A certificate may expire, or be revoked, while it is in use."""

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Network = Annotated[str, Meta(min_length=1, max_length=160)]
Positive = Annotated[int, Meta(ge=1, le=(1 << 62))]


class EnvelopeError(ValueError):
    """One that is not taken. ``sender``: who it says it is from, proven or not; None where it does not say."""

    def __init__(self, reason: Drop, words: str, sender: str | None = None) -> None:
        super().__init__(words)
        self.reason = reason
        self.sender = sender


class _Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    body: Annotated[bytes, Meta(max_length=LARGEST_BYTES)]
    signature: Annotated[bytes, Meta(max_length=256)]


class _Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    network: Network
    sender: Name
    sequence: Positive
    issued_ms: Positive
    expires_ms: Positive
    key_id: Annotated[bytes, Meta(min_length=_KEY_ID_BYTES, max_length=_KEY_ID_BYTES)]
    certificate: Annotated[bytes, Meta(max_length=LARGEST_CERTIFICATE)]
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
        """``(sequence, envelope)``. ``valid_s``: up to ``LONGEST_VALID_S``, or nobody takes it."""
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


@dataclass(frozen=True, slots=True)
class _Known:
    """A certificate whose key has signed an envelope, as it was judged last."""

    der: bytes
    judged: Judged
    at_unix_s: float

    def stands(self, unix_s: float) -> bool:
        soon = abs(unix_s - self.at_unix_s) < _JUDGE_EVERY_S
        return soon and self.judged.begins_unix_s <= unix_s <= self.judged.ends_unix_s


@dataclass(frozen=True, slots=True)
class _Refused:
    key_id: bytes
    at_unix_s: float
    reason: Drop
    words: str


@dataclass(slots=True)
class _Bucket:
    """So many a second, and so many at once."""

    per_s: float
    burst: float
    left: float = 0.0
    filled_at_s: float = -inf

    def admits(self, now_s: float) -> bool:
        # One that is new is filled by the time since ever.
        self.left = min(self.burst, self.left + self.per_s * max(0.0, now_s - self.filled_at_s))
        self.filled_at_s = now_s
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


@dataclass(slots=True)
class _Sender:
    """``sequence``, ``issued_ms`` and ``expires_ms`` are of the last that was taken; 0: none was."""

    envelopes: _Bucket
    certificates: _Bucket = field(default_factory=lambda: _Bucket(JUDGED_PER_S, JUDGED_BURST))
    known: dict[bytes, _Known] = field(default_factory=dict)
    refused: _Refused | None = None
    sequence: int = 0
    issued_ms: int = 0
    expires_ms: int = 0
    recent: dict[int, None] = field(default_factory=dict)

    def is_of_this_life(self, sequence: int) -> bool:
        return abs(sequence - self.sequence) < _OTHER_LIFE

    def remember(self, key_id: bytes, known: _Known) -> None:
        self.known.pop(key_id, None)
        while len(self.known) >= _CERTIFICATES_EACH:
            del self.known[next(iter(self.known))]
        self.known[key_id] = known

    def took(self, body: _Body) -> None:
        self.sequence, self.issued_ms, self.expires_ms = body.sequence, body.issued_ms, body.expires_ms
        self.recent[body.sequence] = None
        if len(self.recent) > _RECENT:
            del self.recent[next(iter(self.recent))]


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
        self._senders = {voice: _Sender(_Bucket(most_per_s, burst)) for voice in voices}
        self.opened = 0
        self.counts: Counter[Drop] = Counter()
        self.by_sender: Counter[tuple[str, Drop]] = Counter()

    def trust_anew(self, trust: Trust) -> None:
        """Authorities or revocations have changed: every certificate is judged again, before its next envelope.

        An authority of whom there are no revocations any more keeps those it had.
        """
        self._trust = trust.keeping(self._trust)
        for sender in self._senders.values():
            sender.refused = None
            sender.known = {each: _Known(known.der, known.judged, -inf) for each, known in sender.known.items()}

    def drops_by_sender(self) -> dict[str, dict[str, int]]:
        """How many of each were dropped, by reason, both in the order of their names."""
        found: dict[str, dict[str, int]] = {}
        for (sender, reason), count in sorted(self.by_sender.items()):
            found.setdefault(sender, {})[reason.value] = count
        return found

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
        if not sender.envelopes.admits(now_s):
            raise EnvelopeError(Drop.FLOOD, f"more than {sender.envelopes.per_s:g} envelopes a second from {who}", who)
        before = sender.known.get(body.key_id)
        stands = before is not None and before.stands(unix_s)
        known = before if before is not None and stands else self._judge(sender, before, body, now_s, unix_s)
        if not verify(known.judged.key, envelope.signature, _PREFIX + envelope.body):
            raise EnvelopeError(Drop.UNSIGNED, f"signature of {who} does not hold", who)
        if known is not before:
            sender.remember(body.key_id, known)
        if body.sequence in sender.recent:
            raise EnvelopeError(Drop.REPLAYED, f"envelope {body.sequence} of {who} came before", who)
        self._check_time(sender, body, unix_s)
        missed = _missed(sender, body, unix_s)
        sender.took(body)
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

    def _judge(self, sender: _Sender, before: _Known | None, body: _Body, now_s: float, unix_s: float) -> _Known:
        """``before``: the same certificate, judged too long ago."""
        who, refused = body.sender, sender.refused
        if refused is not None and refused.key_id == body.key_id and abs(unix_s - refused.at_unix_s) < _JUDGE_EVERY_S:
            raise EnvelopeError(refused.reason, refused.words, who)
        if before is None and not body.certificate:
            raise EnvelopeError(Drop.UNKNOWN_CERTIFICATE, f"certificate of {who} has not come yet", who)
        if before is None and key_id(body.certificate) != body.key_id:
            raise EnvelopeError(Drop.MALFORMED, f"envelope of {who} has another certificate than it names", who)
        if before is None and not sender.certificates.admits(now_s):
            raise EnvelopeError(Drop.FLOOD, f"more than {JUDGED_PER_S:g} new certificates a second from {who}", who)
        der = body.certificate if before is None else before.der
        try:
            return _Known(der, self._trust.judge(der, who, unix_s), unix_s)
        except TrustError as error:
            sender.refused = _Refused(body.key_id, unix_s, error.reason, str(error))
            raise EnvelopeError(error.reason, str(error), who) from None

    def _check_time(self, sender: _Sender, body: _Body, unix_s: float) -> None:
        who, issued_s, expires_s = body.sender, body.issued_ms / 1e3, body.expires_ms / 1e3
        if not 0 <= body.expires_ms - body.issued_ms <= LONGEST_VALID_S * 1e3:
            words = f"envelope of {who} is valid for {expires_s - issued_s:.1f} s; must be 0 to {LONGEST_VALID_S:g}"
            raise EnvelopeError(Drop.EXPIRED, words, who)
        if issued_s > unix_s + self._tolerance_s:
            ahead_s = issued_s - unix_s
            raise EnvelopeError(Drop.CLOCK, f"clock of {who} is {ahead_s:.1f} s ahead of ours, or ours behind", who)
        if unix_s >= expires_s:
            late_s = unix_s - issued_s
            # What is older than what came already was held back: that says nothing of a clock.
            is_held_back = sender.is_of_this_life(body.sequence) and body.sequence < sender.sequence
            if unix_s - expires_s > _WRONG_CLOCK_S and not is_held_back:
                raise EnvelopeError(Drop.CLOCK, f"clock of {who} is {late_s:.1f} s behind ours, or ours ahead", who)
            raise EnvelopeError(Drop.EXPIRED, f"envelope of {who} came {late_s:.1f} s after it was issued", who)


def _missed(sender: _Sender, body: _Body, unix_s: float) -> int:
    """How many are missing before it. Raises :class:`EnvelopeError` where it does not come after the last."""
    if not sender.sequence:
        return 0
    jump = body.sequence - sender.sequence
    if sender.is_of_this_life(body.sequence):
        is_late, missed = jump < 0, jump - 1
    else:
        is_late, missed = body.issued_ms <= sender.issued_ms or (jump < 0 and unix_s * 1e3 < sender.expires_ms), 0
    if is_late:
        words = f"envelope {body.sequence} of {body.sender} is older than {sender.sequence}, which came before"
        raise EnvelopeError(Drop.REORDERED, words, body.sender)
    return missed
