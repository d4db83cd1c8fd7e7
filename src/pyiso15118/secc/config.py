"""What one EVSE is and offers."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyiso15118.checks import check_ac_limits, check_limits, rational
from pyiso15118.der import GridCode, check_grid_code
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import (
    AcLimits,
    BptChannel,
    ControlMode,
    DcLimits,
    EnergyService,
    GeneratorMode,
    McsConnector,
    MobilityNeedsMode,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.security.chain import IsRevoked, TrustAnchors
from pyiso15118.security.tls import TlsProfile
from pyiso15118.timers import SeccTimers


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSet:
    """One way to use a service. The numbers are those of the standard's service parameters.

    ``connector``: AC 1 single-phase, 3 three-phase; DC 2, Extended (CCS); MCS by
    :class:`pyiso15118.events.McsConnector`; None: three-phase, Extended or MCS. ``pricing`` 0: none, 1: absolute
    prices, 2: price levels. ``bpt_channel`` and ``generator_mode`` are sent for BPT services only,
    ``islanding_detection`` (1 active, 2 passive) for AC_BPT only. ``nominal_voltage_v`` is mandatory for AC.
    ``others``: further parameters with integer values, sent as they are.
    """

    id: int
    control_mode: ControlMode = ControlMode.DYNAMIC
    mobility_needs_mode: MobilityNeedsMode = MobilityNeedsMode.BY_EVCC
    connector: int | None = None
    pricing: int = 0
    bpt_channel: BptChannel = BptChannel.UNIFIED
    generator_mode: GeneratorMode = GeneratorMode.GRID_FOLLOWING
    islanding_detection: int | None = None
    nominal_voltage_v: int | None = None
    others: tuple[tuple[str, int], ...] = ()

    def to_message(self, service: EnergyService) -> cm.ParameterSetType:
        """As ServiceDetailRes lists it for ``service``."""
        parameters = {
            "Connector": _default_connector(service) if self.connector is None else self.connector,
            "ControlMode": int(self.control_mode),
            "MobilityNeedsMode": int(self.mobility_needs_mode),
            "Pricing": self.pricing,
        }
        if self.nominal_voltage_v is not None:
            parameters["EVSENominalVoltage"] = self.nominal_voltage_v
        if service.has_bpt_parameters:
            parameters |= {"BPTChannel": int(self.bpt_channel), "GeneratorMode": int(self.generator_mode)}
            if service.is_ac and self.islanding_detection is not None:
                parameters["DetectionMethodGridCodeIslanding"] = self.islanding_detection
        return cm.ParameterSetType(
            ParameterSetID=self.id,
            Parameter=[cm.ParameterType(Name=name, intValue=value) for name, value in parameters.items()]
            + [cm.ParameterType(Name=name, intValue=value) for name, value in self.others],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOffer:
    """An energy transfer service and the ways to use it."""

    service: EnergyService
    parameter_sets: tuple[ParameterSet, ...] = (ParameterSet(id=1),)
    free: bool = False

    def parameter_set(self, set_id: int) -> ParameterSet | None:
        """The one with that id."""
        return next((s for s in self.parameter_sets if s.id == set_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueAddedSet:
    """One way to use a value-added service: parameters by name."""

    id: int
    parameters: tuple[tuple[str, bool | int | float | str], ...]

    def to_message(self) -> cm.ParameterSetType:
        """As ServiceDetailRes lists it."""
        return cm.ParameterSetType(ParameterSetID=self.id, Parameter=[_parameter(*p) for p in self.parameters])


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueAddedOffer:
    """A value-added service (internet access 65, parking status 66, or an operator's own id)."""

    service_id: int
    parameter_sets: tuple[ValueAddedSet, ...]
    free: bool = False


DC_SERVICES = (ServiceOffer(service=EnergyService.DC_BPT), ServiceOffer(service=EnergyService.DC))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeccConfig:
    """One EVSE as its vehicles see it. Seconds, volts, watts and amperes.

    Power. ``limits`` (DC) and ``ac_limits``: the ratings, sent at parameter discovery; loop limits never exceed them
    ([V2G20-2654]). ``grid_code``: handed to vehicles under AC_DER_IEC and AC_DER_SAE. ``negative_discharge_limits``:
    send discharge limits negative, as some stacks expect; under AC_DER_SAE they always are.

    Authorisation. ``authorization``: what is offered; ``PnC`` needs ``contract_anchors`` (mobility operators' roots).
    ``certificate_installation`` needs ``oem_anchors``. ``profile`` says which curves and digests certificates and
    signatures may have; ``is_revoked`` is asked for each certificate of a chain, with its issuer.

    Life of a session. ``service_renegotiation`` is announced with the services. ``resume_without_certificate``: a test
    mode, for streams without TLS.

    Trust in the vehicle. A vehicle may pass its granted power by ``limit_tolerance_w`` plus ``limit_tolerance`` of the
    grant, and has ``limit_follow_s`` to follow a new grant; beyond that ``LimitIgnored`` is raised.

    ``evse_state_max_age_s``: an EVSE state older than this counts as a fault. ``pre_charge_tolerance_v``: largest
    difference from the vehicle's target at which PowerDelivery(Start) is accepted. ``response_hold_s``: a response that
    would say Ongoing, or report a voltage still on its way, waits this long for news (the SECC may take 1.5 s).
    ``power_delivery_hold_s``: so long PowerDelivery waits for contactors and voltage, or, on Stop, for the current to
    fall to ``stop_current_a`` (DC) or the contactor to open (AC); then it fails. ``meter_discharge_reading`` false
    leaves BPT_DischargedEnergyReadingWh out: EcoG's EVCC rejects that element.
    """

    evse_id: str
    limits: DcLimits | None = None
    ac_limits: AcLimits | None = None
    ac_nominal_frequency_hz: float | None = None
    ac_power_ramp_w_per_s: float | None = None
    ac_max_power_asymmetry_w: float | None = None
    grid_code: GridCode | None = None
    services: tuple[ServiceOffer, ...] = DC_SERVICES
    value_added: tuple[ValueAddedOffer, ...] = ()
    authorization: tuple[cm.authorizationType, ...] = (cm.authorizationType.EIM,)
    contract_anchors: TrustAnchors | None = None
    supported_providers: tuple[str, ...] = ()
    certificate_installation: bool = False
    oem_anchors: TrustAnchors | None = None
    profile: TlsProfile = TlsProfile.STRICT
    is_revoked: IsRevoked | None = None
    pause_allowed: bool = True
    standby_allowed: bool = False
    service_renegotiation: bool = True
    resume_without_certificate: bool = False
    timers: SeccTimers = field(default_factory=SeccTimers)
    evse_state_max_age_s: float = 1.0
    pre_charge_tolerance_v: float = 20.0
    negative_discharge_limits: bool = False
    max_payload_bytes: int = 16_384
    response_hold_s: float = 0.25
    power_delivery_hold_s: float = 1.0
    stop_current_a: float = 1.0
    meter_discharge_reading: bool = True
    limit_tolerance: float = 0.05
    limit_tolerance_w: float = 200.0
    limit_follow_s: float = 5.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.evse_id) <= 255:
            raise LocalProtocolError(f"evse_id has {len(self.evse_id)} characters, must have 1..255")
        if not self.services:
            raise LocalProtocolError("an EVSE must offer at least one service")
        for offer in self.services:
            self._check_offer(offer)
        self._check_authorization()

    def _check_offer(self, offer: ServiceOffer) -> None:
        name = offer.service.name
        if not offer.parameter_sets:
            raise LocalProtocolError(f"service {name}: needs parameter sets")
        if offer.service.is_mcs:
            _check_mcs_connectors(offer)
        ids = [s.id for s in offer.parameter_sets]
        if len(set(ids)) != len(ids):
            raise LocalProtocolError(f"service {name}: parameter set ids {ids} must differ")
        if not offer.service.is_ac:
            check_limits(self.limits, f"limits of {self.evse_id} (service {name})")
            return
        check_ac_limits(self.ac_limits, f"ac_limits of {self.evse_id} (service {name})")
        if self.ac_nominal_frequency_hz is None:
            raise LocalProtocolError(f"service {name} needs ac_nominal_frequency_hz")
        if offer.service.is_der:
            self._check_der(offer)

    def _check_der(self, offer: ServiceOffer) -> None:
        name = offer.service.name
        if self.grid_code is None:
            raise LocalProtocolError(f"service {name} needs grid_code, which the vehicle's inverter has to keep to")
        self.check_code(self.grid_code, f"grid_code of {self.evse_id} (service {name})")
        volts = self.grid_code.nominal_voltage_v
        for parameter_set in offer.parameter_sets:
            named_v = parameter_set.nominal_voltage_v
            if named_v is None or abs(named_v - volts) > 1.0:
                raise LocalProtocolError(
                    f"service {name}: parameter set {parameter_set.id} has nominal_voltage_v {named_v}, the grid code "
                    f"counts by {volts:g} V"
                )

    def check_code(self, code: GridCode, what: str) -> None:
        """Raises :class:`LocalProtocolError` for a code that nobody can keep to, or one for another grid."""
        check_grid_code(code, what)
        if code.nominal_frequency_hz != self.ac_nominal_frequency_hz:
            raise LocalProtocolError(
                f"{what} is for {code.nominal_frequency_hz:g} Hz, ac_nominal_frequency_hz is "
                f"{self.ac_nominal_frequency_hz}"
            )

    def _check_authorization(self) -> None:
        if not self.authorization:
            raise LocalProtocolError("authorization is empty: at least EIM or PnC must be offered")
        if cm.authorizationType.PnC in self.authorization and self.contract_anchors is None:
            raise LocalProtocolError("authorization PnC needs contract_anchors, the mobility operators' roots")
        if self.certificate_installation and self.oem_anchors is None:
            raise LocalProtocolError("certificate_installation needs oem_anchors, the vehicle makers' roots")

    def offer(self, service_id: int) -> ServiceOffer | None:
        """Of an energy service by its number; None where it is not offered."""
        return next((o for o in self.services if o.service == service_id), None)

    def value_added_offer(self, service_id: int) -> ValueAddedOffer | None:
        """Of another service by its number; None where it is not offered."""
        return next((o for o in self.value_added if o.service_id == service_id), None)


def _check_mcs_connectors(offer: ServiceOffer) -> None:
    for parameter_set in offer.parameter_sets:
        if parameter_set.connector not in (None, *McsConnector):
            known = ", ".join(f"{c.value} {c.name}" for c in McsConnector)
            raise LocalProtocolError(
                f"service {offer.service.name}: connector {parameter_set.connector} of parameter set "
                f"{parameter_set.id} is none of MCS: {known}"
            )


def _default_connector(service: EnergyService) -> int:
    if service.is_ac:
        return 3
    return int(McsConnector.MCS) if service.is_mcs else 2


def _parameter(name: str, value: bool | int | float | str) -> cm.ParameterType:
    match value:
        case bool():
            return cm.ParameterType(Name=name, boolValue=value)
        case int():
            return cm.ParameterType(Name=name, intValue=value)
        case float():
            return cm.ParameterType(Name=name, rationalNumber=rational(value))
        case _:
            return cm.ParameterType(Name=name, finiteString=value)
