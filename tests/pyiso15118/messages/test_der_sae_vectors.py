"""Messages of AC_DER_SAE are the bytes that other codecs write for the values their authors say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.exi.declarations import Struct
from pyiso15118.messages import Namespace, ac
from pyiso15118.messages import ac_der_sae as sae
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.jsonform import from_json, to_json
from support.der_sae_vectors import CBV2G, EVEREST, WWCP

REQUEST = ct.MessageHeaderType(SessionID=bytes.fromhex("3D4CBF93374ED89B"), TimeStamp=1725456323)
RESPONSE = ct.MessageHeaderType(SessionID=bytes.fromhex("3D4CBF93374ED89B"), TimeStamp=1725456324)
V, Hz, W, s, var = (sae.derUnitType(unit) for unit in ("V", "Hz", "W", "s", "var"))


def r(value: int, exponent: int = 0) -> ct.RationalNumberType:
    return ct.RationalNumberType(Exponent=exponent, Value=value)


def points(*pairs: tuple[ct.RationalNumberType, ct.RationalNumberType]) -> sae.CurveDataPointsListType:
    return sae.CurveDataPointsListType(CurveDataPoint=[sae.DataTupleType(xValue=x, yValue=y) for x, y in pairs])


def curve(cls: Any, x: sae.derUnitType, y: sae.derUnitType, *pairs: Any, **more: Any) -> Any:
    return cls(Enable=True, xUnit=x, yUnit=y, CurveDataPoints=points(*pairs), **more)


def trip(unit: sae.derUnitType, *pairs: Any) -> sae.DERCurveType:
    found: sae.DERCurveType = curve(sae.DERCurveType, unit, s, *pairs)
    return found


VOLTAGE_TRIP = sae.VoltageTripType(
    OverVoltageMustTripCurve=trip(V, (r(264), r(1)), (r(288), r(2, -1))),
    UnderVoltageMustTripCurve=trip(V, (r(196), r(2)), (r(160), r(2, -1))),
)
FREQUENCY_TRIP = sae.FrequencyTripType(
    OverFrequencyMustTripCurve=trip(Hz, (r(62), r(1)), (r(63), r(5, -1))),
    UnderFrequencyMustTripCurve=trip(Hz, (r(58), r(1)), (r(57), r(5, -1))),
)
WINDOW = {
    "PermitService": True,
    "EnterServiceVoltageHigh": r(253),
    "EnterServiceVoltageLow": r(207),
    "EnterServiceFrequencyHigh": r(61),
    "EnterServiceFrequencyLow": r(59),
}
APPARENT = {
    f"EVMaximumApparentPowerDuring{way}AndVar{sign}": r(12, 3)
    for way in ("Charging", "Discharging")
    for sign in ("Absorption", "Injection")
}
REACTIVE = {
    f"MaximumVar{sign}During{way}": r(5, 3)
    for way in ("Charging", "Discharging")
    for sign in ("Absorption", "Injection")
}
DISCHARGE_AT_LIMITS = {
    "EVSpecifiedOverExcitedDischargePower": r(8, 3),
    "EVSpecifiedUnderExcitedDischargePower": r(8, 3),
}
DURATIONS = {
    "EVMinimumChargingDuration": 600,
    "EVDurationMaximumChargeRate": 1800,
    "EVDurationMaximumDischargeRate": 1800,
}
NOW: dict[str, Any] = {
    "EVPresentActivePower": r(9, 3),
    "EVPresentVoltage": r(230),
    "EVPresentFrequency": r(60),
    "DEROperationalState": sae.derOperationalStateType.On,
    "DERConnectionStatus": sae.derConnectionStatusType.Connected,
    "EVUpdateTime": 1725456323,
    "DERAlarmStatus": 0,
    "EnabledModes": 3,
}
ENERGY = {
    "EVTargetEnergyRequest": r(40, 3),
    "EVMaximumEnergyRequest": r(60, 3),
    "EVMinimumEnergyRequest": r(10, 3),
}
POWERS = {
    "EVMaximumChargePower": r(11, 3),
    "EVMinimumChargePower": r(100),
    "EVPresentReactivePower": r(0),
    "EVMaximumDischargePower": r(11, 3),
    "EVMinimumDischargePower": r(100),
}
STATION_ALSO_SAYS: dict[str, Any] = {
    "EVSEStatus": ct.EVSEStatusType(NotificationMaxDelay=60, EVSENotification=ct.evseNotificationType.Pause),
    "MeterInfo": ct.MeterInfoType(MeterID="EVSE-METER-01", ChargedEnergyReadingWh=12000),
    "Receipt": ct.ReceiptType(TimeAnchor=1725456324),
    "EVSETargetFrequency": r(60),
}
VOLT_VAR = curve(
    sae.VoltVarType,
    V,
    var,
    (r(207), r(3, 3)),
    (r(253), r(-3, 3)),
    OpenLoopResponseTime=r(5),
    ReferenceVoltage=r(230),
    AutonomousReferenceVoltageAdjustmentEnable=False,
    ReferenceVoltageAdjustmentTimeConstant=300,
)


def discovery_request() -> Struct:
    mode = sae.DER_AC_CPDReqEnergyTransferMode(
        EVMaximumChargePower=r(11, 3),
        EVMinimumChargePower=r(100),
        EVProcessing=ct.processingType.Finished,
        EVMaximumDischargePower=r(11, 3),
        EVApparentPowerLimits=sae.EVApparentPowerLimitsType(**APPARENT),
        EVReactivePowerLimits=sae.EVReactivePowerLimitsType(
            **{f"EV{name}": value for name, value in REACTIVE.items()}, EVReactiveSusceptance=r(1, -3)
        ),
        EVExcitationLimits=sae.EVExcitationLimitsType(
            EVSpecifiedOverExcitedPowerFactor=r(90, -2),
            EVSpecifiedUnderExcitedPowerFactor=r(90, -2),
            **DISCHARGE_AT_LIMITS,
        ),
        EVInverterDetails=sae.EVInverterDetailsType(
            EVInverterSwVersion="SW1.0",
            EVInverterManufacturer="Pionix",
            EVInverterModel="INV-1000",
            EVInverterSerialNumber="SN-0001",
        ),
        IEEE1547NormalCategory=sae.ieee1547NormalCategoryType.CategoryB,
        IEEE1547AbnormalCategory=sae.ieee1547AbnormalCategoryType.CategoryIII,
        EVNominalVoltage=r(230),
        EVMaximumVoltage=r(260),
        EVMinimumVoltage=r(200),
        EVNominalVoltageOffset=r(0),
        J3072Certified=True,
        J3072CertificationDate=1725456000,
        EVUseableWattHours=75000,
        EVUpdateTime=1725456323,
        SupportedModes=15,
        EnabledModes=3,
    )
    return sae.AC_ChargeParameterDiscoveryReq(Header=REQUEST, AC_CPDReqEnergyTransferMode=mode)


def discovery_response() -> Struct:
    control = sae.DERControlCPDResType(
        VoltageTrip=VOLTAGE_TRIP,
        FrequencyTrip=FREQUENCY_TRIP,
        EnterServiceCPDRes=sae.EnterServiceCPDResType(**WINDOW),
        ReactivePowerSupportCPDRes=sae.ReactivePowerSupportCPDResType(
            ConstantPowerFactor=sae.ConstantPowerFactorType(
                Enable=True,
                PowerFactorValue=r(95, -2),
                PowerFactorExcitation=sae.powerFactorExcitationType.OverExcited,
            ),
            VoltVar=VOLT_VAR,
            WattVar=curve(sae.WattVarType, W, var, (r(5, 3), r(1, 3)), (r(11, 3), r(2, 3))),
            ConstantVar=sae.ConstantVarType(Enable=True, VarSetpoint=r(2, 3), Unit=var),
        ),
        ActivePowerSupportCPDRes=sae.ActivePowerSupportCPDResType(
            FrequencyDroop=sae.FrequencyDroop(Enable=True),
            VoltWatt=curve(sae.VoltWattType, V, W, (r(253), r(11, 3)), (r(264), r(5, 3)), OpenLoopResponseTime=r(5)),
            ConstantWatt=sae.ConstantWattType(Enable=True, WattSetpoint=r(5, 3), Unit=W),
            LimitMaxDischargePower=sae.LimitMaxDischargePowerType(Enable=True, PercentageValue=80),
        ),
    )
    mode = sae.DER_AC_CPDResEnergyTransferMode(
        EVSEMaximumChargePower=r(22, 3),
        EVSEMinimumChargePower=r(100),
        EVSENominalFrequency=r(60),
        EVSEProcessing=ct.processingType.Finished,
        DERControlCPDRes=control,
        EVSEMaximumDischargePower=r(15, 3),
        EVSEReactivePowerLimits=sae.EVSEReactivePowerLimitsType(
            **{f"EVSE{name}": value for name, value in REACTIVE.items()}
        ),
        GridLimits=sae.GridLimitsType(
            GridNominalFrequency=r(60),
            GridNominalVoltage=r(230),
            GridNominalVoltageOffset=r(0),
            GridMaximumVoltage=r(264),
            GridMinimumVoltage=r(196),
        ),
        RequiredDEROperatingMode=sae.requiredDEROperatingModeType.GridFollowing,
        GridConnectionMode=sae.gridConnectionModeType.GridConnected,
        EVSEUpdateTime=1725456324,
    )
    return sae.AC_ChargeParameterDiscoveryRes(
        Header=RESPONSE, ResponseCode=ct.responseCodeType.OK, AC_CPDResEnergyTransferMode=mode
    )


def loop_request(mode: Any, **more: Any) -> Struct:
    return sae.AC_ChargeLoopReq(Header=REQUEST, CLReqControlMode=mode, **{"MeterInfoRequested": False, **more})


def loop_response(mode: Any, **more: Any) -> Struct:
    return sae.AC_ChargeLoopRes(Header=RESPONSE, ResponseCode=ct.responseCodeType.OK, CLResControlMode=mode, **more)


def scheduled_request_with_all() -> Struct:
    mode = sae.DER_Scheduled_AC_CLReqControlMode(
        **NOW,
        **ENERGY,
        **POWERS,
        **DURATIONS,
        **{f"EVMaximumChargePower_{phase}": r(11, 3) for phase in ("L2", "L3")},
        **{f"EVPresentActivePower_{phase}": r(9, 3) for phase in ("L2", "L3")},
        EVApparentPower=sae.EVApparentPowerType(**APPARENT),
        EVReactivePower=sae.EVReactivePowerType(**{f"EV{name}": value for name, value in REACTIVE.items()}),
        EVExcitation=sae.EVExcitationType(**DISCHARGE_AT_LIMITS),
    )
    shown = ct.DisplayParametersType(PresentSOC=55, MinimumSOC=30, TargetSOC=80, ChargingComplete=False)
    return loop_request(mode, MeterInfoRequested=True, DisplayParameters=shown)


def dynamic_request_with_all() -> Struct:
    mode = sae.DER_Dynamic_AC_CLReqControlMode(
        **NOW,
        **ENERGY,
        **POWERS,
        **DURATIONS,
        **{f"EVMaximumChargePower_{phase}": r(11, 3) for phase in ("L2", "L3")},
        DepartureTime=7200,
        EVSessionTotalDischargeEnergyAvailable=r(30, 3),
        EVApparentPower=sae.EVApparentPowerType(**APPARENT),
        EVExcitation=sae.EVExcitationType(**DISCHARGE_AT_LIMITS),
        EVMaximumV2XEnergyRequest=r(20, 3),
        EVMinimumV2XEnergyRequest=r(5, 3),
    )
    shown = ct.DisplayParametersType(PresentSOC=55, TargetSOC=80)
    return loop_request(mode, MeterInfoRequested=True, DisplayParameters=shown)


def scheduled_response_with_all() -> Struct:
    control = sae.DERControlCLResType(
        VoltageTrip=VOLTAGE_TRIP,
        FrequencyTrip=FREQUENCY_TRIP,
        EnterServiceCLRes=sae.EnterServiceCLResType(
            **WINDOW,
            EnterServiceDelay=r(300),
            EnterServiceRandomizedDelay=r(60),
            EnterServiceRampTime=r(120),
        ),
        ReactivePowerSupportCLRes=sae.ReactivePowerSupportCLResType(
            ConstantPowerFactor=sae.ConstantPowerFactorType(
                Enable=True,
                Priority=1,
                PowerFactorValue=r(95, -2),
                PowerFactorExcitation=sae.powerFactorExcitationType.OverExcited,
            )
        ),
        ActivePowerSupportCLRes=sae.ActivePowerSupportCLResType(
            FrequencyDroop=sae.FrequencyDroop(
                Enable=True,
                Priority=2,
                OverFrequencyDroop=sae.FrequencyDroopSettingsType(
                    db=r(36, -3),
                    DroopFactor=r(5, -2),
                    PowerReference=sae.powerReferenceType.MaximumActivePower,
                    OpenLoopResponseTime=r(5),
                ),
            ),
            LimitMaxDischargePower=sae.LimitMaxDischargePowerType(Enable=True, PercentageValue=80),
        ),
    )
    mode = sae.DER_Scheduled_AC_CLResControlMode(
        EVSETargetActivePower=r(10, 3),
        EVSETargetReactivePower=r(0),
        EVSEPresentActivePower=r(9, 3),
        DERControlCLRes=control,
        EVSEMaximumChargePower=r(22, 3),
        EVSEMaximumDischargePower=r(15, 3),
        RequiredDEROperatingMode=sae.requiredDEROperatingModeType.GridFollowing,
        GridConnectionMode=sae.gridConnectionModeType.GridConnected,
    )
    return loop_response(mode, **STATION_ALSO_SAYS)


def dynamic_response_with_all() -> Struct:
    volt_var = from_json(
        Namespace.AC_DER_SAE, {"VoltVar": {**to_json(VOLT_VAR)["VoltVar"], "Priority": 1}}, fragment=True
    )
    assert isinstance(volt_var, sae.VoltVarType)
    control = sae.DERControlCLResType(
        VoltageTrip=VOLTAGE_TRIP,
        FrequencyTrip=FREQUENCY_TRIP,
        EnterServiceCLRes=sae.EnterServiceCLResType(**WINDOW),
        ReactivePowerSupportCLRes=sae.ReactivePowerSupportCLResType(VoltVar=volt_var),
        ActivePowerSupportCLRes=sae.ActivePowerSupportCLResType(
            ConstantWatt=sae.ConstantWattType(Enable=True, Priority=3, WattSetpoint=r(5, 3), Unit=W)
        ),
    )
    mode = sae.DER_Dynamic_AC_CLResControlMode(
        DepartureTime=7200,
        MinimumSOC=30,
        TargetSOC=80,
        AckMaxDelay=10,
        EVSETargetActivePower=r(10, 3),
        EVSETargetReactivePower=r(0),
        EVSEPresentActivePower=r(9, 3),
        DERControlCLRes=control,
        EVSEMaximumChargePower=r(22, 3),
        EVSEMaximumDischargePower=r(15, 3),
        RequiredDEROperatingMode=sae.requiredDEROperatingModeType.GridForming,
        GridConnectionMode=sae.gridConnectionModeType.GridIslanded,
    )
    return loop_response(mode, **STATION_ALSO_SAYS)


PERMITTED = sae.DERControlCLResType(EnterServiceCLRes=sae.EnterServiceCLResType(PermitService=True))
VALUES = {
    "cpd_req": discovery_request(),
    "cpd_res": discovery_response(),
    "cl_req_scheduled_min": loop_request(sae.DER_Scheduled_AC_CLReqControlMode(**NOW)),
    "cl_req_dynamic_min": loop_request(sae.DER_Dynamic_AC_CLReqControlMode(**NOW, **ENERGY, **POWERS, **DURATIONS)),
    "cl_req_scheduled_optionals": scheduled_request_with_all(),
    "cl_req_dynamic_optionals": dynamic_request_with_all(),
    "cl_res_scheduled_min": loop_response(sae.DER_Scheduled_AC_CLResControlMode(DERControlCLRes=PERMITTED)),
    "cl_res_dynamic_min": loop_response(
        sae.DER_Dynamic_AC_CLResControlMode(EVSETargetActivePower=r(10, 3), DERControlCLRes=PERMITTED)
    ),
    "cl_res_scheduled_optionals": scheduled_response_with_all(),
    "cl_res_dynamic_optionals": dynamic_response_with_all(),
}
LISTS_OF_TWO_END_AFTER_ONE = "AC_ChargeParameterDiscoveryRes_DER"
"""Its encoder writes the event code of a list's second item as if the list, of two to ten, could end before it."""


@pytest.mark.parametrize("name", VALUES)
def test_the_values_and_the_bytes_of_the_other_codec_are_the_same_message(name: str) -> None:
    message, data = VALUES[name], bytes.fromhex(EVEREST[name])
    assert exi.decode(Namespace.AC_DER_SAE, data) == message
    assert exi.encode(message) == data
    assert exi.encode(message, Namespace.AC_DER_SAE) == data
    assert from_json(Namespace.AC_DER_SAE, json.loads(json.dumps(to_json(message)))) == message


def test_a_whole_grid_code_with_all_its_options_keeps_its_bytes_and_says_what_its_authors_do() -> None:
    data = bytes.fromhex(EVEREST["cpd_res_optionals"])
    message = exi.decode(Namespace.AC_DER_SAE, data)
    assert exi.encode(message) == data
    assert isinstance(message, sae.AC_ChargeParameterDiscoveryRes)
    mode = message.AC_CPDResEnergyTransferMode
    assert isinstance(mode, sae.DER_AC_CPDResEnergyTransferMode)
    assert mode.EVSEStatus == STATION_ALSO_SAYS["EVSEStatus"]
    assert (mode.EVSENominalChargePower, mode.EVSENominalDischargePower) == (r(11, 3), r(11, 3))
    assert (mode.EVSEMaximumChargePower_L2, mode.EVSEMaximumChargePower_L3) == (r(22, 3), r(22, 3))
    assert (mode.GridLimits.GridMinFrequency, mode.GridLimits.GridMaxFrequency) == (r(57), r(63))
    assert mode.DERControlCPDRes.VoltageTrip.OverVoltageMomentaryCessationTripCurve == trip(
        V, (r(270), r(5, -1)), (r(288), r(1, -1))
    )
    assert mode.EVSEUpdateTime == 1725456324


def test_every_public_vector_of_the_other_codec_has_been_compared() -> None:
    assert set(EVEREST) == {*VALUES, "cpd_res_optionals"}


@pytest.mark.parametrize("name", CBV2G)
def test_modes_of_ac_that_sort_before_the_new_members_are_the_bytes_of_ac(name: str) -> None:
    data = bytes.fromhex(CBV2G[name])
    message = exi.decode(Namespace.AC_DER_SAE, data)
    assert isinstance(message, getattr(sae, name.partition("_BPT")[0]))
    assert exi.encode(message) == data
    same = exi.decode(Namespace.AC, data)
    assert type(same) is getattr(ac, name.partition("_BPT")[0])
    assert to_json(same) == to_json(message)


@pytest.mark.parametrize("name", [name for name in WWCP if name != LISTS_OF_TWO_END_AFTER_ONE])
def test_messages_of_a_third_codec_decode_and_encode_to_their_bytes(name: str) -> None:
    data = bytes.fromhex(WWCP[name])
    message = exi.decode(Namespace.AC_DER_SAE, data)
    assert exi.encode(message) == data
    kind, _, member = name.removeprefix("AC_").partition("_")
    (body,) = to_json(message).values()
    modes = [key for key in body if key.endswith(("Mode", "ControlMode")) and key != "ResponseCode"]
    assert f"AC_{kind}" == type(message).__name__
    assert len(modes) == 1
    assert modes[0].startswith("DER_") == member.startswith("DER")


def test_the_one_message_the_third_codec_writes_otherwise_is_refused_where_its_first_list_goes_on() -> None:
    with pytest.raises(exi.ExiError, match="OverVoltageMustTripCurve/CurveDataPoints/CurveDataPoint"):
        exi.decode(Namespace.AC_DER_SAE, bytes.fromhex(WWCP[LISTS_OF_TWO_END_AFTER_ONE]))
