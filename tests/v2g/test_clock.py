from __future__ import annotations

from v2g.clock import Clock, ManualClock, SystemClock


def test_the_system_clock_does_not_run_backwards() -> None:
    clock: Clock = SystemClock()
    readings = [clock.monotonic_s() for _ in range(100)]
    assert readings == sorted(readings)
    assert clock.unix_s() > 1_700_000_000.0


def test_a_manual_clock_moves_only_when_told_and_both_hands_together() -> None:
    clock = ManualClock(monotonic_s=10.0, unix_s=2_000.0)
    assert (clock.monotonic_s(), clock.unix_s()) == (10.0, 2_000.0)
    clock.advance(2.5)
    assert (clock.monotonic_s(), clock.unix_s()) == (12.5, 2_002.5)
