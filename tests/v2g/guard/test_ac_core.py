"""An AC EVSE's contactor behind leases, the guard's word, the pilot, and what the vehicle really takes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from support.ac_hand import CLOSE, E1, LIMITS, OPEN, PILOT, T0, Hand, reading
from support.wires import guard
from v2g.grid.protection import Block
from v2g.guard.ac_core import OPEN_AFTER_S, AcCore, bus_currents
from v2g.guard.link import EvseSetpoint, Setpoints
from v2g.guard.wires_core import SetpointsRefused, WiresCore
from v2g.hardware.ports import AcEvseCommand, DcEvseCommand, PilotReading, PilotState


def test_all_well_keeps_the_contactor_closed_and_the_order_as_it_is() -> None:
    hand = Hand()
    assert hand.closed
    assert (hand.target.applied.power_w, hand.bound_by) == (6_000.0, None)


def test_an_open_contactor_is_closed_once_the_vehicle_has_been_ready_for_a_moment() -> None:
    hand = Hand(0.0)
    hand.measured = {"contactor_closed": False, "pilot": msgspec.structs.replace(PILOT, high_v=9.0)}
    assert not hand.step().command.close_contactor  # type: ignore[union-attr]
    hand.measured = {"contactor_closed": False}
    assert not hand.step().command.close_contactor  # type: ignore[union-attr]
    hand.step(0.2)
    assert hand.closed


@pytest.mark.parametrize(
    ("changes", "bound_by"),
    [
        ({"fault": "residual current"}, "device_fault"),
        ({"plugged": False}, "contactor_open"),
        ({"connector_locked": False}, "contactor_open"),
        ({"pilot": None}, "pilot"),
        ({"pilot": PilotReading()}, "pilot"),
        ({"pilot": PilotReading(state=PilotState.E)}, "pilot"),
        ({"pilot": msgspec.structs.replace(PILOT, high_v=9.0)}, "pilot"),
        ({"pilot": msgspec.structs.replace(PILOT, high_v=-12.0)}, "pilot"),
        ({"pilot": msgspec.structs.replace(PILOT, earth_ohm=5_000.0)}, "pilot"),
        ({"current_a": (float("nan"), 8.0, 8.0)}, "stale_measurement"),
    ],
)
def test_what_a_reading_lacks_opens_at_once_under_load(changes: dict[str, Any], bound_by: str) -> None:
    hand = Hand()
    hand.measured |= changes
    hand.step()
    assert not hand.closed
    assert (hand.target.applied.power_w, hand.bound_by) == (0.0, bound_by)


@pytest.mark.parametrize(
    ("view", "bound_by"),
    [
        ({"permit": False}, "no_permit"),
        ({"open_contactors": True}, "breaker_failed"),
        ({"open_contactors": True, "emergency": "emergency_stop"}, "emergency_stop"),
        ({"open_contactors": True, "emergency": "lockout"}, "lockout"),
    ],
)
def test_the_guards_word_opens_at_once(view: dict[str, Any], bound_by: str) -> None:
    hand = Hand()
    hand.view = guard(**view)
    hand.step()
    assert not hand.closed
    assert hand.bound_by == bound_by


def test_a_lease_that_ends_and_a_reading_that_grows_old_open() -> None:
    hand = Hand()
    hand.target = hand.decide(1.01)
    assert not hand.closed
    assert hand.bound_by == "lease_expired"
    hand.core.stop()
    hand.target = hand.decide()
    assert not hand.closed


def test_an_ordinary_end_waits_for_the_current_but_not_for_ever() -> None:
    hand = Hand()
    hand.command, hand.power_w = OPEN, 0.0
    hand.step(0.5)
    assert hand.closed
    assert hand.core.opening()
    hand.measured = {"total_w": 600.0}
    hand.step()
    assert not hand.closed, "below 1 A"
    hand = Hand()
    hand.command = OPEN
    hand.step(OPEN_AFTER_S)
    assert hand.closed
    hand.step(0.2)
    assert not hand.closed


@pytest.mark.parametrize("stop", ["momentary_cessation", "cease"])
def test_where_the_grid_demands_to_cease_the_contactor_opens_at_once_and_closes_after(stop: str) -> None:
    hand = Hand()
    hand.view = guard(stop=stop)
    hand.step()
    assert not hand.closed
    assert (hand.target.applied.power_w, hand.bound_by) == (0.0, stop)
    hand.step(3.0)
    hand.view = guard()
    hand.step(0.3)
    assert hand.closed
    assert hand.bound_by != "overdraw"


def test_without_a_mains_input_nothing_is_discharged() -> None:
    hand = Hand(-6_000.0, mains_input=False)
    hand.step()
    assert (hand.target.applied.power_w, hand.bound_by) == (0.0, "no_anti_islanding")
    charging = Hand(6_000.0, mains_input=False)
    charging.step()
    assert charging.bound_by is None


@pytest.mark.parametrize(("told_w", "limit_w"), [(6_000.0, 7_100.0), (-6_000.0, -7_100.0), (0.0, 500.0)])
def test_power_beyond_what_it_was_told_opens_after_two_seconds(told_w: float, limit_w: float) -> None:
    hand = Hand(told_w)
    hand.measured = {"total_w": limit_w}
    hand.step(5.0)
    assert hand.closed
    hand.measured = {"total_w": limit_w + (10.0 if limit_w > 0 else -10.0)}
    hand.step(1.9)
    assert hand.closed
    hand.step(0.3)
    assert not hand.closed
    assert hand.bound_by == "overdraw"


def test_the_wrong_direction_is_beyond_what_it_was_told() -> None:
    hand = Hand(6_000.0)
    hand.measured = {"total_w": -1_000.0}
    hand.step(2.2)
    assert hand.bound_by == "overdraw"


def test_a_vehicle_that_follows_a_long_ramp_a_second_late_is_left_alone() -> None:
    hand = Hand(20_000.0)
    told = [20_000.0 - 200.0 * tenth for tenth in range(100)]
    for position, power_w in enumerate(told):
        hand.power_w = power_w
        hand.measured = {"total_w": told[max(0, position - 10)]}
        hand.step()
        assert hand.closed


def test_what_was_latched_lasts_until_the_plug_was_out() -> None:
    hand = Hand()
    hand.measured = {"total_w": 12_000.0}
    hand.step(2.5)
    hand.measured = {"contactor_closed": False}
    hand.step(20.0)
    assert hand.bound_by == "overdraw"
    hand.measured = {"contactor_closed": False, "plugged": False}
    hand.step(0.3)
    hand.measured = {"contactor_closed": False}
    hand.step(0.3)
    assert hand.bound_by == "overdraw", "a device that starts anew says for a moment that nothing is plugged in"
    hand.measured = {"contactor_closed": False, "plugged": False}
    hand.step(0.7)
    hand.measured = {"contactor_closed": False}
    hand.step(0.3)
    assert hand.closed


def test_a_moment_of_excess_does_not_last_through_a_time_without_figures() -> None:
    hand = Hand(3_000.0)
    hand.measured = {"total_w": 12_000.0}
    hand.step()
    hand.measured = {"total_w": float("nan"), "contactor_closed": False}
    hand.step(10.0)
    hand.measured = {"total_w": 12_000.0}
    hand.step()
    assert hand.core.latched(E1) is None
    hand.step(2.1)
    assert hand.bound_by == "overdraw"


@pytest.mark.parametrize("after_a", [0.0, 16.0])
def test_a_device_that_lowers_its_rating_gives_the_vehicle_time_to_follow(after_a: float) -> None:
    hand = Hand(20_000.0)
    hand.measured = {"total_w": 20_000.0, "max_current_a": after_a}
    hand.step(1.8)
    assert hand.target.applied.power_w == pytest.approx(after_a * 690.0)
    hand.measured = {"total_w": after_a * 690.0, "max_current_a": after_a}
    hand.step(6.0)
    assert hand.core.latched(E1) is None
    hand.measured = {"total_w": 20_000.0, "max_current_a": after_a}
    hand.step(1.2)
    assert hand.bound_by == "overdraw"


def test_a_device_that_tells_no_rating_opens_and_accuses_nobody() -> None:
    hand = Hand()
    hand.measured |= {"max_current_a": float("nan")}
    hand.step(5.0)
    assert not hand.closed
    assert hand.bound_by == "stale_measurement"


@pytest.mark.parametrize(("share", "holds_s", "opens_s"), [(1.11, 4.9, 5.3), (1.26, 0.9, 1.3), (1.09, 9.0, None)])
def test_a_phase_may_exceed_its_rating_for_so_long(share: float, holds_s: float, opens_s: float | None) -> None:
    hand = Hand(22_000.0)
    hand.measured = {"total_w": 20_000.0, "current_a": (10.0, 32.0 * share, 10.0)}
    hand.step(holds_s)
    assert hand.closed
    if opens_s is not None:
        hand.step(opens_s - holds_s)
        assert not hand.closed


@pytest.mark.parametrize(
    ("phases", "current_a"), [(3, (-80.0, -5.0, -5.0)), (1, (10.0, 60.0, 60.0))], ids=["signed", "other-lines"]
)
def test_a_current_counts_whatever_its_sign_and_its_line(phases: int, current_a: tuple[float, ...]) -> None:
    hand = Hand(-6_000.0, phases=phases)
    hand.measured = {"total_w": -6_000.0, "current_a": current_a}
    hand.step(1.2)
    assert not hand.closed
    assert hand.bound_by == "overdraw"
    hand = Hand(-6_000.0, phases=phases)
    hand.measured = {"total_w": -6_000.0, "current_a": tuple(value / 4 for value in current_a)}
    hand.command, hand.power_w = OPEN, 0.0
    hand.step(1.0)
    assert hand.closed, "a contactor does not open under load at an ordinary end"


def test_the_cables_rating_counts_too() -> None:
    hand = Hand(12_000.0)
    hand.measured = {"total_w": 12_000.0, "pilot": msgspec.structs.replace(PILOT, proximity_a=13.0)}
    hand.step()
    assert hand.target.applied.power_w == pytest.approx(13.0 * 690.0)
    hand.step(3.2)
    assert not hand.closed


def test_discharge_that_the_site_does_not_allow_opens_within_half_a_second() -> None:
    hand = Hand(-5_000.0, allow_discharge=False)
    assert (hand.target.applied.power_w, hand.bound_by) == (0.0, "ac_discharge_off")
    hand = Hand(6_000.0, allow_discharge=False)
    hand.measured = {"total_w": -300.0}
    hand.step(0.4)
    assert hand.closed
    hand.step(0.2)
    assert not hand.closed
    assert hand.bound_by == "ac_discharge_off"


@pytest.mark.parametrize(
    ("power_w", "view", "applied_w", "bound_by"),
    [
        (30_000.0, {}, 22_000.0, "rating"),
        (10_000.0, {"service_fraction": 0.25}, 5_500.0, "enter_service_ramp"),
        (10_000.0, {"curtail_charge": 0.5}, 5_000.0, "overcurrent"),
        (-10_000.0, {"curtail_discharge": float("nan")}, 0.0, "overcurrent"),
        (-10_000.0, {"blocks": Block.RELAY_FAILED}, 0.0, "relay"),
    ],
)
def test_what_bounds_the_power_that_it_may_be_told(
    power_w: float, view: dict[str, Any], applied_w: float, bound_by: str
) -> None:
    hand = Hand(power_w)
    hand.view = guard(**view)
    applied = hand.decide().applied
    assert (applied.power_w, applied.bound_by) == (pytest.approx(applied_w), bound_by)


def test_a_discharge_that_runs_does_not_grow_outside_the_frequency_window() -> None:
    hand = Hand(-4_000.0)
    hand.view, hand.power_w = guard(blocks=Block.NEW_DISCHARGE), -8_000.0
    hand.step()
    assert (hand.target.applied.power_w, hand.bound_by) == (-4_000.0, "frequency_window")


def test_the_lock_stays_until_an_order_opens_it_and_the_cable_is_dead() -> None:
    hand = Hand(0.0)
    hand.command = AcEvseCommand()
    assert hand.step().command.lock_connector  # type: ignore[union-attr]
    hand.measured = {"contactor_closed": False, "contactor_commanded": False}
    assert not hand.step().command.lock_connector  # type: ignore[union-attr]


def test_a_cable_whose_current_is_not_known_is_not_dead() -> None:
    hand = Hand(0.0)
    hand.command = AcEvseCommand()
    hand.measured = {
        "contactor_closed": False, "contactor_commanded": False, "current_a": (0.0, float("nan"), 0.0),
    }  # fmt: skip
    assert hand.step().command.lock_connector  # type: ignore[union-attr]


def test_a_restart_leaves_a_session_alone_for_a_moment() -> None:
    core = AcCore([LIMITS], T0)
    assert core.decide(guard(), T0 + 0.9)[E1].command is None
    assert core.decide(guard(permit=False), T0 + 0.9)[E1].command == AcEvseCommand(lock_connector=True)
    assert core.decide(guard(), T0 + 1.0)[E1].command is not None


@pytest.mark.parametrize(("rotation", "expected"), [("abc", (1, 2, 3)), ("bca", (3, 1, 2)), ("c", (0, 0, 1))])
def test_a_rotation_says_which_phase_of_the_bus_carries_what(rotation: str, expected: tuple[float, ...]) -> None:
    flow = bus_currents(reading(current_a=(1.0, 2.0, 3.0), power_w=(1.0, 2.0, 3.0)), rotation)
    assert flow.current_a == flow.power_w == expected


def test_a_command_for_the_other_kind_refuses_the_frame() -> None:
    core = WiresCore((), T0, ac_limits=[LIMITS])
    lease = {"evse_id": E1, "source": "test", "expires_at_s": T0 + 1.0}
    for command in (DcEvseCommand(), AcEvseCommand(pilot_duty_pct=101.0), AcEvseCommand(pilot_duty_pct=float("nan"))):
        with pytest.raises(SetpointsRefused):
            core.accept(Setpoints(sequence=1, sent_at_s=T0, evses=(EvseSetpoint(command=command, **lease),)), T0)
    assert core.accept(Setpoints(sequence=1, sent_at_s=T0, evses=(EvseSetpoint(command=CLOSE, **lease),)), T0) == ()


def test_state_f_is_ordered_with_an_open_contactor_only() -> None:
    hand = Hand(0.0)
    failed = AcEvseCommand(pilot_error=True)

    def ordered() -> bool:
        command = hand.step().command
        assert command is not None
        return command.pilot_error

    hand.command, hand.measured = failed, {"contactor_closed": True, "contactor_commanded": True}
    assert not ordered()
    hand.measured = {"contactor_closed": False, "contactor_commanded": True}
    assert not ordered()
    hand.measured = {"contactor_closed": False, "contactor_commanded": False}
    assert ordered()
    assert hand.core.commands_pilot_error(E1)
    later_s = hand.now_s + 2.0
    renewed = EvseSetpoint(evse_id=E1, command=failed, source="test", expires_at_s=later_s + 1.0)
    hand.core.lease_evse(renewed, later_s)
    stale = hand.decide(after_s=2.0).command
    assert stale is not None
    assert not stale.pilot_error, "the reading is old"
    hand.command = msgspec.structs.replace(CLOSE, pilot_error=True)
    assert not ordered(), "who wants the contactor closed gets no state F"
