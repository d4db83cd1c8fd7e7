"""``v2g-tool meters``: the base load as customers' meters tell it, each meter, and a day of one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from v2g.cli.common import daemon, json_option, of_subcommand, print_json, say, socket_option
from v2g.cli.render import span, table
from v2g.control.messages_meters import MeterDayParams, MeterDayResult, MetersResult, MeterStatus, Phases
from v2g.units import format_power

_NAME = "v2g-tool"
_TIMEOUT_S = 20.0


@click.group(invoke_without_command=True)
@json_option
@socket_option
@click.pass_context
def meters(context: click.Context, as_json: bool, socket_path: Path | None) -> None:
    """The base load by phase as customers' meters tell it, and what is wrong with each meter.

    Power is what the customer draws, and below zero what it feeds in.

    \b
    Examples:
      v2g-tool meters
      v2g-tool meters day M-1042

    Exit codes: 0 shown. 2 not understood. 3 the daemon is not reachable.
    """
    if of_subcommand(context, as_json, socket_path):
        return
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("meters.list")
    if as_json:
        print_json(answer)
    else:
        say(meters_text(msgspec.convert(answer, MetersResult)))


@meters.command()
@click.argument("meter")
@json_option
@socket_option
def day(meter: str, as_json: bool, socket_path: Path | None) -> None:
    """The last 24 hours of METER by the minute, in UTC; minutes without a reading are left out.

    \b
    Examples:
      v2g-tool meters day M-1042
      v2g-tool meters day M-1042 --json

    Exit codes: 0 shown. 1 no such meter. 2 not understood. 3 the daemon is not reachable.
    """
    with daemon(socket_path, _NAME, as_json, _TIMEOUT_S) as client:
        answer = client.call("meters.day", MeterDayParams(meter=meter))
    if as_json:
        print_json(answer)
    else:
        say(day_text(msgspec.convert(answer, MeterDayResult)))


def meters_text(result: MetersResult) -> str:
    if not result.meters:
        return "\n".join(("no meters (utility.meters and utility.meter_feed in v2g.yaml)", *result.notes))
    parts = [table(("METER", "A", "B", "C", "AGE", "SOURCE", "NOT USED"), map(_row, result.meters)), ""]
    if result.base_w is not None:
        parts.append(f"base load  {_phases(result.base_w)}, together {format_power(sum(result.base_w))}")
    else:
        parts.append(f"base load  unknown; the meters that can be used: {_phases(result.known_w)}")
    parts += [f"{line.id}: {line.problem}" for line in result.meters if line.problem]
    return "\n".join([*parts, *result.notes])


def day_text(result: MeterDayResult) -> str:
    if not result.minutes:
        return f"{result.meter}: no readings yet"
    rows = (
        (
            datetime.fromtimestamp(minute.starts_unix_s, UTC).strftime("%Y-%m-%dT%H:%MZ"),
            *map(format_power, minute.power_w),
            format_power(sum(minute.power_w)),
        )
        for minute in result.minutes
    )
    return table(("MINUTE", "A", "B", "C", "TOTAL"), rows)


def _row(line: MeterStatus) -> tuple[str, ...]:
    powers = ("?", "?", "?") if line.power_w is None else tuple(map(format_power, line.power_w))
    age = "-" if line.age_s is None else span(line.age_s)
    counts = {"late": line.late, "repeated": line.repeated, "refused": line.refused, "gaps": line.gaps}
    unused = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return line.id, *powers, age, line.source, unused


def _phases(power_w: Phases) -> str:
    return ", ".join(f"{letter} {format_power(value)}" for letter, value in zip("abc", power_w, strict=True))
