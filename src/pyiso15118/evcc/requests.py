"""The request of each state, built from what is known: one pure function each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyiso15118.commands import UpdateVehicle
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc.session import Situation
from pyiso15118.evcc.transitions import State
from pyiso15118.events import EnergyService
from pyiso15118.machine import rational
from pyiso15118.messages import Namespace, app_protocol, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct

Processing = ct.processingType
Progress = cm.chargeProgressType

SCHEMA_ID = 1
POWER_PROFILE_S = 86_400
MAXIMUM_SUPPORTING_POINTS = 1024
DEPARTURE_UNKNOWN_S = 86_400
"""Sent where a departure time is mandatory and the vehicle knows none."""


def build_supported_app_protocol(situation: Situation) -> app_protocol.supportedAppProtocolReq:
    return app_protocol.supportedAppProtocolReq(
        AppProtocol=[
            app_protocol.AppProtocolType(
                ProtocolNamespace=Namespace.DC.value,
                VersionNumberMajor=1,
                VersionNumberMinor=0,
                SchemaID=SCHEMA_ID,
                Priority=1,
            )
        ]
    )


def build_session_setup(situation: Situation) -> cm.SessionSetupReq:
    return cm.SessionSetupReq(Header=situation.header, EVCCID=situation.config.evccid)


def build_authorization_setup(situation: Situation) -> cm.AuthorizationSetupReq:
    return cm.AuthorizationSetupReq(Header=situation.header)


def build_authorization(situation: Situation) -> cm.AuthorizationReq:
    return cm.AuthorizationReq(
        Header=situation.header,
        SelectedAuthorizationService=cm.authorizationType.EIM,
        EIM_AReqAuthorizationMode=cm.EIM_AReqAuthorizationModeType(),
    )


def build_service_discovery(situation: Situation) -> cm.ServiceDiscoveryReq:
    return cm.ServiceDiscoveryReq(Header=situation.header)


def build_service_detail(situation: Situation) -> cm.ServiceDetailReq:
    return cm.ServiceDetailReq(Header=situation.header, ServiceID=int(situation.session.service))


def build_service_selection(situation: Situation) -> cm.ServiceSelectionReq:
    return cm.ServiceSelectionReq(
        Header=situation.header,
        SelectedEnergyTransferService=cm.SelectedServiceType(
            ServiceID=int(situation.session.service), ParameterSetID=situation.session.parameter_set_id
        ),
    )


def build_charge_parameter_discovery(situation: Situation) -> dc.DC_ChargeParameterDiscoveryReq:
    vehicle = _vehicle(situation)
    limits = vehicle.limits
    fields: dict[str, Any] = {
        "EVMaximumChargePower": rational(limits.max_charge_power_w),
        "EVMinimumChargePower": rational(limits.min_charge_power_w),
        "EVMaximumChargeCurrent": rational(limits.max_charge_current_a),
        "EVMinimumChargeCurrent": rational(limits.min_charge_current_a),
        "EVMaximumVoltage": rational(limits.max_voltage_v),
        "EVMinimumVoltage": rational(limits.min_voltage_v),
        "TargetSOC": vehicle.needs.target_soc_pct,
    }
    mode: type[dc.DC_CPDReqEnergyTransferMode] = dc.DC_CPDReqEnergyTransferMode
    if _is_bpt(situation):
        mode = dc.BPT_DC_CPDReqEnergyTransferMode
        fields |= {
            "EVMaximumDischargePower": rational(limits.max_discharge_power_w),
            "EVMinimumDischargePower": rational(limits.min_discharge_power_w),
            "EVMaximumDischargeCurrent": rational(limits.max_discharge_current_a),
            "EVMinimumDischargeCurrent": rational(limits.min_discharge_current_a),
        }
    return dc.DC_ChargeParameterDiscoveryReq(Header=situation.header, DC_CPDReqEnergyTransferMode=mode(**fields))


def build_schedule_exchange(situation: Situation) -> cm.ScheduleExchangeReq:
    needs = _vehicle(situation).needs
    return cm.ScheduleExchangeReq(
        Header=situation.header,
        MaximumSupportingPoints=MAXIMUM_SUPPORTING_POINTS,
        Dynamic_SEReqControlMode=cm.Dynamic_SEReqControlModeType(
            DepartureTime=DEPARTURE_UNKNOWN_S if needs.departure_time_s is None else needs.departure_time_s,
            MinimumSOC=needs.min_soc_pct,
            TargetSOC=needs.target_soc_pct,
            EVMaximumV2XEnergyRequest=_optional(needs.max_v2x_energy_wh),
            EVMinimumV2XEnergyRequest=_optional(needs.min_v2x_energy_wh),
            **_energy_requests(situation),
        ),
    )


def build_cable_check(situation: Situation) -> dc.DC_CableCheckReq:
    return dc.DC_CableCheckReq(Header=situation.header)


def build_pre_charge(situation: Situation) -> dc.DC_PreChargeReq:
    vehicle = _vehicle(situation)
    ready = situation.session.pre_charge_reached and situation.session.contactors_closed
    return dc.DC_PreChargeReq(
        Header=situation.header,
        EVProcessing=Processing.Finished if ready else Processing.Ongoing,
        EVPresentVoltage=rational(vehicle.present_voltage_v),
        EVTargetVoltage=rational(vehicle.target_voltage_v),
    )


def build_power_delivery_start(situation: Situation) -> cm.PowerDeliveryReq:
    entry = cm.PowerScheduleEntryType(
        Duration=POWER_PROFILE_S, Power=rational(_vehicle(situation).limits.max_charge_power_w)
    )
    return cm.PowerDeliveryReq(
        Header=situation.header,
        EVProcessing=Processing.Finished,
        ChargeProgress=Progress.Start,
        EVPowerProfile=cm.EVPowerProfileType(
            TimeAnchor=situation.header.TimeStamp,
            Dynamic_EVPPTControlMode=cm.Dynamic_EVPPTControlModeType(),
            EVPowerProfileEntries=cm.EVPowerProfileEntryListType(EVPowerProfileEntry=[entry]),
        ),
    )


def build_charge_loop(situation: Situation) -> dc.DC_ChargeLoopReq:
    vehicle = _vehicle(situation)
    limits, needs = vehicle.limits, vehicle.needs
    fields: dict[str, Any] = {
        "DepartureTime": needs.departure_time_s,
        "EVMaximumChargePower": rational(limits.max_charge_power_w),
        "EVMinimumChargePower": rational(limits.min_charge_power_w),
        "EVMaximumChargeCurrent": rational(limits.max_charge_current_a),
        "EVMaximumVoltage": rational(limits.max_voltage_v),
        "EVMinimumVoltage": rational(limits.min_voltage_v),
        **_energy_requests(situation),
    }
    mode: type[dc.Dynamic_DC_CLReqControlMode] = dc.Dynamic_DC_CLReqControlMode
    if _is_bpt(situation):
        mode = dc.BPT_Dynamic_DC_CLReqControlMode
        fields |= {
            "EVMaximumDischargePower": rational(limits.max_discharge_power_w),
            "EVMinimumDischargePower": rational(limits.min_discharge_power_w),
            "EVMaximumDischargeCurrent": rational(limits.max_discharge_current_a),
            "EVMaximumV2XEnergyRequest": _optional(needs.max_v2x_energy_wh),
            "EVMinimumV2XEnergyRequest": _optional(needs.min_v2x_energy_wh),
        }
    return dc.DC_ChargeLoopReq(
        Header=situation.header,
        DisplayParameters=_display_parameters(vehicle),
        MeterInfoRequested=False,
        EVPresentVoltage=rational(vehicle.present_voltage_v),
        CLReqControlMode=mode(**fields),
    )


def build_power_delivery_stop(situation: Situation) -> cm.PowerDeliveryReq:
    return cm.PowerDeliveryReq(Header=situation.header, EVProcessing=Processing.Finished, ChargeProgress=Progress.Stop)


def build_welding_detection(situation: Situation) -> dc.DC_WeldingDetectionReq:
    done = situation.session.welding_checked
    return dc.DC_WeldingDetectionReq(
        Header=situation.header, EVProcessing=Processing.Finished if done else Processing.Ongoing
    )


def build_session_stop(situation: Situation) -> cm.SessionStopReq:
    session = situation.session
    end = cm.chargingSessionType.Pause if session.pausing else cm.chargingSessionType.Terminate
    return cm.SessionStopReq(
        Header=situation.header, ChargingSession=end, EVTerminationExplanation=session.gave_up[:160] or None
    )


BUILDERS: dict[State, Callable[[Situation], Any]] = {
    State.APP_PROTOCOL: build_supported_app_protocol,
    State.SESSION_SETUP: build_session_setup,
    State.AUTHORIZATION_SETUP: build_authorization_setup,
    State.AUTHORIZATION: build_authorization,
    State.SERVICE_DISCOVERY: build_service_discovery,
    State.SERVICE_DETAIL: build_service_detail,
    State.SERVICE_SELECTION: build_service_selection,
    State.CHARGE_PARAMETER_DISCOVERY: build_charge_parameter_discovery,
    State.SCHEDULE_EXCHANGE: build_schedule_exchange,
    State.CABLE_CHECK: build_cable_check,
    State.PRE_CHARGE: build_pre_charge,
    State.POWER_DELIVERY_START: build_power_delivery_start,
    State.CHARGE_LOOP: build_charge_loop,
    State.POWER_DELIVERY_STOP: build_power_delivery_stop,
    State.WELDING_DETECTION: build_welding_detection,
    State.SESSION_STOP: build_session_stop,
}


def _vehicle(situation: Situation) -> UpdateVehicle:
    if situation.vehicle is None:
        raise LocalProtocolError("this request needs an UpdateVehicle command first")
    return situation.vehicle


def _is_bpt(situation: Situation) -> bool:
    return situation.session.service is EnergyService.DC_BPT


def _optional(value: float | None) -> ct.RationalNumberType | None:
    return None if value is None else rational(value)


def _energy_requests(situation: Situation) -> dict[str, Any]:
    needs = _vehicle(situation).needs
    return {
        "EVTargetEnergyRequest": rational(needs.target_energy_wh or 0.0),
        "EVMaximumEnergyRequest": rational(needs.max_energy_wh or 0.0),
        "EVMinimumEnergyRequest": rational(needs.min_energy_wh or 0.0),
    }


def _display_parameters(vehicle: UpdateVehicle) -> ct.DisplayParametersType | None:
    needs = vehicle.needs
    values = (vehicle.present_soc_pct, needs.min_soc_pct, needs.target_soc_pct, vehicle.battery_capacity_wh)
    if all(value is None for value in values):
        return None
    soc, target = vehicle.present_soc_pct, needs.target_soc_pct
    # Optional in the schema, but EcoG's SECC refuses display parameters without ChargingComplete.
    return ct.DisplayParametersType(
        PresentSOC=soc,
        MinimumSOC=needs.min_soc_pct,
        TargetSOC=target,
        ChargingComplete=soc is not None and target is not None and soc >= target,
        BatteryEnergyCapacity=_optional(vehicle.battery_capacity_wh),
    )
