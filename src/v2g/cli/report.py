"""``v2g-tool report``: what happened, as one page that can be kept, printed and sent."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import click

from v2g import __version__
from v2g.cli.common import fail
from v2g.cli.daemons import config_option, problems
from v2g.cli.manners import progress
from v2g.units import QuantityError, parse_duration_s

if TYPE_CHECKING:
    from v2g.cli.report_data import Summary
    from v2g.cli.report_page import Certificate, Report
    from v2g.cli.report_plots import Limits
    from v2g.config.schema import Config


class _Minute(Protocol):
    @property
    def unix_min(self) -> int: ...


_Row = TypeVar("_Row", bound=_Minute)
_NAME = "v2g-tool report"
_LONGEST_S: Final = 366.0 * 86_400.0
_SHORTEST_S: Final = 60.0
_HEAD_BYTES: Final = 1_000
_MODE: Final = 0o640
"""It tells which vehicle was where and when, as the logs do."""
_SHOWN_ANCHORS: Final = 8


@click.command()
@click.option("--since", default="24h", show_default=True, help="How long back, or when: 7d, 2026-11-01, …T18:00.")
@click.option("--until", default="", help="Its end, likewise. [default: now]")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="An HTML file; - for stdout.",
)
@click.option("--force", is_flag=True, help="Replace a file that is no report, too.")
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A history file, or a copy of one. [default: that of the configuration]",
)
@config_option
def report(since: str, until: str, output: Path, force: bool, history: Path | None, config_dir: Path) -> None:
    """A time as one HTML page: temperatures, power, SoC, frequency, ageing, energies, trips, events, certificates.

    The page needs nothing else and loads nothing; it prints as it is. Out of the history and the logs, without the
    daemon. What was not recorded is shaded. Times are the site's. A report that is there already is replaced.
    It names vehicles, as the logs do, and is readable for its owner and group.

    \b
    Examples:
      v2g-tool report --output today.html
      v2g-tool report --since 7d --output week.html
      v2g-tool report --since 2026-11-01 --until 2026-12-01 --output november.html

    Exit codes: 0 written. 1 history or configuration cannot be used, or the file not be written. 2 not understood.
    """
    from v2g.clock import SystemClock
    from v2g.config.problems import ConfigError
    from v2g.telemetry.history_rows import HistoryError

    _may_replace(output, force)
    now_s = SystemClock().unix_s()
    try:
        made = _made(since, until, history, config_dir, now_s)
        from v2g.cli.report_page import page

        html = page(made)
    except ConfigError as error:
        problems(_NAME, error)
        raise SystemExit(1) from None
    except HistoryError as error:
        fail(_NAME, str(error), 1)
    _write(output, html)
    if str(output) != "-":
        summary = made.summary
        click.echo(f"Report: {output} ({summary.minutes} minutes recorded, {len(summary.trips)} trips)")


def _may_replace(output: Path, force: bool) -> None:
    """A report of ours may be made anew, as by a timer; anything else is somebody's."""
    from v2g.cli.report_page import MARK

    if force or str(output) == "-" or not output.is_file():
        return
    try:
        with output.open("rb") as file:
            ours = MARK.encode() in file.read(_HEAD_BYTES)
    except OSError as error:
        fail(_NAME, f"{output}: {error.strerror or error}; name another file", 1)
    if not ours and output.stat().st_size:
        fail(_NAME, f"{output} is there and is no report: name another file, or give --force to replace it", 1)


def _write(output: Path, html: str) -> None:
    from v2g.host.files import replace_file

    if str(output) == "-":
        sys.stdout.write(html)
        sys.stdout.flush()
        return
    try:
        replace_file(output, html.encode("utf-8", "replace"), mode=_MODE)
    except OSError as error:
        fail(_NAME, f"{output} cannot be written: {error.strerror or error}; name a file in another directory", 1)


def _made(since: str, until: str, history: Path | None, config_dir: Path, now_s: float) -> Report:
    from v2g.cli.report_data import Summary
    from v2g.cli.report_events import read_events
    from v2g.cli.report_page import Report
    from v2g.cli.report_plots import Limits
    from v2g.cli.report_series import Window
    from v2g.config.loader import load
    from v2g.config.paths import run_paths
    from v2g.config.timezone import zone_of

    config = None if history is not None and not (config_dir / "v2g.yaml").exists() else load(config_dir).config
    zone = None if config is None else zone_of(config.site.timezone)
    since_s, until_s = _range(since, until, now_s, zone)
    summary = Summary(Window.over(since_s, until_s), zone)
    path = history if history is not None or config is None else run_paths(config).history
    if path is None:
        raise click.UsageError("give --history or --config")
    _sum_up(summary, path)
    if config is None:
        return Report(
            site=path.name,
            transformer="not known",
            summary=summary,
            limits=Limits(),
            made_at_unix_s=now_s,
            history=str(path),
            versions=_versions(),
            notes=("There is no configuration here: limits, logs and certificates are left out.",),
        )
    certificates, unreadable = _certificates(config, now_s)
    return Report(
        site=config.site.name,
        transformer=f"{config.transformer.id}, {config.transformer.rated_kva:g} kVA",
        summary=summary,
        limits=_limits_of(config),
        made_at_unix_s=now_s,
        history=str(path),
        events=read_events(run_paths(config).power_quality_log.parent, since_s, until_s),
        certificates=certificates,
        certificate_problems=unreadable,
        versions=_versions(),
    )


def _range(since: str, until: str, now_s: float, zone: tzinfo | None) -> tuple[float, float]:
    until_s = now_s if not until else moment_s(until, now_s, zone, "--until")
    since_s = moment_s(since, until_s if until else now_s, zone, "--since")
    if until_s - since_s < _SHORTEST_S:
        raise click.UsageError(f"--since {since} is not a minute before {f'--until {until}' if until else 'now'}")
    if until_s - since_s > _LONGEST_S:
        raise click.UsageError("a report is of at most 366 days: give a later --since")
    return since_s, until_s


def moment_s(text: str, before_s: float, zone: tzinfo | None, option: str) -> float:
    """``24h``: so long before ``before_s``; ``2026-11-01T18:00``: then, at the site, unless it names an offset."""
    try:
        return before_s - parse_duration_s(text)
    except QuantityError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"{option} {text!r} is neither a duration (24h, 7d) nor a time (2026-11-01, 2026-11-01T18:00)"
        ) from None
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.timestamp()
    except (OverflowError, ValueError, OSError):
        raise click.UsageError(f"{option} {text!r} is no time that a history can have") from None


def _sum_up(summary: Summary, path: Path) -> None:
    from v2g.cli.calibration_input import minutes_within
    from v2g.telemetry.history_reader import read_evse_minutes, read_minutes, read_trips

    window = summary.window
    first, end = minutes_within(window.since_s, window.until_s)
    with progress("report", 2.0 * (end - first)) as bar:

        def told(rows: Iterable[_Row], from_: int) -> Iterator[_Row]:
            for row in rows:
                bar.to(from_ + row.unix_min - first)
                yield row

        summary.add_minutes(told(read_minutes(path, first, end), 0))
        summary.add_evses(told(read_evse_minutes(path, first, end), end - first))
    summary.add_trips(read_trips(path, window.since_s, window.until_s))


def _limits_of(config: Config) -> Limits:
    from v2g.cli.report_plots import Limits
    from v2g.config.thermal import limits_in_force
    from v2g.thermal.limits import Regime
    from v2g.thermal.parameters import ParameterError

    rated_va = config.transformer.rated_kva * 1e3
    try:
        limits = limits_in_force(config)[Regime.NORMAL_CYCLIC]
    except ParameterError:
        return Limits(rated_va=rated_va, nominal_hz=config.grid.nominal_frequency_hz)
    return Limits(
        hot_spot_c=limits.hot_spot_c,
        top_oil_c=limits.top_oil_c,
        rated_va=rated_va,
        k_pu=limits.k_pu,
        nominal_hz=config.grid.nominal_frequency_hz,
        life_h=config.transformer.ageing.insulation_life_h,
    )


def _certificates(config: Config, now_s: float) -> tuple[list[Certificate], list[str]]:
    """Those on the disk, of the TLS profiles that an EVSE has; trust anchors as far as they end first."""
    from pyiso15118.security import TlsProfile
    from v2g.cli.report_page import Certificate
    from v2g.config.schema import TlsProfileName
    from v2g.pki.facts import ANCHOR
    from v2g.pki.overview import certificate_lines

    used = {evse.tls for evse in config.evses}
    found: list[Certificate] = []
    words: list[str] = []
    for name, profile in ((TlsProfileName.STRICT, TlsProfile.STRICT), (TlsProfileName.COMPAT, TlsProfile.COMPAT)):
        if name not in used:
            continue
        lines, unreadable = certificate_lines(config, profile, now_s)
        words += unreadable
        anchors = sorted((line for line in lines if line.use == ANCHOR), key=lambda line: line.days_left)
        for line in [*(line for line in lines if line.use != ANCHOR), *anchors[:_SHOWN_ANCHORS]]:
            found.append(
                Certificate(
                    use=f"{profile.value} {line.use}",
                    subject=line.subject,
                    until_unix_s=line.not_after_unix_s,
                    days_left=line.days_left,
                )
            )
    return found, words


def _versions() -> list[tuple[str, str]]:
    import platform

    return [
        ("v2g-orchestrator", __version__),
        ("Python", platform.python_version()),
        ("host", f"{platform.system()} {platform.release()} {platform.machine()}"),
    ]
