"""Waveforms from descriptions: segments of a case, and slow records of RMS and frequency. In blocks, so that an event
of any length takes the memory of one block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from v2g.grid.estimate import FREQUENCY_FLOOR_PU
from v2g.hardware.waveform import CHANNELS
from v2g.replay.stimulus import Case, Samples, Segment

NOMINAL_VOLTAGE_V = 277.0
"""Of cases, which are in p.u. all through."""
BASE_LOAD_A = 100.0
"""RMS of the customers' current in a synthesised case, in phase with the voltage."""
FEEDER_A = -30.0
"""RMS of the V2G feeder while in service: it discharges."""
PHASE_DEG = (0.0, -120.0, 120.0)

V_BUS = slice(CHANNELS.index("v_bus_a"), CHANNELS.index("v_bus_c") + 1)
I_TR = slice(CHANNELS.index("i_tr_a"), CHANNELS.index("i_tr_c") + 1)
I_V2G = slice(CHANNELS.index("i_v2g_a"), CHANNELS.index("i_v2g_c") + 1)
V_INV = slice(CHANNELS.index("v_inv_a"), CHANNELS.index("v_inv_c") + 1)

_TAU = 2.0 * math.pi
_SQRT2 = math.sqrt(2.0)
_ALIGNED = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveInverterSide:
    """The inverter side of the open breaker runs by itself, against the bus: what a synchronisation is judged on."""

    df_hz: float = 0.0
    dv_pu: float = 0.0
    dtheta_deg: float = 0.0
    """At the start of the case."""


@dataclass(slots=True)
class CaseStimulus:
    """The segments of a case as samples of all channels.

    Phases are continuous but for the jumps that a segment asks for. A ramp starts at the frequency reached so far; in
    the first segment at nominal. Segment borders lie where the case puts them, between samples too.
    """

    segments: tuple[Segment, ...]
    nominal_frequency_hz: float
    sample_rate_hz: float = 3840.0
    nominal_voltage_v: float = NOMINAL_VOLTAGE_V
    inverter_side: LiveInverterSide | None = None
    duration_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.duration_s = sum(segment.d for segment in self.segments)

    @classmethod
    def of(cls, case: Case, sample_rate_hz: float = 3840.0) -> CaseStimulus:
        der = case.settings.get("der")
        return cls(
            segments=case.segments,
            nominal_frequency_hz=case.nominal_hz,
            sample_rate_hz=sample_rate_hz,
            inverter_side=None if der is None else LiveInverterSide(**{name: float(der[name]) for name in der}),
        )

    def blocks(self, n: int) -> Iterator[tuple[Samples, bool]]:
        """At most ``n`` rows at a time: a block ends where a segment ends."""
        phase = np.radians(np.array(PHASE_DEG))
        frequency_hz = self.nominal_frequency_hz
        begin_s = 0.0
        for segment in self.segments:
            phase = phase + np.radians(np.array(segment.ph))
            end_s = begin_s + segment.d
            first = math.ceil(begin_s * self.sample_rate_hz - _ALIGNED)
            last = math.ceil(end_s * self.sample_rate_hz - _ALIGNED)
            for start in range(first, last, n):
                times_s = np.arange(start, min(start + n, last)) / self.sample_rate_hz
                turned = _turned(segment, frequency_hz, times_s - begin_s)
                yield self._rows(segment, turned[:, None] + phase, times_s), not segment.loss
            phase = phase + _turned(segment, frequency_hz, np.array([segment.d]))
            frequency_hz = _reached_hz(segment, frequency_hz)
            begin_s = end_s

    def _rows(self, segment: Segment, angle: Samples, times_s: Samples) -> Samples:
        rows = np.zeros((len(angle), len(CHANNELS)))
        wave = np.sin(angle)
        shape = wave
        for order, share in (segment.h or {}).items():
            shape = shape + share * np.sin(order * angle)
        rows[:, V_BUS] = shape * (_SQRT2 * self.nominal_voltage_v * np.array(segment.v))
        rows[:, I_V2G] = wave * (_SQRT2 * FEEDER_A)
        rows[:, I_TR] = wave * (_SQRT2 * (BASE_LOAD_A + FEEDER_A))
        side = self.inverter_side
        if side is not None:
            ahead = _TAU * side.df_hz * times_s[:, None] + math.radians(side.dtheta_deg)
            amplitude = np.array(segment.v) * (1.0 + side.dv_pu)
            rows[:, V_INV] = np.sin(angle + ahead) * (_SQRT2 * self.nominal_voltage_v * amplitude)
        return rows


def _ramp(segment: Segment, from_hz: float) -> tuple[float, float]:
    """Slope in Hz/s with its sign, and how long it lasts."""
    if not segment.r or segment.f == from_hz:
        return 0.0, 0.0
    return math.copysign(segment.r, segment.f - from_hz), min(abs(segment.f - from_hz) / segment.r, segment.d)


def _reached_hz(segment: Segment, from_hz: float) -> float:
    if not segment.r:
        return segment.f
    slope, lasts_s = _ramp(segment, from_hz)
    return segment.f if abs(segment.f - from_hz) / segment.r <= segment.d else from_hz + slope * lasts_s


def _turned(segment: Segment, from_hz: float, elapsed_s: Samples) -> Samples:
    """Radians since the segment's start, integrated exactly."""
    if not segment.r:
        return _TAU * segment.f * elapsed_s
    slope, lasts_s = _ramp(segment, from_hz)
    ramping = np.minimum(elapsed_s, lasts_s)
    turns = from_hz * ramping + 0.5 * slope * ramping**2
    turns += (from_hz + slope * lasts_s) * (elapsed_s - ramping)
    return np.asarray(_TAU * turns)


@dataclass(slots=True)
class SlowRecord:
    """A record of RMS voltages and frequency, a row every second or so, turned into waveforms again.

    Between two rows everything is interpolated in a straight line. A phase below the voltage floor of the estimator is
    noise of that RMS and not a sine: a dead line has none, whatever its recorder went on printing. No currents.
    """

    times_s: NDArray[np.float64]
    frequency_hz: NDArray[np.float64]
    v_pu: NDArray[np.float64]
    """``[rows, 3]``"""
    nominal_frequency_hz: float
    nominal_voltage_v: float
    sample_rate_hz: float = 3840.0
    seed: int = 1
    duration_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.duration_s = float(self.times_s[-1] - self.times_s[0])

    def cut(self, skip_s: float, length_s: float) -> SlowRecord:
        begin_s = self.times_s[0] + skip_s
        inside = (self.times_s > begin_s) & (self.times_s < begin_s + length_s)
        times_s = np.concatenate(([begin_s], self.times_s[inside], [begin_s + length_s]))
        v_pu = np.stack([np.interp(times_s, self.times_s, self.v_pu[:, phase]) for phase in range(3)], axis=1)
        frequency_hz = np.interp(times_s, self.times_s, self.frequency_hz)
        return SlowRecord(
            times_s, frequency_hz, v_pu, self.nominal_frequency_hz, self.nominal_voltage_v, self.sample_rate_hz
        )

    def blocks(self, n: int) -> Iterator[tuple[Samples, bool]]:
        noise = np.random.default_rng(self.seed)
        angle = np.radians(np.array(PHASE_DEG))
        total = math.floor(self.duration_s * self.sample_rate_hz + _ALIGNED) + 1
        for start in range(0, total, n):
            times_s = self.times_s[0] + np.arange(start, min(start + n, total)) / self.sample_rate_hz
            hz = np.interp(times_s, self.times_s, self.frequency_hz)
            turned = np.cumsum(_TAU * hz / self.sample_rate_hz)
            angles = turned[:, None] + angle
            angle = np.remainder(angles[-1], _TAU)
            v_pu = np.stack([np.interp(times_s, self.times_s, self.v_pu[:, phase]) for phase in range(3)], axis=1)
            wave = np.where(v_pu < FREQUENCY_FLOOR_PU, noise.standard_normal(angles.shape), _SQRT2 * np.sin(angles))
            rows = np.zeros((len(wave), len(CHANNELS)))
            rows[:, V_BUS] = wave * v_pu * self.nominal_voltage_v
            yield rows, True


@dataclass(slots=True)
class SampledRecord:
    """Recorded samples of the three phase voltages, in V; no currents."""

    volts: NDArray[np.float64]
    """``[samples, 3]``"""
    sample_rate_hz: float
    nominal_frequency_hz: float
    nominal_voltage_v: float
    duration_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.duration_s = len(self.volts) / self.sample_rate_hz

    def cut(self, skip_s: float, length_s: float) -> SampledRecord:
        first, last = round(skip_s * self.sample_rate_hz), round((skip_s + length_s) * self.sample_rate_hz)
        return SampledRecord(
            self.volts[first:last], self.sample_rate_hz, self.nominal_frequency_hz, self.nominal_voltage_v
        )

    def blocks(self, n: int) -> Iterator[tuple[Samples, bool]]:
        for start in range(0, len(self.volts), n):
            part = self.volts[start : start + n]
            rows = np.zeros((len(part), len(CHANNELS)))
            rows[:, V_BUS] = part
            yield rows, True
