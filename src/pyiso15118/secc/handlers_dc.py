"""Requests of DC charging but for its loop: parameter discovery, cable check, pre-charge, welding detection."""

from __future__ import annotations

from msgspec.structs import replace

from pyiso15118.checks import rational
from pyiso15118.events import CableCheckRequested, Event, PreChargeRequested, VehicleLimitsReceived
from pyiso15118.messages import dc
from pyiso15118.secc.answers import Code, Processing, dc_evse, failed, fault_at, stale
from pyiso15118.secc.limits_dc import (
    cpd_mode,
    discovered_limits,
    discovery_problem,
    evse_dc_limits,
    evse_ratings,
    target_problem,
    within_volts,
)
from pyiso15118.secc.session import Hold, Reply, Situation
from pyiso15118.secc.transitions import Outcome


def handle_charge_parameter_discovery(request: dc.DC_ChargeParameterDiscoveryReq, situation: Situation) -> Reply:
    """Exchanges limits. FAILED_WrongChargeParameter for the wrong mode, for limits that cannot be (negative, above 1e9,
    minimum above maximum), for voltages that leave nothing in common and, under MCS, for maxima that are not above our
    minima; FAILED on an EVSE that has a fault."""
    mode = request.DC_CPDReqEnergyTransferMode
    bpt = situation.session.is_bpt
    if fault := fault_at(situation, "parameter discovery"):
        return failed(request, Code.FAILED, fault, situation)
    if isinstance(mode, dc.BPT_DC_CPDReqEnergyTransferMode) is not bpt:
        detail = f"{type(mode).__name__} does not belong to the selected service"
        return failed(request, Code.FAILED_WrongChargeParameter, detail, situation)
    limits = discovered_limits(mode)
    if problem := discovery_problem(limits, evse_ratings(situation), mcs=situation.session.is_mcs):
        return failed(request, Code.FAILED_WrongChargeParameter, problem, situation)
    session = replace(situation.session, vehicle_limits=limits)
    ours = evse_dc_limits(replace(situation, session=session))
    return Reply(
        response=dc.DC_ChargeParameterDiscoveryRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            DC_CPDResEnergyTransferMode=cpd_mode(ours, bpt, situation.config.negative_discharge_limits),
        ),
        session=session,
        outcome=Outcome.DONE,
        events=(VehicleLimitsReceived(limits=limits),),
    )


def handle_cable_check(request: dc.DC_CableCheckReq, situation: Situation) -> Reply | Hold:
    """Ongoing until the owner says how the insulation test ended; FAILED if it failed or took too long, and on an EVSE
    that has a fault."""
    session = situation.session
    if fault := fault_at(situation, "cable check"):
        return failed(request, Code.FAILED, fault, situation)
    events: tuple[Event, ...] = ()
    since = session.cable_check_since
    if since is None:
        since = situation.now
        session = replace(session, cable_check_since=since)
        events = (CableCheckRequested(),)
    result = session.cable_check
    if result is not None and not result.passed:
        detail = f"cable check failed: {result.detail or 'no detail given'}"
        return failed(request, Code.FAILED, detail, situation)
    if result is None and situation.now - since >= situation.config.timers.cable_check_s:
        detail = f"cable check took longer than {situation.config.timers.cable_check_s:g} s"
        return failed(request, Code.FAILED, detail, situation)
    if result is None and not situation.held_out:
        return Hold(for_s=situation.config.response_hold_s, session=session, events=events)
    return Reply(
        response=dc.DC_CableCheckRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            EVSEProcessing=Processing.Ongoing if result is None else Processing.Finished,
        ),
        session=session,
        outcome=Outcome.AGAIN if result is None else Outcome.DONE,
        events=events,
    )


def handle_pre_charge(request: dc.DC_PreChargeReq, situation: Situation) -> Reply | Hold:
    """Reports the EVSE's voltage, at once when it has arrived at the vehicle's target, else after a while.

    FAILED for a target outside what both sides declared they bear: only one simulated vehicle on record, which wants
    20 kV, asks for that.
    """
    session, evse, config = situation.session, dc_evse(situation), situation.config
    target_v = float(request.EVTargetVoltage)
    if problem := target_problem(target_v, situation):
        return failed(request, Code.FAILED, problem, situation)
    events: tuple[Event, ...] = ()
    if session.pre_charge_target_v != target_v:
        present_v = within_volts(request.EVPresentVoltage)
        events = (PreChargeRequested(target_voltage_v=target_v, ev_present_voltage_v=present_v),)
        session = replace(session, pre_charge_target_v=target_v, live=True, energized=True)
    if fault := fault_at(situation, "pre-charge"):
        return failed(request, Code.FAILED, fault, situation)
    arrived = evse is not None and abs(evse.present_voltage_v - target_v) <= config.pre_charge_tolerance_v
    if not arrived and not situation.held_out:
        return Hold(for_s=config.response_hold_s, session=session, events=events)
    if evse is None:
        return failed(request, Code.FAILED, stale(situation, "pre-charge"), replace(situation, session=session))
    return Reply(
        response=dc.DC_PreChargeRes(
            Header=situation.header, ResponseCode=Code.OK, EVSEPresentVoltage=rational(evse.present_voltage_v)
        ),
        session=session,
        outcome=Outcome.DONE,
        events=events,
    )


def handle_welding_detection(request: dc.DC_WeldingDetectionReq, situation: Situation) -> Reply | Hold:
    """Reports the EVSE's voltage after the vehicle opened its contactors."""
    evse = dc_evse(situation)
    if evse is None:
        if not situation.held_out:
            return Hold(for_s=situation.config.response_hold_s, session=situation.session)
        return failed(request, Code.FAILED, stale(situation, "welding detection"), situation)
    return Reply(
        response=dc.DC_WeldingDetectionRes(
            Header=situation.header, ResponseCode=Code.OK, EVSEPresentVoltage=rational(evse.present_voltage_v)
        ),
        session=situation.session,
        outcome=Outcome.DONE,
    )
