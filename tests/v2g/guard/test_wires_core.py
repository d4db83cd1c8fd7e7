"""The rules of ``wires``: every way in which power becomes zero, and why."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.guard.link import EvseSetpoint, PowerSetpoint, Setpoints
from v2g.guard.wires_core import (
    MAX_LEASE_S,
    OPEN_AFTER_S,
    STALE_S,
    START_GRACE_S,
    EvseLimits,
    SetpointsRefused,
    Target,
    WiresCore,
)
from v2g.hardware.ports import DcEvseCommand, DcEvseReading, Insulation, InverterReading

E1, E2 = "US*V2G*E1", "US*V2G*E2"
LIMITS = EvseLimits(E1, max_charge_w=22_000, max_discharge_w=18_000, max_voltage_v=800, max_current_a=50)
T0 = 1000.0
LOADED = DcEvseCommand(target_voltage_v=400, current_limit_a=40, close_contactors=True, lock_connector=True)


def inverter(**changes: Any) -> InverterReading:
    healthy = InverterReading(
        evse_id=E1, as_of_s=T0, power_w=0, reversion_armed=True, max_charge_w=20_000, max_discharge_w=15_000,
        connected=True,
    )  # fmt: skip
    return msgspec.structs.replace(healthy, **changes)


def output(**changes: Any) -> DcEvseReading:
    healthy = DcEvseReading(
        evse_id=E1, as_of_s=T0, present_voltage_v=400, present_current_a=0, contactors_closed=True,
        contactors_commanded=True, insulation=Insulation.VALID, insulation_ohm=1e6, connector_locked=True, plugged=True,
        max_voltage_v=900, min_voltage_v=150, max_current_a=60, max_power_w=30_000,
    )  # fmt: skip
    return msgspec.structs.replace(healthy, **changes)


def setpoints(
    power_w: float = -10_000,
    command: DcEvseCommand | None = LOADED,
    sequence: int = 1,
    lease_s: float = 1.0,
    now_s: float = T0,
    evse_id: str = E1,
) -> Setpoints:
    power = PowerSetpoint(evse_id=evse_id, power_w=power_w, source="order 1", expires_at_s=now_s + lease_s)
    evses = ()
    if command is not None:
        evses = (EvseSetpoint(evse_id=evse_id, command=command, source="session", expires_at_s=now_s + lease_s),)
    return Setpoints(sequence=sequence, sent_at_s=now_s, inverters=(power,), evses=evses)


def core_with(power_w: float = -10_000, command: DcEvseCommand = LOADED) -> WiresCore:
    core = WiresCore([LIMITS], T0 - 100)
    core.observe_inverter(inverter())
    core.observe_output(output())
    core.accept(setpoints(power_w, command), T0)
    return core


def one(core: WiresCore, now_s: float = T0, permit: bool = True) -> Target:
    return core.decide(permit, now_s)[E1]


def applied(core: WiresCore, now_s: float = T0, permit: bool = True) -> tuple[float, str | None]:
    target = one(core, now_s, permit)
    return target.applied.power_w, target.applied.bound_by


@pytest.mark.parametrize("power_w", [-10_000.0, 0.0, 7_500.0])
def test_a_fresh_set_point_applies_as_it_is(power_w: float) -> None:
    target = one(core_with(power_w))
    assert (target.applied.power_w, target.applied.bound_by, target.applied.source) == (power_w, None, "order 1")
    assert target.command == LOADED


def test_power_ends_with_its_lease() -> None:
    core = core_with()
    assert applied(core, T0 + 0.999) == (-10_000, None)
    assert applied(core, T0 + 1.0) == (0, "lease_expired")


def test_power_ends_with_the_lease_of_the_dc_output() -> None:
    core = core_with()
    core.accept(setpoints(command=None, sequence=2, now_s=T0 + 0.9), T0 + 0.9)
    assert applied(core, T0 + 0.95) == (-10_000, None)
    assert applied(core, T0 + 1.0) == (0, "lease_expired")


def test_an_evse_that_is_absent_from_a_frame_keeps_its_lease() -> None:
    core = core_with()
    core.accept(Setpoints(sequence=2, sent_at_s=T0), T0)
    assert applied(core, T0 + 0.5) == (-10_000, None)


def test_without_any_set_point_power_is_zero() -> None:
    assert applied(WiresCore([LIMITS], T0)) == (0, "lease_expired")


def test_a_lease_is_never_longer_than_the_limit() -> None:
    core = WiresCore([LIMITS], T0)
    core.accept(setpoints(lease_s=3600), T0)
    later_s = T0 + MAX_LEASE_S
    core.observe_inverter(inverter(as_of_s=later_s))
    core.observe_output(output(as_of_s=later_s))
    assert applied(core, later_s - 0.01) == (-10_000, None)
    assert applied(core, later_s) == (0, "lease_expired")


def test_loss_of_permit_is_zero_at_once_in_power_and_in_current() -> None:
    core = core_with()
    target = one(core, permit=False)
    assert (target.applied.power_w, target.applied.bound_by) == (0, "no_permit")
    assert target.command is not None
    assert target.command.current_limit_a == 0
    assert target.command.close_contactors
    assert applied(core) == (-10_000, None)


@pytest.mark.parametrize("which", ["inverter", "output"])
def test_a_stale_reading_is_zero(which: str) -> None:
    core = core_with()
    later_s = T0 + STALE_S + 0.01
    core.accept(setpoints(sequence=2, now_s=later_s), later_s)
    if which == "inverter":
        core.observe_output(output(as_of_s=later_s))
    else:
        core.observe_inverter(inverter(as_of_s=later_s))
    assert applied(core, later_s) == (0, "stale_measurement")


def test_a_reading_that_was_never_there_is_stale() -> None:
    core = WiresCore([LIMITS], T0)
    core.accept(setpoints(), T0)
    assert applied(core) == (0, "stale_measurement")


@pytest.mark.parametrize(
    ("changes", "power_w", "expected"),
    [
        ({"fault": "OVER_TEMP"}, -10_000, (0, "device_fault")),
        ({"connected": False}, 10_000, (0, "device_fault")),
        ({"reversion_armed": False}, -10_000, (0, "no_reversion")),
        ({"reversion_armed": False}, 10_000, (10_000, None)),
        ({}, -16_000, (-15_000, "rating")),
        ({}, 21_000, (20_000, "rating")),
        ({"max_discharge_w": 0.0}, -10_000, (0, "rating")),
        ({"max_discharge_w": math.nan}, -10_000, (0, "rating")),
        ({"max_charge_w": 50_000.0}, 40_000, (22_000, "rating")),
        ({"max_discharge_w": 50_000.0}, -40_000, (-18_000, "rating")),
        ({"fault": "OVER_TEMP"}, 0, (0, None)),
    ],
)
def test_the_inverter_bounds_power(changes: dict[str, Any], power_w: float, expected: tuple[float, str | None]) -> None:
    core = core_with(power_w)
    core.observe_inverter(inverter(**changes))
    assert applied(core) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fault": "contactor welded"}, (0, "device_fault")),
        ({"contactors_closed": False}, (0, "contactors_open")),
        ({"plugged": False}, (0, "contactors_open")),
        ({"insulation": Insulation.UNKNOWN}, (0, "insulation")),
        ({"insulation": Insulation.TESTING}, (0, "insulation")),
        ({"insulation": Insulation.FAULT}, (0, "insulation")),
        ({"max_power_w": 5_000.0}, (-5_000, "rating")),
    ],
)
def test_the_dc_output_bounds_power(changes: dict[str, Any], expected: tuple[float, str | None]) -> None:
    core = core_with()
    core.observe_output(output(**changes))
    assert applied(core) == expected


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


def test_power_is_zero_once_the_contactors_are_told_to_open() -> None:
    core = core_with()
    core.accept(setpoints(command=DcEvseCommand(), sequence=2), T0)
    assert applied(core) == (0, "contactors_open")


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
    core.decide(True, T0)
    got = one(core, T0 + OPEN_AFTER_S - 0.01).command
    assert got is not None
    assert (got.target_voltage_v, got.current_limit_a) == (0, 0)


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
        assert core.decide(True, T0)[E1].applied.power_w == 0

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


class TestFrames:
    @pytest.mark.parametrize(
        ("frame", "said"),
        [
            (setpoints(power_w=math.nan), "not a finite number"),
            (setpoints(power_w=math.inf), "not a finite number"),
            (setpoints(lease_s=math.nan), "not a finite number"),
            (setpoints(command=DcEvseCommand(current_limit_a=-1)), "magnitudes"),
            (setpoints(command=DcEvseCommand(target_voltage_v=math.inf)), "not a finite number"),
            (setpoints(sequence=0), "sequence 0 after 0"),
            (
                Setpoints(sequence=5, sent_at_s=T0, inverters=(setpoints().inverters[0],) * 2),
                "an EVSE is named twice",
            ),
        ],
    )
    def test_a_bad_frame_is_refused_whole(self, frame: Setpoints, said: str) -> None:
        core = WiresCore([LIMITS], T0)
        core.observe_inverter(inverter())
        core.observe_output(output())
        core.accept(setpoints(-3_000, sequence=0), T0)
        with pytest.raises(SetpointsRefused, match=said):
            core.accept(frame, T0)
        assert applied(core) == (-3_000, None)

    def test_an_evse_that_is_not_configured_is_left_out_and_the_others_are_served(self) -> None:
        core = core_with(-3_000)
        known, unknown = setpoints(-4_000, sequence=2), setpoints(-5_000, sequence=2, evse_id=E2)
        frame = Setpoints(
            sequence=2,
            sent_at_s=T0,
            inverters=unknown.inverters + known.inverters,
            evses=unknown.evses + known.evses,
        )
        assert core.accept(frame, T0) == (E2,)
        assert applied(core) == (-4_000, None)
        assert set(core.decide(True, T0)) == {E1}
        assert core.accept(setpoints(sequence=3), T0) == ()

    def test_what_is_not_finite_for_an_unknown_evse_refuses_the_frame(self) -> None:
        with pytest.raises(SetpointsRefused, match="not a finite number"):
            core_with().accept(setpoints(math.nan, sequence=2, evse_id=E2), T0)

    def test_a_new_orchestrator_counts_anew(self) -> None:
        core = core_with()
        core.new_peer()
        core.accept(setpoints(-2_000, sequence=0), T0)
        assert applied(core) == (-2_000, None)


def test_the_next_change_is_when_something_ends() -> None:
    core = core_with()
    core.accept(setpoints(sequence=2, lease_s=0.4), T0)
    core.decide(True, T0)
    assert core.next_change_s(T0) == T0 + 0.4
    assert core.next_change_s(T0 + 0.5) == T0 + STALE_S
    assert core.next_change_s(T0 + 5) == math.inf


def test_evses_do_not_touch_each_other() -> None:
    core = WiresCore([LIMITS, msgspec_limits(E2)], T0 - 100)
    for evse_id in (E1, E2):
        core.observe_inverter(inverter(evse_id=evse_id))
        core.observe_output(output(evse_id=evse_id))
        core.accept(setpoints(evse_id=evse_id, sequence=1 if evse_id == E1 else 2), T0)
    core.observe_inverter(inverter(evse_id=E2, fault="OVER_TEMP"))
    decided = core.decide(True, T0)
    assert decided[E1].applied.bound_by is None
    assert decided[E2].applied.bound_by == "device_fault"


def msgspec_limits(evse_id: str) -> EvseLimits:
    return EvseLimits(evse_id, 22_000, 18_000, 800, 50)


@given(
    power_w=st.floats(-1e6, 1e6),
    permit=st.booleans(),
    age_s=st.floats(0, 3),
    reading=st.fixed_dictionaries(
        {
            "reversion_armed": st.booleans(),
            "connected": st.booleans(),
            "max_charge_w": st.floats(),
            "max_discharge_w": st.floats(),
            "fault": st.sampled_from([None, "FAULT"]),
        }
    ),
    stage=st.fixed_dictionaries(
        {
            "contactors_closed": st.booleans(),
            "plugged": st.booleans(),
            "insulation": st.sampled_from(list(Insulation)),
            "present_current_a": st.floats(),
            "max_power_w": st.floats(),
            "max_current_a": st.floats(),
            "max_voltage_v": st.floats(),
            "fault": st.sampled_from([None, "contactor welded"]),
        }
    ),
)
def test_no_state_of_the_devices_yields_more_than_what_is_allowed(
    power_w: float, permit: bool, age_s: float, reading: dict[str, Any], stage: dict[str, Any]
) -> None:
    core = core_with(power_w)
    core.observe_inverter(inverter(**reading))
    core.observe_output(output(**stage))
    now_s = T0 + age_s
    target = one(core, now_s, permit)
    got_w = target.applied.power_w
    assert math.isfinite(got_w)
    assert got_w == 0 or math.copysign(1, got_w) == math.copysign(1, power_w)
    assert abs(got_w) <= abs(power_w)
    if got_w:
        assert permit
        assert age_s < 1.0
        assert reading["fault"] is None
        assert stage["fault"] is None
        assert reading["connected"]
        assert stage["contactors_closed"]
        assert stage["insulation"] is Insulation.VALID
        rating_w = reading["max_charge_w"] if got_w > 0 else reading["max_discharge_w"]
        assert abs(got_w) <= min(rating_w, stage["max_power_w"], 22_000 if got_w > 0 else 18_000)
        assert got_w > 0 or reading["reversion_armed"]
    else:
        assert target.applied.bound_by is not None or power_w == 0
    assert target.command is not None
    assert 0 <= target.command.current_limit_a <= 50
    assert 0 <= target.command.target_voltage_v <= 800
