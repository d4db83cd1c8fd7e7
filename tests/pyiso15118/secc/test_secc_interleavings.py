"""Vehicle, owner and clock in any order, every service in both modes: what the owner was told of energy is always true,
and energy flows only in a sound EVSE."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyiso15118 import exi
from pyiso15118.commands import Authorize, CableCheckFinished, OfferSchedules, SetMobilityNeeds
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import (
    BptChannel,
    ContactorRequested,
    ControlMode,
    EnergyService,
    MobilityNeedsMode,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PreChargeRequested,
    SessionEnded,
    StandbyEntered,
    StandbyLeft,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.secc import ParameterSet, State
from pyiso15118.v2gtp import PayloadType, encode_frame
from support.examples import examples

STATES = [s for s in State if s is not State.ENDED]
DC_ONLY = {State.CABLE_CHECK, State.PRE_CHARGE, State.WELDING_DETECTION}
LOOPING = [State.CHARGE_LOOP, State.STANDBY, State.SCHEDULE_RENEGOTIATION, State.POWER_DELIVERY_AGAIN]
PARAMETER_SETS = [
    ParameterSet(id=1),
    ParameterSet(id=1, mobility_needs_mode=MobilityNeedsMode.BY_SECC, bpt_channel=BptChannel.SEPARATED),
    ParameterSet(id=1, control_mode=ControlMode.SCHEDULED),
]
STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(STATES)),
    st.tuples(st.just("ask"), st.just(State.CHARGE_LOOP)),
    st.tuples(st.just("deliver"), st.sampled_from(list(cm.chargeProgressType))),
    st.tuples(st.just("end"), st.sampled_from(list(cm.chargingSessionType))),
    st.tuples(st.just("beside"), st.sampled_from([State.SCHEDULE_EXCHANGE, State.POWER_DELIVERY])),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 0.4, 0.6, 0.9, 1.1, 6.0, 70.0])),
    st.tuples(st.just("update"), st.just({})),
    st.tuples(st.just("break"), st.sampled_from(["fault", "contactor"])),
    st.tuples(st.just("mend"), st.none()),
    st.tuples(
        st.just("tell"),
        st.sampled_from(
            [
                CableCheckFinished(passed=False),
                Authorize(granted=False),
                OfferSchedules(tuples=()),
                SetMobilityNeeds(departure_time_s=1),
            ]
        ),
    ),
)


def assert_true_to_its_owner(bench: Any) -> None:
    """The owner's picture of energy, drawn from events alone, is the machine's; and energy flows only where it may."""
    live = flows = resting = False
    for number, event in enumerate(bench.told):
        match event:
            case PreChargeRequested() | ContactorRequested():
                live = True
            case PowerDeliveryStarted():
                assert live
                flows = True
            case StandbyEntered():
                assert flows
                assert not resting
                resting = True
            case StandbyLeft():
                assert resting
                resting = False
            case PowerDeliveryStopped():
                assert live
                live = flows = resting = False
            case SessionEnded():
                assert number == len(bench.told) - 1
                assert not live
    session = bench.machine.session
    assert (session.live, session.charging, session.standby) == (live, flows and not resting, resting)
    assert bench.machine.closed is isinstance(bench.told[-1], SessionEnded)
    if session.charging:
        assert bench.evse.fault is None
        assert bench.evse.contactor_closed if bench.service.is_ac else bench.evse.contactors_closed
        assert bench.now - bench.told_at <= bench.config.evse_state_max_age_s
        assert not bench.bad_news


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT, EnergyService.MCS, EnergyService.AC])
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parameter_set=st.sampled_from(PARAMETER_SETS),
    first=st.sampled_from([State.POWER_DELIVERY, *LOOPING]),
    steps=st.lists(STEPS, max_size=30),
)
def test_energy_is_what_the_owner_was_told(
    secc_bench: Any, service: EnergyService, parameter_set: ParameterSet, first: State, steps: list[tuple[str, Any]]
) -> None:
    bench = secc_bench(service=service, parameter_set=parameter_set).reach(first)
    opened = {"contactor_closed": False} if service.is_ac else {"contactors_closed": False}
    for kind, what in steps:
        closed = bench.machine.closed
        match kind:
            case "ask" if not (service.is_ac and what in DC_ONLY):
                response = bench.ask(bench.request(what))
                assert (response is None) is closed
            case "deliver":
                bench.deliver(what)
            case "end":
                bench.ask(bench.request(State.SESSION_STOP, ChargingSession=what))
            case "beside":
                payload = exi.encode(bench.request(what))
                answers = bench.feed(encode_frame(PayloadType.SCHEDULE_RENEGOTIATION, payload))
                assert len(answers) <= 1
            case "wait":
                bench.advance(what)
            case "update":
                bench.update()
            case "break":
                bench.update(**({"fault": "hot"} if what == "fault" else opened))
            case "mend":
                bench.update(fault=None, **dict.fromkeys(opened, True))
            case "tell":
                try:
                    bench.command(what)
                except LocalProtocolError:
                    continue
        assert_true_to_its_owner(bench)
    bench.advance(200.0)
    assert_true_to_its_owner(bench)
    assert bench.machine.closed
    assert bench.machine.next_deadline() is None
    assert bench.end.response_code is None or bench.end.response_code.upper().startswith("FAILED")
