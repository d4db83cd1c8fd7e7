"""The class check of IEC 61000-4-15:2010: relative changes in per cent that are to give one, and their signals."""

from __future__ import annotations

import numpy as np

from v2g.grid.flicker import Flickermeter

LAMPS = (("230V", 50.0), ("120V", 60.0))
HZ = (*np.arange(0.5, 8.1, 0.5).tolist(), 8.8, *np.arange(9.5, 12.1, 0.5).tolist(), *map(float, range(13, 26)))
SINES = {
    "230V": (
        *(
            2.325,
            1.397,
            1.067,
            0.879,
            0.747,
            0.645,
            0.564,
            0.497,
            0.442,
            0.396,
            0.357,
            0.325,
            0.300,
            0.280,
            0.265,
            0.256,
        ),
        *(
            0.250,
            0.254,
            0.261,
            0.271,
            0.283,
            0.298,
            0.314,
            0.351,
            0.393,
            0.438,
            0.486,
            0.537,
            0.590,
            0.646,
            0.704,
            0.764,
        ),
        *(0.828, 0.894, 0.964, 1.037),
    ),
    "120V": (
        *(
            2.453,
            1.465,
            1.126,
            0.942,
            0.815,
            0.717,
            0.637,
            0.570,
            0.514,
            0.466,
            0.426,
            0.393,
            0.366,
            0.346,
            0.332,
            0.323,
        ),
        *(
            0.321,
            0.329,
            0.341,
            0.355,
            0.373,
            0.394,
            0.417,
            0.469,
            0.528,
            0.592,
            0.660,
            0.734,
            0.811,
            0.892,
            0.977,
            1.067,
        ),
        *(1.160, 1.257, 1.359, 1.464),
    ),
}
"""At :data:`HZ`: a sinusoidal change that is just perceived."""
RECTANGLES = {
    "230V": ((1.0, 0.467), (4.0, 0.332), (8.8, 0.196), (15.0, 0.341)),
    "120V": ((1.0, 0.548), (4.0, 0.394), (8.8, 0.252), (15.0, 0.457)),
}
"""Hz and change: a rectangular one that is just perceived."""
SEVERITY = {
    "230V": ((1, 2.715), (2, 2.191), (7, 1.450), (39, 0.894), (110, 0.722), (1620, 0.407), (4000, 2.343)),
    "120V": ((1, 3.181), (2, 2.564), (7, 1.694), (39, 1.040), (110, 0.844), (1620, 0.548), (4800, 4.837)),
}
"""Changes a minute and rectangular change: Pst is one."""


def modulated(wave: str, hz: float, change_pct: float, nominal_hz: float, seconds: float, rate_hz: float = 3840.0):
    """Volts of one phase whose amplitude changes by ``change_pct`` from peak to peak."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    shape = np.sin(2 * np.pi * hz * time_s) if wave == "sine" else np.where((hz * time_s) % 1.0 < 0.5, 1.0, -1.0)
    return 325.0 * np.sin(2 * np.pi * nominal_hz * time_s) * (1.0 + change_pct / 200.0 * shape)


def feed(meter: Flickermeter, volts, chunk: int = 577) -> list[float]:
    """The sensation after each chunk."""
    seen = []
    for start in range(0, len(volts), chunk):
        meter.feed(volts[start : start + chunk])
        seen.append(meter.instantaneous)
    return seen


def sensation(lamp: str, nominal_hz: float, wave: str, hz: float, change_pct: float, rate_hz: float) -> float:
    """The largest once the filters have settled enough."""
    seen = feed(
        Flickermeter(rate_hz, nominal_hz, lamp), modulated(wave, hz, change_pct, nominal_hz, 14.0, rate_hz), 101
    )
    return max(seen[len(seen) // 2 :])


def severity(lamp: str, nominal_hz: float, changes_a_minute: float, change_pct: float, rate_hz: float, seconds: float):
    meter = Flickermeter(rate_hz, nominal_hz, lamp)
    feed(meter, modulated("rectangle", changes_a_minute / 120.0, change_pct, nominal_hz, seconds, rate_hz), 5770)
    return meter.pst()
