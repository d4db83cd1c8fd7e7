"""Whatever a SECC sends, the vehicle opens its contactors and ends, or goes on; it never raises."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyiso15118.evcc import State
from pyiso15118.events import (
    ChargingStarted,
    ChargingStopped,
    ControlMode,
    EnergyService,
    MessageReceived,
    SessionEnded,
)
from pyiso15118.v2gtp import encode_frame
from support.examples import examples

FUZZ = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ended_well(events: list[Any]) -> bool:
    started = any(isinstance(e, ChargingStarted) for e in events)
    stopped = any(isinstance(e, ChargingStopped) for e in events)
    return isinstance(events[-1], SessionEnded) and (stopped or not started)


REACHED = [
    State.APP_PROTOCOL,
    State.SESSION_SETUP,
    State.AUTHORIZATION_SETUP,
    State.AUTHORIZATION,
    State.SERVICE_DISCOVERY,
    State.SERVICE_DETAIL,
    State.SERVICE_SELECTION,
    State.CHARGE_PARAMETER_DISCOVERY,
    State.SCHEDULE_EXCHANGE,
    State.CABLE_CHECK,
    State.PRE_CHARGE,
    State.POWER_DELIVERY_START,
    State.CHARGE_LOOP,
    State.POWER_DELIVERY_STOP,
    State.WELDING_DETECTION,
    State.SESSION_STOP,
]


@FUZZ
@given(state=st.sampled_from(REACHED), mode=st.sampled_from(ControlMode), is_ac=st.booleans(), data=st.data())
def test_broken_responses_are_survived_in_every_state(
    bench: Any, evse: Any, state: State, mode: ControlMode, is_ac: bool, data: st.DataObject
) -> None:
    if is_ac and state in (State.CABLE_CHECK, State.PRE_CHARGE, State.WELDING_DETECTION):
        state = State.CHARGE_LOOP
    services = (EnergyService.AC_BPT if is_ac else EnergyService.DC_BPT,)
    session = bench(evse(services, mode), loops=2, services=services).until(state)
    good = [e.payload for e in session.events if isinstance(e, MessageReceived)]
    payload = bytearray(
        good[-1] if good and data.draw(st.booleans()) else data.draw(st.binary(min_size=1, max_size=60))
    )
    position = data.draw(st.integers(0, len(payload) - 1))
    payload[position] ^= 1 << data.draw(st.integers(0, 7))
    payload_type = data.draw(st.sampled_from([0x8001, 0x8002, 0x8003, 0x8004, 0x8101, 0x8102]))
    session.machine.receive_data(encode_frame(payload_type, bytes(payload)), session.now)
    for _ in range(400):
        deadline = session.machine.next_deadline()
        if deadline is None:
            break
        session.now = max(session.now, deadline)
        session.machine.handle_timer(session.now)
        while session.machine.data_to_send():
            pass
    session._take_events()
    assert session.machine.closed
    assert ended_well(session.events)


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_responses_may_arrive_in_pieces(bench: Any, cut: int) -> None:
    session = bench(loops=2)
    whole = session.machine.receive_data

    def in_pieces(data: bytes, now: float) -> None:
        for i in range(0, len(data), cut):
            whole(data[i : i + cut], now)

    session.machine.receive_data = in_pieces
    session.run()
    assert session.end.reason == "SESSION_STOPPED"
