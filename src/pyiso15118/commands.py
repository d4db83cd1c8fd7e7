"""What the owner tells a machine, through ``machine.command(command, now)``. Signs and units as in ``events``."""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.der.values import DerState, GridCode
from pyiso15118.events import ZERO_POWER, AcLimits, AcPower, DcLimits, EnergyNeeds, MeterReading
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages.common_types import evseNotificationType, responseCodeType
from pyiso15118.schedules import AbsolutePrices, EnergyOffer, PowerProfile, PriceLevels, ScheduleTuple


class Command:
    """Base of all commands."""

    __slots__ = ()


# ---- both machines ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort(Command):
    """End now without SessionStop: the stream is closed, ``SessionEnded(ABORTED)`` follows."""

    reason: str


# ---- SECC ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorize(Command):
    """Answer to ``AuthorizationRequested``.

    A refusal is a warning, and the vehicle may ask again ([V2G20-2230]): WARNING_EIMAuthorizationFailure, or for Plug
    and Charge ``warning`` where given (``WARNING_NoContractMatchingPCIDFound``, ``WARNING_CertificateRevoked``,
    ``WARNING_eMSPUnknown``, …), else WARNING_GeneralPnCAuthorizationError. ``granted=False`` later on withdraws: energy
    stops at once and the next request is answered FAILED. ``granted=True`` later on is an error.

    It may come before the vehicle asks, for external identification; a contract is answered for only once it was
    asked about. ``emaid``: the contract that is meant; give it where answers may come late, for one that is no longer
    asked about is then an error and never counts for another.
    """

    granted: bool
    warning: responseCodeType | None = None
    emaid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallCertificate(Command):
    """Answer to ``CertificateInstallationRequested``.

    ``response``: as the provisioning service made and signed it; SessionID and time stamp of its header are replaced,
    its signature stays. None: nothing can be installed, ``warning`` says why, and the session goes on.
    """

    response: cm.CertificateInstallationRes | None
    warning: responseCodeType = responseCodeType.WARNING_NoCertificateAvailable


@dataclass(frozen=True, slots=True, kw_only=True)
class CableCheckFinished(Command):
    """Answer to ``CableCheckRequested``. Not passed: FAILED, and the session ends.

    A failure may be told later, too: energy stops at once and the next request is answered FAILED. A failure stands;
    ``passed=True`` after it, or after the cable check, is an error.
    """

    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferSchedules(Command):
    """Answer to ``ScheduleRequested`` in scheduled mode: one to three tuples with different ids, the most wanted first.

    None at all: FAILED, or in a renegotiation WARNING_ScheduleRenegotiationFailed. ``go_to_pause`` asks the vehicle to
    pause the session until its schedule begins.
    """

    tuples: tuple[ScheduleTuple, ...]
    go_to_pause: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMobilityNeeds(Command):
    """Dynamic mode: what the SECC knows of departure and energy.

    Answer to ``ScheduleRequested`` where the SECC provides the mobility needs; given again it changes what the charge
    loop says. In the other dynamic mode only the prices are sent, with ScheduleExchangeRes.
    """

    departure_time_s: int | None = None
    min_soc_pct: int | None = None
    target_soc_pct: int | None = None
    prices: AbsolutePrices | PriceLevels | None = None
    go_to_pause: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetGridCode(Command):
    """DER: what a vehicle's inverter has to keep to from now on, in place of ``SeccConfig.grid_code``.

    Before parameter discovery it goes out with that, later with the charge loop as far as the protocol can say it; see
    ``GridCodeSent`` and ``GridCodeWaits``. A code that nobody can keep to is refused.
    """

    code: GridCode


@dataclass(frozen=True, slots=True, kw_only=True)
class _EvseState(Command):
    """What every EVSE tells, AC and DC.

    ``fault``: a text, or None; a fault refuses PowerDelivery(Start) and ends a running charge loop. ``notification``:
    what is asked of the vehicle; sent with every charge-loop and PowerDelivery response while it stands, so take it
    back when it is answered. ``meter``: the EVSE's meter now; ``None`` where it has none.
    """

    fault: str | None = None
    notification: evseNotificationType | None = None
    notification_max_delay_s: int = 0
    meter: MeterReading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDcEvse(_EvseState):
    """A DC EVSE as it is now; give it often. Older than ``SeccConfig.evse_state_max_age_s`` counts as a fault.

    While charging, a fault, open contactors or stale state stop energy at once; the next request is answered FAILED.

    ``limits``: what the EVSE offers now; the machine never sends more than it offered at parameter discovery
    ([V2G20-2654]). ``present_current_a`` negative: discharge.
    """

    present_voltage_v: float
    present_current_a: float
    limits: DcLimits
    contactors_closed: bool
    power_limit_achieved: bool = False
    current_limit_achieved: bool = False
    voltage_limit_achieved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateAcEvse(_EvseState):
    """An AC EVSE as it is now; give it often. Stale state and faults act as for a DC EVSE.

    ``target_active_power``: the set-point of dynamic mode, negative to discharge, held within what was offered at
    parameter discovery; None: zero, for power needs a word. In scheduled mode it is sent where given.
    ``present_active_power``: measured at the EVSE, None where it has no meter.
    """

    contactor_closed: bool
    target_active_power: AcPower | None = None
    target_reactive_power: AcPower | None = None
    present_active_power: AcPower | None = None
    target_frequency_hz: float | None = None


EvseState = UpdateDcEvse | UpdateAcEvse


# ---- EVCC ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDcVehicle(Command):
    """A vehicle at a DC EVSE as it is now. ``target_current_a`` is asked for in scheduled mode, negative to discharge;
    None: what the selected schedule and the limits allow. ``energy_offer``: what it would feed back and for what price,
    sent with ScheduleExchange in scheduled mode."""

    present_voltage_v: float
    target_voltage_v: float
    limits: DcLimits
    needs: EnergyNeeds
    present_soc_pct: int | None = None
    battery_capacity_wh: float | None = None
    target_current_a: float | None = None
    energy_offer: EnergyOffer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateAcVehicle(Command):
    """A vehicle at an AC EVSE as it is now: what it measures at its inlet, negative to discharge, and can do.

    ``energy_offer`` as for a DC EVSE. ``der``: what its inverter does, needed under AC_DER_IEC and AC_DER_SAE.
    """

    limits: AcLimits
    needs: EnergyNeeds
    present_active_power: AcPower = ZERO_POWER
    present_reactive_power: AcPower = ZERO_POWER
    present_soc_pct: int | None = None
    battery_capacity_wh: float | None = None
    energy_offer: EnergyOffer | None = None
    der: DerState | None = None


VehicleState = UpdateDcVehicle | UpdateAcVehicle


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactorsClosed(Command):
    """Answer to ``PreChargeReached``: the vehicle's contactors are closed, PowerDelivery(Start) may go out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectSchedule(Command):
    """Answer to ``SchedulesOffered``: which tuple, and how the vehicle means to charge within it. ``profile`` names the
    tuple; in a later renegotiation the command stands for the next offer."""

    profile: PowerProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCharging(Command):
    """PowerDelivery(Stop), welding detection and SessionStop(Terminate) follow, as far as the session had come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCharging(Command):
    """As :class:`StopCharging`, but SessionStop(Pause): ``machine.paused`` then resumes. From ``EnergyServiceSelected``
    on; a StopCharging before SessionStop is out still overrides it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterStandby(Command):
    """Ask the EVSE for standby from the charge loop; ``StandbyAnswered`` tells whether it agreed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveStandby(Command):
    """Charge again after standby: PowerDelivery(Start)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenegotiateSchedule(Command):
    """From the charge loop: PowerDelivery(ScheduleRenegotiation), a new ScheduleExchange, and charging goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenegotiateService(Command):
    """From the charge loop: energy stops, SessionStop(ServiceRenegotiation), and on from service discovery with
    ``services``, or those of the configuration where it is empty."""

    services: tuple[int, ...] = ()
