"""Events of both machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyiso15118.events.values import ControlMode, EndReason, EnergyService, MobilityNeedsMode


class Event:
    """Base of all events."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived(Event):
    """A request or response was decoded. For logs and recordings; the machine acts on it by itself."""

    name: str
    message: Any
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent(Event):
    """A request or response was queued for sending."""

    name: str
    message: Any
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameIgnored(Event):
    """A V2GTP frame whose payload type nobody here speaks was skipped, as the standard asks; timers ran on."""

    payload_type: int
    payload_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolAgreed(Event):
    """supportedAppProtocol ended with this namespace, e.g. ``urn:iso:std:iso:15118:-20:DC``."""

    namespace: str
    schema_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    """SessionSetup is done. ``evccid`` is what the vehicle claims: not authenticated, and it may hold
    control characters. ``resumed``: a paused session goes on, at charge parameter discovery; authorisation and service
    stand."""

    session_id: bytes
    evccid: str
    evse_id: str
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyServiceSelected(Event):
    """ServiceSelection is done: the service is fixed until SessionStop or renegotiation.

    ``value_added``: (service id, parameter set id) of each value-added service selected beside it. Emitted again, with
    the same values, where a session is resumed.
    """

    service: EnergyService
    control_mode: ControlMode
    parameter_set_id: int
    mobility_needs_mode: MobilityNeedsMode = MobilityNeedsMode.BY_EVCC
    value_added: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureVerified(Event):
    """A signature of the peer holds. ``signed_info_form``: by which grammar its SignedInfo was encoded, for two are in
    use (``common-messages`` and ``xmldsig``)."""

    message: str
    signed_info_form: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    """Last event of a machine: whatever the phase, remove voltage and open contactors if that is not done yet.

    ``response_code`` is the FAILED_* code sent or received, if any. ``detail`` is printable; control characters in what
    a peer said are escaped.
    """

    reason: EndReason
    detail: str
    response_code: str | None = None
