"""Whether power flows, and whose: calibration and relay test take the feeder only while it rests. Pure."""

from __future__ import annotations

from v2g.control.server import Refused
from v2g.guard.status import GuardStatus
from v2g.orchestrator.site import Site
from v2g.sessions.watch import FLOWING_W
from v2g.units import format_power

REMEDY = "end it first: v2g-control dispatch --mode=idle"


def power_problem(site: Site, guard: GuardStatus, now_s: float, evse_id: str | None = None) -> str | None:
    """Who carries or is granted power, in words; None while everything rests. ``guard`` is fresh.

    ``evse_id``: of the EVSEs only this one is asked; the feeder always is.
    """
    asked = [evse_id] if evse_id is not None else list(site.bays)
    for each in asked:
        power_w = site.measured_w(each, now_s)
        if abs(power_w) > FLOWING_W:
            return f"power flows at {each}: {_flow(power_w)}; {REMEDY}"
    if abs(guard.feeder_w) > FLOWING_W:
        return f"power flows on the V2G feeder: {_flow(guard.feeder_w)}{_whose(site, now_s)}; {REMEDY}"
    grants = site.decision.grants if site.decision is not None else {}
    for each in asked:
        grant = grants.get(each)
        if grant is not None and grant.power_w != 0.0:
            whose = "auto" if grant.order_id is None else f"order {grant.order_id}"
            return f"{whose} gives {each} a power: {_flow(grant.power_w)}; {REMEDY}"
    return None


def require_idle(site: Site, guard: GuardStatus, now_s: float, done: str, evse_id: str | None = None) -> None:
    """Raises :class:`Refused` while power flows. ``done``: what is not done meanwhile, as ``calibrated``."""
    problem = power_problem(site, guard, now_s, evse_id)
    if problem is not None:
        raise Refused(f"nothing is {done} while power flows: {problem}", code="POWER_FLOWS")


def _whose(site: Site, now_s: float) -> str:
    found = [each for each in site.bays if abs(site.measured_w(each, now_s)) > FLOWING_W]
    return f" ({', '.join(found)})" if found else ""


def _flow(power_w: float) -> str:
    return f"{'charge' if power_w > 0 else 'discharge'} {format_power(abs(power_w))}"
