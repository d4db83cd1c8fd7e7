"""``v2g-tool mesh``: neighbouring transformers, what they share, and how far away they are."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from v2g.cli.common import daemon, fail, json_option, of_subcommand, parsed, print_json, say, socket_option
from v2g.cli.mesh_text import mesh_text, ping_text
from v2g.control.client import ControlClient
from v2g.control.messages import Params
from v2g.control.messages_mesh import (
    PINGS_AT_MOST,
    MeshCapParams,
    MeshCapResult,
    MeshPingParams,
    MeshPingResult,
    MeshResult,
    MeshUncapParams,
)
from v2g.units import parse_duration_s, parse_power_w

_NAME = "v2g-tool"
_PING_S = 2.5
"""So long one ping may take, with its way to the daemon."""


@click.group(invoke_without_command=True)
@json_option
@socket_option
@click.pass_context
def mesh(context: click.Context, as_json: bool, socket_path: Path | None) -> None:
    """Neighbouring transformers: members, links, hops to the substation, what each may take; islands.

    A member that is not heard counts with its rating, so that nobody takes room that it may need.

    \b
    Examples:
      v2g-tool mesh
      v2g-tool mesh ping tr-12 --count 10
      v2g-tool mesh map --output map.svg
      v2g-tool mesh cap feeder-3 --import 150kW --for 2h  # at the substation

    Exit codes: 0 told. 1 no mesh, or its wire is down. 2 not understood. 3 the daemon is not reachable.
    """
    if of_subcommand(context, as_json, socket_path):
        return
    with daemon(socket_path, _NAME, as_json) as client:
        answer, result = _ask(client)
    if as_json:
        print_json(answer)
    else:
        say(mesh_text(result))
    sys.exit(1 if result.problem else 0)


@mesh.command()
@click.argument("node")
@click.option("--count", type=click.IntRange(1, PINGS_AT_MOST), default=4, show_default=True, help="So many messages.")
@json_option
@socket_option
def ping(node: str, count: int, as_json: bool, socket_path: Path | None) -> None:
    """How long a signed message takes to NODE and back, over however many hops.

    \b
    Examples:
      v2g-tool mesh ping tr-12
      v2g-tool mesh ping tr-12 --count 10 --json

    Exit codes: 0 at least one was answered. 1 none, or no such member. 2 not understood. 3 the daemon is not reachable.
    """
    with daemon(socket_path, _NAME, as_json, timeout_s=10.0 + count * _PING_S) as client:
        answer = client.call("mesh.ping", MeshPingParams(node=node, count=count))
    result = msgspec.convert(answer, MeshPingResult)
    if as_json:
        print_json(answer)
    else:
        say(ping_text(result))
    sys.exit(0 if any(trip is not None for trip in result.round_trips_ms) else 1)


@mesh.command("map")
@click.option("--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="An SVG file.")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@socket_option
def draw(output: Path, force: bool, socket_path: Path | None) -> None:
    """Draw groups, members, links and islands as this node knows them.

    \b
    Examples:
      v2g-tool mesh map --output map.svg

    Exit codes: 0 drawn. 1 no mesh, or the file is there already or cannot be written. 2 not understood. 3 the daemon is
    not reachable.
    """
    from v2g.cli.mesh_map import mesh_svg
    from v2g.host.files import replace_file

    if not force and os.path.lexists(output):
        fail(_NAME, f"{output} is there already: name another file, or give --force to replace it", 1)
    with daemon(socket_path, _NAME) as client:
        _, result = _ask(client)
    if not result.members:
        fail(_NAME, result.problem or "the mesh has no members", 1)
    try:
        replace_file(output, mesh_svg(result).encode(), mode=0o644)
    except OSError as error:
        fail(_NAME, f"{output} cannot be written: {error.strerror or error}", 1)
    click.echo(f"Map: {output}")


@mesh.command()
@click.argument("group")
@click.option("--import", "import_text", metavar="POWER", help="What all below it may draw: 150kW.")
@click.option("--export", "export_text", metavar="POWER", help="What all below it may feed.")
@click.option("--for", "duration", default="15m", show_default=True, help="How long; then it ends by itself.")
@click.option("--reason", default="", help="Shown to the operators of all members.")
@json_option
@socket_option
def cap(
    group: str,
    import_text: str | None,
    export_text: str | None,
    duration: str,
    reason: str,
    as_json: bool,
    socket_path: Path | None,
) -> None:
    """Lower the limits of GROUP for all members, from the mesh's head (role utility).

    \b
    Examples:
      v2g-tool mesh cap feeder-3 --import 150kW --for 2h --reason 'cable 3 is warm'

    Exit codes: 0 told. 1 refused: this node is no head, there is no such group. 2 not understood. 3 the daemon is not
    reachable.
    """
    if import_text is None and export_text is None:
        raise click.UsageError("give --import, --export, or both: v2g-tool mesh cap feeder-3 --import 150kW --for 2h")
    params = MeshCapParams(
        group=group,
        import_w=parsed(parse_power_w, import_text) if import_text is not None else None,
        export_w=parsed(parse_power_w, export_text) if export_text is not None else None,
        valid_s=parsed(parse_duration_s, duration),
        reason=reason,
    )
    _order("mesh.cap", params, as_json, socket_path)


@mesh.command()
@click.argument("group")
@json_option
@socket_option
def uncap(group: str, as_json: bool, socket_path: Path | None) -> None:
    """End a cap of ours before its time; members go on with the configured limits within seconds.

    \b
    Examples:
      v2g-tool mesh uncap feeder-3

    Exit codes: 0 ended. 1 refused, or there is no such cap. 2 not understood. 3 the daemon is not reachable.
    """
    _order("mesh.uncap", MeshUncapParams(group=group), as_json, socket_path)


def _ask(client: ControlClient) -> tuple[dict[str, Any], MeshResult]:
    answer = client.call("mesh.show", None)
    return answer, msgspec.convert(answer, MeshResult)


def _order(method: str, params: Params, as_json: bool, socket_path: Path | None) -> None:
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call(method, params)
    if as_json:
        print_json(answer)
    else:
        click.echo(msgspec.convert(answer, MeshCapResult).message)
