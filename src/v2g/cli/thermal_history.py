"""``v2g-tool thermal history``: the recorded minutes as CSV, as calibrations, replays and spreadsheets read them."""

from __future__ import annotations

import csv
import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from v2g.cli.common import fail
from v2g.cli.daemons import config_option, problems

if TYPE_CHECKING:
    from v2g.telemetry.history_rows import MinuteRow

_NAME = "v2g-tool thermal history"
_EXIT_FILES = 1
_KINDS: Final = ("minutes", "evses", "trips")
_COLUMNS: Final = {
    "minutes": (
        "time", "K", "ambient_C", "top_oil_C", "winding_C", "F_HL", "load_kW", "base_kW", "base_kvar", "V2G_kW",
        "model_top_oil_C", "model_hot_spot_C", "bias_K", "permitted_lo_kW", "permitted_hi_kW", "V",
    ),
    "evses": ("time", "evse", "vehicle", "power_kW", "granted_kW", "soc_pct"),
    "trips": ("time", "element", "value", "unit", "phase"),
}  # fmt: skip


@click.command()
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day, local. [default: all that is kept]")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day, local; the whole of it counts.")
@click.option("--of", "kind", type=click.Choice(_KINDS), default="minutes", show_default=True, help="What is told.")
@click.option("--complete", is_flag=True, help="Only minutes in which load and ambient were measured.")
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A history file, or a copy of one. [default: that of the configuration]",
)
@config_option
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write here. [default: stdout]")
def history(
    since: datetime | None,
    until: datetime | None,
    kind: str,
    complete: bool,
    history: Path | None,
    config_dir: Path,
    output: Path | None,
) -> None:
    """The history as CSV: a row a minute, at the minute's end, in the site's local time with its offset.

    K, ambient_C, top_oil_C and winding_C are what was measured (K negative: reverse flow), model_… what was counted
    with, permitted_… the narrowest interval of V2G power in that minute, V the ageing rate. V2G_kW is positive when
    vehicles charge. An empty cell was not measured. What comes out can be read back:

    Needs no daemon.

    \b
    Examples:
      v2g-tool thermal history --since 2026-06-01 --complete --output load.csv
      v2g-tool replay thermal load.csv --transformer tr.yaml --output out.csv  # reads it back
      v2g-tool thermal calibrate --csv load.csv

    Exit codes: 0 written. 1 the configuration cannot be used, or a file not be read or written. 2 not understood.
    """
    from v2g.config.problems import ConfigError
    from v2g.telemetry.history_rows import HistoryError

    if until is not None and since is not None and until < since:
        raise click.UsageError("--until comes before --since")
    if complete and kind != "minutes":
        raise click.UsageError(f"--complete is about minutes, not {kind}")
    try:
        path, zone = _source(history, config_dir)
        _write(_COLUMNS[kind], _rows(kind, path, zone, since, until, complete), output)
    except ConfigError as error:
        problems(_NAME, error)
        raise SystemExit(1) from None
    except HistoryError as error:
        fail(_NAME, str(error), _EXIT_FILES)
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(_NAME, f"{error.filename or output}: {error.strerror or error}; name another file", _EXIT_FILES)


def _source(history: Path | None, config_dir: Path) -> tuple[Path, tzinfo | None]:
    """The file and the site's zone; a copy of a history can be read where there is no configuration, in this host's."""
    from v2g.config.loader import load
    from v2g.config.paths import run_paths
    from v2g.config.timezone import zone_of

    if history is not None and not (config_dir / "v2g.yaml").exists():
        return history, None
    config = load(config_dir).config
    return history or run_paths(config).history, zone_of(config.site.timezone)


def _rows(
    kind: str, path: Path, zone: tzinfo | None, since: datetime | None, until: datetime | None, complete: bool
) -> Iterator[Sequence[object]]:
    from v2g.cli.calibration_input import end_of_day, local_midnight_s, minutes_within
    from v2g.telemetry.history_reader import read_evse_minutes, read_minutes, read_trips

    since_s = None if since is None else local_midnight_s(since, zone)
    until_s = None if until is None else local_midnight_s(end_of_day(until), zone)
    first, end = minutes_within(since_s, until_s)
    if kind == "minutes":
        for row in read_minutes(path, first, end):
            if not complete or (row.k_pu is not None and row.ambient_read_c is not None):
                yield _minute(row, zone)
    elif kind == "evses":
        for evse in read_evse_minutes(path, first, end):
            at = _time(evse.unix_min * 60.0, zone)
            yield (
                at, evse.evse_id, evse.vehicle, _figure(evse.power_w, 1e-3), _figure(evse.granted_w, 1e-3),
                _figure(evse.soc_pct),
            )  # fmt: skip
    else:
        for trip in read_trips(path, 0.0 if since_s is None else since_s, math.inf if until_s is None else until_s):
            yield _time(trip.unix_s, zone, "milliseconds"), trip.element, _figure(trip.value), trip.unit, trip.phase


def _minute(row: MinuteRow, zone: tzinfo | None) -> Sequence[object]:
    reverse = row.load_w is not None and row.load_w < 0.0
    return (
        _time(row.unix_min * 60.0, zone),
        _figure(row.k_pu, -1.0 if reverse else 1.0),
        _figure(row.ambient_read_c),
        _figure(row.top_oil_read_c),
        _figure(row.winding_read_c),
        _figure(1.0 if row.f_hl is None else row.f_hl),
        *(_figure(value, 1e-3) for value in (row.load_w, row.base_w, row.base_var, row.v2g_w)),
        _figure(row.top_oil_c),
        _figure(row.hot_spot_c),
        _figure(row.bias_k),
        *(_figure(value, 1e-3) for value in (row.lo_w, row.hi_w)),
        _figure(row.ageing_rate),
    )


def _time(unix_s: float, zone: tzinfo | None, to: str = "seconds") -> str:
    return datetime.fromtimestamp(unix_s, UTC).astimezone(zone).isoformat(timespec=to)


def _figure(value: float | None, factor: float = 1.0) -> str:
    return "" if value is None else f"{value * factor:.6g}"


def _write(columns: Sequence[str], rows: Iterable[Sequence[object]], output: Path | None) -> None:
    # The first row is read before the file is made: what cannot be read leaves nothing behind.
    passing = iter(rows)
    first = next(passing, None)
    if output is None:
        _write_to(sys.stdout, columns, first, passing)
        sys.stdout.flush()
        return
    with output.open("w", newline="", encoding="utf-8") as stream:
        written = _write_to(stream, columns, first, passing)
    click.echo(f"{written} rows in {output}")


def _write_to(
    stream: Any, columns: Sequence[str], first: Sequence[object] | None, rest: Iterable[Sequence[object]]
) -> int:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    written = 0
    for row in () if first is None else itertools.chain((first,), rest):
        writer.writerow(row)
        written += 1
    return written
