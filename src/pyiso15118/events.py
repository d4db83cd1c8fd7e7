"""What a machine tells its owner. Power and current: positive charges the vehicle, negative discharges it.

Discharge limits are magnitudes (>= 0). Voltages in V, currents in A, powers in W, energies in Wh, times in s.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class EnergyService(enum.IntEnum):
    """ServiceID of an energy transfer service."""

    AC = 1
    DC = 2
    AC_BPT = 5
    DC_BPT = 6


class ControlMode(enum.IntEnum):
    """Service parameter ControlMode."""

    SCHEDULED = 1
    DYNAMIC = 2


class EndReason(enum.StrEnum):
    """Why a session ended. The value is the code that operators see in comms.log."""

    STOPPED = "SESSION_STOPPED"
    """SessionStop(Terminate) was exchanged."""
    PAUSED = "SESSION_PAUSED"
    TIMEOUT_SECC = "SECC_TIMEOUT"
    """The vehicle was silent longer than the sequence timeout."""
    TIMEOUT_EVCC = "EVCC_TIMEOUT"
    """The SECC did not answer, or answered Ongoing for too long."""
    FAILED_BY_US = "SESSION_FAILED"
    """We answered FAILED_* (SECC), or gave up for a reason of ours."""
    FAILED_BY_PEER = "PEER_FAILED"
    """The peer answered FAILED_* or broke the protocol."""
    PROTOCOL_ERROR = "PROTOCOL_ERROR"
    """Bytes that are not V2GTP or EXI, or a message that is too large."""
    PEER_CLOSED = "PEER_CLOSED"
    """The stream ended without SessionStop."""
    ABORTED = "SESSION_ABORTED"
    """The owner gave :class:`pyiso15118.commands.Abort`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DcLimits:
    """Limits of one side of a DC connection: magnitudes, all >= 0. Discharge limits are 0 without BPT."""

    max_charge_power_w: float
    min_charge_power_w: float = 0.0
    max_charge_current_a: float
    min_charge_current_a: float = 0.0
    max_voltage_v: float
    min_voltage_v: float
    max_discharge_power_w: float = 0.0
    min_discharge_power_w: float = 0.0
    max_discharge_current_a: float = 0.0
    min_discharge_current_a: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyNeeds:
    """What the vehicle needs until departure; None where it did not say.

    ``departure_time_s`` counts from the message. Energy requests in Wh: positive to be charged, negative surplus.
    ``*_soc_pct`` in percent, 0..100.
    """

    departure_time_s: int | None = None
    target_energy_wh: float | None = None
    max_energy_wh: float | None = None
    min_energy_wh: float | None = None
    max_v2x_energy_wh: float | None = None
    min_v2x_energy_wh: float | None = None
    min_soc_pct: int | None = None
    target_soc_pct: int | None = None


class Event:
    """Base of all events."""

    __slots__ = ()


# ---- both machines ------------------------------------------------------------------------------------------------


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
    control characters."""

    session_id: bytes
    evccid: str
    evse_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyServiceSelected(Event):
    """ServiceSelection is done: the service is fixed until SessionStop or renegotiation."""

    service: EnergyService
    control_mode: ControlMode
    parameter_set_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    """Last event of a machine: whatever the phase, remove voltage and open contactors if that is not done yet.

    ``response_code`` is the FAILED_* code sent or received, if any. ``detail`` is printable; control characters in what
    a peer said are escaped.
    """

    reason: EndReason
    detail: str
    response_code: str | None = None


# ---- SECC ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequested(Event):
    """The vehicle asks for EIM authorisation. Answer with ``Authorize``; until then it is told Ongoing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleLimitsReceived(Event):
    """ChargeParameterDiscovery: the vehicle's limits."""

    limits: DcLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyNeedsReceived(Event):
    """ScheduleExchange: the vehicle's needs."""

    needs: EnergyNeeds


@dataclass(frozen=True, slots=True, kw_only=True)
class CableCheckRequested(Event):
    """Lock the connector, close the EVSE's contactors, test insulation. Answer with ``CableCheckFinished``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreChargeRequested(Event):
    """Bring the EVSE's output to ``target_voltage_v``. Emitted at the first request and whenever the target changes."""

    target_voltage_v: float
    ev_present_voltage_v: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDeliveryStarted(Event):
    """PowerDelivery(Start) was answered OK: energy may flow from now on.

    The first charge-loop request may be ``SeccTimers.sequence_s`` away. Until its ``ChargeLoopReceived`` send no power,
    or for a short time only.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDeliveryStopped(Event):
    """Energy must stop now: bring current to zero, remove voltage, then open contactors.

    Once a session, as soon as the reason is known: at the vehicle's wish, at a fault, open contactors or stale state
    while charging, at a failed cable check or a withdrawn authorisation afterwards, and before ``SessionEnded``. Not if
    the session ends before its first ``PreChargeRequested``.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLoopReceived(Event):
    """One charge-loop request. ``limits`` are the vehicle's, as they stand now.

    Numbers that cannot be (negative, above 1e9, a minimum above its maximum) are not passed on: limits become 0, an
    energy None with no power allowed.
    """

    ev_present_voltage_v: float
    limits: DcLimits
    needs: EnergyNeeds
    present_soc_pct: int | None
    battery_capacity_wh: float | None


# ---- EVCC ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseLimitsReceived(Event):
    """ChargeParameterDiscovery: the EVSE's limits."""

    limits: DcLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class PreChargeStarted(Event):
    """Pre-charge begins; the EVSE's insulation test passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreChargeReached(Event):
    """The EVSE's voltage matches ours: close the vehicle's contactors, then give ``ContactorsClosed``."""

    evse_present_voltage_v: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingStarted(Event):
    """PowerDelivery(Start) was answered OK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLoopAnswered(Event):
    """One charge-loop response: what the EVSE measures (``evse_present_current_a`` negative: discharge) and allows.

    Limits that cannot be (negative, above 1e9, a minimum above its maximum) are passed on as 0.
    """

    evse_present_voltage_v: float
    evse_present_current_a: float
    limits: DcLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested(Event):
    """The EVSE sent EVSENotification. The machine stops by itself on Terminate; the owner need do nothing."""

    notification: str
    max_delay_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingStopped(Event):
    """PowerDelivery(Stop) was answered: open the vehicle's contactors."""
