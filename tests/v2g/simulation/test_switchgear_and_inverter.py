"""Delays of contacts; the over-voltage relay; the inverter's set-point, reversion timer and loss of mains."""

from __future__ import annotations

import pytest

from v2g.simulation.inverter import SimInverter
from v2g.simulation.switchgear import OvervoltageRelay, Stuck, breaker, contactor

LIVE = (277.0, 277.0, 277.0)
DEAD = (0.0, 0.0, 0.0)


def inverter(**changes: object) -> SimInverter:
    made = SimInverter(rated_w=20_000.0, nominal_voltage_v=277.0, nominal_frequency_hz=60.0, **changes)
    made.wanted_w(0.0, 0.005, LIVE, 60.0)
    made.wanted_w(1.0, 0.005, LIVE, 60.0)
    assert made.connected
    return made


def run(made: SimInverter, start_s: float, seconds: float, volts=LIVE, hz: float = 60.0) -> float:
    steps = round(seconds / 0.005)
    for step in range(1, steps + 1):
        made.deliver(made.wanted_w(start_s + step * 0.005, 0.005, volts, hz), 0.005)
    return made.power_w


def test_the_breaker_opens_fifty_milliseconds_after_the_command() -> None:
    switch = breaker()
    switch.command(True, 10.0)
    switch.step(10.06)
    assert switch.closed
    switch.command(False, 20.0)
    switch.step(20.049)
    assert switch.closed
    switch.step(20.055)
    assert not switch.closed
    assert switch.changed_at_s == pytest.approx(20.05)


def test_a_breaker_that_began_to_open_completes_it() -> None:
    switch = breaker()
    switch.closed = True
    switch.command(False, 1.0)
    switch.command(True, 1.02)
    switch.step(1.05)
    assert not switch.closed
    switch.command(True, 1.06)
    switch.step(1.2)
    assert switch.closed


def test_a_contactor_command_withdrawn_in_time_moves_nothing() -> None:
    switch = contactor()
    switch.command(True, 1.0)
    switch.command(False, 1.05)
    switch.step(2.0)
    assert not switch.closed


def test_stuck_contacts_do_not_follow_and_recover_when_freed() -> None:
    switch = contactor()
    switch.stuck = Stuck.OPEN
    switch.command(True, 1.0)
    switch.step(2.0)
    assert not switch.closed
    switch.stuck = Stuck.NO
    switch.command(True, 3.0)
    switch.step(4.0)
    assert switch.closed
    switch.stuck = Stuck.CLOSED
    switch.command(False, 5.0)
    switch.step(6.0)
    assert switch.closed


def test_opening_under_load_is_counted() -> None:
    switch = contactor()
    switch.closed = True
    switch.command(False, 1.0)
    switch.step(2.0, current_a=-12.0)
    assert switch.opened_under_load == 1


def test_a_set_point_is_reached_by_the_ramp_and_only_while_enabled() -> None:
    made = inverter()
    made.setpoint_w = -10_000.0
    assert run(made, 1.0, 1.0) == 0.0
    made.enable(True, 2.0)
    assert run(made, 2.0, 0.25) == pytest.approx(-5_000.0)
    assert run(made, 2.25, 0.5) == pytest.approx(-10_000.0)


def test_set_points_beyond_the_rating_are_served_up_to_it() -> None:
    made = inverter()
    made.setpoint_w = -50_000.0
    made.enable(True, 1.0)
    assert run(made, 1.0, 2.0) == pytest.approx(-20_000.0)
    made.max_discharge_w = 4_000.0
    assert run(made, 3.0, 2.0) == pytest.approx(-4_000.0)
    made.limit_enabled, made.limit_pct = True, 10.0
    assert run(made, 5.0, 2.0) == pytest.approx(-2_000.0)


def test_the_reversion_timer_counts_down_and_reverts() -> None:
    made = inverter()
    made.revert_enabled, made.revert_setpoint_w = True, 0.0
    made.arm_reversion(3, 9.0)
    assert made.reversion_remaining_s(9.5) == 0, "nothing is enabled yet"
    made.setpoint_w = -5_000.0
    made.enable(True, 10.0)
    assert [made.reversion_remaining_s(10.0 + t) for t in (0.0, 0.5, 1.5, 2.5, 3.5)] == [3, 3, 2, 1, 0]
    run(made, 10.0, 2.9)
    assert made.power_w == pytest.approx(-5_000.0)
    run(made, 12.9, 0.6)
    assert (made.setpoint_w, made.enabled, made.reversions) == (0.0, True, 1)
    assert made.power_w == 0.0


def test_writing_the_time_again_restarts_the_timer() -> None:
    made = inverter()
    made.setpoint_w = -5_000.0
    made.arm_reversion(3, 10.0)
    made.enable(True, 10.0)
    made.arm_reversion(3, 12.0)
    run(made, 12.0, 2.5)
    assert made.power_w == pytest.approx(-5_000.0)
    run(made, 14.5, 1.0)
    assert made.reversions == 1
    assert not made.enabled, "WSetEnaRvrt was 0"


def test_a_dead_timer_shows_time_but_never_reverts() -> None:
    made = inverter(reversion_dead=True)
    made.setpoint_w = -5_000.0
    made.arm_reversion(3, 10.0)
    made.enable(True, 10.0)
    run(made, 10.0, 10.0)
    assert made.reversion_remaining_s(20.0) == 3
    assert made.power_w == pytest.approx(-5_000.0)


def test_loss_of_voltage_stops_at_once_and_service_returns_after_the_delay() -> None:
    made = inverter()
    made.setpoint_w = -5_000.0
    made.enable(True, 1.0)
    run(made, 1.0, 1.0)
    assert run(made, 2.0, 0.005, DEAD) == 0.0
    assert not made.connected
    run(made, 3.0, 0.9)
    assert not made.connected
    assert made.enter_service_remaining_s(3.9) == pytest.approx(0.1, abs=0.02)
    run(made, 3.9, 0.5)
    assert made.connected
    assert made.power_w < 0.0


def test_service_does_not_return_outside_the_window() -> None:
    made = inverter()
    run(made, 1.0, 0.1, DEAD)
    run(made, 2.0, 5.0, (300.0, 300.0, 300.0))
    assert not made.connected
    run(made, 7.0, 5.0, LIVE, 60.4)
    assert not made.connected
    made.permit_service = False
    run(made, 12.0, 5.0)
    assert not made.connected


def test_efficiency_costs_in_both_directions() -> None:
    made = inverter(efficiency=0.97)
    assert made.dc_power_w(10_000.0) == pytest.approx(9_700.0)
    assert made.dc_power_w(-9_700.0) == pytest.approx(-10_000.0)
    for power_w in (7_000.0, -7_000.0):
        assert made.ac_power_w(made.dc_power_w(power_w)) == pytest.approx(power_w)


def watch(relay: OvervoltageRelay, start_s: float, seconds: float, *v_pu: float) -> None:
    for step in range(1, round(seconds / 0.01) + 1):
        relay.step(start_s + step * 0.01, v_pu)


def test_the_relay_opens_when_one_phase_is_above_its_setting_for_its_delay() -> None:
    relay = OvervoltageRelay(setting_pu=1.10, delay_s=2.0)
    watch(relay, 0.0, 1.9, 1.0, 1.11, 1.0)
    assert relay.closed
    watch(relay, 1.9, 0.2, 1.0, 1.11, 1.0)
    assert not relay.closed
    assert relay.changed_at_s == pytest.approx(2.01, abs=0.015)


def test_the_relay_s_timer_starts_anew_after_a_return() -> None:
    relay = OvervoltageRelay(setting_pu=1.10, delay_s=2.0)
    watch(relay, 0.0, 1.5, 1.2, 1.2, 1.2)
    watch(relay, 1.5, 0.1, 1.10, 1.0, 1.0)
    watch(relay, 1.6, 1.5, 1.2, 1.2, 1.2)
    assert relay.closed


def test_the_relay_closes_again_five_seconds_after_the_voltage_is_back() -> None:
    relay = OvervoltageRelay(setting_pu=1.10, delay_s=0.1)
    watch(relay, 0.0, 1.0, 1.2, 1.2, 1.2)
    watch(relay, 1.0, 4.9, 1.0, 1.0, 1.0)
    assert not relay.closed
    watch(relay, 5.9, 0.2, 1.0, 1.0, 1.0)
    assert relay.closed
    assert relay.operations == 2


def test_the_test_button_makes_the_relay_operate_on_a_healthy_grid() -> None:
    relay = OvervoltageRelay(setting_pu=1.10, delay_s=0.5, testing=True)
    watch(relay, 0.0, 0.6, 1.0, 1.0, 1.0)
    assert not relay.closed


def test_a_welded_relay_stays_closed_and_a_jammed_one_opens() -> None:
    welded = OvervoltageRelay(setting_pu=1.10, delay_s=0.1, stuck=Stuck.CLOSED)
    watch(welded, 0.0, 1.0, 1.3, 1.3, 1.3)
    assert welded.closed
    jammed = OvervoltageRelay(stuck=Stuck.OPEN)
    watch(jammed, 0.0, 10.0, 1.0, 1.0, 1.0)
    assert not jammed.closed
