"""What the own node of a mesh is told each cycle, and what its verdict means for the vehicles here. Pure."""

from __future__ import annotations

from math import isfinite

from v2g.dispatch.constraints import Bound
from v2g.mesh.messages import Flexible, Range
from v2g.mesh.node import Facts, Verdict
from v2g.orchestrator.decide import Decision
from v2g.orchestrator.image import SiteImage

MESH = "mesh"
"""How the sources of its bounds begin."""
_WAITS = {
    "": "more room is being asked for",
    "ramp": "power rises by its ramp",
    "acknowledgement": "not all members know yet what we take",
    "room": "no room is left",
}


def facts_of(image: SiteImage, decision: Decision) -> Facts:
    """Flow and base load as measured. Wanted is what orders and ``auto`` were given; all that the vehicles could take
    where the mesh keeps them from more."""
    thermal = image.transformer
    lo_w, hi_w = decision.capability_w
    held_charge = held_discharge = False
    charge_w = discharge_w = 0.0
    for grant in decision.allocation.grants:
        charge_w += max(0.0, grant.target_w, grant.power_w)
        discharge_w += min(0.0, grant.target_w, grant.power_w)
        if grant.bound_by is not None and grant.bound_by.startswith(MESH):
            held_charge |= grant.target_w >= 0.0
            held_discharge |= grant.target_w <= 0.0
    for shortfall in decision.allocation.shortfalls:
        if shortfall.source.startswith(MESH):
            held_charge |= shortfall.code == "FORWARD_FLOW_DENIED"
            held_discharge |= shortfall.code == "REVERSE_FLOW_DENIED"
    return Facts(
        flow_w=_number(thermal.load_w),
        base_w=_number(thermal.base_load_w),
        want_hi_w=hi_w if held_charge else min(hi_w, charge_w),
        want_lo_w=lo_w if held_discharge else max(lo_w, discharge_w),
        capability=Range(lo_w, hi_w),
        ahead=Range(_finite(min(0.0, thermal.lo_w)), _finite(max(0.0, thermal.hi_w))),
        top_oil_c=_number(thermal.top_oil_c),
        hot_spot_c=_number(thermal.hot_spot_c),
        flexible=Flexible(
            vehicles=sum(bay.bounds is not None for bay in image.bays),
            needed_wh=sum(bay.energy.needed_wh for bay in image.bays if bay.energy is not None),
            surplus_wh=sum(bay.energy.surplus_wh for bay in image.bays if bay.energy is not None),
        ),
        permit=decision.permit_reason[:160],
    )


def mesh_bounds(verdict: Verdict, base_load_w: float | None) -> tuple[Bound, ...]:
    """Of the V2G net power; 0 W is always within: base load that exceeds a limit forces nobody."""
    if base_load_w is None or not isfinite(base_load_w):
        return (Bound(0.0, 0.0, f"{MESH}: the transformer's load is not known", verdict.expires_at_s),)
    hi_w = max(0.0, verdict.import_w - base_load_w)
    lo_w = min(0.0, -verdict.export_w - base_load_w)
    return (
        Bound(lo_w, float("inf"), _source(verdict.export_by), verdict.expires_at_s),
        Bound(float("-inf"), hi_w, _source(verdict.import_by), verdict.expires_at_s),
    )


def _source(by: str) -> str:
    return f"{MESH}: {_WAITS.get(by, by)}"


def _number(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _finite(value: float) -> float:
    return max(-1e9, min(1e9, value)) if value == value else 0.0
