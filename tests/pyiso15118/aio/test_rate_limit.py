"""What may come from one source and from all, by the time that a test says it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyiso15118.aio.rate_limit import MOST_SOURCES, SourceLimit, TokenBucket


def test_a_burst_goes_through_and_then_what_the_rate_brings() -> None:
    bucket = TokenBucket(rate_hz=4.0, burst=3)
    assert [bucket.take(10.0) for _ in range(5)] == [True, True, True, False, False]
    assert [bucket.take(10.25), bucket.take(10.25)] == [True, False]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.floats(0, 50), max_size=200))
def test_never_more_than_burst_and_rate_allow_whatever_the_clock_does(times: list[float]) -> None:
    bucket = TokenBucket(rate_hz=2.0, burst=5)
    taken = sum(bucket.take(at) for at in sorted(times))
    assert taken <= 5 + 2.0 * 50
    jumping = TokenBucket(rate_hz=0.0, burst=5)
    assert sum(jumping.take(at) for at in times) <= 5


def limit() -> SourceLimit:
    return SourceLimit(each_hz=1.0, each_burst=2, all_hz=1.0, all_burst=6)


def test_one_that_sends_too_much_takes_nothing_from_another() -> None:
    both = limit()
    assert sum(both.take("fe80::bad", 0.0) for _ in range(1000)) == 2
    assert both.take("fe80::good", 0.0)


def test_many_sources_together_are_bounded_in_number_and_in_memory() -> None:
    all_of_them = limit()
    assert sum(all_of_them.take(f"fe80::{n:x}", 0.0) for n in range(10_000)) == 6
    assert len(all_of_them) == MOST_SOURCES


def test_who_was_not_heard_for_longest_is_forgotten_first() -> None:
    sources = SourceLimit(each_hz=0.0, each_burst=1, all_hz=1000.0, all_burst=1000)
    assert sources.take("often", 0.0)
    for n in range(2 * MOST_SOURCES):
        sources.take(f"once {n}", 0.0)
        assert not sources.take("often", 0.0)
