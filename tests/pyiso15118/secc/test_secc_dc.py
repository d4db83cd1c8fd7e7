"""DC charging at the SECC: limits, cable check, pre-charge, power delivery, loop, welding detection."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiso15118.commands import Abort, CableCheckFinished
from pyiso15118.events import (
    CableCheckRequested,
    DcChargeLoopReceived,
    DcLimits,
    EndReason,
    MeterReading,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PreChargeRequested,
    SessionEnded,
    VehicleLimitsReceived,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.messages import dc
from pyiso15118.secc import SeccConfig, State
from pyiso15118.secc.handlers_dc import handle_pre_charge
from pyiso15118.secc.handlers_loop_dc import handle_dc_charge_loop
from pyiso15118.secc.handlers_power import handle_power_delivery
from pyiso15118.secc.limits_dc import loop_limits
from pyiso15118.secc.session import Hold, Reply, Session, Situation

Code = ct.responseCodeType
Progress = cm.chargeProgressType
rational = ct.RationalNumberType.of


def cpd(bench: Any, **changes: float) -> Any:
    request = bench.request(State.CHARGE_PARAMETER_DISCOVERY)
    mode = msgspec.structs.replace(
        request.DC_CPDReqEnergyTransferMode, **{name: rational(value) for name, value in changes.items()}
    )
    return msgspec.structs.replace(request, DC_CPDReqEnergyTransferMode=mode)


METER = MeterReading(meter_id="METER-7", charged_energy_wh=1200, discharged_energy_wh=340)


# ---- parameter discovery ----


def test_parameter_discovery_sends_the_ratings(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_PARAMETER_DISCOVERY)
    mode = bench.ask(cpd(bench)).DC_CPDResEnergyTransferMode
    assert isinstance(mode, dc.BPT_DC_CPDResEnergyTransferMode)
    assert float(mode.EVSEMaximumChargePower) == 22_000
    assert float(mode.EVSEMaximumDischargePower) == 20_000
    assert float(mode.EVSEMaximumDischargeCurrent) == 70
    assert (float(mode.EVSEMinimumVoltage), float(mode.EVSEMaximumVoltage)) == (150, 920)


def test_discharge_limits_are_negative_where_configured(secc_bench: Any) -> None:
    bench = secc_bench(negative_discharge_limits=True).reach(State.CHARGE_PARAMETER_DISCOVERY)
    mode = bench.ask(cpd(bench)).DC_CPDResEnergyTransferMode
    assert float(mode.EVSEMaximumDischargePower) == -20_000
    assert float(mode.EVSEMaximumDischargeCurrent) == -70
    assert float(mode.EVSEMaximumChargePower) == 22_000
    bench.reach(State.CHARGE_LOOP)
    loop = bench.ask(bench.request(State.CHARGE_LOOP)).CLResControlMode
    assert float(loop.EVSEMaximumDischargePower) == -20_000


def test_negative_discharge_limits_of_the_vehicle_count_by_magnitude(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_PARAMETER_DISCOVERY)
    bench.ask(cpd(bench, EVMaximumDischargePower=-9000, EVMaximumDischargeCurrent=-25))
    told = bench.told[-1]
    assert isinstance(told, VehicleLimitsReceived)
    assert (told.limits.max_discharge_power_w, told.limits.max_discharge_current_a) == (9000, 25)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"EVMaximumVoltage": 100.0, "EVMinimumVoltage": 50.0}, "does not meet"),
        ({"EVMaximumVoltage": 1500.0, "EVMinimumVoltage": 1000.0}, "does not meet"),
        ({"EVMaximumVoltage": 200.0}, "min_voltage_v is 300, above the maximum of 200"),
        ({"EVMaximumVoltage": 0.0, "EVMinimumVoltage": 0.0}, "does not meet"),
        ({"EVMinimumVoltage": -500.0}, "min_voltage_v is -500"),
        ({"EVMaximumChargePower": -1.0}, "max_charge_power_w is -1"),
        ({"EVMaximumChargePower": 2e9}, "max_charge_power_w is 2e+09"),
        ({"EVMinimumChargePower": 12_000.0}, "min_charge_power_w is 12000, above the maximum of 11000"),
        ({"EVMinimumDischargeCurrent": 31.0}, "min_discharge_current_a is 31, above"),
    ],
)
def test_limits_with_nothing_in_common_are_a_wrong_charge_parameter(
    secc_bench: Any, changes: dict[str, float], complaint: str
) -> None:
    bench = secc_bench().reach(State.CHARGE_PARAMETER_DISCOVERY)
    assert bench.ask(cpd(bench, **changes)).ResponseCode is Code.FAILED_WrongChargeParameter
    assert complaint in bench.end.detail


def test_the_wrong_transfer_mode_is_a_wrong_charge_parameter(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SERVICE_SELECTION)
    selected = cm.SelectedServiceType(ServiceID=2, ParameterSetID=1)
    bench.ask(bench.request(State.SERVICE_SELECTION, SelectedEnergyTransferService=selected))
    assert bench.ask(cpd(bench)).ResponseCode is Code.FAILED_WrongChargeParameter


def test_scheduled_mode_in_schedule_exchange_fails(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SCHEDULE_EXCHANGE)
    request = bench.request(
        State.SCHEDULE_EXCHANGE,
        Dynamic_SEReqControlMode=None,
        Scheduled_SEReqControlMode=cm.Scheduled_SEReqControlModeType(),
    )
    assert bench.ask(request).ResponseCode is Code.FAILED


# ---- cable check ----


def test_cable_check_is_asked_once_and_ongoing_until_the_owner_answers(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CABLE_CHECK)
    del bench.answers[CableCheckRequested]
    for _ in range(3):
        assert bench.ask(bench.request(State.CABLE_CHECK)).EVSEProcessing == "Ongoing"
    bench.finish_cable_check()
    assert bench.ask(bench.request(State.CABLE_CHECK)).EVSEProcessing == "Finished"
    assert sum(isinstance(e, CableCheckRequested) for e in bench.events) == 1


def test_a_failed_cable_check_fails_and_no_energy_flows(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CABLE_CHECK)
    bench.answers[CableCheckRequested] = lambda _: bench.command(
        CableCheckFinished(passed=False, detail="80 ohm/V to DC-")
    )
    assert bench.ask(bench.request(State.CABLE_CHECK)).ResponseCode is Code.FAILED
    assert "80 ohm/V to DC-" in bench.end.detail
    assert not any(isinstance(e, PowerDeliveryStarted) for e in bench.events)


# ---- pre-charge ----


def test_pre_charge_reports_the_voltage_on_its_way_after_a_while(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.PRE_CHARGE)
    bench.answers[PreChargeRequested] = lambda _: bench.update(present_voltage_v=120.0)
    before = bench.now
    data = bench.frame(bench.request(State.PRE_CHARGE))
    assert bench.feed(data) == []
    (response,) = bench.advance(0.25)
    assert float(response.EVSEPresentVoltage) == 120
    assert bench.now - before == 0.25


def test_pre_charge_is_answered_as_soon_as_the_voltage_is_there(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.PRE_CHARGE)
    bench.answers[PreChargeRequested] = lambda _: bench.update(present_voltage_v=120.0)
    assert bench.feed(bench.frame(bench.request(State.PRE_CHARGE))) == []
    bench.update(present_voltage_v=385.0)
    (response,) = bench.sent()
    assert float(response.EVSEPresentVoltage) == 385


def test_a_new_pre_charge_target_is_told_again_the_same_one_is_not(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.PRE_CHARGE)
    for target in (400, 400, 410):
        bench.ask(bench.request(State.PRE_CHARGE, EVTargetVoltage=rational(target)))
    targets = [e.target_voltage_v for e in bench.told if isinstance(e, PreChargeRequested)]
    assert targets == [400, 410]


@pytest.mark.parametrize("target", [921, -1, 0, 100, 299, 451, 900, 20_000])
@pytest.mark.parametrize("state", [State.PRE_CHARGE, State.POWER_DELIVERY])
def test_a_pre_charge_target_outside_what_both_sides_bear_fails(secc_bench: Any, state: State, target: float) -> None:
    bench = secc_bench().reach(state)
    request = bench.request(State.PRE_CHARGE, EVTargetVoltage=rational(target))
    assert bench.ask(request).ResponseCode is Code.FAILED
    assert not any(isinstance(e, PreChargeRequested) and e.target_voltage_v == target for e in bench.told)
    assert "have only 300..450 V in common" in bench.end.detail


@pytest.mark.parametrize("target", [300, 400, 450])
def test_pre_charge_targets_within_both_windows_are_served(secc_bench: Any, target: float) -> None:
    bench = secc_bench().reach(State.PRE_CHARGE)
    assert bench.ask(bench.request(State.PRE_CHARGE, EVTargetVoltage=rational(target))).ResponseCode is Code.OK
    assert bench.ask(bench.request(State.POWER_DELIVERY)).ResponseCode is Code.OK
    assert bench.machine.state is State.CHARGE_LOOP


def test_power_delivery_does_not_start_at_a_target_nobody_bears(evse_limits: DcLimits, secc_bench: Any) -> None:
    request = secc_bench().request(State.POWER_DELIVERY)
    evse = replace(secc_bench().evse, contactors_closed=True)
    for target in (None, 0.0, 100.0, 921.0):
        session = Session(pre_charge_target_v=target)
        reply = handle_power_delivery(
            request, situation(evse_limits, session=session, evse=replace(evse, present_voltage_v=target or 0.0))
        )
        assert isinstance(reply, Reply)
        assert reply.response.ResponseCode is Code.FAILED_PowerDeliveryNotApplied
        assert not reply.session.charging


@pytest.mark.parametrize("how", ["abort", "eof", "stop"])
def test_a_session_that_ends_in_pre_charge_tells_the_owner_to_remove_voltage(secc_bench: Any, how: str) -> None:
    bench = secc_bench().reach(State.PRE_CHARGE)
    bench.ask(bench.request(State.PRE_CHARGE))
    if how == "abort":
        bench.command(Abort(reason="operator"))
    elif how == "eof":
        bench.machine.receive_eof(bench.now)
        bench._take_events()
    else:
        bench.ask(bench.request(State.POWER_DELIVERY, ChargeProgress=Progress.Stop))
    kinds = [type(e) for e in bench.told]
    assert kinds.count(PowerDeliveryStopped) == 1
    assert kinds.count(PowerDeliveryStarted) == 0


@pytest.mark.parametrize("state", [State.CABLE_CHECK, State.PRE_CHARGE])
def test_before_the_first_pre_charge_request_there_is_no_voltage_to_remove(secc_bench: Any, state: State) -> None:
    bench = secc_bench().reach(state)
    bench.command(Abort(reason="operator"))
    assert PowerDeliveryStopped not in [type(e) for e in bench.told]


def test_an_evse_that_says_nothing_fails_pre_charge(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.PRE_CHARGE)
    del bench.answers[PreChargeRequested]
    bench.advance(1.1)
    assert bench.ask(bench.request(State.PRE_CHARGE)).ResponseCode is Code.FAILED
    assert "no state of the EVSE younger than 1 s" in bench.end.detail


# ---- power delivery ----


@pytest.mark.parametrize(
    ("state", "code", "complaint"),
    [
        ({"contactors_closed": False}, Code.FAILED_ContactorError, "contactors are open"),
        ({"present_voltage_v": 379.0}, Code.FAILED_PowerDeliveryNotApplied, "pre-charge out of tolerance"),
        ({"present_voltage_v": 421.0}, Code.FAILED_PowerDeliveryNotApplied, "pre-charge out of tolerance"),
        ({"fault": "emergency stop"}, Code.FAILED_PowerDeliveryNotApplied, "emergency stop"),
    ],
)
def test_an_evse_that_is_not_ready_delivers_no_power(
    secc_bench: Any, state: dict[str, Any], code: Code, complaint: str
) -> None:
    bench = secc_bench().reach(State.POWER_DELIVERY)
    bench.update(**state)
    bench.evse_state = state
    responses = bench.feed(bench.frame(bench.request(State.POWER_DELIVERY))) or bench.advance(0.99)
    if not responses:
        bench.update()
        responses = bench.advance(0.02)
    assert [r.ResponseCode for r in responses] == [code]
    assert complaint in bench.end.detail
    assert bench.end.reason is EndReason.FAILED_BY_US
    assert not any(isinstance(e, PowerDeliveryStarted) for e in bench.events)


def test_a_silent_evse_delivers_no_power(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.POWER_DELIVERY)
    bench.advance(1.01)
    assert bench.ask(bench.request(State.POWER_DELIVERY)).ResponseCode is Code.FAILED_PowerDeliveryNotApplied
    assert not any(isinstance(e, PowerDeliveryStarted) for e in bench.events)


def test_power_delivery_waits_for_an_evse_that_becomes_ready(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.POWER_DELIVERY)
    bench.update(present_voltage_v=300.0)
    assert bench.feed(bench.frame(bench.request(State.POWER_DELIVERY))) == []
    bench.advance(0.5)
    bench.update(present_voltage_v=398.0)
    assert [r.ResponseCode for r in bench.sent()] == [Code.OK]
    assert isinstance(bench.told[-1], PowerDeliveryStarted)


def test_power_delivery_still_processing_at_the_vehicle_starts_nothing(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.POWER_DELIVERY)
    for _ in range(3):
        request = bench.request(State.POWER_DELIVERY, EVProcessing=ct.processingType.Ongoing)
        assert bench.ask(request).ResponseCode is Code.OK
    assert bench.machine.state is State.POWER_DELIVERY
    assert not any(isinstance(e, PowerDeliveryStarted) for e in bench.events)


@pytest.mark.parametrize(
    ("state", "progress", "code"),
    [
        (State.POWER_DELIVERY, Progress.Standby, Code.WARNING_StandbyNotAllowed),
        (State.POWER_DELIVERY, Progress.ScheduleRenegotiation, Code.WARNING_ScheduleRenegotiationFailed),
        (State.CHARGE_LOOP, Progress.Standby, Code.WARNING_StandbyNotAllowed),
        (State.POWER_DELIVERY_AGAIN, Progress.Standby, Code.WARNING_StandbyNotAllowed),
        (State.STANDBY, Progress.ScheduleRenegotiation, Code.WARNING_ScheduleRenegotiationFailed),
    ],
)
def test_standby_and_renegotiation_are_declined_and_the_session_goes_on(
    secc_bench: Any, state: State, progress: Progress, code: Code
) -> None:
    bench = secc_bench(standby_allowed=state is State.STANDBY).reach(state)
    assert bench.ask(bench.request(State.POWER_DELIVERY, ChargeProgress=progress)).ResponseCode is code
    assert bench.machine.state is state
    assert bench.ask(bench.request(state)).ResponseCode is Code.OK


def test_stop_waits_until_the_current_is_gone(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(present_current_a=-25.0)
    del bench.answers[PowerDeliveryStopped]
    stop = bench.request(State.POWER_DELIVERY, ChargeProgress=Progress.Stop)
    assert bench.feed(bench.frame(stop)) == []
    assert isinstance(bench.told[-1], PowerDeliveryStopped)
    bench.update(present_current_a=-0.4)
    assert [r.ResponseCode for r in bench.sent()] == [Code.OK]
    assert sum(isinstance(e, PowerDeliveryStopped) for e in bench.events) == 1


def test_stop_fails_if_current_still_flows_after_a_second(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(present_current_a=-60.0)
    del bench.answers[PowerDeliveryStopped]
    stop = bench.request(State.POWER_DELIVERY, ChargeProgress=Progress.Stop)
    assert bench.feed(bench.frame(stop)) == []
    assert bench.advance(0.9) == []
    bench.update()
    assert [r.ResponseCode for r in bench.advance(0.1)] == [Code.FAILED_PowerDeliveryNotApplied]
    assert "-60.0 A still flow 1 s after" in bench.end.detail
    assert sum(isinstance(e, PowerDeliveryStopped) for e in bench.events) == 1


def test_stop_fails_if_nobody_knows_whether_current_flows(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(present_current_a=-60.0)
    del bench.answers[PowerDeliveryStopped]
    bench.advance(0.1)
    stop = bench.request(State.POWER_DELIVERY, ChargeProgress=Progress.Stop)
    assert bench.feed(bench.frame(stop)) == []
    assert [r.ResponseCode for r in bench.advance(1.0)] == [Code.FAILED_PowerDeliveryNotApplied]
    assert "no state of the EVSE younger than 1 s" in bench.end.detail


# ---- charge loop ----


def test_loop_reports_what_the_evse_measures(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(present_voltage_v=401.3, present_current_a=-24.91, power_limit_achieved=True)
    response = bench.ask(bench.request(State.CHARGE_LOOP))
    assert (float(response.EVSEPresentVoltage), float(response.EVSEPresentCurrent)) == (401.3, -24.91)
    assert response.EVSEPowerLimitAchieved
    assert not response.EVSECurrentLimitAchieved
    assert response.EVSEStatus is None


def test_loop_limits_follow_the_owner_but_never_exceed_those_discovered(secc_bench: Any, evse_limits: DcLimits) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(
        limits=replace(
            evse_limits, max_charge_power_w=5000.0, max_discharge_power_w=50_000.0, min_charge_power_w=6000.0
        )
    )
    mode = bench.ask(bench.request(State.CHARGE_LOOP)).CLResControlMode
    assert float(mode.EVSEMaximumChargePower) == 5000
    assert float(mode.EVSEMinimumChargePower) == 5000
    assert float(mode.EVSEMaximumDischargePower) == 20_000


LIMITS = st.builds(
    DcLimits,
    **{
        name: st.floats(0, 1e6)
        for name in DcLimits.__dataclass_fields__  # type: ignore[arg-type]
    },
)


@given(offered=LIMITS, now=LIMITS)
def test_loop_maxima_are_bounded_and_minima_stay_below_them(offered: DcLimits, now: DcLimits) -> None:
    sent = loop_limits(offered, now)
    for name in DcLimits.__dataclass_fields__:
        if name.startswith("max_"):
            assert getattr(sent, name) <= min(getattr(offered, name), getattr(now, name))
    for quantity in ("charge_power_w", "charge_current_a", "discharge_power_w", "discharge_current_a"):
        assert getattr(sent, f"min_{quantity}") <= getattr(sent, f"max_{quantity}")


def test_a_vehicle_without_bidirectional_mode_in_the_loop_may_not_be_discharged(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bpt = bench.request(State.CHARGE_LOOP).CLReqControlMode
    fields = {name: getattr(bpt, name) for name in dc.Dynamic_DC_CLReqControlMode.__struct_fields__}
    mode = dc.Dynamic_DC_CLReqControlMode(**fields)
    response = bench.ask(bench.request(State.CHARGE_LOOP, CLReqControlMode=mode))
    assert type(response.CLResControlMode) is dc.Dynamic_DC_CLResControlMode
    told = bench.told[-1]
    assert isinstance(told, DcChargeLoopReceived)
    assert told.limits.max_discharge_power_w == 0


def test_scheduled_mode_in_the_loop_fails(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    mode = dc.Scheduled_DC_CLReqControlMode(EVTargetCurrent=rational(10), EVTargetVoltage=rational(400))
    assert bench.ask(bench.request(State.CHARGE_LOOP, CLReqControlMode=mode)).ResponseCode is Code.FAILED
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"fault": "overtemperature"}, Code.FAILED),
        ({"contactors_closed": False}, Code.FAILED_ContactorError),
    ],
)
def test_an_evse_fault_in_the_loop_stops_energy_and_fails(secc_bench: Any, state: dict[str, Any], code: Code) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    bench.update(**state)
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is code
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert bench.end.response_code == code


def test_a_silent_evse_in_the_loop_stops_energy_and_fails(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    for _ in range(3):
        bench.advance(0.4)
        response = bench.ask(bench.request(State.CHARGE_LOOP))
    assert response.ResponseCode is Code.FAILED
    assert isinstance(bench.told[-2], PowerDeliveryStopped)


def test_the_wish_to_stop_is_notified_and_only_then(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    assert bench.ask(bench.request(State.CHARGE_LOOP)).EVSEStatus is None
    bench.update(notification=ct.evseNotificationType.Terminate)
    status = bench.ask(bench.request(State.CHARGE_LOOP)).EVSEStatus
    assert (status.EVSENotification, status.NotificationMaxDelay) == ("Terminate", 0)


def test_meter_info_comes_first_and_on_request(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(meter=METER)
    first = bench.ask(bench.request(State.CHARGE_LOOP)).MeterInfo
    assert (first.MeterID, first.ChargedEnergyReadingWh, first.BPT_DischargedEnergyReadingWh) == ("METER-7", 1200, 340)
    assert bench.ask(bench.request(State.CHARGE_LOOP)).MeterInfo is None
    assert bench.ask(bench.request(State.CHARGE_LOOP, MeterInfoRequested=True)).MeterInfo is not None


def test_the_discharge_reading_can_be_left_out_for_vehicles_that_reject_it(secc_bench: Any) -> None:
    bench = secc_bench(meter_discharge_reading=False).reach(State.CHARGE_LOOP)
    bench.update(meter=METER)
    assert bench.ask(bench.request(State.CHARGE_LOOP)).MeterInfo.BPT_DischargedEnergyReadingWh is None


def test_an_evse_without_a_meter_sends_no_meter_info(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    assert bench.ask(bench.request(State.CHARGE_LOOP, MeterInfoRequested=True)).MeterInfo is None


# ---- handlers alone ----


def situation(evse_limits: DcLimits, **changes: Any) -> Situation:
    fields: dict[str, Any] = {
        "config": SeccConfig(evse_id="US*V2G*E1", limits=evse_limits),
        "session": Session(),
        "now": 5.0,
        "header": ct.MessageHeaderType(SessionID=bytes(8), TimeStamp=1),
    }
    return Situation(**(fields | changes))


def test_handlers_change_nothing_they_are_given(evse_limits: DcLimits) -> None:
    given_situation = situation(evse_limits)
    request = dc.DC_PreChargeReq(
        Header=given_situation.header,
        EVProcessing=ct.processingType.Ongoing,
        EVPresentVoltage=rational(0),
        EVTargetVoltage=rational(400),
    )
    first, second = handle_pre_charge(request, given_situation), handle_pre_charge(request, given_situation)
    assert first == second
    assert isinstance(first, Hold)
    assert first.session.pre_charge_target_v == 400
    assert given_situation.session == Session()


def test_the_loop_handler_says_why_it_failed(evse_limits: DcLimits, secc_bench: Any) -> None:
    request = secc_bench().request(State.CHARGE_LOOP)
    request = msgspec.structs.replace(
        request,
        CLReqControlMode=dc.Scheduled_DC_CLReqControlMode(EVTargetCurrent=rational(1), EVTargetVoltage=rational(1)),
    )
    reply = handle_dc_charge_loop(request, situation(evse_limits))
    assert isinstance(reply, Reply)
    assert reply.outcome is None
    assert "Scheduled_DC_CLReqControlMode does not belong" in reply.detail
