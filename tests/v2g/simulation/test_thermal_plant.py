"""The plant's transformer: steady states near the nameplate, time constants, and independence of the step."""

from __future__ import annotations

import math

import pytest

from v2g.simulation.thermal_plant import HeatBalance, TransformerPlant


def test_steady_state_at_rated_load_is_near_the_nameplate_but_not_on_it() -> None:
    plant = TransformerPlant(ambient_c=20.0, load_pu=1.0)
    assert 73.0 < plant.top_oil_c < 77.0
    assert 20.0 < plant.hot_spot_c - plant.top_oil_c < 25.0


def test_no_load_leaves_the_rise_of_iron_losses() -> None:
    plant = TransformerPlant(ambient_c=20.0, load_pu=0.0)
    constants = HeatBalance()
    share = constants.iron_loss_w / (constants.iron_loss_w + constants.copper_loss_w)
    assert plant.top_oil_c == pytest.approx(20.0 + constants.oil_rise_k * share ** (1 / constants.oil_exponent))
    assert plant.winding_c == pytest.approx(plant.top_oil_c)


def test_the_settled_state_is_where_the_equations_stand_still() -> None:
    plant = TransformerPlant(ambient_c=25.0, load_pu=0.8)
    before = plant.top_oil_c, plant.winding_c
    plant.step(0.8, 3600.0)
    assert (plant.top_oil_c, plant.winding_c) == pytest.approx(before, abs=1e-3)


def test_oil_and_winding_follow_a_load_step_with_their_time_constants() -> None:
    plant = TransformerPlant(ambient_c=20.0, load_pu=0.3)
    start = plant.top_oil_c, plant.winding_c - plant.top_oil_c
    settled = TransformerPlant(ambient_c=20.0, load_pu=1.0)
    end = settled.top_oil_c, settled.winding_c - settled.top_oil_c
    plant.step(1.0, 258.0)
    gradient = (plant.winding_c - plant.top_oil_c - start[1]) / (end[1] - start[1])
    oil = (plant.top_oil_c - start[0]) / (end[0] - start[0])
    assert 0.5 < gradient < 0.95
    assert oil < 0.05
    plant.step(1.0, 10_200.0)
    assert 1.0 - math.exp(-1.0) - 0.15 < (plant.top_oil_c - start[0]) / (end[0] - start[0]) < 0.95


def test_the_result_does_not_depend_on_how_time_is_divided() -> None:
    coarse = TransformerPlant(ambient_c=30.0, load_pu=0.3)
    fine = TransformerPlant(ambient_c=30.0, load_pu=0.3)
    coarse.step(1.2, 900.0)
    for _ in range(900 * 10):
        fine.step(1.2, 0.1)
    assert fine.top_oil_c == pytest.approx(coarse.top_oil_c, abs=1e-6)
    assert fine.winding_c == pytest.approx(coarse.winding_c, abs=1e-4)


def test_colder_air_than_oil_and_winding_never_diverges() -> None:
    plant = TransformerPlant(ambient_c=40.0, load_pu=0.5)
    plant.ambient_c = -30.0
    plant.winding_c = -10.0
    plant.step(0.0, 200_000.0)
    assert plant.ambient_c < plant.top_oil_c < -10.0
