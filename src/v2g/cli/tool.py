"""``v2g-tool``: the engineer's command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from v2g import __version__
from v2g.cli import render
from v2g.cli.calibrate import calibrate_pll
from v2g.cli.common import json_option, show_status, socket_option
from v2g.cli.grid import grid
from v2g.cli.lazy import Later, LazyGroup
from v2g.cli.manners import run
from v2g.cli.relay import test_relay
from v2g.cli.thermal import thermal

_NAME = "v2g-tool"
_LATER = {
    "replay": Later("v2g.cli.replay", "replay", "Recorded events through the guard, loads through the thermal model."),
    "lockout": Later("v2g.cli.lockout", "lockout", "Lock out the V2G breaker (LOTO), or show who has."),
    "test-discharge": Later(
        "v2g.cli.test_discharge", "test_discharge", "First discharge of an EVSE: measured, judged, recorded."
    ),
    "harmonics": Later("v2g.cli.harmonics", "harmonics", "Spectra of voltage and feeder current, and the filters."),
    "set-harmonic-filter": Later(
        "v2g.cli.harmonic_filter", "set_harmonic_filter", "The THD above which harmonic filters are moved."
    ),
    "inverter": Later("v2g.cli.inverter", "inverter", "Which inverter is at an address, its points, its efficiency."),
    "pilot": Later("v2g.cli.pilot", "pilot", "Control pilots against IEC 61851-1."),
    "plc": Later("v2g.cli.plc", "plc", "Powerline links: attenuation, rates, modems, matchings."),
    "mesh": Later("v2g.cli.mesh", "mesh", "Neighbouring transformers: who is heard, what each may take; map, ping."),
    "sensors": Later(
        "v2g.cli.sensors", "sensors", "Every sensor: value, quality, factors; calibrate one; read the map anew."
    ),
    "meters": Later("v2g.cli.meters", "meters", "The base load by phase as customers' meters tell it."),
    "maintenance": Later("v2g.cli.maintenance", "maintenance", "No new sessions for a while; drain those that run."),
    "firmware": Later("v2g.cli.firmware", "firmware", "Signed updates into the other slot, and the way back."),
    "firewall": Later("v2g.cli.firewall_commands", "firewall", "Who may reach this host: nftables rules of the site."),
    "audit": Later("v2g.cli.audit", "audit", "Whether the audit log is as it was written; what is in it."),
    "install": Later("v2g.cli.install", "install", "Lay out configuration, users, directories and units on this host."),
    "uninstall": Later("v2g.cli.install", "uninstall", "Stop the daemons and remove what install put there."),
    "completion": Later("v2g.cli.completion", "of_all", "What a shell reads to complete these commands with Tab."),
    "watch": Later("v2g.cli.watch", "watch", "The site live: temperatures, headroom, vehicles, alarms."),
    "report": Later("v2g.cli.report", "report", "A day, or a month, as one page: plots, energies, trips, events."),
    "preflight": Later("v2g.cli.preflight", "preflight", "Host, configuration, devices: what passes, warns, fails."),
    "log": Later("v2g.cli.log", "log", "The logs as one: by time, session, EVSE, code; followed as they grow."),
    "trace": Later("v2g.cli.trace", "trace", "The messages of a session as a capture, or a capture as messages."),
    "explain": Later("v2g.cli.explain", "explain", "What a code of the logs means, why, and what to do."),
}


@click.group(cls=LazyGroup, later=_LATER, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """See into the installation, adjust the guard, calibrate and test it.

    A verb may be written with or without its two dashes.

    \b
    Examples:
      v2g-tool status
      v2g-tool thermal
      v2g-tool explain REVERSE_FLOW_DENIED
      v2g-tool --calibrate-pll --acknowledge 'A. Volta'

    Exit codes: 0 done. 1 refused or failed. 2 not understood. 3 the daemon is not reachable.
    """


@cli.command()
@json_option
@socket_option
def status(as_json: bool, socket_path: Path | None) -> None:
    """Transformer, guard, DC outputs and every device with the age of its last answer.

    \b
    Examples:
      v2g-tool status
      v2g-tool status --json

    Exit codes: 0 shown. 2 not understood. 3 the daemon is not reachable.
    """
    show_status(_NAME, socket_path, as_json, render.tool_status_text)


@cli.command("man-pages", hidden=True)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def man_pages(directory: Path) -> None:
    """Write the manual pages of all commands and files below DIRECTORY: man1, man5, man8."""
    from v2g.cli.man import write

    for path in write(directory):
        click.echo(str(path))


cli.add_command(grid)
cli.add_command(calibrate_pll)
cli.add_command(test_relay)
cli.add_command(thermal)


def main(argv: Sequence[str] | None = None) -> None:
    run(cli, argv, _NAME, cli.verbs if isinstance(cli, LazyGroup) else ())


if __name__ == "__main__":
    main()
