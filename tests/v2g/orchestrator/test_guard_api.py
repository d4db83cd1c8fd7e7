"""Permit, grid settings, calibration and relay test over the control socket's handlers, with a guard of a few lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.config_dir import write_config
from v2g.clock import ManualClock, SystemClock
from v2g.config.loader import load
from v2g.config.protection import settings_digest
from v2g.control import messages
from v2g.control.server import Caller, Refused, Role
from v2g.dispatch.orders import Allocation, Grant
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.tick_commands import CommandError, CommandReply
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.decide import Decision
from v2g.orchestrator.guard_api import GuardApi
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.site import Site
from v2g.orchestrator.thermal_clock import ThermalClock

ANNA = Caller(uid=1000, gid=1000, pid=1, user="anna", role=Role.ENGINEER)
E1 = "US*V2G*E1"
MAIN = {
    "site": {"id": "s1"},
    "transformer": {"id": "T1", "rated_kva": 250},
    "grid": {"nominal_voltage_v": 277},
    "relay": {"setting_pu": 1.1, "delay_s": 14.0, "feedback_path": "/run/v2g/relay"},
    "evses": [
        {
            "id": E1,
            "kind": "DC",
            "interface": "evse1",
            "inverter": {"modbus": {"host": "10.0.0.1"}},
            "dc": {"modbus": {"host": "10.0.1.1"}},
        }
    ],
}
GRANTED = {
    "permit": Permit.GRANTED,
    "breaker_commanded_closed": True,
    "breaker_closed": True,
    "measured": True,
    "v_pu": (1.0, 1.0, 1.0),
    "inverter_v_pu": (1.0, 1.0, 1.0),
    "relay_closed": True,
}


class Tick:
    """Adopts what the configuration says, measures ``angles`` less nothing, and is as stubborn as it is told to be."""

    def __init__(self, config_dir: Path, clock: Any) -> None:
        self.config_dir, self.clock = config_dir, clock
        self.commands: list[tuple[str, str, bool, str]] = []
        self.changes: dict[str, Any] = {}
        self.angles: list[tuple[float, float, float]] = []
        self.spread_deg = 0.1
        self.refuses: dict[str, str] = {}
        self.unreachable = False
        self.answers_digest: str | None = None
        self.shows_digest: str | None = None
        self.digest = self.configured()

    def configured(self) -> str:
        loaded = load(self.config_dir)
        return settings_digest(loaded.config, loaded.sensors)

    def __call__(
        self, command: str, by: str, /, *, enabled: bool = True, evse_id: str = "", name: str = "", note: str = ""
    ) -> CommandReply:
        self.commands.append((command, by, enabled, evse_id))
        if self.unreachable:
            raise CommandError("v2g-guard tick is not reachable on tick.sock")
        if command in self.refuses:
            return CommandReply(accepted=False, message=self.refuses[command])
        if command == "adopt_settings":
            self.digest = self.configured()
            return CommandReply(accepted=True, message="", digest=self.answers_digest or self.digest)
        if command == "measure_phase":
            angle = self.angles.pop(0) if len(self.angles) > 1 else self.angles[0]
            return CommandReply(accepted=True, message="", angle_deg=angle, spread_deg=self.spread_deg)
        return CommandReply(accepted=True, message="")

    def read(self, now_s: float) -> GuardStatus:
        fields = {"as_of_s": now_s, "settings_digest": self.shows_digest or self.digest, **GRANTED, **self.changes}
        return GuardStatus(**fields)

    @property
    def names(self) -> list[str]:
        return [name for name, *_ in self.commands]


class World:
    def __init__(self, folder: Path, clock: Any, main: dict[str, Any] = MAIN) -> None:
        self.config_dir, self.state_dir = folder / "etc", folder / "state"
        write_config(self.config_dir, main)
        self.state_dir.mkdir()
        self.clock = clock
        thermal_clock = ThermalClock(clock, SiteZone("UTC"))
        self.site = Site(load(self.config_dir).config, thermal_clock, lambda *_: None)
        self.tick = Tick(self.config_dir, clock)
        self.audited: list[tuple[str, dict[str, Any]]] = []
        self.changes = Changes()
        self.api = GuardApi(
            self.site, self.tick, self.tick, self.config_dir, self.state_dir, clock, self._audit, self.changes
        )  # fmt: skip

    def _audit(self, code: str, message: str, /, **fields: Any) -> None:
        self.audited.append((code, fields))

    def dropin(self, name: str) -> Any:
        file = self.config_dir / "conf.d" / name
        return yaml.safe_load(file.read_text()) if file.exists() else None

    async def adjust(self, confirm: bool = False, **changes: Any) -> messages.GridSettingsResult:
        params = messages.GridAdjustParams(
            changes={name.replace("__", "."): value for name, value in changes.items()}, confirm_unverified=confirm
        )
        return await self.api.adjust(params, ANNA)

    async def calibrate(
        self, evse_id: str | None = None, acknowledge: str = "Eva Qualm"
    ) -> messages.PllCalibrateResult:
        params = messages.PllCalibrateParams(evse_id=evse_id, acknowledge=acknowledge)
        return await self.api.calibrate(params, ANNA)

    async def relay(self, step: str, **more: Any) -> messages.RelayTestResult:
        method = next(m for m in self.api.methods() if m.name == "relay.test")
        params = messages.RelayTestParams(**{"step": step, "acknowledge": "Eva Qualm", **more})
        return await method.handler(params, ANNA)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, ManualClock())


def test_engineers_change_operators_switch_viewers_look(world: World) -> None:
    assert {method.name: method.role for method in world.api.methods()} == {
        "permit.service": Role.OPERATOR,
        "grid.settings": Role.VIEWER,
        "grid.adjust": Role.ENGINEER,
        "pll.calibrate": Role.ENGINEER,
        "relay.test": Role.ENGINEER,
    }


@pytest.mark.parametrize("enabled", [True, False])
async def test_permit_service_goes_to_the_guard_with_the_caller_s_name(world: World, enabled: bool) -> None:
    result = await world.api.permit_service(messages.PermitServiceParams(enabled=enabled), ANNA)
    assert result.enabled is enabled
    assert world.tick.commands == [("permit_service", "anna", enabled, "")]


async def test_a_guard_that_refuses_or_is_silent_is_quoted(world: World) -> None:
    world.tick.refuses["permit_service"] = "cannot be kept"
    with pytest.raises(Refused, match="cannot be kept") as refused:
        await world.api.permit_service(messages.PermitServiceParams(enabled=False), ANNA)
    assert refused.value.code == "PERMIT_NOT_SET"
    world.tick.unreachable = True
    with pytest.raises(Refused, match="not reachable") as refused:
        await world.api.permit_service(messages.PermitServiceParams(enabled=False), ANNA)
    assert refused.value.code == "GUARD_UNREACHABLE"


async def test_settings_show_elements_with_ranges_clauses_and_that_they_are_in_force(world: World) -> None:
    result = await world.api.grid_settings(messages.NoParams(), ANNA)
    assert (result.profile, result.verified, result.problem) == ("ieee1547-III", True, "")
    assert result.digest == result.in_force != ""
    ov1 = next(line for line in result.elements if line.element == "OV1")
    assert (ov1.threshold, ov1.time_s, ov1.time_range_s) == (1.10, 13.0, (1.0, 13.0))
    assert "Table" in ov1.clause
    assert result.relay == {"setting_pu": 1.1, "delay_s": 14.0, "feedback_path": "/run/v2g/relay", "closed": True}
    assert "ieee1547-III" in result.profiles
    assert "simulation*" in result.profiles


async def test_settings_of_a_site_without_a_profile_say_what_is_missing(tmp_path: Path) -> None:
    at_50_hz = {**MAIN, "grid": {"nominal_voltage_v": 230, "nominal_frequency_hz": 50}}
    result = await World(tmp_path, ManualClock(), at_50_hz).api.grid_settings(messages.NoParams(), ANNA)
    assert "grid.profile" in result.problem
    assert result.elements == ()


async def test_an_adjustment_is_written_adopted_and_read_back(world: World) -> None:
    before = world.tick.digest
    result = await world.adjust(trips__OV1__time_s=5.0, enter_service__delay_s=60.0)
    assert world.dropin("90-operator.yaml") == {
        "grid": {"trips": {"OV1": {"time_s": 5.0}}, "enter_service": {"delay_s": 60.0}}
    }
    assert world.tick.names == ["adopt_settings"]
    assert result.digest == result.in_force == world.tick.digest != before
    assert any("OV1.time_s 13 -> 5" in text for text in result.adjusted)


async def test_none_takes_a_setting_back(world: World) -> None:
    before = world.tick.digest
    await world.adjust(trips__OV1__time_s=5.0)
    result = await world.adjust(trips__OV1__time_s=None)
    assert world.dropin("90-operator.yaml") == {}
    assert result.in_force == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trips__OV1__time_s": 50.0}, "range of adjustability of 1 to 13 s"),
        ({"trips__OV9__time_s": 5.0}, "OV9"),
        ({"trips__OV1__time_s": "soon"}, "OV1"),
        ({"profile": "ieee1547-IV"}, "no known profile"),
        ({"profile": "g99"}, "50 Hz"),
        ({"nominal_frequency_hz": 50.0}, "no grid setting that can be adjusted here"),
        ({"confirm_unverified": True}, "no grid setting that can be adjusted here"),
        ({}, "nothing to change"),
    ],
)
async def test_what_the_configuration_does_not_permit_changes_nothing(world: World, changes: Any, words: str) -> None:
    await world.adjust(trips__UV1__time_s=30.0)
    world.tick.commands.clear()
    with pytest.raises(Refused, match=words):
        await world.adjust(**changes)
    assert world.dropin("90-operator.yaml") == {"grid": {"trips": {"UV1": {"time_s": 30.0}}}}
    assert world.tick.commands == []


async def test_an_unverified_profile_needs_a_confirmation_that_is_written(world: World) -> None:
    with pytest.raises(Refused, match="confirm-unverified") as refused:
        await world.adjust(profile="simulation")
    assert refused.value.code == "UNCONFIRMED"
    assert world.dropin("90-operator.yaml") is None
    result = await world.adjust(True, profile="simulation")
    assert world.dropin("90-operator.yaml") == {"grid": {"profile": "simulation", "confirm_unverified": True}}
    assert (result.profile, result.verified, result.confirmed) == ("simulation", False, True)


async def test_a_confirmation_does_not_outlive_its_profile(world: World) -> None:
    await world.adjust(True, profile="simulation")
    await world.adjust(profile="ieee1547-II")
    assert world.dropin("90-operator.yaml")["grid"]["confirm_unverified"] is False
    with pytest.raises(Refused, match="confirm"):
        await world.adjust(profile="simulation")


@pytest.mark.parametrize("fault", ["refuses", "answers", "shows", "unreachable"])
async def test_what_the_guard_does_not_adopt_is_taken_back(tmp_path: Path, fault: str) -> None:
    world = World(tmp_path, SystemClock() if fault != "shows" else _Hasty())
    before = world.tick.digest
    if fault == "refuses":
        world.tick.refuses["adopt_settings"] = "the breaker is too slow"
    elif fault == "answers":
        world.tick.answers_digest = "deadbeef"
    elif fault == "shows":
        world.tick.shows_digest = before
    else:
        world.tick.unreachable = True
    with pytest.raises(Refused) as refused:
        await world.adjust(trips__OV1__time_s=5.0)
    assert refused.value.code == ("GUARD_UNREACHABLE" if fault == "unreachable" else "SETTINGS_REFUSED")
    assert world.dropin("90-operator.yaml") is None
    assert world.tick.digest == before


class _Hasty(SystemClock):
    """Seconds that pass with every look."""

    def __init__(self) -> None:
        self._now_s = 1000.0

    def monotonic_s(self) -> float:
        self._now_s += 0.1
        return self._now_s


async def test_two_changes_at_a_time_are_refused(world: World) -> None:
    first = asyncio.ensure_future(world.adjust(trips__OV1__time_s=5.0))
    await asyncio.sleep(0)
    with pytest.raises(Refused) as refused:
        await world.adjust(trips__OV1__time_s=6.0)
    assert refused.value.code == "BUSY"
    assert (await first).in_force == world.tick.digest


async def test_a_change_is_finished_although_whoever_asked_has_given_up(world: World) -> None:
    asked = asyncio.ensure_future(world.adjust(trips__OV1__time_s=5.0))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await world.changes.close()
    assert world.dropin("90-operator.yaml") == {"grid": {"trips": {"OV1": {"time_s": 5.0}}}}
    assert world.tick.digest == world.tick.configured()


async def test_a_guard_that_falls_silent_in_the_middle_of_a_calibration_leaves_no_offset_behind(world: World) -> None:
    world.tick.angles = [(7.0, 7.0, 7.0)]
    measured = world.tick.__call__

    def once(command: str, by: str, /, **fields: Any) -> CommandReply:
        reply = measured(command, by, **fields)
        world.tick.unreachable = command == "adopt_settings"
        return reply

    world.api._link._tick = once
    with pytest.raises(Refused) as refused:
        await world.calibrate()
    assert refused.value.code == "GUARD_UNREACHABLE"
    assert world.dropin("80-calibration.yaml") is None


async def test_a_seven_degree_offset_is_written_adopted_and_verified(world: World) -> None:
    world.tick.angles = [(7.004, 7.0, 6.996), (7.05, 6.9, 7.0)]
    result = await world.calibrate()
    assert result.offset_deg == (7.0, 7.0, 7.0)
    assert result.residual_deg == pytest.approx((0.05, -0.1, 0.0))
    written = world.dropin("80-calibration.yaml")["calibration"]
    assert written["phase_offset_deg"] == [7.0, 7.0, 7.0]
    assert written["calibrated_at"].startswith("2023-11-14T")
    assert world.tick.names == ["measure_phase", "adopt_settings", "measure_phase"]
    assert result.file.endswith("80-calibration.yaml")


@pytest.mark.parametrize(
    ("angles", "words"),
    [
        ((0.2, 120.1, -119.9), "wiring mistake, not an offset: Phase Mismatch; phases b and c are exchanged"),
        ((15.1, 0.0, 0.0), "phase a is .15.1 degrees"),
        ((0.0, 179.0, 0.0), "phase b is reversed"),
        ((float("nan"), 0.0, 0.0), "wiring mistake"),
    ],
)
async def test_an_angle_that_is_a_wiring_mistake_is_refused(world: World, angles: Any, words: str) -> None:
    world.tick.angles = [angles]
    with pytest.raises(Refused, match=words):
        await world.calibrate()
    assert world.dropin("80-calibration.yaml") is None


async def test_a_phase_that_wanders_is_not_calibrated(world: World) -> None:
    world.tick.angles, world.tick.spread_deg = [(7.0, 7.0, 7.0)], 1.4
    with pytest.raises(Refused, match=r"1\.4 degrees apart"):
        await world.calibrate()
    assert world.dropin("80-calibration.yaml") is None


async def test_a_calibration_that_does_not_hold_is_taken_back_from_file_and_guard(world: World) -> None:
    before = world.tick.digest
    world.tick.angles = [(7.0, 7.0, 7.0), (7.0, 7.6, 7.0)]
    with pytest.raises(Refused, match=r"b \+0\.60"):
        await world.calibrate()
    assert world.dropin("80-calibration.yaml") is None
    assert world.tick.digest == before


async def test_an_earlier_calibration_survives_a_failed_one(world: World) -> None:
    world.tick.angles = [(3.0, 3.0, 3.0)]
    await world.calibrate()
    world.tick.angles = [(7.0, 7.0, 7.0), (9.0, 9.0, 9.0)]
    with pytest.raises(Refused):
        await world.calibrate()
    assert world.dropin("80-calibration.yaml")["calibration"]["phase_offset_deg"] == [3.0, 3.0, 3.0]


def grant(world: World, power_w: float) -> None:
    made = Grant(evse_id=E1, power_w=power_w, bound_by=None, order_id=9)
    world.site.decision = Decision(
        allocation=Allocation(grants=(made,), shortfalls=(), site_w=power_w),
        permitted=True, permit_reason="", site_lo_w=0.0, site_hi_w=0.0, lo_source="", hi_source="",
        grants={E1: made},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "words", "code"),
    [
        (lambda w: w.tick.changes.update(feeder_w=-3200.0), "V2G feeder: discharge 3.20 kW", "POWER_FLOWS"),
        (lambda w: grant(w, -5000.0), "order 9 gives US.V2G.E1 a power: discharge 5.00 kW", "POWER_FLOWS"),
        (lambda w: w.tick.changes.update(breaker_closed=False, permit=Permit.TRIPPED), "tripped", "BREAKER_OPEN"),
        (lambda w: w.tick.changes.update(inverter_v_pu=(1.0, 0.0, 1.0)), "phase b of the inverter", "DEAD_SIDE"),
        (lambda w: w.tick.changes.update(v_pu=(1.0, 1.0, 0.1)), "phase c of the grid side", "DEAD_SIDE"),
        (lambda w: w.tick.changes.update(permit=Permit.GUARD_STALE), "silent", "GUARD_UNREACHABLE"),
        (lambda w: w.tick.changes.update(measured=False), "no measurement", "NOT_MEASURED"),
        (lambda w: w.tick.refuses.update(measure_phase="dead"), "dead", "NOT_MEASURED"),
    ],
)
async def test_calibration_is_refused_while_it_could_not_be_right(
    world: World, make: Callable[[World], None], words: str, code: str
) -> None:
    world.tick.angles = [(7.0, 7.0, 7.0)]
    make(world)
    with pytest.raises(Refused, match=words) as refused:
        await world.calibrate()
    assert refused.value.code == code
    assert world.dropin("80-calibration.yaml") is None


async def test_an_evse_is_calibrated_by_its_own_channels_or_not_at_all(tmp_path: Path, world: World) -> None:
    world.tick.angles = [(2.0, 2.0, 2.0)]
    with pytest.raises(Refused, match="no voltage channels of its own"):
        await world.calibrate(E1)
    with pytest.raises(Refused, match="there are US"):
        await world.calibrate("US*V2G*E9")
    evse = {**MAIN["evses"][0]}  # type: ignore[index]
    evse["inverter"] = {**evse["inverter"], "voltage_channels": ["v_e1_a", "v_e1_b", "v_e1_c"]}
    own = World(tmp_path / "own", ManualClock(), {**MAIN, "evses": [evse]})
    own.tick.angles = [(2.0, 2.0, 2.0)]
    await own.calibrate(E1)
    assert own.tick.commands[0] == ("measure_phase", "anna", True, E1)
    inverter = own.dropin("80-calibration.yaml")["evses"][0]["inverter"]
    assert inverter["phase_offset_deg"] == [2.0, 2.0, 2.0]


async def operate(world: World, *positions: bool | None) -> None:
    """Let the relay's contact take these positions, each seen by the watcher."""
    for position in positions:
        world.tick.changes["relay_closed"] = position
        world.clock.advance(1.0)
        await asyncio.sleep(0.03)


async def test_a_relay_test_that_opens_and_closes_is_recorded_with_who_when_and_what(world: World) -> None:
    started = await world.relay("start")
    assert started.running
    await operate(world, True, False, None, True)
    state = await world.relay("state")
    assert [closed for _, closed in state.operations] == [False, True]
    assert [at_s for at_s, _ in state.operations] == pytest.approx([2.0, 4.0], abs=0.1)
    result = await world.relay("finish", passed=True, note="injected 1.15\npu")
    assert not result.running
    lines = Path(result.recorded_in).read_text().splitlines()
    assert result.recorded_in == str(world.state_dir / "relay-tests.jsonl")
    told = json.loads(lines[0])
    assert (told["by"], told["passed"], told["note"], told["setting_pu"]) == ("anna", True, "injected 1.15pu", 1.1)
    assert told["at"].startswith("2023-11-14T")
    assert [enabled for name, _, enabled, _ in world.tick.commands if name == "test_relay"] == [True, False]
    assert [code for code, _ in world.audited] == ["ACKNOWLEDGED", "RELAY_TEST"]
    assert told["acknowledged_by"] == world.audited[1][1]["acknowledged_by"] == "Eva Qualm"


async def test_nothing_is_tested_or_calibrated_without_a_qualified_person(world: World) -> None:
    for call in (world.relay("start", acknowledge=" "), world.calibrate(acknowledge="")):
        with pytest.raises(Refused, match="qualified person") as refused:
            await call
        assert refused.value.code == "NOT_ACKNOWLEDGED"
    assert world.tick.commands == []
    world.tick.angles = [(2.0, 2.0, 2.0), (2.0, 2.0, 2.0)]
    assert (await world.calibrate()).acknowledged_by == "Eva Qualm"
    kept = world.dropin("80-calibration.yaml")["calibration"]
    assert kept["calibrated_by"] == "anna; Eva Qualm answers for it"


async def test_a_relay_that_did_not_open_cannot_be_recorded_as_passed(world: World) -> None:
    await world.relay("start")
    await operate(world, True)
    with pytest.raises(Refused, match="not seen to open"):
        await world.relay("finish", passed=True)
    result = await world.relay("finish", passed=False)
    assert json.loads(Path(result.recorded_in).read_text())["passed"] is False


async def test_an_aborted_test_records_nothing(world: World) -> None:
    await world.relay("start")
    assert not (await world.relay("abort")).running
    assert not (world.state_dir / "relay-tests.jsonl").exists()
    with pytest.raises(Refused, match="start one"):
        await world.relay("state")


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda w: w.tick.changes.update(feeder_w=3200.0), "POWER_FLOWS"),
        (lambda w: w.tick.changes.update(relay_closed=None), "NO_FEEDBACK"),
        (lambda w: w.tick.refuses.update(test_relay="no"), "TEST_NOT_STARTED"),
        (lambda w: setattr(w.tick, "unreachable", True), "GUARD_UNREACHABLE"),
    ],
)
async def test_a_relay_test_does_not_begin(world: World, make: Callable[[World], None], code: str) -> None:
    make(world)
    with pytest.raises(Refused) as refused:
        await world.relay("start")
    assert refused.value.code == code
    with pytest.raises(Refused, match="start one"):
        await world.relay("state")


async def test_a_second_test_waits_and_one_that_is_forgotten_ends_after_ten_minutes(world: World) -> None:
    await world.relay("start")
    with pytest.raises(Refused) as refused:
        await world.relay("start")
    assert refused.value.code == "BUSY"
    world.clock.advance(601.0)
    assert not (await world.relay("state")).running
    assert (await world.relay("start")).running
    await world.api.close()


async def test_unknown_and_incomplete_steps_are_refused(world: World) -> None:
    with pytest.raises(Refused, match="start, state, finish or abort"):
        await world.relay("jump")
    await world.relay("start")
    with pytest.raises(Refused, match="whether the test is passed"):
        await world.relay("finish")
    await world.api.close()


async def test_a_test_that_cannot_be_recorded_says_so(world: World) -> None:
    (world.state_dir / "relay-tests.jsonl").mkdir()
    await world.relay("start")
    with pytest.raises(Refused, match="could not be recorded") as refused:
        await world.relay("finish", passed=False)
    assert refused.value.code == "NOT_RECORDED"
