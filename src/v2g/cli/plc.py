"""``v2g-tool plc``: the powerline links of the site's EVSEs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from v2g.cli.common import daemon, fail, json_option, print_json, say, socket_option
from v2g.cli.completion import complete_evse
from v2g.clock import SystemClock
from v2g.control.client import ControlClient
from v2g.control.messages_plc import PlcParams, PlcResult

_NAME = "v2g-tool"
_EVERY_S = 1.0


@click.command()
@click.option(
    "--evse",
    "evse_id",
    shell_complete=complete_evse,
    help="Only this EVSE, in detail. [default: all; in detail where there is one only]",
)
@click.option(
    "--watch", is_flag=True, help="Show it anew every second until Ctrl-C; into a file or pipe, what changed."
)
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), help="Draw the attenuation into this file.")
@json_option
@socket_option
def plc(evse_id: str | None, watch: bool, png: Path | None, as_json: bool, socket_path: Path | None) -> None:
    """Powerline links (SLAC, ISO 15118-3): state, vehicle, attenuation, PHY rates to/from it, packet loss, modem.

    In detail: attenuation in each carrier group from 1.8 to 28 MHz, and the matchings of the past.

    \b
    Examples:
      v2g-tool plc
      v2g-tool plc --evse 'US*V2G*E1' --watch
      v2g-tool plc --evse 'US*V2G*E1' --png e1.png

    Exit codes: 0 told. 1 refused, nothing to draw, or kplc-driver does not tell. 2 not understood. 3 the daemon is not
    reachable.
    """
    if watch and png is not None:
        raise click.UsageError("--watch and --png do not go together: a picture is of one moment")
    with daemon(socket_path, _NAME, as_json) as client:
        if watch:
            code = _watch(client, evse_id, as_json)
        else:
            answer, result = _ask(client, evse_id)
            if as_json:
                print_json(answer)
            else:
                say(_text(result, evse_id))
            code = _code(result)
    if png is not None:
        _draw(png, result)
        click.echo(f"Picture: {png}", err=as_json)
    sys.exit(code)


def _ask(client: ControlClient, evse_id: str | None) -> tuple[dict[str, Any], PlcResult]:
    answer = client.call("plc", PlcParams(evse_id=evse_id))
    return answer, msgspec.convert(answer, PlcResult)


def _code(result: PlcResult) -> int:
    return 1 if result.problem else 0


def _text(result: PlcResult, evse_id: str | None) -> str:
    from v2g.cli.plc_text import plc_text

    in_detail = evse_id is not None or len(result.evses) == 1
    return plc_text(result, in_detail=in_detail, ascii_only=not _draws_blocks())


def _draws_blocks() -> bool:
    try:
        "█▏".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _watch(client: ControlClient, evse_id: str | None, as_json: bool) -> int:
    """Until Ctrl-C. On a terminal each look takes the place of the one before; elsewhere only what is news is told."""
    screen = sys.stdout.isatty() and not as_json
    shown, code, clock = "", 0, SystemClock()
    try:
        while True:
            answer, result = _ask(client, evse_id)
            code = _code(result)
            text = msgspec.json.encode(answer).decode() if as_json else _text(result, evse_id)
            if screen:
                click.clear()
                click.echo(text)
            elif text != shown:
                click.echo(f"\n{text}" if shown and not as_json else text)
            shown = text
            clock.sleep_until(clock.monotonic_s() + _EVERY_S)
    except KeyboardInterrupt:
        return code


def _draw(path: Path, result: PlcResult) -> None:
    if all(line.attenuation is None for line in result.evses):
        fail(_NAME, f"{path} is not written: no vehicle's sounds were measured yet, so there is nothing to draw", 1)
    from v2g.cli.plc_plot import draw
    from v2g.replay.stimulus import ReplayError

    try:
        draw(path, result.evses)
    except ReplayError as error:
        fail(_NAME, str(error), 1)
