"""The simulated medium-voltage grid as the bus sees it: frequency, per-phase voltage, and how both change.

Phase is continuous through every change of frequency; a phase jump is the one event that breaks it. The transformer's
own impedance is left out, so that a step by a fault is the step at the bus.

With the mains lost the bus is an island of what the vehicles feed and the base load takes. The load is a resistance, so
the voltage settles where it takes what is generated: at nominal where they match, dead where nothing is generated. The
frequency of a real island follows its reactive balance; here it drifts with the mismatch of active power, which is
enough to tell a matched island (that only an input or an active method finds) from one that leaves its limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

ISLAND_SETTLES_S = 0.05
ISLAND_DRIFT_HZ_S = 10.0
"""Per unit of mismatch, of the base load."""
_ISLAND_HIGHEST_PU = 1.5
_ISLAND_WIDEST_HZ = 6.0
_SHIFTS = np.array([0.0, -2.0 * math.pi / 3.0, 2.0 * math.pi / 3.0])


@dataclass(slots=True, kw_only=True)
class GridSource:
    """Three-phase source. ``v_pu`` and ``jump_rad`` per phase; ``frequency_hz`` moves to its target by the ramp."""

    nominal_voltage_v: float
    nominal_frequency_hz: float
    frequency_hz: float = 0.0
    target_frequency_hz: float = 0.0
    ramp_hz_s: float = math.inf
    v_pu: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])
    jump_rad: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    phase_rad: float = 0.0
    mains_closed: bool = True
    """The upstream switch."""
    island_pu: float = 1.0
    """Of the voltage set, while the mains are lost."""
    last_event_at_s: float | None = None
    """CLOCK_MONOTONIC of the first sample that differs because of the last event."""

    def __post_init__(self) -> None:
        self.frequency_hz = self.frequency_hz or self.nominal_frequency_hz
        self.target_frequency_hz = self.target_frequency_hz or self.frequency_hz

    def set_frequency(self, frequency_hz: float, now_s: float, *, ramp_hz_s: float = math.inf) -> None:
        """Go to ``frequency_hz`` (1..200 Hz), at once or with a rate of change (> 0, Hz/s)."""
        if not 1.0 <= frequency_hz <= 200.0:
            raise ValueError(f"frequency {frequency_hz:g} Hz is outside 1..200 Hz")
        if not ramp_hz_s > 0.0:
            raise ValueError(f"ramp {ramp_hz_s:g} Hz/s must be above zero")
        self.target_frequency_hz = frequency_hz
        self.ramp_hz_s = ramp_hz_s
        self.last_event_at_s = now_s

    def set_voltage(self, v_pu: list[float], now_s: float) -> None:
        """Per unit of nominal for phases a, b, c, each 0..3."""
        if len(v_pu) != 3 or not all(0.0 <= v <= 3.0 for v in v_pu):
            raise ValueError(f"voltage {v_pu} must be three values of 0..3 pu")
        self.v_pu = list(v_pu)
        self.last_event_at_s = now_s

    def jump_phase(self, degrees: list[float], now_s: float) -> None:
        """Add a phase jump per phase, degrees."""
        if len(degrees) != 3:
            raise ValueError(f"phase jump {degrees} must be three values in degrees")
        self.jump_rad = [old + math.radians(new) for old, new in zip(self.jump_rad, degrees, strict=True)]
        self.last_event_at_s = now_s

    def switch_mains(self, closed: bool, now_s: float) -> None:
        """Open or close the upstream switch. Closed, the bus has the grid's voltage and frequency again at once."""
        if closed == self.mains_closed:
            return
        self.mains_closed = closed
        self.island_pu = 1.0
        self.last_event_at_s = now_s
        if closed:
            self.frequency_hz = self.target_frequency_hz

    def drift(self, generated_w: float, load_w: float, dt_s: float, push_hz_s: float = 0.0) -> None:
        """Move the island by ``dt_s``; ``load_w`` is what the base load takes at nominal voltage. On mains: nothing.

        ``push_hz_s``: what the inverters' active islanding detection does to the frequency.
        """
        if self.mains_closed:
            return
        balance = max(0.0, generated_w) / max(load_w, 1.0)
        target_pu = min(math.sqrt(balance), _ISLAND_HIGHEST_PU)
        self.island_pu += (target_pu - self.island_pu) * -math.expm1(-dt_s / ISLAND_SETTLES_S)
        mismatch = max(-1.0, min(1.0, balance - 1.0))
        offset_hz = self.frequency_hz - self.nominal_frequency_hz + (ISLAND_DRIFT_HZ_S * mismatch + push_hz_s) * dt_s
        self.frequency_hz = self.nominal_frequency_hz + max(-_ISLAND_WIDEST_HZ, min(_ISLAND_WIDEST_HZ, offset_hz))

    def restore(self, now_s: float) -> None:
        """Nominal frequency and voltages; the phase goes on from where it is."""
        self.set_voltage([1.0, 1.0, 1.0], now_s)
        self.set_frequency(self.nominal_frequency_hz, now_s)

    def angles(self, n: int, sample_rate_hz: float) -> NDArray[np.float64]:
        """The phase angles of the next ``n`` samples, shape [n, 3], radians; advances the source by ``n`` samples."""
        gap_hz = self.target_frequency_hz - self.frequency_hz
        if gap_hz == 0.0 or not self.mains_closed:
            base = self.phase_rad + (2.0 * math.pi * self.frequency_hz / sample_rate_hz) * np.arange(1, n + 1)
        else:
            if math.isinf(self.ramp_hz_s):
                frequencies = np.full(n, self.target_frequency_hz)
            else:
                moved = np.minimum(self.ramp_hz_s / sample_rate_hz * np.arange(1, n + 1), abs(gap_hz))
                frequencies = self.frequency_hz + math.copysign(1.0, gap_hz) * moved
            self.frequency_hz = float(frequencies[-1])
            base = self.phase_rad + np.cumsum(frequencies) * (2.0 * math.pi / sample_rate_hz)
        self.phase_rad = float(base[-1]) % (2.0 * math.pi)
        return np.asarray(base[:, None] + (_SHIFTS + np.array(self.jump_rad)), dtype=np.float64)

    @property
    def bus_pu(self) -> tuple[float, float, float]:
        """What the bus has, per unit of nominal: the grid's voltage, or the island's."""
        a, b, c = self.v_pu
        share = 1.0 if self.mains_closed else self.island_pu
        return a * share, b * share, c * share

    @property
    def voltages_v(self) -> tuple[float, float, float]:
        """Line-to-neutral RMS of phases a, b, c."""
        a, b, c = self.bus_pu
        return a * self.nominal_voltage_v, b * self.nominal_voltage_v, c * self.nominal_voltage_v
