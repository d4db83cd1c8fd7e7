"""The DC charge loop: what the vehicle can do and wants, what the EVSE measures and allows, several times a second."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from pyiso15118.checks import rational
from pyiso15118.commands import UpdateDcEvse
from pyiso15118.events import DcChargeLoopReceived, DcLimits
from pyiso15118.messages import common_types as ct
from pyiso15118.messages import dc
from pyiso15118.secc.answers import Code, dc_evse, evse_failure, evse_status, failed, loop_kind, stale
from pyiso15118.secc.handlers_metering import shown_reading
from pyiso15118.secc.limits_dc import (
    dynamic_mode,
    evse_dc_limits,
    granted,
    scheduled_mode,
    served,
    vehicle_dc_limits,
    vehicle_limits,
    within_volts,
    without_power,
)
from pyiso15118.secc.needs import battery_capacity_wh, loop_needs, owner_needs, without_energies
from pyiso15118.secc.obedience import Obedience, judge
from pyiso15118.secc.session import Reply, Session, Situation
from pyiso15118.secc.transitions import Outcome


def handle_dc_charge_loop(request: dc.DC_ChargeLoopReq, situation: Situation) -> Reply:
    """One turn of the loop. An EVSE that is faulted, silent or open ends it with FAILED.

    A target above the limit is served up to it and no failure ([V2G20-2188]). In standby all power limits are zero, and
    so are those of the direction that was not chosen where the channels are separate. A vehicle that is off its power
    profile is told so by WARNING_EVPowerProfileViolation as long as it is.
    """
    session, evse, config = situation.session, dc_evse(situation), situation.config
    mode: Any = request.CLReqControlMode
    kind = loop_kind(mode, session)
    if isinstance(kind, str):
        return failed(request, Code.FAILED, kind, situation)
    scheduled, bpt = kind
    if evse is None:
        return failed(request, Code.FAILED, stale(situation, "the charge loop"), situation)
    if failure := evse_failure(evse, standby=session.standby):
        return failed(request, failure.code, failure.detail, situation)
    obedience, events, off_plan = judge(
        session.obedience,
        evse.present_voltage_v * evse.present_current_a,
        now=situation.now,
        unix_s=situation.unix_s,
        config=config,
        watch=session.watch,
    )
    limits = _granted(evse, situation, bpt)
    obedience = obedience.grant(
        limits.max_charge_power_w, limits.max_discharge_power_w, situation.now, config.limit_follow_s
    )
    current_a = voltage_v = None
    current_cut = voltage_cut = False
    if scheduled:
        current_a, voltage_v = served(mode, limits, evse.present_voltage_v)
        current_cut = current_a != float(mode.EVTargetCurrent)
        voltage_cut = voltage_v != float(mode.EVTargetVoltage)
    received = _received(request, vehicle_limits(mode, bpt, vehicle_dc_limits(situation)), current_a, voltage_v)
    shown = shown_reading(request, evse, situation)
    negative = config.negative_discharge_limits
    return Reply(
        response=dc.DC_ChargeLoopRes(
            Header=situation.header,
            ResponseCode=Code.WARNING_EVPowerProfileViolation if off_plan else Code.OK,
            EVSEStatus=evse_status(evse),
            MeterInfo=shown,
            EVSEPresentCurrent=rational(evse.present_current_a),
            EVSEPresentVoltage=rational(evse.present_voltage_v),
            EVSEPowerLimitAchieved=evse.power_limit_achieved,
            EVSECurrentLimitAchieved=evse.current_limit_achieved or current_cut,
            EVSEVoltageLimitAchieved=evse.voltage_limit_achieved or voltage_cut,
            CLResControlMode=scheduled_mode(limits, bpt, negative)
            if scheduled
            else dynamic_mode(limits, bpt, negative, owner_needs(session, situation.now)),
        ),
        session=_after(session, obedience, shown, received.ev_present_voltage_v),
        outcome=Outcome.DONE,
        events=(*events, received),
    )


def _granted(evse: UpdateDcEvse, situation: Situation, bpt: bool) -> DcLimits:
    session = situation.session
    charge, discharge = session.directions(bpt)
    return granted(evse_dc_limits(situation), evse.limits, charge=charge, discharge=discharge)


def _received(
    request: dc.DC_ChargeLoopReq, limits: DcLimits, current_a: float | None, voltage_v: float | None
) -> DcChargeLoopReceived:
    """What the vehicle says. Numbers that cannot be take power away, they never give it."""
    display = request.DisplayParameters
    needs = loop_needs(request.CLReqControlMode, display)
    if needs is None:
        limits, needs = without_power(limits), without_energies(request.CLReqControlMode, display)
    return DcChargeLoopReceived(
        ev_present_voltage_v=within_volts(request.EVPresentVoltage),
        limits=limits,
        needs=needs,
        present_soc_pct=None if display is None else display.PresentSOC,
        battery_capacity_wh=battery_capacity_wh(display),
        target_current_a=current_a,
        target_voltage_v=voltage_v,
    )


def _after(session: Session, obedience: Obedience, shown: ct.MeterInfoType | None, vehicle_v: float) -> Session:
    """Most turns change nothing, and copying a session is what a turn would cost most."""
    if session.standby and session.standby_voltage_v != vehicle_v:
        session = replace(session, standby_voltage_v=vehicle_v)
    if session.loop_answered and shown is None and obedience is session.obedience:
        return session
    return replace(session, loop_answered=True, meter_info=shown or session.meter_info, obedience=obedience)
