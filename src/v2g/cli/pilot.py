"""``v2g-tool pilot check``: the control pilots against the limits of IEC 61851-1."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from v2g.cli.common import daemon, json_option, print_json, say, socket_option
from v2g.cli.completion import complete_evse
from v2g.cli.render import table
from v2g.control.messages_devices import PilotCheckParams, PilotCheckResult, PilotLine

_NAME = "v2g-tool"


@click.group()
def pilot() -> None:
    """The control pilot between EVSE and vehicle.

    \b
    Examples:
      v2g-tool pilot check

    Exit codes: 0 none failed. 1 one failed, or is unknown. 2 not understood. 3 the daemon is not reachable.
    """


@pilot.command()
@click.option("--evse", "evse_id", shell_complete=complete_evse, help="Only this EVSE. [default: all]")
@json_option
@socket_option
def check(evse_id: str | None, as_json: bool, socket_path: Path | None) -> None:
    """Levels, duty cycle, frequency and protective earth of each pilot: pass, or which limit failed.

    Limits: IEC 61851-1 Annex A, SAE J1772. What a device does not measure is not judged.

    \b
    Examples:
      v2g-tool pilot check
      v2g-tool pilot check --evse 'US*V2G*E1'

    Exit codes: 0 none failed. 1 one failed, or is unknown. 2 not understood. 3 the daemon is not reachable.
    """
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("pilot.check", PilotCheckParams(evse_id=evse_id))
    result = msgspec.convert(answer, PilotCheckResult)
    if as_json:
        print_json(answer)
    else:
        say(pilots_text(result))
    if any(line.verdict in ("fail", "unknown") for line in result.evses):
        sys.exit(1)


def pilots_text(result: PilotCheckResult) -> str:
    head = ("EVSE", "STATE", "VERDICT", "HIGH", "LOW", "DUTY", "FREQUENCY", "CABLE", "EARTH")
    text = table(head, map(_row, result.evses))
    remarks = [f"{line.evse_id}: {finding}" for line in result.evses for finding in line.findings]
    return "\n".join([text, *remarks])


def _row(line: PilotLine) -> tuple[str, ...]:
    duty = _figure(line.duty_pct, "%")
    if line.duty_pct is not None and line.expected_duty_pct is not None:
        duty += f" of {line.expected_duty_pct:g} %"
    earth = {True: "ok", False: "broken", None: "-"}[line.earth_ok]
    return (
        line.evse_id,
        line.state or "?",
        line.verdict,
        _figure(line.high_v, "V"),
        _figure(line.low_v, "V"),
        duty,
        _figure(line.frequency_hz, "Hz"),
        _figure(line.proximity_a, "A"),
        earth if line.earth_ohm is None else _figure(line.earth_ohm, "Ω"),
    )


def _figure(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.4g} {unit}"
