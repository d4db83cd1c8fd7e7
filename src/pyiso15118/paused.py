"""What outlives a paused session, and how its vehicle and its station are known again.

A record is plain values: the owner keeps it while the session sleeps, in memory or on disk, and hands it to the next
machine. It resumes only where the peer proves, by its TLS certificate, to be the one that paused ([V2G20-2545] for the
SECC, [V2G20-2539] for the EVCC); whoever else comes with its SessionID gets a fresh session ([V2G20-2626],
[V2G20-2627]).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pyiso15118.events import BptChannel, ControlMode, EnergyService, MobilityNeedsMode


def binding(session_id: bytes, peer_certificate: bytes) -> bytes:
    """SHA-512 over the SessionID and the SHA-512 of the peer's leaf certificate (DER): the standard's own example
    (8.3.4.1.4.3)."""
    return hashlib.sha512(session_id + hashlib.sha512(peer_certificate).digest()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedSession:
    """A paused session as either side keeps it.

    ``peer_binding``: :func:`binding` of the peer's certificate; empty where the stream had no TLS, a test mode in which
    nobody can be known again: such a session resumes only if the configuration says ``resume_without_certificate``.
    The modes are those of the parameter set, which a vehicle cannot ask for again.
    """

    session_id: bytes
    peer_binding: bytes
    evccid: str
    evse_id: str
    service: EnergyService
    parameter_set_id: int
    control_mode: ControlMode = ControlMode.DYNAMIC
    mobility_needs_mode: MobilityNeedsMode = MobilityNeedsMode.BY_EVCC
    bpt_channel: BptChannel = BptChannel.UNIFIED
    value_added: tuple[tuple[int, int], ...] = ()
    emaid: str | None = None
    nominal_voltage_v: int | None = None
    """Of an AC service, as its parameter set named it to the vehicle."""
    contract_certificate: bytes | None = None
    """The contract's leaf (DER) as the SECC keeps it, to verify signed meter readings with."""

    def belongs_to(self, peer_certificate: bytes | None) -> bool:
        """Whether the peer with this certificate is the one that paused."""
        return bool(
            self.peer_binding
            and peer_certificate is not None
            and self.peer_binding == binding(self.session_id, peer_certificate)
        )
