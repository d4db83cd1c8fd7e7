"""``v2g-tool maintenance``: no new sessions for a while, and those that run brought to their end in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from v2g.cli.common import daemon, fail, json_option, of_subcommand, parsed, print_json, say, socket_option
from v2g.cli.manners import confirm, waiting, yes_option
from v2g.cli.render import table
from v2g.control.messages_maintenance import LEASE_S, MaintenanceParams, MaintenanceResult
from v2g.units import format_duration, format_power, parse_duration_s

_NAME = "v2g-tool"
_DRAIN_S = 12.0
_ANSWER_S = 40.0
"""A drain takes less than 30 s; that the answer comes is waited for a little longer."""


@click.group(invoke_without_command=True)
@json_option
@socket_option
@click.pass_context
def maintenance(context: click.Context, as_json: bool, socket_path: Path | None) -> None:
    """No new sessions for a while; without a word: whether that is so, why and for how long.

    Vehicles that are plugged in meanwhile are not answered, and come again by themselves. It ends by itself, also when
    whoever began it is gone, and goes on over a restart of the daemon. It is no lockout: the breaker stays as it is,
    v2g-tool lockout is for people who work at the cabinet.

    \b
    Examples:
      v2g-tool maintenance
      v2g-tool maintenance begin 'new cable at E2' --drain
      v2g-tool maintenance end

    Exit codes: 0 done. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    if not of_subcommand(context, as_json, socket_path):
        _show(_call("maintenance.show", None, as_json, socket_path), as_json)


@maintenance.command("begin")
@click.argument("reason")
@click.option("--drain", is_flag=True, help="End the sessions that run: power at zero first, then pause or terminate.")
@click.option("--for", "lease", default=f"{LEASE_S:.0f}s", metavar="TIME", help="How long at most: 15min, 2h.")
@yes_option
@json_option
@socket_option
def begin(reason: str, drain: bool, lease: str, yes: bool, as_json: bool, socket_path: Path | None) -> None:
    """Admit no new sessions from now on. Refused while sessions run, naming them, unless --drain ends them.

    REASON is shown in the status of everybody. The same person may say it again, and it lasts longer.

    \b
    Examples:
      v2g-tool maintenance begin 'new cable at E2'
      v2g-tool maintenance begin 'new cable at E2' --drain --for 30min
      v2g-tool maintenance begin 'nightly update' --drain --yes --json

    Exit codes: 0 it lasts. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    params = MaintenanceParams(reason=reason, drain=drain, lease_s=parsed(parse_duration_s, lease))
    if drain:
        confirm("Vehicles that charge now stop doing so. End all sessions?", yes)
    with waiting("drain", _DRAIN_S):
        result = _call("maintenance.begin", params, as_json, socket_path)
    if result.refused and not as_json:
        fail(_NAME, result.refused.replace("drain ends them", "--drain ends them"), 1)
    _show(result, as_json)
    if result.refused:
        raise SystemExit(1)


@maintenance.command("end")
@json_option
@socket_option
def end(as_json: bool, socket_path: Path | None) -> None:
    """Let vehicles in again; paused ones go on with their sessions.

    \b
    Examples:
      v2g-tool maintenance end

    Exit codes: 0 it is over. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    _show(_call("maintenance.end", None, as_json, socket_path), as_json)


def maintenance_text(result: MaintenanceResult) -> str:
    """For people: whether it lasts, and the sessions of the answer."""
    head = "vehicles are admitted: no maintenance"
    if result.active:
        left = format_duration(round(result.remaining_s))
        head = f"no new sessions: {result.reason} ({result.by}), for another {left}"
        head += "; no session is left, contactors are open" if result.drained else ""
    if not result.sessions:
        return head
    rows = (
        (
            each.evse_id,
            each.vehicle or "not known yet",
            each.identity or "not authenticated",
            "unknown" if each.power_w is None else format_power(each.power_w),
            f"{each.became}: {each.words}" if each.words else each.became,
        )
        for each in result.sessions
    )
    return "\n".join([head, table(("EVSE", "VEHICLE", "IDENTITY", "POWER", "SESSION"), rows)])


def _call(method: str, params: Any, as_json: bool, socket_path: Path | None) -> MaintenanceResult:
    with daemon(socket_path, _NAME, as_json, _ANSWER_S) as client:
        return msgspec.convert(client.call(method, params), MaintenanceResult)


def _show(result: MaintenanceResult, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(result))
    else:
        say(maintenance_text(result))
