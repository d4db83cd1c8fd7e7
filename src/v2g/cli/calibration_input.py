"""Minutes for a calibration: out of the history, or a CSV file of another recorder."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

DAY_S = 86_400.0
_FAR_MIN = 2**40
_TIMES = {"unix_s": 1.0, "t_s": 1.0, "t_min": 60.0}
_LOCAL = ("time", "timestamp", "local_time")
_COLUMNS = {
    "k_pu": ("k_pu", "k"),
    "ambient_c": ("ambient_c", "ambient_read_c"),
    "top_oil_c": ("top_oil_c", "top_oil_read_c"),
    "winding_c": ("winding_c", "winding_read_c"),
}
_WANTED = (
    "wanted are a time (unix_s, t_min, t_s, or time as 2026-03-29T14:05), K or k_pu, ambient_c and top_oil_c, and "
    "winding_c where there is such a sensor; commas between them, points in numbers"
)


class InputError(Exception):
    """The minutes cannot be read. The message names file, line and remedy."""


@dataclass(slots=True, kw_only=True)
class Minutes:
    """Columns of one length; NaN: not measured. ``dated``: ``t_s`` is unix time."""

    t_s: list[float] = field(default_factory=list)
    k_pu: list[float] = field(default_factory=list)
    ambient_c: list[float] = field(default_factory=list)
    top_oil_c: list[float] = field(default_factory=list)
    winding_c: list[float] = field(default_factory=list)
    dated: bool = True
    remarks: list[str] = field(default_factory=list)

    def between(self, since_s: float, until_s: float) -> Minutes:
        rows = [at for at, t_s in enumerate(self.t_s) if since_s <= t_s < until_s]
        return Minutes(
            t_s=[self.t_s[at] for at in rows],
            k_pu=[self.k_pu[at] for at in rows],
            ambient_c=[self.ambient_c[at] for at in rows],
            top_oil_c=[self.top_oil_c[at] for at in rows],
            winding_c=[self.winding_c[at] for at in rows],
            dated=self.dated,
            remarks=self.remarks,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Unix seconds, None where not given; ``days`` counts back from ``until_s`` or from the newest row."""

    since_s: float | None = None
    until_s: float | None = None
    days: float | None = None


def minutes_within(since_s: float | None, until_s: float | None) -> tuple[int, int]:
    """The first ``unix_min`` and the one after the last. A minute is told by its end: the one that ends at midnight
    belongs to the day before."""
    first = 0 if since_s is None else math.floor(since_s / 60.0) + 1
    return first, _FAR_MIN if until_s is None else math.floor(until_s / 60.0) + 1


def local_midnight_s(day: datetime, zone: tzinfo | None) -> float:
    return day.replace(tzinfo=zone).timestamp() if zone else day.timestamp()


def local_text(unix_s: float, zone: tzinfo | None) -> str:
    moment = datetime.fromtimestamp(unix_s, UTC)
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def read_history(path: Path, wanted: Range) -> Minutes:
    """Raises :class:`InputError`."""
    from v2g.telemetry.history import HistoryError, read_minutes

    try:
        since_min, until_min = minutes_within(wanted.since_s, wanted.until_s)
        if wanted.days is not None:
            newest = max((row.unix_min for row in read_minutes(path, since_min, until_min)), default=None)
            if newest is not None:
                since_min = max(since_min, newest + 1 - round(wanted.days * 1440))
        minutes = Minutes()
        for row in read_minutes(path, since_min, until_min):
            minutes.t_s.append(row.unix_min * 60.0)
            minutes.k_pu.append(_or_nan(row.k_pu))
            minutes.ambient_c.append(_or_nan(row.ambient_read_c))
            minutes.top_oil_c.append(_or_nan(row.top_oil_read_c))
            minutes.winding_c.append(_or_nan(row.winding_read_c))
    except HistoryError as error:
        raise InputError(str(error)) from None
    if not minutes.t_s:
        raise InputError(
            f"{path} holds no minute in that range of dates: widen it, or name another file with --history"
        )
    return minutes


def read_csv(path: Path, wanted: Range, zone: tzinfo | None) -> Minutes:
    """Raises :class:`InputError` naming file, line and remedy."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            minutes = _from_rows(path, csv.reader(stream), zone)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check its name and its permissions") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no text of comma-separated values: {error}; save it as CSV, UTF-8") from None
    if not minutes.dated and (wanted.since_s is not None or wanted.until_s is not None):
        raise InputError(f"{path} has no dates, only times from its begin: use --days, or a column unix_s")
    until_s = math.inf if wanted.until_s is None else wanted.until_s
    since_s = -math.inf if wanted.since_s is None else wanted.since_s
    within = [t_s for t_s in minutes.t_s if since_s <= t_s < until_s]
    if not within:
        raise InputError(f"{path} holds no row in that range of dates: widen it")
    if wanted.days is not None:
        since_s = max(since_s, max(within) - wanted.days * DAY_S)
    return minutes.between(since_s, until_s)


def _from_rows(path: Path, rows: Iterator[list[str]], zone: tzinfo | None) -> Minutes:
    header = [name.strip().lower() for name in next(rows, [])]
    time_name = next((name for name in (*_TIMES, *_LOCAL) if name in header), None)
    at = {column: _position(header, names) for column, names in _COLUMNS.items()}
    missing = [column for column, place in at.items() if place is None and column != "winding_c"]
    if time_name is None or missing:
        lacks = ", ".join(([] if time_name else ["a time"]) + missing)
        raise InputError(f"{path}, line 1: no column for {lacks}; {_WANTED}")
    time_at = header.index(time_name)
    minutes = Minutes(dated=time_name not in ("t_s", "t_min"))
    clock = _LocalTimes(path, zone)
    for line, row in enumerate(rows, 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: {len(row)} fields, the header has {len(header)}; complete the row")
        if time_name in _TIMES:
            t_s = _number(path, line, time_name, row[time_at]) * _TIMES[time_name]
            if math.isnan(t_s):
                raise InputError(f"{path}, line {line}: no {time_name}; take the row out or give its time")
        else:
            t_s = clock.unix_s(line, row[time_at].strip())
        minutes.t_s.append(t_s)
        for column, place in at.items():
            value = math.nan if place is None else _number(path, line, header[place], row[place])
            getattr(minutes, column).append(value)
    if clock.repeated:
        minutes.remarks.append(
            f"{clock.repeated} rows lie in the hour that the end of daylight saving time repeats; which of the two is "
            "told from their order"
        )
    return minutes


class _LocalTimes:
    """Times of a clock on the wall, in order, as unix seconds."""

    def __init__(self, path: Path, zone: tzinfo | None) -> None:
        self.repeated = 0
        self._path = path
        self._zone = zone
        self._last_s = -math.inf

    def unix_s(self, line: int, text: str) -> float:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InputError(
                f"{self._path}, line {line}: {text!r} is no time; write 2026-03-29T14:05, with +01:00 or Z behind it "
                "where it is not the site's local time"
            ) from None
        first_s = self._seconds(moment, 0)
        if moment.tzinfo is None:
            second_s = self._seconds(moment, 1)
            if second_s < first_s:
                raise InputError(
                    f"{self._path}, line {line}: {text} does not exist in the site's local time, which skips that hour "
                    "when daylight saving begins; if these are UTC, write Z behind each"
                )
            if second_s > first_s:
                self.repeated += 1
                if first_s <= self._last_s:
                    first_s = second_s
        if first_s <= self._last_s:
            raise InputError(
                f"{self._path}, line {line}: {text} does not come after the row before it; sort the rows by time and "
                "give each time once; where a clock was set back, give UTC (unix_s, or Z behind each time)"
            )
        self._last_s = first_s
        return first_s

    def _seconds(self, moment: datetime, fold: int) -> float:
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone, fold=fold)
        return moment.timestamp()


def _position(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _number(path: Path, line: int, name: str, text: str) -> float:
    text = text.strip()
    if not text or text.lower() in ("nan", "null", "none"):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise InputError(
            f"{path}, line {line}, {name}: {text!r} is not a number; correct it or leave it empty"
        ) from None
    return value if math.isfinite(value) else math.nan


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def end_of_day(day: datetime) -> datetime:
    return day + timedelta(days=1)
