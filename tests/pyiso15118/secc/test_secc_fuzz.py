"""Whatever bytes or legal messages arrive, the SECC does what it declares and nothing else."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyiso15118.commands import Authorize, CableCheckFinished
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import (
    DcChargeLoopReceived,
    EndReason,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PreChargeRequested,
    SessionEnded,
    StandbyEntered,
    StandbyLeft,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import State
from pyiso15118.v2gtp import encode_frame
from support.examples import examples

FUZZ = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
STATES = [s for s in State if s not in (State.ENDED, State.SESSION_STOP)]
RENEGOTIATION = (State.SCHEDULE_RENEGOTIATION, State.POWER_DELIVERY_AGAIN)
RATIONALS = st.builds(ct.RationalNumberType, Exponent=st.integers(-128, 127), Value=st.integers(-32768, 32767))


def assert_declared_behaviour(bench: Any) -> None:
    """Energy starts once and stops once, only ever on in a sound EVSE; SessionEnded is last and single."""
    kinds = [type(e) for e in bench.told]
    started, stopped = kinds.count(PowerDeliveryStarted), kinds.count(PowerDeliveryStopped)
    assert started <= 1
    assert stopped <= 1
    if stopped:
        assert PreChargeRequested in kinds[: kinds.index(PowerDeliveryStopped)]
        assert PowerDeliveryStarted not in kinds[kinds.index(PowerDeliveryStopped) :]
    if bench.machine.closed:
        assert kinds.index(SessionEnded) == len(kinds) - 1
        assert stopped == (PreChargeRequested in kinds)
    else:
        assert SessionEnded not in kinds
    assert_energy_is_sound(bench)


def assert_energy_is_sound(bench: Any) -> None:
    kinds = [type(e) for e in bench.told]
    resting = kinds.count(StandbyEntered) > kinds.count(StandbyLeft)
    flows = PowerDeliveryStarted in kinds and PowerDeliveryStopped not in kinds and not resting
    assert bench.machine.session.charging is flows
    if flows:
        assert bench.evse.fault is None
        assert bench.evse.contactors_closed
        assert bench.now - bench.told_at <= bench.config.evse_state_max_age_s
        assert 300 <= bench.machine.session.pre_charge_target_v <= 450
        assert not bench.bad_news
        if DcChargeLoopReceived in kinds:
            timers = bench.config.timers
            renegotiating = bench.machine.state in RENEGOTIATION
            most_s = timers.sequence_renegotiation_s if renegotiating else timers.sequence_charge_loop_s
            assert bench.now - bench.answered_at <= most_s


@pytest.mark.parametrize("payload_type", [0x8001, 0x8002, 0x8003, 0x8004])
@FUZZ
@given(payload=st.binary(max_size=120))
def test_random_payloads_end_only_this_session(secc_bench: Any, payload_type: int, payload: bytes) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    responses = bench.feed(encode_frame(payload_type, payload))
    assert len(responses) <= 1
    assert_declared_behaviour(bench)
    assert bench.end.reason in (EndReason.PROTOCOL_ERROR, EndReason.FAILED_BY_US)


@FUZZ
@given(data=st.binary(max_size=400))
def test_random_streams_never_raise(secc_bench: Any, data: bytes) -> None:
    bench = secc_bench()
    bench.feed(data)
    bench.advance(100.0)
    assert_declared_behaviour(bench)
    assert bench.machine.closed


@FUZZ
@given(state=st.sampled_from(STATES), data=st.data())
def test_flipped_bits_in_a_good_request_are_survived(secc_bench: Any, state: State, data: st.DataObject) -> None:
    bench = secc_bench().reach(state)
    frame = bytearray(bench.frame(bench.request(state)))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(8, len(frame) - 1))
        frame[position] ^= 1 << data.draw(st.integers(0, 7))
    bench.feed(bytes(frame))
    bench.advance(2.0)
    assert_declared_behaviour(bench)


@FUZZ
@given(
    states=st.lists(st.sampled_from(STATES), min_size=1, max_size=25),
    pauses=st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.6, 2.0, 61.0]), min_size=25, max_size=25),
)
def test_good_requests_in_any_order_get_one_answer_each(
    secc_bench: Any, states: list[State], pauses: list[float]
) -> None:
    bench = secc_bench()
    for state, pause in zip(states, pauses, strict=False):
        bench.advance(pause)
        closed = bench.machine.closed
        response = bench.ask(bench.request(state))
        assert (response is None) is closed
    assert_declared_behaviour(bench)


@FUZZ
@given(numbers=st.lists(RATIONALS, min_size=12, max_size=12), state=st.sampled_from(STATES[7:]))
def test_any_numbers_in_a_good_request_are_answered(
    secc_bench: Any, numbers: list[ct.RationalNumberType], state: State
) -> None:
    bench = secc_bench().reach(state)
    request = with_numbers(bench.request(state), iter(numbers))
    response = bench.ask(request)
    assert type(response).__name__ == type(request).__name__.removesuffix("Req") + "Res"
    assert_declared_behaviour(bench)


def with_numbers(message: Any, numbers: Any) -> Any:
    changes = {}
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if isinstance(value, ct.RationalNumberType):
            changes[name] = next(numbers)
        elif isinstance(value, msgspec.Struct) and name != "Header":
            changes[name] = with_numbers(value, numbers)
    return msgspec.structs.replace(message, **changes)


STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(STATES)),
    st.tuples(st.just("ask"), st.just(State.CHARGE_LOOP)),
    st.tuples(st.just("deliver"), st.sampled_from(list(cm.chargeProgressType))),
    st.tuples(st.just("start at"), st.sampled_from([0, 100, 350, 400, 900])),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 0.4, 0.6, 0.9, 1.1, 30.0])),
    st.tuples(st.just("update"), st.sampled_from([{}, {"present_current_a": 60.0}, {"present_voltage_v": 380.0}])),
    st.tuples(st.just("break"), st.sampled_from([{"fault": "hot"}, {"contactors_closed": False}])),
    st.tuples(
        st.just("tell"),
        st.sampled_from([CableCheckFinished(passed=False), Authorize(granted=False), Authorize(granted=True)]),
    ),
)


@settings(FUZZ, max_examples=examples(150))
@given(first=st.sampled_from([State.PRE_CHARGE, State.POWER_DELIVERY, State.CHARGE_LOOP]), steps=st.lists(STEPS))
def test_energy_is_never_on_in_an_evse_that_is_not_sound(
    secc_bench: Any, first: State, steps: list[tuple[str, Any]]
) -> None:
    bench = secc_bench().reach(first)
    for kind, what in steps:
        match kind:
            case "ask":
                bench.ask(bench.request(what))
            case "deliver":
                bench.ask(bench.request(State.POWER_DELIVERY, ChargeProgress=what))
            case "start at":
                value = ct.RationalNumberType.of(what)
                bench.ask(bench.request(State.PRE_CHARGE, EVTargetVoltage=value))
                bench.ask(bench.request(State.POWER_DELIVERY))
            case "wait":
                bench.advance(what)
            case "update" | "break":
                bench.update(**what)
            case "tell":
                try:
                    bench.command(what)
                except LocalProtocolError:
                    continue
        assert_declared_behaviour(bench)
