"""Events of the EVCC machine."""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.events.common import Event
from pyiso15118.events.values import AcLimits, AcPower, DcLimits, EnergyNeeds, MeterReading
from pyiso15118.schedules import ScheduleTuple
from pyiso15118.security.provisioning import ContractCredential


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInstalled(Event):
    """The EVSE brought a contract certificate, verified and decrypted. Keep it: this session uses it already."""

    contract: ContractCredential
    remaining: int
    """Further contracts that the provisioning service has for this vehicle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInstallationFailed(Event):
    """No contract came, or one that does not verify; the session goes on without it."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseLimitsReceived(Event):
    """ChargeParameterDiscovery: the EVSE's limits, DC or AC as the service is."""

    limits: DcLimits | AcLimits
    nominal_frequency_hz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulesOffered(Event):
    """Scheduled mode. Answer with ``SelectSchedule``; if it has not come when PowerDelivery(Start) is due (AC: after
    ``EvccTimers.ongoing_period_s``), the first one is taken and followed as far as the vehicle's limits go; with
    ``EvccConfig.select_schedules`` the EVSE is told to wait. Schedules that name no time start now."""

    tuples: tuple[ScheduleTuple, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MobilityNeedsReceived(Event):
    """Dynamic mode with needs by the SECC: when the vehicle is taken to leave and what it is meant to have by then."""

    needs: EnergyNeeds


@dataclass(frozen=True, slots=True, kw_only=True)
class PreChargeStarted(Event):
    """DC. Pre-charge begins; the EVSE's insulation test passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreChargeReached(Event):
    """DC. The EVSE's voltage matches ours: close the vehicle's contactors, then give ``ContactorsClosed``."""

    evse_present_voltage_v: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingStarted(Event):
    """PowerDelivery(Start) was answered OK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DcChargeLoopAnswered(Event):
    """One charge-loop response: what the EVSE measures (``evse_present_current_a`` negative: discharge) and allows.

    Limits that cannot be (negative, above 1e9, a minimum above its maximum) are passed on as 0. ``needs``: what the
    SECC wants for the vehicle where it provides the mobility needs.
    """

    evse_present_voltage_v: float
    evse_present_current_a: float
    limits: DcLimits
    meter: MeterReading | None = None
    needs: EnergyNeeds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcChargeLoopAnswered(Event):
    """One charge-loop response: the set-point to follow (None in scheduled mode: the selected schedule holds)."""

    target_active_power: AcPower | None
    target_reactive_power: AcPower | None
    evse_present_active_power: AcPower | None
    target_frequency_hz: float | None = None
    meter: MeterReading | None = None
    needs: EnergyNeeds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested(Event):
    """The EVSE sent EVSENotification, or asked for a pause with its schedule. Told once while it stands.

    The machine acts by itself on each; the owner need do nothing. MeteringConfirmation is acted on where a contract
    authorised the session, whose key signs.
    """

    notification: str
    max_delay_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningReceived(Event):
    """A response carried a WARNING_* code, and the session goes on."""

    message: str
    response_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyAnswered(Event):
    """``granted``: the EVSE agreed to standby; else charging goes on."""

    granted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteringConfirmationSent(Event):
    """A meter reading was signed with the contract's key and confirmed by the EVSE."""

    meter: MeterReading


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingStopped(Event):
    """PowerDelivery(Stop) was answered: open the vehicle's contactors."""
