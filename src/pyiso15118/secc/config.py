"""What one EVSE is and offers."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import ControlMode, DcLimits, EnergyService
from pyiso15118.machine import check_limits
from pyiso15118.messages import common_messages as cm
from pyiso15118.timers import SeccTimers


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSet:
    """One way to use a service. The numbers are those of the standard's service parameters.

    ``connector`` 2: Extended (CCS). ``mobility_needs_mode`` 1: provided by the EVCC. ``pricing`` 0: none.
    ``bpt_channel`` 1: unified. ``generator_mode`` 1: grid following. The last two are sent for BPT services only.
    """

    id: int
    control_mode: ControlMode = ControlMode.DYNAMIC
    mobility_needs_mode: int = 1
    connector: int = 2
    pricing: int = 0
    bpt_channel: int = 1
    generator_mode: int = 1

    def to_message(self, service: EnergyService) -> cm.ParameterSetType:
        parameters = {
            "Connector": self.connector,
            "ControlMode": int(self.control_mode),
            "MobilityNeedsMode": self.mobility_needs_mode,
            "Pricing": self.pricing,
        }
        if service in (EnergyService.DC_BPT, EnergyService.AC_BPT):
            parameters |= {"BPTChannel": self.bpt_channel, "GeneratorMode": self.generator_mode}
        return cm.ParameterSetType(
            ParameterSetID=self.id,
            Parameter=[cm.ParameterType(Name=name, intValue=value) for name, value in parameters.items()],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOffer:
    """An energy transfer service and the ways to use it."""

    service: EnergyService
    parameter_sets: tuple[ParameterSet, ...] = (ParameterSet(id=1),)
    free: bool = False

    def parameter_set(self, set_id: int) -> ParameterSet | None:
        return next((s for s in self.parameter_sets if s.id == set_id), None)


DC_SERVICES = (ServiceOffer(service=EnergyService.DC_BPT), ServiceOffer(service=EnergyService.DC))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeccConfig:
    """One EVSE as its vehicles see it. Seconds, volts and amperes.

    ``limits``: the ratings, sent at parameter discovery; loop limits never exceed them ([V2G20-2654]).
    ``evse_state_max_age_s``: an ``UpdateEvse`` older than this counts as a fault. ``pre_charge_tolerance_v``:
    largest difference from the vehicle's target at which PowerDelivery(Start) is accepted.
    ``negative_discharge_limits``: send discharge limits negative, as some stacks expect. ``response_hold_s``: a
    response that would say Ongoing, or report a voltage still on its way, waits this long for news (the SECC may
    take 1.5 s). ``power_delivery_hold_s``: so long PowerDelivery waits for contactors and voltage, or, on Stop, for
    the current to fall to ``stop_current_a``; then it fails. ``meter_id``: names the EVSE's meter; readings come by
    ``UpdateEvse``. ``meter_discharge_reading`` false leaves BPT_DischargedEnergyReadingWh out: EcoG's EVCC rejects
    that element.
    """

    evse_id: str
    limits: DcLimits
    services: tuple[ServiceOffer, ...] = DC_SERVICES
    timers: SeccTimers = field(default_factory=SeccTimers)
    evse_state_max_age_s: float = 1.0
    pre_charge_tolerance_v: float = 20.0
    negative_discharge_limits: bool = False
    max_payload_bytes: int = 16_384
    response_hold_s: float = 0.25
    power_delivery_hold_s: float = 1.0
    stop_current_a: float = 1.0
    meter_id: str = ""
    meter_discharge_reading: bool = True

    def __post_init__(self) -> None:
        if not 1 <= len(self.evse_id) <= 255:
            raise LocalProtocolError(f"evse_id has {len(self.evse_id)} characters, must have 1..255")
        if len(self.meter_id) > 32:
            raise LocalProtocolError(f"meter_id has {len(self.meter_id)} characters, at most 32 fit")
        if not self.services:
            raise LocalProtocolError("an EVSE must offer at least one service")
        for offer in self.services:
            if offer.service not in (EnergyService.DC, EnergyService.DC_BPT):
                raise LocalProtocolError(f"service {offer.service.name} is not one this machine can carry out")
            if any(s.control_mode is not ControlMode.DYNAMIC for s in offer.parameter_sets) or not offer.parameter_sets:
                raise LocalProtocolError(f"service {offer.service.name}: needs parameter sets, each of dynamic mode")
        check_limits(self.limits, f"limits of {self.evse_id}")

    def offer(self, service_id: int) -> ServiceOffer | None:
        return next((o for o in self.services if o.service == service_id), None)
