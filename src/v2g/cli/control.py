"""``v2g-control``: the operator's command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from v2g import __version__
from v2g.cli import render, render_dispatch
from v2g.cli.common import daemon, json_option, parsed, print_json, say, show_status, socket_option
from v2g.cli.completion import complete_evse, completion_command
from v2g.cli.manners import confirm, run, yes_option
from v2g.cli.plan import plan
from v2g.cli.signal import signal
from v2g.control.messages import (
    CancelParams,
    CancelResult,
    DispatchParams,
    DispatchResult,
    PermitServiceParams,
    PermitServiceResult,
    TripResetResult,
)
from v2g.units import parse_duration_s, parse_power_w

_NAME = "v2g-control"
_WITHOUT_POWER = ("idle", "auto")
_EXAMPLE = "v2g-control --dispatch --mode=discharge --power=10kW"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Dispatch the vehicles below this transformer, and see what they do.

    A verb may be written with or without its two dashes.

    \b
    Examples:
      v2g-control status
      v2g-control --dispatch --mode=discharge --power=10kW
      v2g-control --dispatch --mode=charge --power=5kW --evse 'US*V2G*E1' --duration 1h
      v2g-control --dispatch --mode=discharge --power=20kW --at 18:00 --duration 2h
      v2g-control cancel 3

    Exit codes: 0 done. 1 refused or failed. 2 not understood. 3 the daemon is not reachable.
    """


@cli.command()
@click.option("--mode", required=True, type=click.Choice(["discharge", "charge", "idle", "auto"], case_sensitive=False))
@click.option("--power", help="Magnitude with its unit: 10kW, 800W. Not for idle and auto.")
@click.option(
    "--evse",
    "evse_id",
    shell_complete=complete_evse,
    help="One EVSE by its id; without it the power is shared by all vehicles.",
)
@click.option("--duration", default="15min", show_default=True, help="How long the order holds: 90s, 15min, 2h.")
@click.option("--at", default="", help="When it begins: 18:00 (the site's time), or 2027-01-31T18:00. Without it: now.")
@json_option
@socket_option
def dispatch(
    mode: str, power: str | None, evse_id: str | None, duration: str, at: str, as_json: bool, socket_path: Path | None
) -> None:
    """Order vehicles to charge, discharge or idle; auto gives them back to the controller before an order ends.

    \b
    Examples:
      v2g-control dispatch --mode=discharge --power=10kW  # for 15 min, shared by all vehicles
      v2g-control dispatch --mode=charge --power=7.4kW --evse 'US*V2G*E1' --duration '1h 30min'
      v2g-control dispatch --mode=discharge --power=20kW --at 18:00 --duration 2h
      v2g-control dispatch --mode=idle --duration 1h
      v2g-control dispatch --mode=auto

    Exit codes: 0 some power is granted, and what is missing is named. 1 nothing is granted, or refused. 2 not
    understood. 3 the daemon is not reachable.
    """
    params = DispatchParams(
        mode=mode.lower(),
        power_w=_power_w(mode.lower(), power),
        evse_id=evse_id,
        duration_s=parsed(parse_duration_s, duration),
        at=at,
    )
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("dispatch", params)
    result = msgspec.convert(answer, DispatchResult)
    if as_json:
        print_json(answer)
    else:
        say(render_dispatch.dispatch_text(result))
    sys.exit(0 if result.mode in ("idle", "auto") or result.granted_w != 0 or result.begins_in_s > 0 else 1)


@cli.command()
@json_option
@socket_option
def status(as_json: bool, socket_path: Path | None) -> None:
    """The site at a glance: permit, limits, vehicles, orders, problems.

    \b
    Examples:
      v2g-control status
      v2g-control status --json

    Exit codes: 0 shown. 2 not understood. 3 the daemon is not reachable.
    """
    show_status(_NAME, socket_path, as_json, render.status_text)


@cli.command()
@json_option
@socket_option
def vehicles(as_json: bool, socket_path: Path | None) -> None:
    """The vehicles that are plugged in, and what they can do.

    \b
    Examples:
      v2g-control vehicles
      v2g-control vehicles --json

    Exit codes: 0 shown. 2 not understood. 3 the daemon is not reachable.
    """
    show_status(
        _NAME,
        socket_path,
        as_json,
        lambda status: render_dispatch.vehicles_text(status.evses),
        lambda answer: [evse for evse in answer["evses"] if evse["session"] is not None],
    )


@cli.command()
@json_option
@socket_option
def orders(as_json: bool, socket_path: Path | None) -> None:
    """The orders that stand.

    \b
    Examples:
      v2g-control orders
      v2g-control orders --json

    Exit codes: 0 shown. 2 not understood. 3 the daemon is not reachable.
    """
    show_status(
        _NAME,
        socket_path,
        as_json,
        lambda status: render.orders_text(status.orders),
        lambda answer: answer["orders"],
    )


@cli.command()
@click.argument("order_id", metavar="[ID]", type=click.IntRange(min=1), required=False)
@yes_option
@json_option
@socket_option
def cancel(order_id: int | None, yes: bool, as_json: bool, socket_path: Path | None) -> None:
    """Cancel the order ID, or all orders.

    \b
    Examples:
      v2g-control orders  # their numbers
      v2g-control cancel 3
      v2g-control cancel --yes  # all of them

    Exit codes: 0 cancelled, or there was none. 1 refused, or there is no such order. 2 not understood. 3 the daemon is
    not reachable.
    """
    if order_id is None:
        confirm("Cancel all orders, also those of others?", yes)
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("cancel", CancelParams(order_id=order_id))
    result = msgspec.convert(answer, CancelResult)
    if as_json:
        print_json(answer)
    elif result.cancelled:
        numbers = ", ".join(str(number) for number in result.cancelled)
        click.echo(f"cancelled order{'s' if len(result.cancelled) > 1 else ''} {numbers}")
    else:
        click.echo("there was no order to cancel" if order_id is None else f"there is no order {order_id}")
    sys.exit(0 if result.cancelled or order_id is None else 1)


@cli.command()
@click.argument("state", type=click.Choice(["on", "off"], case_sensitive=False))
@yes_option
@json_option
@socket_option
def permit(state: str, yes: bool, as_json: bool, socket_path: Path | None) -> None:
    """Give or withdraw permit service: off ceases to energise within 2 s and holds across restarts.

    On, energy may flow again after the enter-service delay.

    \b
    Examples:
      v2g-control permit off
      v2g-control permit on
      v2g-control permit on --yes  # in a script

    Exit codes: 0 done. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    if state.lower() == "on":
        confirm("Energy may flow again. Is nobody at work at the V2G feeder?", yes)
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("permit.service", PermitServiceParams(enabled=state.lower() == "on"))
    result = msgspec.convert(answer, PermitServiceResult)
    if as_json:
        print_json(answer)
    elif result.enabled:
        click.echo("permit service is on; energy may flow after the enter-service delay")
    else:
        click.echo("permit service is off; the breaker opens, and stays open until v2g-control permit on")


cli.add_command(plan)
cli.add_command(signal)


@cli.group()
def trip() -> None:
    """The guard's trip latch.

    \b
    Examples:
      v2g-control trip reset

    Exit codes: 0 done. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """


@trip.command("reset")
@yes_option
@json_option
@socket_option
def trip_reset(yes: bool, as_json: bool, socket_path: Path | None) -> None:
    """Release the trip latch once the cause is gone; then the enter-service delay runs.

    \b
    Examples:
      v2g-control trip reset
      v2g-control trip reset --yes  # in a script, once the cause is gone

    Exit codes: 0 released, or there was no trip. 1 refused: the cause is still there. 2 not understood. 3 the daemon is
    not reachable.
    """
    confirm("Energy may flow again. Is the cause of the trip known, and gone?", yes)
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("trip.reset")
    result = msgspec.convert(answer, TripResetResult)
    if as_json:
        print_json(answer)
    elif result.element:
        click.echo(f"trip {result.element} reset; energy may flow again after the enter-service delay")
    else:
        click.echo("there was no trip")


cli.add_command(completion_command(_NAME))


def main(argv: Sequence[str] | None = None) -> None:
    run(cli, argv, _NAME, tuple(cli.commands))


def _power_w(mode: str, text: str | None) -> float:
    if text is None:
        if mode in _WITHOUT_POWER:
            return 0.0
        raise click.UsageError(f"--power is missing: how much should the vehicles {mode}? For example {_EXAMPLE}")
    power_w = parsed(parse_power_w, text)
    if power_w == 0 and mode not in _WITHOUT_POWER:
        raise click.UsageError("--power is zero: for no power write --mode=idle")
    return power_w


if __name__ == "__main__":
    main()
