"""One cycle's decision: image and orders in, grants and site limits out. Pure.

No limit is carried over from the cycle before: one that is not stated now does not hold, and what is unknown, stale or
contradictory permits no power. What the dispatcher remembers are turns, ramps and who does not follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from v2g.control.guard_words import block_words, interlock_words, is_interlock, lost_words, operation_words
from v2g.dispatch.codes import DISCHARGE_TEST, GUARD, PREFLIGHT
from v2g.dispatch.constraints import Bound, Intersection, intersect
from v2g.dispatch.dispatcher import Dispatcher, Vehicle
from v2g.dispatch.orders import Allocation, Grant, Order
from v2g.dispatch.site import interval_bounds, permit_bounds, refuse_discharge, share_bounds
from v2g.grid.protection import Block
from v2g.guard.bounds import fraction
from v2g.guard.link import Image
from v2g.guard.status import MAX_AGE_S, GuardStatus, Permit
from v2g.guard.view import GuardView, view
from v2g.orchestrator.image import BayImage, SiteImage

IMAGE_MAX_AGE_S = 0.5
"""An image of the wires process older than this is no image."""
PERMIT_VALID_S = 0.5
_RAMP = "power rises after entering service"
NO_ISLANDING_DETECTION = "no loss-of-mains input, and the inverter's own islanding detection is not enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What holds until the next cycle. ``site_lo_w..site_hi_w``: what the site permits now, 0 within."""

    allocation: Allocation
    permitted: bool
    permit_reason: str
    site_lo_w: float
    site_hi_w: float
    lo_source: str
    hi_source: str

    grants: Mapping[str, Grant]
    """The allocation's grants by EVSE."""
    capability_w: tuple[float, float] = (0.0, 0.0)
    """What the vehicles here could discharge (0 or below) and charge now, within all limits but those of the mesh."""


def decide(image: SiteImage, orders: Sequence[Order], dispatcher: Dispatcher, now_s: float) -> Decision:
    """Share what orders and ``auto`` ask for among the vehicles in their loops, within all limits of this moment."""
    reason = permit_problem(image.wires, image.wires_connected, image.guard, now_s)
    until_s = now_s + PERMIT_VALID_S
    guard = view(image.guard)
    permit = permit_bounds(reason is None, reason or "", until_s)
    bounds: list[Bound] = list(permit)
    if reason is None:
        bounds += guard_bounds(guard, image.rated_charge_w, image.rated_discharge_w, until_s)
    thermal = image.transformer
    bounds += interval_bounds(
        min(0.0, thermal.lo_w), max(0.0, thermal.hi_w), thermal.lo_source, thermal.hi_source, thermal.expires_at_s
    )
    bounds += image.utility.bounds
    alone = intersect(bounds, now_s)
    bounds += image.mesh
    site = intersect(bounds, now_s)
    allowed_w = {each.evse_id: each.power_w for each in image.wires.applied} if image.wires is not None else {}
    vehicles = [
        _vehicle(bay, bay.bounds, guard, allowed_w.get(bay.evse_id, 0.0), until_s)
        for bay in image.bays
        if bay.bounds is not None
    ]
    if reason is not None:
        # It comes first here too: an inverter behind an open breaker is not connected, and that is not the reason.
        vehicles = [replace(each, bounds=(*permit, *each.bounds)) for each in vehicles]
    # Power may flow on for a moment where a session has ended: it is no base load either.
    strays_w = {bay.evse_id: bay.measured_w for bay in image.bays if bay.bounds is None and bay.measured_w is not None}
    allocation = dispatcher.step(vehicles, orders, bounds, image.groups, image.aim, now_s, strays_w)
    return Decision(
        allocation=allocation,
        grants={grant.evse_id: grant for grant in allocation.grants},
        permitted=reason is None,
        permit_reason=reason or "",
        site_lo_w=min(0.0, site.lo_w) if site.lo_w > -inf else 0.0,
        site_hi_w=max(0.0, site.hi_w) if site.hi_w < inf else 0.0,
        lo_source=site.lo_source,
        hi_source=site.hi_source,
        capability_w=_capability_w(alone, vehicles, now_s) if image.mesh else (0.0, 0.0),
    )


def _capability_w(alone: Intersection, vehicles: Sequence[Vehicle], now_s: float) -> tuple[float, float]:
    own = [intersect(vehicle.bounds, now_s) for vehicle in vehicles]
    charge_w = sum(max(0.0, each.hi_w) for each in own if each.hi_w < inf)
    discharge_w = sum(min(0.0, each.lo_w) for each in own if each.lo_w > -inf)
    lo_w = alone.lo_w if alone.lo_w > -inf else 0.0
    hi_w = alone.hi_w if alone.hi_w < inf else 0.0
    return min(0.0, max(lo_w, discharge_w)), max(0.0, min(hi_w, charge_w))


def guard_bounds(
    guard: GuardView, rated_charge_w: float, rated_discharge_w: float, until_s: float
) -> tuple[Bound, ...]:
    """What the guard takes from the whole site while it permits: a stop, its blocks, the ramp.

    Curtailment is not among them: it is a share of what flows, and ``wires`` multiplies each set-point by it. A share
    of the ratings here as well would take it twice.
    """
    if guard.stop:
        return (Bound(0.0, 0.0, f"{GUARD}: {operation_words(guard.stop)}", until_s),)
    bounds = [
        refuse_discharge(block_words(block_name(block)).what, until_s)
        for block in guard.blocks
        if block is not Block.NEW_DISCHARGE
    ]
    bounds += share_bounds(guard.service_fraction, rated_charge_w, rated_discharge_w, _RAMP, until_s)
    return tuple(bounds)


def block_name(block: Block) -> str:
    """Of one bit: ``relay_feedback``; of one that this version does not know, its number."""
    return (block.name or f"block {block.value}").lower()


def _vehicle(bay: BayImage, bounds: tuple[Bound, ...], guard: GuardView, allowed_w: float, until_s: float) -> Vehicle:
    """``allowed_w``: what ``wires`` allowed it last."""
    no_start = Block.NEW_DISCHARGE in guard.blocks
    if bay.ac_rated_w is not None:
        bounds = (*_told_bounds(bay.ac_rated_w, guard, allowed_w, until_s), *bounds)
    if bay.preflight_refusal:
        bounds = (Bound(0.0, inf, f"{PREFLIGHT}: {bay.preflight_refusal}", until_s), *bounds)
    if not bay.islanding_watched:
        bounds = (refuse_discharge(NO_ISLANDING_DETECTION, until_s), *bounds)
    if no_start and not bay.discharging:
        bounds = (refuse_discharge(block_words("new_discharge").what, until_s), *bounds)
    if bay.discharge_refusal:
        bounds = (Bound(0.0, inf, f"{DISCHARGE_TEST}: {bay.discharge_refusal}", until_s), *bounds)
    return Vehicle(
        evse_id=bay.evse_id,
        bounds=bounds,
        rated_charge_w=bay.rated_w[0],
        rated_discharge_w=bay.rated_w[1],
        energy=bay.energy,
        min_charge_w=bay.min_charge_w,
        min_discharge_w=bay.min_discharge_w,
        phases=bay.phases,
        measured_w=bay.measured_w,
    )


def _told_bounds(rated_w: tuple[float, float], guard: GuardView, allowed_w: float, until_s: float) -> tuple[Bound, ...]:
    """What ``wires`` bounds at each EVSE by itself. It commands an inverter to what is left, but holds the vehicle at
    an AC EVSE to it: that has to be told no more."""
    bounds = share_bounds(guard.service_fraction, *rated_w, _RAMP, until_s)
    if Block.NEW_DISCHARGE in guard.blocks:
        # ``wires`` holds what was ordered, before curtailment.
        share = fraction(guard.curtail_discharge)
        running_w = max(0.0, -allowed_w) / share if share > 0.0 else 0.0
        bounds = (Bound(0.0 - running_w, inf, f"{GUARD}: {block_words('new_discharge').what}", until_s), *bounds)
    return bounds


def permit_problem(wires: Image | None, connected: bool, guard: GuardStatus, now_s: float) -> str | None:
    """Why no energy may flow at all, in words; None where it may. ``connected``: the link to ``wires``."""
    if guard.permit is not Permit.GRANTED:
        return reason_words(guard)
    if not abs(now_s - guard.as_of_s) <= MAX_AGE_S:
        return permit_words(Permit.GUARD_STALE)
    if not connected:
        return "the link to v2g-guard wires is down"
    if wires is None:
        return "nothing was heard of v2g-guard wires yet"
    age_s = now_s - wires.as_of_s
    if not abs(age_s) <= IMAGE_MAX_AGE_S:
        return f"the last image of v2g-guard wires is {age_s:.1f} s old"
    if not wires.permit:
        return f"v2g-guard wires sees no permit ({wires.permit_reason})"
    return None


def permit_words(permit: Permit) -> str:
    """``Permit.ENTER_SERVICE_DELAY`` -> ``enter service delay``."""
    return permit.name.lower().replace("_", " ")


def reason_words(guard: GuardStatus) -> str:
    """Why the guard gives no permit: ``emergency stop pressed``, ``locked out by anna``, ``enter service delay``."""
    match guard.permit:
        case Permit.TRIPPED if is_interlock(guard.trip_element):
            return interlock_words(guard.trip_element).what
        case Permit.LOCKOUT if guard.locked_by:
            return f"locked out by {guard.locked_by}"
        case Permit.INTERLOCK if guard.interlocks_open or guard.interlocks_lost:
            opened = [interlock_words(name).what for name in guard.interlocks_open.names]
            return "; ".join([*opened, lost_words(guard.interlocks_lost.names)]).removesuffix("; ")
        case _:
            return permit_words(guard.permit)


def ending_words(guard: GuardStatus) -> str:
    """Why every session has to end now: an emergency stop, a lock; empty otherwise."""
    match view(guard).emergency:
        case "":
            return ""
        case "lockout":
            return f"locked out by {guard.locked_by}"
        case name:
            return interlock_words(name).what
