"""The protective estimator on one waveform, and the worst of its errors over many.

TVE and FE are against the truth at the report's time tag, the window's centre. RFE is that of the slope over 100 ms,
against the truth at the middle of the time it is taken over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from support.waveform_tests import Array, Waveform, waveforms
from v2g.grid.estimate import Estimate
from v2g.grid.estimation import Estimator
from v2g.grid.rate import ROCOF_WINDOW_S, Rocof

NOMINAL_V = 277.0
CYCLES = 3
"""The estimator's window."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is swept over a row."""

    rates_hz: tuple[float, ...]
    nominals_hz: tuple[float, ...] = (50.0, 60.0)
    angles_rad: tuple[float, ...] = (0.0,)
    snrs_db: tuple[float | None, ...] = (None,)
    steady_s: float = 0.4
    """Instead of the spec's 5 s: one estimate knows nothing of the one before, the angles are swept anyway."""


@dataclass(slots=True)
class Figure:
    """One limit of one row. ``limit`` None: it is told, not judged."""

    row: str
    name: str
    unit: str
    limit: float | None
    worst: dict[float | None, float] = field(default_factory=dict)
    """By noise; the largest error."""
    where: str = ""
    count: int = 0

    @property
    def largest(self) -> float:
        return max(self.worst.values())

    @property
    def passes(self) -> bool:
        return self.limit is None or (self.count > 0 and self.largest <= self.limit)


class Judged(Protocol):
    """What a worst error is told with."""

    waveform: Waveform
    rate_hz: float
    snr_db: float | None


@dataclass(slots=True)
class Figures:
    """Collects the worst of each name."""

    row: str
    found: dict[str, Figure] = field(default_factory=dict)

    def note(
        self, name: str, unit: str, limit: float | None, errors: Any, run: Judged, *, as_read: float | None = None
    ) -> None:
        """``errors``: one or many; NaN among them is the worst there is."""
        errors = np.abs(np.atleast_1d(np.asarray(errors, float)))
        if not errors.size:
            return
        worst = math.inf if np.isnan(errors).any() else float(errors.max())
        figure = self.found.setdefault(name, Figure(self.row, name, unit, limit))
        figure.count += errors.size
        if not figure.worst or worst > figure.largest:
            figure.where = f"{run.waveform.what}, f0 {run.waveform.f0_hz:g} Hz, {run.rate_hz:g} Hz"
        figure.worst[run.snr_db] = max(figure.worst.get(run.snr_db, 0.0), worst)
        if as_read is not None:
            self.note(f"{name} (as read)", unit, as_read, errors, run)


@dataclass(slots=True)
class Run:
    """One signal through the estimator: a report every ``hop_s``."""

    waveform: Waveform
    rate_hz: float
    phi0_rad: float
    snr_db: float | None
    hop_s: float
    seed: int
    tag_s: Array = field(init=False)
    newest_s: Array = field(init=False)
    estimates: list[Estimate] = field(init=False)

    def __post_init__(self) -> None:
        samples = self.waveform.samples_pu(self.rate_hz, self.phi0_rad, self.snr_db, self.seed) * NOMINAL_V
        estimator = Estimator(self.rate_hz, self.waveform.f0_hz, NOMINAL_V)
        n, none = estimator.window_samples, np.zeros_like(samples[: estimator.window_samples])
        count = int((len(samples) - n) / (self.hop_s * self.rate_hz)) + 1
        ends = [n + round(i * self.hop_s * self.rate_hz) for i in range(count)]
        # The first one does not know yet how long a cycle is.
        estimator.estimate(samples[:n], none, none)
        self.estimates = [estimator.estimate(samples[end - n : end], none, none) for end in ends]
        self.newest_s = (np.array(ends) - 1) / self.rate_hz
        self.tag_s = self.newest_s - np.array([estimate.centre_age_s for estimate in self.estimates])

    def frequency(self) -> Array:
        return np.array([math.nan if e.frequency_hz is None else e.frequency_hz for e in self.estimates])

    def frequency_error(self) -> Array:
        return self.frequency() - self.waveform.frequency_hz(self.tag_s)

    def vector_error(self) -> Array:
        """Of the three phases, the worst; a fraction."""
        truth = self.waveform.phasors_pu(self.tag_s, self.phi0_rad)
        found = np.array([e.v_phasor_pu for e in self.estimates])
        return (np.abs(found - truth) / np.abs(truth)).max(axis=1)

    def rms_error(self) -> Array:
        """Of nominal, with its harmonics, against the amplitude half a cycle before the newest sample."""
        at_s = self.newest_s - 0.5 / self.waveform.f0_hz
        orders = self.waveform.harmonics.items()
        heard = [level for order, level in orders if order * self.waveform.f0_hz < self.rate_hz / 2]
        truth = np.abs(self.waveform.phasors_pu(at_s, self.phi0_rad)) * math.hypot(1.0, *heard)
        return np.abs(np.array([e.v_pu for e in self.estimates]) - truth).max(axis=1)

    def rocof(self) -> tuple[Array, Array]:
        """The middles of the slopes' times, and the slopes."""
        slope, middles, slopes = Rocof(), [], []
        for tag_s, estimate in zip(self.tag_s, self.estimates, strict=True):
            rate = slope.step(float(tag_s), estimate.frequency_hz)
            if rate is not None:
                middles.append(tag_s - ROCOF_WINDOW_S / 2)
                slopes.append(rate)
        return np.array(middles), np.array(slopes)

    def clear(self, at_s: Array, half_s: float) -> Array:
        """No discontinuity within ``half_s`` of these times."""
        events = self.waveform.events_s
        return np.all([np.abs(at_s - event_s) > half_s for event_s in events], axis=0) if events else at_s > -np.inf

    @property
    def half_s(self) -> float:
        return CYCLES / 2 / self.waveform.f0_hz


def runs(row: dict[str, Any], conditions: Conditions, hop_s: float | None = None) -> Iterator[Run]:
    """Every signal of the row under every condition; reports at twice nominal frequency unless said otherwise."""
    seed = 0
    for f0_hz in conditions.nominals_hz:
        for waveform in waveforms(row, f0_hz, steady_s=conditions.steady_s):
            for rate_hz in conditions.rates_hz:
                for snr_db in conditions.snrs_db:
                    for phi0_rad in conditions.angles_rad:
                        seed += 1
                        yield Run(waveform, rate_hz, phi0_rad, snr_db, hop_s or 0.5 / f0_hz, seed)
