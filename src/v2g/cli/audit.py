"""``v2g-tool audit``: whether the audit log is as it was written, and what is in it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from v2g.cli.common import daemon, fail, parsed, print_json, say, socket_option
from v2g.cli.daemons import DEFAULT_CONFIG_DIR, config_option
from v2g.units import parse_duration_s

if TYPE_CHECKING:
    from v2g.telemetry.audit_chain import Link
    from v2g.telemetry.audit_verify import Verdict

_NAME = "v2g-tool audit"
_NOTED = re.compile(r"([0-9]{1,18}):([0-9a-f]{32})")
_EXIT_BROKEN = 1
_DAEMON_TIMEOUT_S = 40.0
_SHOWN_FINDINGS = 20

_log_option = click.option(
    "--log", type=click.Path(path_type=Path, dir_okay=False), help="The log. [default: audit.log of the configuration]"
)


@click.group()
def audit() -> None:
    """The audit log: who asked for what, and whether the log is as it was written.

    \b
    Examples:
      v2g-tool audit verify
      v2g-tool audit show --since 24h --user alice

    Exit codes: 0 done. 1 the log is not as it was written, or cannot be read. 2 not understood. 3 the daemon is not
    reachable.
    """


@audit.command()
@_log_option
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The log's key; more where it was replaced. [default: audit.key of the state directory]",
)
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="FILE|SEQ:CHAIN|none",
    help="Where the log must reach: a file (default: audit.head beside the key), a head written down, or none.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@config_option
@socket_option
def verify(
    log: Path | None,
    keys: tuple[Path, ...],
    heads: tuple[str, ...],
    as_json: bool,
    config_dir: Path,
    socket_path: Path | None,
) -> None:
    """Check every line of audit.log and of its rotated files, compressed ones too.

    The key is for root and the daemon; without it the daemon is asked to check its own log. A head that was written
    down earlier (it is in the journal each day: AUDIT_HEAD) also finds a log that somebody rewrote who had the key.

    \b
    Examples:
      v2g-tool audit verify
      v2g-tool audit verify --head 18231:9f0c4a17d2e86b35c1f07a94be2d6358
      v2g-tool audit verify --log copy/audit.log --key copy/audit.key --head none

    Exit codes: 0 as it was written. 1 it is not, or cannot be checked. 2 not understood. 3 the daemon is not reachable.
    """
    noted = _noted(heads)
    given = log is not None or bool(keys) or bool(heads)
    if socket_path is not None and given:
        raise click.UsageError("--socket asks the daemon about its own log: leave --log, --key and --head out")
    verdict = None if socket_path is not None else _by_files(log, keys, heads, noted, config_dir, given)
    if verdict is None:
        verdict = _by_daemon(socket_path, as_json)
    if as_json:
        print_json(msgspec.to_builtins(verdict))
    else:
        say(verdict_text(verdict))
    sys.exit(0 if verdict.intact else _EXIT_BROKEN)


def _noted(heads: tuple[str, ...]) -> tuple[Link, ...]:
    from v2g.telemetry.audit_chain import Link

    found = (_NOTED.fullmatch(head) for head in heads)
    return tuple(Link(int(match[1]), match[2]) for match in found if match is not None)


def _by_files(
    log: Path | None,
    keys: tuple[Path, ...],
    heads: tuple[str, ...],
    noted: tuple[Link, ...],
    config_dir: Path,
    given: bool,
) -> Verdict | None:
    """None: nothing was named, and this user may not read the key: the daemon may."""
    from v2g.telemetry.audit_check import AuditReadError, check
    from v2g.telemetry.audit_key import HEAD_FILE, KEY_FILE, AuditKeyError, read_head, read_key

    files = [head for head in heads if head != "none" and not _NOTED.fullmatch(head)]
    if len(files) > 1 or (files and "none" in heads):
        raise click.UsageError("give one head file, or none; written-down heads (SEQ:CHAIN) as many as there are")
    try:
        if log is None or not keys:
            log_dir, state_dir = _places(config_dir)
            log = log or log_dir / "audit.log"
            keys = keys or (state_dir / KEY_FILE,)
        try:
            ready = [read_key(path) for path in keys]
        except AuditKeyError as error:
            if not given:
                click.echo(f"({error}; asking the daemon)", err=True)
                return None
            fail(_NAME, f"{error}; without the key nothing can be checked: sequence alone proves nothing", 1)
        head = None if "none" in heads else read_head(Path(files[0]) if files else keys[0].with_name(HEAD_FILE))
        return check(log, ready, head, noted, head_wanted="none" not in heads)
    except (AuditKeyError, AuditReadError) as error:
        fail(_NAME, str(error), 1)


def _by_daemon(socket_path: Path | None, as_json: bool) -> Verdict:
    from v2g.telemetry.audit_verify import Verdict

    with daemon(socket_path, _NAME, as_json, timeout_s=_DAEMON_TIMEOUT_S) as client:
        return msgspec.convert(client.call("audit.verify"), Verdict)


def _places(config_dir: Path) -> tuple[Path, Path]:
    """Log and state directory: of the configuration, or what they are by default where it cannot be read."""
    from v2g.config.loader import ConfigError, load
    from v2g.config.paths import run_paths
    from v2g.config.schema import Paths

    try:
        paths = run_paths(load(config_dir).config)
    except (ConfigError, OSError) as error:
        if config_dir != DEFAULT_CONFIG_DIR:
            fail(_NAME, f"the configuration in {config_dir} cannot be used: {error}; or name --log and --key", 1)
        default = Paths()
        return Path(default.log_dir), Path(default.state_dir)
    return paths.log_dir, paths.state_dir


def verdict_text(verdict: Verdict) -> str:
    """For people: the answer first, then what was found."""
    last = f"seq {verdict.last_seq}" if verdict.last_seq is not None else "nothing"
    count = f"{len(verdict.files)} file{'s' if len(verdict.files) != 1 else ''}"
    since = f"seq {verdict.first_seq} ({verdict.first_time}) to {last} ({verdict.last_time})" if verdict.files else last
    if verdict.intact:
        lines = [f"intact: {verdict.lines} lines in {count}, {since}"]
    else:
        more = "s" if verdict.broken != 1 else ""
        lines = [f"BROKEN: {verdict.broken} finding{more} in {count}; {verdict.lines} lines fit, {since}"]
    for finding in verdict.findings[:_SHOWN_FINDINGS]:
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        seq = f" seq {finding.seq}" if finding.seq is not None else ""
        lines.append(f"  {place}:{seq} {finding.kind.replace('_', ' ')}: {finding.words}")
    if verdict.broken > _SHOWN_FINDINGS:
        lines.append(f"  … and {verdict.broken - _SHOWN_FINDINGS} more")
    lines += [f"- {remark}" for remark in verdict.remarks]
    if verdict.last_chain:
        lines.append(
            f"head {verdict.last_seq}:{verdict.last_chain} (write it down elsewhere: --head checks against it)"
        )
    return "\n".join(lines)


@audit.command()
@_log_option
@click.option("--since", metavar="DURATION|TIME", help="Only what is not older: 1h, 7d, or 2026-01-31T18:00 (UTC).")
@click.option("--user", help="Only this user's.")
@click.option("--method", help="Only this method, or those that begin with it: dispatch, sensors.")
@click.option("--changes", is_flag=True, help="Without the lines of those who only looked.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@config_option
def show(
    log: Path | None,
    since: str | None,
    user: str | None,
    method: str | None,
    changes: bool,
    as_json: bool,
    config_dir: Path,
) -> None:
    """Lines of the audit log, the rotated files' too, oldest first. They are not checked: see verify.

    \b
    Examples:
      v2g-tool audit show --since 24h --changes
      v2g-tool audit show --method dispatch --user alice

    Exit codes: 0 shown. 1 a file cannot be read. 2 not understood.
    """
    from v2g.telemetry.audit_check import AuditReadError, OpenLog

    begin = "" if since is None else _begin(since)
    try:
        with OpenLog(log or _places(config_dir)[0] / "audit.log") as opened:
            for entry in _entries(opened.lines()):
                fields = entry.fields
                if entry.time < begin or (user is not None and fields.get("user") != user):
                    continue
                if method is not None and not _is_method(fields.get("method", ""), method):
                    continue
                if changes and entry.code == "CALL" and fields.get("result") == "ok":
                    continue
                click.echo(msgspec.json.encode(entry.as_json()).decode() if as_json else entry.text)
            problems = list(opened.problems)
    except AuditReadError as error:
        fail(_NAME, str(error), 1)
    for path, reason in problems:
        click.echo(f"{_NAME}: {path} cannot be read: {reason}", err=True)
    sys.exit(1 if problems else 0)


_LINE = re.compile(r"(?P<time>\S+) (?P<level>[A-Z]+): (?P<code>\S+)(?P<rest>.*?)(?: seq=(?P<seq>\d+) chain=[0-9a-f]+)?")
_FIELD = re.compile(r' (?P<name>[A-Za-z0-9_.-]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s"]*))')


class _Entry:
    """A line of the log; what has not its form is all ``text``."""

    def __init__(self, text: str) -> None:
        match = _LINE.fullmatch(text)
        self.time = match["time"] if match is not None else ""
        self.level = match["level"] if match is not None else ""
        self.code = match["code"] if match is not None else ""
        rest = match["rest"] if match is not None else ""
        self.seq = int(match["seq"]) if match is not None and match["seq"] else None
        self.text = f"{self.time} {self.level}: {self.code}{rest}" if match is not None else text
        first = _FIELD.search(rest)
        self.message = rest[: first.start()].strip() if first is not None else rest.strip()
        self.fields = {
            each["name"]: _unquoted(each["quoted"]) if each["quoted"] is not None else each["plain"]
            for each in _FIELD.finditer(rest)
        }

    def as_json(self) -> dict[str, object]:
        head = {"time": self.time, "level": self.level, "code": self.code, "message": self.message, "seq": self.seq}
        return {**head, **{name: value for name, value in self.fields.items() if name not in head}}


def _unquoted(text: str) -> str:
    return re.sub(r"\\([\\\"])", r"\1", text)


def _entries(files: Iterator[tuple[Path, Iterator[tuple[int, bytes, bool]]]]) -> Iterator[_Entry]:
    for _, lines in files:
        for _, line, _ in lines:
            # What a tampered file holds must not reach the terminal as it is.
            text = line.decode("utf-8", "backslashreplace")
            yield _Entry(text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text))


def _is_method(found: str, wanted: str) -> bool:
    return found == wanted or found.startswith(f"{wanted}.")


def _begin(since: str) -> str:
    """As the lines begin."""
    from v2g.clock import SystemClock
    from v2g.telemetry.lines import timestamp

    if re.fullmatch(r"\d{4}-\d\d-\d\d(T[0-9:.]*Z?)?", since):
        return since
    return timestamp(SystemClock().unix_s() - parsed(parse_duration_s, since))
