"""Harmonics in the parameters that are counted with."""

from __future__ import annotations

from math import inf, nan

import pytest

from support.thermal_following import Follow
from v2g.thermal.losses import harmonic_load_factor


def test_harmonics_are_in_the_parameters_are_held_for_ten_minutes_and_then_missed() -> None:
    follow = Follow()
    got = follow.run(10.0, 0.8, 60.0, f_hl=5.0)
    assert got.params.load_loss_factor == pytest.approx(harmonic_load_factor(5.0, 0.1), abs=1e-3)
    assert follow.run(590.0, 0.8, 60.0).params.load_loss_factor > 1.3
    got = follow.run(20.0, 0.8, 60.0)
    assert got.params.load_loss_factor == 1.0
    assert any("harmonics of the load current are no longer measured" in note for note in got.notes)


@pytest.mark.parametrize("f_hl", [nan, inf, 0.5, -1.0, 1e6])
def test_a_harmonic_factor_that_cannot_be_is_said_so(f_hl: float) -> None:
    got = Follow().run(5.0, 0.8, 60.0, f_hl=f_hl)
    assert got.params.load_loss_factor == 1.0
    assert "harmonic loss factor" in got.notes[0]
