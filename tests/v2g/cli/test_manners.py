"""How commands behave at a shell: pipes, terminals, questions, completion, exit codes."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from v2g.cli import manners
from v2g.cli.manners import colour, columns, confirm, progress, run, waiting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@click.group()
def cli() -> None:
    pass


@cli.command()
@click.option("--how", default="")
def act(how: str) -> None:
    match how:
        case "exit 1":
            sys.exit(1)
        case "words":
            sys.exit("it failed")
        case "abort":
            raise click.Abort
        case "usage":
            raise click.UsageError("no")
        case "interrupt":
            raise KeyboardInterrupt
        case "pipe":
            raise BrokenPipeError
        case "context":
            click.get_current_context().exit(3)
    click.echo("acted")


def outcome(*words: str) -> object:
    with pytest.raises(SystemExit) as ended:
        run(cli, list(words), "v2g-test")
    return ended.value.code


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("", 0), ("exit 1", 1), ("words", 1), ("abort", 1), ("usage", 2), ("context", 3), ("interrupt", 130),
    ],
)  # fmt: skip
def test_the_exit_code_says_how_it_ended(how: str, code: int) -> None:
    assert outcome("act", f"--how={how}") == code


@pytest.mark.parametrize("words", [["nothing"], ["act", "--such"], []])
def test_what_is_not_understood_is_two(words: list[str]) -> None:
    assert outcome(*words) == 2


# ---- real pipes ----


def ended_into_a_closed_pipe(module: str, *words: str, **environ: str) -> tuple[int, str]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"v2g.cli.{module}", *words],
            stdout=writer, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=60, check=False,
            env={**os.environ, **environ},
        )  # fmt: skip
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("tool", ("--help",)),
        ("tool", ("grid", "set", "--help")),
        ("control", ("--version",)),
        ("tool", ("explain", "--list")),
        ("tool", ("explain", "TRIP")),
        ("tool", ("completion", "bash", "--program", "v2g-control")),
        ("config", ("schema",)),
        ("config", ("reference", "--markdown")),
        ("config", ("reference", "dispatch")),
        ("config", ("show", "--config", "{etc}")),
        ("config", ("get", "dispatch", "--json", "--config", "{etc}")),
        ("config", ("diff", "--defaults", "--config", "{etc}")),
        ("config", ("validate", "--config", "{etc}")),
        ("orchestrator", ("--check-config", "--config", "{etc}")),
        ("cert_manager", ("status", "--config", "{etc}")),
    ],
)
def test_a_reader_that_has_gone_ends_it_quietly(module: str, words: Sequence[str]) -> None:
    etc = Path(__file__).resolve().parents[3] / "etc" / "v2g"
    assert ended_into_a_closed_pipe(module, *(word.format(etc=etc) for word in words)) == (141, "")


def test_head_sees_its_line_and_the_shell_no_complaint() -> None:
    line = f"set -o pipefail; {sys.executable} -m v2g.cli.config schema | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    first, code = done.stdout.splitlines()
    assert (first, done.stderr) == ("{", "")
    assert code in ("0", "141")


# ---- terminals ----


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_character_is_too_much_for_an_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    manners.settle_streams()
    print("Δθ 65.2 °C − 3 … \udcff 電")
    sys.stdout.flush()
    shown = raw.getvalue().decode(encoding)
    assert {
        "ascii": "dtheta 65.2 deg C - 3 ... ? ?\n",
        "latin-1": "dtheta 65.2 °C - 3 ... ? ?\n",
        "utf-8": "Δθ 65.2 °C − 3 … ? 電\n",
    }[encoding] == shown


def test_a_command_line_that_is_no_utf_8_is_answered_in_words() -> None:
    command = [sys.executable, "-m", "v2g.cli.tool", "explain", b"\xff\xfe"]
    environ = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, env=environ)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("told", "width"), [("40", 40), ("200", 200), ("5", 20), ("", None), ("wide", None), ("0", None), ("-3", None)]
)
def test_columns_are_those_of_the_environment(told: str, width: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", told)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert columns() == width


def test_colours_are_for_terminals_that_take_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colour(Terminal())
    assert not colour(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not colour(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    assert colour(Terminal()), "an empty NO_COLOR says nothing (no-color.org)"


# ---- questions ----


def test_yes_asks_nobody() -> None:
    confirm("Go on?", yes=True)


def test_where_nobody_can_be_asked_the_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(click.UsageError, match=r"Go on\? Nobody can be asked here: say so with --yes"):
        confirm("Go on?", yes=False)


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_person_at_a_terminal_is_asked(answer: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: answer.rstrip("\n"))
    if goes_on:
        confirm("Go on?", yes=False)
    else:
        with pytest.raises(click.Abort):
            confirm("Go on?", yes=False)


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"y\n", 3), (b"\x03", 1), (b"\x04", 1)])
def test_at_a_real_terminal_the_answer_decides(answer: bytes, code: int, tmp_path: Path) -> None:
    """^C and ^D are a no; a yes goes on, to a daemon that is not there."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "V2G_SOCKET": str(tmp_path / "control.sock"), "TERM": "xterm"}
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "v2g.cli.control", "trip", "reset"],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        ) as process:  # fmt: skip
            os.close(theirs)
            shown = b""
            while b"[y/N]" not in shown:
                shown += os.read(ours, 1024)
            assert b"Is the cause of the trip known, and gone?" in shown
            # A ^D that comes while the line editor takes over the terminal is lost: people would press it again.
            for _ in range(30):
                with contextlib.suppress(OSError):
                    os.write(ours, answer)
                with contextlib.suppress(OSError):
                    while select.select([ours], [], [], 1.0)[0] and (piece := os.read(ours, 1024)):
                        shown += piece
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
                    break
            assert process.poll() == code, shown
    finally:
        os.close(ours)
    assert b"Traceback" not in shown


# ---- progress ----


def test_progress_is_a_bar_on_one_line_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress("replay", 200.0) as bar:
        for done in range(201):
            bar.to(done)
    frames = terminal.getvalue().split("\r")[1:]
    assert all(len(frame.replace("\x1b[K", "")) <= 40 for frame in frames)
    assert "[#" in frames[100]
    assert " 50 %" in frames[100]
    assert "100 %" in frames[-2]
    assert frames[-1] == "\x1b[K"
    assert "\n" not in terminal.getvalue()


def test_progress_is_drawn_anew_only_where_it_looks_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress("replay", 1_000_000) as bar:
        for done in range(0, 1_000_000, 10):
            bar.to(done)
    assert terminal.getvalue().count("\r") <= 202


@pytest.mark.parametrize("dumb", [True, False])
def test_without_a_terminal_progress_is_silent(dumb: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    monkeypatch.setattr(sys, "stderr", stream := (Terminal() if dumb else io.StringIO()))
    with progress("replay", 10) as bar, waiting("measuring", 1.0):
        bar.to(5)
    assert stream.getvalue() == ""


def test_waiting_ends_with_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ZeroDivisionError), waiting("measuring", 1.0):
        raise ZeroDivisionError
