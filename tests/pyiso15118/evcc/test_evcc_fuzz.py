"""Whatever a SECC sends, the vehicle opens its contactors and ends, or goes on; it never raises."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyiso15118.evcc import State
from pyiso15118.events import ChargingStarted, ChargingStopped, MessageReceived, SessionEnded
from pyiso15118.v2gtp import encode_frame

FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ended_well(events: list[Any]) -> bool:
    started = any(isinstance(e, ChargingStarted) for e in events)
    stopped = any(isinstance(e, ChargingStopped) for e in events)
    return isinstance(events[-1], SessionEnded) and (stopped or not started)


@FUZZ
@given(state=st.sampled_from([s for s in State if s.value and s is not State.ENDED]), data=st.data())
def test_broken_responses_are_survived_in_every_state(pair: Any, state: State, data: st.DataObject) -> None:
    session = pair(loops=2)
    session.run(stop=lambda: session.evcc.state is state)
    good = [e.payload for e in session.evcc_events if isinstance(e, MessageReceived)]
    payload = bytearray(
        good[-1] if good and data.draw(st.booleans()) else data.draw(st.binary(min_size=1, max_size=60))
    )
    position = data.draw(st.integers(0, len(payload) - 1))
    payload[position] ^= 1 << data.draw(st.integers(0, 7))
    session.evcc.receive_data(
        encode_frame(data.draw(st.sampled_from([0x8001, 0x8002, 0x8003, 0x8004])), bytes(payload)), session.now
    )
    for _ in range(400):
        deadline = session.evcc.next_deadline()
        if deadline is None:
            break
        session.now = max(session.now, deadline)
        session.evcc.handle_timer(session.now)
        while session.evcc.data_to_send():
            pass
    while (event := session.evcc.next_event()) is not None:
        session.evcc_events.append(event)
    assert session.evcc.closed
    assert ended_well(session.evcc_events)


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_responses_may_arrive_in_pieces(pair: Any, cut: int) -> None:
    session = pair(loops=2)
    whole = session.evcc.receive_data

    def in_pieces(data: bytes, now: float) -> None:
        for i in range(0, len(data), cut):
            whole(data[i : i + cut], now)

    session.evcc.receive_data = in_pieces
    session.run()
    assert session.evcc_events[-1].reason == "SESSION_STOPPED"
