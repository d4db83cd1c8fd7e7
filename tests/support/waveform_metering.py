"""Judges the metering estimator by the waveform tests that ask for it: 10 mHz over 60 cycles, 1 % over ten."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from support.waveform_judge import NOMINAL_V, Array, Conditions, Figure, Figures
from support.waveform_tests import Waveform, waveforms
from v2g.grid.metering import FREQUENCY_CYCLES, Metering, MeteringRecord

FE_HZ = 0.010
V_PCT = 1.0
BLOCK_S = 0.1
"""What is fed at once."""


@dataclass(slots=True)
class MeteringRun:
    """One signal through the metering estimator."""

    waveform: Waveform
    rate_hz: float
    phi0_rad: float
    snr_db: float | None
    seed: int
    records: list[MeteringRecord] = field(init=False)

    def __post_init__(self) -> None:
        samples = self.waveform.samples_pu(self.rate_hz, self.phi0_rad, self.snr_db, self.seed) * NOMINAL_V
        metering = Metering(self.rate_hz, self.waveform.f0_hz, NOMINAL_V, 100.0)
        self.records, block = [], round(BLOCK_S * self.rate_hz)
        for begin in range(0, len(samples), block):
            part = samples[begin : begin + block]
            end, none = begin + len(part), np.zeros_like(part)
            self.records += metering.feed(end, (end - 1) / self.rate_hz, part, none, none)

    def frequency_error(self) -> Array:
        """Against the truth at the frequency's own time tag, where 60 cycles hold no discontinuity. NaN where there is
        none although the voltage has been above the floor for long enough."""
        errors, half_s = [], FREQUENCY_CYCLES / self.waveform.f0_hz / 2
        settled_s = 2.2 * half_s + 12 / self.waveform.f0_hz
        for record in self.records:
            at_s = record.frequency_at_s
            if record.frequency_hz is None or at_s is None:
                if record.at_s > settled_s and not self.waveform.events_s:
                    errors.append(math.nan)
            elif all(abs(at_s - event_s) > half_s + 0.01 for event_s in self.waveform.events_s):
                errors.append(record.frequency_hz - float(self.waveform.frequency_hz(np.array([at_s]))[0]))
        return np.array(errors)

    def rms_error_pct(self) -> Array:
        levels = self.waveform.harmonics.items()
        heard = [level for order, level in levels if order * self.waveform.f0_hz < 0.45 * self.rate_hz]
        at_s = np.array([record.at_s for record in self.records])
        truth = np.abs(self.waveform.phasors_pu(at_s, 0.0)) * math.hypot(1.0, *heard)
        return 100 * (np.array([r.v_pu for r in self.records]) - truth)


def judge(row: dict[str, Any], limits: dict[str, Any], conditions: Conditions) -> list[Figure]:
    """All figures of one row; empty where the metering estimator is not judged by it."""
    figures, seed = Figures(row["id"]), 0
    if row["id"] not in _JUDGES:
        return []
    for f0_hz in conditions.nominals_hz:
        for waveform in waveforms(row, f0_hz):
            for rate_hz in conditions.rates_hz:
                for snr_db in conditions.snrs_db:
                    for phi0_rad in conditions.angles_rad:
                        seed += 1
                        run = MeteringRun(waveform, rate_hz, phi0_rad, snr_db, seed)
                        _JUDGES[row["id"]](figures, run)
    return list(figures.found.values())


def _frequency(figures: Figures, run: MeteringRun) -> None:
    figures.note("FE", "Hz", FE_HZ, run.frequency_error(), run)


def _both(figures: Figures, run: MeteringRun) -> None:
    _frequency(figures, run)
    figures.note("RMS", "% nom.", V_PCT, run.rms_error_pct(), run)


def _w02(figures: Figures, run: MeteringRun) -> None:
    figures.note("RMS", "% nom.", V_PCT, run.rms_error_pct(), run)


def _w04(figures: Figures, run: MeteringRun) -> None:
    _both(figures, run)
    thd = 100 * math.hypot(*run.waveform.harmonics.values())
    figures.note("THD", "% abs.", 0.1, np.array([r.thd_v_pct for r in run.records]) - thd, run)


def _w15(figures: Figures, run: MeteringRun) -> None:
    if run.waveform.parameters["filtered"]:
        figures.note("FE", "Hz", 0.050, run.frequency_error(), run)


def _w16(figures: Figures, run: MeteringRun) -> None:
    figures.note("FE", "Hz", 0.005, run.frequency_error(), run)


def _w18(figures: Figures, run: MeteringRun) -> None:
    limit = run.waveform.f0_hz * 1e-4 + 0.001
    figures.note("FE of its limit f0*1e-4 + 1 mHz", "%", 100.0, 100 * run.frequency_error() / limit, run)


_JUDGES: dict[str, Callable[[Figures, MeteringRun], None]] = {
    "W01": _both, "W02": _w02, "W03": _frequency, "W04": _w04, "W05": _frequency, "W09": _frequency,
    "W14": _frequency, "W15": _w15, "W16": _w16, "W18": _w18,
}  # fmt: skip
