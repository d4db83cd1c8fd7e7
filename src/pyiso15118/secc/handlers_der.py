"""What AC_DER_IEC and AC_DER_SAE add to AC: a grid code goes to the vehicle, and its inverter's state comes back.

Imported when such a session runs, for it brings the message types of both.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from pyiso15118.checks import rational
from pyiso15118.der import DerAlarm, DerNameplate, DerState, GridCode, Ratings, functions_of, iec, sae, sae_functions
from pyiso15118.der.functions import SAE_TARGETS, DerFunction
from pyiso15118.events import (
    DerNameplateReceived,
    DerStateReceived,
    Event,
    GridCodeSent,
    GridCodeWaits,
    VehicleLimitsReceived,
)
from pyiso15118.messages import Namespace, ac, ac_der_iec, ac_der_sae
from pyiso15118.messages import common_types as ct
from pyiso15118.secc.answers import Code, Processing, ac_evse, evse_status, failed
from pyiso15118.secc.limits_ac import (
    cpd_fields,
    discovered_limits,
    discovery_problem,
    evse_ac_limits,
    sent_power,
)
from pyiso15118.secc.session import Reply, Session, Situation
from pyiso15118.secc.transitions import Outcome

_REQUEST_MODES = (ac_der_iec.DER_AC_CPDReqEnergyTransferMode, ac_der_sae.DER_AC_CPDReqEnergyTransferMode)
_IEC_LOOP = {True: ac_der_iec.DER_Scheduled_AC_CLResControlMode, False: ac_der_iec.DER_Dynamic_AC_CLResControlMode}
_SAE_LOOP = {True: ac_der_sae.DER_Scheduled_AC_CLResControlMode, False: ac_der_sae.DER_Dynamic_AC_CLResControlMode}
_LOOP_MODES: dict[type[Any], bool] = {
    ac_der_iec.DER_Dynamic_AC_CLReqControlMode: False,
    ac_der_iec.DER_Scheduled_AC_CLReqControlMode: True,
    ac_der_sae.DER_Dynamic_AC_CLReqControlMode: False,
    ac_der_sae.DER_Scheduled_AC_CLReqControlMode: True,
}
"""By whether they are scheduled."""
_IN_IEC_LOOP = frozenset(
    {
        DerFunction.CONSTANT_VAR,
        DerFunction.POWER_FACTOR_OVER_EXCITED,
        DerFunction.POWER_FACTOR_UNDER_EXCITED,
        DerFunction.DISCHARGE_LIMIT,
    }
)
LOWEST_PU, HIGHEST_PU = 0.5, 1.2
"""Of GridLimits where no trip says otherwise."""


def refusal(request: object, code: ct.responseCodeType, header: ct.MessageHeaderType) -> ct.V2GResponseType | None:
    """The FAILED response to a request of either protocol; None for another one."""
    zero = rational(0)
    module: Any
    for module in (ac_der_iec, ac_der_sae):
        response: ct.V2GResponseType
        if isinstance(request, module.AC_ChargeParameterDiscoveryReq):
            mode = ac.AC_CPDResEnergyTransferMode(
                EVSEMaximumChargePower=zero, EVSEMinimumChargePower=zero, EVSENominalFrequency=zero
            )
            response = module.AC_ChargeParameterDiscoveryRes(
                Header=header, ResponseCode=code, AC_CPDResEnergyTransferMode=mode
            )
            return response
        if isinstance(request, module.AC_ChargeLoopReq):
            loop = ac.Dynamic_AC_CLResControlMode(EVSETargetActivePower=zero)
            response = module.AC_ChargeLoopRes(Header=header, ResponseCode=code, CLResControlMode=loop)
            return response
    return None


# ---- parameter discovery ------------------------------------------------------------------------------------------


def handle_charge_parameter_discovery(request: ac.AC_ChargeParameterDiscoveryReq, situation: Situation) -> Reply:
    """Takes the vehicle's limits and nameplate and hands the grid code over.

    FAILED_WrongChargeParameter for another mode, for limits that cannot be, and for a vehicle whose inverter lacks a
    function that the code asks for (AC_DER_SAE; under AC_DER_IEC it selected a parameter set that names them). A
    vehicle that is not finished yet asks again.
    """
    mode: Any = request.AC_CPDReqEnergyTransferMode
    if not isinstance(mode, _REQUEST_MODES):
        detail = f"{type(mode).__name__} does not belong to the selected service, a DER mode was expected"
        return failed(request, Code.FAILED_WrongChargeParameter, detail, situation)
    limits = discovered_limits(mode, bpt=True)
    if problem := discovery_problem(limits):
        return failed(request, Code.FAILED_WrongChargeParameter, problem, situation)
    code = grid_code(situation)
    session = situation.session
    told: list[Event] = [VehicleLimitsReceived(limits=limits)]
    response_mode: Any
    finished = mode.EVProcessing is Processing.Finished
    if isinstance(mode, ac_der_sae.DER_AC_CPDReqEnergyTransferMode):
        nameplate = _nameplate(mode)
        lacking = sorted(functions_of(code) - nameplate.functions)
        if lacking:
            detail = f"the vehicle's inverter lacks what the grid code asks for: {', '.join(lacking)}"
            return failed(request, Code.FAILED_WrongChargeParameter, detail, situation)
        told.append(DerNameplateReceived(nameplate=nameplate))
        ratings = Ratings(
            active_w=limits.max_discharge_power.total,
            apparent_va=nameplate.apparent_va,
            injected_var=nameplate.injected_var,
        )
        response_mode = _sae_mode(code, ratings, situation, finished=finished)
        left_out: tuple[DerFunction, ...] = ()
    else:
        ratings = iec.ratings_of(limits.max_discharge_power.total)
        response_mode = _iec_mode(code, ratings, situation)
        left_out = iec.left_out(code)
    told.append(GridCodeSent(code=code, left_out=left_out))
    return Reply(
        response=_module(session).AC_ChargeParameterDiscoveryRes(
            Header=situation.header, ResponseCode=Code.OK, AC_CPDResEnergyTransferMode=response_mode
        ),
        session=replace(session, vehicle_limits=limits, grid_code_sent=code, der_ratings=ratings),
        outcome=Outcome.DONE if finished else Outcome.AGAIN,
        events=tuple(told),
    )


def grid_code(situation: Situation) -> GridCode:
    """What holds now: the owner's word, else the configuration's."""
    code = situation.session.grid_code or situation.config.grid_code
    if code is None:
        raise TypeError(f"{situation.config.evse_id} has no grid code, yet offers a DER service")
    return code


def _module(session: Session) -> Any:
    return ac_der_sae if session.protocol is Namespace.AC_DER_SAE else ac_der_iec


def _nameplate(mode: ac_der_sae.DER_AC_CPDReqEnergyTransferMode) -> DerNameplate:
    apparent, reactive, details = mode.EVApparentPowerLimits, mode.EVReactivePowerLimits, mode.EVInverterDetails
    excitation = mode.EVExcitationLimits
    return DerNameplate(
        functions=sae_functions(mode.SupportedModes),
        apparent_va=abs(float(apparent.EVMaximumApparentPowerDuringDischargingAndVarInjection)),
        injected_var=abs(float(reactive.EVMaximumVarInjectionDuringDischarging)),
        absorbed_var=abs(float(reactive.EVMaximumVarAbsorptionDuringDischarging)),
        nominal_voltage_v=float(mode.EVNominalVoltage),
        max_voltage_v=float(mode.EVMaximumVoltage),
        min_voltage_v=float(mode.EVMinimumVoltage),
        manufacturer=details.EVInverterManufacturer,
        model=details.EVInverterModel,
        serial_number=details.EVInverterSerialNumber,
        software_version=details.EVInverterSwVersion,
        hardware_version=details.EVInverterHwVersion,
        normal_category=mode.IEEE1547NormalCategory.value.removeprefix("Category"),
        abnormal_category=mode.IEEE1547AbnormalCategory.value.removeprefix("Category"),
        over_excited_power_factor=float(excitation.EVSpecifiedOverExcitedPowerFactor),
        under_excited_power_factor=float(excitation.EVSpecifiedUnderExcitedPowerFactor),
        certified=mode.J3072Certified,
        certified_at_unix_s=mode.J3072CertificationDate // 1_000_000,
        usable_wh=mode.EVUseableWattHours,
    )


def _present(situation: Situation) -> Any:
    evse = ac_evse(situation)
    return evse.present_active_power if evse else None


def _iec_mode(code: GridCode, ratings: Ratings, situation: Situation) -> ac_der_iec.DER_AC_CPDResEnergyTransferMode:
    limits = evse_ac_limits(situation)
    sign = -1.0 if situation.config.negative_discharge_limits else 1.0
    return ac_der_iec.DER_AC_CPDResEnergyTransferMode(
        **cpd_fields(situation, _present(situation)),
        **sent_power("EVSENominalChargePower", limits.max_charge_power),
        **sent_power("EVSENominalDischargePower", limits.max_discharge_power, sign),
        **sent_power("EVSEMaximumDischargePower", limits.max_discharge_power, sign),
        EVOperatingMode=ac_der_iec.evOperatingModeType.GridFollowing,
        GridConnectionMode=ac_der_iec.gridConnectionModeType.GridConnected,
        DERControl=iec.control_of(code, ratings),
    )


def _sae_mode(
    code: GridCode, ratings: Ratings, situation: Situation, *, finished: bool
) -> ac_der_sae.DER_AC_CPDResEnergyTransferMode:
    """Discharge and injection are negative here, by 8.3.5.2 of Amendment 1."""
    limits, volts = evse_ac_limits(situation), code.nominal_voltage_v
    takes, gives = limits.max_charge_power.total, limits.max_discharge_power.total
    must = code.must_trip
    lowest_pu = min((point.threshold for point in must.under_voltage), default=LOWEST_PU)
    highest_pu = max((point.threshold for point in must.over_voltage), default=HIGHEST_PU)
    return ac_der_sae.DER_AC_CPDResEnergyTransferMode(
        **cpd_fields(situation, _present(situation)),
        EVSEProcessing=Processing.Finished if finished else Processing.Ongoing,
        EVSEStatus=evse_status(situation.evse),
        DERControlCPDRes=sae.control_of(code, ratings),
        **sent_power("EVSEMaximumDischargePower", limits.max_discharge_power, -1.0),
        EVSEReactivePowerLimits=ac_der_sae.EVSEReactivePowerLimitsType(
            EVSEMaximumVarAbsorptionDuringCharging=rational(takes),
            EVSEMaximumVarInjectionDuringCharging=rational(0.0 - takes),
            EVSEMaximumVarAbsorptionDuringDischarging=rational(gives),
            EVSEMaximumVarInjectionDuringDischarging=rational(0.0 - gives),
        ),
        GridLimits=ac_der_sae.GridLimitsType(
            GridNominalFrequency=rational(code.nominal_frequency_hz),
            GridNominalVoltage=rational(volts),
            GridNominalVoltageOffset=rational(0),
            GridMaximumVoltage=rational(highest_pu * volts),
            GridMinimumVoltage=rational(lowest_pu * volts),
        ),
        RequiredDEROperatingMode=ac_der_sae.requiredDEROperatingModeType.GridFollowing,
        GridConnectionMode=ac_der_sae.gridConnectionModeType.GridConnected,
        EVSEUpdateTime=situation.header.TimeStamp,
    )


# ---- charge loop --------------------------------------------------------------------------------------------------


def loop_kind(mode: object, session: Session) -> tuple[bool, bool] | str:
    """As :func:`pyiso15118.secc.answers.loop_kind`, for the modes of DER."""
    scheduled = _LOOP_MODES.get(type(mode))
    if scheduled is None or scheduled is not session.is_scheduled:
        return f"{type(mode).__name__} does not belong to the selected service and control mode"
    return scheduled, True


def answer_loop(
    mode: Any, fields: dict[str, Any], scheduled: bool, situation: Situation
) -> tuple[ac.AC_ChargeLoopRes, Session, tuple[Event, ...]]:
    """The response, yet without what all AC loops say, from its control mode's elements by name; and what became of
    grid code and state."""
    session, events = situation.session, list[Event]()
    code, sent = grid_code(situation), session.grid_code_sent
    ratings = session.der_ratings or Ratings(active_w=0.0, apparent_va=0.0, injected_var=0.0)
    limits = evse_ac_limits(situation)
    if session.protocol is Namespace.AC_DER_SAE:
        fields |= sent_power("EVSEMaximumChargePower", limits.max_charge_power)
        fields |= sent_power("EVSEMaximumDischargePower", limits.max_discharge_power, -1.0)
        fields["DERControlCLRes"] = sae.change_of(sent, code, ratings)
        response_mode: Any = _SAE_LOOP[scheduled](**fields)
        if code != sent:
            events.append(GridCodeSent(code=code, in_loop=True))
    else:
        sign = -1.0 if situation.config.negative_discharge_limits else 1.0
        fields |= sent_power("EVSEMaximumChargePower", limits.max_charge_power)
        fields |= sent_power("EVSEMaximumDischargePower", limits.max_discharge_power, sign)
        fields |= iec.set_points_of(code, ratings)
        response_mode = _IEC_LOOP[scheduled](**fields)
        if sent is not None and code != sent:
            events += _iec_change(sent, code)
    state = _state(mode)
    if state is not None and _without_figures(state) != _without_figures(session.der_state):
        not_enabled = sorted(functions_of(code) - state.enabled - SAE_TARGETS) if state.in_service is not None else []
        events.append(DerStateReceived(state=state, not_enabled=tuple(not_enabled)))
    response = _module(session).AC_ChargeLoopRes(
        Header=situation.header, ResponseCode=Code.OK, CLResControlMode=response_mode
    )
    return response, replace(session, grid_code_sent=code, der_state=state or session.der_state), tuple(events)


def _iec_change(sent: GridCode, code: GridCode) -> list[Event]:
    """What of a change went out with the loop's set-points, and what has to wait."""
    changed = functions_of(code) ^ functions_of(sent) | {
        function for function in functions_of(code) if _setting(code, function) != _setting(sent, function)
    }
    waits = tuple(sorted(changed - _IN_IEC_LOOP - frozenset(iec.left_out(code))))
    told: list[Event] = []
    if changed & _IN_IEC_LOOP:
        told.append(GridCodeSent(code=code, in_loop=True, left_out=iec.left_out(code)))
    if waits:
        told.append(GridCodeWaits(functions=waits))
    return told


def _setting(code: GridCode, function: DerFunction) -> object:
    match function:
        case DerFunction.FREQUENCY_DROOP:
            return code.frequency_droop
        case DerFunction.VOLT_VAR:
            return code.volt_var
        case DerFunction.VOLT_WATT:
            return code.volt_watt
        case DerFunction.WATT_VAR:
            return code.watt_var
        case DerFunction.CONSTANT_VAR:
            return code.set_var_pu
        case DerFunction.DISCHARGE_LIMIT:
            return code.discharge_limit_pu
        case DerFunction.POWER_FACTOR_OVER_EXCITED | DerFunction.POWER_FACTOR_UNDER_EXCITED:
            return code.power_factor
        case DerFunction.OVER_VOLTAGE_CESSATION | DerFunction.UNDER_VOLTAGE_CESSATION:
            return code.cessation
        case _:
            return None


def _state(mode: Any) -> DerState | None:
    if isinstance(mode, ac_der_iec.DER_Dynamic_AC_CLReqControlMode | ac_der_iec.DER_Scheduled_AC_CLReqControlMode):
        return DerState(grid_event=mode.GridEventCondition != 0)
    alarms = DerAlarm(mode.DERAlarmStatus)
    return DerState(
        present_voltage_v=float(mode.EVPresentVoltage),
        present_frequency_hz=float(mode.EVPresentFrequency),
        in_service=mode.DEROperationalState is ac_der_sae.derOperationalStateType.On,
        connected=mode.DERConnectionStatus is ac_der_sae.derConnectionStatusType.Connected,
        alarms=alarms,
        enabled=sae_functions(mode.EnabledModes),
        grid_event=bool(alarms),
    )


def _without_figures(state: DerState | None) -> object:
    if state is None:
        return None
    return state.in_service, state.connected, state.alarms, state.enabled, state.grid_event
