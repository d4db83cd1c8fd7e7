"""The class check of IEC 61000-4-15 (2010): its tables of changes that give Pinst = 1 and Pst = 1."""

from __future__ import annotations

import numpy as np
import pytest

from v2g.grid.flicker import Flickermeter, plt

LAMPS = [("230V", 50.0), ("120V", 60.0)]
SINES = {
    "230V": [(0.5, 2.325), (2.0, 0.879), (5.0, 0.396), (8.8, 0.250), (12.0, 0.314), (20.0, 0.704), (25.0, 1.037)],
    "120V": [(0.5, 2.453), (2.0, 0.942), (5.0, 0.466), (8.8, 0.321), (12.0, 0.417), (20.0, 0.977), (25.0, 1.464)],
}
"""Hz and relative change in per cent, sinusoidal."""
RECTANGLES = {
    "230V": [(1.0, 0.467), (4.0, 0.332), (8.8, 0.196), (15.0, 0.341)],
    "120V": [(1.0, 0.548), (4.0, 0.394), (8.8, 0.252), (15.0, 0.457)],
}
PST = {
    "230V": [(1, 2.715), (2, 2.191), (7, 1.450), (39, 0.894), (110, 0.722), (1620, 0.407), (4000, 2.343)],
    "120V": [(1, 3.181), (2, 2.564), (7, 1.694), (39, 1.040), (110, 0.844), (1620, 0.548), (4800, 4.837)],
}
"""Changes a minute and relative change in per cent, rectangular."""


def modulated(wave: str, hz: float, change_pct: float, nominal_hz: float, seconds: float, rate_hz: float = 3840.0):
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    shape = np.sin(2 * np.pi * hz * time_s) if wave == "sine" else np.where((hz * time_s) % 1.0 < 0.5, 1.0, -1.0)
    return 325.0 * np.sin(2 * np.pi * nominal_hz * time_s) * (1.0 + change_pct / 200.0 * shape)


def feed(meter: Flickermeter, volts, chunk: int = 577) -> list[float]:
    seen = []
    for start in range(0, len(volts), chunk):
        meter.feed(volts[start : start + chunk])
        seen.append(meter.instantaneous)
    return seen


@pytest.mark.parametrize(("lamp", "nominal_hz"), LAMPS)
@pytest.mark.parametrize("rate_hz", [3200.0, 3840.0, 20000.0])
def test_the_sensation_of_the_tables_sines_is_one(lamp, nominal_hz, rate_hz):
    for hz, change_pct in SINES[lamp] if rate_hz == 3840 else SINES[lamp][3:4]:
        meter = Flickermeter(rate_hz, nominal_hz, lamp)
        seen = feed(meter, modulated("sine", hz, change_pct, nominal_hz, 14.0, rate_hz), 101)
        assert max(seen[len(seen) // 2 :]) == pytest.approx(1.0, abs=0.05), hz


@pytest.mark.parametrize(("lamp", "nominal_hz"), LAMPS)
def test_the_sensation_of_the_tables_rectangles_is_one(lamp, nominal_hz):
    for hz, change_pct in RECTANGLES[lamp]:
        seen = feed(Flickermeter(3840, nominal_hz, lamp), modulated("rectangle", hz, change_pct, nominal_hz, 14.0), 101)
        assert max(seen[len(seen) // 2 :]) == pytest.approx(1.0, abs=0.05), hz


@pytest.mark.parametrize(("lamp", "nominal_hz"), LAMPS)
@pytest.mark.parametrize("row", [1, 3, 4])
def test_the_severity_of_the_tables_rectangles_is_one(lamp, nominal_hz, row):
    changes_a_minute, change_pct = PST[lamp][row]
    seconds = 660.0 if changes_a_minute < 10 else 180.0
    meter = Flickermeter(3200, nominal_hz, lamp)
    feed(meter, modulated("rectangle", changes_a_minute / 120.0, change_pct, nominal_hz, seconds, 3200))
    assert meter.pst() == pytest.approx(1.0, abs=0.05)


@pytest.mark.bench
@pytest.mark.parametrize(("lamp", "nominal_hz"), LAMPS)
@pytest.mark.parametrize("row", range(7))
@pytest.mark.parametrize("rate_hz", [3200.0, 3840.0, 10000.0])
def test_every_row_of_the_severity_table(lamp, nominal_hz, row, rate_hz):
    changes_a_minute, change_pct = PST[lamp][row]
    meter = Flickermeter(rate_hz, nominal_hz, lamp)
    feed(meter, modulated("rectangle", changes_a_minute / 120.0, change_pct, nominal_hz, 660.0, rate_hz), 5770)
    assert meter.pst() == pytest.approx(1.0, abs=0.05)


def test_there_is_no_severity_before_the_filters_have_settled_and_a_new_interval_begins_empty():
    volts = modulated("sine", 8.8, 0.321, 60.0, 80.0)
    meter = Flickermeter(3840, 60.0)
    feed(meter, volts[: 59 * 3840])
    assert meter.pst() is None
    assert not meter.settled
    feed(meter, volts[59 * 3840 :])
    assert meter.settled
    assert meter.pst() == pytest.approx(0.71, abs=0.03)
    meter.restart()
    assert meter.pst() is None
    feed(meter, modulated("sine", 8.8, 0.0, 60.0, 10.0))
    meter.restart()
    feed(meter, modulated("sine", 8.8, 0.0, 60.0, 10.0))
    assert meter.pst() < 0.05


@pytest.mark.parametrize("hz", [57.0, 60.3, 63.0])
def test_a_steady_voltage_does_not_flicker_at_any_frequency_or_distortion(hz):
    volts = modulated("sine", 8.8, 0.0, hz, 90.0) + 0.05 * modulated("sine", 8.8, 0.0, 5 * hz, 90.0)
    meter = Flickermeter(3840, 60.0)
    feed(meter, volts)
    assert meter.pst() < 0.05


def test_blocks_of_any_length_give_the_same():
    volts = modulated("sine", 8.8, 1.0, 60.0, 62.0)
    one, other = Flickermeter(3840, 60.0), Flickermeter(3840, 60.0)
    feed(one, volts, 97)
    feed(other, volts, 100_000)
    assert one.instantaneous == pytest.approx(other.instantaneous, rel=1e-9)
    assert one.pst() == pytest.approx(other.pst(), rel=1e-9)


def test_a_dead_bus_does_not_flicker():
    meter = Flickermeter(3840, 60.0)
    feed(meter, np.zeros(3840 * 70))
    assert meter.instantaneous == 0.0
    assert meter.pst() == pytest.approx(0.0, abs=0.02)


def test_long_term_severity_is_the_cubic_mean_of_the_newest_twelve():
    assert plt(()) == 0.0
    assert plt((0.5,)) == pytest.approx(0.5)
    assert plt((1.0, 0.0)) == pytest.approx(0.5 ** (1 / 3))
    assert plt((9.0,) + (0.3,) * 12) == pytest.approx(0.3)
