"""``v2g-control signal``: caps, floors, set-points, prices and carbon intensities of the utility, each with its end."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click
import msgspec

from v2g.cli.common import daemon, json_option, parsed, print_json, say, socket_option
from v2g.cli.render import span, table
from v2g.control.messages_utility import (
    BoundLine,
    SignalLine,
    SignalParams,
    SignalResult,
    SignalsParams,
    SignalsResult,
    VtnLine,
    WithdrawParams,
    WithdrawResult,
)
from v2g.units import parse_duration_s, parse_power_w
from v2g.utility.signals import SignalKind, power_words

_NAME = "v2g-control"
_KINDS = ("cap", "floor", "setpoint", "price", "carbon")
_POWER = ("cap", "floor", "setpoint")
_DIRECTION = {
    "cap": "charge at most, or discharge at least, so much",
    "floor": "charge at least, or discharge at most, so much",
    "setpoint": "charge or discharge so much",
}


@click.group()
def signal() -> None:
    """What the utility asks of this site, besides orders: each signal ends by itself.

    Of several caps the lowest counts, of several floors the highest. A cap below a floor means no power.

    \b
    Examples:
      v2g-control signal set --kind cap --value 20kW --duration 2h
      v2g-control signal set --kind floor --value 10kW --direction discharge --duration 2h --id evening
      v2g-control signal set --kind price --value 0.31 --currency EUR --duration 1h --at 2026-01-31T18:00+01:00
      v2g-control signal list
      v2g-control signal withdraw evening

    Exit codes: 0 done. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """


@signal.command("set")
@click.option("--kind", required=True, type=click.Choice(_KINDS, case_sensitive=False))
@click.option("--value", required=True, help="Power with its unit: 20kW. A price a kWh, or g CO2 a kWh: a number.")
@click.option(
    "--direction",
    type=click.Choice(["charge", "discharge"], case_sensitive=False),
    help="Of power. A cap is for charging unless said; floor and setpoint need it.",
)
@click.option("--currency", metavar="CODE", help="Of a price: EUR, USD.")
@click.option("--duration", required=True, help="How long it holds: 90s, 15min, 2h.")
@click.option("--at", "starts", metavar="TIME", help="When it begins: 2026-01-31T18:00+01:00. [default: now]")
@click.option("--id", "signal_id", metavar="ID", help="A name of your own; a signal of that name is replaced.")
@json_option
@socket_option
def set_signal(
    kind: str,
    value: str,
    direction: str | None,
    currency: str | None,
    duration: str,
    starts: str | None,
    signal_id: str | None,
    as_json: bool,
    socket_path: Path | None,
) -> None:
    """Give a signal, or another one in place of the one with the same ID.

    \b
    Examples:
      v2g-control signal set --kind cap --value 20kW --duration 2h
      v2g-control signal set --kind floor --value 10kW --direction discharge --duration '1h 30min' --id evening
      v2g-control signal set --kind price --value 0.31 --currency EUR --duration 1h --at 18:00

    Exit codes: 0 it holds, or will. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    kind = kind.lower()
    fields = {
        "kind": kind,
        "value": _value(kind, value, direction.lower() if direction is not None else None),
        "starts_unix_s": _unix_s(starts) if starts is not None else None,
        "duration_s": parsed(parse_duration_s, duration),
        "id": signal_id,
        "currency": currency.upper() if currency is not None else None,
    }
    try:
        params = msgspec.convert(fields, SignalParams)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"--id takes letters, digits, . _ -, --currency three letters: {error}") from None
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("utility.signal", params)
    if as_json:
        print_json(answer)
        return
    result = msgspec.convert(answer, SignalResult)
    line = result.signal
    click.echo(f"signal {line.id}: {line.kind}, {line.words}, {_when(line)}")
    for remark in result.remarks:
        click.echo(remark)


@signal.command("list")
@json_option
@socket_option
def list_signals(as_json: bool, socket_path: Path | None) -> None:
    """The signals that hold or will hold, what they mean together, and the OpenADR VTN.

    \b
    Examples:
      v2g-control signal list
      v2g-control signal list --json

    Exit codes: 0 shown. 2 not understood. 3 the daemon is not reachable.
    """
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("utility.signals", SignalsParams())
    if as_json:
        print_json(answer)
    else:
        say(signals_text(msgspec.convert(answer, SignalsResult)))


@signal.command("withdraw")
@click.argument("signal_id", metavar="ID")
@json_option
@socket_option
def withdraw(signal_id: str, as_json: bool, socket_path: Path | None) -> None:
    """End the signal ID now.

    \b
    Examples:
      v2g-control signal withdraw evening

    Exit codes: 0 ended. 1 refused, or there is none of that name. 2 not understood. 3 the daemon is not reachable.
    """
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("utility.withdraw", WithdrawParams(id=signal_id))
    if as_json:
        print_json(answer)
        return
    result = msgspec.convert(answer, WithdrawResult)
    click.echo(f"withdrawn: signal {result.signal.id}: {result.signal.kind}, {result.signal.words}")
    for remark in result.remarks:
        click.echo(remark)


def signals_text(result: SignalsResult) -> str:
    lines = []
    if result.signals:
        rows = ((line.id, line.kind, line.words, _when(line), line.source) for line in result.signals)
        lines += [table(("ID", "KIND", "ASKS FOR", "HOLDS", "SOURCE"), rows)]
        if result.total > len(result.signals):
            lines += [f"and {result.total - len(result.signals)} more"]
    else:
        lines += ["there are no signals"]
    lines += [f"now: {_bound_words(bound)} (for {span(bound.remaining_s)}, {bound.source})" for bound in result.bounds]
    if result.target_w is not None:
        lines += [f"now: aim at {power_words(SignalKind.SETPOINT, result.target_w)} ({result.target_source})"]
    lines += [f"note: {note}" for note in result.notes]
    if result.vtn is not None:
        lines += _vtn_lines(result.vtn)
    return "\n".join(lines)


def _bound_words(bound: BoundLine) -> str:
    if bound.lo_w is not None and bound.hi_w is not None:
        return "no power"
    if bound.hi_w is not None:
        return power_words(SignalKind.CAP, bound.hi_w)
    return power_words(SignalKind.FLOOR, bound.lo_w or 0.0)


def _vtn_lines(vtn: VtnLine) -> list[str]:
    answered = "never answered" if vtn.answer_age_s is None else f"answered {span(vtn.answer_age_s)} ago"
    lines = [f"OpenADR {vtn.url} as {vtn.ven_name}: {answered}, {vtn.events} events, {vtn.signals} signals"]
    lines += [f"OpenADR: {vtn.error}"] if vtn.error else []
    return [*lines, *(f"OpenADR: {note}" for note in vtn.notes)]


def _when(line: SignalLine) -> str:
    if line.starts_in_s > 0:
        return f"in {span(line.starts_in_s)} for {span(line.remaining_s - line.starts_in_s)}"
    return f"for {span(line.remaining_s)}"


def _value(kind: str, text: str, direction: str | None) -> float:
    if kind not in _POWER:
        if direction is not None:
            raise click.UsageError(f"a {kind} has no --direction")
        try:
            return float(text)
        except ValueError:
            raise click.UsageError(
                f"--value {text!r} is no number: a {kind} a kWh, as --value=0.31 or --value=-0.05"
            ) from None
    power_w = parsed(parse_power_w, text)
    if direction is None and kind != "cap" and power_w:
        raise click.UsageError(f"--direction is missing: {_DIRECTION[kind]}?")
    return 0.0 - power_w if direction == "discharge" else power_w


def _unix_s(text: str) -> float:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--at {text!r} is no time: write it like 2026-01-31T18:00+01:00") from None
    if at.tzinfo is None:
        raise click.UsageError(f"--at {text} has no offset: {text}Z or {text}+01:00?")
    return at.timestamp()
