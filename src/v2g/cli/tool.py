"""``v2g-tool``: the engineer's command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from v2g import __version__
from v2g.cli import render
from v2g.cli.calibrate import calibrate_pll
from v2g.cli.common import json_option, show_status, socket_option
from v2g.cli.grid import grid
from v2g.cli.lazy import Later, LazyGroup
from v2g.cli.relay import test_relay
from v2g.cli.thermal import thermal
from v2g.cli.verbs import normalise

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
    "firewall": Later("v2g.cli.firewall", "firewall", "Who may reach this host: nftables rules from /etc/v2g."),
    "audit": Later("v2g.cli.audit", "audit", "Whether the audit log is as it was written; what is in it."),
    "explain": Later("v2g.cli.explain", "explain", "What a code of the logs means, why, and what to do."),
}


@click.group(cls=LazyGroup, later=_LATER, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """See into the installation, adjust the guard, calibrate and test it.

    A verb may be written with or without its two dashes.
    """


@cli.command()
@json_option
@socket_option
def status(as_json: bool, socket_path: Path | None) -> None:
    """Transformer, guard, DC outputs and every device with the age of its last answer."""
    show_status(_NAME, socket_path, as_json, render.tool_status_text)


cli.add_command(grid)
cli.add_command(calibrate_pll)
cli.add_command(test_relay)
cli.add_command(thermal)


def main(argv: Sequence[str] | None = None) -> None:
    words = sys.argv[1:] if argv is None else argv
    cli.main(args=normalise(words, cli.verbs if isinstance(cli, LazyGroup) else ()), prog_name=_NAME)


if __name__ == "__main__":
    main()
