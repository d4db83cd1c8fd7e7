"""Keys of a powerline network: the membership key (NMK) and the network's identifier (NID)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from pyiso15118.errors import LocalProtocolError
from pyiso15118.slac.messages import NID_BYTES, NMK_BYTES

_ROUNDS = 5


def new_nmk(random: Callable[[int], bytes]) -> bytes:
    """16 bytes. ``random`` gives as many bytes as it is asked for, from a cryptographic source."""
    nmk = random(NMK_BYTES)
    if len(nmk) != NMK_BYTES:
        raise LocalProtocolError(f"the source of chance gave {len(nmk)} bytes instead of {NMK_BYTES}")
    return nmk


def nid_of(nmk: bytes, security_level: int = 0) -> bytes:
    """7 bytes: five rounds of SHA-256 over the key, 52 bits of the last, the security level in two bits above them.

    HomePlug AV has networks named so; some EVSEs choose otherwise, so nobody is asked for it. Raises
    :class:`LocalProtocolError` for another length, or a level that is not 0..3.
    """
    if len(nmk) != NMK_BYTES or not 0 <= security_level <= 3:
        raise LocalProtocolError(f"NMK of {len(nmk)} bytes and level {security_level}: must be 16 bytes and 0..3")
    digest = nmk
    for _ in range(_ROUNDS):
        digest = hashlib.sha256(digest).digest()
    head = digest[: NID_BYTES - 1]
    return head + bytes(((digest[NID_BYTES - 1] >> 4) | security_level << 4,))
