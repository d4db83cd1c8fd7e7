"""Every timer of the SECC: when it runs, when it does not, and what its end means."""

from typing import Any

import pytest

from pyiso15118.events import AuthorizationRequested, CableCheckRequested, EndReason, PowerDeliveryStopped, SessionEnded
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import State
from pyiso15118.timers import SeccTimers

Code = ct.responseCodeType
EVERY_STATE = [s for s in State if s not in (State.ENDED, State.APP_PROTOCOL, State.WELDING_DETECTION)]


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


@pytest.mark.parametrize("state", EVERY_STATE)
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


def test_the_loop_timeout_can_be_raised(secc_bench: Any) -> None:
    bench = secc_bench(timers=SeccTimers(sequence_charge_loop_s=2.0)).reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    bench.advance(1.9)
    bench.update()
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK


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
