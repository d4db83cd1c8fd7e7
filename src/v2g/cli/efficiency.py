"""``v2g-tool inverter efficiency``: what each inverter loses, by direction and load."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from v2g.cli.common import daemon, json_option, print_json, say, socket_option
from v2g.cli.completion import complete_evse
from v2g.cli.render import table
from v2g.control.messages_devices import EfficiencyBand, EfficiencyParams, EfficiencyResult
from v2g.guard.efficiency import EFFICIENT
from v2g.units import format_power

_NAME = "v2g-tool"


@click.command()
@click.option("--evse", "evse_id", shell_complete=complete_evse, help="Only the inverter of this EVSE. [default: all]")
@json_option
@socket_option
def efficiency(evse_id: str | None, as_json: bool, socket_path: Path | None) -> None:
    """The measured efficiency of the inverters by direction and load, of the last minutes in which each was used.

    Below 97 % the daemon warns in comms.log; a discharge test refuses such an inverter.

    \b
    Examples:
      v2g-tool inverter efficiency
      v2g-tool inverter efficiency --evse 'US*V2G*E1'

    Exit codes: 0 shown. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("inverter.efficiency", EfficiencyParams(evse_id=evse_id))
    if as_json:
        print_json(answer)
    else:
        say(efficiency_text(msgspec.convert(answer, EfficiencyResult)))


def efficiency_text(result: EfficiencyResult) -> str:
    rows = [(line.evse_id, *_row(band)) for line in result.inverters for band in line.bands]
    remarks = [f"{line.evse_id}: {line.problem}" for line in result.inverters if line.problem]
    parts = [table(("EVSE", "DIRECTION", "LOAD", "EFFICIENCY", "READINGS"), rows)] if rows else []
    return "\n".join([*parts, *remarks])


def _row(band: EfficiencyBand) -> tuple[str, str, str, str]:
    low = "  below 97 %" if band.efficiency < EFFICIENT else ""
    load = f"{format_power(band.low_w)} to {format_power(band.high_w)}"
    return band.direction, load, f"{100.0 * band.efficiency:.1f} %{low}", str(band.readings)
