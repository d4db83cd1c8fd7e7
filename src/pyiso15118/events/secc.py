"""Events of the SECC machine."""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.events.common import Event
from pyiso15118.events.values import AcLimits, AcPower, ControlMode, DcLimits, EnergyNeeds, MobilityNeedsMode
from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules import EnergyOffer, PowerProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequested(Event):
    """The vehicle asks for authorisation. Answer with ``Authorize``; until then it is told Ongoing.

    External identification: ``emaid`` is None. Plug and Charge: ``emaid`` names the contract, whose chain (DER, leaf
    first) was validated to a trusted root and whose key signed our challenge; ask whoever bills whether it is good.
    """

    emaid: str | None = None
    contract_chain: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInstallationRequested(Event):
    """The vehicle asks for a contract certificate; its signature and provisioning chain hold.

    Answer with ``InstallCertificate``; until then it is told Ongoing. ``payload``: the request's EXI as received, which
    is what a provisioning service takes.
    """

    request: cm.CertificateInstallationReq
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleLimitsReceived(Event):
    """ChargeParameterDiscovery: the vehicle's limits, DC or AC as the service is."""

    limits: DcLimits | AcLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyNeedsReceived(Event):
    """ScheduleExchange: the vehicle's needs."""

    needs: EnergyNeeds


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRequested(Event):
    """The vehicle awaits schedules; until the owner answers it is told Ongoing.

    Scheduled mode: answer with ``OfferSchedules``. Dynamic mode where the SECC provides the mobility needs: answer with
    ``SetMobilityNeeds``. Not emitted for dynamic mode with needs by the vehicle, which has nothing to answer.
    ``renegotiation``: charging has begun before, and goes on meanwhile.
    """

    control_mode: ControlMode
    mobility_needs_mode: MobilityNeedsMode
    needs: EnergyNeeds
    max_supporting_points: int
    """Entries a schedule may have: 12..1024."""
    energy_offer: EnergyOffer | None = None
    renegotiation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerProfileReceived(Event):
    """The vehicle says how it means to charge, within the schedule it selected. Once a PowerDelivery(Start)."""

    profile: PowerProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class CableCheckRequested(Event):
    """DC. Lock the connector, close the EVSE's contactors, test insulation. Answer with ``CableCheckFinished``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreChargeRequested(Event):
    """DC. Bring the EVSE's output to ``target_voltage_v``. Emitted at the first request and whenever the target
    changes."""

    target_voltage_v: float
    ev_present_voltage_v: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactorRequested(Event):
    """AC. Lock the connector and close the EVSE's contactor; say so by ``UpdateAcEvse.contactor_closed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDeliveryStarted(Event):
    """PowerDelivery(Start) was answered OK: energy may flow from now on.

    The first charge-loop request may be ``SeccTimers.sequence_s`` away. Until its ``*ChargeLoopReceived`` send no
    power, or for a short time only. ``channel``: ``Charge`` or ``Discharge`` where BPT channels are separated; emitted
    again where a later PowerDelivery(Start) chooses the other one.
    """

    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDeliveryStopped(Event):
    """Energy must stop now: bring current to zero, remove voltage, then open contactors.

    Once for each time energy could flow, as soon as the reason is known: at the vehicle's wish, at a fault, open
    contactors or stale state while charging, at a failed cable check or a withdrawn authorisation afterwards, and
    before ``SessionEnded``. Not if the session ends before its first ``PreChargeRequested`` or ``ContactorRequested``.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyEntered(Event):
    """The vehicle was granted standby: bring power to zero; the session goes on until it leaves standby or stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyLeft(Event):
    """PowerDelivery(Start) after standby was answered OK: energy may flow again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenegotiationStarted(Event):
    """The vehicle renegotiates. ``service``: from service discovery on, energy having stopped; else the schedule, in
    the main stream or beside the charge loop, while energy flows on."""

    service: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DcChargeLoopReceived(Event):
    """One charge-loop request of a DC service. ``limits`` are the vehicle's, as they stand now.

    Scheduled mode: ``target_*`` is what the vehicle wants, current negative to discharge; both are None in dynamic
    mode. Numbers that cannot be (negative, above 1e9, a minimum above its maximum) are not passed on: limits become 0,
    an energy None with no power allowed.
    """

    ev_present_voltage_v: float
    limits: DcLimits
    needs: EnergyNeeds
    present_soc_pct: int | None
    battery_capacity_wh: float | None
    target_current_a: float | None = None
    target_voltage_v: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcChargeLoopReceived(Event):
    """One charge-loop request of an AC service: what the vehicle measures at its inlet and can do now.

    Impossible numbers are treated as in :class:`DcChargeLoopReceived`.
    """

    ev_present_active_power: AcPower
    ev_present_reactive_power: AcPower | None
    limits: AcLimits
    needs: EnergyNeeds
    present_soc_pct: int | None
    battery_capacity_wh: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitIgnored(Event):
    """The vehicle takes or gives more than it was granted, and not only while it follows a new limit.

    Emitted once each time it begins. Positive: charge. ``granted_w`` is the bound that was passed, in the direction of
    ``measured_w``.
    """

    granted_w: float
    measured_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteringConfirmed(Event):
    """The vehicle signed a meter reading. ``receipt`` is the message with its signature, to be kept as proof."""

    charged_energy_wh: int
    receipt: cm.MeteringConfirmationReq
