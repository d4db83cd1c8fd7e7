"""Every timer of the SECC: when it runs, when it does not, and what its end means."""

from typing import Any

import pytest

from pyiso15118.commands import Authorize
from pyiso15118.events import AuthorizationRequested, CableCheckRequested, EndReason, PowerDeliveryStopped, SessionEnded
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import State
from pyiso15118.timers import SeccTimers

Code = ct.responseCodeType
Progress = cm.chargeProgressType
LOOPING = (State.STANDBY, State.SCHEDULE_RENEGOTIATION, State.POWER_DELIVERY_AGAIN)
QUIET_STATES = [s for s in State if s not in (State.ENDED, State.APP_PROTOCOL, State.SESSION_STOP, *LOOPING)]


def test_silence_after_the_connection_ends_the_setup(secc_bench: Any) -> None:
    bench = secc_bench()
    bench.advance(19.99)
    assert not bench.machine.closed
    bench.advance(0.02)
    assert bench.end.reason is EndReason.TIMEOUT_SECC
    assert bench.sent() == []


def test_a_trickle_of_bytes_does_not_keep_the_setup_alive(secc_bench: Any) -> None:
    bench = secc_bench()
    data = bench.frame(bench.request(State.APP_PROTOCOL))
    for byte in data[:-1]:
        bench.feed(bytes([byte]))
        bench.advance(0.5)
    assert bench.end.reason is EndReason.TIMEOUT_SECC


@pytest.mark.parametrize("state", QUIET_STATES)
def test_sixty_seconds_of_silence_end_the_session_outside_the_loop(secc_bench: Any, state: State) -> None:
    bench = secc_bench().reach(state)
    bench.advance(59.99)
    assert not bench.machine.closed
    bench.advance(0.02)
    assert bench.end.reason is EndReason.TIMEOUT_SECC


def test_half_a_second_of_silence_ends_the_loop_and_energy(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    bench.advance(0.49)
    assert not bench.machine.closed
    bench.advance(0.02)
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert bench.end.reason is EndReason.TIMEOUT_SECC
    assert bench.end.reason.value == "SECC_TIMEOUT"
    assert "DC_ChargeLoopReq" in bench.end.detail


def test_half_a_second_of_silence_ends_standby(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.STANDBY)
    bench.advance(0.51)
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert bench.end.reason is EndReason.TIMEOUT_SECC


@pytest.mark.parametrize("state", [State.SCHEDULE_RENEGOTIATION, State.POWER_DELIVERY_AGAIN])
def test_five_seconds_of_silence_end_a_schedule_renegotiation(secc_bench: Any, state: State) -> None:
    bench = secc_bench().reach(state)
    for _ in range(7):
        bench.advance(0.7)
        bench.update()
    assert not bench.machine.closed
    bench.advance(0.2)
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert bench.end.reason is EndReason.TIMEOUT_SECC


def test_after_a_schedule_renegotiation_the_loop_timeout_holds_again(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.POWER_DELIVERY_AGAIN).reach(State.CHARGE_LOOP)
    assert bench.machine.next_deadline() == bench.now + 0.5


def test_the_loop_timeout_can_be_raised(secc_bench: Any) -> None:
    bench = secc_bench(timers=SeccTimers(sequence_charge_loop_s=2.0)).reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    for _ in range(2):
        bench.advance(0.95)
        bench.update()
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK


@pytest.mark.parametrize("progress", [Progress.Standby, Progress.Start])
def test_a_declined_power_delivery_does_not_lengthen_the_loop_timeout(secc_bench: Any, progress: Progress) -> None:
    bench = secc_bench(standby_allowed=False).reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    bench.ask(bench.request(State.POWER_DELIVERY, ChargeProgress=progress))
    assert bench.machine.next_deadline() == bench.now + 0.5
    bench.advance(0.51)
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert bench.end.reason is EndReason.TIMEOUT_SECC


def test_the_first_loop_request_may_be_seconds_away(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    for _ in range(50):
        bench.advance(0.9)
        bench.update()
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK


def test_every_deadline_that_has_passed_is_acted_on(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.now += 61.0
    bench.machine.handle_timer(bench.now)
    bench._take_events()
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert "no state of the EVSE" in bench.told[-2].reason
    assert bench.end.reason is EndReason.TIMEOUT_SECC


ONGOING = ct.processingType.Ongoing


@pytest.mark.parametrize(
    ("state", "asked", "changes", "limit_s"),
    [
        (State.SERVICE_SELECTION, State.SERVICE_DETAIL, {}, 60.0),
        (State.AUTHORIZATION, State.AUTHORIZATION, {}, 900.0),
        (State.PRE_CHARGE, State.PRE_CHARGE, {}, 60.0),
        (State.POWER_DELIVERY, State.POWER_DELIVERY, {"EVProcessing": ONGOING}, 60.0),
        (State.POWER_DELIVERY, State.POWER_DELIVERY, {"ChargeProgress": Progress.Standby}, 60.0),
    ],
)
def test_a_vehicle_that_asks_the_same_for_ever_is_given_up(
    secc_bench: Any, state: State, asked: State, changes: dict[str, Any], limit_s: float
) -> None:
    bench = secc_bench()
    del bench.answers[AuthorizationRequested]
    if state is not State.AUTHORIZATION:
        bench.command(Authorize(granted=True))
    bench.reach(state)
    start = bench.now
    while (response := bench.ask(bench.request(asked, **changes))).ResponseCode is not Code.FAILED:
        assert bench.now - start < limit_s
        bench.advance(5.0)
        bench.update()
    assert bench.now - start >= limit_s - 5.0
    assert type(response).__name__.removesuffix("Res") in bench.end.detail
    assert f"repeated for {limit_s:g} s" in bench.end.detail


def test_welding_detection_has_an_end(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.POWER_DELIVERY, ChargeProgress=Progress.Stop))
    for _ in range(2):
        assert bench.ask(bench.request(State.WELDING_DETECTION)).ResponseCode is Code.OK
        bench.advance(59.0)
        bench.update()
    assert bench.ask(bench.request(State.WELDING_DETECTION)).ResponseCode is Code.FAILED


def test_stop_is_served_however_long_the_vehicle_hesitated(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.POWER_DELIVERY)
    for _ in range(2):
        bench.ask(bench.request(State.POWER_DELIVERY, EVProcessing=ONGOING))
        bench.advance(50.0)
        bench.update()
    assert bench.ask(bench.request(State.POWER_DELIVERY, ChargeProgress=Progress.Stop)).ResponseCode is Code.OK


def test_a_loop_request_ends_a_series_of_power_deliveries(secc_bench: Any) -> None:
    bench = secc_bench(standby_allowed=False, timers=SeccTimers(power_delivery_series_s=1.0))
    bench.reach(State.CHARGE_LOOP)
    for _ in range(10):
        assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK
        standby = bench.request(State.POWER_DELIVERY, ChargeProgress=Progress.Standby)
        assert bench.ask(standby).ResponseCode is Code.WARNING_StandbyNotAllowed
        bench.advance(0.4)
        bench.update()


def test_a_skipped_frame_does_not_restart_the_loop_timeout(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    bench.advance(0.4)
    bench.feed(bytes.fromhex("01fe800600000000"))
    bench.advance(0.15)
    assert bench.end.reason is EndReason.TIMEOUT_SECC


def test_data_that_waited_goes_before_a_timer_that_is_due(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    bench.now += 5.0
    bench.update()
    (response,) = bench.feed(bench.frame(bench.request(State.CHARGE_LOOP)))
    bench.machine.handle_timer(bench.now)
    assert response.ResponseCode is Code.OK
    assert not bench.machine.closed


def test_calling_the_timer_early_does_nothing(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    for _ in range(100):
        bench.machine.handle_timer(bench.now)
    assert not bench.machine.closed


def test_no_vehicle_timeout_runs_while_the_secc_owes_the_answer(secc_bench: Any) -> None:
    bench = secc_bench(response_hold_s=100.0).reach(State.AUTHORIZATION)
    bench.answers.clear()
    assert bench.feed(bench.frame(bench.request(State.AUTHORIZATION))) == []
    assert bench.machine.next_deadline() == bench.now + 100.0


def test_an_owner_that_never_authorizes_refuses_after_the_ongoing_time(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.AUTHORIZATION)
    del bench.answers[AuthorizationRequested]
    start = bench.now
    while (response := bench.ask(bench.request(State.AUTHORIZATION))).EVSEProcessing == "Ongoing":
        assert bench.now - start < 56.0
    assert response.ResponseCode is Code.WARNING_EIMAuthorizationFailure
    assert bench.now - start >= 55.0
    assert bench.machine.state is State.AUTHORIZATION


def test_a_cable_check_without_end_fails_in_time(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CABLE_CHECK)
    del bench.answers[CableCheckRequested]
    start = bench.now
    while (response := bench.ask(bench.request(State.CABLE_CHECK))).ResponseCode is Code.OK:
        assert bench.now - start < 39.0
    assert response.ResponseCode is Code.FAILED
    assert bench.now - start >= 38.0
    assert "longer than 38 s" in bench.end.detail
