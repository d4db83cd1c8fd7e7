"""How an update is shown while it runs, and what Ctrl-C and a lost terminal do to it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

import click

from v2g.cli.manners import Progress, is_terminal
from v2g.cli.manners import progress as bar_of
from v2g.host.firmware.errors import FirmwareError

_SHARES: Final = {
    "hold": 0.02, "stage": 0.05, "install": 0.15, "check": 0.55, "copies": 0.65, "stop": 0.7, "backup": 0.75,
    "swap": 0.8, "start": 0.82, "prove": 0.85, "finish": 1.0, "back": 0.2, "link": 0.4, "databases": 0.5,
    "restart": 0.7,
}  # fmt: skip
"""Where the bar stands when a step begins; by what steps take on a slow controller."""


class Shown:
    """:class:`v2g.host.firmware.transaction.Progress`: a bar on a terminal, elsewhere a line a step, on stderr."""

    def __init__(self, bar: Progress, size: int, on_back: Callable[[], None]) -> None:
        self._bar = bar
        self._size = size
        self._done = 0
        self._on_back = on_back
        self._plain = not is_terminal(sys.stderr)

    def step(self, name: str, words: str) -> None:
        if name == "back":
            self._on_back()
        # The terminal may have gone with its connection; the update goes on.
        with suppress(OSError, ValueError):
            if self._plain and words:
                click.echo(f"{name}: {words}", err=True)
            self._bar.to(_SHARES.get(name, 0.0), words[:40])

    def advance(self, size: int) -> None:
        self._done += size
        with suppress(OSError, ValueError, ZeroDivisionError):
            begin, end = _SHARES["stage"], _SHARES["install"]
            self._bar.to(begin + (end - begin) * self._done / self._size)

    def say(self, words: str) -> None:
        with suppress(OSError, ValueError):
            if self._plain:
                click.echo(words, err=True)


@contextmanager
def shown(size: int, on_back: Callable[[], None] | None) -> Iterator[Shown]:
    """``size``: bytes of the wheels. ``on_back``: called when the way back begins."""
    with bar_of("firmware", 1.0) as bar:
        yield Shown(bar, size, on_back or (lambda: None))


@contextmanager
def unbroken() -> Iterator[Callable[[], None]]:
    """A terminal that goes changes nothing; the first Ctrl-C or SIGTERM takes the update back, the next do nothing.

    Gives what makes signals of no effect at once: nothing may interrupt the way back.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)

    def deaf() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    def once(number: int, frame: FrameType | None) -> None:
        del frame
        deaf()
        raise FirmwareError(f"interrupted by {signal.Signals(number).name}")

    before: dict[Any, Any] = {signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    for number in numbers:
        before[number] = signal.signal(number, once)
    try:
        yield deaf
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
