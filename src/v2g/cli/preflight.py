"""``v2g-tool preflight``: whether this host, and what stands on it, is fit to serve vehicles and to discharge them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from v2g.cli.common import daemon, json_option, print_json, socket_option
from v2g.cli.daemons import CONFIG_VARIABLE, DEFAULT_CONFIG_DIR
from v2g.cli.manners import columns
from v2g.host.preflight.names import CHECKS

if TYPE_CHECKING:
    from v2g.cli.preflight_look import Report

_NAME = "v2g-tool"
_TIMEOUT_S = 25.0


def _names(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> frozenset[str]:
    """Repeated, or joined by commas; a name that is none says which there are."""
    names = [name for words in given for name in words.replace(",", " ").split()]
    if unknown := [name for name in names if name not in CHECKS]:
        raise click.BadParameter(f"{unknown[0]!r} is no check; there are {', '.join(CHECKS)}", context, parameter)
    return frozenset(names)


@click.command()
@click.option("--only", multiple=True, metavar="NAME[,NAME...]", callback=_names, help="These checks and no others.")
@click.option("--skip", multiple=True, metavar="NAME[,NAME...]", callback=_names, help="All checks but these.")
@click.option(
    "--daemon", "by_daemon", is_flag=True, help="Let the daemon look again now: what was mended no longer refuses."
)
@click.option(
    "--config",
    "config_dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar=CONFIG_VARIABLE,
    help=f"Directory with v2g.yaml and conf.d/; also ${CONFIG_VARIABLE}.  [default: the daemon's where it runs, else "
    f"{DEFAULT_CONFIG_DIR}]",
)
@json_option
@socket_option
@click.pass_context
def preflight(
    context: click.Context,
    only: frozenset[str],
    skip: frozenset[str],
    by_daemon: bool,
    config_dir: Path | None,
    as_json: bool,
    socket_path: Path | None,
) -> None:
    """Look at this host, its configuration and its devices: what passes, what warns, what fails, and the remedy.

    Reads only; devices are asked by the daemon where it runs (marked *), and otherwise only while v2g-guard wires does
    not hold their connections. Root sees most. The daemon makes the same checks at its start and each hour, and
    refuses discharge for what fails; charging goes on.

    \b
    Examples:
      v2g-tool preflight
      v2g-tool preflight --only disk,clock
      v2g-tool preflight --skip firewall --json
      v2g-tool preflight --daemon    # after a repair: lift the refusal at once

    Exit codes: 0 all pass, or warn. 1 something fails. 2 not understood. 3 --daemon, and it is not reachable.
    """
    if by_daemon:
        if context.get_parameter_source("config_dir") is ParameterSource.COMMANDLINE:
            raise click.UsageError("--daemon looks by its own configuration: leave --config out")
        report = _of_daemon(socket_path, as_json)
    else:
        from v2g.cli.preflight_look import look

        report = look(socket_path, config_dir, DEFAULT_CONFIG_DIR, frozenset(only or CHECKS) - skip)
    lines = [line for line in report.lines if line.name in (only or CHECKS) and line.name not in skip]
    report.lines = tuple(lines)
    from v2g.host.preflight.model import exit_code, worst

    if as_json:
        print_json(
            {
                "level": worst(lines).value,
                "config_dir": report.config_dir,
                "simulation": report.simulation,
                "daemon": report.daemon,
                "refuses": report.refuses,
                "lines": lines,
            }
        )
    else:
        from v2g.cli.preflight_text import report_text

        click.echo(report_text(report, columns()))
    raise SystemExit(exit_code(lines))


def _of_daemon(socket_path: Path | None, as_json: bool) -> Report:
    import msgspec

    from v2g.cli.preflight_look import Report
    from v2g.control.messages_preflight import PreflightResult

    with daemon(socket_path, _NAME, as_json, _TIMEOUT_S) as client:
        result = msgspec.convert(client.call("preflight.run"), PreflightResult)
    return Report(
        lines=result.lines,
        config_dir=result.config_dir,
        simulation=result.simulation,
        daemon=True,
        refuses=result.refuses,
    )
