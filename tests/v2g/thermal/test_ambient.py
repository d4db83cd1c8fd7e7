"""Ambient measured, lost, wrong, and beyond the usual service."""

from __future__ import annotations

import pytest

from support.thermal_following import Follow, oil
from v2g.thermal.losses import hot_ambient_factor
from v2g.thermal.sensed import TOP_OIL


def test_ambient_never_measured_is_the_fallback() -> None:
    got = Follow().run(5.0, ambient_c=None, top_oil_c=40.0)
    assert got.ambient_c == 40.0
    assert "40 °C assumed" in got.notes[0]


def test_lost_ambient_is_held_and_warms_to_the_fallback() -> None:
    follow = Follow()
    follow.run(10.0, 0.5, 45.0, 20.0)
    assert follow.run(10.0, 0.5, 45.0, None).ambient_c == pytest.approx(20.0, abs=0.1)
    assert follow.hours(1.0, 0.5, 45.0, None).ambient_c == pytest.approx(26.0, abs=0.1)
    got = follow.hours(5.0, 0.5, 45.0, None)
    assert got.ambient_c == 40.0
    assert got.bias_k == pytest.approx(0.0, abs=0.5)
    assert follow.run(1.0, 0.5, 45.0, 20.0).ambient_c == 20.0


def test_a_lost_ambient_warmer_than_the_fallback_stays() -> None:
    follow = Follow()
    follow.run(10.0, 0.5, 70.0, 47.0)
    assert follow.hours(5.0, 0.5, 70.0, None).ambient_c == 47.0


def test_an_ambient_that_falls_off_together_with_top_oil_does_not_cool_the_state() -> None:
    follow = Follow()
    truth = oil(1.0)
    follow.hours(1.0, 1.0, truth)
    got = follow.hours(10.0, 1.0, -40.0, -40.0)
    assert got.state.theta_o_c > truth - 1.0
    assert got.ambient_c >= 25.0


def test_without_top_oil_ambient_is_followed_down_only_so_far() -> None:
    follow = Follow()
    follow.hours(1.0, 1.0, oil(1.0))
    got = follow.run(60.0, 1.0, None, 25.0, dt=60.0)
    for n in range(140):
        got = follow.run(60.0, 1.0, None, 25.0 - 0.2 * n, dt=60.0)
    assert got.ambient_c == pytest.approx(10.0)
    assert any("followed down to" in note for note in got.notes)
    assert follow.run(60.0, 1.0, got.state.theta_o_c, -2.8, dt=60.0).sensors[TOP_OIL].value is not None
    assert follow.run(60.0, 1.0, got.state.theta_o_c, -2.8, dt=60.0).ambient_c == -2.8


@pytest.mark.parametrize(
    ("ambient_c", "words"),
    [(47.0, "above the 40 °C"), (-30.0, "below the -25 °C"), (-42.0, "below -40 °C"), (39.9, None), (-24.0, None)],
)
def test_ambient_beyond_the_usual_service_is_told(ambient_c: float, words: str | None) -> None:
    got = Follow().run(5.0, 0.8, oil(0.8, ambient_c), ambient_c)
    assert [words is not None and words in note for note in got.notes] == ([True] if words else [])
    assert got.params.load_loss_factor == pytest.approx(hot_ambient_factor(ambient_c), abs=1e-3)
