"""``v2g-tool log``: what the four logs say, by time, session, EVSE or code."""

from __future__ import annotations

import re
import select
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from v2g.cli.daemons import config_option
from v2g.cli.log_places import LogPlace, log_place
from v2g.cli.manners import FAILED, colour

if TYPE_CHECKING:
    from v2g.telemetry.log_entry import Entry, Wanted
    from v2g.telemetry.log_reader import LogFiles, Unreadable

_NAME: Final = "v2g-tool log"
LOGS: Final = ("comms", "power_quality", "audit", "daemon")
SHOWN: Final = 50
SHOWN_BEFORE_FOLLOWING: Final = 10
FOLLOW_EVERY_S: Final = 0.25
_COLOURS: Final = {"WARNING": "yellow", "ERROR": "red"}
_NO_FILE: Final = "No such file or directory"


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on as lines are written, also over log rotation.")
@click.option("--session", metavar="ID", help="Of this session, or of those whose identifier begins so.")
@click.option("--evse", metavar="ID", help="That name this EVSE.")
@click.option(
    "--code", "codes", multiple=True, metavar="CODE", help="With this code; * for any characters. Repeatable."
)
@click.option(
    "--level",
    type=click.Choice(["info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
    help="Of this level and above.",
)
@click.option("--since", metavar="DURATION|TIME", help="From then on: 1h, 02:30, 2026-01-31T18:00 (UTC).")
@click.option("--until", metavar="DURATION|TIME", help="Before then.")
@click.option(
    "--file",
    "names",
    multiple=True,
    type=click.Choice([*LOGS, "all"]),
    help="Of this log only; repeatable. [default: all]",
)
@click.option(
    "--lines", "-n", type=click.IntRange(1, 1_000_000), help="The last so many. [default: 50, 10 with --follow]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--dir", "log_dir", type=click.Path(path_type=Path), help="Directory of the logs.")
@config_option
def log(
    follow: bool,
    session: str | None,
    evse: str | None,
    codes: tuple[str, ...],
    level: str,
    since: str | None,
    until: str | None,
    names: tuple[str, ...],
    lines: int | None,
    as_json: bool,
    log_dir: Path | None,
    config_dir: Path,
) -> None:
    """Lines of comms.log, power_quality.log, audit.log and daemon.log as one, by time, oldest first.

    Rotated files are read as far as needed, compressed ones too. With --since, --until or --session every line that
    fits is shown, else the last 50. Times are UTC. v2g-tool explain CODE says what a line means.

    \b
    Examples:
      v2g-tool log --follow
      v2g-tool log --since 1h --level warning
      v2g-tool log --code SECC_TIMEOUT --code 0xEF22 --since 02:00
      v2g-tool log --session 3F1C07A2B4D5E6F8
      v2g-tool log --evse 'US*V2G*E1' --file comms -n 200 --json

    Exit codes: 0 shown. 1 a log cannot be read. 2 not understood.
    """
    from v2g.telemetry.log_reader import LogFiles, last_of, merged

    if follow and until is not None:
        raise click.UsageError("--follow has no end: leave out --until")
    wanted = _wanted(session, evse, codes, level, since, until)
    place = log_place(log_dir, config_dir, _NAME)
    chosen = LOGS if not names or "all" in names else tuple(dict.fromkeys(names))
    logs = [LogFiles(name, place.path / f"{name}.log") for name in chosen]
    for each in logs:
        each.open()
    everything = lines is None and not follow and (since or until or session)
    if everything or (follow and lines is None and since):
        entries: Iterable[Entry] = merged(logs, wanted)
    else:
        entries = last_of(logs, lines or (SHOWN_BEFORE_FOLLOWING if follow else SHOWN), wanted)
    show = _Shown(as_json, labelled=len(chosen) > 1)
    followers = [each.follower() for each in logs] if follow else []
    show.all(entries)
    problems = list(dict.fromkeys(problem for each in logs for problem in each.problems))
    _tell_problems(problems, place)
    if follow:
        _follow(logs, followers, wanted, show)
    for each in logs:
        each.close()
    if not show.count and not problems:
        click.echo(f"{_NAME}: no such line in {place.path}{_hint(codes)}", err=True)
    sys.exit(FAILED if problems else 0)


class _Shown:
    """Writes entries as lines."""

    def __init__(self, as_json: bool, *, labelled: bool) -> None:
        self._json = as_json
        self._width = max(map(len, LOGS)) if labelled else 0
        self._colour = colour(sys.stdout)
        self.count = 0

    def all(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.count += 1
            sys.stdout.write(self._line(entry) + "\n")
        sys.stdout.flush()

    def _line(self, entry: Entry) -> str:
        if self._json:
            return msgspec.json.encode(entry.as_json()).decode()
        label = f"{entry.log:<{self._width}} " if self._width else ""
        if not entry.level:
            return f"{label}{entry.text}"
        rest = entry.text[len(entry.time) :]
        if not self._colour:
            return f"{entry.time} {label}{rest[1:]}"
        head = click.style(f"{entry.level}: {entry.code}", fg=_COLOURS.get(entry.level), bold=True)
        return f"{click.style(entry.time, dim=True)} {click.style(label, dim=True)}{head}{entry.rest}"


def _follow(logs: Sequence[LogFiles], followers: Sequence[object], wanted: Wanted, show: _Shown) -> None:
    """Until ^C, or until nobody reads any more."""
    from v2g.clock import SystemClock
    from v2g.telemetry.log_follow import Follower, news

    for each in logs:
        each.close()
    clock = SystemClock()
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    following = [each for each in followers if isinstance(each, Follower)]
    while True:
        show.all(news(following, wanted))
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in reader.poll(0)):
            raise BrokenPipeError
        clock.sleep_until(clock.monotonic_s() + FOLLOW_EVERY_S)


def _wanted(
    session: str | None, evse: str | None, codes: Sequence[str], level: str, since: str | None, until: str | None
) -> Wanted:
    from v2g.clock import SystemClock
    from v2g.telemetry.log_entry import Wanted
    from v2g.telemetry.log_times import moment

    identifier = (session or "").strip().upper().removeprefix("0X").replace(":", "")
    if session is not None and not re.fullmatch(r"[0-9A-F]{1,16}", identifier):
        raise click.UsageError(
            f"--session {session!r} is no identifier of a session, such as 3F1C07A2B4D5E6F8: "
            "v2g-tool log --code SESSION_START shows them"
        )
    now_unix_s = SystemClock().unix_s()
    try:
        begin = moment(since, now_unix_s) if since is not None else ""
        end = moment(until, now_unix_s) if until is not None else ""
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if begin and end and end <= begin:
        raise click.UsageError(f"--until ({end}) is not behind --since ({begin})")
    return Wanted(
        session=identifier,
        evse=(evse or "").strip(),
        codes=tuple(_code(each) for code in codes for each in code.split(",") if each.strip()),
        level=level.upper(),
        begin=begin,
        end=end,
    )


def _code(text: str) -> str:
    """As the log has it; also for the words that people know it by."""
    from v2g.telemetry import catalogue

    text = text.strip()
    if re.fullmatch(r"[A-Z0-9_*?]+", text):
        return text
    entry = catalogue.find(text)
    return (entry.code if entry is not None else text).upper()


def _hint(codes: Sequence[str]) -> str:
    from v2g.telemetry import catalogue

    close = [each for code in codes if catalogue.find(code) is None for each in catalogue.suggestions(code)]
    return f"; did you mean {', '.join(dict.fromkeys(close))}?" if close else ""


def _tell_problems(problems: Sequence[Unreadable], place: LogPlace) -> None:
    for problem in problems:
        remedy = ""
        if problem.denied:
            remedy = f"; become a member of a group that may read it: usermod -aG {place.group} $USER, then log in anew"
        elif problem.path == place.path and problem.reason == _NO_FILE:
            remedy = "; name the logs with --dir, or start the daemon: systemctl start v2g-orchestrator"
        click.echo(f"{_NAME}: {problem.path} cannot be read: {problem.reason}{remedy}", err=True)
