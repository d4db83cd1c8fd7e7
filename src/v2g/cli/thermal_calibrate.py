"""``v2g-tool thermal calibrate``: the oil's parameters from recorded minutes, as a proposal that a person accepts."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v2g.cli.common import fail, print_json
from v2g.cli.daemons import DEFAULT_CONFIG_DIR, config_option, problems
from v2g.cli.manners import waiting
from v2g.cli.quantities import Quantity
from v2g.cli.render import table

if TYPE_CHECKING:
    from v2g.cli.calibration_input import Minutes, Range
    from v2g.config.loader import Loaded
    from v2g.thermal.calibration import Calibration, Errors, Parameter

_NAME = "v2g-tool thermal calibrate"
_DEFAULT_DAYS = 30.0
EXIT_REFUSED = 1
_MINUTES_A_SECOND = 20_000
_RESTART = "v2g-orchestrator takes it at its next start: systemctl restart v2g-orchestrator"


@click.command()
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day, local.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day, local; the whole of it counts.")
@click.option(
    "--days", type=Quantity("d", 1.0, 3660.0), help="So many days back from there or from the newest. [default: 30]"
)
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A history file, or a copy of one. [default: that of the configuration]",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A CSV file instead: unix_s, t_min or time; K; ambient_c; top_oil_c; winding_c where there is one.",
)
@config_option
@click.option("--accept", "accepting", is_flag=True, help="Take the waiting proposal into conf.d/80-calibration.yaml.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of the proposal. [default: thermal-calibration.proposed.yaml beside conf.d]",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def calibrate(
    since: datetime | None,
    until: datetime | None,
    days: float | None,
    history: Path | None,
    csv_file: Path | None,
    config_dir: Path,
    accepting: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Fit top-oil rise, oil time constant and oil exponent to recorded load, air and oil.

    Needs no daemon. The last quarter of the data is not fitted but judged on. What comes out is written as a proposal,
    which changes nothing; look at it, then accept it:

    \b
    Examples:
      v2g-tool thermal calibrate --days 60
      v2g-tool thermal calibrate --csv load.csv
      v2g-tool thermal calibrate --accept

    Exit codes: 0 proposed, or accepted. 1 refused, nothing is changed; or a file cannot be read or written. 2 not
    understood.
    """
    from v2g.cli.calibration_proposal import PROPOSAL_FILE

    if accepting and (since or until or days is not None or history or csv_file):
        raise click.UsageError("--accept takes the proposal that waits; the data were chosen when it was made")
    if history and csv_file:
        raise click.UsageError("--history and --csv: the data come from one of them")
    proposal = output or config_dir / PROPOSAL_FILE
    if accepting:
        _guarded(lambda: _accept(config_dir, proposal, as_json))
    else:
        _guarded(lambda: _propose(config_dir, history, csv_file, (since, until, days), proposal, as_json))


def _guarded(run: Callable[[], None]) -> None:
    from v2g.cli.calibration_input import InputError
    from v2g.cli.calibration_proposal import ProposalError
    from v2g.config.problems import ConfigError
    from v2g.thermal.calibration_data import CalibrationError
    from v2g.thermal.parameters import ParameterError

    try:
        run()
    except ConfigError as error:
        problems(_NAME, error)
        raise SystemExit(EXIT_REFUSED) from None
    except (CalibrationError, ParameterError, ProposalError) as error:
        fail(_NAME, str(error), EXIT_REFUSED)
    except InputError as error:
        fail(_NAME, str(error), EXIT_REFUSED)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        remedy = "run it as root, or as the owner of the configuration" if error.errno in (1, 13) else "nothing changed"
        fail(_NAME, f"{where}{error.strerror or error}; {remedy}", EXIT_REFUSED)


def _propose(
    config_dir: Path,
    history: Path | None,
    csv_file: Path | None,
    dates: tuple[datetime | None, datetime | None, float | None],
    proposal: Path,
    as_json: bool,
) -> None:
    from v2g.cli.calibration_proposal import changes_of, proposal_text, write_proposal
    from v2g.config.loader import load
    from v2g.config.thermal import thermal_parameters
    from v2g.config.timezone import zone_of
    from v2g.thermal.calibration import CalibrationData
    from v2g.thermal.calibration import calibrate as calibrated

    loaded = load(config_dir)
    transformer = loaded.config.transformer
    start = thermal_parameters(transformer)
    zone = zone_of(loaded.config.site.timezone)
    minutes, source = _minutes(loaded, history, csv_file, _range(dates, zone, whole=csv_file is not None), zone)
    data = CalibrationData(
        t_s=minutes.t_s,
        k_pu=minutes.k_pu,
        ambient_c=minutes.ambient_c,
        top_oil_c=minutes.top_oil_c,
        winding_c=minutes.winding_c,
    )
    with waiting(f"fitting {len(minutes.t_s)} minutes", 1.0 + len(minutes.t_s) / _MINUTES_A_SECOND):
        found = calibrated(data, start)
    words = _Words(found, transformer.id, source, minutes, zone, _accept_command(config_dir, proposal))
    write_proposal(proposal, proposal_text(found, start, words.head()))
    if as_json:
        print_json(
            {
                **asdict(found),
                "source": source,
                "notes": words.notes(),
                "changes": changes_of(found),
                "proposal": str(proposal),
            }
        )
        return
    click.echo(words.text())
    click.echo(f"proposed in {proposal}, nothing is changed; accept it with: {_accept_command(config_dir, proposal)}")


def _accept_command(config_dir: Path, proposal: Path) -> str:
    """To be copied as it stands: with the places that were named for the proposal."""
    from v2g.cli.calibration_proposal import PROPOSAL_FILE

    words = ["v2g-tool thermal calibrate --accept"]
    if config_dir != DEFAULT_CONFIG_DIR:
        words.append(f"--config {shlex.quote(str(config_dir))}")
    if proposal != config_dir / PROPOSAL_FILE:
        words.append(f"--output {shlex.quote(str(proposal))}")
    return " ".join(words)


def _accept(config_dir: Path, proposal: Path, as_json: bool) -> None:
    from v2g.cli.calibration_proposal import accept

    loaded, changes, dropin = accept(config_dir, proposal)
    if as_json:
        print_json({"changes": changes, "file": str(dropin), "restart_needed": True})
        return
    for path, value in changes.items():
        click.echo(f"{path} = {value:g}")
    click.echo(f"written to {dropin}. {_RESTART}")
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)


def _minutes(
    loaded: Loaded,
    history: Path | None,
    csv_file: Path | None,
    wanted: Range,
    zone: tzinfo | None,
) -> tuple[Minutes, str]:
    from v2g.cli.calibration_input import read_csv, read_history
    from v2g.config.paths import run_paths

    if csv_file is not None:
        return read_csv(csv_file, wanted, zone), str(csv_file)
    path = history or run_paths(loaded.config).history
    return read_history(path, wanted), str(path)


def _range(dates: tuple[datetime | None, datetime | None, float | None], zone: tzinfo | None, *, whole: bool) -> Range:
    from v2g.cli.calibration_input import Range, end_of_day, local_midnight_s

    since, until, days = dates
    if since and until and until < since:
        raise click.UsageError("--until comes before --since")
    if days is None and since is None and not whole:
        days = _DEFAULT_DAYS
    return Range(
        since_s=None if since is None else local_midnight_s(since, zone),
        until_s=None if until is None else local_midnight_s(end_of_day(until), zone),
        days=days,
    )


class _Words:
    """A calibration told to people."""

    def __init__(
        self, found: Calibration, transformer: str, source: str, minutes: Minutes, zone: Any, accept: str
    ) -> None:
        self._found = found
        self._transformer = transformer
        self._source = source
        self._minutes = minutes
        self._zone = zone
        self._accept = accept

    def text(self) -> str:
        return "\n".join((*self._about(), "", self._parameters(), "", self._errors(), "", *self._more(), ""))

    def head(self) -> tuple[str, ...]:
        """The comment over the proposal."""
        from v2g.clock import SystemClock

        at = self._moment(SystemClock().unix_s(), dated=True)
        return (
            f"Proposed by v2g-tool thermal calibrate on {at}. Not read until it is accepted:",
            self._accept,
            *self._about(),
            *self._parameters().splitlines(),
            *self._errors().splitlines(),
            *self._more(),
        )

    def notes(self) -> list[str]:
        found = self._found
        notes = [*self._minutes.remarks, *found.remarks]
        if found.outliers or found.rows_left_out:
            notes.insert(
                0,
                f"left out: {found.outliers} readings that jump or fit no oil, {found.rows_left_out} rows without load "
                "or air, or in pieces under half an hour",
            )
        return notes

    def _about(self) -> tuple[str, str]:
        found = self._found
        days = (found.last_s - found.first_s) / 86_400.0
        pieces = "in one piece" if found.segments == 1 else f"in {found.segments} pieces"
        return (
            f"{self._transformer}: {self._source}, {self._moment(found.first_s)} to {self._moment(found.last_s)}, "
            f"{days:.1f} days {pieces}",
            f"judged on what was not fitted, from {self._moment(found.held_out_from_s)} on",
        )

    def _parameters(self) -> str:
        found, spot = self._found, self._found.hot_spot
        rows = [
            _row("top-oil rise Δθor", found.dtheta_or, 1),
            _row("oil time constant τo", found.tau_o, 0),
            _row("oil exponent x", found.x, 3),
            (
                "hot-spot gradient Δθhr",
                f"{spot.average_gradient_k * spot.usual_factor:.1f} K",
                f"{spot.gradient_k:.1f} K" if spot.measured else "-",
                f"{spot.low_k:.1f} to {spot.high_k:.1f} K" if spot.measured else "no winding sensor tells it; it stays",
            ),
        ]
        return table(("PARAMETER", "IN USE", "FITTED", "95 % INTERVAL"), rows)

    def _errors(self) -> str:
        found = self._found
        rows = (
            ("fitted part", *_errors(found.fitted_before, found.fitted_after)),
            ("held-out part", *_errors(found.held_out_before, found.held_out_after)),
        )
        return table(("ERROR OF TOP-OIL, rms / mean / max", "IN USE", "FITTED"), rows)

    def _more(self) -> list[str]:
        from v2g.thermal.calibration_hot_spot import REFERENCE_AMBIENT_C

        spot = self._found.hot_spot
        return [
            f"hot-spot factor H {spot.factor_low:.2f} to {spot.factor_high:.2f}, g = {spot.average_gradient_k:.1f} K",
            f"hot-spot at rated load and {REFERENCE_AMBIENT_C:g} °C of air: {spot.hot_spot_c:.0f} °C, between "
            f"{spot.hot_spot_low_c:.0f} and {spot.hot_spot_high_c:.0f} °C",
            f"  {spot.remark}",
            *(f"  {note}" for note in self.notes()),
        ]

    def _moment(self, t_s: float, dated: bool | None = None) -> str:
        from v2g.cli.calibration_input import local_text

        if self._minutes.dated if dated is None else dated:
            return local_text(t_s, self._zone)
        return f"day {t_s / 86_400.0:.2f}"


def _row(label: str, found: Parameter, places: int) -> tuple[str, str, str, str]:
    unit = f" {found.unit}" if found.unit else ""
    before = f"{found.before:.{places}f}{unit}"
    if found.low is None or found.high is None:
        return label, before, "-", found.kept
    return label, before, f"{found.value:.{places}f}{unit}", f"{found.low:.{places}f} to {found.high:.{places}f}{unit}"


def _errors(before: Errors, after: Errors) -> tuple[str, str]:
    def shown(errors: Errors) -> str:
        return f"{errors.rmse_k:.2f} / {errors.mean_abs_k:.2f} / {errors.max_abs_k:.2f} K"

    return shown(before), shown(after)
