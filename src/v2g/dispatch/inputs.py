"""What an allocation is made from: vehicles, groups with limits of their own, and what ``auto`` aims at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from v2g.dispatch.constraints import Bound
from v2g.dispatch.energy import Energy

Phases = tuple[float, float, float]
BALANCED: Final[Phases] = (1 / 3, 1 / 3, 1 / 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A vehicle whose charge loop runs. Powers at the EVSE's AC side, W.

    ``bounds``: every limit of its own (vehicle, EVSE, cable, min-SoC, guard); 0 is always permitted. ``phases``: share
    of its power in each phase of the bus. ``measured_w``: signed; None: not known, it then counts as following.
    """

    evse_id: str
    bounds: tuple[Bound, ...]
    rated_charge_w: float
    rated_discharge_w: float
    energy: Energy | None = None
    min_charge_w: float = 0.0
    min_discharge_w: float = 0.0
    phases: Phases = BALANCED
    measured_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Limits on the sum of several vehicles' powers: a phase, a feeder.

    ``shares``: the part (> 0) of a vehicle's power that counts; who is not in it is not in the group. ``bounds``
    intersect to an interval of W; one that excludes 0 forbids the other direction only.
    """

    name: str
    bounds: tuple[Bound, ...]
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What ``auto`` goes by besides the vehicles' energy.

    ``base_w``: base load of the transformer, positive downstream; None: not known, and no level is kept.
    ``level_w``: the load of the transformer that is aimed at, from the plan or ``peak_shaving_pu``: not passed by
    charging, and brought down to by discharge. ``power_w``: the plan's power of this step by EVSE; empty: no plan.
    ``target_w``: net power that the utility asks for; it replaces the level.
    """

    base_w: float | None = None
    level_w: float | None = None
    power_w: Mapping[str, float] = field(default_factory=dict)
    target_w: float | None = None
    target_source: str = ""
    source: str = "plan"
    enabled: bool = True
    """False: a vehicle without an order gets 0 W."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """As in the section ``dispatch`` of the configuration."""

    ramp_pu_s: float = 0.5
    dwell_s: float = 300.0
    unbalance_w: float | None = None
    rated_w: float = 0.0
    """Of the transformer; 1 % of it is too little a change of the base load to follow."""
