"""A receiver of envelopes and who sends to it, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from support.mesh_pki import MeshPki
from v2g.mesh.envelope import EnvelopeError, Opened, Opener, Sealer
from v2g.mesh.identity import Identity
from v2g.mesh.messages import Ping
from v2g.mesh.trust import Trust

NOW_S = 1_790_000_000.0
VALID_S = 3.0
BOOT_US = 1_789_999_000_000_000
NETWORK = "grid-7/flat"
PING = Ping(to="tr-9", token=1)
VERSION, NAME, SENDER, SEQUENCE, ISSUED, EXPIRES, KEY_ID, CERTIFICATE, MESSAGE = range(9)
"""Places of a body's fields."""


@dataclass
class Bench:
    """A receiver in the mesh of tr-1 and tr-2. Both clocks stand still unless told otherwise."""

    opener: Opener
    identities: dict[str, Identity]
    now_s: float = 50.0
    unix_s: float = NOW_S
    sealers: dict[str, Sealer] = field(default_factory=dict)

    def sealer(self, name: str = "tr-1") -> Sealer:
        if name not in self.sealers:
            self.sealers[name] = Sealer(NETWORK, self.identities[name], BOOT_US)
        return self.sealers[name]

    def seal(self, name: str = "tr-1", *, at_s: float | None = None, certificate: bool = True) -> bytes:
        """At ``at_s`` of the sender's clock."""
        at_s = self.unix_s if at_s is None else at_s
        return self.sealer(name).seal(PING, at_s, VALID_S, with_certificate=certificate)[1]

    def open(self, data: bytes) -> Opened:
        return self.opener.open(data, self.now_s, self.unix_s)

    def refused(self, data: bytes) -> EnvelopeError:
        """It is dropped, counted once, and nothing else is."""
        counts, opened = self.opener.counts.copy(), self.opener.opened
        with pytest.raises(EnvelopeError) as caught:
            self.open(data)
        counts[caught.value.reason] += 1
        assert self.opener.counts == counts
        assert self.opener.opened == opened
        return caught.value

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.unix_s += seconds


def made(pki: MeshPki, identities: dict[str, Identity], trust: Trust | None = None, **settings: Any) -> Bench:
    trust = pki.trust() if trust is None else trust
    return Bench(Opener(NETWORK, trust, frozenset({"tr-1", "tr-2"}), **settings), identities)


def parts(data: bytes) -> tuple[list[Any], bytes]:
    body, signature = msgspec.msgpack.decode(data)
    return msgspec.msgpack.decode(body), signature


def sealed(identity: Identity, body: Any) -> bytes:
    """Signed as it is, whatever is in it."""
    packed = body if isinstance(body, bytes) else msgspec.msgpack.encode(body)
    return msgspec.msgpack.encode([packed, identity.sign(b"v2g-mesh-1\x00" + packed)])
