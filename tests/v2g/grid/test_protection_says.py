"""What the guard says besides closing and opening: operation, blocks and the lines of the log."""

from __future__ import annotations

import cmath
import math

import pytest

from support.guarded import TICK_S, Guarded, estimate, protection_settings
from v2g.grid.protection import Block, RelaySettings
from v2g.grid.settings import Operation


@pytest.mark.parametrize(
    ("v", "operation"),
    [
        (1.0, Operation.CONTINUOUS),
        (0.80, Operation.MANDATORY),
        (0.40, Operation.MOMENTARY_CESSATION),
        (1.15, Operation.MOMENTARY_CESSATION),
        (1.25, Operation.CEASE),
    ],
)
def test_the_ride_through_region_is_told_with_the_breaker_closed(v: float, operation: Operation) -> None:
    guard = Guarded().in_service()
    verdict = guard.tick(estimate(v))
    assert verdict.close
    assert verdict.operation is operation


def test_a_disturbance_is_told_when_it_begins_and_ends_with_its_extremes() -> None:
    guard = Guarded().in_service()
    guard.run(0.1, estimate(0.8))
    guard.run(0.1, estimate((0.7, 0.9, 0.95), 59.0))
    assert guard.run(2.0).operation is Operation.CONTINUOUS
    began, ended = guard.told("RIDE_THROUGH")
    assert (began["state"], began["operation"]) == ("began", "mandatory")
    assert ended["state"] == "ended"
    assert ended["duration_s"] == pytest.approx(0.2)
    assert (ended["lowest_v_pu"], ended["highest_v_pu"]) == (0.7, 1.0)
    assert (ended["lowest_hz"], ended["highest_hz"]) == (59.0, 60.0)
    warned, back = guard.told("VOLTAGE_WARNING") + guard.told("VOLTAGE_BACK")
    assert (warned["value"], warned["limit"]) == (0.8, 0.88)
    assert (back["value"], back["duration_s"]) == (0.7, pytest.approx(0.2))


def test_the_alarm_window_warns_and_blocks_new_discharge_and_never_trips() -> None:
    guard = Guarded().in_service()
    assert guard.tick().blocks is Block.NONE
    verdict = guard.run(100.0, estimate(1.0, 59.4))
    assert verdict.close
    assert Block.NEW_DISCHARGE in verdict.blocks
    back_s = guard.now_s + TICK_S
    assert Block.NEW_DISCHARGE in guard.run(9.9).blocks
    assert Block.NEW_DISCHARGE not in guard.run(0.2).blocks
    warned, back = guard.told("FREQUENCY_WARNING") + guard.told("FREQUENCY_BACK")
    assert (warned["value"], warned["limit"], warned["level"]) == (59.4, 59.5, "warning")
    assert back["duration_s"] == pytest.approx(100.0)
    assert back["at_s"] == pytest.approx(back_s, abs=0.05)
    assert not guard.told("RIDE_THROUGH")


@pytest.mark.parametrize("hz", [59.5, 60.0, 60.5])
def test_inside_the_alarm_window_nothing_is_blocked(hz: float) -> None:
    assert Guarded().in_service().run(1.0, estimate(1.0, hz)).blocks is Block.NONE


def test_a_jump_of_the_phase_angle_is_told_once_and_is_no_frequency() -> None:
    guard = Guarded().in_service()
    jump = math.radians(20.0)
    for tick in range(60):
        at_s = guard.now_s + TICK_S
        # Three cycles of window: the phasor turns while the jump passes through it.
        turned = jump * min(1.0, max(0.0, (tick - 20) / 5))
        turn = cmath.exp(1j * (math.tau * 60.0 * at_s + turned))
        phasors = (turn, turn * cmath.exp(-2j * math.pi / 3), turn * cmath.exp(2j * math.pi / 3))
        hz = 62.5 if tick in (22, 23) else 60.0
        # The last window before the jump is suspected shows a little of it.
        hz = 60.3 if tick == 20 else hz
        verdict = guard.tick(estimate(1.0, hz, v_phasor_pu=phasors, v1_pu=1.0))
        assert verdict.close
        if guard.told("PHASE_JUMP"):
            assert verdict.rocof_hz_s is None or abs(verdict.rocof_hz_s) < 0.01
    (jumped,) = guard.told("PHASE_JUMP")
    assert jumped["sequence_deg"] == pytest.approx(20.0, abs=2.0)
    assert jumped["a_deg"] == pytest.approx(20.0, abs=2.0)
    assert not guard.told("FREQUENCY_WARNING")
    assert not guard.told("RIDE_THROUGH")


def test_a_relay_that_failed_stays_failed_with_new_settings_until_a_test_proves_it() -> None:
    guard = Guarded().in_service()
    guard.run(0.4, estimate(1.12))
    assert Block.RELAY_FAILED in guard.tick().blocks
    guard.protection.adopt(protection_settings())
    assert Block.RELAY_FAILED in guard.tick().blocks
    guard.protection.relay_proved()
    assert Block.RELAY_FAILED not in guard.tick().blocks


def test_a_relay_without_statement_or_feedback_refuses_discharge_and_lets_the_breaker_close() -> None:
    guard = Guarded(protection_settings(relay=RelaySettings()))
    verdict = guard.run(0.3, relay_closed=None)
    assert verdict.close
    assert verdict.blocks == Block.RELAY_SETTING | Block.RELAY_FEEDBACK
    assert guard.told("RELAY_SETTING")
    assert guard.told("RELAY_FEEDBACK")


def test_a_grid_on_the_edge_of_the_window_fills_no_log() -> None:
    guard = Guarded(protection_settings(delay_s=300.0))
    for tick in range(1000):
        guard.tick(estimate(1.0, 60.1 if tick % 2 else 60.101))
    assert len(guard.events) <= 12
