"""The control cycle, the site's status and the control methods, with time in the test's hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pyiso15118 import events as ev
from v2g.clock import ManualClock
from v2g.config.schema import Config
from v2g.control import messages
from v2g.control.guard_words import block_words, operation_words
from v2g.control.server import Caller, Refused, Role
from v2g.grid.protection import Block
from v2g.grid.settings import Operation
from v2g.guard.status import Permit
from v2g.hardware.ports import DcEvseCommand
from v2g.orchestrator.api import Api
from v2g.orchestrator.cycle import ControlCycle
from v2g.orchestrator.site import Site
from v2g.orchestrator.status import Daemon
from v2g.sessions.supervisor import SessionInfo, Sessions
from v2g.telemetry import logs

ALICE = Caller(uid=1000, gid=1000, pid=1, user="alice", role=Role.OPERATOR)
E1, E2 = "US*V2G*E1", "US*V2G*E2"
LIMITS = ev.DcLimits(
    max_charge_power_w=20_000.0,
    max_charge_current_a=80.0,
    max_voltage_v=450.0,
    min_voltage_v=300.0,
    max_discharge_power_w=12_000.0,
    max_discharge_current_a=80.0,
)


class World:
    """A site with its cycle, fake devices, and vehicles that are events only."""

    def __init__(self, config: Config, wires: Any, guard: Any, log_of: Any, clock: ManualClock) -> None:
        self.clock, self.wires, self.guard = clock, wires, guard
        self.daemon, self.power_quality, self.comms = log_of(), log_of(), log_of()
        self.errors: list[str] = []
        self.site = Site(config, lambda evse_id, error: self.errors.append(f"{evse_id}: {error}"))
        self.sessions = Sessions(self.site.bays, self.comms, lambda *_: None, clock)
        self.fed = 0
        self.looping: set[str] = set()
        self.cycle = self.new_cycle()
        self.infos: dict[str, SessionInfo] = {}
        self.api = Api(
            self.site,
            self.infos.get,
            lambda: Daemon(started_at_s=clock.monotonic_s() - 5.0, ready=True, simulation=False),
            Path("/nonexistent/tick.sock"),
            clock,
        )

    def new_cycle(self) -> ControlCycle:
        return ControlCycle(
            self.site,
            self.sessions,
            self.wires,
            self.guard,
            self.clock,
            daemon=self.daemon,
            power_quality=self.power_quality,
            on_cycle=self._feed,
        )

    def _feed(self, now_s: float) -> None:
        self.fed += 1

    def run(self, cycles: int = 1) -> None:
        for _ in range(cycles):
            self.clock.advance(0.1)
            for evse_id in self.looping:
                self.tell(evse_id, self.loop_event())
            self.cycle.run_once()

    def tell(self, evse_id: str, event: ev.Event) -> None:
        procedure = self.site.bays[evse_id].procedure
        assert procedure is not None
        procedure.handle(event, self.clock.monotonic_s())

    def loop_event(self) -> ev.DcChargeLoopReceived:
        return ev.DcChargeLoopReceived(
            ev_present_voltage_v=400.0,
            limits=LIMITS,
            needs=ev.EnergyNeeds(),
            present_soc_pct=70,
            battery_capacity_wh=None,
        )

    def charge(self, evse_id: str) -> None:
        self.run(2)
        self.site.bays[evse_id].begin(self.clock.monotonic_s())
        self.infos[evse_id] = SessionInfo(
            evse_id=evse_id, evccid="WMIV1", identity="CN=WMIV1", peer="[::1]:5", started_at_s=self.clock.monotonic_s()
        )
        self.tell(evse_id, ev.SessionStarted(session_id=bytes(8), evccid="WMIV1", evse_id=evse_id))
        self.tell(evse_id, ev.VehicleLimitsReceived(limits=LIMITS))
        self.tell(evse_id, ev.CableCheckRequested())
        self.run(10)
        self.tell(evse_id, ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
        self.run(3)
        self.tell(evse_id, ev.PowerDeliveryStarted())
        self.looping.add(evse_id)
        self.run(2)
        assert self.site.bays[evse_id].procedure.charging, self.site.bays[evse_id].fault  # type: ignore[union-attr]

    def power(self, evse_id: str) -> float:
        return next(s.power_w for s in self.wires.sent[-1].inverters if s.evse_id == evse_id)

    async def discharge(self, power_w: float = 10_000.0, evse_id: str | None = None) -> messages.DispatchResult:
        params = messages.DispatchParams(mode="discharge", power_w=power_w, evse_id=evse_id)
        return await self.api.dispatch(params, ALICE)


@pytest.fixture
def world(config_of: Callable[..., Config], wires_of: Any, guard: Any, log_of: Any, clock: ManualClock) -> World:
    config = config_of(2)
    return World(config, wires_of((E1, E2), clock), guard, log_of, clock)


async def test_dispatch_answers_at_once_and_the_next_cycle_carries_it_out(world: World) -> None:
    world.charge(E1)
    result = await world.discharge()
    assert (result.requested_w, result.granted_w, result.duration_s) == (-10_000.0, -10_000.0, 900.0)
    assert [(g.evse_id, g.vehicle, g.power_w) for g in result.grants] == [(E1, "WMIV1", -10_000.0)]
    world.run()
    sent = world.wires.sent[-1]
    setpoint = next(s for s in sent.inverters if s.evse_id == E1)
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


def test_the_utility_may_dispatch_and_operators_cancel_and_reset(world: World) -> None:
    assert {method.name: method.role for method in world.api.methods()} == {
        "status": Role.VIEWER,
        "dispatch": Role.UTILITY,
        "cancel": Role.OPERATOR,
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
    world.guard.changes = {"permit": Permit.TRIPPED, "trip_element": "OF2", "trip_value": 62.5}
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
    # K = 1.5 of 5 kVA in reverse, and the kilowatt of base load: -8.5 kW.
    assert -8_500.5 < result.granted_w < -8_000.0
    assert world.power(E1) == pytest.approx(result.granted_w)
    (line,) = (tmp_path / "power_quality.log").read_text().splitlines()
    assert " WARNING: REVERSE_FLOW_DENIED discharge of order 1 cut by thermal" in line
    assert f"missing_w={10_000 + result.granted_w:.0f}" in line


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
    assert any("the V2G feeder measures 0.0 kW, its inverters report -10.0 kW" in p for p in status.problems)


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


async def test_status_tells_vehicle_identity_power_and_orders(world: World) -> None:
    world.charge(E1)
    await world.discharge(5_000.0, E1)
    world.run(3)
    status = world.api.snapshot()
    line = status.evses[0]
    assert line.session is not None
    assert (line.session.state, line.session.vehicle, line.session.identity) == ("discharging", "WMIV1", "CN=WMIV1")
    assert (line.power_w, line.setpoint_w, line.granted_w, line.session.soc_pct) == (-5_000.0, -5_000.0, -5_000.0, 70)
    assert status.evses[1].session is None
    assert [(o.order_id, o.mode, o.granted_w, o.evse_id, o.by) for o in status.orders] == [
        (1, "discharge", -5_000.0, E1, "alice")
    ]
    assert status.transformer.discharge_limit_w < -50_000.0 < 50_000.0 < status.transformer.charge_limit_w
    assert status.guard.permit == "granted"
    assert status.problems == ("v2g-guard tick runs without real-time priority: see its journal",)
    assert messages.to_builtins(status)["evses"][0]["evse_id"] == E1


def test_status_before_the_first_cycle_says_starting(world: World) -> None:
    status = world.api.snapshot()
    assert status.problems == ("starting: nothing measured yet",)
    assert not status.guard.tick_alive


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


async def test_a_discharge_that_runs_goes_on_outside_the_alarm_window(world: World) -> None:
    world.charge(E1)
    world.charge(E2)
    await world.discharge(5_000.0, E1)
    world.run(2)
    world.guard.changes = {"blocks": int(Block.NEW_DISCHARGE)}
    await world.discharge(5_000.0, E2)
    world.run(3)
    assert (world.power(E1), world.power(E2)) == (-5_000.0, 0.0)
    assert any(
        problem.startswith("no new discharge: the frequency is outside") for problem in world.api.snapshot().problems
    )


@pytest.mark.parametrize("block", [block for block in Block if block is not Block.NEW_DISCHARGE])
async def test_a_block_ends_a_discharge_in_the_next_cycle_and_is_a_problem_with_its_remedy(
    world: World, block: Block
) -> None:
    world.charge(E1)
    await world.discharge()
    world.run()
    world.guard.changes = {"blocks": int(block)}
    world.run()
    assert world.power(E1) == 0.0
    status = world.api.snapshot()
    words = block_words((block.name or "").lower())
    assert f"no discharge: {words.what}; {words.remedy}" in status.problems
    assert status.guard.blocks == ((block.name or "").lower(),)


def test_every_block_and_operation_has_words_of_its_own() -> None:
    for block in Block:
        name = (block.name or "").lower()
        assert block_words(name).what != name.replace("_", " ")
    assert all(" " in operation_words(operation.name.lower()) for operation in Operation if operation.value)
    assert operation_words("continuous") == ""


async def test_the_status_carries_what_the_guard_says(world: World) -> None:
    world.guard.changes = {
        "profile": "ieee1547-III",
        "operation": int(Operation.MANDATORY),
        "curtail_discharge": 0.5,
        "relay_closed": True,
        "mains_present": False,
        "rocof_hz_s": 0.3,
        "feeder_a": (10.0, 11.0, 12.0),
        "inverter_angle_deg": (0.1, None, 0.2),
    }
    world.run()
    guard = world.api.snapshot().guard
    assert (guard.profile, guard.operation, guard.curtail_discharge) == ("ieee1547-III", "mandatory", 0.5)
    assert (guard.relay_closed, guard.mains_present, guard.rocof_hz_s) == (True, False, 0.3)
    assert (guard.feeder_a, guard.inverter_angle_deg) == ((10.0, 11.0, 12.0), (0.1, None, 0.2))
    problems = world.api.snapshot().problems
    assert any("discharge is curtailed to 50 %" in problem for problem in problems)
    assert any("loss-of-mains input" in problem for problem in problems)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"permit": Permit.NO_SETTINGS}, "v2g-tool grid profiles"),
        ({"permit": Permit.PERMIT_OFF}, "v2g-control permit on"),
        ({"permit": Permit.RELAY_OPEN, "relay_closed": False}, "hardware relay is open"),
        ({"permit": Permit.BREAKER_FAILED}, "FAILED TO OPEN"),
        ({"permit": Permit.TESTING}, "relay test runs"),
        ({"permit": Permit.NOT_SYNCHRONOUS}, "not in step"),
        ({"permit": Permit.TRIPPED, "trip_element": "Phase Mismatch", "trip_value": 120.0}, "+120.0 degrees; when the"),
        ({"permit": Permit.TRIPPED, "trip_element": "LOM"}, "tripped by LOM; once the upstream switch is closed"),
        ({"permit": Permit.TRIPPED, "trip_element": "51 feeder", "trip_value": 180.2}, "51 feeder at 180 A"),
    ],
)
async def test_each_reason_without_permit_names_its_remedy(world: World, changes: Any, words: str) -> None:
    world.guard.changes = changes
    world.run()
    assert words in world.api.snapshot().problems[0]


async def test_an_inverter_without_islanding_detection_is_a_problem_with_its_remedy(world: World) -> None:
    world.charge(E1)
    world.wires.inverters[E1]["anti_islanding"] = False
    world.run()
    result = await world.discharge()
    world.run(2)
    assert (world.power(E1), result.granted_w) == (0.0, 0.0)
    assert any(problem.startswith(f"{E1}: no discharge: no loss-of-mains") for problem in world.api.snapshot().problems)
