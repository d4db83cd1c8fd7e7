"""Whatever owner and EVSE want in whatever order, the end is orderly and no energy is left on."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyiso15118.commands import (
    EnterStandby,
    LeaveStandby,
    PauseCharging,
    RenegotiateSchedule,
    RenegotiateService,
    SelectSchedule,
    StopCharging,
    UpdateDcVehicle,
)
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import ChargingStarted, ChargingStopped, ControlMode, EndReason, EnergyService, SessionEnded
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import PowerProfile, PowerSlot
from support.examples import examples

PLAN = PowerProfile(
    starts_at_unix_s=1_700_001_000, slots=(PowerSlot(duration_s=900, power_w=3_000.0),), selected_tuple_id=1
)
COMMANDS = [
    StopCharging(),
    PauseCharging(),
    EnterStandby(),
    LeaveStandby(),
    RenegotiateSchedule(),
    RenegotiateService(),
    SelectSchedule(profile=PLAN),
]
ACTS = st.sampled_from([*COMMANDS, *ct.evseNotificationType, None, "discharge"])
MOMENTS = st.lists(st.tuples(st.integers(0, 12), ACTS), max_size=10)
SERVICES = st.sampled_from([EnergyService.DC_BPT, EnergyService.AC_BPT, EnergyService.DC])


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(service=SERVICES, mode=st.sampled_from(ControlMode), moments=MOMENTS, select=st.booleans())
def test_every_interleaving_ends_in_order(
    bench: Any, evse: Any, vehicle: UpdateDcVehicle, service: Any, mode: Any, moments: Any, select: bool
) -> None:
    session = bench(evse((service,), mode), services=(service,), loops=10_000, select_schedules=select)
    session.start()
    for steps, act in moments:
        left = [steps]

        def counted(left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] < 0

        session.run(max_s=20.0, stop=counted)
        if act == "discharge":
            session.command(replace(vehicle, target_current_a=-5.0))
        elif act is None or isinstance(act, ct.evseNotificationType):
            session.evse.notification = act
        else:
            with suppress(LocalProtocolError):
                session.command(act)
    session.run(max_s=3.0)
    session.evse.notification = None
    session.command(StopCharging())
    session.run(max_s=100.0)
    assert session.machine.closed
    energy = [e for e in session.events if isinstance(e, ChargingStarted | ChargingStopped)]
    assert not energy or isinstance(energy[-1], ChargingStopped)
    assert isinstance(session.events[-1], SessionEnded)
    assert session.end.reason in (EndReason.STOPPED, EndReason.PAUSED, EndReason.ABORTED), session.end
    assert (session.end.reason is EndReason.ABORTED) is ("SessionStopReq" not in session.sent)
    assert (session.machine.paused is not None) is (session.end.reason is EndReason.PAUSED)
    for progress in session.requests("PowerDeliveryReq"):
        assert progress.EVPowerProfile is not None or (progress.ChargeProgress, progress.EVProcessing) != (
            "Start",
            "Finished",
        )
