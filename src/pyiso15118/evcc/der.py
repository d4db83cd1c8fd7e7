"""What AC_DER_IEC and AC_DER_SAE add to AC on the vehicle's side: nameplate and state go out, a grid code comes in.

Imported when such a session runs, for it brings the message types of both. A code that contradicts itself, that cannot
be understood, or that asks for what the vehicle's inverter cannot do ends the session before energy flows, or in its
loop: a vehicle that cannot keep to the code must not stay at the grid.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyiso15118.checks import limits_problem, rational
from pyiso15118.commands import UpdateAcVehicle
from pyiso15118.der import DerNameplate, DerState, GridCode, Ratings, functions_of, iec, sae_bits, sae_reading
from pyiso15118.der.functions import SAE_TARGETS
from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.evcc.requests_energy import ac_vehicle, discharge_sign, phase_limits
from pyiso15118.evcc.session import Session, Situation, Step
from pyiso15118.evcc.steps import again, give_up, measured
from pyiso15118.evcc.transitions import Outcome
from pyiso15118.events import Event, EvseLimitsReceived, GridCodeReceived
from pyiso15118.messages import Namespace, ac, ac_der_iec, ac_der_sae
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules.wire import MICROSECONDS

_FINISHED = ct.processingType.Finished
_IEC_LOOP = {True: ac_der_iec.DER_Scheduled_AC_CLReqControlMode, False: ac_der_iec.DER_Dynamic_AC_CLReqControlMode}
_SAE_LOOP = {True: ac_der_sae.DER_Scheduled_AC_CLReqControlMode, False: ac_der_sae.DER_Dynamic_AC_CLReqControlMode}
_GRID_EVENT = 1
"""GridEventCondition of a vehicle that the grid holds back; no public source says what its bits are."""


def _nameplate(situation: Situation) -> DerNameplate:
    nameplate = situation.config.der
    if nameplate is None:
        raise LocalProtocolError("a DER service needs EvccConfig.der, the nameplate of the vehicle's inverter")
    return nameplate


def _state(vehicle: UpdateAcVehicle) -> DerState:
    if vehicle.der is None:
        raise LocalProtocolError("the charge loop of a DER service needs UpdateAcVehicle.der, the inverter's state")
    return vehicle.der


# ---- requests -----------------------------------------------------------------------------------------------------


def build_charge_parameter_discovery(situation: Situation) -> ac.AC_ChargeParameterDiscoveryReq:
    """Limits and, for AC_DER_SAE, the nameplate. The code is taken over at once: there is nothing to wait for."""
    vehicle, nameplate = ac_vehicle(situation), _nameplate(situation)
    if situation.session.protocol is Namespace.AC_DER_IEC:
        fields = phase_limits("EV", vehicle.limits, discharge_sign(situation), bpt=True)
        mode: Any = ac_der_iec.DER_AC_CPDReqEnergyTransferMode(
            **fields,
            EVProcessing=_FINISHED,
            EVReactivePowerLimits=ac_der_iec.EVReactivePowerLimitsType(
                EVMaximumChargeReactivePower=rational(nameplate.absorbed_var),
                EVMaximumDischargeReactivePower=rational(nameplate.injected_var),
            ),
        )
        return ac_der_iec.AC_ChargeParameterDiscoveryReq(Header=situation.header, AC_CPDReqEnergyTransferMode=mode)
    fields = phase_limits("EV", vehicle.limits, discharge_sign(situation), bpt=True)
    apparent, reactive = rational(nameplate.apparent_va), nameplate
    taken, given = rational(reactive.absorbed_var), rational(0.0 - reactive.injected_var)
    discharged = fields["EVMaximumDischargePower"]
    mode = ac_der_sae.DER_AC_CPDReqEnergyTransferMode(
        **fields,
        EVProcessing=_FINISHED,
        EVApparentPowerLimits=ac_der_sae.EVApparentPowerLimitsType(
            EVMaximumApparentPowerDuringChargingAndVarAbsorption=apparent,
            EVMaximumApparentPowerDuringChargingAndVarInjection=apparent,
            EVMaximumApparentPowerDuringDischargingAndVarAbsorption=apparent,
            EVMaximumApparentPowerDuringDischargingAndVarInjection=apparent,
        ),
        EVReactivePowerLimits=ac_der_sae.EVReactivePowerLimitsType(
            EVMaximumVarAbsorptionDuringCharging=taken,
            EVMaximumVarInjectionDuringCharging=given,
            EVMaximumVarAbsorptionDuringDischarging=taken,
            EVMaximumVarInjectionDuringDischarging=given,
            EVReactiveSusceptance=rational(0),
        ),
        EVExcitationLimits=ac_der_sae.EVExcitationLimitsType(
            EVSpecifiedOverExcitedPowerFactor=rational(nameplate.over_excited_power_factor),
            EVSpecifiedOverExcitedDischargePower=discharged,
            EVSpecifiedUnderExcitedPowerFactor=rational(nameplate.under_excited_power_factor),
            EVSpecifiedUnderExcitedDischargePower=discharged,
        ),
        EVInverterDetails=ac_der_sae.EVInverterDetailsType(
            EVInverterSwVersion=nameplate.software_version,
            EVInverterHwVersion=nameplate.hardware_version,
            EVInverterManufacturer=nameplate.manufacturer,
            EVInverterModel=nameplate.model,
            EVInverterSerialNumber=nameplate.serial_number,
        ),
        IEEE1547NormalCategory=ac_der_sae.ieee1547NormalCategoryType(f"Category{nameplate.normal_category}"),
        IEEE1547AbnormalCategory=ac_der_sae.ieee1547AbnormalCategoryType(f"Category{nameplate.abnormal_category}"),
        EVNominalVoltage=rational(nameplate.nominal_voltage_v),
        EVMaximumVoltage=rational(nameplate.max_voltage_v),
        EVMinimumVoltage=rational(nameplate.min_voltage_v),
        EVNominalVoltageOffset=rational(0),
        J3072Certified=nameplate.certified,
        J3072CertificationDate=nameplate.certified_at_unix_s * MICROSECONDS,
        EVUseableWattHours=nameplate.usable_wh,
        EVUpdateTime=situation.header.TimeStamp,
        SupportedModes=sae_bits(nameplate.functions | SAE_TARGETS),
        EnabledModes=sae_bits(_asked_for(situation.session) | SAE_TARGETS),
    )
    return ac_der_sae.AC_ChargeParameterDiscoveryReq(Header=situation.header, AC_CPDReqEnergyTransferMode=mode)


def _asked_for(session: Session) -> frozenset[Any]:
    code = session.transfer.grid_code_now
    return frozenset() if code is None else functions_of(code)


def build_charge_loop(
    situation: Situation, display: ct.DisplayParametersType | None, fields: dict[str, Any]
) -> ac.AC_ChargeLoopReq:
    """``fields``: what every AC request says of limits, powers and needs."""
    session, state = situation.session, _state(ac_vehicle(situation))
    if session.protocol is Namespace.AC_DER_IEC:
        mode: Any = _IEC_LOOP[session.is_scheduled](**fields, GridEventCondition=_GRID_EVENT if state.grid_event else 0)
        return ac_der_iec.AC_ChargeLoopReq(
            Header=situation.header, DisplayParameters=display, MeterInfoRequested=False, CLReqControlMode=mode
        )
    on, off = ac_der_sae.derOperationalStateType.On, ac_der_sae.derOperationalStateType.Off
    connection = ac_der_sae.derConnectionStatusType
    times = dict.fromkeys(
        ("EVMinimumChargingDuration", "EVDurationMaximumChargeRate", "EVDurationMaximumDischargeRate"),
        None if session.is_scheduled else 0,
    )
    mode = _SAE_LOOP[session.is_scheduled](
        **fields,
        **times,
        EVPresentVoltage=rational(state.present_voltage_v or 0.0),
        EVPresentFrequency=rational(state.present_frequency_hz or 0.0),
        DEROperationalState=on if state.in_service else off,
        DERConnectionStatus=connection.Connected if state.connected else connection.Disconnected,
        EVUpdateTime=situation.header.TimeStamp,
        DERAlarmStatus=int(state.alarms),
        EnabledModes=sae_bits(state.enabled | SAE_TARGETS),
    )
    return ac_der_sae.AC_ChargeLoopReq(
        Header=situation.header, DisplayParameters=display, MeterInfoRequested=False, CLReqControlMode=mode
    )


# ---- responses ----------------------------------------------------------------------------------------------------


def handle_charge_parameter_discovery(response: ac.AC_ChargeParameterDiscoveryRes, situation: Situation) -> Step:
    """Takes limits and grid code, or gives up for a reason that the EVSE is told."""
    from pyiso15118.evcc.handlers_energy import ac_limits

    mode: Any = response.AC_CPDResEnergyTransferMode
    session = situation.session
    expected = _module(session).DER_AC_CPDResEnergyTransferMode
    if not isinstance(mode, expected):
        raise RemoteProtocolError(f"{type(mode).__name__} does not belong to the selected service")
    limits = ac_limits(mode, bpt=True)
    if problem := limits_problem(limits):
        return give_up(session, f"the EVSE's {problem}")
    frequency_hz = measured("EVSENominalFrequency", mode.EVSENominalFrequency)
    event = EvseLimitsReceived(limits=limits, nominal_frequency_hz=frequency_hz)
    try:
        code, ratings = _taken(mode, frequency_hz, situation)
        _require_able(code, situation)
    except RemoteProtocolError as error:
        return replace(give_up(session, str(error)), events=(event,))
    transfer = replace(session.transfer, evse_limits=limits, grid_code=code, grid_code_now=code, der_ratings=ratings)
    session = replace(session, transfer=transfer)
    if getattr(mode, "EVSEProcessing", _FINISHED) is not _FINISHED:
        return again(replace(situation, session=session))
    return Step(outcome=Outcome.DONE, session=session, events=(event, GridCodeReceived(code=code)))


def take_loop(response: ac.AC_ChargeLoopRes, situation: Situation) -> tuple[Session, tuple[Event, ...]]:
    """What a charge-loop response says of the grid code; where that cannot be kept to, the session is to end."""
    session, mode = situation.session, response.CLResControlMode
    transfer = session.transfer
    known, now, ratings = transfer.grid_code, transfer.grid_code_now, transfer.der_ratings
    module: Any = _module(session)
    if not isinstance(mode, module.DER_Dynamic_AC_CLResControlMode | module.DER_Scheduled_AC_CLResControlMode):
        raise RemoteProtocolError(f"{type(mode).__name__} does not belong to the selected service")
    if known is None or now is None or ratings is None:
        return session, ()
    try:
        if session.protocol is Namespace.AC_DER_SAE:
            code = sae_reading.changed_by(now, mode.DERControlCLRes, ratings)
        else:
            code = iec.with_set_points(known, mode, ratings)
        if code == now:
            return session, ()
        _require_able(code, situation)
    except RemoteProtocolError as error:
        return give_up(session, str(error)).session, ()
    transfer = replace(transfer, grid_code_now=code)
    return replace(session, transfer=transfer), (GridCodeReceived(code=code, in_loop=True),)


def _module(session: Session) -> Any:
    return ac_der_sae if session.protocol is Namespace.AC_DER_SAE else ac_der_iec


def _taken(mode: Any, frequency_hz: float, situation: Situation) -> tuple[GridCode, Ratings]:
    """Raises :class:`RemoteProtocolError` for a code that contradicts itself or cannot be understood."""
    session, nameplate = situation.session, _nameplate(situation)
    discharge_w = ac_vehicle(situation).limits.max_discharge_power.total
    if session.protocol is Namespace.AC_DER_SAE:
        ratings = Ratings(active_w=discharge_w, apparent_va=nameplate.apparent_va, injected_var=nameplate.injected_var)
        return sae_reading.grid_code_of(mode.DERControlCPDRes, mode.GridLimits, ratings), ratings
    volts = session.parameters.nominal_voltage_v
    if not volts:
        raise RemoteProtocolError("the parameter set names no EVSENominalVoltage, which the grid code counts by")
    ratings = iec.ratings_of(discharge_w)
    return iec.grid_code_of(mode.DERControl, frequency_hz, float(volts), ratings), ratings


def _require_able(code: GridCode, situation: Situation) -> None:
    lacking = sorted(functions_of(code) - _nameplate(situation).functions)
    if lacking:
        raise RemoteProtocolError(f"the grid code asks for what this vehicle's inverter lacks: {', '.join(lacking)}")
