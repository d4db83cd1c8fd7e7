#!/usr/bin/env python3
"""Write a CSV export of meter readings to the meter feed of v2g-orchestrator.

An example of an adapter: a process of its own, which knows the head-end system's format and the feed's, and nothing
else of the daemon. It needs the Python standard library only. A head-end that exports every 15 minutes is served by a
timer that runs, as a user of the group ``utility.meter_feed.group``::

    meter_csv_adapter.py --socket /run/v2g/meters.sock --unit kW --phase a=P1 --phase b=P2 --phase c=P3 export.csv

The first row of the export names its columns; each other row is one reading::

    meter,time,P1,P2,P3
    c17,2026-03-01T12:15:00+01:00,0.23,0.00,1.15

Registers instead of powers: ``--energy --unit kWh``. A column with the total of all phases: ``--total KW``. Times
without a zone: ``--timezone Europe/Berlin``; of an hour that occurs twice when clocks are put back, the first is meant.
A comma in numbers: ``--decimal ,`` (with ``--delimiter ';'``). An empty cell is a phase that the customer lacks; a row
without any value is a gap and is left out.

The feed takes one JSON object a line and answers each with one (the fields are described in
``v2g/utility/meter_feed.py``)::

    {"meter": "c17", "at": 1772363700, "power_w": {"a": 0.23, "b": 0.0, "c": 1.15}, "unit": "kW"}
    {"ok": true}

Rows are sent in the order of their times, since the feed ignores readings older than what it knows: an export that
overlaps the one before does no harm. Exit code 0: all taken. 1: some rows were refused, each named with its line on
stderr. 2: usage, or a file that cannot be read. 3: the feed is not reachable.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import socket
import sys
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

ANSWER_TIMEOUT_S = 30.0
MAX_ROWS = 2_000_000


class RowProblem(ValueError):
    """A row that is no reading; the text names column and remedy."""


class FeedProblem(Exception):
    """The feed is not reachable."""


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write a CSV export of meter readings to v2g-orchestrator.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--socket", default="/run/v2g/meters.sock", help="[default: %(default)s]")
    parser.add_argument("--meter", default="meter", metavar="COLUMN", help="column of the id [default: %(default)s]")
    parser.add_argument("--time", default="time", metavar="COLUMN", help="column of the time [default: %(default)s]")
    values = parser.add_mutually_exclusive_group(required=True)
    values.add_argument("--phase", action="append", type=phase, metavar="a=COLUMN", help="one for each phase")
    values.add_argument("--total", metavar="COLUMN", help="column of the total of all phases")
    parser.add_argument("--energy", action="store_true", help="the columns are registers of energy, not powers")
    parser.add_argument("--unit", choices=("W", "kW", "Wh", "kWh"), required=True)
    parser.add_argument("--timezone", type=zone, metavar="NAME", help="of times without one, such as Europe/Berlin")
    parser.add_argument("--delimiter", default=",", help="[default: a comma]")
    parser.add_argument("--decimal", default=".", choices=(".", ","), help="[default: a point]")
    options = parser.parse_args(argv)
    if options.energy != options.unit.endswith("h"):
        parser.error(f"--unit {options.unit} {'with' if options.energy else 'needs'} --energy: Wh and kWh are energies")
    if len(options.delimiter) != 1 or options.delimiter == options.decimal:
        parser.error("--delimiter is one character, another than --decimal")
    return options


def phase(text: str) -> tuple[str, str]:
    letter, _, column = text.partition("=")
    if letter not in ("a", "b", "c") or not column:
        raise argparse.ArgumentTypeError(f"{text!r}: write a=COLUMN, b=COLUMN or c=COLUMN")
    return letter, column


def zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"{name!r} is no known time zone; write it like Europe/Berlin") from None


def number(text: str, column: str, decimal: str) -> float:
    try:
        value = float(text.replace(decimal, ".") if decimal != "." else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RowProblem(f"column {column}: {text!r} is no number (--decimal is {decimal!r})")
    return value


def seconds(text: str, options: argparse.Namespace) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return number(text, options.time, ".")
    if when.tzinfo is None:
        if options.timezone is None:
            raise RowProblem(f"column {options.time}: {text!r} has no time zone; give --timezone")
        when = when.replace(tzinfo=options.timezone)
    return when.timestamp()


def reading(row: dict[str, str], options: argparse.Namespace) -> dict[str, Any] | None:
    """One row as a reading; None for a gap. Raises RowProblem."""

    def cell(column: str) -> str:
        if row.get(column) is None:
            raise RowProblem(f"there is no column {column}; there are {', '.join(map(str, row))}")
        return row[column].strip()

    told: Any
    if options.total:
        text = cell(options.total)
        told = number(text, options.total, options.decimal) if text else None
    else:
        cells = {letter: (column, cell(column)) for letter, column in options.phase}
        told = {letter: number(text, column, options.decimal) for letter, (column, text) in cells.items() if text}
    if told is None or told == {}:
        return None
    return {
        "meter": cell(options.meter),
        "at": seconds(cell(options.time), options),
        "energy_wh" if options.energy else "power_w": told,
        "unit": options.unit,
    }


def readings(path: Path, options: argparse.Namespace) -> Iterator[tuple[int, dict[str, Any] | RowProblem]]:
    """Line number and reading, or what is wrong with the row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter=options.delimiter)
        for count, row in enumerate(rows):
            if count >= MAX_ROWS:
                yield rows.line_num, RowProblem(f"more than {MAX_ROWS} rows: split the export")
                return
            try:
                told = reading(row, options)
            except RowProblem as problem:
                yield rows.line_num, problem
            else:
                if told is not None:
                    yield rows.line_num, told


def send(found: Sequence[tuple[str, dict[str, Any]]], path: str) -> tuple[int, list[str]]:
    """How many were taken, and what the feed said of the others. Raises FeedProblem."""
    taken, refused = 0, []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as feed:
            feed.settimeout(ANSWER_TIMEOUT_S)
            feed.connect(path)
            lines = feed.makefile("rb")
            for place, told in found:
                feed.sendall(json.dumps(told, allow_nan=False).encode() + b"\n")
                answer = lines.readline()
                if not answer:
                    raise FeedProblem(f"{path}: the daemon closed the connection")
                said = json.loads(answer)
                if "error" in said:
                    refused.append(f"{place}: {said['error']}")
                else:
                    taken += 1
    except OSError as error:
        raise FeedProblem(
            f"{path}: {error.strerror or error}; is the daemon running, utility.meter_feed configured, and this "
            "user in its group?"
        ) from None
    return taken, refused


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    found: list[tuple[str, dict[str, Any]]] = []
    problems: list[str] = []
    for path in options.files:
        try:
            for line, told in readings(path, options):
                if isinstance(told, RowProblem):
                    problems.append(f"{path}:{line}: {told}")
                else:
                    found.append((f"{path}:{line}", told))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
    found.sort(key=lambda item: item[1]["at"])
    try:
        taken, refused = send(found, options.socket)
    except FeedProblem as error:
        print(error, file=sys.stderr)
        return 3
    problems += refused
    for text in problems:
        print(text, file=sys.stderr)
    print(f"{taken} readings taken, {len(problems)} refused")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
