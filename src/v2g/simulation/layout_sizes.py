"""How big the simulation's DC EVSEs and its transformer are, by connector, and which phases its AC EVSEs have."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from v2g.simulation.battery import BatteryModel
from v2g.simulation.vehicle_spec import VehicleSpec

Connector = Literal["ccs", "mcs"]
RATED_KVA = 250.0
"""Of the transformer, as long as nobody charges with megawatts."""
MCS_KVA = 4_000.0
"""So much more for each EVSE of MCS."""

AC_ROTATIONS = ("abc", "b", "bca", "c", "cab", "a")
"""Of the AC EVSEs in turn: every second one is single-phase, and no phase is loaded by all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DcSize:
    """Ratings of a simulated DC EVSE, and of the vehicle there where nobody says otherwise."""

    rated_w: float
    max_current_a: float
    max_voltage_v: float
    vehicle_w: float
    vehicle_a: float
    battery: BatteryModel


DC_SIZES: dict[Connector, DcSize] = {
    "ccs": DcSize(
        rated_w=22_000.0,
        max_current_a=80.0,
        max_voltage_v=920.0,
        vehicle_w=11_000.0,
        vehicle_a=40.0,
        battery=BatteryModel(),
    ),
    "mcs": DcSize(
        rated_w=3_750_000.0,
        max_current_a=3_000.0,
        max_voltage_v=1_250.0,
        vehicle_w=1_200_000.0,
        vehicle_a=3_000.0,
        battery=BatteryModel(capacity_wh=700_000.0, nominal_voltage_v=1_050.0, resistance_ohm=0.005),
    ),
}


def rated_kva(connectors: Iterable[Connector]) -> float:
    """Of a transformer that carries these EVSEs."""
    return RATED_KVA + MCS_KVA * sum(connector == "mcs" for connector in connectors)


def rotations_of(specs: Sequence[VehicleSpec]) -> list[str]:
    """Of an AC EVSE the next of its turn among those with as many phases; three and one in turn where nobody asks."""
    turns = {count: itertools.cycle([r for r in AC_ROTATIONS if len(r) == count]) for count in (1, 3)}
    unasked = itertools.cycle(len(rotation) for rotation in AC_ROTATIONS)
    rotations = []
    for spec in specs:
        count: int = spec.phases if spec.phases is not None else next(unasked) if spec.kind == "AC" else 3
        rotations.append("abc" if spec.kind == "DC" else next(turns[count]))
    return rotations
