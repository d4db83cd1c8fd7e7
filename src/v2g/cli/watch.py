"""``v2g-tool watch``: the site live in a terminal, or one frame of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import click

from v2g.cli.common import daemon, fail, parsed, print_json, socket_option
from v2g.control.client import ControlClient, ControlError, find_socket
from v2g.units import parse_duration_s

_NAME = "v2g-tool watch"
_FASTEST_S = 1.0
_SLOWEST_S = 3600.0
_ANSWER_S = 10.0
_LARGEST = 1000


@click.command()
@click.option("--once", is_flag=True, help="One frame, then exit: also into a pipe or a file.")
@click.option("--interval", default="1s", show_default=True, help="How often the screen is drawn anew.")
@click.option("--width", type=click.IntRange(1, _LARGEST), help="Columns, with --once. [default: the terminal's]")
@click.option("--height", type=click.IntRange(1, _LARGEST), help="Lines, with --once. [default: the terminal's]")
@click.option("--ascii", "ascii_only", is_flag=True, help="No braille and no lines: for terminals that lack them.")
@click.option("--json", "as_json", is_flag=True, help="With --once: what the frame is made of, for programs.")
@socket_option
def watch(
    once: bool,
    interval: str,
    width: int | None,
    height: int | None,
    ascii_only: bool,
    as_json: bool,
    socket_path: Path | None,
) -> None:
    """Watch the site: grid, transformer with its forecast, headroom, vehicles, orders and alarms.

    The curve shows the past 30 minutes and the forecast of the next 15, dotted. Powers are in kW: chg is charge, dis
    is discharge. A ~ before a departure marks one that is assumed. What has no room is named in the last line.

    Keys: arrows, PgUp and PgDn scroll the vehicles, q or Ctrl-C quits, Ctrl-Z suspends.

    \b
    Examples:
      v2g-tool watch
      v2g-tool watch --interval 5s
      v2g-tool watch --once --width 160 --height 50 > now.txt

    Exit codes: 0 done. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    interval_s = parsed(parse_duration_s, interval)
    if not _FASTEST_S <= interval_s <= _SLOWEST_S:
        raise click.UsageError(f"--interval {interval}: give 1s to 1h")
    if not once:
        if width is not None or height is not None or as_json:
            raise click.UsageError("--width, --height and --json go with --once; a terminal has a size of its own")
        if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
            raise click.UsageError("stdout is no terminal that a view can be drawn on: give --once for one frame")
    from v2g.cli.watch_poll import Source, as_builtins
    from v2g.clock import SystemClock

    path = socket_path or find_socket()
    clock = SystemClock()

    def connect(on_skew: Callable[[str], None]) -> ControlClient:
        return ControlClient(path, _ANSWER_S, _NAME, on_skew)

    def time_of_day() -> str:
        from datetime import UTC, datetime

        return f"{datetime.fromtimestamp(clock.unix_s(), UTC).astimezone():%H:%M:%S}"

    source = Source(connect, clock, time_of_day)
    try:
        first = source.ask()
    except ControlError as error:
        if as_json:
            with daemon(path, _NAME, as_json=True):
                raise error
        fail(_NAME, str(error), error.exit_code)
    ascii_only = ascii_only or not _draws(sys.stdout.encoding)
    if as_json:
        print_json(as_builtins(first))
    elif once:
        from v2g.cli.watch_frame import View, frame
        from v2g.cli.watch_terminal import print_frame

        here = shutil.get_terminal_size((80, 24))
        # On a terminal the shell's prompt comes below.
        lines = here.lines - 1 if sys.stdout.isatty() else here.lines
        view = View(width=width or here.columns, height=height or max(lines, 1), ascii_only=ascii_only)
        print_frame(frame(first, view, clock.monotonic_s(), time_of_day()), view.width)
    else:
        from v2g.cli.watch_poll import Poller
        from v2g.cli.watch_terminal import LiveView, waking

        with waking() as wake:
            poller = Poller(source, first, wake.stir)
            poller.start()
            try:
                with LiveView(
                    lambda: poller.snapshot, wake, clock, time_of_day, interval_s, ascii_only=ascii_only
                ) as live:
                    live.run()
            finally:
                poller.close()
        return
    source.close()


def _draws(encoding: str | None) -> bool:
    """Whether braille, lines and degrees can be written in it."""
    try:
        "⣿┤╌━°".encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
