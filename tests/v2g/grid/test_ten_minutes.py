from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.grid.ten_minutes import SLOT_S, SLOTS, TenMinuteVoltage


def run(voltage: TenMinuteVoltage, begin_s: float, seconds: float, v: float) -> float:
    for tick in range(round(seconds * 10) + 1):
        voltage.step(begin_s + tick * 0.1, (v, 1.0, v))
    return begin_s + seconds


@pytest.mark.parametrize("minutes", [1, 5, 9])
def test_what_is_not_known_counts_as_nominal(minutes: int) -> None:
    voltage = TenMinuteVoltage()
    run(voltage, 0.0, 60.0 * minutes, 1.12)
    expected = math.sqrt(minutes / 10 * 1.12**2 + (1 - minutes / 10))
    assert voltage.rms_pu[0] == pytest.approx(expected, abs=1e-3)
    assert voltage.rms_pu[1] == pytest.approx(1.0)


def test_after_ten_minutes_it_is_the_rms_of_what_was_measured() -> None:
    voltage = TenMinuteVoltage()
    now_s = run(voltage, 0.0, 300.0, 0.9)
    run(voltage, now_s, 300.0, 1.1)
    assert voltage.rms_pu[2] == pytest.approx(math.sqrt((0.9**2 + 1.1**2) / 2), abs=2e-3)
    run(voltage, 600.0, SLOT_S * SLOTS, 1.08)
    assert voltage.rms_pu[0] == pytest.approx(1.08, abs=1e-3)


def test_it_is_renewed_every_three_seconds() -> None:
    voltage = TenMinuteVoltage()
    run(voltage, 0.0, 2.9, 1.2)
    assert voltage.rms_pu == (1.0, 1.0, 1.0)
    run(voltage, 2.9, 0.2, 1.2)
    assert voltage.rms_pu[0] > 1.0


def test_a_gap_counts_as_nominal() -> None:
    voltage = TenMinuteVoltage()
    now_s = run(voltage, 0.0, 600.0, 1.15)
    assert voltage.rms_pu[0] == pytest.approx(1.15, abs=1e-3)
    run(voltage, now_s + 300.0, 3.1, 1.15)
    assert voltage.rms_pu[0] == pytest.approx(math.sqrt((1.15**2 + 1.0) / 2), abs=3e-3)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 2000.0), st.floats(0.0, 1.5)), max_size=100))
def test_it_stays_between_the_extremes_of_what_was_measured_and_nominal(history) -> None:
    voltage, now_s = TenMinuteVoltage(), 0.0
    lowest, highest = 1.0, 1.0
    for elapsed_s, v in history:
        now_s += elapsed_s
        lowest, highest = min(lowest, v), max(highest, v)
        rms = voltage.step(now_s, (v, v, v))[0]
        assert lowest - 1e-9 <= rms <= highest + 1e-9
