"""Limits by phase: what the transformer's and the feeder's currents leave to V2G power in each. Pure.

Vehicles on one phase load that phase alone, which neither the thermal model (a mean of three) nor the total tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

from v2g.dispatch.constraints import Bound
from v2g.dispatch.inputs import Group, Phases

NAMES: Final = "abc"
VALID_S: Final = 1.0
MARGIN: Final = 1.005
"""Of a phase over the mean of three, which the thermal limits hold: where phases are alike these are to bind first."""


def phase_groups(
    shares: Sequence[tuple[str, Phases]],
    *,
    rated_w: float,
    k_pu: float,
    base_w: tuple[Phases, Phases] | None,
    feeder_w: float | None,
    as_of_s: float,
) -> tuple[Group, ...]:
    """The groups of the phases.

    ``shares``: of each EVSE's power in each phase. ``rated_w``: of the transformer, three phases; ``k_pu``: its limit
    in force. ``base_w``: base load by phase, (at least, at most), positive downstream; None: not known by phase, and
    only the feeder's limit holds. ``feeder_w``: what the V2G feeder carries in one phase, magnitude; None: not stated.
    ``as_of_s``: when the base load was measured; limits end :data:`VALID_S` after it.
    """
    groups = []
    for index, name in enumerate(NAMES):
        bounds: list[Bound] = []
        if base_w is not None:
            least_w, most_w, rating_w = base_w[0][index], base_w[1][index], MARGIN * k_pu * rated_w / 3.0
            source = f"transformer current of phase {name}"
            bounds.append(_bound(-rating_w - least_w, rating_w - most_w, source, as_of_s + VALID_S))
        if feeder_w is not None:
            bounds.append(Bound(-feeder_w, feeder_w, f"feeder current of phase {name}", as_of_s + VALID_S))
        loads = {evse_id: phases[index] for evse_id, phases in shares if phases[index] > 0.0}
        if bounds and loads:
            groups.append(Group(name=f"phase {name}", bounds=tuple(bounds), shares=loads))
    return tuple(groups)


def measured_base_w(
    load_va: float, load_w: float, transformer_a: Phases, v2g_w: Sequence[tuple[Phases, float]]
) -> Phases:
    """The base load by phase: the transformer's apparent power, divided as its currents are, less the vehicles.

    ``load_w``: of all phases, positive downstream: currents have no direction, and all are taken to flow as the total
    does. ``v2g_w``: the power of each vehicle with its shares.
    """
    signed_va = -load_va if load_w < 0.0 else load_va
    total_a = sum(transformer_a)
    a, b, c = (
        signed_va * (transformer_a[p] / total_a if total_a > 0.0 else 1.0 / 3.0)
        - sum(phases[p] * power_w for phases, power_w in v2g_w)
        for p in range(3)
    )
    return a, b, c


def shares_of(letters: str, used: int | None = None) -> Phases:
    """``bca`` -> one third each; ``b`` -> all in b; of ``abc`` with two used phases one half in a and in b."""
    count = min(len(letters), used) if used else len(letters)
    a, b, c = (1.0 / count if name in letters[:count] else 0.0 for name in NAMES)
    return a, b, c


def _bound(lo_w: float, hi_w: float, source: str, until_s: float) -> Bound:
    if not (isfinite(lo_w) and isfinite(hi_w)):
        return Bound(0.0, 0.0, f"{source} unknown", until_s)
    return Bound(min(0.0, lo_w), max(0.0, hi_w), source, until_s)
