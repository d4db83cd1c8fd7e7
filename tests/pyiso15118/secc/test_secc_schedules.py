"""Scheduled mode and mobility needs by the SECC: exchange, power profile, loop, and renegotiation on both streams."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118 import exi
from pyiso15118.commands import OfferSchedules, SetMobilityNeeds
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import (
    ControlMode,
    EnergyService,
    FrameIgnored,
    MobilityNeedsMode,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PowerProfileReceived,
    RenegotiationStarted,
    ScheduleRequested,
    SessionEnded,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.messages import dc
from pyiso15118.schedules import PowerProfile, PowerSlot, flat_prices, flat_schedule, follow
from pyiso15118.secc import ParameterSet, State
from pyiso15118.v2gtp import FrameReader, PayloadType, encode_frame

Code = ct.responseCodeType
Progress = cm.chargeProgressType
SCHEDULED = ParameterSet(id=1, control_mode=ControlMode.SCHEDULED)
BY_SECC = ParameterSet(id=1, mobility_needs_mode=MobilityNeedsMode.BY_SECC)
SIDE = PayloadType.SCHEDULE_RENEGOTIATION
rational = ct.RationalNumberType.of


def scheduled(secc_bench: Any, service: EnergyService = EnergyService.DC_BPT, **config: Any) -> Any:
    return secc_bench(service=service, parameter_set=SCHEDULED, **config)


# ---- the exchange ----


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC])
def test_schedules_are_sent_as_soon_as_the_owner_offers_them(secc_bench: Any, service: EnergyService) -> None:
    bench = scheduled(secc_bench, service).reach(State.SCHEDULE_EXCHANGE)
    response = bench.ask(bench.request(State.SCHEDULE_EXCHANGE))
    assert (response.ResponseCode, response.EVSEProcessing, response.GoToPause) == (Code.OK, "Finished", None)
    (sent,) = response.Scheduled_SEResControlMode.ScheduleTuple
    assert sent.ScheduleTupleID == 1
    assert sent.ChargingSchedule.PowerSchedule.TimeAnchor == 1_700_001_000_000_000
    asked = next(e for e in bench.told if isinstance(e, ScheduleRequested))
    assert (asked.control_mode, asked.max_supporting_points, asked.renegotiation) == (ControlMode.SCHEDULED, 12, False)
    assert asked.needs.departure_time_s == 7200
    assert bench.machine.state is (State.POWER_DELIVERY if service.is_ac else State.CABLE_CHECK)


def test_schedule_exchange_is_ongoing_until_the_owner_offers(secc_bench: Any) -> None:
    bench = scheduled(secc_bench).reach(State.SCHEDULE_EXCHANGE)
    del bench.answers[ScheduleRequested]
    for _ in range(3):
        assert bench.ask(bench.request(State.SCHEDULE_EXCHANGE)).EVSEProcessing == "Ongoing"
    bench.command(OfferSchedules(tuples=bench.offered, go_to_pause=True))
    response = bench.ask(bench.request(State.SCHEDULE_EXCHANGE))
    assert (response.EVSEProcessing, response.GoToPause) == ("Finished", True)
    assert sum(isinstance(e, ScheduleRequested) for e in bench.events) == 1


def test_an_owner_without_schedules_fails_the_session(secc_bench: Any) -> None:
    bench = scheduled(secc_bench).reach(State.SCHEDULE_EXCHANGE)
    bench.answers[ScheduleRequested] = lambda _: bench.command(OfferSchedules(tuples=()))
    assert bench.ask(bench.request(State.SCHEDULE_EXCHANGE)).ResponseCode is Code.FAILED
    assert "no schedule was offered" in bench.end.detail


@pytest.mark.parametrize("parameter_set", [SCHEDULED, BY_SECC])
def test_an_owner_that_never_answers_fails_the_session_in_time(secc_bench: Any, parameter_set: Any) -> None:
    bench = secc_bench(service=EnergyService.DC_BPT, parameter_set=parameter_set).reach(State.SCHEDULE_EXCHANGE)
    del bench.answers[ScheduleRequested]
    start = bench.now
    while (response := bench.ask(bench.request(State.SCHEDULE_EXCHANGE))).EVSEProcessing == "Ongoing":
        assert bench.now - start < 56.0
    assert response.ResponseCode is Code.FAILED
    assert bench.now - start >= 55.0


@pytest.mark.parametrize("parameter_set", [SCHEDULED, ParameterSet(id=1)])
def test_needs_of_the_other_control_mode_fail(secc_bench: Any, parameter_set: ParameterSet) -> None:
    other = SCHEDULED if parameter_set is not SCHEDULED else ParameterSet(id=1)
    bench = secc_bench(service=EnergyService.DC_BPT, parameter_set=parameter_set).reach(State.SCHEDULE_EXCHANGE)
    request = secc_bench(service=EnergyService.DC_BPT, parameter_set=other).request(State.SCHEDULE_EXCHANGE)
    assert bench.ask(msgspec.structs.replace(request, Header=bench.header())).ResponseCode is Code.FAILED


def test_schedules_that_cannot_be_sent_are_refused_at_once(secc_bench: Any) -> None:
    bench = scheduled(secc_bench).reach(State.SCHEDULE_EXCHANGE)
    with pytest.raises(LocalProtocolError, match="before ScheduleRequested"):
        bench.command(OfferSchedules(tuples=bench.offered))
    del bench.answers[ScheduleRequested]
    bench.ask(bench.request(State.SCHEDULE_EXCHANGE))
    slots = tuple(PowerSlot(duration_s=60, power_w=100.0) for _ in range(13))
    charging = bench.offered[0].charging
    long = replace(bench.offered[0], charging=replace(charging, power=replace(charging.power, slots=slots)))
    for tuples in ((flat_schedule(-1.0),), bench.offered * 2, (long,), [bench.offered[0]], "ab"):
        with pytest.raises(LocalProtocolError):
            bench.command(OfferSchedules(tuples=tuples))
    with pytest.raises(LocalProtocolError, match="scheduled mode"):
        bench.command(SetMobilityNeeds())
    bench.command(OfferSchedules(tuples=bench.offered))
    assert bench.ask(bench.request(State.SCHEDULE_EXCHANGE)).EVSEProcessing == "Finished"


# ---- mobility needs ----


def test_the_owners_mobility_needs_go_out_and_count_down_in_the_loop(secc_bench: Any) -> None:
    bench = secc_bench(service=EnergyService.DC_BPT, parameter_set=BY_SECC).reach(State.SCHEDULE_EXCHANGE)
    told_at = bench.now
    mode = bench.ask(bench.request(State.SCHEDULE_EXCHANGE)).Dynamic_SEResControlMode
    assert (mode.DepartureTime, mode.MinimumSOC, mode.TargetSOC) == (7200, 40, 80)
    bench.reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    for _ in range(50):
        bench.advance(0.4)
        bench.update()
        mode = bench.ask(bench.request(State.CHARGE_LOOP)).CLResControlMode
    assert (mode.DepartureTime, mode.MinimumSOC, mode.TargetSOC) == (round(7200 - (bench.now - told_at)), 40, 80)
    bench.command(SetMobilityNeeds(departure_time_s=1, target_soc_pct=60))
    bench.now += 0.4
    bench.update()
    mode = bench.ask(bench.request(State.CHARGE_LOOP)).CLResControlMode
    assert (mode.DepartureTime, mode.MinimumSOC, mode.TargetSOC) == (1, None, 60)


def test_where_the_vehicle_has_the_needs_the_owner_only_tells_prices(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SCHEDULE_EXCHANGE)
    bench.command(SetMobilityNeeds(departure_time_s=5, min_soc_pct=1, prices=flat_prices(0.31, "EUR")))
    mode = bench.ask(bench.request(State.SCHEDULE_EXCHANGE)).Dynamic_SEResControlMode
    assert (mode.DepartureTime, mode.MinimumSOC, mode.AbsolutePriceSchedule.Currency) == (None, None, "EUR")
    bench.reach(State.CHARGE_LOOP)
    assert bench.ask(bench.request(State.CHARGE_LOOP)).CLResControlMode.DepartureTime is None
    assert not any(isinstance(e, ScheduleRequested) for e in bench.told)


def test_mobility_needs_that_contradict_themselves_are_refused(secc_bench: Any) -> None:
    bench = secc_bench(service=EnergyService.DC_BPT, parameter_set=BY_SECC).reach(State.SCHEDULE_EXCHANGE)
    for wrong in ({"min_soc_pct": 90, "target_soc_pct": 80}, {"departure_time_s": -1}, {"target_soc_pct": 101}):
        with pytest.raises(LocalProtocolError):
            bench.command(SetMobilityNeeds(**wrong))


# ---- the power profile ----


def profile_of(bench: Any, power_w: float = 11_000.0, **changes: Any) -> Any:
    profile = follow(bench.machine.session.offered[0], max_power_w=power_w)
    return replace(profile, **changes).to_message()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, Code.OK_PowerToleranceConfirmed),
        ({"tolerance_accepted": None}, Code.OK),
        ({"tolerance_accepted": False}, Code.WARNING_PowerToleranceNotConfirmed),
        ({"starts_at_unix_s": 0}, Code.OK_PowerToleranceConfirmed),
    ],
)
@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT])
def test_a_plan_within_its_schedule_is_accepted(
    secc_bench: Any, service: EnergyService, changes: dict[str, Any], code: Code
) -> None:
    bench = scheduled(secc_bench, service).reach(State.POWER_DELIVERY)
    profile = profile_of(bench, **changes)
    assert bench.ask(bench.request(State.POWER_DELIVERY, EVPowerProfile=profile)).ResponseCode is code
    assert bench.machine.state is State.CHARGE_LOOP
    received = next(e for e in bench.told if isinstance(e, PowerProfileReceived))
    assert received.profile.slots[0].power_w == 11_000
    assert isinstance(bench.told[-1], PowerDeliveryStarted)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"selected_tuple_id": 2}, Code.FAILED_ScheduleSelectionInvalid),
        ({"selected_tuple_id": None, "tolerance_accepted": None}, Code.FAILED_ScheduleSelectionInvalid),
        ({"slots": (PowerSlot(duration_s=60, power_w=22_100.0),)}, Code.FAILED_EVPowerProfileInvalid),
        ({"slots": (PowerSlot(duration_s=60, power_w=-20_100.0),)}, Code.FAILED_EVPowerProfileInvalid),
        (None, Code.FAILED_EVPowerProfileInvalid),
    ],
)
@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT])
def test_a_plan_outside_its_schedule_starts_nothing(
    secc_bench: Any, service: EnergyService, changes: dict[str, Any] | None, code: Code
) -> None:
    bench = scheduled(secc_bench, service).reach(State.POWER_DELIVERY)
    profile = None if changes is None else profile_of(bench, **changes)
    assert bench.ask(bench.request(State.POWER_DELIVERY, EVPowerProfile=profile)).ResponseCode is code
    assert not any(isinstance(e, PowerDeliveryStarted | PowerProfileReceived) for e in bench.told)
    if service.is_ac:
        assert not bench.evse.contactor_closed


def test_a_plan_is_not_due_while_the_vehicle_still_processes(secc_bench: Any) -> None:
    bench = scheduled(secc_bench).reach(State.POWER_DELIVERY)
    request = bench.request(State.POWER_DELIVERY, EVPowerProfile=None, EVProcessing=ct.processingType.Ongoing)
    assert bench.ask(request).ResponseCode is Code.OK
    assert bench.machine.state is State.POWER_DELIVERY


def test_a_plan_of_dynamic_mode_is_a_forecast(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.POWER_DELIVERY)
    forecast = PowerProfile(starts_at_unix_s=0, slots=(PowerSlot(duration_s=60, power_w=1e6),))
    assert bench.ask(bench.request(State.POWER_DELIVERY, EVPowerProfile=forecast.to_message())).ResponseCode is Code.OK
    assert next(e for e in bench.told if isinstance(e, PowerProfileReceived)).profile == forecast


def test_a_plan_with_impossible_numbers_fails(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.POWER_DELIVERY)
    forecast = PowerProfile(starts_at_unix_s=0, slots=(PowerSlot(duration_s=60, power_w=1.0),)).to_message()
    entry = msgspec.structs.replace(forecast.EVPowerProfileEntries.EVPowerProfileEntry[0], Power=rational(2e9))
    entries = cm.EVPowerProfileEntryListType(EVPowerProfileEntry=[entry])
    request = bench.request(
        State.POWER_DELIVERY, EVPowerProfile=msgspec.structs.replace(forecast, EVPowerProfileEntries=entries)
    )
    assert bench.ask(request).ResponseCode is Code.FAILED_EVPowerProfileInvalid


# ---- the DC loop of scheduled mode ----


@pytest.mark.parametrize(
    ("asked_a", "asked_v", "served_a", "served_v", "cut"),
    [
        (25, 400, 25, 400, (False, False)),
        (300, 400, 55, 400, (True, False)),
        (-300, 400, -50, 400, (True, False)),
        (10, 2000, 10, 920, (False, True)),
        (10, 20, 10, 150, (False, True)),
        (-10, 400, -10, 400, (False, False)),
    ],
)
def test_a_dc_target_beyond_the_limits_is_served_up_to_them(
    secc_bench: Any, asked_a: float, asked_v: float, served_a: float, served_v: float, cut: tuple[bool, bool]
) -> None:
    bench = scheduled(secc_bench).reach(State.CHARGE_LOOP)
    mode = dc.BPT_Scheduled_DC_CLReqControlMode(EVTargetCurrent=rational(asked_a), EVTargetVoltage=rational(asked_v))
    response = bench.ask(bench.request(State.CHARGE_LOOP, CLReqControlMode=mode))
    assert response.ResponseCode is Code.OK
    assert type(response.CLResControlMode) is dc.BPT_Scheduled_DC_CLResControlMode
    assert (response.EVSECurrentLimitAchieved, response.EVSEVoltageLimitAchieved) == cut
    assert (bench.told[-1].target_current_a, bench.told[-1].target_voltage_v) == (served_a, served_v)
    assert bench.told[-1].limits.max_charge_power_w == 11_000


def test_a_vehicle_without_discharge_in_scheduled_mode_is_not_discharged(secc_bench: Any) -> None:
    bench = scheduled(secc_bench, EnergyService.DC).reach(State.CHARGE_LOOP)
    mode = dc.Scheduled_DC_CLReqControlMode(EVTargetCurrent=rational(-20), EVTargetVoltage=rational(400))
    response = bench.ask(bench.request(State.CHARGE_LOOP, CLReqControlMode=mode))
    assert type(response.CLResControlMode) is dc.Scheduled_DC_CLResControlMode
    assert bench.told[-1].target_current_a == 0


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT])
def test_a_loop_of_dynamic_mode_in_a_scheduled_session_fails(secc_bench: Any, service: EnergyService) -> None:
    bench = scheduled(secc_bench, service).reach(State.CHARGE_LOOP)
    other = secc_bench(service=service).request(State.CHARGE_LOOP)
    request = bench.request(State.CHARGE_LOOP, CLReqControlMode=other.CLReqControlMode)
    assert bench.ask(request).ResponseCode is Code.FAILED


# ---- renegotiation on the main stream ----


def test_a_schedule_is_renegotiated_while_energy_flows(secc_bench: Any) -> None:
    bench = scheduled(secc_bench).reach(State.SCHEDULE_RENEGOTIATION)
    assert bench.told[-1] == RenegotiationStarted(service=False)
    bench.offered = (flat_schedule(7_000.0, id=5),)
    response = bench.ask(bench.request(State.SCHEDULE_EXCHANGE))
    assert response.Scheduled_SEResControlMode.ScheduleTuple[0].ScheduleTupleID == 5
    assert bench.told[-1].renegotiation
    assert bench.machine.state is State.POWER_DELIVERY_AGAIN
    assert bench.ask(bench.request(State.POWER_DELIVERY)).ResponseCode is Code.OK_PowerToleranceConfirmed
    assert bench.machine.state is State.CHARGE_LOOP
    kinds = [type(e) for e in bench.told]
    assert (kinds.count(PowerDeliveryStarted), kinds.count(PowerDeliveryStopped)) == (1, 0)
    assert bench.told[-1].profile.selected_tuple_id == 5
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK


def test_a_new_schedule_must_be_selected_before_charging_goes_on(secc_bench: Any) -> None:
    bench = scheduled(secc_bench).reach(State.POWER_DELIVERY_AGAIN)
    request = bench.request(State.POWER_DELIVERY, EVPowerProfile=None)
    assert bench.ask(request).ResponseCode is Code.FAILED_EVPowerProfileInvalid
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]


@pytest.mark.parametrize("silent", [False, True])
def test_a_renegotiation_without_another_schedule_keeps_the_old_one(secc_bench: Any, silent: bool) -> None:
    bench = scheduled(secc_bench).reach(State.SCHEDULE_RENEGOTIATION)
    bench.answers[ScheduleRequested] = lambda _: None if silent else bench.command(OfferSchedules(tuples=()))
    start = bench.now
    while (response := bench.ask(bench.request(State.SCHEDULE_EXCHANGE))).EVSEProcessing == "Ongoing":
        bench.update()
    assert response.ResponseCode is Code.WARNING_ScheduleRenegotiationFailed
    assert response.Scheduled_SEResControlMode.ScheduleTuple[0].ScheduleTupleID == 1
    assert (bench.now - start >= 55.0) is silent
    assert bench.ask(bench.request(State.POWER_DELIVERY, EVPowerProfile=None)).ResponseCode is Code.OK
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK


def test_schedules_may_be_offered_before_the_vehicle_asks_for_them_again(secc_bench: Any) -> None:
    bench = scheduled(secc_bench).reach(State.CHARGE_LOOP)
    bench.command(OfferSchedules(tuples=(flat_schedule(5_000.0, id=9),)))
    bench.reach(State.SCHEDULE_RENEGOTIATION)
    del bench.answers[ScheduleRequested]
    response = bench.ask(bench.request(State.SCHEDULE_EXCHANGE))
    assert response.Scheduled_SEResControlMode.ScheduleTuple[0].ScheduleTupleID == 9


@pytest.mark.parametrize("progress", [Progress.Start, Progress.Standby, Progress.ScheduleRenegotiation])
def test_a_renegotiation_goes_on_with_schedule_exchange_or_stop(secc_bench: Any, progress: Progress) -> None:
    bench = scheduled(secc_bench).reach(State.SCHEDULE_RENEGOTIATION)
    assert bench.deliver(progress).ResponseCode is Code.FAILED_SequenceError
    bench = scheduled(secc_bench).reach(State.SCHEDULE_RENEGOTIATION)
    assert bench.deliver(Progress.Stop).ResponseCode is Code.OK
    assert bench.machine.state is State.WELDING_DETECTION


def test_dynamic_mode_renegotiates_without_waiting_for_its_owner(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SCHEDULE_RENEGOTIATION)
    assert bench.ask(bench.request(State.SCHEDULE_EXCHANGE)).EVSEProcessing == "Finished"
    bench.reach(State.CHARGE_LOOP)
    assert not any(isinstance(e, PowerDeliveryStopped) for e in bench.told)


# ---- renegotiation beside the loop ----


def beside(bench: Any, request: Any, payload_type: int = SIDE) -> list[tuple[int, Any]]:
    """Answers to a request on a side stream, each with its payload type."""
    bench.machine.receive_data(encode_frame(payload_type, exi.encode(request)), bench.now)
    bench._take_events()
    reader, answers = FrameReader(), []
    while data := bench.machine.data_to_send():
        reader.feed(data)
        answers += [(f.payload_type, exi.decode("urn:iso:std:iso:15118:-20:CommonMessages", f.payload)) for f in reader]
    return answers


def test_schedules_are_exchanged_beside_the_loop_and_hold_from_the_next_power_delivery(secc_bench: Any) -> None:
    bench = scheduled(secc_bench).reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    deadline = bench.machine.next_deadline()
    del bench.answers[ScheduleRequested]
    bench.now += 0.1
    ((stream, response),) = beside(bench, bench.request(State.SCHEDULE_EXCHANGE))
    assert (stream, response.EVSEProcessing, bench.machine.state) == (SIDE, "Ongoing", State.CHARGE_LOOP)
    assert bench.told[-3] == RenegotiationStarted(service=False)
    assert bench.machine.next_deadline() == deadline
    bench.command(OfferSchedules(tuples=(flat_schedule(7_000.0, id=5),)))
    ((stream, response),) = beside(bench, bench.request(State.SCHEDULE_EXCHANGE))
    assert (stream, response.EVSEProcessing) == (SIDE, "Finished")
    assert response.Scheduled_SEResControlMode.ScheduleTuple[0].ScheduleTupleID == 5
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK
    assert bench.machine.session.profile.selected_tuple_id == 1
    assert bench.ask(bench.request(State.POWER_DELIVERY)).ResponseCode is Code.OK_PowerToleranceConfirmed
    assert bench.machine.session.profile.selected_tuple_id == 5
    assert bench.machine.state is State.CHARGE_LOOP


def test_a_side_stream_does_not_wait_for_the_owner_nor_keep_the_loop_alive(secc_bench: Any) -> None:
    bench = scheduled(secc_bench).reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    del bench.answers[ScheduleRequested]
    for _ in range(6):
        bench.advance(0.09)
        answers = beside(bench, bench.request(State.SCHEDULE_EXCHANGE))
    assert answers == []
    assert bench.end.reason.value == "SECC_TIMEOUT"


def test_a_side_stream_renegotiation_that_fails_is_a_warning(secc_bench: Any) -> None:
    bench = scheduled(secc_bench).reach(State.CHARGE_LOOP)
    bench.answers[ScheduleRequested] = lambda _: bench.command(OfferSchedules(tuples=()))
    ((_, response),) = beside(bench, bench.request(State.SCHEDULE_EXCHANGE))
    assert response.EVSEProcessing == "Ongoing"
    ((_, response),) = beside(bench, bench.request(State.SCHEDULE_EXCHANGE))
    assert response.ResponseCode is Code.WARNING_ScheduleRenegotiationFailed


def test_needs_said_beside_the_loop_of_dynamic_mode_hold_at_once(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.STANDBY)
    ((stream, response),) = beside(bench, bench.request(State.SCHEDULE_EXCHANGE))
    assert (stream, response.ResponseCode, response.EVSEProcessing) == (SIDE, Code.OK, "Finished")
    assert bench.told[-1].needs.departure_time_s == 7200
    assert bench.machine.state is State.STANDBY


def test_a_side_stream_carries_its_own_request_only(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    ((stream, response),) = beside(bench, bench.request(State.POWER_DELIVERY))
    assert (stream, response.ResponseCode) == (SIDE, Code.FAILED_SequenceError)
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]


def test_a_foreign_session_id_on_a_side_stream_ends_the_session(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    request = bench.request(State.SCHEDULE_EXCHANGE, Header=bench.header(bytes(8)))
    ((stream, response),) = beside(bench, request)
    assert (stream, response.ResponseCode) == (SIDE, Code.FAILED_UnknownSession)


def test_outside_the_loop_side_streams_are_skipped(secc_bench: Any) -> None:
    for state in (State.POWER_DELIVERY, State.SCHEDULE_RENEGOTIATION, State.WELDING_DETECTION):
        bench = secc_bench().reach(state)
        assert beside(bench, bench.request(State.SCHEDULE_EXCHANGE)) == []
        assert isinstance(bench.told[-1], FrameIgnored)
        assert bench.machine.state is state
