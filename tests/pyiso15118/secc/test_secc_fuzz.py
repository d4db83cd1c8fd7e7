"""Whatever bytes or legal messages arrive, the SECC does what it declares and nothing else."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyiso15118.events import EndReason, PowerDeliveryStarted, PowerDeliveryStopped, SessionEnded
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import State
from pyiso15118.v2gtp import encode_frame

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
STATES = [s for s in State if s not in (State.ENDED, State.WELDING_DETECTION)]
RATIONALS = st.builds(ct.RationalNumberType, Exponent=st.integers(-128, 127), Value=st.integers(-32768, 32767))


def assert_declared_behaviour(bench: Any) -> None:
    """Energy events pair up, SessionEnded is last and single, every answer is one of the standard's."""
    started = sum(isinstance(e, PowerDeliveryStarted) for e in bench.events)
    stopped = sum(isinstance(e, PowerDeliveryStopped) for e in bench.events)
    ended = [i for i, e in enumerate(bench.events) if isinstance(e, SessionEnded)]
    assert stopped <= started <= 1
    if bench.machine.closed:
        assert ended == [len(bench.events) - 1]
        assert stopped == started
    else:
        assert ended == []


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
