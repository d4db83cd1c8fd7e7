"""How every command behaves at a shell: exit codes, closed pipes, narrow and plain terminals, questions, progress.

Imports nothing but click: ``--help`` of every command goes through here.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TextIO, TypeVar

import click

from v2g.cli.verbs import normalise

F = TypeVar("F", bound=Callable[..., Any])

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_REACHABLE: Final = 3
INTERRUPTED: Final = 130
"""128 + SIGINT: what a shell shows for a program that ^C ended."""
PIPE_CLOSED: Final = 141
"""128 + SIGPIPE: what a shell shows for a program whose reader (``head``) has gone."""
WIDEST_HELP: Final = 80
NARROW: Final = 60
_NARROWEST: Final = 20
_PLAIN: Final = "v2g-plain"
_SPELLED: Final = {
    "−": "-", "–": "-", "—": "-", "‑": "-", "…": "...", "°": "deg ", "→": "->", "≥": ">=", "≤": "<=", "²": "^2",
    "Ω": "ohm", "µ": "u", "μ": "u", "Δ": "d", "θ": "theta", "τ": "tau", "·": "*", "×": "x", "’": "'", "“": '"',
    "”": '"', "│": "|", "─": "-", "█": "#", "●": "*", "✓": "ok",
}  # fmt: skip


def run(cli: click.Command, argv: Sequence[str] | None, name: str, verbs: Collection[str] = ()) -> NoReturn:
    """Run ``cli`` with the words of ``argv`` (None: of this process) and end the process with its exit code.

    A reader of stdout that has gone ends it quietly with :data:`PIPE_CLOSED`, ^C with :data:`INTERRUPTED`; what the
    encoding of a stream lacks is spelled out.
    """
    settle_streams()
    click.Context.formatter_class = HelpFormatter
    _complete(cli, name)
    try:
        code = _outcome(cli, normalise(sys.argv[1:] if argv is None else argv, verbs), name)
        sys.stdout.flush()
    except BrokenPipeError:
        reader_gone()
    sys.exit(code)


def _outcome(cli: click.Command, args: list[str], name: str) -> int:
    try:
        with cli.make_context(name, args, terminal_width=help_width(), color=None if colour(sys.stdout) else False) as (
            context
        ):
            cli.invoke(context)
        return DONE
    except click.exceptions.Exit as end:
        return end.exit_code
    except SystemExit as end:
        if isinstance(end.code, str):
            click.echo(end.code, err=True)
            return FAILED
        return end.code or DONE
    except click.Abort:
        click.echo("Aborted: nothing more is done.", err=True)
        return FAILED
    except (EOFError, KeyboardInterrupt):
        click.echo(err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code


def _complete(cli: click.Command, name: str) -> None:
    """Answer the shell where it asks what may come next."""
    variable = completion_variable(name)
    if instruction := os.environ.get(variable):
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(cli, {}, name, variable, instruction))


def completion_variable(name: str) -> str:
    """In the environment while a shell completes: ``v2g-tool`` -> ``_V2G_TOOL_COMPLETE``."""
    return f"_{name.replace('-', '_').upper()}_COMPLETE"


def reader_gone() -> NoReturn:
    """The reader of stdout has gone; the interpreter's own flush at exit must not fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(PIPE_CLOSED)


def settle_streams() -> None:
    """stdout and stderr never fail for a character that their encoding lacks."""
    codecs.register_error(_PLAIN, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors=_PLAIN)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SPELLED.get(each, "?") for each in error.object[error.start : error.end]), error.end


def columns() -> int | None:
    """So wide is what reads our output: ``COLUMNS``, else the terminal's width; None where it is neither."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return max(_NARROWEST, int(told))
    try:
        return max(_NARROWEST, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return None


def help_width() -> int:
    return min(columns() or WIDEST_HELP, WIDEST_HELP)


def colour(stream: TextIO) -> bool:
    """Whether ``stream`` takes colours: a terminal that is not dumb, and nobody said NO_COLOR."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and is_terminal(stream)


def is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False


class HelpFormatter(click.HelpFormatter):
    """click's, and below :data:`NARROW` columns each description under its term instead of beside it."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        if self.width >= NARROW:
            super().write_dl(rows, col_max, col_spacing)
            return
        for term, text in rows:
            for line in _term_lines(term, self.width - self.current_indent):
                self.write(f"{'':>{self.current_indent}}{line}\n")
            if text:
                with self.indentation():
                    self.indent()
                    self.write_text(text)
                    self.dedent()


def _term_lines(term: str, room: int) -> list[str]:
    """``--kind [cap|floor|price]``, broken between its choices where it is too long."""
    lines = [""]
    for piece in re.findall(r"[^|\s]+\|?|\s+", term):
        if len(lines[-1]) + len(piece.rstrip()) > room and lines[-1].strip():
            lines.append("  ")
        lines[-1] += piece
    return lines


def yes_option(command: F) -> F:
    return click.option("--yes", "-y", is_flag=True, help="Do not ask: for scripts.")(command)


def confirm(question: str, yes: bool) -> None:
    """Go on only with a yes: of the option, or of the person at the terminal. For acts after which energy may flow, or
    something that others rely on is gone; what makes safe never asks.

    Raises ``click.Abort`` (exit code 1) for a no, ``click.UsageError`` (2) where nobody can be asked.
    """
    if yes:
        return
    if not is_terminal(sys.stdin):
        raise click.UsageError(f"{question} Nobody can be asked here: say so with --yes")
    click.confirm(question, abort=True, err=True)


class Progress:
    """A bar on one line of stderr; nothing at all where that is no terminal."""

    _STEPS: Final = 200

    def __init__(self, label: str, total: float, stream: TextIO | None) -> None:
        self._label, self._total, self._stream = label, total, stream
        self._shown = -1

    def to(self, done: float, note: str = "") -> None:
        """So much of the total is done."""
        share = 1.0 if self._total <= 0 else min(1.0, max(0.0, done / self._total))
        step = round(share * self._STEPS)
        if self._stream is None or (step == self._shown and not note):
            return
        self._shown = step
        room = columns() or WIDEST_HELP
        tail = f" {100 * share:3.0f} %{f' {note}' if note else ''}"
        bar = room - len(self._label) - len(tail) - 4
        drawn = f" [{'#' * round(share * bar):<{bar}}]" if bar >= 8 else ""
        self._stream.write(f"\r{self._label}{drawn}{tail}"[:room] + "\x1b[K")
        self._stream.flush()

    def close(self) -> None:
        if self._stream is not None and self._shown >= 0:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


@contextmanager
def progress(label: str, total: float) -> Iterator[Progress]:
    """Of long work: ``with progress("replay", rows) as bar: … bar.to(row)``. The line is gone when it is done."""
    shown = is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
    bar = Progress(label, total, sys.stderr if shown else None)
    try:
        yield bar
    finally:
        bar.close()


@contextmanager
def waiting(label: str, expected_s: float) -> Iterator[None]:
    """A bar that fills in about ``expected_s``, while something blocks that tells nothing of how far it is."""
    with progress(label, 1.0) as bar:
        if bar._stream is None:
            yield
            return
        import threading

        ended = threading.Event()

        def fill() -> None:
            every_s, waited_s = 0.2, 0.0
            while not ended.wait(every_s):
                waited_s += every_s
                # Never full before it is: half of what is left with each expected duration.
                bar.to(1.0 - 0.5 ** (3.0 * waited_s / expected_s))

        thread = threading.Thread(target=fill, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
