"""Whatever both owners want in whatever order, both sides come to an orderly end and no energy is left on."""

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyiso15118.commands import (
    EnterStandby,
    LeaveStandby,
    PauseCharging,
    RenegotiateSchedule,
    RenegotiateService,
    StopCharging,
)
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import BptChannel, ControlMode, EndReason, EnergyService
from pyiso15118.messages import common_types as ct
from support.examples import examples

COMMANDS = [
    StopCharging(),
    PauseCharging(),
    EnterStandby(),
    LeaveStandby(),
    RenegotiateSchedule(),
    RenegotiateService(),
]
ACTS = st.sampled_from([*COMMANDS, *ct.evseNotificationType, None])
MOMENTS = st.lists(st.tuples(st.integers(0, 40), ACTS), max_size=8)
SERVICES = st.sampled_from([EnergyService.DC_BPT, EnergyService.AC_BPT])
ORDERLY = {EndReason.STOPPED, EndReason.PAUSED}


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    service=SERVICES,
    mode=st.sampled_from(ControlMode),
    channel=st.sampled_from(BptChannel),
    standby=st.booleans(),
    delay_s=st.sampled_from([0.0, 0.15, 0.4]),
    moments=MOMENTS,
)
def test_every_interleaving_ends_in_order_on_both_sides(
    pair: Any, station: Any, service: Any, mode: Any, channel: Any, standby: bool, delay_s: float, moments: Any
) -> None:
    session = pair(
        station(standby_allowed=standby, delay_s=delay_s),
        services=(service,),
        control_modes=(mode,),
        bpt_channels=(channel,),
        loops=10_000,
    )
    for steps, act in moments:
        left = [steps]

        def counted(left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] < 0

        session.run(max_s=20.0, stop=counted)
        if act is None or isinstance(act, ct.evseNotificationType):
            session.station.update(notification=act)
        else:
            with suppress(LocalProtocolError):
                session.command(act)
    session.run(max_s=3.0)
    session.station.update(notification=None)
    session.command(StopCharging())
    session.run(max_s=100.0)
    session.check_ended_well()
    if session.end.reason is EndReason.ABORTED:
        assert "SessionStopReq" not in session.sent, "the vehicle left before there was a session"
    else:
        assert session.end.reason in ORDERLY, session.end
        assert session.secc_end.reason is session.end.reason
    assert (session.machine.paused is not None) is (session.end.reason is EndReason.PAUSED)
