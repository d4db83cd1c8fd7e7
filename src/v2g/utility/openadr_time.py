"""Times of OpenADR 3: date-times of RFC 3339, durations of ISO 8601, and where each interval of an event lies.

User Guide 3.1, 7.3: a start of ``0001-01-01`` is 'now' for the first interval and 'right after the one before' for the
others; a duration of ``P9999Y`` is for ever; ``randomizeStart`` moves the start by up to so much either way.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from v2g.utility.openadr_wire import Event, IntervalPeriod, one_line

_DURATION = re.compile(
    r"P(?=\d|T\d)(?:(\d{1,9})Y)?(?:(\d{1,9})M)?(?:(\d{1,9})W)?(?:(\d{1,9})D)?"
    r"(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?",
    re.ASCII,
)
_FOR_EVER_YEARS = 100
_SHORTEST_PERIOD_S = 60.0
"""Of intervals that repeat; what repeats more often is followed once."""
_NOW = ("0001-01-01", "0000-01-01", "0000-00-00")


class TimeError(ValueError):
    """A time that cannot be read or has no place; the message names it."""


def parse_time(text: str) -> float | None:
    """Unix time in s of an RFC 3339 date-time; None: 'now'. UTC where no offset is given. Raises :class:`TimeError`."""
    if text.startswith(_NOW):
        return None
    try:
        at = dt.datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise TimeError(f"{one_line(text, 40)!r} is no date-time of RFC 3339, as 2026-01-31T18:00:00Z") from None


def parse_duration(text: str) -> float:
    """Seconds of an ISO 8601 duration, 365 d a year; infinite from 100 years on. Raises :class:`TimeError`.

    A month has no length of its own and is refused, and so is what is negative.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise TimeError(f"{one_line(text, 40)!r} is no duration of ISO 8601, as PT1H")
    years, months, weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    if years >= _FOR_EVER_YEARS:
        return math.inf
    if months:
        raise TimeError(f"{one_line(text, 40)!r} has months, which have no length: it takes days")
    return ((years * 365 + weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + seconds


@dataclass(frozen=True, slots=True)
class Place:
    """Where the interval at ``position`` lies, Unix time; ``ends_s`` may be infinite. It counts until ``cut_s``."""

    position: int
    starts_s: float
    ends_s: float
    cut_s: float = math.inf


def places(event: Event, seen_unix_s: float, ven_name: str) -> tuple[Place, ...]:
    """All intervals, once each, in the event's order. Raises :class:`TimeError`.

    'Now' is when the VTN says that the event was last changed, else ``seen_unix_s``, when it was first seen here.
    No duration, or one of 0, lasts until the next interval's own start, else for ever. The random part of a start is
    drawn from the names of VEN and event, so that it is the same at each poll and after a restart.
    """
    default = event.period or IntervalPeriod()
    made: list[Place] = []
    shift_s = 0.0
    begin_s: float | None = None
    for position, interval in enumerate(event.intervals or ()):
        own = interval.period or IntervalPeriod()
        given = own.start if own.start is not None else (default.start if position == 0 else None)
        random = own.randomize_start if own.randomize_start is not None else default.randomize_start
        if position == 0 or own.randomize_start is not None:
            shift_s = _shift(random, f"{ven_name}\n{event.id}\n{position}")
        at = parse_time(given) if given is not None else None
        if at is not None:
            starts_s = at + shift_s
        elif position == 0:
            if given is None:
                raise TimeError("its first interval has no start")
            starts_s = _anchor(event, seen_unix_s)
        elif begin_s is None or not math.isfinite(begin_s):
            raise TimeError(f"interval {position} follows one that does not end")
        else:
            starts_s = begin_s
        if made and math.isinf(made[-1].ends_s) and not math.isinf(starts_s):
            made[-1] = Place(made[-1].position, made[-1].starts_s, max(starts_s, made[-1].starts_s))
        length = own.duration if own.duration is not None else default.duration
        length_s = parse_duration(length) if length is not None else 0.0
        begin_s = starts_s + length_s if length_s > 0 else math.inf
        made.append(Place(position, starts_s, begin_s))
    return tuple(made)


def occurrences(event: Event, once: tuple[Place, ...], from_s: float, until_s: float) -> Iterator[Place]:
    """The intervals that touch ``from_s .. until_s``, shortened or repeated as ``event.duration`` (3.1) says.

    Raises :class:`TimeError`.
    """
    if not once:
        return
    begin_s, end_s = once[0].starts_s, max(place.ends_s for place in once)
    duration_s = parse_duration(event.duration) if event.duration is not None else 0.0
    last_s = begin_s + duration_s if duration_s > 0 else math.inf
    period_s = end_s - begin_s
    repeats = duration_s > period_s >= _SHORTEST_PERIOD_S
    turn = max(0, math.floor((from_s - begin_s) / period_s)) if repeats else 0
    while True:
        offset_s = turn * period_s if turn else 0.0
        if begin_s + offset_s >= min(until_s, last_s):
            return
        for place in once:
            starts_s, ends_s = place.starts_s + offset_s, place.ends_s + offset_s
            if starts_s < min(until_s, last_s) and min(ends_s, last_s) > max(from_s, starts_s):
                yield Place(place.position, starts_s, ends_s, last_s)
        if not repeats:
            return
        turn += 1


def _anchor(event: Event, seen_unix_s: float) -> float:
    for text in (event.modified, event.created):
        if text is not None and (at := parse_time(text)) is not None:
            return at
    return seen_unix_s


def _shift(random: str | None, seed: str) -> float:
    extent_s = parse_duration(random.removeprefix("-")) if random is not None else 0.0
    if not math.isfinite(extent_s):
        raise TimeError("randomizeStart is without end")
    draw = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / (1 << 64)
    return extent_s * (2 * draw - 1)
