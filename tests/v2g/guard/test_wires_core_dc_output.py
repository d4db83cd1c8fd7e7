"""The rules of ``wires`` for a DC output: current, contactors, lock and insulation."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from support.wires import E1, LIMITS, LOADED, T0, applied, core_with, guard, inverter, one, output, setpoints
from v2g.guard.wires_core import OPEN_AFTER_S, STALE_S, START_GRACE_S, WiresCore
from v2g.hardware.ports import DcEvseCommand, Insulation, PilotReading, PilotState


def test_the_command_is_clamped_to_site_and_device() -> None:
    command = msgspec.structs.replace(LOADED, target_voltage_v=1200, current_limit_a=500)
    core = core_with(command=command)
    got = one(core).command
    assert got is not None
    assert (got.target_voltage_v, got.current_limit_a) == (800, 50)
    core.observe_output(output(max_voltage_v=500, max_current_a=20))
    got = one(core).command
    assert got is not None
    assert (got.target_voltage_v, got.current_limit_a) == (500, 20)


def test_without_a_reading_the_dc_output_gets_no_voltage_and_no_contactors() -> None:
    core = WiresCore([LIMITS], T0)
    core.accept(setpoints(), T0)
    core.decide(guard(), T0)
    got = one(core, T0 + OPEN_AFTER_S - 0.01).command
    assert got is not None
    assert (got.target_voltage_v, got.current_limit_a) == (0, 0)


@pytest.mark.parametrize("changes", [{"fault": "FAULT"}, {"connected": False}, {"as_of_s": T0 - 5}])
def test_an_inverter_that_may_not_hear_us_loses_its_current_at_the_dc_output(changes: dict[str, Any]) -> None:
    core = core_with()
    core.observe_inverter(inverter(**changes))
    command = one(core).command
    assert command is not None
    assert (command.current_limit_a, command.close_contactors) == (0, True)
    core = core_with(0.0)
    core.observe_inverter(inverter(**changes))
    assert one(core).command == LOADED, "without power nothing is barred: pre-charge needs its current limit"


class TestOpening:
    """Current first, then contactors: below 1 A or after 1 s."""

    def test_at_the_end_of_the_lease_the_current_goes_first(self) -> None:
        core = core_with()
        core.observe_output(output(as_of_s=T0 + 0.9, present_current_a=-25))
        end_s = T0 + 1.0
        got = one(core, end_s).command
        assert got == DcEvseCommand(target_voltage_v=0, close_contactors=True, lock_connector=True)
        core.observe_output(output(as_of_s=end_s + 0.2, present_current_a=-0.9))
        got = one(core, end_s + 0.2).command
        assert got == DcEvseCommand(lock_connector=True)

    def test_after_one_second_they_open_under_any_current(self) -> None:
        core = core_with()
        for step in range(12):
            now_s = T0 + 1.0 + step * 0.1
            core.observe_output(output(as_of_s=now_s, present_current_a=30))
            got = one(core, now_s).command
            assert got is not None
            assert got.close_contactors == (step < 10)

    def test_with_a_stale_reading_they_open_after_one_second(self) -> None:
        core = core_with()
        assert one(core, T0 + 1.0).command.close_contactors is False  # type: ignore[union-attr]
        core = core_with()
        core.observe_output(output(as_of_s=T0 + 0.5, present_current_a=30))
        assert one(core, T0 + 1.6).command.close_contactors is True  # type: ignore[union-attr]
        assert one(core, T0 + 2.6).command.close_contactors is False  # type: ignore[union-attr]

    def test_a_command_to_open_waits_for_the_current_too(self) -> None:
        core = core_with()
        core.observe_output(output(present_current_a=30))
        core.accept(setpoints(command=DcEvseCommand(target_voltage_v=400), sequence=2), T0)
        got = one(core).command
        assert got == DcEvseCommand(target_voltage_v=400, close_contactors=True, lock_connector=True)
        core.observe_output(output(present_current_a=0.5))
        assert one(core).command == DcEvseCommand(target_voltage_v=400, lock_connector=True)

    @pytest.mark.parametrize(
        "changes", [{"fault": "contactor welded"}, {"insulation": Insulation.FAULT}, {"plugged": False}]
    )
    def test_faults_open_them_whatever_the_session_wants(self, changes: dict[str, Any]) -> None:
        core = core_with()
        core.observe_output(output(**changes))
        got = one(core).command
        assert got is not None
        assert not got.close_contactors
        assert core.decide(guard(), T0)[E1].applied.power_w == 0

    def test_the_insulation_test_may_close_them(self) -> None:
        core = WiresCore([LIMITS], T0)
        core.observe_inverter(inverter())
        core.observe_output(output(contactors_closed=False, insulation=Insulation.TESTING))
        command = DcEvseCommand(target_voltage_v=500, close_contactors=True, test_insulation=True, lock_connector=True)
        core.accept(setpoints(0, command), T0)
        assert one(core).command == command

    def test_closed_contactors_keep_the_connector_locked(self) -> None:
        core = core_with()
        core.accept(setpoints(command=msgspec.structs.replace(LOADED, lock_connector=False), sequence=2), T0)
        assert one(core).command == LOADED

    def test_a_new_lease_on_the_way_closes_them_again(self) -> None:
        core = core_with()
        core.observe_output(output(as_of_s=T0 + 0.9, present_current_a=30))
        core.observe_inverter(inverter(as_of_s=T0 + 0.9))
        one(core, T0 + 1.0)
        core.accept(setpoints(sequence=2, now_s=T0 + 1.1), T0 + 1.1)
        assert one(core, T0 + 1.1).command == LOADED
        core.observe_output(output(as_of_s=T0 + 1.9, present_current_a=30))
        got = one(core, T0 + 2.1).command
        assert got is not None
        assert got.close_contactors, "the second of opening counts from the new end"


class TestLock:
    """Once closed it stays closed until a fresh reading shows open contactors and less than 60 V."""

    UNLOCK = DcEvseCommand()

    def locked(self, **changes: Any) -> bool:
        core = core_with(0.0)
        safe = {"contactors_closed": False, "contactors_commanded": False, "present_voltage_v": 0.0}
        core.observe_output(output(**(safe | changes)))
        core.accept(setpoints(0.0, self.UNLOCK, sequence=2), T0)
        one(core)
        core.accept(setpoints(0.0, self.UNLOCK, sequence=3), T0)
        command = one(core).command
        assert command is not None
        return command.lock_connector

    @pytest.mark.parametrize(
        "changes",
        [
            {"present_voltage_v": 398.0},
            {"present_voltage_v": -60.0},
            {"present_voltage_v": math.nan},
            {"contactors_closed": True},
            {"contactors_commanded": True},
            {"as_of_s": T0 - STALE_S - 0.1},
        ],
    )
    def test_it_is_kept_whatever_the_session_says(self, changes: dict[str, Any]) -> None:
        assert self.locked(**changes)

    def test_a_dead_output_unlocks(self) -> None:
        assert not self.locked(present_voltage_v=59.9)

    def test_an_open_lock_is_not_closed_without_a_session(self) -> None:
        assert not self.locked(present_voltage_v=398.0, connector_locked=False)

    def test_an_output_that_was_never_read_stays_locked(self) -> None:
        core = WiresCore([LIMITS], T0)
        core.accept(setpoints(0.0, self.UNLOCK), T0)
        command = one(core).command
        assert command is not None
        assert command.lock_connector

    def test_a_restarted_orchestrator_does_not_unlock_what_was_closed_under_its_predecessor(self) -> None:
        core = core_with()
        later_s = T0 + 3.0
        core.observe_output(output(as_of_s=later_s, contactors_closed=False, contactors_commanded=False))
        assert one(core, later_s).command == DcEvseCommand(lock_connector=True)
        core.new_peer()
        core.accept(setpoints(0.0, self.UNLOCK, sequence=0, now_s=later_s), later_s)
        assert one(core, later_s).command == DcEvseCommand(lock_connector=True)


class TestPilot:
    READY = PilotReading(state=PilotState.C, high_v=6.0, low_v=-12.0, duty_pct=5.0, earth_ohm=1.0)

    def core(self, pilot: PilotReading | None, at_s: float = T0 + 0.2) -> WiresCore:
        core = core_with(-10_000.0)
        core.observe_output(output(pilot=self.READY))
        core.observe_output(output(pilot=self.READY, as_of_s=T0 + 0.15))
        core.observe_output(output(pilot=pilot, as_of_s=at_s))
        return core

    def test_a_ready_vehicle_gets_what_it_was_granted(self) -> None:
        assert applied(self.core(self.READY), T0 + 0.2) == (-10_000.0, None)

    def test_a_stage_that_measures_none_is_not_judged(self) -> None:
        assert applied(self.core(None), T0 + 0.2) == (-10_000.0, None)

    @pytest.mark.parametrize(
        "change",
        [
            {"high_v": 9.0, "state": PilotState.B},
            {"high_v": 12.0, "state": PilotState.A},
            {"high_v": 0.0, "state": PilotState.E},
            {"high_v": -12.0, "state": PilotState.F},
            {"high_v": None, "state": None},
            {"low_v": -5.0},
            {"earth_ohm": 9_000.0},
            {"earth_ohm": None, "earth_ok": False},
            {"high_v": float("nan")},
        ],
    )
    def test_any_other_takes_power_and_current_to_zero_at_once(self, change: dict[str, object]) -> None:
        core = self.core(msgspec.structs.replace(self.READY, **change))
        target = one(core, T0 + 0.2)
        assert (target.applied.power_w, target.applied.bound_by) == (0.0, "pilot")
        assert target.command is not None
        assert target.command.current_limit_a == 0.0

    def test_pre_charge_too_waits_for_a_vehicle_that_is_ready(self) -> None:
        core = core_with(0.0)
        core.observe_output(output(pilot=msgspec.structs.replace(self.READY, state=PilotState.B, high_v=9.0)))
        target = one(core)
        assert target.command == msgspec.structs.replace(LOADED, current_limit_a=0.0)
        assert target.applied.bound_by == "pilot"

    def test_it_has_to_be_ready_for_a_while(self) -> None:
        core = core_with(-10_000.0)
        core.observe_output(output(pilot=self.READY))
        assert applied(core) == (0.0, "pilot")
        core.observe_output(output(pilot=self.READY, as_of_s=T0 + 0.15))
        assert applied(core, T0 + 0.2) == (-10_000.0, None)


class TestPilotError:
    FAILED = DcEvseCommand(pilot_error=True)

    def core(self, command: DcEvseCommand = FAILED, **changes: object) -> WiresCore:
        core = WiresCore([LIMITS], T0 - 100)
        core.observe_inverter(inverter())
        core.observe_output(output(**{"contactors_closed": False, "contactors_commanded": False} | changes))
        core.accept(setpoints(0.0, command), T0)
        return core

    def ordered(self, core: WiresCore, now_s: float = T0) -> bool:
        command = one(core, now_s).command
        assert command is not None
        return command.pilot_error

    def test_it_is_ordered_while_it_is_wanted_and_the_contactors_are_known_to_be_open(self) -> None:
        core = self.core()
        assert self.ordered(core)
        core.accept(setpoints(0.0, DcEvseCommand(), sequence=2), T0)
        assert not self.ordered(core)

    @pytest.mark.parametrize(
        "changes", [{"contactors_closed": True}, {"contactors_commanded": True}, {"as_of_s": T0 - 10.0}]
    )
    def test_not_with_contactors_that_are_or_may_be_closed(self, changes: dict[str, object]) -> None:
        assert not self.ordered(self.core(**changes))

    def test_who_wants_contactors_closed_gets_no_state_f(self) -> None:
        contradictory = msgspec.structs.replace(LOADED, pilot_error=True)
        assert not self.ordered(self.core(contradictory))
        assert not self.ordered(self.core(contradictory, plugged=False)), "not closed, and wanted closed all the same"

    def test_contactors_that_were_told_to_close_a_moment_ago_come_first(self) -> None:
        core = self.core(LOADED)
        assert not self.ordered(core)
        core.accept(setpoints(0.0, self.FAILED, sequence=2), T0)
        assert not self.ordered(core), "the device may be about to close"

    def test_it_ends_with_its_lease(self) -> None:
        core = self.core()
        later_s = T0 + 1.5
        core.observe_output(output(contactors_closed=False, contactors_commanded=False, as_of_s=later_s))
        assert not self.ordered(core, later_s)


class TestInsulation:
    @pytest.mark.parametrize("insulation", [Insulation.UNKNOWN, Insulation.TESTING])
    def test_without_power_too_current_waits_for_a_proved_insulation(self, insulation: Insulation) -> None:
        core = core_with(0.0)
        core.observe_output(output(insulation=insulation))
        target = one(core)
        assert target.command == msgspec.structs.replace(LOADED, current_limit_a=0.0)
        assert target.applied.bound_by == "insulation"
        core.observe_output(output(insulation=Insulation.VALID))
        target = one(core)
        assert (target.command, target.applied.bound_by) == (LOADED, None)

    def test_the_test_itself_is_not_told_as_bound(self) -> None:
        command = DcEvseCommand(close_contactors=True, test_insulation=True, lock_connector=True)
        core = core_with(0.0, command)
        core.observe_output(output(insulation=Insulation.TESTING))
        target = one(core)
        assert (target.command, target.applied.bound_by) == (command, None)

    def test_contactors_close_on_an_old_fault_only_for_a_new_test_without_voltage_or_current(self) -> None:
        faulted = output(insulation=Insulation.FAULT, contactors_closed=False, contactors_commanded=False)
        for voltage_v, current_a, closes in ((0.0, 0.0, True), (400.0, 0.0, False), (0.0, 5.0, False)):
            command = DcEvseCommand(target_voltage_v=voltage_v, current_limit_a=current_a, close_contactors=True)
            core = core_with(0.0, command)
            core.observe_output(faulted)
            told = one(core).command
            assert told is not None
            assert told.close_contactors is closes


class TestStartAndStop:
    def test_a_restart_leaves_the_dc_output_alone_for_a_moment(self) -> None:
        core = WiresCore([LIMITS], T0)
        core.observe_inverter(inverter())
        core.observe_output(output(present_current_a=20))
        assert one(core).command is None
        assert one(core).applied.power_w == 0
        core.accept(setpoints(), T0 + 0.3)
        assert one(core, T0 + 0.3).command == LOADED

    def test_without_an_orchestrator_it_comes_to_rest_after_that(self) -> None:
        core = WiresCore([LIMITS], T0)
        later_s = T0 + START_GRACE_S
        core.observe_output(output(as_of_s=later_s, present_current_a=0))
        assert one(core, later_s).command == DcEvseCommand(lock_connector=True)

    def test_stopping_ends_every_lease(self) -> None:
        core = core_with()
        core.observe_output(output(present_current_a=20))
        one(core)
        core.stop()
        target = one(core)
        assert (target.applied.power_w, target.applied.bound_by) == (0, "lease_expired")
        assert core.opening()
        core.observe_output(output(present_current_a=0))
        assert one(core).command == DcEvseCommand(lock_connector=True)
        assert not core.opening()
