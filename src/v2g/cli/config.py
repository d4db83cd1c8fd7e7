"""``v2g-config``: the settings, where each comes from, and those that operators change."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from v2g import __version__
from v2g.cli.common import daemon, fail, json_option, print_json, say, socket_option
from v2g.cli.completion import complete_evse, complete_path, completion_command
from v2g.cli.config_migrate import migrate
from v2g.cli.daemons import config_option, problems
from v2g.cli.lazy import Later, LazyGroup
from v2g.cli.manners import columns, run
from v2g.control.messages_min_soc import MinSocLine, MinSocParams, MinSocResult

if TYPE_CHECKING:
    from v2g.config.values import Value

_NAME = "v2g-config"
_EXAMPLE = "v2g-config --min-soc 30"


_EDIT, _REFERENCE = "v2g.cli.config_edit", "v2g.cli.config_reference"
_LATER = {
    "set": Later(_EDIT, "set_", "Change settings, all of them or none, with their units."),
    "unset": Later(_EDIT, "unset", "Take back what was set."),
    "reload": Later(_EDIT, "reload", "Let the daemon read its configuration again."),
    "diff": Later(_EDIT, "diff", "What the files say and the running daemon does not go by yet."),
    "backup": Later(_EDIT, "backup", "What the drop-ins said before: list, restore."),
    "reference": Later(_REFERENCE, "reference", "Every setting: what it means, its unit, range and default."),
}


@click.group(cls=LazyGroup, later=_LATER, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """See the settings of this controller, and change what operators may change.

    A verb may be written with or without its two dashes.

    \b
    Examples:
      v2g-config --min-soc 30
      v2g-config show dispatch
      v2g-config set dispatch.dwell_s 5min dispatch.default_mode idle
      v2g-config diff
      v2g-config reference dispatch

    Exit codes: 0 done. 1 refused or failed, nothing is changed. 2 not understood. 3 the daemon is not reachable.
    """


@cli.command("min-soc")
@click.argument("value", nargs=-1, metavar="[PERCENT]")
@click.option(
    "--evse", "evse_id", shell_complete=complete_evse, metavar="ID", help="Only at this EVSE. [default: the whole site]"
)
@click.option(
    "--vehicle", metavar="ID", help="Only this vehicle: the subject of its certificate, or its EVCCID (raises only)."
)
@click.option("--unset", is_flag=True, help="Take back the value that this EVSE or vehicle was given.")
@json_option
@socket_option
def min_soc(
    value: tuple[str, ...],
    evse_id: str | None,
    vehicle: str | None,
    unset: bool,
    as_json: bool,
    socket_path: Path | None,
) -> None:
    """Set the state of charge below which no vehicle is discharged, for the site, an EVSE or a vehicle.

    It holds at once and is kept across restarts. A vehicle's value counts before that of its EVSE, and that before the
    site's; for a vehicle that only claims its EVCCID it counts where it is higher. A vehicle's own minimum counts where
    it is higher still.

    \b
    Examples:
      v2g-config --min-soc 30
      v2g-config --min-soc 40 --evse 'US*V2G*E1'
      v2g-config --min-soc 20 --vehicle 'CN=WMIV2G0001'
      v2g-config --min-soc --unset --evse 'US*V2G*E1'

    Exit codes: 0 set, or set already. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    if unset == bool(value):
        raise click.UsageError(f"give a value in percent, for example {_EXAMPLE}; or --unset with --evse or --vehicle")
    if evse_id is not None and vehicle is not None:
        raise click.UsageError("give --evse or --vehicle, not both")
    if unset and evse_id is None and vehicle is None:
        raise click.UsageError("--unset needs --evse ID or --vehicle ID: the site always has a min-SoC")
    params = MinSocParams(value=None if unset else _percent("".join(value)), evse_id=evse_id, vehicle=vehicle)
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("min_soc.set", params)
    if as_json:
        print_json(answer)
    else:
        say(min_soc_text(msgspec.convert(answer, MinSocResult)))


def _percent(text: str) -> float:
    number = text.strip().removesuffix("%").strip().replace(",", ".")
    try:
        value = float(number)
    except ValueError:
        raise click.UsageError(f"{text!r} is no percentage; write for example {_EXAMPLE}") from None
    if not (math.isfinite(value) and 0.0 <= value <= 100.0):
        raise click.UsageError(f"{value:g} % is outside 0..100 %")
    if 0.0 < value < 1.0:
        raise click.UsageError(f"{value:g} is {value:g} %; for {100 * value:g} % write {100 * value:g}")
    return value


def min_soc_text(result: MinSocResult) -> str:
    """What changed, and for whom it matters now."""
    return "\n".join(
        [
            _changed_text(result),
            *(f"  {_line_text(line)}" for line in result.vehicles),
            *(f"- {remark}" for remark in result.remarks),
        ]
    )


def _changed_text(result: MinSocResult) -> str:
    value = "none of its own" if result.value is None else f"{result.value:g} %"
    if not result.changed:
        where = f" ({result.file})" if result.file else ""
        return f"no change: min-SoC of {result.target} is {value} already{where}"
    before = "none of its own" if result.before is None else f"{result.before:g} %"
    whom = "no vehicle here is concerned now" if not result.vehicles else "concerned now:"
    kept = f"; kept in {result.file}" if result.file else ""
    return f"min-SoC of {result.target}: {value}, was {before}{kept}; {whom}"


def _line_text(line: MinSocLine) -> str:
    head = f"{line.evse_id} / {line.vehicle}: {line.min_soc_pct:g} % ({line.whose}), was {line.before_pct:g} %"
    if line.soc_pct is None:
        return f"{head}; tells no state of charge"
    may = "may discharge" if line.soc_pct > line.min_soc_pct else "does not discharge"
    return f"{head}; at {line.soc_pct:g} %, {may}"


@cli.command()
@click.argument("path", required=False, shell_complete=complete_path)
@click.option("--json", "as_json", is_flag=True, help="By path: value and file.")
@config_option
def show(path: str | None, as_json: bool, config_dir: Path) -> None:
    """Every setting, or those below PATH, with the file that it comes from.

    \b
    Examples:
      v2g-config show
      v2g-config show dispatch
      v2g-config show 'evses[US*V2G*E1]'

    Exit codes: 0 shown. 1 there is no such setting, or the configuration cannot be used. 2 not understood.
    """
    found = _values(path, config_dir)
    if as_json:
        print_json({each.path: {"value": each.value, "file": each.place or None} for each in found})
        return
    width = min(60, max(len(each.path) for each in found))
    room = columns()
    for each in found:
        line = f"{each.path:<{width}}  {_shown(each.value)}  [{each.place or 'default'}]"
        if room is not None and len(line) > room:
            line = f"{each.path}\n  {_shown(each.value)}  [{each.place or 'default'}]"
        click.echo(line)


@cli.command()
@click.argument("path", shell_complete=complete_path)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the file.")
@config_option
def get(path: str, as_json: bool, config_dir: Path) -> None:
    """The value at PATH alone, for scripts; a section gives one line a setting.

    \b
    Examples:
      v2g-config get dispatch.min_soc_pct
      v2g-config get 'evses[US*V2G*E1].max_charge_w'

    Exit codes: 0 told. 1 there is no such setting, or the configuration cannot be used. 2 not understood.
    """
    found = _values(path, config_dir)
    if as_json:
        print_json({each.path: {"value": each.value, "file": each.place or None} for each in found})
    elif len(found) == 1 and found[0].exact:
        click.echo(_shown(found[0].value))
    else:
        for each in found:
            click.echo(f"{each.path}={_shown(each.value)}")


@cli.command()
@config_option
def validate(config_dir: Path) -> None:
    """Check the files as the daemons do at their start: every mistake with file, line and remedy.

    \b
    Examples:
      v2g-config validate
      v2g-config validate --config /etc/v2g

    Exit codes: 0 it holds. 1 it does not, and every mistake is named. 2 not understood.
    """
    from v2g.cli.check_config import check

    with _readable(config_dir):
        sys.exit(check(_NAME, config_dir))


@cli.command()
def schema() -> None:
    """The JSON schema of v2g.yaml, for editors that check while one types.

    \b
    Examples:
      v2g-config schema

    Exit codes: 0 printed. 2 not understood.
    """
    from v2g.config.schema import Config

    print_json(msgspec.json.schema(Config))


def _values(path: str | None, config_dir: Path) -> tuple[Value, ...]:
    from v2g.config.loader import ConfigError, load
    from v2g.config.values import suggestions, values

    try:
        with _readable(config_dir):
            loaded = load(config_dir)
    except ConfigError as error:
        problems(_NAME, error)
        sys.exit(1)
    found = values(loaded, path)
    if not found:
        close = suggestions(loaded, path or "")
        fail(_NAME, f"there is no setting {path!r}" + (f"; is {' or '.join(close)} meant?" if close else ""), 1)
    return found


@contextmanager
def _readable(config_dir: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(_NAME, f"{config_dir} cannot be read: {error.strerror}; name another with --config, or ask as root", 1)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else msgspec.json.encode(value).decode()


cli.add_command(migrate)
cli.add_command(completion_command(_NAME))


def main(argv: Sequence[str] | None = None) -> None:
    run(cli, argv, _NAME, cli.verbs if isinstance(cli, LazyGroup) else ())


if __name__ == "__main__":
    main()
