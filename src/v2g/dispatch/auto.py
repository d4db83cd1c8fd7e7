"""What vehicles without an order do: who charges, who discharges, and how much together. Pure.

1. The net power that is aimed at: a set-point of the utility; else what is left between the base load as it is measured
   and the load that the plan (or ``peak_shaving_pu``) wants of the transformer. So peaks are shaved and valleys filled
   by what happens here, and a forecast that was wrong is corrected as it turns out. A floor above 0 or a cap below 0
   at the site moves it.
2. What exceeds the plan is taken from discharge first, then added to charge; what falls short is taken from charge,
   but for what cannot wait, then added to discharge.
3. A vehicle that would not get what its driver wants if it waited another :data:`SLACK_S` charges with all it can, and
   so do all together where the room that they share would not do. Nobody discharges who has nothing above its floors,
   or cannot wait.
4. Weights: by urgency (energy that is missing over the time that is left), or by the plan where it has more; so the
   plan says how much is charged together, and nobody in need waits for hours while another is served. Discharge by
   what each has to spare.
5. Where what is aimed at is less than the minimum power of a vehicle, or taken by those that cannot wait, it has its
   turn with that minimum all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum, inf, isfinite
from typing import Final

from v2g.dispatch.claims import LEAST_W, LEAST_WEIGHT, Service, claim_of, stated
from v2g.dispatch.constraints import Intersection
from v2g.dispatch.inputs import Aim, Vehicle

SLACK_S: Final = 900.0
"""A step of the plan: what is put off by less is not worth a risk for the driver."""
CHARGE_EFFICIENCY: Final = 0.9
"""Grid to battery, on the safe side, for the time that a charge takes."""
REST: Final = "auto: nothing to do"
TARGET_REACHED: Final = "auto: target reached"
LATER: Final = "later by the plan"
HURRY: Final = "auto: cannot wait"
OTHERS_FIRST: Final = "auto: others cannot wait"
_ROOM_SLACK: Final = 0.1
"""Of the time that all together take: what they share changes, and who has most to charge takes longest."""
_WAITING_WEIGHT: Final = 0.05
"""Of one that can wait, beside one that cannot."""


@dataclass(slots=True)
class AutoServices:
    """Both directions, and why each of the others rests. ``hurry``: the charge of those that cannot wait."""

    hurry: Service
    charge: Service
    discharge: Service
    resting: dict[str, str] = field(default_factory=dict)

    @property
    def all(self) -> tuple[Service, ...]:
        return self.hurry, self.charge, self.discharge

    @property
    def hurried(self) -> frozenset[str]:
        """Those that cannot wait."""
        return frozenset(claim.evse_id for claim in self.hurry.claims)


@dataclass(frozen=True, slots=True)
class _Free:
    vehicle: Vehicle
    limits: Intersection
    planned_w: float | None
    charge_w: float
    discharge_w: float
    needed_wh: float
    surplus_wh: float
    urgency_w: float
    must: bool


def auto_services(
    free: Sequence[tuple[Vehicle, Intersection]],
    aim: Aim,
    base_w: float | None,
    wish: tuple[float, float],
    charged: Mapping[str, float],
    discharged: Mapping[str, float],
    dwell_s: float,
    now_s: float,
    *,
    others_w: float = 0.0,
    hurried: Collection[str] = (),
    room_w: float = inf,
) -> AutoServices:
    """The claims of the vehicles in ``free`` under ``aim``.

    ``base_w``: of ``aim``, without its noise. ``wish``: net power (lo, hi) that the site's bounds ask for: lo above 0
    or hi below it, else 0 and 0. ``charged``, ``discharged``: when each vehicle last did so; it does not turn round
    within ``dwell_s`` of it, unless it cannot wait. ``others_w``: net power of the vehicles not in ``free``; it counts
    towards what is aimed at. ``hurried``: who could not wait before; so it stays until it has twice
    :data:`SLACK_S`, lest it starts and stops as its estimate moves. ``room_w``: what all together can be charged with
    for a long time.
    """
    everyone = [
        _free(vehicle, limits, aim, 2.0 * SLACK_S if vehicle.evse_id in hurried else SLACK_S, now_s)
        for vehicle, limits in free
    ]
    if not aim.power_w:
        everyone = _together(everyone, room_w, hurried, now_s)
    wish = (
        max(0.0, wish[0] - others_w) if wish[0] > 0.0 else 0.0,
        min(0.0, wish[1] - others_w) if wish[1] < 0.0 else 0.0,
    )
    must_w = fsum(each.charge_w for each in everyone if each.must)
    charge_w, discharge_w = _amounts(everyone, must_w, aim, base_w, wish, others_w)
    asked = aim.target_w is not None or wish[0] > 0.0
    giving = _giving(everyone, discharge_w, charged, dwell_s, now_s)
    services = AutoServices(
        hurry=Service(None, 1.0, must_w, source=HURRY),
        charge=Service(None, 1.0, charge_w, source=_source(aim, wish)),
        discharge=Service(None, -1.0, discharge_w, source=_source(aim, wish)),
    )
    planned_only = all(each.planned_w is not None and each.planned_w < 0.0 for each in giving)
    chosen = {each.vehicle.evse_id for each in giving}
    for each in everyone:
        evse_id = each.vehicle.evse_id
        if evse_id in chosen:
            weight = -(each.planned_w or 0.0) if planned_only else each.surplus_wh
            services.discharge.claims.append(claim_of(each.vehicle, services.discharge, each.limits, weight))
            continue
        if each.must:
            weight = max(each.urgency_w, LEAST_WEIGHT * each.charge_w)
            services.hurry.claims.append(claim_of(each.vehicle, services.hurry, each.limits, weight))
            continue
        weight = _charge_weight(each, asked) * (_WAITING_WEIGHT if must_w > 0.0 else 1.0)
        turning = now_s - discharged.get(evse_id, -inf) < dwell_s
        if weight > 0.0 and not turning and (charge_w > 0.0 or must_w > 0.0):
            services.charge.claims.append(claim_of(each.vehicle, services.charge, each.limits, weight))
        else:
            services.resting[evse_id] = _rest_words(each, turning, must_w)
    if charge_w < LEAST_W and must_w > 0.0:
        services.charge.source = OTHERS_FIRST
    if charge_w >= LEAST_W or must_w > 0.0:
        services.charge.turn_w = max((claim.minimum_w for claim in services.charge.claims), default=0.0)
    return services


def _free(vehicle: Vehicle, limits: Intersection, aim: Aim, slack_s: float, now_s: float) -> _Free:
    charge_w = max(0.0, stated(limits.hi_w, "")[0])
    discharge_w = max(0.0, stated(-limits.lo_w, "")[0])
    energy = vehicle.energy
    if energy is None:
        return _Free(vehicle, limits, None, charge_w, 0.0, 0.0, 0.0, 0.0, False)
    needed_wh = energy.needed_wh
    left_s = energy.departs_at_s - now_s
    takes_s = needed_wh / (CHARGE_EFFICIENCY * charge_w) * 3600.0 if charge_w > 0.0 else inf
    must = needed_wh > 0.0 and charge_w > 0.0 and left_s - takes_s < slack_s and not energy.departure_assumed
    if not energy.surplus_wh > 0.0:
        discharge_w = 0.0
    planned_w = aim.power_w.get(vehicle.evse_id)
    if planned_w is not None:
        # What it cannot do of a plan is left to the others.
        planned_w = max(-discharge_w, min(charge_w, planned_w)) if isfinite(planned_w) else None
    return _Free(
        vehicle,
        limits,
        planned_w,
        charge_w,
        discharge_w,
        needed_wh,
        energy.surplus_wh,
        energy.urgency_w(now_s),
        must,
    )


def _together(everyone: Sequence[_Free], room_w: float, hurried: Collection[str], now_s: float) -> list[_Free]:
    """Who cannot wait because the others cannot either: by the first departure at which all that is needed until then
    leaves no slack in ``room_w``."""
    if not 0.0 < room_w < inf:
        return list(everyone)
    late: set[str] = set()
    takes_s = 0.0
    queue = []
    for each in everyone:
        energy = each.vehicle.energy
        if energy is not None and not energy.departure_assumed and each.needed_wh > 0.0 and each.charge_w > 0.0:
            queue.append((energy.departs_at_s, each.vehicle.evse_id, each.needed_wh))
    queue.sort()
    for last, (departs_at_s, evse_id, needed_wh) in enumerate(queue):
        takes_s += needed_wh / (CHARGE_EFFICIENCY * room_w) * 3600.0
        slack_s = (2.0 if evse_id in hurried else 1.0) * (SLACK_S + _ROOM_SLACK * takes_s)
        if departs_at_s - now_s - takes_s < slack_s:
            late = {evse_id for _, evse_id, _ in queue[: last + 1]}
    return [replace(each, must=True) if each.vehicle.evse_id in late else each for each in everyone]


def _amounts(
    everyone: Sequence[_Free], must_w: float, aim: Aim, base_w: float | None, wish: tuple[float, float], others_w: float
) -> tuple[float, float]:
    """Charge of those that can wait, and discharge: of all together, magnitudes. ``must_w``: of those that cannot."""
    planned = bool(aim.power_w)
    charge_w = discharge_w = 0.0
    if planned:
        for each in everyone:
            if each.planned_w is None:
                # It came after the plan was made.
                charge_w += min(each.charge_w, max(each.urgency_w, each.vehicle.min_charge_w))
            elif each.planned_w > 0.0:
                charge_w += each.planned_w
            else:
                discharge_w -= each.planned_w
    charge_w = max(charge_w, must_w)
    net_w = charge_w - discharge_w
    if aim.target_w is not None and isfinite(aim.target_w):
        wanted_w = aim.target_w - others_w
    elif aim.level_w is not None and base_w is not None and isfinite(aim.level_w):
        wanted_w = aim.level_w - base_w - others_w
    else:
        wanted_w = net_w if planned else inf
    if wish[0] > 0.0:
        wanted_w = max(wanted_w, wish[0])
    if wish[1] < 0.0:
        wanted_w = min(wanted_w, wish[1])
    gap_w = wanted_w - net_w
    if gap_w >= 0.0:
        cut_w = min(discharge_w, gap_w)
        return charge_w + gap_w - cut_w - must_w, discharge_w - cut_w
    cut_w = min(charge_w - must_w, -gap_w)
    return charge_w - cut_w - must_w, discharge_w - gap_w - cut_w


def _giving(
    everyone: Sequence[_Free], discharge_w: float, charged: Mapping[str, float], dwell_s: float, now_s: float
) -> list[_Free]:
    """Who discharges: those that the plan lets, and only where they cannot give it all whoever else can."""
    if discharge_w < LEAST_W:
        return []
    able = [
        each
        for each in everyone
        if each.discharge_w > 0.0
        and not each.must
        # One that would do nothing with so little is free to charge.
        and each.vehicle.min_discharge_w <= discharge_w
        and now_s - charged.get(each.vehicle.evse_id, -inf) >= dwell_s
    ]
    planned = [each for each in able if each.planned_w is not None and each.planned_w < 0.0]
    if fsum(each.discharge_w for each in planned) >= discharge_w:
        return planned
    return able


def _charge_weight(each: _Free, asked: bool) -> float:
    """``asked``: the utility asks for charge, which whoever has room may take."""
    energy = each.vehicle.energy
    if energy is None:
        return each.charge_w
    takes = each.needed_wh > 0.0 or (asked and energy.room_wh > 0.0)
    hurry_w = max(each.urgency_w, LEAST_WEIGHT * each.charge_w) if takes else 0.0
    return hurry_w if each.planned_w is None else max(each.planned_w, hurry_w)


def _source(aim: Aim, wish: tuple[float, float]) -> str:
    if aim.target_w is not None or wish != (0.0, 0.0):
        return aim.target_source or "utility"
    return aim.source


def _rest_words(each: _Free, turning: bool, must_w: float) -> str:
    if turning:
        return "auto: rests before it turns round"
    if each.planned_w is not None and each.needed_wh > 0.0:
        return LATER
    if each.needed_wh <= 0.0 and each.vehicle.energy is not None:
        return TARGET_REACHED
    if must_w > 0.0:
        return OTHERS_FIRST
    return REST
