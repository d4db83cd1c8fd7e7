"""What the EVCC remembers of a session, and what its functions are told and return. Immutable, all of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pyiso15118.commands import VehicleState
from pyiso15118.der.values import GridCode, Ratings
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc.config import EvccConfig
from pyiso15118.evcc.transitions import Outcome
from pyiso15118.events import (
    AcLimits,
    BptChannel,
    ControlMode,
    DcLimits,
    EnergyService,
    Event,
    GeneratorMode,
    MeterReading,
    MobilityNeedsMode,
)
from pyiso15118.machine import SESSION_ID_BYTES
from pyiso15118.messages import Namespace
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.paused import PausedSession
from pyiso15118.protocols import AC_PROTOCOLS, DER_PROTOCOLS
from pyiso15118.schedules import PowerProfile, ScheduleTuple
from pyiso15118.schedules.wire import MICROSECONDS
from pyiso15118.security.provisioning import ContractCredential


class Ending(enum.IntEnum):
    """How the present energy transfer is to end, if it is. What is greater overrides what is less."""

    NONE = 0
    RENEGOTIATE = 1
    PAUSE = 2
    TERMINATE = 3

    @property
    def charging_session(self) -> cm.chargingSessionType:
        """How SessionStopReq says it."""
        match self:
            case Ending.RENEGOTIATE:
                return cm.chargingSessionType.ServiceRenegotiation
            case Ending.PAUSE:
                return cm.chargingSessionType.Pause
            case _:
                return cm.chargingSessionType.Terminate


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceParameters:
    """The parameter set of an energy service that the vehicle took."""

    id: int
    control_mode: ControlMode = ControlMode.DYNAMIC
    mobility_needs_mode: MobilityNeedsMode = MobilityNeedsMode.BY_EVCC
    bpt_channel: BptChannel = BptChannel.UNIFIED
    generator_mode: GeneratorMode = GeneratorMode.GRID_FOLLOWING
    nominal_voltage_v: int | None = None
    """Of an AC service, as the EVSE names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the owner or the EVSE wants of the charge loop, until it is done. ``services``: those of a service
    renegotiation, empty where the configuration's stand."""

    standby: bool = False
    leave_standby: bool = False
    schedule: bool = False
    services: tuple[EnergyService, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What belongs to one energy service: forgotten at a service renegotiation."""

    candidates: tuple[EnergyService, ...] = ()
    """Services that both sides have, the most wanted first; the first one is being looked at."""
    parameters: ServiceParameters | None = None
    value_added_wanted: tuple[int, ...] = ()
    """Value-added services still to be looked at."""
    value_added: tuple[tuple[int, int], ...] = ()
    is_selected: bool = False
    evse_limits: DcLimits | AcLimits | None = None
    loop_limits: DcLimits | None = None
    grid_code: GridCode | None = None
    """DER: as parameter discovery brought it."""
    grid_code_now: GridCode | None = None
    """With what the charge loop said since."""
    der_ratings: Ratings | None = None
    """What its per-unit values are of."""
    offered: tuple[ScheduleTuple, ...] = ()
    chosen: PowerProfile | None = None
    """By SelectSchedule, not yet used."""
    profile: PowerProfile | None = None
    """What the last PowerDelivery(Start) said."""
    channel: cm.channelSelectionType | None = None
    pre_charge_reached: bool = False
    pre_charge_finished: bool = False
    start_finished: bool = False
    contactors_closed: bool = False
    charging: bool = False
    welding_checked: bool = False
    notification: ct.evseNotificationType | None = None
    """What the EVSE asks for at present: acted upon once, until it asks for something else or for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Grows as the sequence advances. ``gave_up``: why the vehicle ends a session it did not want to end so."""

    session_id: bytes = bytes(SESSION_ID_BYTES)
    set_up: bool = False
    evse_id: str = ""
    resuming: PausedSession | None = None
    protocol: Namespace = Namespace.DC
    contract: ContractCredential | None = None
    may_use_eim: bool = False
    challenge: bytes | None = None
    """GenChallenge where the contract is used; None: external identification."""
    emaid: str | None = None
    """The contract by which the session was authorised."""
    renegotiable: bool = False
    transfer: Transfer = Transfer()
    wishes: Wishes = Wishes()
    ending: Ending = Ending.NONE
    stop_sent: Ending = Ending.NONE
    """What the SessionStopReq under way says."""
    gave_up: str = ""
    confirming: MeterReading | None = None
    """The reading in the MeteringConfirmationReq under way."""

    @property
    def service(self) -> EnergyService:
        """Raises ``IndexError`` before ServiceDiscovery."""
        return self.transfer.candidates[0]

    @property
    def is_ac(self) -> bool:
        """Messages are those of AC services."""
        return self.protocol in AC_PROTOCOLS

    @property
    def is_der(self) -> bool:
        """The EVSE hands a grid code over."""
        return self.protocol in DER_PROTOCOLS

    @property
    def stopping(self) -> bool:
        """Energy transfer is to end."""
        return self.ending is not Ending.NONE

    @property
    def parameters(self) -> ServiceParameters:
        """Raises :class:`LocalProtocolError` before ServiceDetail."""
        if self.transfer.parameters is None:
            raise LocalProtocolError("no parameter set has been selected yet")
        return self.transfer.parameters

    @property
    def is_scheduled(self) -> bool:
        return self.parameters.control_mode is ControlMode.SCHEDULED

    @property
    def has_separate_channels(self) -> bool:
        return self.service.is_bpt and self.parameters.bpt_channel is BptChannel.SEPARATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a builder or handler may know. ``vehicle``: as its owner told it last, for the kind of service at hand.
    ``in_standby``: no power is wanted. ``series_s``: how long the present request has been repeated. ``unix_s``: by the
    vehicle's own clock, which is the one to trust certificates by ([V2G20-1533])."""

    config: EvccConfig
    session: Session
    header: ct.MessageHeaderType
    unix_s: int
    vehicle: VehicleState | None
    in_standby: bool = False
    series_s: float = 0.0

    @property
    def secc_unix_s(self) -> int:
        """Calendar time now by the SECC's clock, by which schedules count."""
        return self.header.TimeStamp // MICROSECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an answer means. ``pause_s``: wait this long before the next request. ``afresh``: a new series of it."""

    outcome: Outcome
    session: Session
    events: tuple[Event, ...] = ()
    pause_s: float = 0.0
    afresh: bool = False
