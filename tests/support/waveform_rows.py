"""Judges the protective estimator by the waveform tests, a row at a time, against the limits of the reference data.

Class P of the synchrophasor limits where the spec points there; class M too where three cycles can keep it. The tables
are in two states, as found and as amended: the amended one is judged by, the other told beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from support.waveform_judge import CYCLES, Array, Conditions, Figure, Figures, Run, runs
from v2g.grid.estimate import FREQUENCY_FLOOR_PU
from v2g.grid.rate import ROCOF_WINDOW_S, PhaseJumpDetector
from v2g.grid.trip import MIN_INTENTIONAL_DELAY_S

TICK_S = 0.01
TRANSIENT_HZ = 0.1
"""IEEE 1547-2018 Table 3, over five cycles."""
TRANSIENT_PCT = 2.0
METERING_HZ = 0.010
RESPONSE_STEPS = 24
"""Reports a cycle for the response times."""
DETECTOR_DEG, DETECTOR_S = 2.0, 0.1
UNFLAGGED_HZ = 0.4
"""Beyond this a frequency has to be flagged: below it no trip threshold is reached from the continuous range."""
LOSS_OF_MAINS_HZ_S = 1.0
"""Of the European profiles that have such an element, for half a second."""
STEADY, DYNAMIC = "steady", "dynamic"


_NOISE = "the noise of a slope over 100 ms at 60 dB; three decades better without noise"
REASONS: dict[tuple[str, str], str] = {
    ("W01", "P RFE (as read)"): _NOISE,
    ("W01", "M RFE (as read)"): _NOISE,
    ("W03", "P RFE (as read)"): _NOISE,
    ("W11", "TVE response (as read)"): "set by the three-cycle window, whose rejection of harmonics is worth it",
    ("W11", "RFE response"): "a rate of change is taken over 100 ms, six cycles of 60 Hz, plus the window, and never "
    "faster (no trip on unfiltered ROCOF); while the jump is inside, the detector flags it",
    ("W11", "RFE response (as read)"): "as above",
}  # fmt: skip
"""By row and figure: what three cycles cannot keep, and why that is right for protection."""


def judge(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions) -> list[Figure]:
    """All figures of one row; empty where the protective estimator is not judged by it."""
    figures = Figures(row["id"])
    if row["id"] in _JUDGES:
        _JUDGES[row["id"]](row, limits, conditions, figures)
    return list(figures.found.values())


def _class(figures: Figures, run: Run, limits: dict[str, Any], pmu_class: str, keep: tuple[str, ...]) -> None:
    """TVE, FE and RFE of one run against the limits of one table and class."""
    clear = run.clear(run.tag_s, run.half_s)
    if "TVE" in keep:
        figures.note(f"{pmu_class} TVE", "%", limits["TVE_pct"], 100 * run.vector_error()[clear], run)
    if "FE" in keep:
        limit, as_read = _of_class(limits, "FE_amended" if "FE_amended" in limits else "FE_hz", pmu_class), None
        if "FE_as_read" in limits:
            as_read = _of_class(limits, "FE_as_read", pmu_class)
        figures.note(
            f"{pmu_class} FE", "Hz", limit, run.frequency_error()[clear], run,
            as_read=as_read if as_read != limit else None,
        )  # fmt: skip
    if "RFE" in keep:
        middle_s, slopes = run.rocof()
        inside = run.clear(middle_s, ROCOF_WINDOW_S / 2 + run.half_s)
        errors = (slopes - run.waveform.rocof_hz_s(middle_s))[inside]
        figures.note(
            f"{pmu_class} RFE", "Hz/s", _of_class(limits, "RFE_amended", pmu_class), errors, run,
            as_read=_of_class(limits, "RFE_as_read", pmu_class),
        )  # fmt: skip


def _of_class(limits: dict[str, Any], name: str, pmu_class: str) -> float | None:
    value = limits[name]
    return value[pmu_class] if isinstance(value, dict) else value


ALL = ("TVE", "FE", "RFE")


def _w01(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions):
        if abs(run.waveform.parameters["offset_hz"]) <= 2:
            _class(figures, run, limits[STEADY]["frequency_range"], "P", ALL)
        _class(figures, run, limits[STEADY]["frequency_range"], "M", ALL)


def _w02(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions):
        v_pu = run.waveform.parameters["v_pu"]
        if 0.8 <= v_pu <= 1.2:
            _class(figures, run, limits[STEADY]["magnitude_voltage"], "P", ("TVE",))
        _class(figures, run, limits[STEADY]["magnitude_voltage"], "M", ("TVE",))
        figures.note("RMS", "% nom.", TRANSIENT_PCT, 100 * run.rms_error(), run)
        if v_pu < FREQUENCY_FLOOR_PU:
            figures.note("frequencies told below the floor", "", 0, np.isfinite(run.frequency()).sum(), run)


def _w03(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions):
        order, pmu_class = run.waveform.parameters["order"], run.waveform.parameters["class"]
        if order * run.waveform.f0_hz < run.rate_hz / 2:
            keep = ALL if pmu_class == "P" else ("TVE", "FE")
            _class(figures, run, limits[STEADY]["harmonic_single"], pmu_class, keep)


def _w04(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    """Metering is judged by 10 mHz; protection by its own 100 mHz."""
    for run in runs(row, conditions):
        figures.note("FE, transient", "Hz", TRANSIENT_HZ, run.frequency_error(), run)
        figures.note("RMS", "% nom.", TRANSIENT_PCT, 100 * run.rms_error(), run)


def _w06(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions):
        if run.waveform.parameters["fm_hz"] <= 2:
            _class(figures, run, limits[DYNAMIC]["modulation"], "P", ALL)
        _class(figures, run, limits[DYNAMIC]["modulation"], "M", ALL)


def _w08(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    """Class P asks for 2 Hz of the ramp, M for 5; both are taken over the 5."""
    for run in runs(row, conditions):
        for pmu_class in ("P", "M"):
            _class(figures, run, limits[DYNAMIC]["ramp"], pmu_class, ALL)


def _w09(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions):
        clear = run.clear(run.tag_s, run.half_s)
        figures.note("FE", "Hz", METERING_HZ, run.frequency_error()[clear], run)
        middle_s, slopes = run.rocof()
        inside = run.clear(middle_s, ROCOF_WINDOW_S / 2 + run.half_s)
        figures.note("ROCOF over 100 ms", "Hz/s", 0.1, (slopes - run.waveform.rocof_hz_s(middle_s))[inside], run)


def _step(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    """Response times in cycles: from the first report beyond the limit to the last. Without noise, which would begin
    and end them by chance."""
    step = limits[DYNAMIC]["step"]
    clean = Conditions(conditions.rates_hz, conditions.nominals_hz, conditions.angles_rad)
    for f0_hz in conditions.nominals_hz:
        one = Conditions(clean.rates_hz, (f0_hz,), clean.angles_rad)
        for run in runs(row, one, 1 / (RESPONSE_STEPS * f0_hz)):
            resolution = 1 / RESPONSE_STEPS
            tve = _lasts(run.tag_s, run.vector_error() > 0.01) * f0_hz + resolution
            fe = _lasts(run.tag_s, ~(np.abs(run.frequency_error()) <= 0.005)) * f0_hz + resolution
            middle_s, slopes = run.rocof()
            rfe = _lasts(middle_s, np.abs(slopes) > 0.4) * f0_hz + resolution
            figures.note("TVE response", "cycles", 2.0, tve, run, as_read=1.7)
            figures.note("FE response", "cycles", 4.5, fe, run, as_read=3.5)
            figures.note("RFE response", "cycles", 6.0, rfe, run, as_read=4.0)
            course = _course(run)
            overshoot = max(float(course.max()) - 1.0, -float(course.min()))
            figures.note("overshoot", "% of step", step["overshoot_pct"]["P"], 100 * overshoot, run)
            half = float(np.interp(0.5, np.maximum.accumulate(course), run.tag_s))
            figures.note("delay", "cycles", 0.25, (half - run.waveform.events_s[0]) * f0_hz, run)


def _course(run: Run) -> Array:
    """Of phase a, 0 before the step and 1 after it."""
    phasor = np.array([e.v_phasor_pu[0] for e in run.estimates])
    turn = phasor * np.exp(-1j * (run.phi0_rad + 2 * np.pi * run.waveform.f0_hz * run.tag_s))
    moved = np.angle(turn) if abs(np.angle(turn[-1])) > 0.01 else np.abs(turn) - 1.0
    return moved / moved[-1]


def _lasts(tag_s: Array, beyond: Array) -> float:
    """From the first to the last; 0 when there is none."""
    at_s = tag_s[beyond]
    return float(at_s[-1] - at_s[0]) if at_s.size else 0.0


def _w12(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions, TICK_S):
        detector, told = PhaseJumpDetector(run.waveform.f0_hz), []
        flagged = np.zeros(len(run.estimates), bool)
        for i, (tag_s, e) in enumerate(zip(run.tag_s, run.estimates, strict=True)):
            jump = detector.step(float(tag_s), e.v_phasor_pu, e.frequency_hz)
            flagged[i] = detector.settling or e.frequency_hz is None
            if jump is not None:
                told.append((run.newest_s[i], jump))
        figures.note("reports besides one", "", 0, len(told) - 1, run)
        for newest_s, jump in told:
            wanted = np.array(run.waveform.parameters["jump_deg"])
            figures.note("angle of a phase", "deg", DETECTOR_DEG, np.array(jump.phase_deg) - wanted, run)
            sequence = np.degrees(np.angle(np.exp(1j * np.radians(wanted)).sum()))
            figures.note("angle of the sequence", "deg", DETECTOR_DEG, jump.sequence_deg - sequence, run)
            figures.note("told after", "s", DETECTOR_S, newest_s - run.waveform.events_s[0], run)
        figures.note("FE not flagged", "Hz", UNFLAGGED_HZ, run.frequency_error()[~flagged], run)
        _no_trip(figures, run)


def _w13(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions, TICK_S):
        w, five_s = run.waveform, 5 / run.waveform.f0_hz
        begin_s, end_s = w.events_s
        inside = (run.newest_s >= begin_s + five_s) & (run.newest_s < end_s)
        after = run.newest_s >= end_s + five_s
        figures.note("RMS after 5 cycles", "% nom.", TRANSIENT_PCT, 100 * run.rms_error()[inside | after], run)
        figures.note("FE 5 cycles after", "Hz", TRANSIENT_HZ, run.frequency_error()[after], run)
        deep = (run.newest_s >= begin_s + 1 / w.f0_hz + TICK_S) & (run.newest_s < end_s)
        for phase, v_pu in enumerate(w.parameters["v_pu"]):
            if v_pu < FREQUENCY_FLOOR_PU:
                told = [e.phase_frequency_hz[phase] for e, is_deep in zip(run.estimates, deep, strict=True) if is_deep]
                figures.note("frequencies told below the floor", "", 0, len(told) - told.count(None), run)


def _w14(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions):
        figures.note("FE", "Hz", METERING_HZ, run.frequency_error(), run)


def _w15(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions, TICK_S):
        if run.waveform.parameters["filtered"]:
            figures.note("FE", "Hz", 0.050, run.frequency_error(), run)
        else:
            figures.note("FE without an anti-alias filter", "Hz", None, run.frequency_error(), run)
        _no_trip(figures, run)


def _w16(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions):
        figures.note("FE", "Hz", 0.005, run.frequency_error(), run)
        wanted = (1.0, run.waveform.negative, run.waveform.zero)
        found = np.array([(e.v1_pu, e.v2_pu, e.v0_pu) for e in run.estimates])
        figures.note("sequences", "% nom.", 1.0, 100 * (found - wanted), run)


def _w17(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions, TICK_S):
        begin_s, _ = run.waveform.events_s
        unknown = np.isnan(run.frequency())
        figures.note("first flagged after", "s", CYCLES / run.waveform.f0_hz, run.newest_s[unknown][0] - begin_s, run)
        told = run.frequency_error()[~unknown]
        figures.note("FE of what is told", "Hz", TRANSIENT_HZ, told, run)
        numbers = np.array([(*e.v_pu, e.v1_pu, e.v2_pu, e.v0_pu, *np.abs(e.v_phasor_pu)) for e in run.estimates])
        figures.note("figures that are no number", "", 0, (~np.isfinite(numbers)).sum(), run)


def _w18(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    """The limit leaves 1 mHz beside the clock's own error, which is for 60 cycles to keep."""
    for run in runs(row, conditions):
        figures.note("FE, transient", "Hz", TRANSIENT_HZ, run.frequency_error(), run)


def _no_trip_row(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions, figures: Figures) -> None:
    for run in runs(row, conditions, TICK_S):
        clear = run.clear(run.tag_s, run.half_s)
        figures.note("FE", "Hz", TRANSIENT_HZ, run.frequency_error()[clear], run)
        if row["id"] == "W20":
            figures.note("ROCOF over 100 ms", "Hz/s", LOSS_OF_MAINS_HZ_S, run.rocof()[1], run)
        _no_trip(figures, run)


def _no_trip(figures: Figures, run: Run) -> None:
    """The longest stay beyond a threshold of an element that clears in 160 ms, or faster than a second in European
    profiles; slower ones are out of reach of these signals, which end before."""
    v_pu = np.array([e.v_pu for e in run.estimates])
    f_hz = run.frequency()
    low_hz, high_hz = (47.5, 51.5) if run.waveform.f0_hz == 50 else (56.5, 62.0)
    beyond = {
        "over-voltage": v_pu.max(axis=1) > 1.20,
        "under-voltage": v_pu.min(axis=1) < 0.45,
        "over-frequency": f_hz > high_hz,
        "under-frequency": f_hz < low_hz,
    }
    longest = max(_longest(run.newest_s, stays) for stays in beyond.values())
    figures.note("stay beyond a fast trip threshold", "s", MIN_INTENTIONAL_DELAY_S, longest, run)


def _longest(at_s: Array, stays: Array) -> float:
    """From the last report that is not beyond, as the timers count."""
    longest, began_s = 0.0, at_s[0]
    for t, stay in zip(at_s, stays, strict=True):
        if stay:
            longest = max(longest, t - began_s)
        else:
            began_s = t
    return float(longest)


_Judge = Callable[[dict[str, Any], dict[str, Any], Conditions, Figures], None]
_JUDGES: dict[str, _Judge] = {
    "W01": _w01, "W02": _w02, "W03": _w03, "W04": _w04, "W06": _w06, "W07": _w06, "W08": _w08, "W09": _w09,
    "W10": _step, "W11": _step, "W12": _w12, "W13": _w13, "W14": _w14, "W15": _w15, "W16": _w16, "W17": _w17,
    "W18": _w18, "W19": _no_trip_row, "W20": _no_trip_row,
}  # fmt: skip
