"""Why the transformer denies power, in words: the temperature, its limit, and when it may be granted."""

from __future__ import annotations

from typing import Final

from v2g.orchestrator.thermal_clock import ThermalClock
from v2g.thermal.limits import AGEING, COLD_OIL, CURRENT, HELD, HOT_SPOT, RATED_CURRENT, TOP_OIL, UNKNOWN
from v2g.thermal.view import ThermalView
from v2g.units import format_power

_EXPIRED: Final = " expired"
_REFUSED_W: Final = 0.5
_TOLD_MARGIN_K: Final = 0.05


def denial_words(source: str, view: ThermalView, *, discharge: bool = True, granted_at: str = "") -> str:
    """What stands behind a shortfall whose ``source`` is a thermal one; empty for any other source.

    ``granted_at``: the time of day that :func:`granted_in_s` from now is, for people; empty: not told.
    """
    if not source.startswith("thermal"):
        return ""
    if source.endswith(_EXPIRED):
        return "the thermal model's last word is too old: no power until it works again; see daemon.log"
    limit = source.removesuffix(HELD)
    if limit == UNKNOWN or limit.startswith("thermal:"):
        why = "implausible temperatures or loads" if limit == UNKNOWN else limit.removeprefix("thermal:").strip()
        return f"the transformer's thermal state is not known ({why}): no power until it is; see v2g-tool thermal"
    held = "the limit was narrowed and widens slowly" if source.endswith(HELD) else ""
    parts = (_limit_words(limit, view, discharge), held, _when(view, discharge, granted_at))
    return "; ".join(part for part in parts if part)


def denial_words_at(
    source: str, view: ThermalView, clock: ThermalClock, now_s: float, *, discharge: bool = True
) -> str:
    """The same with the site's time of day; ``now_s``: CLOCK_MONOTONIC."""
    in_s = granted_in_s(view, discharge=discharge)
    at = "" if in_s is None else clock.time_of_day(now_s, in_s)
    return denial_words(source, view, discharge=discharge, granted_at=at)


def granted_in_s(view: ThermalView, *, discharge: bool = True) -> float | None:
    """When some power may be granted where none is now; None: some is, or not within a day."""
    return view.lo_granted_in_s if discharge else view.hi_granted_in_s


def _limit_words(limit: str, view: ThermalView, discharge: bool) -> str:
    limits = view.limits
    if limit in (HOT_SPOT, AGEING):
        limit_c = limits.hot_spot_c if limits is not None else None
        words = _temperature(
            "hot-spot", view.hot_spot_c, view.ahead_hot_spot_c, limit_c, limit, view, discharge, view.hot_spot_margin_k
        )
        return f"{words}, which is what today's ageing budget leaves" if limit == AGEING else words
    if limit == TOP_OIL:
        limit_c = limits.top_oil_c if limits is not None else None
        return _temperature(
            "top-oil", view.top_oil_c, view.ahead_top_oil_c, limit_c, limit, view, discharge, view.margin_k
        )
    k_limit = f" of K = {limits.k_pu:g}" if limits is not None else ""
    if limit == COLD_OIL:
        oil = "" if view.top_oil_c is None else f" of {view.top_oil_c:.1f} °C"
        to = f" to K = {limits.k_pu:.2f}" if limits is not None else ""
        return f"cold oil{oil} limits the load{to} until it warms"
    if limit in (CURRENT, RATED_CURRENT):
        now = "" if view.k_pu is None else f" (K = {view.k_pu:.2f} now)"
        alone = "base load alone takes" if view.base_source == limit else "more would take"
        guard = ", where the guard curtails (protection.transformer.rated_a)" if limit == RATED_CURRENT else ""
        return f"{alone} the load beyond its limit{k_limit}{guard}{now}"
    return f"limited by {limit}"


def _temperature(
    name: str,
    now_c: float | None,
    ahead_c: float | None,
    limit_c: float | None,
    limit: str,
    view: ThermalView,
    discharge: bool,
    margin_k: float,
) -> str:
    its_limit = "its limit" if limit_c is None else f"its limit of {limit_c:g} °C"
    if now_c is None:
        return f"{name} would reach {its_limit}"
    now = f"{name} {now_c:.1f} °C"
    if margin_k >= _TOLD_MARGIN_K:
        now += f" with a margin of {margin_k:.1f} K"
    binds_in_s = view.lo_binds_in_s if discharge else view.hi_binds_in_s
    in_time = "" if binds_in_s is None else f" in {_minutes(binds_in_s)}"
    if limit_c is not None and now_c + margin_k > limit_c:
        return f"{now} is above {its_limit}"
    if view.base_source == limit:
        return f"{now} is forecast to pass {its_limit}{in_time} by base load alone"
    if limit_c is not None and ahead_c is not None and ahead_c + margin_k > limit_c:
        return f"{now} is forecast to reach {ahead_c:.1f} °C, above {its_limit}"
    return f"{now} would reach {its_limit}{in_time}"


def _when(view: ThermalView, discharge: bool, granted_at: str) -> str:
    permitted_w = -view.lo_w if discharge else view.hi_w
    in_s = granted_in_s(view, discharge=discharge)
    at = f" ({granted_at})" if granted_at else ""
    if permitted_w >= _REFUSED_W:
        now = f"{'discharge' if discharge else 'charge'} up to {format_power(permitted_w)} is permitted now"
        return now if in_s is None else f"{now}, more may be granted in about {_minutes(in_s)}{at}"
    if in_s is None:
        return "" if view.limits is None else "not to be granted within a day, as things go"
    return f"may be granted in about {_minutes(in_s)}{at}"


def _minutes(seconds: float) -> str:
    """Rounded up: what may be granted earlier than told disappoints nobody."""
    minutes = max(1, -int(-seconds // 60.0))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
