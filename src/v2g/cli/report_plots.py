"""Which plots the report has, and what they say to who does not see them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from v2g.cli.report_data import Summary
from v2g.cli.report_series import Series, gaps
from v2g.cli.report_svg import Band, Curve, Level, Mark, Plot

MOST_SOC: Final = 8
_LEAST_V2G_KW: Final = 5.0
_AROUND: Final = 1.3
_LEAST_HZ: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """By the configuration; None: not known."""

    hot_spot_c: float | None = None
    top_oil_c: float | None = None
    rated_va: float | None = None
    k_pu: float | None = None
    nominal_hz: float | None = None
    life_h: float | None = None


def plots(summary: Summary, limits: Limits) -> Iterator[Plot]:
    """Those that have anything to show."""
    made = (_temperatures, _load, _v2g, _soc, _frequency)
    for make in made:
        plot = make(summary, limits)
        if plot is not None and any(not curve.series.is_empty for curve in plot.curves):
            yield plot


def _temperatures(summary: Summary, limits: Limits) -> Plot:
    series = summary.series
    levels = []
    if limits.hot_spot_c is not None:
        levels.append(Level(name=f"limit {limits.hot_spot_c:g}", value=limits.hot_spot_c, style=0))
    if limits.top_oil_c is not None:
        levels.append(Level(name=f"oil limit {limits.top_oil_c:g}", value=limits.top_oil_c, style=1))
    curves = [
        Curve(name="hot spot", series=series["hot_spot_c"], style=0),
        Curve(name="top oil", series=series["top_oil_c"], style=1),
        Curve(name="ambient", series=series["ambient_c"], style=2),
    ]
    return _plot(summary, "Temperatures of the transformer", "°C", curves, levels=levels)


def _load(summary: Summary, limits: Limits) -> Plot:
    levels = []
    if limits.rated_va is not None:
        levels.append(Level(name=f"rated {limits.rated_va / 1e3:g} kVA", value=limits.rated_va / 1e3, style=3))
        if limits.k_pu is not None and limits.k_pu != 1.0:
            most = limits.k_pu * limits.rated_va / 1e3
            levels.append(Level(name=f"limit {most:.0f} kVA", value=most, style=0))
    curves = [
        Curve(name="with V2G", series=_kilo(summary, "load_w"), style=0),
        Curve(name="base load", series=_kilo(summary, "base_w"), style=7),
    ]
    return _plot(summary, "Load of the transformer, in reverse below 0", "kW", curves, levels=levels, from_zero=True)


def _v2g(summary: Summary, limits: Limits) -> Plot:
    power = _kilo(summary, "v2g_w")
    most = max(abs(power.lowest or 0.0), abs(power.highest or 0.0)) * _AROUND
    most = max(most, _LEAST_V2G_KW)
    band = Band(name="permitted", low=_kilo(summary, "lo_w"), high=_kilo(summary, "hi_w"))
    return _plot(
        summary,
        "Power of all vehicles: charge above 0, discharge below",
        "kW",
        [Curve(name="vehicles", series=power, style=1)],
        bands=[] if band.low.is_empty else [band],
        within=(-most, most),
    )


def _soc(summary: Summary, limits: Limits) -> Plot | None:
    known = [evse for evse, series in summary.soc.items() if not series.is_empty]
    if not known:
        return None
    busiest = sorted(known, key=lambda evse: -summary.evse_wh.get(evse, 0.0))[:MOST_SOC]
    more = len(known) - len(busiest)
    title = "State of charge by EVSE" + (f", the {MOST_SOC} with most energy of {len(known)}" if more else "")
    curves = [
        Curve(name=_tail(evse), series=summary.soc[evse], style=number, ranged=False)
        for number, evse in enumerate(sorted(busiest))
    ]
    return _plot(summary, title, "%", curves, within=(0.0, 100.0), trips=False)


def _frequency(summary: Summary, limits: Limits) -> Plot:
    series = summary.series["frequency_hz"]
    nominal = limits.nominal_hz
    levels = [] if nominal is None else [Level(name=f"nominal {nominal:g}", value=nominal, style=7)]
    within = None if nominal is None else (nominal - _LEAST_HZ, nominal + _LEAST_HZ)
    return _plot(
        summary,
        "Frequency of the grid, with its extremes",
        "Hz",
        [Curve(name="frequency", series=series, style=1)],
        levels=levels,
        within=within,
    )


def _plot(
    summary: Summary,
    title: str,
    unit: str,
    curves: list[Curve],
    *,
    levels: list[Level] | None = None,
    bands: list[Band] | None = None,
    within: tuple[float, float] | None = None,
    from_zero: bool = False,
    trips: bool = True,
) -> Plot:
    shown = [curve for curve in curves if not curve.series.is_empty]
    marks = [Mark(unix_s=trip.unix_s, words=f"trip: {trip.element}") for trip in summary.trips[:200]] if trips else []
    return Plot(
        title=title,
        unit=unit,
        window=summary.window,
        zone=summary.zone,
        curves=shown,
        bands=bands or [],
        levels=levels or [],
        marks=marks,
        gaps=gaps(summary.recorded),
        words=" ".join([*(_words(curve, unit) for curve in shown), *(f"{level.name}." for level in levels or [])]),
        from_zero=from_zero,
        within=within,
    )


def _words(curve: Curve, unit: str) -> str:
    """What a reader hears in place of the picture."""
    return f"{curve.name} from {curve.series.lowest:.5g} to {curve.series.highest:.5g} {unit}."


def _kilo(summary: Summary, name: str) -> Series:
    """The same in thousands."""
    return summary.series[name].scaled(1e-3)


def _tail(name: str, most: int = 17) -> str:
    """EVSEs of a site differ at their ends."""
    return name if len(name) <= most else "…" + name[1 - most :]
