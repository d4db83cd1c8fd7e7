from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.dispatch.constraints import Bound, intersect
from v2g.utility.signal_book import LOWEST, MOST, OPERATOR, VTN, Entry, SignalBook, SignalError, describe
from v2g.utility.signals import Signal, SignalKind

UNIX_S, NOW_S = 1_700_000_000.0, 5_000.0
NAMES = itertools.count()


def entry(kind: str, value: float, begins_s: float = 0.0, lasts_s: float = 3600.0, **more: Any) -> Entry:
    """Times from UNIX_S."""
    name = more.pop("id", f"n{next(NAMES)}")
    signal = Signal(
        id=name,
        kind=SignalKind(kind),
        value=value,
        starts_unix_s=UNIX_S + begins_s,
        ends_unix_s=UNIX_S + begins_s + lasts_s,
        source=more.pop("source", f"utility by {name}"),
    )
    return Entry(signal=signal, **more)


def book_of(*entries: Entry) -> SignalBook:
    book = SignalBook(172_800.0)
    for each in entries:
        book.add(each, UNIX_S)
    return book


def test_the_lowest_cap_and_the_highest_floor_count_and_the_others_are_named() -> None:
    book = book_of(
        entry("cap", 20e3, id="a"),
        entry("cap", 5e3, id="b", lasts_s=600.0),
        entry("floor", -30e3, id="c"),
        entry("floor", -10e3, id="d"),
    )
    view = book.view(NOW_S, UNIX_S)
    assert view.bounds == (
        Bound(-math.inf, 5e3, "utility by b", NOW_S + 600.0),
        Bound(-10e3, math.inf, "utility by d", NOW_S + 3600.0),
    )
    assert view.notes == (
        "cap of utility by a (charge at most 20.00 kW) does not bind: lower cap of utility by b",
        "floor of utility by c (discharge at most 30.00 kW) does not bind: higher floor of utility by d",
    )


def test_a_cap_below_a_floor_means_no_power_and_names_both_until_one_of_them_ends() -> None:
    book = book_of(entry("cap", -5e3, id="a", lasts_s=60.0), entry("floor", 1e3, id="b"))
    (bound,) = book.view(NOW_S, UNIX_S).bounds
    assert bound == Bound(0.0, 0.0, "contradiction: utility by b / utility by a", NOW_S + 60.0)
    assert book.view(NOW_S + 60.0, UNIX_S + 60.0).bounds == (Bound(1e3, math.inf, "utility by b", NOW_S + 3600.0),)


def test_what_has_not_begun_or_is_over_does_not_count() -> None:
    book = book_of(entry("cap", 1e3, begins_s=100.0, lasts_s=100.0))
    assert book.view(NOW_S, UNIX_S + 99.9).bounds == ()
    assert book.view(NOW_S, UNIX_S + 100.0).bounds[0].hi_w == 1e3
    assert book.view(NOW_S, UNIX_S + 200.0).bounds == ()
    assert [gone.signal.value for gone in book.expire(UNIX_S + 200.0)] == [1e3]
    assert len(book) == 0


def test_a_clock_that_steps_moves_the_end_with_it() -> None:
    book = book_of(entry("cap", 1e3, begins_s=-10.0))
    assert book.view(NOW_S, UNIX_S + 600.0).bounds[0].expires_at_s == NOW_S + 2990.0
    assert book.view(NOW_S + 1.0, UNIX_S + 3589.0).bounds[0].expires_at_s == NOW_S + 2.0
    assert book.view(NOW_S + 2.0, UNIX_S - 11.0).bounds == ()


@pytest.mark.parametrize("first", [True, False])
def test_of_set_points_priority_decides_and_then_the_newest(first: bool) -> None:
    low, high = entry("setpoint", 1e3, id="low", priority=5, origin=VTN), entry("setpoint", 2e3, id="high", priority=1)
    book = book_of(*((low, high) if first else (high, low)))
    assert book.view(NOW_S, UNIX_S).target_source == "utility by high"
    book.add(entry("setpoint", -3e3, id="new", priority=1), UNIX_S)
    view = book.view(NOW_S, UNIX_S)
    assert (view.target_w, view.target_source, len(view.notes)) == (-3e3, "utility by new", 2)


def test_a_signal_that_is_given_again_unchanged_is_no_newer() -> None:
    old = entry("setpoint", 1e3, id="old", origin=VTN, priority=LOWEST, revision="r1")
    book = book_of(old, entry("setpoint", 2e3, id="new", origin=VTN, priority=LOWEST, revision="r1"))
    book.replace(VTN, list(book.standing(UNIX_S)), UNIX_S)
    assert book.view(NOW_S, UNIX_S).target_w == 2e3
    changed = entry("setpoint", 1.5e3, id="old", origin=VTN, priority=LOWEST, revision="r2")
    book.replace(VTN, [changed, *(e for e in book.standing(UNIX_S) if e.signal.id == "new")], UNIX_S)
    assert book.view(NOW_S, UNIX_S).target_w == 1.5e3


def test_the_same_id_replaces_and_says_what_was_there() -> None:
    book = book_of(entry("cap", 1e3, id="a"))
    before = book.add(entry("cap", 9e3, id="a"), UNIX_S)
    assert before is not None
    assert before.signal.value == 1e3
    assert book.view(NOW_S, UNIX_S).bounds[0].hi_w == 9e3
    with pytest.raises(SignalError, match="taken by utility by a"):
        book.add(entry("cap", 1e3, id="a", origin=VTN), UNIX_S)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (entry("cap", math.nan), "must be numbers"),
        (entry("cap", 1.0, lasts_s=math.inf), "must be numbers"),
        (entry("cap", 1.0, lasts_s=0.0), "ends before it starts"),
        (entry("cap", 1.0, begins_s=-100.0, lasts_s=50.0), "over 50 s ago"),
        (entry("cap", 1.0, lasts_s=172_801.0), "utility.longest_signal_s"),
        (entry("floor", -2e8), "another unit"),
        (entry("price", 1e7), "not plausible"),
        (entry("carbon", -1.0), "outside 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_remedy(made: Entry, words: str) -> None:
    with pytest.raises(SignalError, match=words):
        book_of(made)
    notes = (book := SignalBook(172_800.0)).replace(VTN, [made], UNIX_S)
    assert len(notes) == 1
    assert words in notes[0]
    assert len(book) == 0


def test_the_book_is_bounded_and_neither_side_crowds_out_the_other() -> None:
    book = SignalBook(172_800.0)
    notes = book.replace(VTN, [entry("price", 1.0, begins_s=n, origin=VTN) for n in range(MOST[VTN] + 5)], UNIX_S)
    assert "later ones are left out" in notes[0]
    assert len(book) == MOST[VTN]
    assert max(e.signal.starts_unix_s for e in book.standing(UNIX_S)) == UNIX_S + MOST[VTN] - 1
    for _ in range(MOST[OPERATOR]):
        book.add(entry("cap", 1.0), UNIX_S)
    with pytest.raises(SignalError, match="withdraw some"):
        book.add(entry("cap", 1.0), UNIX_S)
    assert len(book.view(NOW_S, UNIX_S).notes) < 20


def test_replacing_takes_away_what_a_vtn_no_longer_has_and_leaves_operators_alone() -> None:
    book = book_of(entry("cap", 1e3, id="mine"), entry("cap", 2e3, id="theirs", origin=VTN))
    assert book.replace(VTN, [], UNIX_S) == ()
    assert [e.signal.id for e in book.standing(UNIX_S)] == ["mine"]
    assert book.withdraw("nothing") is None


def test_the_limits_of_each_step_are_those_that_reach_into_it_and_those_to_come() -> None:
    book = book_of(
        entry("cap", 20e3, 900.0, 900.0),
        entry("cap", 5e3, 1000.0, 100.0),
        entry("floor", -10e3, 0.0, 901.0),
        entry("price", 0.2),
        entry("floor", 8e3, 2700.0, 900.0),
        entry("cap", 6e3, 2700.0, 86_400.0),
    )
    free = (-math.inf, math.inf)
    assert book.limits(UNIX_S, 900.0, 4) == ((-10e3, math.inf), (-10e3, 5e3), free, (8e3, 6e3))
    assert book.limits(UNIX_S + 86_400.0 * 3, 900.0, 2) == (free, free)


def test_its_revision_tells_what_is_new_and_not_what_is_told_again_or_ends() -> None:
    book = book_of(entry("cap", 1e3, id="a"))
    seen = [book.revision]

    def changed() -> bool:
        seen.append(book.revision)
        return seen[-1] != seen[-2]

    price = entry("price", 0.3, id="p", origin=VTN, revision="r1")
    book.replace(VTN, [price], UNIX_S)
    assert changed()
    book.replace(VTN, [price], UNIX_S)
    assert not changed()
    book.replace(VTN, [entry("price", 0.4, id="p", origin=VTN, revision="r2")], UNIX_S)
    assert changed()
    book.replace(VTN, [], UNIX_S)
    assert changed()
    book.expire(UNIX_S + 4000.0)
    assert not changed()
    book.add(entry("cap", 1e3, id="b"), UNIX_S)
    assert changed()
    book.withdraw("b")
    assert changed()


def test_the_price_of_a_step_is_its_mean_over_time() -> None:
    book = book_of(
        entry("price", 0.20, 0.0, 900.0, unit="EUR/kWh"),
        entry("price", 0.30, 900.0, 450.0, unit="EUR/kWh"),
        entry("price", 0.50, 1350.0, 450.0, unit="EUR/kWh"),
    )
    series = book.prices(UNIX_S, 900.0, 3)
    assert series is not None
    assert series.unit == "EUR/kWh"
    assert series.values == (pytest.approx(0.2), pytest.approx(0.4), None)


def test_a_price_of_higher_priority_covers_another_while_it_holds() -> None:
    book = book_of(
        entry("price", 0.2, 0.0, 3600.0, origin=VTN, priority=3),
        entry("price", 0.9, 900.0, 900.0, origin=VTN, priority=1),
    )
    series = book.prices(UNIX_S, 900.0, 4)
    assert series is not None
    assert series.values == (pytest.approx(0.2), pytest.approx(0.9), pytest.approx(0.2), pytest.approx(0.2))


def test_carbon_stands_in_where_no_price_is_told_and_another_currency_is_left_out() -> None:
    assert SignalBook(60.0).prices(UNIX_S, 900.0, 4) is None
    book = book_of(entry("carbon", 240.0, 0.0, 900.0))
    series = book.prices(UNIX_S, 900.0, 2)
    assert series is not None
    assert (series.values, series.unit) == ((240.0, None), "g/kWh")
    book = book_of(entry("price", 1.0, 0, 900, unit="EUR/kWh"), entry("price", 7.0, 900, 900, unit="SEK/kWh"))
    series = book.prices(UNIX_S, 900.0, 2)
    assert series is not None
    assert (series.values, series.unit) == ((1.0, None), "EUR/kWh")


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("cap", 20e3, "charge at most 20.00 kW"),
        ("cap", -5e3, "discharge at least 5.00 kW"),
        ("floor", -10e3, "discharge at most 10.00 kW"),
        ("floor", 5e3, "charge at least 5.00 kW"),
        ("setpoint", -7e3, "discharge 7.00 kW"),
        ("setpoint", 0.0, "no power"),
        ("carbon", 240.0, "240 g/kWh"),
    ],
)
def test_words_have_no_sign(kind: str, value: float, words: str) -> None:
    assert describe(entry(kind, value).signal) == words


SPANS = st.tuples(st.floats(-5e3, 5e3), st.floats(1.0, 5e3), st.floats(-1e5, 1e5))


@given(st.lists(st.tuples(st.sampled_from(["cap", "floor"]), SPANS), max_size=12), st.floats(0, 9e3))
def test_a_view_is_what_all_signals_together_allow(made: list[Any], later_s: float) -> None:
    book = SignalBook(172_800.0)
    book.replace(VTN, [entry(kind, w, begins, lasts, origin=VTN) for kind, (begins, lasts, w) in made], UNIX_S)
    at_s = UNIX_S + later_s
    holding = [e.signal for e in book.standing(at_s) if e.signal.starts_unix_s <= at_s]
    lo = max((s.value for s in holding if s.kind is SignalKind.FLOOR), default=-math.inf)
    hi = min((s.value for s in holding if s.kind is SignalKind.CAP), default=math.inf)
    bounds = book.view(NOW_S, at_s).bounds
    met = intersect((Bound(-math.inf, math.inf, "site", math.inf), *bounds), NOW_S)
    assert (met.lo_w, met.hi_w) == ((lo, hi) if lo <= hi else (0.0, 0.0))
    assert all(bound.expires_at_s > NOW_S - 1e-6 for bound in bounds)


@given(st.lists(st.tuples(SPANS, st.integers(0, 3)), max_size=10), st.integers(1, 6))
def test_a_price_series_is_the_winner_at_each_moment_averaged(made: list[Any], steps: int) -> None:
    book = SignalBook(172_800.0)
    entries = [
        entry("price", value / 1e5, round(begins), max(1, round(lasts)), origin=VTN, priority=priority)
        for (begins, lasts, value), priority in made
    ]
    book.replace(VTN, entries, UNIX_S)
    standing = {e.signal.id for e in book.standing(UNIX_S)}
    # The book numbers what it takes by start.
    ordered = sorted((e for e in entries if e.signal.id in standing), key=lambda e: e.signal.starts_unix_s)
    ranks = {e.signal.id: (e.priority, -n) for n, e in enumerate(ordered)}
    step_s, wanted = 60.0, []
    for n in range(steps):
        values = []
        for second in range(60):
            at_s = UNIX_S + n * step_s + second + 0.5
            here = [e for e in ordered if e.signal.starts_unix_s <= at_s < e.signal.ends_unix_s]
            if here:
                values.append(min(here, key=lambda e: ranks[e.signal.id]).signal.value)
        wanted.append(sum(values) / len(values) if values else None)
    series = book.prices(UNIX_S, step_s, steps)
    if series is None:
        assert wanted == [None] * steps
    else:
        assert series.values == tuple(None if v is None else pytest.approx(v, abs=1e-9) for v in wanted)
