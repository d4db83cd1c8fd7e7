"""Days of a transformer as a recorder would have them: load, air, and oil by the house's own step."""

from __future__ import annotations

import math
from random import Random

import numpy as np

from v2g.simulation.thermal_plant import TransformerPlant
from v2g.thermal.calibration import CalibrationData
from v2g.thermal.model import steady_state, step
from v2g.thermal.parameters import ThermalParameters


def load_and_air(days: float, rng: Random) -> tuple[list[float], list[float]]:
    """By the minute: two peaks a day, days that differ, and wandering; air with its daily swing."""
    loads, air = [], []
    wander = level = 0.0
    for minute in range(round(days * 1440)):
        hour = minute / 60.0
        if minute % 1440 == 0:
            level = rng.gauss(0.55, 0.08)
        wander = 0.98 * wander + rng.gauss(0.0, 0.02)
        daily = 0.3 * math.sin((hour - 9) * math.pi / 12) + 0.15 * math.sin((hour - 3) * math.pi / 6)
        loads.append(abs(level + daily + wander))
        air.append(15 + 6 * math.sin((hour - 9) * math.pi / 12) + 4 * math.sin(hour * math.pi / 84))
    return loads, air


def record(
    params: ThermalParameters,
    days: float,
    seed: int,
    *,
    noise_k: float = 0.2,
    noise_min: float = 30.0,
    quantum_k: float = 0.0,
) -> CalibrationData:
    """Of a transformer that is ``params``; errors of ``noise_k`` last ``noise_min``, readings come in quanta."""
    rng = Random(seed)
    loads, air = load_and_air(days, rng)
    state = steady_state(params, loads[0], air[0])
    stays = math.exp(-1.0 / noise_min)
    error_k = rng.gauss(0.0, noise_k)
    oil, winding = [], []
    for k_pu, ambient_c in zip(loads, air, strict=True):
        state = step(state, params, k_pu, ambient_c, 60.0)
        error_k = stays * error_k + rng.gauss(0.0, noise_k * math.sqrt(1.0 - stays * stays))
        reading_c = state.theta_o_c + error_k
        oil.append(round(reading_c / quantum_k) * quantum_k if quantum_k else reading_c)
        winding.append(state.hot_spot_c + rng.gauss(0.0, noise_k))
    return CalibrationData(
        t_s=60.0 * np.arange(len(loads)),
        k_pu=np.array(loads),
        ambient_c=np.array(air),
        top_oil_c=np.array(oil),
        winding_c=np.array(winding),
    )


def plant_record(days: float, seed: int, quantum_k: float = 0.5) -> CalibrationData:
    """Of the simulation's plant, whose physics is another than the model's."""
    loads, air = load_and_air(days, Random(seed))
    plant = TransformerPlant(ambient_c=air[0], load_pu=loads[0])
    oil, winding = [], []
    for k_pu, ambient_c in zip(loads, air, strict=True):
        plant.ambient_c = ambient_c
        plant.step(k_pu, 60.0)
        oil.append(round(plant.top_oil_c / quantum_k) * quantum_k)
        winding.append(round(plant.hot_spot_c / quantum_k) * quantum_k)
    return CalibrationData(
        t_s=60.0 * np.arange(len(loads)),
        k_pu=np.array(loads),
        ambient_c=np.array(air),
        top_oil_c=np.array(oil),
        winding_c=np.array(winding),
    )
