"""What a replay feeds to the guard: samples of all channels with their times, whatever file they came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]


class ReplayError(ValueError):
    """A file that cannot be replayed; the message names file, line, reason and remedy."""


class Stimulus(Protocol):
    """Samples at a fixed rate from ``0`` on. ``blocks(n)`` yields ``(samples[<= n, 12], mains_present)`` until it ends,
    with the channels of :data:`v2g.hardware.waveform.CHANNELS`. What it says of the feeder's currents holds while the
    breaker is closed, what it says of the inverter side while it is open; who plays it puts the breaker in."""

    sample_rate_hz: float
    nominal_frequency_hz: float
    nominal_voltage_v: float
    duration_s: float

    def blocks(self, n: int) -> Iterator[tuple[Samples, bool]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment of a case (see the form in the case file's own description): ``d`` s long, voltages ``v`` p.u.,
    frequency ``f`` at its end reached at ``r`` Hz/s (None: a step), phase jumps ``ph`` degrees, harmonics ``h``,
    ``loss`` of mains."""

    d: float
    v: tuple[float, float, float]
    f: float
    r: float | None = None
    ph: tuple[float, float, float] = (0.0, 0.0, 0.0)
    h: dict[int, float] | None = None
    loss: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of a case file."""

    id: str
    family: str
    category: str
    nominal_hz: float
    settings: dict[str, Any]
    segments: tuple[Segment, ...]
    ref_segment: int
    expect: str
    element: str
    tmin_s: float | None
    tmax_s: float | None
    note: str = ""

    @property
    def reference_s(self) -> float:
        """Times are counted from here: the start of the reference segment."""
        return sum(segment.d for segment in self.segments[: self.ref_segment])
