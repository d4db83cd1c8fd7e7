"""Samples of the site's voltages and currents, as a recorder at the bus would take them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from v2g.hardware.waveform import CHANNELS
from v2g.simulation.site import Site
from v2g.simulation.switchgear import OvervoltageRelay, Switch
from v2g.simulation.switching import SHARES

SAMPLE_RATE_HZ: Final = 3840
"""64 samples a cycle at 60 Hz."""
_VOLTAGE_NOISE_PU = 0.0005
_CURRENT_NOISE_A = 0.15
_INVERTER_CURRENT_LIMIT = 1.2
_VEHICLE_CURRENT_LIMIT = 2.0
"""A vehicle at an AC EVSE may take more than the EVSE is rated for."""
_SQRT2 = math.sqrt(2.0)


@dataclass(slots=True)
class InverterSide:
    """How three voltage transducers behind the breaker are wired.

    ``offset_deg``: their phase error, what they show leads the truth by this. ``order``: which phase of the bus each
    conductor is joined to.
    """

    offset_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    order: tuple[int, int, int] = (0, 1, 2)


class Recorder:
    """Turns the site's state into samples; remembers the last powers so that currents have no steps of its own.

    ``own``: by EVSE, the names of three further channels at its inverter's own terminals.
    """

    def __init__(self, site: Site, *, seed: int = 1, own: Mapping[str, tuple[str, str, str]] | None = None) -> None:
        self._site = site
        extra = tuple(name for names in (own or {}).values() for name in names)
        self.channels = CHANNELS + extra
        self._voltages = np.array([name.startswith("v_") for name in CHANNELS] + [True] * len(extra))
        self._noise = np.random.default_rng(seed).standard_normal((4099, len(self.channels)))
        self._noise_at = 0
        self._feeder_w = np.zeros(3)
        self._base_w = site.base_load_w
        self.lost_channels: set[int] = set()
        """Columns whose transducer is gone: not taken (NaN)."""
        self.gains: dict[int, float] = {}
        """Of columns whose transducer shows so many times the truth."""
        self.feeder_side = InverterSide()
        self.own_sides = {evse_id: InverterSide() for evse_id in own or {}}

    def record(self, n: int, start_s: float, now_s: float) -> NDArray[np.float64]:
        """The ``n`` samples from ``start_s`` to ``now_s`` in V and A, a column a channel. Advances the grid's phase."""
        site = self._site
        angles = site.grid.angles(n, SAMPLE_RATE_HZ)
        v_rms = np.array(site.grid.voltages_v)
        v_bus = _SQRT2 * v_rms * np.sin(angles)
        closed = _mask(site.breaker, n, start_s, now_s) * _mask(site.relay, n, start_s, now_s)
        feeder_w, base_w = np.array(site.feeder_phase_w), site.base_load_now_w()
        ramp = (np.arange(1, n + 1) / n)[:, None]
        feeder = (self._feeder_w + (feeder_w - self._feeder_w) * ramp) * closed[:, None]
        base = (self._base_w + (base_w - self._base_w) * ramp) / 3.0
        self._feeder_w, self._base_w = feeder_w, base_w
        most_va = _INVERTER_CURRENT_LIMIT * sum(c.inverter.rated_w for c in site.chargers.values()) / 3.0
        most_va += _VEHICLE_CURRENT_LIMIT * sum(c.rated_w / c.phases for c in site.ac_chargers.values())
        i_v2g = self._currents(feeder, np.array(site.feeder_phase_var), v_rms, angles, most_va)
        if distorted_va := self._distorted_va():
            i_v2g += self._harmonics(distorted_va, SHARES, v_rms, angles) * closed[:, None]
        base_var = np.full(3, site.base_load_var() / 3.0)
        i_base = self._currents(base, base_var, v_rms, angles, 2.0 * site.rated_va / 3.0)
        if site.base_harmonics:
            base_va = math.hypot(site.base_load_w, site.base_load_var())
            i_base += self._harmonics(base_va, site.base_harmonics, v_rms, angles)
        samples = np.empty((n, len(self.channels)))
        samples[:, 0:3] = v_bus
        # With the mains lost, what the vehicles feed is what the base load takes, and nothing passes the transformer.
        samples[:, 3:6] = i_base + i_v2g if site.grid.mains_closed else 0.0
        samples[:, 6:9] = i_v2g
        for position, side in enumerate((self.feeder_side, *self.own_sides.values())):
            shown = _shown(side, v_bus, v_rms, angles) * closed[:, None]
            samples[:, 9 + 3 * position : 12 + 3 * position] = shown
        self._add_noise(samples)
        for channel, gain in self.gains.items():
            samples[:, channel] *= gain
        for channel in self.lost_channels:
            samples[:, channel] = np.nan
        return samples

    def _currents(
        self,
        power_w: NDArray[np.float64],
        reactive_var: NDArray[np.float64],
        v_rms: NDArray[np.float64],
        angles: NDArray[np.float64],
        ceiling_va: float,
    ) -> NDArray[np.float64]:
        """All by phase: ``power_w`` a row a sample, of three columns or of one for all phases."""
        nominal = self._site.grid.nominal_voltage_v
        share = np.where(v_rms > 0.05 * nominal, 1.0 / np.maximum(v_rms, 0.05 * nominal), 0.0)
        most_a = ceiling_va / nominal
        active = np.clip(power_w * share, -most_a, most_a)
        result: NDArray[np.float64] = _SQRT2 * active * np.sin(angles)
        if reactive_var.any():
            result -= (_SQRT2 * reactive_var * share) * np.cos(angles)
        return result

    def _distorted_va(self) -> float:
        """Power of each inverter times the distortion of its current. Equal orders are in phase: the worst case."""
        inverters = [charger.inverter for charger in self._site.chargers.values()]
        return sum(abs(inverter.power_w) * inverter.bridge.thd for inverter in inverters)

    def _harmonics(
        self, va: float, shares: Mapping[int, float], v_rms: NDArray[np.float64], angles: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """``shares``: order -> share of the current of ``va``; each turns in the direction that its order gives it."""
        nominal = self._site.grid.nominal_voltage_v
        alive = v_rms > 0.05 * nominal
        fundamental = np.where(alive, _SQRT2 * va / (3.0 * np.maximum(v_rms, 0.05 * nominal)), 0.0)
        result: NDArray[np.float64] = fundamental * sum(
            share * np.sin(order * angles) for order, share in shares.items()
        )
        return result

    def _add_noise(self, samples: NDArray[np.float64]) -> None:
        n = len(samples)
        if self._noise_at + n > len(self._noise):
            self._noise_at = (self._noise_at * 7 + 13) % max(1, len(self._noise) - n)
        noise = self._noise[self._noise_at : self._noise_at + n]
        self._noise_at += n
        volts = _VOLTAGE_NOISE_PU * self._site.grid.nominal_voltage_v
        samples += noise * np.where(self._voltages, volts, _CURRENT_NOISE_A)


def _shown(
    side: InverterSide, v_bus: NDArray[np.float64], v_rms: NDArray[np.float64], angles: NDArray[np.float64]
) -> NDArray[np.float64]:
    order = list(side.order)
    if any(side.offset_deg):
        leading: NDArray[np.float64] = np.sin(angles[:, order] + np.radians(side.offset_deg))
        return _SQRT2 * v_rms[order] * leading
    return v_bus[:, order]


def _mask(contact: Switch | OvervoltageRelay, n: int, start_s: float, now_s: float) -> NDArray[np.float64]:
    """1 for the samples that were taken while the contact was closed."""
    state = 1.0 if contact.closed else 0.0
    changed_at_s = contact.changed_at_s
    if changed_at_s is None or changed_at_s <= start_s:
        return np.full(n, state)
    times = start_s + (now_s - start_s) * np.arange(1, n + 1) / n
    return np.where(times >= changed_at_s, state, 1.0 - state)
