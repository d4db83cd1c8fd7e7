"""The live view on a terminal: a pseudo-terminal in this process, given back as it was on every way out."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import signal
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from support.watch_example import snapshot, vehicle
from v2g.cli.watch_frame import View, frame
from v2g.cli.watch_lines import Span, plain
from v2g.cli.watch_terminal import LiveView, Wake, keys_of, print_frame, scrolled, text_of, waking
from v2g.clock import ManualClock

LEAVE, ENTER, SHOW_CURSOR = b"\x1b[?1049l", b"\x1b[?1049h", b"\x1b[?25h"


@pytest.mark.parametrize(
    ("data", "pressed", "rest"),
    [
        (b"q", ["quit"], b""),
        (b"\x1b[A\x1b[Bjk", ["up", "down", "down", "up"], b""),
        (b"\x1b[5~\x1b[6~ b", ["page up", "page down", "page down", "page up"], b""),
        (b"x?\xc3\xa9q", ["quit"], b""),
        (b"\x1b", [], b"\x1b"),
        (b"\x1b[", [], b"\x1b["),
        (b"\x1b[9;9Rq", ["quit"], b""),
        (b"gG\x03", ["home", "end", "quit"], b""),
    ],
)
def test_keys_are_read_whole_and_unknown_ones_do_nothing(data: bytes, pressed: list[str], rest: bytes) -> None:
    assert keys_of(data) == (pressed, rest)


def test_a_key_that_comes_in_pieces_is_one_key() -> None:
    pressed, rest = keys_of(b"\x1b")
    assert pressed == []
    assert keys_of(rest + b"[B") == (["down"], b"")


def test_scrolling_ends_at_both_ends() -> None:
    assert scrolled(0, "up", 50) == 0
    assert scrolled(45, "page down", 50) == 50
    assert scrolled(3, "end", 50) == 50
    assert scrolled(50, "home", 50) == 0
    assert scrolled(7, "quit", 50) == 7


def test_markup_of_a_vehicle_stays_text_and_styles_are_ours() -> None:
    text = text_of([(Span("[bold red]x[/] [link=http://x]", "bad"), Span("y"))])
    assert isinstance(text, Text)
    assert text.plain == "[bold red]x[/] [link=http://x]y"
    assert [str(span.style) for span in text.spans] == ["bold red"]


class Screen:
    """A pseudo-terminal as this process's stdin and stdout, and everything that was written to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int = 80, rows: int = 24) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.written = b""
        self._stdin = os.fdopen(os.dup(self.slave), "r", encoding="utf-8")
        self._stdout = os.fdopen(os.dup(self.slave), "w", encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", self._stdin)
        monkeypatch.setattr(sys, "stdout", self._stdout)
        monkeypatch.setenv("TERM", "xterm-256color")
        for name in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def _read(self) -> None:
        try:
            while data := os.read(self.master, 65_536):
                self.written += data
        except OSError:
            pass

    def close(self) -> bytes:
        self._stdout.close()
        self._stdin.close()
        modes = termios.tcgetattr(self.slave)
        os.close(self.slave)
        self._reader.join(5.0)
        os.close(self.master)
        assert modes == self.before
        return self.written


@pytest.fixture
def handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTSTP, signal.SIGWINCH)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    assert {number: signal.getsignal(number) for number in numbers} == before


def live(wake: Wake, **changes: Any) -> LiveView:
    shown = snapshot(60)
    return LiveView(
        changes.get("snapshot", lambda: shown), wake, ManualClock(), lambda: "18:04:02", 0.0, ascii_only=False
    )


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("end", [b"q", b"Q", b"\x04", signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_every_way_out_gives_the_terminal_back(monkeypatch: pytest.MonkeyPatch, end: bytes | int) -> None:
    screen = Screen(monkeypatch)
    with waking() as wake, live(wake) as view:
        if isinstance(end, bytes):
            screen.press(end)
        else:
            os.kill(os.getpid(), end)
        view.run()
    written = screen.close()
    assert written.count(ENTER) == written.count(LEAVE) == 1
    assert written.rindex(SHOW_CURSOR) > written.rindex(b"\x1b[?25l")
    assert (b"maple-street-12" in written) == isinstance(end, bytes)


@pytest.mark.usefixtures("handlers")
def test_an_error_of_ours_gives_the_terminal_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)

    def broken() -> Any:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"), waking() as wake, live(wake, snapshot=broken) as view:
        view.run()
    assert screen.close().count(LEAVE) == 1


@pytest.mark.usefixtures("handlers")
def test_scrolling_and_resizing_show_other_vehicles_and_other_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    asked = []

    def shown() -> Any:
        asked.append(None)
        if len(asked) == 3:
            screen.resize(40, 12)
            os.kill(os.getpid(), signal.SIGWINCH)
        elif len(asked) == 4:
            screen.press(b"q")
        return snapshot(60)

    with waking() as wake, live(wake, snapshot=shown) as view:
        screen.press(b"   \x1b[B")
        view.run()
    written = screen.close()
    assert b"US*V2G*E32 " in written
    assert b"no room for" in written


@pytest.mark.usefixtures("handlers")
def test_without_a_keyboard_it_shows_on_until_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    shown = snapshot(2)

    def last_once() -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return shown

    with Path(os.devnull).open(encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with waking() as wake, live(wake, snapshot=last_once) as view:
            view.run()
    written = screen.close()
    assert b"maple-street-12" in written
    assert b"q quits" not in written
    assert written.count(LEAVE) == 1


@pytest.mark.usefixtures("handlers")
def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    with waking() as wake, live(wake) as view:
        screen.press(b"q")
        view.run()
    written = screen.close()
    for colour in (b"\x1b[32m", b"\x1b[33m", b"\x1b[1;31m", b"\x1b[34m", b"\x1b[1;36m"):
        assert colour not in written


def test_a_frame_into_a_pipe_is_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    drawn = frame(snapshot(evses=(vehicle(1, vehicle="[bold]"),)), View(width=80, height=24), 100.0, "18:04:02")
    print_frame(drawn, 80)
    assert out.getvalue().splitlines() == [plain(line) for line in drawn]
    assert "\x1b" not in out.getvalue()
    assert "[bold]" in out.getvalue()


def test_waking_from_another_thread_ends_the_wait(tmp_path: Path) -> None:
    with waking() as wake:
        thread = threading.Thread(target=wake.stir)
        thread.start()
        assert wake.wait(None, 30.0) is False
        thread.join()
        for _ in range(100_000):
            wake.stir()
        assert wake.wait(None, 30.0) is False
    wake.stir()
