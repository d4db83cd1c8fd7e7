"""A synthetic day of a street: 15-minute readings through the feed, polls every second, gaps, late readings, slips."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from v2g.clock import ManualClock
from v2g.utility.meter_book import MeterBook
from v2g.utility.meter_feed import answer
from v2g.utility.meter_reading import MeterSpec, Reading
from v2g.utility.meter_view import MeteredLoad, Phases

HOUR_S, QUARTER_S, DAY_S = 3600.0, 900.0, 86_400.0
HOMES = tuple(f"home{n}" for n in range(6))
SHOP = "shop"
GAP = (10 * HOUR_S, 12 * HOUR_S)
"""home5 tells nothing."""
LATE_AT = 14 * HOUR_S
"""home4's readings of two quarters arrive together, the older one last."""
SLIP = (17 * HOUR_S, 19 * HOUR_S)
"""home3's readings are in kW without saying so."""
NIGHT_W, EVENING_W = 300.0, 3_000.0


def home_w(meter: str, at_s: float) -> float:
    """Low at night, high at seven in the evening."""
    evening = math.exp(-(((at_s / HOUR_S - 19.0) / 2.5) ** 2))
    return NIGHT_W + (EVENING_W - NIGHT_W) * evening + 40.0 * HOMES.index(meter)


def shop_w(at_s: float) -> Phases:
    """Open from nine to six, with a photovoltaic plant on phase c."""
    hour = at_s / HOUR_S
    open_w = 9_000.0 if 9.0 <= hour < 18.0 else 600.0
    sun_w = 12_000.0 * max(0.0, math.sin(math.pi * (hour - 6.0) / 12.0)) if 6.0 <= hour <= 18.0 else 0.0
    return open_w / 3.0, open_w / 3.0, open_w / 3.0 - sun_w


class Street:
    """Each home is on one phase in turn; homes 0 to 2 tell registers, the others powers."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.start_unix_s = self.clock.unix_s()
        fed = [MeterSpec(id=home, max_age_s=1200.0, rated_w=15_000.0, fed=True) for home in HOMES]
        self.book = MeterBook([*fed, MeterSpec(id=SHOP, max_age_s=30.0, rated_w=40_000.0)])
        self.registers = dict.fromkeys(HOMES, 5_000_000.0)
        self.refused: list[tuple[float, str]] = []
        self.notes: list[str] = []

    @property
    def at_s(self) -> float:
        return self.clock.unix_s() - self.start_unix_s

    def feed(self, meter: str, at_s: float, **value: Any) -> None:
        line = json.dumps({"meter": meter, "at": self.start_unix_s + at_s, **value}).encode()
        said = json.loads(answer(line, self.book, self.clock.monotonic_s(), self.clock.unix_s()))
        if "error" in said:
            self.refused.append((self.at_s, said["error"]))
        elif "note" in said:
            self.notes.append(said["note"])

    def quarter(self, home: str, at_s: float) -> None:
        """The reading of the quarter of an hour that ends at ``at_s``."""
        phase = "abc"[HOMES.index(home) % 3]
        mean_w = home_w(home, at_s - QUARTER_S / 2.0)
        if HOMES.index(home) < 3:
            self.registers[home] += mean_w * QUARTER_S / 3600.0
            self.feed(home, at_s, energy_wh={phase: round(self.registers[home], 1)})
        elif home == HOMES[3] and SLIP[0] <= at_s < SLIP[1]:
            self.feed(home, at_s, power_w={phase: mean_w / 1000.0})
        else:
            self.feed(home, at_s, power_w={phase: mean_w / 1000.0}, unit="kW")

    def quarters(self) -> None:
        at_s = self.at_s
        for home in HOMES:
            if home == HOMES[5] and GAP[0] <= at_s < GAP[1]:
                continue
            if home == HOMES[4] and at_s == LATE_AT:
                continue
            self.quarter(home, at_s)
            if home == HOMES[4] and at_s == LATE_AT + QUARTER_S:
                self.quarter(home, LATE_AT)

    def poll(self) -> None:
        reading = Reading(at_unix_s=self.clock.unix_s(), power_w=shop_w(self.at_s))
        self.book.take(SHOP, reading, self.clock.monotonic_s(), self.clock.unix_s())

    def view(self) -> MeteredLoad:
        return self.book.view(self.clock.monotonic_s(), self.clock.unix_s(), None)

    def told_w(self) -> Phases:
        """What the meters should add up to: the last whole quarter of each home, and the shop now."""
        ends_s = self.at_s // QUARTER_S * QUARTER_S
        total = list(shop_w(self.at_s))
        for number, home in enumerate(HOMES):
            total[number % 3] += home_w(home, ends_s - QUARTER_S / 2.0)
        return total[0], total[1], total[2]


@pytest.fixture(scope="module")
def day() -> tuple[Street, list[tuple[float, MeteredLoad]]]:
    street, views = Street(), []
    while street.at_s <= DAY_S:
        if street.at_s % QUARTER_S == 0.0:
            street.quarters()
        street.poll()
        if street.at_s % 60.0 == 30.0:
            view = street.view()
            views.append((street.at_s, view))
            if view.base_w is not None and not LATE_AT <= street.at_s < LATE_AT + QUARTER_S:
                assert view.base_w == pytest.approx(street.told_w(), abs=1.0)
        street.clock.advance(1.0)
    return street, views


Day = tuple[Street, list[tuple[float, MeteredLoad]]]


def unknown(day: Day, meter: str) -> tuple[float, float]:
    """First and last half minute at which this meter could not be used, after the first hour."""
    times = [at_s for at_s, view in day[1] if at_s > HOUR_S and meter in view.missing]
    return times[0], times[-1]


def test_the_base_load_is_known_in_every_minute_but_for_gap_and_slip(day: Day) -> None:
    begins = [at_s for at_s, view in day[1] if view.base_w is None and at_s < HOUR_S]
    # Registers need two readings for a power.
    assert begins[-1] == QUARTER_S - 30.0
    lost = {at_s for at_s, view in day[1] if view.base_w is None and at_s > HOUR_S}
    gaps = ((GAP[0] - QUARTER_S + 1200.0, GAP[1]), (LATE_AT - QUARTER_S + 1200.0, LATE_AT + QUARTER_S))
    gap = {at_s for at_s, _ in day[1] for begins_s, ends_s in gaps if begins_s < at_s < ends_s}
    slip = {at_s for at_s, _ in day[1] if SLIP[0] <= at_s < SLIP[1]}
    assert lost == gap | slip


def test_a_gap_makes_its_meter_missing_twenty_minutes_after_its_last_reading(day: Day) -> None:
    assert unknown(day, HOMES[5]) == (GAP[0] - QUARTER_S + 1230.0, GAP[1] - 30.0)
    assert day[0].book.records[HOMES[5]].counts.gaps == 1


def test_a_slip_of_units_is_refused_in_every_line_and_used_again_once_corrected(day: Day) -> None:
    street, _ = day
    assert [at_s for at_s, _ in street.refused] == [SLIP[0] + n * QUARTER_S for n in range(8)]
    assert all('meter home3: looks like kW told as W: set "unit": "kW"' in said for _, said in street.refused)
    assert unknown(day, HOMES[3]) == (SLIP[0] + 30.0, SLIP[1] - 30.0)


def test_the_late_reading_is_ignored_and_counted(day: Day) -> None:
    counts = day[0].book.records[HOMES[4]].counts
    assert (counts.late, counts.gaps) == (1, 1)
    assert "ignored: 15 min older than what is known" in day[0].notes


def test_the_days_history_holds_the_minutes_of_the_shop_and_the_quarters_of_the_homes(day: Day) -> None:
    street, _ = day
    shop, home = (street.book.records[meter].history.means() for meter in (SHOP, HOMES[0]))
    assert 1440 <= len(shop) <= 1441
    assert len(home) == 96
    noon = int((street.start_unix_s + 12 * HOUR_S) // 60)
    (mean,) = [power_w for minute, power_w in shop if minute == noon]
    assert mean == pytest.approx((3_000.0, 3_000.0, -9_000.0), rel=0.01)
