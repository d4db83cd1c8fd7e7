"""What a restart goes on with."""

from __future__ import annotations

from math import inf, nan

import pytest

from support.thermal_following import PARAMS, Follow, kept, oil
from v2g.thermal.kept import KEPT_VALID_S
from v2g.thermal.model import ThermalState, steady_state, step


def test_a_restart_goes_on_from_the_kept_state_carried_over_the_outage() -> None:
    was = kept()
    got = Follow(was, 1e9 + 1800.0).run(5.0, 0.3)
    carried = step(ThermalState(88.0, 25.0, 0.0), PARAMS, 1.1, 33.0, 1800.0)
    assert got.no_power == ""
    assert got.state.theta_o_c == pytest.approx(carried.theta_o_c, abs=0.2)
    assert got.bias_k == 3.0
    assert got.margin_k == pytest.approx(1.0, abs=0.01)
    assert got.params.dtheta_hr_k == pytest.approx(1.1 * 23.0)


def test_a_restart_takes_the_steady_state_where_it_is_hotter() -> None:
    got = Follow(kept(theta_o_c=40.0, k_pu=0.2), 1e9 + 60.0).run(5.0, 1.3)
    assert got.state.theta_o_c == pytest.approx(oil(1.3) + 3.0, abs=0.1)


@pytest.mark.parametrize("unix_s", [1e9 + KEPT_VALID_S + 1.0, 1e9 - 1.0, 0.0, nan])
def test_too_old_or_a_clock_set_back_leaves_only_what_was_learned(unix_s: float) -> None:
    got = Follow(kept(), unix_s).run(5.0, 0.3)
    assert got.no_power == "top-oil was never measured"
    assert got.state == steady_state(PARAMS, 0.3, 25.0) or got.state.theta_o_c < 60.0
    assert got.bias_k == 3.0


@pytest.mark.parametrize(
    "damage", [{"theta_o_c": nan}, {"bias_k": inf}, {"k_pu": 1e9}, {"h1_k": -1e6}, {"gradient_factor": 0.0}]
)
def test_a_damaged_store_is_ignored(damage: dict[str, float]) -> None:
    got = Follow(kept(**damage), 1e9 + 1.0).run(5.0, 0.3)
    assert got.no_power == "top-oil was never measured"
    assert got.bias_k == 0.0


def test_a_sensor_frozen_low_across_a_restart_is_still_contradicted() -> None:
    follow = Follow(kept(theta_o_c=95.0), 1e9 + 60.0)
    got = follow.run(600.0, 1.1, 80.0)
    assert got.state.theta_o_c > 90.0


def test_nothing_is_kept_before_top_oil_was_measured_and_the_margin_is() -> None:
    follow = Follow()
    assert follow.estimator.kept(1e9) is None
    follow.run(10.0, 0.5)
    assert follow.estimator.kept(1e9) is None
    follow.run(10.0, 0.5, 45.0)
    follow.hours(2.0, 0.5, None)
    stored = follow.estimator.kept(1e9)
    assert stored is not None
    assert stored.margin_k == pytest.approx(4.0, abs=0.1)
    assert Follow(stored, 1e9 + 1800.0).run(5.0, 0.5).margin_k == pytest.approx(5.0, abs=0.1)
