"""What dispatch answers, as text for people. No sign is ever shown: the words charge and discharge are."""

from __future__ import annotations

from collections.abc import Sequence

from v2g.cli.render import flow, span, table
from v2g.control.messages import DispatchResult, EvseLine, SessionLine, VehicleGrant
from v2g.units import format_duration, format_power

_UNKNOWN = "?"


def dispatch_text(result: DispatchResult) -> str:
    """What became of an order."""
    lines = [_headline(result)]
    lines += [f"replaces order {other.order_id} by {other.by}" for other in result.replaced]
    for shortfall in result.shortfalls:
        where = f" at {shortfall.evse_id}" if shortfall.evse_id else ""
        why = f"{shortfall.source}: {shortfall.words}" if shortfall.words else shortfall.source
        lines.append(f"{format_power(abs(shortfall.missing_w))} short{where}: {shortfall.code}, bound by {why}")
    if len(result.grants) > 1:
        head = ("EVSE", "VEHICLE", "SOC", "MIN-SOC", "TO SPARE", "GRANTED", "BOUND BY")
        lines += ["", table(head, (_grant_row(grant) for grant in result.grants))]
    return "\n".join(lines)


def _headline(result: DispatchResult) -> str:
    duration = format_duration(result.duration_s)
    wanted = f"{result.mode} {format_power(abs(result.requested_w))}"
    if result.begins_in_s > 0:
        what = result.mode if result.mode in ("idle", "auto") else wanted
        return f"{what} for {duration}, beginning in {span(result.begins_in_s)} (order {result.order_id})"
    if result.mode == "idle":
        return f"idle for {duration} (order {result.order_id})"
    if result.mode == "auto":
        return f"auto (order {result.order_id})"
    if result.granted_w == 0:
        return f"{wanted}: nothing granted (order {result.order_id} stands for {duration})"
    granted = [grant for grant in result.grants if grant.power_w != 0]
    named = ", ".join(f"{g.evse_id} {format_power(abs(g.power_w))} ({g.vehicle})" for g in granted[:3])
    more = f" and {len(granted) - 3} more" if len(granted) > 3 else ""
    of = "" if _is_full(result) else f" of {format_power(abs(result.requested_w))}"
    return f"{flow(result.granted_w)}{of} granted for {duration}: {named}{more} (order {result.order_id})"


def _is_full(result: DispatchResult) -> bool:
    return abs(result.granted_w - result.requested_w) < 0.5


def _grant_row(grant: VehicleGrant) -> tuple[str, ...]:
    return (
        grant.evse_id,
        grant.vehicle,
        _percent(grant.soc_pct),
        _percent(grant.floor_pct),
        _energy(grant.surplus_wh),
        flow(grant.power_w),
        grant.bound_by or "",
    )


def vehicles_text(evses: Sequence[EvseLine]) -> str:
    """Who is plugged in, what each needs and can spare, and what it is doing for whom."""
    rows = [_vehicle_row(evse, evse.session) for evse in evses if evse.session is not None]
    if not rows:
        return "no vehicles"
    head = ("EVSE", "VEHICLE", "IDENTITY", "STATE", "SERVICE", "SOC", "MIN-SOC", "NEEDS", "TO SPARE", "LEAVES",
            "MAX CHARGE / DISCHARGE", "MEASURED", "GRANTED", "BY", "BOUND BY", "SINCE")  # fmt: skip
    remarks = [
        f"{evse.evse_id}: {remark}"
        for evse in evses
        if evse.session is not None and evse.session.energy is not None
        for remark in evse.session.energy.remarks
    ]
    return "\n".join([table(head, rows), *(["", *remarks] if remarks else [])])


def _vehicle_row(evse: EvseLine, session: SessionLine) -> tuple[str, ...]:
    energy = session.energy
    return (
        evse.evse_id,
        session.vehicle,
        session.identity or "not authenticated",
        session.state,
        session.service or "",
        _percent(session.soc_pct),
        _percent(energy.floor_pct) if energy is not None else "",
        _energy(energy.needed_wh) if energy is not None else "",
        _energy(energy.surplus_wh) if energy is not None else "",
        _leaves(session),
        f"{format_power(session.max_charge_w)} / {format_power(session.max_discharge_w)}",
        flow(evse.power_w),
        _granted(evse),
        "auto" if evse.auto else "order" if evse.granted_w or evse.share_w else "",
        _bound_by(evse),
        span(session.since_s),
    )


def _granted(evse: EvseLine) -> str:
    if not evse.share_w or abs(evse.share_w - evse.granted_w) < 1.0:
        return flow(evse.granted_w)
    return f"{flow(evse.granted_w)} of {format_power(abs(evse.share_w))}"


def _bound_by(evse: EvseLine) -> str:
    bound_by = evse.bound_by or ""
    return (
        f"{bound_by} (waits for {span(evse.waits_s)})" if evse.waits_s is not None and evse.waits_s >= 1.0 else bound_by
    )


def _leaves(session: SessionLine) -> str:
    if session.energy is None:
        return ""
    return f"in {span(session.energy.departs_in_s)}" + (" (assumed)" if session.energy.departure_assumed else "")


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:g} %"


def _energy(value_wh: float | None) -> str:
    return _UNKNOWN if value_wh is None else f"{value_wh / 1e3:.1f} kWh"
