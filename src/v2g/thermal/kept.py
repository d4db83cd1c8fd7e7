"""What of the estimate survives a restart, and what it is worth after one. Pure."""

from __future__ import annotations

from math import isfinite
from typing import Final

import msgspec

from v2g.thermal.model import MAX_K_PU, ThermalState, step
from v2g.thermal.parameters import ThermalParameters

KEPT_VALID_S: Final = 3_600.0
"""Shorter than any oil time constant of the tables (90 to 210 min): what the load was meanwhile is not known, and
within an hour the oil has gone less than half of the way to wherever it led. Longer, and top-oil must be measured."""


RESUMED_K: Final = 5.0
"""A first reading no further than this below the kept top-oil, carried to now, is of the same oil."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What survives a restart."""

    unix_s: float
    theta_o_c: float
    h1_k: float
    h2_k: float
    bias_k: float
    gradient_factor: float
    k_pu: float
    ambient_c: float
    margin_k: float = 0.0
    """As it had widened: a restart does not make a lost sensor's temperature better known."""


def carried(kept: Kept, params: ThermalParameters, outage_s: float) -> ThermalState:
    """The state after an outage, if load and ambient went on as they were."""
    was = ThermalState(kept.theta_o_c, kept.h1_k, kept.h2_k)
    return step(was, params, kept.k_pu, kept.ambient_c + kept.bias_k, outage_s)


def hotter(one: ThermalState, other: ThermalState) -> ThermalState:
    """The warmer oil under the steeper winding."""
    steeper = one if one.h1_k - one.h2_k >= other.h1_k - other.h2_k else other
    return steeper.with_top_oil(max(one.theta_o_c, other.theta_o_c))


def resumed_c(carried_c: float, read_c: float, started_c: float) -> float:
    """Top-oil to go on with, by the first reading after a restart that started with ``started_c``.

    Oil that was cold a minute ago and still reads so is cold: the steady state of a load that has just risen, far above
    it, must not make its sensor a broken one. A reading below what was kept decides nothing.
    """
    return max(read_c, carried_c) if carried_c - RESUMED_K <= read_c < started_c else started_c


def sound(kept: Kept) -> bool:
    """Whether a transformer can have been like that; a store may have been damaged."""
    return (
        isfinite(kept.unix_s)
        and -60.0 <= kept.theta_o_c <= 250.0
        and -50.0 <= kept.h1_k <= 400.0
        and -50.0 <= kept.h2_k <= 400.0
        and -100.0 <= kept.bias_k <= 100.0
        and 0.1 <= kept.gradient_factor <= 10.0
        and 0.0 <= kept.k_pu <= MAX_K_PU
        and -100.0 <= kept.ambient_c <= 150.0
        and 0.0 <= kept.margin_k <= 100.0
    )
