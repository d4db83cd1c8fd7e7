"""The metering estimator: ten-cycle RMS, 60-cycle frequency, harmonics, THD and TRD (IEEE 1547-2018 Table 3, clause 7).

Slow and exact beside the fast estimator that protects. Pure: blocks of samples in, records out.

Blocks are ten cycles of the present frequency, one beside the other without a gap, as IEC 61000-4-30 aggregates. Each
is resampled to whole cycles before its FFT, so that a frequency beside nominal does not leak. The frequency is the
slope of the phase of the positive sequence over 60 cycles, taken every cycle under a window that leaves harmonics, DC
and the negative sequence 90 dB down.
"""

from __future__ import annotations

import cmath
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from v2g.grid.estimate import FREQUENCY_FLOOR_PU, require_sample_rate
from v2g.grid.harmonics import Resampler, fast_length, groups
from v2g.grid.voltage_changes import VoltageChanges

Samples = NDArray[np.float64]
PerPhase = tuple[float, float, float]

RMS_CYCLES = 10
FREQUENCY_CYCLES = 60
HIGHEST_HARMONIC = 50
RAPID_CHANGE_PCT = 3.0
"""The smallest change that is found unless said otherwise: the limit at medium voltage (7.2.2)."""

_HIGHEST_OF_RATE = 0.45
_WINDOW_CYCLES = 6
_POINTS = FREQUENCY_CYCLES - _WINDOW_CYCLES + 1
_JUMP_HZ = 0.9
"""A cycle that lies so far from the median of its neighbours is a phase jump (from 12 degrees on) and no frequency."""
_NEIGHBOURS = 8
_POINT_FLOOR_PU = 0.10
"""Of the positive sequence: a single live phase leaves a third of it."""
_TRACKING_PU = (0.75, 1.25)
_CURRENT_FLOOR_PU = 0.01
_UNBALANCE_MAX_PCT = 999.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteringRecord:
    """One block of ten cycles. ``at_s``: the block's centre on the writer's clock."""

    at_s: float
    v_pu: PerPhase
    frequency_hz: float | None
    """Over 60 cycles; None below the voltage floor, before 60 cycles are there, and while a phase jump is in them."""
    frequency_at_s: float | None
    """The centre of those 60 cycles, which end with the block."""
    thd_v_pct: PerPhase
    """Of the fundamental; 0 below the voltage floor."""
    thd_i_pct: PerPhase
    """Of the feeder's currents, of the fundamental; 0 below 1 % of rating."""
    trd_pct: PerPhase
    """Total rated-current distortion of the feeder: ``sqrt(Irms^2 - I1^2) / Irated`` (IEEE 1547-2018 3.1, 7.3)."""
    harmonics_v_pct: tuple[PerPhase, ...]
    """Index 0 is the 2nd; up to :attr:`Metering.highest_harmonic`. Of the fundamental."""
    harmonics_i_pct: tuple[PerPhase, ...]
    """Feeder, of rated current; interharmonics within 5 Hz belong to the harmonic."""
    transformer_harmonics_a: tuple[PerPhase, ...]
    """RMS amperes, index 0 is the fundamental; for the loss factor F_HL of the thermal model."""
    unbalance_pct: float
    """Negative over positive sequence."""
    dc_injection_pct: PerPhase
    """Of rated current (clause 7.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RapidChange:
    """A rapid voltage change (7.2.2): ``change_pct`` of nominal within one second, of the one-cycle RMS."""

    at_s: float
    phase: str
    change_pct: float
    """Negative where the voltage fell."""
    duration_s: float
    """From a tenth of it to nine tenths."""


class Metering:
    """Takes consecutive samples in any blocks and gives a record for every ten cycles of the present frequency.

    ``highest_harmonic`` is 50 or what the sample rate allows (below 0.45 of it), whichever is less. A gap (``index``
    that does not follow) or invalid samples drop the block that they fall into, and the frequency begins anew.
    ``rapid_change_pct``: the smallest change that :meth:`rapid_changes` tells.

    Raises :class:`~v2g.grid.estimation.EstimationError` for a sample rate outside 3200..20000 Hz.
    """

    def __init__(
        self,
        sample_rate_hz: float,
        nominal_frequency_hz: float,
        nominal_voltage_v: float,
        rated_feeder_a: float,
        rapid_change_pct: float = RAPID_CHANGE_PCT,
    ) -> None:
        require_sample_rate(sample_rate_hz, "metering")
        self._rate_hz = float(sample_rate_hz)
        self._nominal_hz = nominal_frequency_hz
        self._nominal_v = nominal_voltage_v
        self._rated_a = rated_feeder_a
        self._cycle = sample_rate_hz / nominal_frequency_hz
        self._highest = min(HIGHEST_HARMONIC, math.ceil(_HIGHEST_OF_RATE * self._cycle) - 1)
        self._resampler = Resampler(min(0.46, 1.08 * (self._highest + 0.1) / self._cycle))
        self._length = fast_length(math.ceil(1.15 * RMS_CYCLES * self._cycle))
        self._window = round(_WINDOW_CYCLES * self._cycle)
        self._turn = 2.0 * math.pi / self._cycle
        self._kernel = _phase_kernel(self._window, self._turn)
        self._changes = VoltageChanges(rapid_change_pct)
        self._reversed = False
        self._index = 0
        self._at_s = 0.0
        self._rows: Samples = np.empty((0, 9))
        self._begin_anew(0)

    @property
    def highest_harmonic(self) -> int:
        return self._highest

    def feed(
        self, index: int, at_s: float, voltages_v: Samples, transformer_a: Samples, feeder_a: Samples
    ) -> tuple[MeteringRecord, ...]:
        """``index`` counts the samples ever written up to and with the last row; ``at_s`` is the time of that row.
        Arrays ``[n, 3]``, n of at least 1."""
        rows = np.hstack((voltages_v, transformer_a, feeder_a))
        first = index - len(rows)
        if first != self._index:
            self._begin_anew(first)
        self._index, self._at_s = index, at_s
        good: NDArray[np.bool_] = np.isfinite(rows.sum(axis=1))
        if good.all():
            self._rows = np.concatenate((self._rows, rows))
            return self._records()
        records: tuple[MeteringRecord, ...] = ()
        edges = np.flatnonzero(np.diff(np.concatenate(([False], good, [False]))))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if begin > 0:
                self._begin_anew(first + begin)
            self._rows = np.concatenate((self._rows, rows[begin:end]))
            records += self._records()
        if not good[-1]:
            self._begin_anew(index)
        return records

    def rapid_changes(self) -> tuple[RapidChange, ...]:
        """Those found since the last call, each once, with its largest change, when the second after it is over."""
        return tuple(
            RapidChange(at_s=found.at_s, phase="ABC"[phase], change_pct=found.change_pct, duration_s=found.duration_s)
            for phase, found in self._changes.take()
        )

    def _begin_anew(self, index: int) -> None:
        """``index``: the samples written before the next one. Rows are counted from here on."""
        self._anchor = index
        self._rows = np.empty((0, 9))
        self._dropped = 0
        self._start = float(self._resampler.half) + self._cycle / _TRACKING_PU[0] + 1.0
        """Of the next block."""
        self._next_point = 0
        self._points: deque[_Point] = deque(maxlen=_POINTS)
        self._live_blocks = 0
        self._changes.reset()

    def _records(self) -> tuple[MeteringRecord, ...]:
        found: list[MeteringRecord] = []
        while True:
            there = self._dropped + len(self._rows)
            nominal_end = self._start + RMS_CYCLES * self._cycle
            if there < nominal_end:
                break
            self._take_points(nominal_end)
            length = RMS_CYCLES * self._rate_hz / self._present_hz(nominal_end)
            if there < math.ceil(self._start + length) + self._resampler.half + 1:
                break
            self._take_points(self._start + length)
            found.append(self._record(length))
            self._start += length
            self._drop_rows()
        return tuple(found)

    def _drop_rows(self) -> None:
        keep = self._resampler.half + max(self._cycle / _TRACKING_PU[0], self._window + self._cycle) + 2.0
        drop = math.floor(self._start - keep) - self._dropped
        if drop > 0:
            self._rows = self._rows[drop:]
            self._dropped += drop

    def _take_points(self, until: float) -> None:
        """The phase points whose windows end before row ``until``."""
        forward = _TURN_BACK if self._reversed else _TURN_BACK.conjugate()
        while (start := round(self._next_point * self._cycle)) + self._window <= until:
            self._next_point += 1
            row = start - self._dropped
            a, b, c = (self._kernel @ self._rows[row : row + self._window, 0:3]).tolist()
            phasor = (a + b * forward + c * forward.conjugate()) / (3.0 * self._nominal_v)
            phase = math.atan2(phasor.imag, phasor.real) - self._turn * start
            if self._points:
                phase = self._points[-1].phase + math.remainder(phase - self._points[-1].phase, 2.0 * math.pi)
            live = abs(phasor) >= _POINT_FLOOR_PU
            self._points.append(_Point(start + (self._window - 1) / 2.0, phase, live))

    def _present_hz(self, nominal_end: float) -> float:
        """Of the block that is about to be measured; nominal where it has none."""
        inside = [point for point in self._points if point.at - self._window / 2.0 >= self._start - 1.0]
        if len(inside) < 2 or not all(point.live for point in inside) or inside[-1].at > nominal_end:
            return self._nominal_hz
        low, high = _TRACKING_PU
        return min(max(self._slope_hz(inside), low * self._nominal_hz), high * self._nominal_hz)

    def _slope_hz(self, points: Sequence[_Point]) -> float:
        at = np.array([point.at for point in points])
        phase = np.array([point.phase for point in points])
        at -= at.mean()
        slope = float(at @ phase) / float(at @ at)
        return self._nominal_hz + slope * self._rate_hz / (2.0 * math.pi)

    def _frequency(self) -> tuple[float | None, float | None]:
        points = list(self._points)
        if len(points) < _POINTS or self._live_blocks * RMS_CYCLES < FREQUENCY_CYCLES:
            return None, None
        if not all(point.live for point in points):
            return None, None
        at = np.array([point.at for point in points])
        each_hz = np.diff([point.phase for point in points]) / np.diff(at) * self._rate_hz / (2.0 * math.pi)
        padded = np.pad(each_hz, _NEIGHBOURS, mode="reflect")
        usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1), axis=1)
        if float(np.abs(each_hz - usual).max()) > _JUMP_HZ:
            return None, None
        return self._slope_hz(points), self._time_of((points[0].at + points[-1].at) / 2.0)

    def _record(self, length: float) -> MeteringRecord:
        start = self._start - self._dropped
        rows = self._resampler.at(self._rows, start, length / self._length, self._length)
        square = np.mean(rows * rows, axis=0)
        spectrum = np.fft.rfft(rows, axis=0) / self._length
        mean = spectrum[0].real.copy()
        spectrum *= math.sqrt(2.0)
        harmonic = groups(spectrum, RMS_CYCLES, self._highest)
        v_pu = np.sqrt(square[0:3]) / self._nominal_v
        self._live_blocks = self._live_blocks + 1 if float(v_pu.max()) >= FREQUENCY_FLOOR_PU else 0
        self._find_changes(start, length)
        unbalance_pct = self._unbalance(spectrum[RMS_CYCLES, 0:3])
        frequency_hz, frequency_at_s = self._frequency()
        volts, feeder = harmonic[:, 0:3], harmonic[:, 6:9]
        live_v = volts[0] >= FREQUENCY_FLOOR_PU * self._nominal_v
        of_v = np.where(live_v, 100.0 / np.where(live_v, volts[0], 1.0), 0.0)
        live_i = feeder[0] >= _CURRENT_FLOOR_PU * self._rated_a
        of_i = np.where(live_i, 100.0 / np.where(live_i, feeder[0], 1.0), 0.0)
        distortion = np.sqrt(np.clip(square[6:9] - feeder[0] ** 2, 0.0, None))
        return MeteringRecord(
            at_s=self._time_of(self._start + length / 2.0 - 0.5),
            v_pu=_three(v_pu),
            frequency_hz=frequency_hz,
            frequency_at_s=frequency_at_s,
            thd_v_pct=_three(of_v * np.sqrt((volts[1:] ** 2).sum(axis=0))),
            thd_i_pct=_three(of_i * np.sqrt((feeder[1:] ** 2).sum(axis=0))),
            trd_pct=_three(100.0 / self._rated_a * distortion),
            harmonics_v_pct=tuple(map(_three, of_v * volts[1:])),
            harmonics_i_pct=tuple(map(_three, 100.0 / self._rated_a * feeder[1:])),
            transformer_harmonics_a=tuple(map(_three, harmonic[:, 3:6])),
            unbalance_pct=unbalance_pct,
            dc_injection_pct=_three(100.0 / self._rated_a * mean[6:9]),
        )

    def _unbalance(self, phasors: NDArray[np.complex128]) -> float:
        """Of the block; also finds out which way the phases turn."""
        a, b, c = phasors.tolist()
        turn = _TURN_BACK.conjugate()
        positive: float = abs(a + b * turn + c * turn.conjugate()) / 3.0
        negative: float = abs(a + b * turn.conjugate() + c * turn) / 3.0
        if max(positive, negative) < _POINT_FLOOR_PU * self._nominal_v:
            return 0.0
        if self._reversed != (negative > positive):
            self._reversed = not self._reversed
            self._points.clear()
        return min(100.0 * negative / max(positive, 1e-9), _UNBALANCE_MAX_PCT)

    def _find_changes(self, start: float, length: float) -> None:
        """One-cycle RMS every half cycle of the block, each over the cycle that ends there."""
        cycle = length / RMS_CYCLES
        first = math.floor(start - cycle) - 1
        squares = self._rows[first : math.ceil(start + length) + 1, 0:3] ** 2
        total = np.vstack((np.zeros((1, 3)), np.cumsum(squares, axis=0)))
        ends = np.linspace(start - first + cycle / 2.0, start - first + length, 2 * RMS_CYCLES)
        energy = _between(total, ends) - _between(total, ends - cycle)
        v_pct = np.asarray(100.0 / self._nominal_v * np.sqrt(np.clip(energy / cycle, 0.0, None)), np.float64)
        at_s = np.asarray(self._time_of(self._start - 0.5) + (ends - (start - first)) / self._rate_hz, np.float64)
        self._changes.feed(at_s, v_pct)

    def _time_of(self, row: float) -> float:
        return self._at_s - (self._index - self._anchor - 1 - row) / self._rate_hz


@dataclass(frozen=True, slots=True)
class _Point:
    """``at``: centre of its window, in rows. ``phase``: of the positive sequence against nominal, unwrapped."""

    at: float
    phase: float
    live: bool


_TURN_BACK = cmath.exp(-2j * math.pi / 3.0)


def _phase_kernel(count: int, turn: float) -> NDArray[np.complex128]:
    """A four-term Blackman-Harris window that turns back nominal frequency; its sum gives an RMS phasor."""
    index = np.arange(count)
    window = sum(
        factor * np.cos(2.0 * math.pi * order * (index + 0.5) / count)
        for order, factor in enumerate((0.35875, -0.48829, 0.14128, -0.01168))
    )
    kernel: NDArray[np.complex128] = window * np.exp(-1j * turn * index) * (math.sqrt(2.0) / np.sum(window))
    return kernel


def _between(total: Samples, position: Samples) -> Samples:
    whole = np.floor(position).astype(np.intp)
    part = (position - whole)[:, None]
    found: Samples = total[whole] * (1.0 - part) + total[whole + 1] * part
    return found


def _three(values: Samples) -> PerPhase:
    a, b, c = values.tolist()
    return a, b, c
