"""The table that ``replay thermal`` reads: time, ambient and load by row. CSV; every cell is judged as it is read."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from v2g.replay.stimulus import ReplayError

T: Final = "t_min"
TIME: Final = "time"
AMBIENT: Final = "ambient_C"
K: Final = "K"
P: Final = "P_kW"
Q: Final = "Q_kvar"
F_HL: Final = "F_HL"
MAX_BYTES: Final = 256 << 20
MAX_MINUTES: Final = 1e9

_FORMS: Final = "wanted are t_min (or time, ISO 8601), ambient_C, and either K or P_kW and Q_kvar"
_OTHER_TIMES: Final = {
    "t_s": "divide seconds by 60",
    "time_s": "divide seconds by 60",
    "t_h": "multiply hours by 60",
    "time_h": "multiply hours by 60",
    "t": "say the unit: t_min is in minutes",
    "timestamp": "call it time, and write ISO 8601 with an offset",
    "date": "call it time, and write ISO 8601 with an offset",
    "datetime": "call it time, and write ISO 8601 with an offset",
}
_OTHERS: Final = {
    "ambient_k": "subtract 273.15 and call it ambient_C",
    "ambient_f": "convert to °C and call it ambient_C",
    "p_w": "divide by 1000 and call it P_kW",
    "p_mw": "multiply by 1000 and call it P_kW",
    "q_var": "divide by 1000 and call it Q_kvar",
    "q_mvar": "multiply by 1000 and call it Q_kvar",
    "k_pct": "divide by 100 and call it K",
    "load_pct": "divide by 100 and call it K",
}


@dataclass(slots=True, kw_only=True)
class ThermalTable:
    """Columns of equal length; row n holds over (t[n-1], t[n]]. Those that the file does not have are empty."""

    path: Path
    t_min: array[float] = field(default_factory=lambda: array("d"))
    ambient_c: array[float] = field(default_factory=lambda: array("d"))
    k: array[float] = field(default_factory=lambda: array("d"))
    """Signed: negative is reverse flow."""
    p_kw: array[float] = field(default_factory=lambda: array("d"))
    q_kvar: array[float] = field(default_factory=lambda: array("d"))
    f_hl: array[float] = field(default_factory=lambda: array("d"))
    line: array[int] = field(default_factory=lambda: array("L"))
    naive_time: bool = False
    """The time column has no offset: local time, or UTC; nobody knows."""
    remarks: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.t_min)

    def wrong(self, row: int, column: str, value: object, reason: str, remedy: str) -> ReplayError:
        return ReplayError(f"{self.path}, line {self.line[row]}, {column}: {value}: {reason}; {remedy}")


def read_table(path: Path) -> ThermalTable:
    """Raises :class:`~v2g.replay.stimulus.ReplayError` naming file, line, column, value and remedy."""
    table = ThermalTable(path=path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ReplayError(f"{path}: more than {MAX_BYTES >> 20} MB; split it by time")
        with path.open("rb") as raw:
            _require_text(path, raw.read(4096))
        with path.open(newline="", encoding="utf-8-sig") as file:
            _Reader(table, file).read()
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror or error}; check the path and its permissions") from None
    except UnicodeDecodeError:
        raise ReplayError(
            f"{path}, in or after line {_next_line(table)}: is not UTF-8; save the file as CSV in UTF-8"
        ) from None
    if not len(table):
        raise ReplayError(f"{path}: no row below the header; add at least one")
    return table


def _require_text(path: Path, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ReplayError(f"{path}: is UTF-16; save the file as CSV in UTF-8")
    if b"\0" in head:
        raise ReplayError(f"{path}: is no text (it has zero bytes); give a CSV: {_FORMS}")
    if not head.strip():
        raise ReplayError(f"{path}: is empty; {_FORMS}")


def _next_line(table: ThermalTable) -> int:
    return table.line[-1] + 1 if table.line else 1


class _Reader:
    def __init__(self, table: ThermalTable, file: Iterator[str]) -> None:
        self._table = table
        header = next(file, "")
        self._delimiter = max(",;\t", key=header.count)
        self._names = [name.strip() for name in next(self._csv([header]), [])]
        self._rows = self._csv(file)
        self._number = self._plain
        self._mark = ""
        if self._delimiter != ",":
            self._number = self._either_mark
            kind = "semicolons" if self._delimiter == ";" else "tabs"
            table.remarks.append(f"fields are separated by {kind}; a decimal comma is taken for a point")

    def _csv(self, lines: Iterable[str]) -> Any:
        return csv.reader(lines, delimiter=self._delimiter, skipinitialspace=True)

    def _numbered(self) -> Iterator[tuple[int, list[str]]]:
        try:
            for row in self._rows:
                if row and (len(row) > 1 or row[0].strip()):
                    yield self._rows.line_num + 1, row
        except csv.Error as error:
            line = self._rows.line_num + 1
            raise ReplayError(f"{self._table.path}, line {line}: {error}; write it as plain CSV") from None

    def read(self) -> None:
        table = self._table
        at = self._columns()
        columns = [(at[name], name, self._store(name)) for name in (AMBIENT, K, P, Q, F_HL) if name in at]
        width = len(self._names)
        t_name = T if T in at else TIME
        t_at = at[t_name]
        minutes = self._minutes if T in at else self._clock()
        previous = -math.inf
        for line, row in self._numbered():
            if len(row) != width:
                comma = " (a decimal comma?)" if self._delimiter == "," and len(row) > width else ""
                raise ReplayError(
                    f"{table.path}, line {line}: {len(row)} fields, the header has {width}{comma}; complete the row, "
                    "with points as decimal marks or semicolons between fields"
                )
            t_min = minutes(line, t_name, row[t_at])
            if t_min <= previous:
                raise self._not_after(line, t_name, row[t_at], t_min, previous)
            previous = t_min
            table.t_min.append(t_min)
            table.line.append(line)
            for position, name, store in columns:
                store(self._number(line, name, row[position]))

    def _store(self, name: str) -> Callable[[float], None]:
        table = self._table
        columns = {AMBIENT: table.ambient_c, K: table.k, P: table.p_kw, Q: table.q_kvar, F_HL: table.f_hl}
        return columns[name].append

    def _columns(self) -> dict[str, int]:
        """Position by name, of the columns that count."""
        known = {name.lower(): name for name in (T, TIME, AMBIENT, K, P, Q, F_HL)}
        at: dict[str, int] = {}
        ignored: list[str] = []
        for position, written in enumerate(self._names):
            name = known.get(written.lower())
            if name is None:
                ignored.append(written)
            elif name in at:
                raise self._header(f"column {name} is there twice", "keep one")
            else:
                at[name] = position
        lower = [name.lower() for name in ignored]
        hints = [f"{name}: {_OTHERS[name]}" for name in lower if name in _OTHERS]
        hints += [f"{name}: {_OTHER_TIMES[name]}" for name in lower if name in _OTHER_TIMES and T not in at]
        hint = "; ".join([*hints, _FORMS])
        if T not in at and TIME not in at:
            raise self._header("no column t_min", hint)
        if T in at and TIME in at:
            raise self._header("t_min and time are both there", "keep the one that counts")
        if AMBIENT not in at:
            raise self._header("no column ambient_C", hint)
        if K in at and (P in at or Q in at):
            raise self._header("K and P_kW or Q_kvar are both there, and may contradict each other", "keep one of them")
        if K not in at and P not in at:
            raise self._header("no column K or P_kW", hint)
        if ignored:
            self._table.remarks.append(f"columns not used: {', '.join(ignored)}"[:300])
        return at

    def _header(self, reason: str, remedy: str) -> ReplayError:
        names = ", ".join(self._names)
        return ReplayError(f"{self._table.path}, line 1: {reason} (it has {names[:200]}); {remedy}")

    def _wrong(self, line: int, name: str, text: str, reason: str, remedy: str) -> ReplayError:
        return ReplayError(f"{self._table.path}, line {line}, {name}: {text[:60]!r} {reason}; {remedy}")

    def _plain(self, line: int, name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
        stripped = text.strip()
        if not stripped:
            raise self._wrong(line, name, text, "is empty", "fill it in or take the row out: nothing is made up here")
        if stripped.lower() in ("nan", "inf", "+inf", "-inf", "infinity", "null", "na", "n/a", "none", "-"):
            raise self._wrong(line, name, text, "is no measurement", "fill it in or take the row out")
        if "," in stripped:
            raise self._wrong(line, name, text, "is not a number", "write a point as decimal mark, none for thousands")
        raise self._wrong(line, name, text, "is not a number", "write a decimal number, without its unit")

    def _either_mark(self, line: int, name: str, text: str) -> float:
        for mark in ",.":
            if mark in text:
                if self._mark not in ("", mark):
                    raise self._wrong(
                        line, name, text, f"has the decimal mark {mark!r}, the rows before have {self._mark!r}",
                        "use one of them, and none for thousands",
                    )  # fmt: skip
                self._mark = mark
        return self._plain(line, name, text.replace(",", "."))

    def _minutes(self, line: int, name: str, text: str) -> float:
        value = self._number(line, name, text)
        if abs(value) > MAX_MINUTES:
            raise self._wrong(
                line, name, text, "is more minutes than a transformer lives; Unix seconds?",
                "count minutes from the first row, or give a column time in ISO 8601",
            )  # fmt: skip
        return value

    def _clock(self) -> Callable[[int, str, str], float]:
        """Of the time column: minutes since its first row."""
        first: datetime | None = None

        def minutes(line: int, name: str, text: str) -> float:
            nonlocal first
            try:
                at = datetime.fromisoformat(text.strip())
            except ValueError:
                raise self._wrong(
                    line, name, text, "is not ISO 8601", "write 2026-10-25T02:30:00+02:00, or t_min in minutes"
                ) from None
            naive = at.utcoffset() is None
            if first is None:
                first = at
                self._table.naive_time = naive
                if naive:
                    self._table.remarks.append(
                        "time has no offset: taken as it stands, an hour that daylight saving leaves out is a gap"
                    )
            elif naive is not self._table.naive_time:
                raise self._wrong(
                    line, name, text, "has an offset where rows before have none, or the other way round",
                    "write the offset in every row",
                )  # fmt: skip
            return (at - first).total_seconds() / 60.0

        return minutes

    def _not_after(self, line: int, name: str, text: str, t_min: float, previous: float) -> ReplayError:
        back_min = previous - t_min
        if name == TIME and self._table.naive_time and 0.0 <= back_min <= 60.0:
            return self._wrong(
                line, name, text,
                f"comes again, or {back_min:g} min before the row above: times without offset repeat an hour when "
                "daylight saving ends",
                "write them with offset (2026-10-25T02:30:00+02:00, then …+01:00) or in UTC (…Z); if it is no such "
                "hour, sort the rows and take doubled ones out",
            )  # fmt: skip
        reason = "is there twice" if back_min == 0.0 else f"comes {back_min:g} min before the row above"
        return self._wrong(line, name, text, reason, "sort the rows by time and keep one row for each time")
