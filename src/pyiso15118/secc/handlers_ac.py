"""Requests of AC charging: parameter discovery and the charge loop."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from pyiso15118.checks import rational
from pyiso15118.commands import UpdateAcEvse
from pyiso15118.events import ZERO_POWER, AcChargeLoopReceived, AcLimits, AcPower, VehicleLimitsReceived
from pyiso15118.messages import ac
from pyiso15118.secc.answers import Code, ac_evse, evse_failure, evse_status, failed, fault_at, loop_kind, stale
from pyiso15118.secc.handlers_metering import shown_reading
from pyiso15118.secc.limits_ac import (
    bounded,
    cpd_mode,
    discovered_limits,
    discovery_problem,
    evse_ac_limits,
    loop_mode,
    read_power,
    sent_power,
    vehicle_limits,
    within,
)
from pyiso15118.secc.needs import battery_capacity_wh, loop_needs, owner_needs, without_energies
from pyiso15118.secc.obedience import judge
from pyiso15118.secc.session import Reply, Session, Situation
from pyiso15118.secc.transitions import Outcome


def handle_charge_parameter_discovery(request: ac.AC_ChargeParameterDiscoveryReq, situation: Situation) -> Reply:
    """Exchanges limits. FAILED_WrongChargeParameter for the wrong mode and for limits that cannot be (negative, above
    1e9, minimum above maximum); FAILED on an EVSE that has a fault."""
    mode = request.AC_CPDReqEnergyTransferMode
    bpt = situation.session.is_bpt
    if fault := fault_at(situation, "parameter discovery"):
        return failed(request, Code.FAILED, fault, situation)
    if situation.session.is_der:
        discovered: Reply = _der().handle_charge_parameter_discovery(request, situation)
        return discovered
    if isinstance(mode, ac.BPT_AC_CPDReqEnergyTransferMode) is not bpt:
        detail = f"{type(mode).__name__} does not belong to the selected service"
        return failed(request, Code.FAILED_WrongChargeParameter, detail, situation)
    limits = discovered_limits(mode, bpt=bpt)
    if problem := discovery_problem(limits):
        return failed(request, Code.FAILED_WrongChargeParameter, problem, situation)
    evse = ac_evse(situation)
    return Reply(
        response=ac.AC_ChargeParameterDiscoveryRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            AC_CPDResEnergyTransferMode=cpd_mode(situation, bpt, evse.present_active_power if evse else None),
        ),
        session=replace(situation.session, vehicle_limits=limits),
        outcome=Outcome.DONE,
        events=(VehicleLimitsReceived(limits=limits),),
    )


def handle_ac_charge_loop(request: ac.AC_ChargeLoopReq, situation: Situation) -> Reply:
    """One turn of the loop. An EVSE that is faulted, silent or open ends it with FAILED.

    The set-point of dynamic mode is zero where the owner gave none, and in standby; in scheduled mode it is sent where
    given. A vehicle that is off its power profile is told so by WARNING_EVPowerProfileViolation as long as it is.
    """
    session, evse, config = situation.session, ac_evse(situation), situation.config
    mode: Any = request.CLReqControlMode
    kind = _der().loop_kind(mode, session) if session.is_der else loop_kind(mode, session)
    if isinstance(kind, str):
        return failed(request, Code.FAILED, kind, situation)
    scheduled, bpt = kind
    if evse is None:
        return failed(request, Code.FAILED, stale(situation, "the charge loop"), situation)
    if failure := evse_failure(evse, standby=session.standby):
        return failed(request, failure.code, failure.detail, situation)
    received = _received(request, mode, bpt, session)
    measured = received.ev_present_active_power if evse.present_active_power is None else evse.present_active_power
    obedience, events, off_plan = judge(
        session.obedience,
        measured.total,
        now=situation.now,
        unix_s=situation.unix_s,
        config=config,
        watch=session.watch,
    )
    offered = evse_ac_limits(situation)
    charge, discharge = session.directions(bpt)
    target = _target(evse, offered, scheduled=scheduled, charge=charge, discharge=discharge)
    if target is None:
        charge_w = offered.max_charge_power.total if charge else 0.0
        discharge_w = offered.max_discharge_power.total if discharge else 0.0
    else:
        charge_w, discharge_w = max(target.total, 0.0), max(-target.total, 0.0)
    if session.is_der:
        # Its inverter follows the grid code besides, and more than the set-point.
        charge_w, discharge_w = offered.max_charge_power.total, offered.max_discharge_power.total
    obedience = obedience.grant(charge_w, discharge_w, situation.now, config.limit_follow_s)
    shown = shown_reading(request, evse, situation)
    fields, told = _fields(evse, target, scheduled, situation), (*events, received)
    if session.is_der:
        response, session, changes = _der().answer_loop(mode, fields, scheduled, situation)
        told = (*told, *changes)
    else:
        response = ac.AC_ChargeLoopRes(
            Header=situation.header, ResponseCode=Code.OK, CLResControlMode=loop_mode(scheduled, bpt, fields)
        )
    return Reply(
        response=replace(
            response,
            ResponseCode=Code.WARNING_EVPowerProfileViolation if off_plan else Code.OK,
            EVSEStatus=evse_status(evse),
            MeterInfo=shown,
            EVSETargetFrequency=None if evse.target_frequency_hz is None else rational(evse.target_frequency_hz),
        ),
        session=replace(session, loop_answered=True, meter_info=shown or session.meter_info, obedience=obedience),
        outcome=Outcome.DONE,
        events=told,
    )


def _der() -> Any:
    """Only where such a session runs: it brings two more message sets."""
    from pyiso15118.secc import handlers_der

    return handlers_der


def _target(evse: UpdateAcEvse, offered: AcLimits, *, scheduled: bool, charge: bool, discharge: bool) -> AcPower | None:
    """The set-point to send: None where scheduled mode needs none."""
    wanted = evse.target_active_power
    if wanted is None:
        if scheduled and (charge or discharge):
            return None
        wanted = ZERO_POWER
    return bounded(wanted, offered, charge=charge, discharge=discharge)


def _fields(evse: UpdateAcEvse, target: AcPower | None, scheduled: bool, situation: Situation) -> dict[str, Any]:
    fields: dict[str, Any] = {
        **sent_power("EVSETargetActivePower", target),
        **sent_power("EVSETargetReactivePower", None if situation.session.standby else evse.target_reactive_power),
        **sent_power("EVSEPresentActivePower", evse.present_active_power),
    }
    if not scheduled:
        needs = owner_needs(situation.session, situation.now)
        fields["DepartureTime"] = needs.departure_time_s
        fields["MinimumSOC"], fields["TargetSOC"] = needs.min_soc_pct, needs.target_soc_pct
    return fields


def _received(request: ac.AC_ChargeLoopReq, mode: Any, bpt: bool, session: Session) -> AcChargeLoopReceived:
    """What the vehicle says. Numbers that cannot be take power away, they never give it."""
    display = request.DisplayParameters
    discovered = session.vehicle_limits if isinstance(session.vehicle_limits, AcLimits) else None
    limits = vehicle_limits(mode, bpt, discovered)
    needs = loop_needs(mode, display)
    if needs is None:
        limits, needs = AcLimits(max_charge_power=ZERO_POWER), without_energies(mode, display)
    reactive = None
    if mode.EVPresentReactivePower is not None:
        reactive = within(read_power(mode, "EVPresentReactivePower"))
    return AcChargeLoopReceived(
        ev_present_active_power=within(read_power(mode, "EVPresentActivePower")),
        ev_present_reactive_power=reactive,
        limits=limits,
        needs=needs,
        present_soc_pct=None if display is None else display.PresentSOC,
        battery_capacity_wh=battery_capacity_wh(display),
    )
