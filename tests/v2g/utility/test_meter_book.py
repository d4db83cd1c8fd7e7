"""All meters together: complete or not, contradictions with the transformer, unknown ids."""

from __future__ import annotations

import pytest

from v2g.utility.meter_book import MeterBook
from v2g.utility.meter_reading import MeterSpec, Reading, ReadingRefused, to_bus
from v2g.utility.meter_view import MeteredLoad, Phases

NOW_S, UNIX_S = 1000.0, 1_700_000_000.0


class Site:
    def __init__(self, *meters: str) -> None:
        self.book = MeterBook(MeterSpec(id=meter, max_age_s=1200.0, rated_w=50_000.0, fed=True) for meter in meters)
        self.after_s = 0.0

    def tell(self, **powers: Phases | float) -> None:
        for meter, power_w in powers.items():
            power = power_w if isinstance(power_w, tuple) else (power_w, 0.0, 0.0)
            unix_s = UNIX_S + self.after_s
            self.book.take(meter, Reading(at_unix_s=unix_s, power_w=power), NOW_S + self.after_s, unix_s, fed=True)

    def view(self, measured_w: float | None = None) -> MeteredLoad:
        return self.book.view(NOW_S + self.after_s, UNIX_S + self.after_s, measured_w)


def test_the_base_load_is_the_sum_by_phase_once_every_meter_has_told() -> None:
    site = Site("c1", "c2")
    site.tell(c1=(100.0, 200.0, 300.0))
    view = site.view()
    assert (view.base_w, view.known_w, view.missing) == (None, (100.0, 200.0, 300.0), ("c2",))
    assert view.notes == ("1 of 2 meters tell nothing that can be used: c2; see v2g-tool meters",)
    site.tell(c2=(1.0, -500.0, 0.0))
    view = site.view()
    assert (view.base_w, view.missing, view.notes) == ((101.0, -300.0, 300.0), (), ())


def test_a_meter_that_vanishes_takes_the_base_load_with_it() -> None:
    site = Site("c1", "c2")
    site.tell(c1=100.0, c2=200.0)
    site.after_s = 900.0
    site.tell(c1=100.0)
    site.after_s = 1201.0
    view = site.view()
    assert (view.base_w, view.missing) == (None, ("c2",))
    assert view.lines[1].problem.startswith("no reading for")


def test_many_missing_meters_are_one_note() -> None:
    names = [f"c{n}" for n in range(1, 11)]
    note = Site(*names).view().notes[0]
    assert note == "10 of 10 meters tell nothing that can be used: c1, c2, c3 and 7 more; see v2g-tool meters"


def test_without_meters_there_is_nothing_to_say() -> None:
    assert Site().view(50_000.0) == MeteredLoad()


def test_an_unexpected_id_is_refused_with_the_place_for_it() -> None:
    with pytest.raises(ReadingRefused, match=r"'c9' is not expected here; add it to utility\.meter_feed\.meters"):
        Site("c1").tell(c9=1.0)


def test_a_polled_meter_cannot_be_told_by_the_feed() -> None:
    book = MeterBook([MeterSpec(id="c1", max_age_s=30.0, rated_w=1e4)])
    with pytest.raises(ReadingRefused, match="is not expected here"):
        book.take("c1", Reading(at_unix_s=UNIX_S, power_w=(1.0, 0.0, 0.0)), NOW_S, UNIX_S, fed=True)
    assert book.take("c1", Reading(at_unix_s=UNIX_S, power_w=(1.0, 0.0, 0.0)), NOW_S, UNIX_S) == ""


def test_a_contradiction_with_the_transformer_is_a_note_after_a_minute_and_the_load_still_told() -> None:
    site = Site("c1", "c2")
    site.tell(c1=20_000.0, c2=10_000.0)
    assert site.view(40_000.0).notes == ()
    site.after_s = 60.0
    view = site.view(40_000.0)
    assert view.base_w == (30_000.0, 0.0, 0.0)
    assert view.notes == (
        "the meters add up to 30.00 kW, the transformer measures 40.00 kW of base load: a customer without a meter, a "
        "wrong sign (import_is_positive) or a wrong current transformer ratio?",
    )
    assert site.book.contradiction == view.notes[0]
    assert site.view(30_500.0).notes == ()
    assert site.book.contradiction == ""


def test_a_slip_that_only_the_sum_can_tell_is_named_and_its_value_not_used() -> None:
    site = Site("c1", "c2")
    site.tell(c1=20_000.0, c2=15.0)
    assert site.view(35_000.0).base_w == (20_015.0, 0.0, 0.0)
    site.after_s = 60.0
    view = site.view(35_000.0)
    assert (view.base_w, view.known_w, view.missing) == (None, (20_000.0, 0.0, 0.0), ("c2",))
    assert view.lines[1].problem == (
        'looks like kW told as W: set "unit": "kW" where its readings are written; the sum of all meters tells it'
    )
    assert view.notes[1].endswith("35.00 kW of base load: meter c2 looks like kW told as W")
    site.tell(c1=20_000.0, c2=15_000.0)
    view = site.view(35_000.0)
    assert (view.base_w, view.notes) == ((35_000.0, 0.0, 0.0), ())


def test_an_adapter_that_tells_all_meters_in_kilowatts_is_found_by_the_sum() -> None:
    site = Site("c1", "c2")
    for site.after_s in (0.0, 60.0):
        site.tell(c1=20.0, c2=15.0)
        view = site.view(34_000.0)
    assert (view.base_w, view.missing) == (None, ("c1", "c2"))
    assert view.notes[1].endswith("every meter looks like kW told as W")


def test_where_a_meter_is_missing_the_sum_tells_nothing() -> None:
    site = Site("c1", "c2")
    for site.after_s in (0.0, 60.0, 120.0):
        site.tell(c1=20_000.0)
        view = site.view(40_000.0)
    assert len(view.notes) == 1


@pytest.mark.parametrize(
    ("rotation", "bus"),
    [
        ("abc", (1.0, 2.0, 3.0)), ("bca", (3.0, 1.0, 2.0)), ("cab", (2.0, 3.0, 1.0)), ("acb", (1.0, 3.0, 2.0)),
        ("cba", (3.0, 2.0, 1.0)), ("bac", (2.0, 1.0, 3.0)), ("b", (0.0, 6.0, 0.0)),
    ],
)  # fmt: skip
def test_a_meters_phases_turn_to_those_of_the_bus(rotation: str, bus: Phases) -> None:
    assert to_bus((1.0, 2.0, 3.0), rotation) == bus
