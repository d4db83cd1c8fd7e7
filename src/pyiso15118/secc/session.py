"""What the SECC remembers of a session, and what a handler is told and returns. Immutable, all of it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    EvseState,
    InstallCertificate,
    OfferSchedules,
    SetMobilityNeeds,
)
from pyiso15118.der.values import DerState, GridCode, Ratings
from pyiso15118.events import AcLimits, ControlMode, DcLimits, EndReason, Event, MobilityNeedsMode
from pyiso15118.machine import SESSION_ID_BYTES
from pyiso15118.messages import Namespace
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.app_protocol import supportedAppProtocolRes
from pyiso15118.paused import PausedSession
from pyiso15118.protocols import AC_PROTOCOLS, DER_PROTOCOLS
from pyiso15118.schedules import PowerProfile, PowerWatch, ScheduleTuple
from pyiso15118.schedules.wire import MICROSECONDS
from pyiso15118.secc.config import ParameterSet, SeccConfig, ServiceOffer
from pyiso15118.secc.obedience import Obedience
from pyiso15118.secc.transitions import Outcome, State

Response = ct.V2GResponseType | supportedAppProtocolRes


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the next request, whatever it is, will be answered with ``code``."""

    code: ct.responseCodeType
    detail: str


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A contract whose chain was validated and whose key signed our challenge.

    ``certificate``: its leaf (DER), with whose key meter readings are signed. ``shown``: what the vehicle sent, by
    which a repeated request is known; None in a resumed session.
    """

    emaid: str
    certificate: bytes
    shown: cm.PnC_AReqAuthorizationModeType | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Grows as the sequence advances. ``*_since`` are monotonic seconds, None while the matter is not under way."""

    session_id: bytes = bytes(SESSION_ID_BYTES)
    evccid: str = ""
    protocol: Namespace | None = None
    challenge: bytes = b""
    authorization_since: float | None = None
    authorization: Authorize | None = None
    contract: Contract | None = None
    """The contract that is asked about or was accepted; None with external identification."""
    installation_since: float | None = None
    installation_for: cm.SignedCertificateChainType | None = None
    installation: InstallCertificate | None = None

    offer: ServiceOffer | None = None
    parameter_set: ParameterSet | None = None
    value_added: tuple[tuple[int, int], ...] = ()
    vehicle_limits: DcLimits | AcLimits | None = None

    schedule_since: float | None = None
    schedule_answer: OfferSchedules | SetMobilityNeeds | None = None
    """The owner's answer that no response has used yet."""
    max_points: int = 1024
    offered: tuple[ScheduleTuple, ...] = ()
    mobility: SetMobilityNeeds | None = None
    mobility_at: float = 0.0
    profile: PowerProfile | None = None
    profile_due: bool = False
    """Schedules were offered and none of them selected yet."""
    watch: PowerWatch | None = None
    channel: str | None = None

    cable_check_since: float | None = None
    cable_check: CableCheckFinished | None = None
    pre_charge_target_v: float | None = None
    live: bool = False
    """The owner was asked for voltage and not yet told to take it away."""
    energized: bool = False
    """As ``live``, until it is seen that current and contactor are off."""
    charging: bool = False
    """Energy may flow. Implies ``live``."""
    standby: bool = False
    """The loop goes on without energy. Implies ``live``, excludes ``charging``."""
    standby_voltage_v: float | None = None
    """The battery's, as it was when standby began or as the vehicle measured it last since."""
    loop_answered: bool = False
    failure: Failure | None = None
    meter_info: ct.MeterInfoType | None = None
    """The reading that was shown last."""
    obedience: Obedience = Obedience()

    grid_code: GridCode | None = None
    """As the owner gave it; None: that of the configuration holds."""
    grid_code_sent: GridCode | None = None
    """What the vehicle has, None before parameter discovery."""
    der_ratings: Ratings | None = None
    der_state: DerState | None = None

    @property
    def is_ac(self) -> bool:
        """The protocol agreed is that of AC services."""
        return self.protocol in AC_PROTOCOLS

    @property
    def is_der(self) -> bool:
        """The protocol agreed is one of those that hand a grid code over."""
        return self.protocol in DER_PROTOCOLS

    @property
    def is_bpt(self) -> bool:
        """The service selected may feed back."""
        return self.offer is not None and self.offer.service.is_bpt

    @property
    def is_mcs(self) -> bool:
        """The service selected is one of megawatt charging."""
        return self.offer is not None and self.offer.service.is_mcs

    @property
    def is_scheduled(self) -> bool:
        """The parameter set selected has scheduled control mode."""
        return self.parameter_set is not None and self.parameter_set.control_mode is ControlMode.SCHEDULED

    @property
    def owner_has_needs(self) -> bool:
        """Dynamic mode in which the SECC provides the mobility needs."""
        return (
            self.parameter_set is not None
            and self.parameter_set.control_mode is ControlMode.DYNAMIC
            and self.parameter_set.mobility_needs_mode is MobilityNeedsMode.BY_SECC
        )

    def directions(self, bpt: bool) -> tuple[bool, bool]:
        """Whether power may flow into and out of the vehicle now: none in standby, one with separate channels."""
        if self.standby:
            return False, False
        selection = cm.channelSelectionType
        return self.channel != selection.Discharge, bpt and self.channel != selection.Charge

    def without_service(self) -> Session:
        """As after authorisation: what belongs to the service selected is forgotten."""
        return Session(
            session_id=self.session_id,
            evccid=self.evccid,
            protocol=self.protocol,
            challenge=self.challenge,
            authorization=self.authorization,
            contract=self.contract,
            failure=self.failure,
            grid_code=self.grid_code,
        )

    def stopped(self) -> Session:
        """As after the owner was told to take voltage away."""
        return replace(self, charging=False, standby=False, live=False, watch=None, obedience=Obedience())


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that a handler may know besides the request.

    ``evse`` is None where no state was given or it is older than ``evse_state_max_age_s``, or is that of an EVSE of the
    other kind. ``held_out``: this request has waited as long as its handler asked for; it must be answered now.
    ``side``: the request came beside the main stream; the answer changes no state. ``header`` is that of the response.
    """

    config: SeccConfig
    session: Session
    now: float
    header: ct.MessageHeaderType
    state: State = State.APP_PROTOCOL
    evse: EvseState | None = None
    held_out: bool = False
    side: bool = False
    payload: bytes = b""
    random: Callable[[int], bytes] = bytes
    peer_certificate: bytes | None = None
    certified_name: str | None = None
    resumable: PausedSession | None = None

    @property
    def unix_s(self) -> int:
        """Calendar time now."""
        return self.header.TimeStamp // MICROSECONDS


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Answer now. ``detail`` tells people why a FAILED response was chosen; ``end``: why the session ends with it."""

    response: Response
    session: Session
    outcome: Outcome | None
    """None: the response is a FAILED one."""
    events: tuple[Event, ...] = ()
    detail: str = ""
    end: EndReason | None = None
    paused: PausedSession | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Answer later: ask again when the owner gave a command, or ``for_s`` seconds after the request arrived."""

    for_s: float
    session: Session
    events: tuple[Event, ...] = ()
