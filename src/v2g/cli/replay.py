"""``v2g-tool replay``: recorded and described events through the guard's own code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v2g.cli.manners import progress
from v2g.cli.quantities import Quantity
from v2g.cli.replay_thermal import thermal

if TYPE_CHECKING:
    from v2g.grid.settings import GridSettings
    from v2g.replay.record import Record

_NAME = "v2g-tool replay grid"
_DEFAULT_PROFILE = "ieee1547-III"
_DEFAULT_HZ = 60.0
_LONG_S = 600.0
"""Longer records are kept every 50 ms instead of every tick."""


def _three(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, str, str] | None:
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if len(parts) != 3 or not all(parts):
        raise click.BadParameter("three channels, separated by commas: those of phases a, b and c")
    return parts[0], parts[1], parts[2]


@click.group()
def replay() -> None:
    """Run recorded or described events through the controller's own code.

    \b
    Examples:
      v2g-tool replay grid event.cfg --settings ieee1547-II
      v2g-tool replay thermal load.csv --transformer tr.yaml --output out.csv

    Exit codes: 0 replayed. 1 the data cannot be used, or the output not be written. 2 not understood.
    """


replay.add_command(thermal)


@replay.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--settings", "profile", help="Profile to judge by. [default: ieee1547-III at 60 Hz; none at 50 Hz]")
@click.option("--voltage-only", is_flag=True, help="Only the profile's voltage elements, at the record's frequency.")
@click.option("--case", "chosen", multiple=True, metavar="ID", help="Only this case of a case file (repeatable).")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a picture here.")
@click.option("--channels", callback=_three, metavar="A,B,C", help="The channels of phases a, b and c.")
@click.option("--nominal-voltage", type=Quantity("V", 0.0, above=True), help="Line to neutral: 277V.")
@click.option("--nominal-frequency", type=click.Choice(["50", "60"]), help="Hz.")
@click.option(
    "--opening-time", type=Quantity("s", 0.0, 1.0), default=0.05, show_default=True, help="Of the breaker, s."
)
@click.option("--from", "from_s", type=Quantity("s"), help="Begin at this time of the record, s.")
@click.option("--to", "to_s", type=Quantity("s"), help="End at this time of the record, s.")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object a case or record.")
def grid(file: Path, **options: Any) -> None:
    """Say what the guard would have done in FILE: a case file, CSV or COMTRADE.

    A case file gives one JSON line a case: id, tripped, closed (enter service, synchronisation), element, t_s.

    \b
    Examples:
      v2g-tool replay grid event.cfg --settings ieee1547-II --plot event.png
      v2g-tool replay grid waves.csv --from 2s --to 4s --json

    Exit codes: 0 replayed, tripped or not. 1 the file cannot be replayed. 2 not understood.
    """
    from v2g.replay.stimulus import ReplayError

    try:
        _grid(file, **options)
    except ReplayError as error:
        print(f"{_NAME}: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _grid(
    file: Path,
    *,
    profile: str | None,
    voltage_only: bool,
    chosen: tuple[str, ...],
    plot: Path | None,
    channels: tuple[str, str, str] | None,
    nominal_voltage: float | None,
    nominal_frequency: str | None,
    opening_time: float,
    from_s: float | None,
    to_s: float | None,
    as_json: bool,
) -> None:
    from v2g.replay.case_file import is_case_file
    from v2g.replay.comtrade_file import SUFFIXES
    from v2g.replay.record import ReadOptions, header_of

    comtrade = file.suffix.lower() in SUFFIXES
    if not comtrade and is_case_file(header_of(file)):
        if profile is not None or voltage_only or from_s is not None or to_s is not None or channels is not None:
            raise click.UsageError(
                "a case file brings its own settings and channels: leave out --settings, --voltage-only, --channels, "
                "--from and --to"
            )
        _cases(file, chosen, plot, opening_time)
        return
    if chosen:
        raise click.UsageError(f"--case chooses from a case file, and {file} is none")
    options = ReadOptions(
        channels=channels,
        nominal_voltage_v=nominal_voltage,
        nominal_frequency_hz=None if nominal_frequency is None else float(nominal_frequency),
    )
    if comtrade:
        from v2g.replay.comtrade_file import read_comtrade

        records = read_comtrade(file, options)
    else:
        from v2g.replay.csv_file import read_csv

        records = (read_csv(file, options),)
    if from_s is not None or to_s is not None:
        records = tuple(record.cut(from_s, to_s) for record in records)
    for record in records:
        grid_settings = _settings(record.stimulus.nominal_frequency_hz, profile, voltage_only)
        _record(file, record, grid_settings, _picture(plot, record, len(records)), opening_time, as_json, voltage_only)


def _picture(plot: Path | None, record: Record, records: int) -> Path | None:
    if plot is None or records == 1:
        return plot
    return plot.with_stem(f"{plot.stem}-{record.label.replace(' ', '-')}")


def _settings(nominal_hz: float, profile: str | None, voltage_only: bool) -> GridSettings:
    from v2g.grid import profiles
    from v2g.grid.settings import SettingsError
    from v2g.replay.case_settings import voltage_only as only_voltage

    if profile is None:
        if nominal_hz != _DEFAULT_HZ and not voltage_only:
            raise click.UsageError(
                f"the record is of {nominal_hz:g} Hz, where no profile is the default: name one with --settings "
                f"({', '.join(profiles.names())}), or take the voltage elements alone with --voltage-only"
            )
        profile = _DEFAULT_PROFILE
    if profile not in profiles.names():
        raise click.UsageError(f"--settings {profile}: no such profile; known are {', '.join(profiles.names())}")
    try:
        if voltage_only:
            own_hz = 60.0 if profile.startswith("ieee1547") or profile == "simulation" else 50.0
            settings = profiles.resolve(nominal_frequency_hz=own_hz, profile=profile, confirmed=True)
            return only_voltage(settings, nominal_hz)
        return profiles.resolve(nominal_frequency_hz=nominal_hz, profile=profile, confirmed=True)
    except SettingsError as error:
        raise click.UsageError(
            f"--settings {profile}: {error}. The record is of {nominal_hz:g} Hz; --voltage-only takes the profile's "
            "voltage elements alone"
        ) from None


def _cases(file: Path, chosen: tuple[str, ...], plot: Path | None, opening_time_s: float) -> None:
    from v2g.replay.case_file import read_cases
    from v2g.replay.case_settings import settings_of
    from v2g.replay.plot import draw
    from v2g.replay.run import as_expected, run_case, verdict

    cases = read_cases(file)
    if chosen:
        unknown = set(chosen) - {case.id for case in cases}
        if unknown:
            raise click.UsageError(f"--case {', '.join(sorted(unknown))}: {file} has no such case")
        cases = tuple(case for case in cases if case.id in chosen)
    if plot is not None and len(cases) != 1:
        raise click.UsageError("--plot draws one case: choose it with --case")
    different: list[str] = []
    for case in cases:
        outcome = run_case(case, opening_time_s=opening_time_s, keep_every=1 if plot else 0)
        print(json.dumps(verdict(case, outcome)), flush=True)
        differs = as_expected(case, outcome)
        if differs:
            different.append(f"  {case.id} ({case.family}): {differs}")
        if plot is not None:
            draw(plot, outcome, settings_of(case), f"{case.id} {case.family}, category {case.category}")
    counted = f"{len(cases)} case{'' if len(cases) == 1 else 's'}"
    print(f"{_NAME}: {counted}, {len(cases) - len(different)} as expected", *different, sep="\n", file=sys.stderr)


def _record(
    file: Path,
    record: Record,
    settings: GridSettings,
    plot: Path | None,
    opening_time_s: float,
    as_json: bool,
    voltage_only: bool,
) -> None:
    from v2g.replay.case_settings import protection_settings
    from v2g.replay.narrate import lines, text, verdict_text
    from v2g.replay.plot import draw
    from v2g.replay.run import run

    stimulus = record.stimulus
    remarks = [*record.remarks, *settings.remarks]
    if voltage_only:
        remarks.append(
            f"only the voltage elements of {settings.profile} judge, at {stimulus.nominal_frequency_hz:g} Hz; its "
            "frequency elements are not scaled, and nothing here says what they would do"
        )
    remarks.append("the guard is taken as in service at the start; its first three cycles only fill the estimator")
    if stimulus.duration_s > _LONG_S:
        print(
            f"{_NAME}: {stimulus.duration_s:g} s of waveforms take some minutes; --from and --to choose a part",
            file=sys.stderr,
        )
    with progress(_NAME, stimulus.duration_s) as bar:
        outcome = run(
            stimulus,
            protection_settings(settings, opening_time_s),
            keep_every=1 if stimulus.duration_s <= _LONG_S else 5,
            progress=bar.to,
        )
    told = lines(outcome, duration_s=stimulus.duration_s, begins=record.begins, offset_s=record.offset_s)
    title = f"{file.name}{f', {record.label}' if record.label else ''}"
    if plot is not None:
        draw(plot, outcome, settings, title, record.offset_s)
    if as_json:
        print(json.dumps(_as_json(title, settings, remarks, outcome, told, record.offset_s), ensure_ascii=False))
        return
    print(f"{title}: {stimulus.duration_s:g} s at {stimulus.sample_rate_hz:g} samples a second, by {settings.profile}")
    for remark in remarks:
        print(f"  - {remark}")
    for line in told:
        print(text(line))
    print(verdict_text(outcome, record.offset_s))
    if plot is not None:
        print(f"Picture: {plot}")


def _as_json(
    title: str, settings: GridSettings, remarks: list[str], outcome: Any, told: list[Any], offset_s: float
) -> dict[str, Any]:
    trip = outcome.trip
    return {
        "record": title,
        "settings": settings.profile,
        "remarks": remarks,
        "tripped": trip is not None,
        "element": "" if trip is None else trip.element,
        "phase": "" if trip is None else trip.phase,
        "value": None if trip is None else trip.value,
        "threshold": None if trip is None else trip.threshold,
        "commanded_s": None if trip is None else round(trip.at_s + offset_s, 4),
        "opened_s": None if outcome.opened_s is None else round(outcome.opened_s + offset_s, 4),
        "changes": [
            {
                "t_s": line.t_s,
                "clock": line.clock,
                "v_pu": [round(v, 4) for v in line.v_pu],
                "frequency_hz": None if line.frequency_hz is None else round(line.frequency_hz, 3),
                "breaker_closed": line.breaker_closed,
                "operation": line.operation,
                "waiting_for": line.waiting_for,
                "notes": list(line.notes),
            }
            for line in told
        ],
    }
