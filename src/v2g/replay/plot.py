"""The picture of a replay: voltages, frequency, the regions of the settings, trip and breaker."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from v2g.grid.settings import GridSettings, Measured, Operation
from v2g.replay.picture import new_figure, save
from v2g.replay.run import Outcome
from v2g.replay.stimulus import ReplayError

_PHASE_COLOURS = ("#c23b22", "#2f6db5", "#3b8f4a")
_REGION_COLOURS = {
    Operation.CONTINUOUS: "#e6f2e6",
    Operation.MANDATORY: "#fff6d6",
    Operation.PERMISSIVE: "#fde8d0",
    Operation.MOMENTARY_CESSATION: "#e3e3f5",
    Operation.CEASE: "#f5dcdc",
}
_MOST_POINTS = 20_000
_V_TOP_PU = 1.4


def draw(path: Path, outcome: Outcome, grid: GridSettings, title: str, offset_s: float = 0.0) -> None:
    """Write a PNG (or what the suffix says). Raises :class:`~v2g.replay.stimulus.ReplayError`."""
    if not outcome.steps:
        raise ReplayError(f"{path}: the event is too short for a picture; it needs more than three cycles")
    steps = outcome.steps[:: max(1, len(outcome.steps) // _MOST_POINTS)]
    times_s = [step.t_s + offset_s for step in steps]
    figure = new_figure(path)
    volts, frequency, breaker = figure.subplots(3, 1, sharex=True, height_ratios=(4, 4, 1))
    figure.suptitle(f"{title}\n{grid.profile}: {grid.standard}", fontsize=11)

    top = max(_V_TOP_PU, max(max(step.v_pu) for step in steps) * 1.05)
    _voltage_regions(volts, grid, top)
    for phase, colour in enumerate(_PHASE_COLOURS):
        volts.plot(times_s, [step.v_pu[phase] for step in steps], color=colour, lw=1.2, label=f"phase {'abc'[phase]}")
    volts.set(ylabel="V, p.u. (RMS of one cycle)", ylim=(-0.02, top))
    _thresholds(volts, grid, (Measured.VOLTAGE, Measured.VOLTAGE_10MIN))
    volts.legend(loc="lower left", fontsize=8, ncols=3)

    known = [math.nan if step.frequency_hz is None else step.frequency_hz for step in steps]
    nominal_hz = grid.nominal_frequency_hz
    finite = [hz for hz in known if math.isfinite(hz)] + [nominal_hz - 4.0, nominal_hz + 4.0]
    low, high = min(finite) - 0.2, max(finite) + 0.2
    _frequency_regions(frequency, grid, low, high)
    frequency.plot(times_s, known, color="#333333", lw=1.2)
    frequency.set(ylabel="f, Hz (gaps: not known)", ylim=(low, high))
    _thresholds(frequency, grid, (Measured.FREQUENCY,))

    breaker.step(times_s, [int(step.breaker_closed) for step in steps], where="post", color="#333333")
    breaker.set(ylim=(-0.2, 1.2), xlabel="t, s")
    breaker.set_yticks([0, 1], labels=["open", "closed"])
    if outcome.trip is not None:
        at_s = outcome.trip.at_s + offset_s
        for axis in (volts, frequency, breaker):
            axis.axvline(at_s, color="#c00000", lw=1.0, ls="--")
        volts.annotate(
            f"trip {outcome.trip.element}", (at_s, top * 0.95), color="#c00000", fontsize=9, ha="right", va="top",
            rotation=90,
        )  # fmt: skip
    save(figure, path)


def _voltage_regions(axis: Any, grid: GridSettings, top: float) -> None:
    for region in grid.ride_through.voltage if grid.ride_through else ():
        axis.axhspan(region.lo_pu, min(region.hi_pu, top), color=_REGION_COLOURS[region.operation], zorder=0, lw=0)


def _frequency_regions(axis: Any, grid: GridSettings, low: float, high: float) -> None:
    for region in grid.ride_through.frequency if grid.ride_through else ():
        axis.axhspan(
            max(region.lo_hz, low), min(region.hi_hz, high), color=_REGION_COLOURS[region.operation], zorder=0, lw=0
        )


def _thresholds(axis: Any, grid: GridSettings, quantities: tuple[Measured, ...]) -> None:
    low, high = axis.get_ylim()
    for setting in grid.trips.elements:
        if setting.quantity in quantities and low <= setting.threshold <= high:
            axis.axhline(setting.threshold, color="#888888", lw=0.8, ls=":")
            axis.annotate(
                f"{setting.element} {setting.threshold:g}, {setting.time_s:g} s",
                (1.0, setting.threshold), xycoords=("axes fraction", "data"), fontsize=7, ha="right", va="bottom",
                color="#555555",
            )  # fmt: skip
