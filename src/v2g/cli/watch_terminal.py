"""The live view on a terminal: its screen taken over and given back as it was, keys, resizing, signals."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Final, Self

from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.text import Text

from v2g.cli import watch_lines as lines
from v2g.cli.watch_frame import Snapshot, View, frame, last_row
from v2g.clock import Clock

STYLES: Final = {
    lines.GOOD: "green",
    lines.WARN: "yellow",
    lines.BAD: "bold red",
    lines.DIM: "dim",
    lines.HEAD: "bold cyan",
    lines.STRONG: "bold",
    lines.HOT: "bold magenta",
    lines.OIL: "blue",
}
_TICK_S: Final = 1.0
_EARLY_S: Final = 0.3
"""The daemon tells each second, not quite."""
_PAGE: Final = 10
_UP, _DOWN, _PAGE_UP, _PAGE_DOWN, _HOME, _END, _QUIT = "up", "down", "page up", "page down", "home", "end", "quit"
_KEYS: Final = {
    b"\x1b[A": _UP, b"\x1bOA": _UP, b"k": _UP, b"\x1b[B": _DOWN, b"\x1bOB": _DOWN, b"j": _DOWN,
    b"\x1b[5~": _PAGE_UP, b"b": _PAGE_UP, b"\x1b[6~": _PAGE_DOWN, b" ": _PAGE_DOWN,
    b"\x1b[H": _HOME, b"\x1b[1~": _HOME, b"g": _HOME, b"\x1b[F": _END, b"\x1b[4~": _END, b"G": _END,
    b"q": _QUIT, b"Q": _QUIT, b"\x03": _QUIT, b"\x04": _QUIT,
}  # fmt: skip
_LONGEST_KEY: Final = max(map(len, _KEYS))
_GONE: Final = (errno.EIO, errno.ENOTTY, errno.EBADF)
"""What a terminal answers that has been closed."""
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def text_of(drawn: Sequence[lines.Line]) -> Text:
    """Never by markup: what a vehicle says is text."""
    text = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(drawn):
        if number:
            text.append("\n")
        for span in line:
            text.append(span.text, STYLES.get(span.style))
    return text


def keys_of(data: bytes) -> tuple[list[str], bytes]:
    """What was pressed; and the beginning of a key whose end has not come yet."""
    pressed = []
    while data:
        size = next((n for n in range(min(_LONGEST_KEY, len(data)), 0, -1) if data[:n] in _KEYS), 0)
        if size:
            pressed.append(_KEYS[data[:size]])
        elif any(key.startswith(data) for key in _KEYS):
            break
        data = data[size or 1 :]
    return pressed, data


def scrolled(first: int, key: str, last: int) -> int:
    """The row at the top of the table after ``key``."""
    moved = {
        _UP: first - 1,
        _DOWN: first + 1,
        _PAGE_UP: first - _PAGE,
        _PAGE_DOWN: first + _PAGE,
        _HOME: 0,
        _END: last,
    }.get(key, first)
    return min(max(moved, 0), last)


class Wake:
    """Something to wait on that other threads and signal handlers can stir."""

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def stir(self) -> None:
        # Full means that it is awake; closed, that nobody waits any more.
        with contextlib.suppress(OSError):
            os.write(self._write_fd, b"!")

    def wait(self, keyboard_fd: int | None, timeout_s: float) -> bool:
        """True: a key is there."""
        waited = [self._read_fd] if keyboard_fd is None else [self._read_fd, keyboard_fd]
        ready, _, _ = select.select(waited, [], [], timeout_s)
        with contextlib.suppress(BlockingIOError):
            while self._read_fd in ready and os.read(self._read_fd, 4096):
                pass
        return keyboard_fd is not None and keyboard_fd in ready

    def close(self) -> None:
        os.close(self._read_fd)
        write_fd, self._write_fd = self._write_fd, -1
        os.close(write_fd)


class LiveView:
    """Until a person quits, or a signal ends it. Use as a context: the terminal is given back on every way out."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        wake: Wake,
        clock: Clock,
        time_of_day: Callable[[], str],
        interval_s: float,
        *,
        ascii_only: bool,
    ) -> None:
        self._snapshot = snapshot
        self._wake = wake
        self._clock = clock
        self._time_of_day = time_of_day
        self._interval_s = interval_s
        self._ascii = ascii_only
        self._drawn: tuple[float, str] | None = None
        """When, and with which problem; None: at once."""
        self._first = 0
        self._ended = False
        self._suspend = False
        self._pressed = b""
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._live = self._new_live()
        self._keyboard_fd = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._modes = termios.tcgetattr(self._keyboard_fd) if self._keyboard_fd is not None else None
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (*_ENDING, signal.SIGTSTP, signal.SIGWINCH):
            self._handlers[number] = signal.signal(number, self._on_signal)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def run(self) -> None:
        while not self._ended:
            try:
                if self._is_due():
                    self._draw()
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                return
            if self._wake.wait(self._keyboard_fd, _TICK_S):
                self._read_keys()
            if self._suspend:
                self._stand_aside()

    def _is_due(self) -> bool:
        """What goes wrong, and what a person does, is shown at once; everything else at its interval."""
        if self._drawn is None:
            return True
        drawn_s, problem = self._drawn
        return self._clock.monotonic_s() - drawn_s >= self._interval_s - _EARLY_S or self._snapshot().problem != problem

    def _draw(self) -> None:
        # Of what is drawn on; rich would look at whichever of the three streams is a terminal.
        size = os.get_terminal_size(sys.stdout.fileno())
        width, height = max(size.columns, 1), max(size.lines, 1)
        self._console.size = ConsoleDimensions(width, height)
        snapshot = self._snapshot()
        self._first = min(self._first, last_row(snapshot))
        view = View(
            width=width,
            height=height,
            first=self._first,
            keys=self._keyboard_fd is not None,
            ascii_only=self._ascii,
        )
        now_s = self._clock.monotonic_s()
        self._drawn = now_s, snapshot.problem
        drawn = frame(snapshot, view, now_s, self._time_of_day())
        self._live.update(text_of(drawn), refresh=True)

    def _read_keys(self) -> None:
        if self._keyboard_fd is None:
            return
        try:
            data = os.read(self._keyboard_fd, 1024)
        except OSError:
            data = b""
        if not data:
            # The terminal is gone.
            self._ended = True
            return
        self._drawn = None
        pressed, self._pressed = keys_of(self._pressed + data)
        last = last_row(self._snapshot())
        for key in pressed:
            self._first = scrolled(self._first, key, last)
            self._ended |= key == _QUIT

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._ended |= number in _ENDING
        self._suspend |= number == signal.SIGTSTP
        self._drawn = None
        self._wake.stir()

    def _new_live(self) -> Live:
        return Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    def _take(self) -> None:
        if self._keyboard_fd is not None:
            tty.setcbreak(self._keyboard_fd)
        self._live.start()

    def _give_back(self) -> None:
        # A terminal that has gone takes nothing back.
        with contextlib.suppress(OSError):
            self._live.stop()
        with contextlib.suppress(OSError, termios.error):
            if self._keyboard_fd is not None and self._modes is not None:
                termios.tcsetattr(self._keyboard_fd, termios.TCSADRAIN, self._modes)

    def _stand_aside(self) -> None:
        """Ctrl-Z: the shell gets its terminal as it was; ``fg`` brings the view back."""
        self._suspend = False
        self._drawn = None
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._on_signal)
        self._live = self._new_live()
        self._take()


@contextlib.contextmanager
def waking() -> Iterator[Wake]:
    wake = Wake()
    try:
        yield wake
    finally:
        wake.close()


def print_frame(drawn: Sequence[lines.Line], width: int) -> None:
    """One frame on stdout: in colours on a terminal only, plain text into a pipe or file."""
    console = Console(highlight=False, markup=False, emoji=False, width=max(width, 1), soft_wrap=False)
    if not console.is_terminal:
        sys.stdout.write("".join(f"{lines.plain(line)}\n" for line in drawn))
        sys.stdout.flush()
        return
    console.print(text_of(drawn), no_wrap=True, overflow="crop", crop=True)
