from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.grid.alarm import MIN_ON_S, Alarm


def test_it_is_on_at_once_and_off_only_beyond_the_hysteresis() -> None:
    alarm = Alarm(59.5, 60.5, 0.02)
    assert not alarm.step(0.0, 59.5, 59.5)
    assert alarm.step(1.0, 59.49, 59.49)
    assert alarm.on
    assert not alarm.step(3.0, 59.51, 59.51)
    assert not alarm.step(4.0, 59.3, 59.3)
    assert alarm.step(5.0, 59.52, 59.52)
    assert not alarm.on
    assert alarm.farthest() == (59.3, 59.5)
    assert alarm.duration_s == 4.0


def test_it_stays_on_for_a_second_and_tells_how_long_the_quantity_was_outside() -> None:
    alarm = Alarm(0.88, 1.10, 0.005)
    assert alarm.step(10.0, 0.95, 1.12)
    assert not alarm.step(10.2, 1.0, 1.0)
    assert not alarm.step(10.99, 1.0, 1.0)
    assert alarm.step(11.0, 1.0, 1.0)
    assert alarm.farthest() == (1.12, 1.10)
    assert alarm.duration_s == pytest.approx(0.2)


@given(st.lists(st.tuples(st.floats(0.001, 0.5), st.floats(59.0, 61.0)), max_size=100))
def test_it_changes_at_most_twice_a_second(history) -> None:
    alarm, now_s, on_s = Alarm(59.5, 60.5, 0.02), 0.0, -10.0
    for elapsed_s, value in history:
        now_s += elapsed_s
        if alarm.step(now_s, value, value):
            if alarm.on:
                on_s = now_s
                assert not 59.5 <= value <= 60.5
            else:
                assert now_s - on_s >= MIN_ON_S
                assert 59.52 <= value <= 60.48
