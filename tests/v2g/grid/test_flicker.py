"""The class check of IEC 61000-4-15 (2010): its tables of changes that give Pinst = 1 and Pst = 1."""

from __future__ import annotations

import numpy as np
import pytest

from support.flicker_tables import HZ, LAMPS, RECTANGLES, SEVERITY, SINES, feed, modulated, sensation, severity
from v2g.grid.flicker import Flickermeter, plt


@pytest.mark.parametrize(("lamp", "nominal_hz"), LAMPS)
@pytest.mark.parametrize("rate_hz", [3200.0, 3840.0, 20000.0])
def test_the_sensation_of_the_tables_sines_is_one(lamp, nominal_hz, rate_hz):
    for hz, change_pct in list(zip(HZ, SINES[lamp], strict=True))[:: 5 if rate_hz == 3840 else 16]:
        assert sensation(lamp, nominal_hz, "sine", hz, change_pct, rate_hz) == pytest.approx(1.0, abs=0.05), hz


@pytest.mark.parametrize(("lamp", "nominal_hz"), LAMPS)
def test_the_sensation_of_the_tables_rectangles_is_one(lamp, nominal_hz):
    for hz, change_pct in RECTANGLES[lamp]:
        assert sensation(lamp, nominal_hz, "rectangle", hz, change_pct, 3840) == pytest.approx(1.0, abs=0.05), hz


@pytest.mark.parametrize(("lamp", "nominal_hz"), LAMPS)
@pytest.mark.parametrize("row", [pytest.param(1, marks=pytest.mark.soak), 4])
def test_the_severity_of_the_tables_rectangles_is_one(lamp, nominal_hz, row):
    changes_a_minute, change_pct = SEVERITY[lamp][row]
    seconds = 660.0 if changes_a_minute < 10 else 180.0
    found = severity(lamp, nominal_hz, changes_a_minute, change_pct, 3200.0, seconds)
    assert found == pytest.approx(1.0, abs=0.05)


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
