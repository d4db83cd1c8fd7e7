"""``v2g-tool grid``: the settings that the guard protects by, and how an engineer changes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import click
import msgspec

from v2g.cli.common import daemon, json_option, of_subcommand, print_json, socket_option
from v2g.cli.render import table
from v2g.control.messages import ElementLine, GridAdjustParams, GridSettingsResult

_NAME = "v2g-tool"
_TIMEOUT_S = 20.0
_OWN = ("profile", "category", "alarm_window_hz", "trips", "enter_service")
_UNITS = {"voltage": "pu", "voltage_10min": "pu", "frequency": "Hz", "rocof": "Hz/s"}
_QUANTITIES = {"voltage_10min": "voltage, 10 min", "rocof": "rate of change"}


@click.group(invoke_without_command=True)
@json_option
@socket_option
@click.pass_context
def grid(context: click.Context, as_json: bool, socket_path: Path | None) -> None:
    """The grid settings in force: trips, times, ranges, enter service; and their adjustment.

    \b
    Examples:
      v2g-tool grid
      v2g-tool grid set OV1.time_s=5 enter_service.delay_s=60
      v2g-tool grid unset OV1.time_s
      v2g-tool grid profile ieee1547-II

    Exit codes: 0 done. 1 refused, nothing is changed. 2 not understood. 3 the daemon is not reachable.
    """
    if not of_subcommand(context, as_json, socket_path):
        _show(as_json, socket_path, settings_text)


@grid.command()
@json_option
@socket_option
def profiles(as_json: bool, socket_path: Path | None) -> None:
    """The profiles that there are.

    \b
    Examples:
      v2g-tool grid profiles
      v2g-tool grid profiles --json

    Exit codes: 0 shown. 2 not understood. 3 the daemon is not reachable.
    """
    _show(as_json, socket_path, profiles_text, lambda answer: answer["profiles"])


@grid.command()
@click.argument("name")
@click.option("--confirm-unverified", is_flag=True, help="You have compared it with the standard and answer for it.")
@json_option
@socket_option
def profile(name: str, confirm_unverified: bool, as_json: bool, socket_path: Path | None) -> None:
    """Protect by the profile NAME from now on.

    A profile marked * is an example that nobody has verified for this site: it needs --confirm-unverified.

    \b
    Examples:
      v2g-tool grid profile ieee1547-II
      v2g-tool grid profile vde-ar-n-4105 --confirm-unverified

    Exit codes: 0 the guard protects by it. 1 refused, nothing is changed. 2 not understood. 3 the daemon is not
    reachable.
    """
    _adjust({"profile": name}, confirm_unverified, as_json, socket_path)


@grid.command("set")
@click.argument("assignments", nargs=-1, required=True, metavar="SETTING=VALUE...")
@json_option
@socket_option
def set_(assignments: tuple[str, ...], as_json: bool, socket_path: Path | None) -> None:
    """Adjust settings inside their ranges: OV1.time_s=5, UF2.threshold=56.8, enter_service.delay_s=60.

    \b
    Examples:
      v2g-tool grid set OV1.time_s=5
      v2g-tool grid set UF2.threshold=56.8 enter_service.delay_s=60

    Exit codes: 0 adopted by the guard and read back. 1 refused, nothing is changed. 2 not understood. 3 the daemon is
    not reachable.
    """
    _adjust(dict(_assignment(text) for text in assignments), False, as_json, socket_path)


@grid.command()
@click.argument("settings", nargs=-1, required=True, metavar="SETTING...")
@json_option
@socket_option
def unset(settings: tuple[str, ...], as_json: bool, socket_path: Path | None) -> None:
    """Take settings back to the file's or the profile's.

    \b
    Examples:
      v2g-tool grid unset OV1.time_s

    Exit codes: 0 adopted by the guard and read back. 1 refused, nothing is changed. 2 not understood. 3 the daemon is
    not reachable.
    """
    _adjust({_path(name): None for name in settings}, False, as_json, socket_path)


def settings_text(result: GridSettingsResult) -> str:
    """The settings as an engineer reads them."""
    lines = [_headline(result)]
    if result.problem:
        return "\n".join([*lines, "", f"NO SETTINGS: {result.problem}", *_remarks(result)])
    rows = (
        (
            line.element,
            f"{_QUANTITIES.get(line.quantity, line.quantity)} {line.side}",
            f"{line.threshold:g} {_UNITS.get(line.quantity, '')}".rstrip(),
            f"{line.time_s:g} s {line.timing}",
            _range(line.threshold_range),
            _range(line.time_range_s, " s"),
            line.clause,
        )
        for line in result.elements
    )
    head = ("ELEMENT", "TRIPS ON", "THRESHOLD", "TIME", "RANGE", "TIME RANGE", "CLAUSE")
    lines += ["", table(head, rows), "", *_facts(result)]
    if result.adjusted:
        lines += ["", "ADJUSTED", *(f"  {text}" for text in result.adjusted)]
    return "\n".join([*lines, *_remarks(result)])


def profiles_text(result: GridSettingsResult) -> str:
    lines = [f"{'>' if name.rstrip('*') == result.profile else ' '} {name}" for name in result.profiles]
    return "\n".join([*lines, "", "> chosen   * not verified: needs --confirm-unverified"])


def _headline(result: GridSettingsResult) -> str:
    verified = "verified" if result.verified else "NOT VERIFIED" + (", confirmed" if result.confirmed else "")
    name = f"{result.profile} ({result.standard}), {verified}" if result.standard else result.profile or "no profile"
    if result.digest and result.digest == result.in_force:
        force = "in force"
    elif result.in_force:
        force = (
            f"NOT IN FORCE: the guard has settings {result.in_force}, the configuration {result.digest or 'none'}; "
            "after a change by hand: systemctl restart v2g-guard-tick"
        )
    else:
        force = "NOT IN FORCE: the guard has none, or does not answer"
    return f"{name}, {result.nominal_frequency_hz:g} Hz: {force}"


def _facts(result: GridSettingsResult) -> Iterator[str]:
    service, sync, relay = result.enter_service, result.sync, result.relay
    if service:
        random_s = service.get("random_delay_s", 0.0)
        then = f"random delay up to {random_s:g} s" if random_s else f"ramp {service['ramp_s']:g} s"
        yield (
            f"enter service    {service['v_lo_pu']:g}..{service['v_hi_pu']:g} pu, "
            f"{service['f_lo_hz']:g}..{service['f_hi_hz']:g} Hz for {service['delay_s']:g} s, then {then}"
        )
    if sync:
        yield f"synchronisation  {sync['df_hz']:g} Hz, {sync['dv_pu']:g} pu, {sync['dtheta_deg']:g} degrees"
    setting = relay.get("setting_pu")
    stated = "not stated" if setting is None else f"{setting:g} pu, {relay.get('delay_s'):g} s"
    position = {True: "closed", False: "open", None: "no feedback"}[relay.get("closed")]  # type: ignore[index]
    yield f"hardware relay   {stated}; {position}"


def _remarks(result: GridSettingsResult) -> list[str]:
    return ["", "REMARKS", *(f"  {text}" for text in result.remarks)] if result.remarks else []


def _range(ends: tuple[float, float] | None, unit: str = "") -> str:
    return "" if ends is None else f"{ends[0]:g}..{ends[1]:g}{unit}"


def _show(
    as_json: bool,
    socket_path: Path | None,
    text: Callable[[GridSettingsResult], str],
    part: Callable[[dict[str, Any]], Any] = lambda answer: answer,
) -> None:
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("grid.settings")
    if as_json:
        print_json(part(answer))
    else:
        click.echo(text(msgspec.convert(answer, GridSettingsResult)))


def _adjust(
    changes: dict[str, float | str | bool | None], confirmed: bool, as_json: bool, socket_path: Path | None
) -> None:
    with daemon(socket_path, _NAME, as_json, _TIMEOUT_S) as client:
        answer = client.call("grid.adjust", GridAdjustParams(changes=changes, confirm_unverified=confirmed))
    if as_json:
        print_json(answer)
        return
    result = msgspec.convert(answer, GridSettingsResult)
    touched = {path.removeprefix("trips.").partition(".")[0] for path in changes}
    shown = [line for line in result.elements if line.element in touched]
    click.echo("\n".join([_headline(result), *(_element(line) for line in shown), *_remarks(result)]))


def _element(line: ElementLine) -> str:
    unit = _UNITS.get(line.quantity, "")
    return f"  {line.element}: {line.side} {line.threshold:g} {unit} trips in {line.time_s:g} s ({line.clause})"


def _assignment(text: str) -> tuple[str, float | str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise click.UsageError(f"{text!r}: write SETTING=VALUE, like OV1.time_s=5")
    path = _path(name)
    if path == "category":
        return path, value
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise click.UsageError(f"{text!r}: {value!r} is no number")
    return path, number


def _path(name: str) -> str:
    """``OV1.time_s`` -> ``trips.OV1.time_s``."""
    first = name.partition(".")[0]
    if first == "profile":
        raise click.UsageError("the profile is chosen with: v2g-tool grid profile NAME")
    return name if first in _OWN else f"trips.{name}"
