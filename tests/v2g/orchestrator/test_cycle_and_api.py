"""The control cycle and the control methods, with time in the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pyiso15118 import events as ev
from support.control_world import ALICE, E1, E2, World
from v2g.clock import ManualClock
from v2g.config.schema import Config
from v2g.control import messages
from v2g.control.server import Refused, Role
from v2g.guard.status import Permit
from v2g.hardware.ports import DcEvseCommand
from v2g.telemetry import logs
from v2g.thermal.limits import Regime
from v2g.units import format_power


async def test_dispatch_answers_at_once_and_the_next_cycle_carries_it_out(world: World) -> None:
    world.charge(E1)
    result = await world.discharge()
    assert (result.requested_w, result.granted_w, result.duration_s) == (-10_000.0, -10_000.0, 900.0)
    assert [(g.evse_id, g.vehicle, g.power_w) for g in result.grants] == [(E1, "WMIV1", -10_000.0)]
    world.run()
    sent = world.wires.sent[-1]
    setpoint = next(s for s in sent.powers if s.evse_id == E1)
    assert (setpoint.power_w, setpoint.source) == (-10_000.0, "order 1 by alice")
    assert setpoint.expires_at_s == pytest.approx(sent.sent_at_s + 1.0)
    assert world.power(E2) == 0.0


async def test_order_is_shared_in_proportion_and_shortfall_is_named(world: World) -> None:
    world.charge(E1)
    world.charge(E2)
    result = await world.discharge(30_000.0)
    # Twice 12 kW from the vehicles, at an efficiency of 0.97.
    assert result.granted_w == pytest.approx(-23_280.0)
    assert {(line.code, line.source) for line in result.shortfalls} == {("VEHICLE_LIMIT", "vehicle power limit")}
    assert sum(line.missing_w for line in result.shortfalls) == pytest.approx(6_720.0)


async def test_without_a_vehicle_nothing_is_granted_and_the_order_stands(world: World) -> None:
    world.run(2)
    result = await world.discharge()
    assert result.granted_w == 0.0
    assert result.shortfalls[0].code == "NO_VEHICLE"
    world.charge(E1)
    assert world.power(E1) == -10_000.0


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (messages.DispatchParams(mode="export", power_w=1.0), "BAD_ORDER"),
        (messages.DispatchParams(mode="discharge", power_w=-5.0), "BAD_ORDER"),
        (messages.DispatchParams(mode="discharge", power_w=5.0, duration_s=0.0), "BAD_ORDER"),
        (messages.DispatchParams(mode="charge", power_w=5.0, evse_id="US*V2G*E9"), "UNKNOWN_EVSE"),
    ],
)
async def test_orders_that_make_no_sense_are_refused(world: World, params: messages.DispatchParams, code: str) -> None:
    world.run()
    with pytest.raises(Refused) as refused:
        await world.api.dispatch(params, ALICE)
    assert refused.value.code == code


async def test_orders_before_the_first_measurement_and_during_a_stop_are_refused(world: World) -> None:
    with pytest.raises(Refused, match="starting"):
        await world.discharge()
    world.run()
    world.site.stopping = True
    with pytest.raises(Refused, match="stopping"):
        await world.discharge()


async def test_cancel_ends_the_power_and_an_unknown_order_is_refused(world: World) -> None:
    world.charge(E1)
    result = await world.discharge()
    world.run()
    assert world.power(E1) == -10_000.0
    cancelled = await world.api.cancel(messages.CancelParams(order_id=result.order_id), ALICE)
    assert cancelled.cancelled == (1,)
    world.run()
    assert world.power(E1) == 0.0
    with pytest.raises(Refused, match="no order 1"):
        await world.api.cancel(messages.CancelParams(order_id=1), ALICE)


async def test_the_utility_takes_back_its_own_orders_and_no_others(world: World) -> None:
    utility = replace(ALICE, uid=1001, user="grid", role=Role.UTILITY)
    world.charge(E1)
    world.run()
    theirs = await world.api.dispatch(messages.DispatchParams(mode="charge", power_w=1.0, evse_id=E1), ALICE)
    own = await world.api.dispatch(messages.DispatchParams(mode="charge", power_w=1.0, evse_id=E2), utility)
    with pytest.raises(Refused, match="is alice's, and grid may cancel only his own") as refused:
        await world.api.cancel(messages.CancelParams(order_id=theirs.order_id), utility)
    assert refused.value.code == "NOT_PERMITTED"
    with pytest.raises(Refused, match="no order 99"):
        await world.api.cancel(messages.CancelParams(order_id=99), utility)
    assert (await world.api.cancel(messages.CancelParams(), utility)).cancelled == (own.order_id,)
    assert (await world.api.cancel(messages.CancelParams(), utility)).cancelled == ()
    assert (await world.api.cancel(messages.CancelParams(), ALICE)).cancelled == (theirs.order_id,)


def test_the_utility_may_dispatch_and_operators_reset(world: World) -> None:
    assert {method.name: method.role for method in world.api.methods()} == {
        "status": Role.VIEWER,
        "dispatch": Role.UTILITY,
        "cancel": Role.UTILITY,
        "trip.reset": Role.OPERATOR,
    }


async def test_trip_reset_without_a_guard_is_refused_in_words(world: World) -> None:
    world.run()
    with pytest.raises(Refused) as refused:
        await world.api.reset_trip(messages.NoParams(), ALICE)
    assert refused.value.code == "GUARD_UNREACHABLE"


async def test_lost_permit_means_zero_in_the_next_cycle_and_recovers(world: World) -> None:
    world.charge(E1)
    await world.discharge()
    world.run()
    world.guard.changes = {"permit": Permit.TRIPPED, "trip_element": "OF2", "trip_value": 62.5, "trip_unit": "Hz"}
    world.run()
    assert world.power(E1) == 0.0
    status = world.api.snapshot()
    assert status.guard.permit == "tripped"
    assert "tripped by OF2 at 62.5" in status.problems[0]
    world.guard.changes = {}
    world.run()
    assert world.power(E1) == -10_000.0
    assert [code for code in world.daemon.codes() if "PERMIT" in code][-3:] == [
        "PERMIT_GRANTED",
        "NO_PERMIT",
        "PERMIT_GRANTED",
    ]


async def test_lost_wires_link_means_zero_says_so_and_recovers_by_itself(world: World) -> None:
    world.charge(E1)
    await world.discharge()
    world.run()
    assert world.power(E1) == -10_000.0
    world.wires.frozen = world.wires.image
    world.run(7)
    assert world.power(E1) == 0.0
    assert "is 0.7 s old" in world.api.snapshot().problems[0]
    world.wires.frozen = None
    world.run()
    assert world.power(E1) == -10_000.0


async def test_a_link_that_comes_back_within_a_second_ends_no_session(world: World) -> None:
    world.charge(E1)
    await world.discharge()
    world.run()
    world.wires.connected = False
    world.run(5)
    assert world.site.steps[E1].power_w == 0.0
    assert "link to v2g-guard wires is down" in world.api.snapshot().problems[0]
    world.wires.connected = True
    world.run()
    assert world.power(E1) == -10_000.0


async def test_link_that_stays_lost_faults_the_session_and_says_why(world: World) -> None:
    world.charge(E1)
    await world.discharge()
    world.wires.frozen = world.wires.image
    world.run(15)
    bay = world.site.bays[E1]
    assert "the DC output stage's last reading is 1.0 s old" in str(bay.fault)
    world.wires.frozen = None
    world.run(20)
    assert world.power(E1) == 0.0
    assert any(E1 in problem and "1.0 s old" in problem for problem in world.api.snapshot().problems)


async def test_an_inverter_without_reversion_is_granted_no_discharge_and_the_other_takes_its_part(world: World) -> None:
    world.charge(E1)
    world.charge(E2)
    world.wires.inverters[E1]["reversion_armed"] = False
    world.run(2)
    result = await world.discharge(8_000.0)
    assert {grant.evse_id: grant.power_w for grant in result.grants} == {E1: 0.0, E2: -8_000.0}
    assert world.api.snapshot().problems[0].startswith(f"{E1}: no discharge: the inverter's own reversion to zero")
    result = await world.discharge(8_000.0, E1)
    assert [(line.code, line.evse_id) for line in result.shortfalls] == [("NO_REVERSION", E1)]


async def test_reverse_flow_denied_is_written_once_and_not_every_cycle(world: World) -> None:
    world.guard.changes = {"transformer_w": -500_000.0, "transformer_va": 500_000.0}
    world.charge(E1)
    result = await world.discharge()
    assert result.granted_w == 0.0
    assert result.shortfalls[0].code == "REVERSE_FLOW_DENIED"
    world.run(50)
    assert world.power_quality.codes() == ["REVERSE_FLOW_DENIED"]
    assert "order 1" in world.power_quality.lines[0][2]


async def test_charge_that_is_denied_is_written_likewise(world: World) -> None:
    world.guard.changes = {"transformer_w": 500_000.0, "transformer_va": 500_000.0}
    world.charge(E1)
    result = await world.api.dispatch(messages.DispatchParams(mode="charge", power_w=5_000.0), ALICE)
    assert result.granted_w == 0.0
    world.run(50)
    assert world.power_quality.codes() == ["FORWARD_FLOW_DENIED"]
    assert world.power_quality.lines[0][2].startswith("charge of order 1 cut by 5.00 kW: ")


async def test_a_regime_that_ends_by_itself_is_written(world: World) -> None:
    world.run(20)
    moment = world.site.thermal_clock.moment(world.clock.monotonic_s())
    world.site.model.authorisation.authorise(Regime.LONG_TIME_EMERGENCY, "anna", 30.0, moment.thermal_s)
    world.run(400)
    lines = [text for code, text in world.daemon.said if code == "LOADING_REGIME"]
    assert lines == ["long-time emergency loading, authorised by anna", "normal cyclic loading"]


async def test_what_a_small_transformer_denies_stands_in_power_quality_log(
    tmp_path: Path, config_of: Callable[..., Config], wires_of: Any, guard: Any, log_of: Any, clock: ManualClock
) -> None:
    config = config_of(2)
    small = msgspec.structs.replace(config.transformer, rated_kva=5.0)
    world = World(msgspec.structs.replace(config, transformer=small), wires_of((E1, E2), clock), guard, log_of, clock)
    world.power_quality = logs.power_quality_log()
    world.cycle = world.new_cycle()
    guard.changes = {"transformer_w": 1_000.0, "transformer_va": 1_000.0}
    logs.configure(tmp_path, stderr=False)
    try:
        world.charge(E1)
        result = await world.discharge()
        world.run(3)
    finally:
        logs.close()
    # K = 1 of 5 kVA in reverse, at which the guard curtails, and the kilowatt of base load.
    missing_w = 10_000 + result.granted_w
    assert result.shortfalls[0].words.startswith("more would take the load beyond its limit")
    assert result.granted_w == pytest.approx(-6_000.0)
    assert world.power(E1) == pytest.approx(result.granted_w)
    (line,) = (tmp_path / "power_quality.log").read_text().splitlines()
    assert (
        f" WARNING: REVERSE_FLOW_DENIED discharge of order 1 cut by {format_power(missing_w)}: more would take" in line
    )
    assert "; discharge up to 6.0" in line
    assert f"missing_w={missing_w:.0f}" in line


async def test_an_error_in_one_bay_leaves_the_other_served(world: World) -> None:
    world.charge(E1)
    world.charge(E2)
    await world.discharge(10_000.0)
    bay: Any = world.site.bays[E1]
    bay.step = lambda *_: 1 / 0
    world.run(3)
    assert world.power(E1) == 0.0
    assert world.power(E2) == -10_000.0
    assert world.errors[0].startswith(E1)
    # Its contactors open, its connector does not: the cable is under voltage still.
    command = next(setpoint.command for setpoint in world.wires.sent[-1].evses if setpoint.evse_id == E1)
    assert command == DcEvseCommand(lock_connector=True)


async def test_a_feeder_that_contradicts_the_inverters_ends_in_zero_power_and_says_why(world: World) -> None:
    world.charge(E1)
    await world.discharge(10_000.0)
    world.guard.changes["feeder_w"] = 0.0
    world.run(140)
    assert world.power(E1) == -10_000.0
    world.run(30)
    assert world.power(E1) == 0.0
    world.run(100)
    assert world.power(E1) == 0.0
    status = await world.api.status(messages.NoParams(), ALICE)
    assert any("the V2G feeder measures 0.0 kW, its EVSEs report -10.0 kW" in p for p in status.problems)


async def test_an_inverter_that_is_in_doubt_itself_does_not_put_the_feeder_in_doubt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.charge(E1)
    await world.discharge(10_000.0)
    bay_type = type(world.site.bays[E1])
    monkeypatch.setattr(
        bay_type, "fault", property(lambda bay: "power contradicts" if bay is world.site.bays[E1] else None)
    )
    world.guard.changes["feeder_w"] = 0.0
    world.run(300)
    assert world.site.image is not None
    assert not any("feeder" in note for note in world.site.image.transformer.notes)


def test_a_transducer_that_left_the_image_is_lost_at_once(world: World) -> None:
    world.run(3)
    image = world.wires.image
    now_s = world.clock.monotonic_s()
    guard = world.guard.read(now_s)
    world.site.observe(image, True, guard, now_s)
    without = msgspec.structs.replace(image, as_of_s=now_s + 1.0, transducers=())
    later = world.site.observe(without, True, world.guard.read(now_s + 1.1), now_s + 1.1)
    assert any("no top-oil temperature" in note for note in later.transformer.notes)
    assert any("no ambient temperature" in note for note in later.transformer.notes)


async def test_a_cycle_that_fails_sends_nothing_and_does_not_feed_the_watchdog(world: World) -> None:
    world.run(3)
    fed, sent = world.fed, len(world.wires.sent)
    site: Any = world.site
    decide, site.decide = site.decide, lambda now_s: 1 / 0
    world.run(3)
    assert (world.fed, len(world.wires.sent)) == (fed, sent)
    assert "CYCLE_FAILED" in world.daemon.codes()
    site.decide = decide
    world.run()
    assert world.fed == fed + 1


async def waits(world: World, since_s: float) -> bool:
    """Whoever asks now is kept waiting, and no longer than for the next cycle."""
    asked = asyncio.ensure_future(world.cycle.caught_up(since_s))
    await asyncio.sleep(0)
    waited = not asked.done()
    world.cycle.run_once()
    await asyncio.wait_for(asked, 0.5)
    return waited


async def test_who_asks_while_a_cycle_is_overdue_waits_for_it(world: World) -> None:
    long_ago_s = world.clock.monotonic_s()
    world.run()
    world.clock.advance(0.09)
    assert not await waits(world, long_ago_s)
    world.clock.advance(0.2)
    assert await waits(world, long_ago_s)


async def test_who_asks_after_a_change_waits_for_a_cycle_that_knows_of_it(world: World) -> None:
    world.run()
    world.clock.advance(0.01)
    changed_at_s = world.clock.monotonic_s()
    world.clock.advance(0.01)
    assert await waits(world, changed_at_s)
    assert not await waits(world, changed_at_s)


async def test_a_cycle_that_failed_keeps_nobody_waiting_either(world: World) -> None:
    world.run()
    world.clock.advance(0.3)
    site: Any = world.site
    site.decide = lambda now_s: 1 / 0
    assert await waits(world, 0.0)
    assert world.daemon.codes()[-1] == "CYCLE_FAILED"


async def test_nobody_waits_for_the_cycle_of_a_controller_that_has_not_begun_or_has_ended(world: World) -> None:
    cycle = world.new_cycle()
    await asyncio.wait_for(cycle.caught_up(0.0), 0.5)
    running = asyncio.ensure_future(cycle.run())
    await asyncio.sleep(0)
    world.clock.advance(0.3)
    asked = asyncio.ensure_future(cycle.caught_up(0.0))
    await asyncio.sleep(0)
    assert not asked.done()
    running.cancel()
    await asyncio.wait_for(asked, 0.5)
    await asyncio.wait_for(cycle.caught_up(world.clock.monotonic_s()), 0.5)


class ScriptedConnection:
    """A connection whose events are given; commands are kept, some are refused."""

    def __init__(self, *script: ev.Event, refuse: bool = False) -> None:
        self.peer_identity = SimpleNamespace(subject="CN=WMIV1")
        self.peer_address = "[::1]:4711"
        self.aborted: list[str] = []
        self._script = script
        self._refuse = refuse

    def command(self, command: Any) -> None:
        if self._refuse:
            raise RuntimeError("bug")

    async def events(self) -> Any:
        for event in self._script:
            yield event

    def abort(self, reason: str) -> None:
        self.aborted.append(reason)


STARTED = ev.SessionStarted(session_id=bytes(8), evccid="WMIV1", evse_id=E1)


@pytest.mark.parametrize(
    ("reason", "level"),
    [
        (ev.EndReason.STOPPED, "INFO"),
        (ev.EndReason.TIMEOUT_SECC, "ERROR"),
        (ev.EndReason.PROTOCOL_ERROR, "ERROR"),
        (ev.EndReason.FAILED_BY_US, "ERROR"),
        (ev.EndReason.ABORTED, "WARNING"),
    ],
)
async def test_end_of_a_session_is_told_by_its_code_and_vehicle(world: World, reason: ev.EndReason, level: str) -> None:
    world.run(2)
    await world.sessions.serve(E1, ScriptedConnection(STARTED, ev.SessionEnded(reason=reason, detail="why")))
    found = [line for line in world.comms.lines if line[1] == reason.value]
    assert [line[0] for line in found] == [level]
    assert f"{E1} / WMIV1 / CN=WMIV1 (authenticated): why" in found[0][2]
    assert world.site.bays[E1].procedure is None
    assert world.sessions.count == 0


async def test_an_error_of_ours_aborts_that_session_only(world: World) -> None:
    world.run(2)
    connection = ScriptedConnection(STARTED, ev.AuthorizationRequested(), refuse=True)
    await world.sessions.serve(E1, connection)
    assert connection.aborted == ["internal error: bug"]
    assert world.site.bays[E1].procedure is None


async def test_a_vehicle_that_came_after_the_last_cycle_is_no_absent_one(world: World) -> None:
    world.charge(E1)
    world.run(2)
    world.charge(E2, cycles=0)
    result = await world.discharge(8_000.0)
    assert {grant.evse_id for grant in result.grants} == {E1, E2}
    assert result.granted_w == -8_000.0
