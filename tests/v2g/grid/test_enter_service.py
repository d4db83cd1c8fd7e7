from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.grid import profiles
from v2g.grid.enter_service import EnterService
from v2g.grid.settings import EnterServiceSettings

NORMAL = (1.0, 1.0, 1.0)


def window(delay_s: float, ramp_s: float = 0.0, random_delay_s: float = 0.0) -> EnterServiceSettings:
    return EnterServiceSettings(0.917, 1.05, 59.5, 60.1, delay_s, ramp_s, random_delay_s)


def test_the_window_must_hold_without_a_break() -> None:
    service = EnterService(window(5.0))
    assert not service.step(0.0, NORMAL, 60.0)
    assert service.remaining_s == 5.0
    assert not service.step(4.0, NORMAL, 60.0)
    assert service.remaining_s == pytest.approx(1.0)
    assert not service.step(4.5, NORMAL, None)
    assert not service.in_window
    assert service.remaining_s == 5.0
    assert not service.step(5.0, NORMAL, 59.5)
    assert not service.step(9.9, (0.917, 1.05, 1.0), 60.1)
    assert service.step(10.0, NORMAL, 60.0)
    service.reset()
    assert not service.ready
    assert service.remaining_s == 5.0


@pytest.mark.parametrize(
    ("v_pu", "frequency_hz"),
    [
        ((1.0, 1.0, 0.9169), 60.0),
        ((1.0, 1.0501, 1.0), 60.0),
        (NORMAL, 59.499),
        (NORMAL, 60.101),
        (NORMAL, None),
    ],
)
def test_one_quantity_outside_is_outside(v_pu: tuple[float, float, float], frequency_hz: float | None) -> None:
    service = EnterService(window(0.0))
    assert service.step(0.0, NORMAL, 60.0)
    assert not service.step(0.01, v_pu, frequency_hz)
    assert not service.in_window


def test_the_defaults_of_ieee_1547_wait_five_minutes() -> None:
    service = EnterService(profiles.resolve(nominal_frequency_hz=60.0).enter_service)
    assert not service.step(0.0, NORMAL, 60.0)
    assert not service.step(299.99, NORMAL, 60.0)
    assert service.step(300.0, NORMAL, 60.0)


def test_the_random_delay_comes_on_top_and_is_drawn_anew_for_each_entry() -> None:
    draws = iter([0.25, 0.75])
    service = EnterService(window(1.0, random_delay_s=300.0), lambda: next(draws))
    assert not service.step(0.0, NORMAL, 60.0)
    assert service.remaining_s == pytest.approx(1.0 + 0.25 * 300.0)
    assert not service.step(75.9, NORMAL, 60.0)
    assert service.step(76.0, NORMAL, 60.0)
    service.reset()
    service.step(100.0, NORMAL, 60.0)
    assert service.remaining_s == pytest.approx(1.0 + 0.75 * 300.0)


def test_without_a_random_delay_nothing_is_drawn() -> None:
    def never() -> float:
        raise AssertionError("drawn")

    assert EnterService(window(0.0), never).step(0.0, NORMAL, 60.0)


def test_while_something_else_keeps_it_out_the_window_is_judged_and_the_delay_stands() -> None:
    service = EnterService(window(1.0))
    service.step(0.0, NORMAL, 60.0)
    service.hold(0.9, NORMAL, 60.0)
    assert service.in_window
    assert service.remaining_s == 1.0
    assert not service.step(1.9, NORMAL, 60.0)
    assert service.step(2.9, NORMAL, 60.0)
    service.hold(3.0, NORMAL, 61.0)
    assert not service.in_window


@pytest.mark.parametrize(
    ("after_s", "fraction"), [(0.0, 0.0), (75.0, 0.25), (299.0, 299 / 300), (300.0, 1.0), (400.0, 1.0)]
)
def test_power_rises_in_a_straight_line_over_the_ramp(after_s: float, fraction: float) -> None:
    service = EnterService(window(0.0, ramp_s=300.0))
    assert service.fraction(10.0) == 0.0
    service.enter(10.0)
    assert service.fraction(10.0 + after_s) == pytest.approx(fraction)


@pytest.mark.parametrize("settings", [window(0.0), window(0.0, ramp_s=300.0, random_delay_s=300.0)])
def test_without_a_ramp_or_with_a_random_delay_power_rises_at_once(settings: EnterServiceSettings) -> None:
    service = EnterService(settings)
    service.enter(10.0)
    assert service.fraction(10.0) == 1.0


def test_new_settings_start_the_delay_over_and_keep_the_ramp() -> None:
    service = EnterService(window(0.0, ramp_s=100.0))
    service.step(0.0, NORMAL, 60.0)
    service.enter(0.0)
    service.step(4.0, NORMAL, 60.0)
    service.adopt(window(5.0, ramp_s=200.0))
    assert service.remaining_s == 5.0
    assert not service.step(8.0, NORMAL, 60.0)
    assert service.remaining_s == 5.0
    assert service.fraction(50.0) == pytest.approx(0.25)


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.8, 1.2), st.one_of(st.none(), st.floats(58, 62))), max_size=60))
def test_it_is_never_ready_before_the_window_has_held_for_the_delay(history) -> None:
    settings = window(1.0)
    service, now_s, since_s = EnterService(settings), 0.0, None
    for elapsed_s, v, f in history:
        now_s += elapsed_s
        inside = settings.contains((v, 1.0, v), f)
        since_s = (now_s if since_s is None else since_s) if inside else None
        assert service.step(now_s, (v, 1.0, v), f) == (since_s is not None and now_s - since_s >= 1.0)
        assert service.in_window == inside
        assert 0.0 <= service.remaining_s <= 1.0
