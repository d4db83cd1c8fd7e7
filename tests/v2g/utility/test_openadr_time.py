from __future__ import annotations

import math
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.utility.openadr_time import Place, TimeError, occurrences, parse_duration, parse_time, places
from v2g.utility.openadr_wire import Event, Interval, IntervalPeriod

START_S = 1_675_987_200.0
"""2023-02-10T00:00:00Z, of the examples of the User Guide."""
START = "2023-02-10T00:00:00.000Z"
HOUR_S = 3600.0


def period(start: str | None = None, duration: str | None = None, random: str | None = None) -> IntervalPeriod:
    return IntervalPeriod(start=start, duration=duration, randomize_start=random)


def event(*periods: IntervalPeriod | None, default: IntervalPeriod | None = None, **more: Any) -> Event:
    intervals = tuple(Interval(id=n, payloads=(), period=each) for n, each in enumerate(periods))
    return Event(id=more.pop("id", "e1"), program_id="p1", period=default, intervals=intervals, **more)


def spans(made: Event, seen_s: float = START_S) -> list[tuple[float, float]]:
    return [(place.starts_s - START_S, place.ends_s - START_S) for place in places(made, seen_s, "ven")]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1H", 3600),
        ("PT15M", 900),
        ("PT0S", 0),
        ("P1DT1.5S", 86_401.5),
        ("P2W", 1_209_600),
        ("P1Y", 31_536_000),
        ("P9999Y", math.inf),
    ],
)
def test_durations_are_iso_8601(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "1H", "-PT1H", "P1M", "PT1H ", "PTH", "P1H", "PT١H", "P" + "9" * 99 + "D"]
)
def test_what_is_no_length_is_refused_by_name(text: str) -> None:
    with pytest.raises(TimeError, match=r"duration|months"):
        parse_duration(text)


def test_times_are_rfc_3339_and_utc_where_no_offset_is_given() -> None:
    assert parse_time("2023-02-10T00:00:00.000Z") == START_S
    assert parse_time("2023-02-10T01:00:00+01:00") == START_S
    assert parse_time("2023-02-10T00:00:00") == START_S
    assert parse_time("0001-01-01") is parse_time("0001-01-01T00:00:00") is parse_time("0000-00-00") is None


@pytest.mark.parametrize("text", ["", "today", "17:15:16", "2023-02-30T00:00:00Z", "2023-02-10T00:00:00+99:00", "٢023"])
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(TimeError, match=r"is no date-time of RFC 3339"):
        parse_time(text)


def test_intervals_of_one_length_follow_one_another() -> None:
    """User Guide 3.1, 7.3: one intervalPeriod for all."""
    assert spans(event(None, None, None, default=period(START, "PT1H"))) == [
        (0, HOUR_S),
        (HOUR_S, 2 * HOUR_S),
        (2 * HOUR_S, 3 * HOUR_S),
    ]


def test_an_interval_may_have_a_length_of_its_own() -> None:
    """User Guide 3.1, example 7.4-1."""
    made = event(None, period(duration="PT2H"), None, default=period(START, "PT1H"))
    assert spans(made) == [(0, HOUR_S), (HOUR_S, 3 * HOUR_S), (3 * HOUR_S, 4 * HOUR_S)]


def test_the_beginning_of_time_means_right_after_the_one_before() -> None:
    made = event(period(START, "PT1H"), period("0001-01-01T00:00:00", "PT2H"), period("2023-02-10T12:00:00Z", "PT1H"))
    assert spans(made) == [(0, HOUR_S), (HOUR_S, 3 * HOUR_S), (12 * HOUR_S, 13 * HOUR_S)]


def test_now_is_when_the_event_was_last_changed_or_else_first_seen() -> None:
    now = period("0001-01-01", "PT1H")
    assert spans(event(None, default=now, created=START, modified="2023-02-10T02:00:00Z"))[0][0] == 2 * HOUR_S
    assert spans(event(None, default=now, created=START))[0][0] == 0
    assert spans(event(None, default=now), seen_s=START_S + 5)[0] == (5, 3605)
    assert spans(event(None, default=period("0001-01-01", "P9999Y"), created=START)) == [(0, math.inf)]


def test_no_length_lasts_until_the_next_start_or_for_ever() -> None:
    assert spans(event(period(START), period("2023-02-10T03:00:00Z"))) == [(0, 3 * HOUR_S), (3 * HOUR_S, math.inf)]
    with pytest.raises(TimeError, match="interval 1 follows one that does not end"):
        spans(event(period(START, "PT0S"), None))
    with pytest.raises(TimeError, match="first interval has no start"):
        spans(event(period(duration="PT1H")))


def test_a_random_start_moves_all_that_follows_and_is_the_same_at_each_poll() -> None:
    made = event(None, None, period("2023-02-10T12:00:00Z"), default=period(START, "PT1H", "PT5M"))
    found = spans(made)
    shift_s = found[0][0]
    assert 0 < abs(shift_s) <= 300
    assert found == [pytest.approx(x) for x in ((shift_s, HOUR_S + shift_s), (HOUR_S + shift_s, 2 * HOUR_S + shift_s),
                                                (12 * HOUR_S + shift_s, 13 * HOUR_S + shift_s))]  # fmt: skip
    assert spans(made) == found
    shifts = [spans(event(None, default=period(START, "PT1H", "PT5M"), id=f"e{n}"))[0][0] for n in range(400)]
    assert max(map(abs, shifts)) <= 300
    assert abs(sum(shifts) / len(shifts)) < 30, "uniform either way"
    assert min(shifts) < -250
    assert max(shifts) > 250


def test_the_event_s_duration_cuts_or_repeats_its_intervals() -> None:
    """User Guide 3.1, 7.3, event.duration."""
    hourly = event(*(None,) * 4, default=period(START, "PT1H"), duration="PT2H")
    found = list(occurrences(hourly, places(hourly, START_S, "ven"), START_S, START_S + 1e6))
    assert [(p.position, p.starts_s - START_S) for p in found] == [(0, 0), (1, HOUR_S)]
    daily = event(None, None, default=period(START, "PT12H"), duration="P9999Y")
    later_s = START_S + 1000.25 * 86_400
    found = list(occurrences(daily, places(daily, START_S, "ven"), later_s, later_s + 86_400))
    assert [(p.position, (p.starts_s - START_S) / 86_400) for p in found] == [(0, 1000), (1, 1000.5), (0, 1001)]


PERIODS = st.builds(
    period,
    st.sampled_from([None, START, "0001-01-01", "2023-02-10T03:00:00Z", "1500-01-01T00:00:00Z"]),
    st.sampled_from([None, "PT0S", "PT0.0000001S", "PT1S", "PT1H", "P7D", "P9999Y", "P1M"]),
    st.sampled_from([None, "PT0S", "PT5M", "P9999Y"]),
)


@given(st.lists(st.none() | PERIODS, max_size=5), PERIODS, st.sampled_from([None, "PT0S", "PT1S", "PT36H", "P9999Y"]))
def test_whatever_the_times_are_no_interval_ends_before_it_starts_and_the_search_ends(
    given_periods: list[IntervalPeriod | None], default: IntervalPeriod, duration: str | None
) -> None:
    made = event(*given_periods, default=default, duration=duration)
    from_s, until_s = START_S + 1800, START_S + 90_000
    try:
        once = places(made, START_S, "ven")
        found: list[Place] = list(islice(occurrences(made, once, from_s, until_s), 200_000))
    except TimeError:
        return
    assert all(place.starts_s <= place.ends_s for place in once)
    assert len(found) < 200_000
    assert all(p.starts_s < until_s and min(p.ends_s, p.cut_s) > from_s for p in found)
