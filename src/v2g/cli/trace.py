"""``v2g-tool trace``: the messages of a session as a capture, or a capture as messages."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from v2g.cli.common import daemon, fail, json_option, parsed, print_json, socket_option
from v2g.cli.manners import FAILED, progress
from v2g.units import format_duration, parse_duration_s

if TYPE_CHECKING:
    from v2g.control.client import ControlClient
    from v2g.control.messages_trace import TraceFetchResult, TraceLine
    from v2g.host.v2gtp_capture import Recorded

_NAME: Final = "v2g-tool trace"
_STEP_S: Final = 0.5
_TOLD_SESSIONS: Final = 8


@click.command()
@click.option("--session", metavar="ID", help="The session, or the beginning of its identifier.")
@click.option("--evse", metavar="ID", help="The newest connection at this EVSE.")
@click.option(
    "--pcap", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), help="File to write; - for stdout."
)
@click.option("--duration", metavar="DURATION", help="Record all that comes for so long first: 60s, 10min; at most 1h.")
@click.option("--list", "as_list", is_flag=True, help="Of which sessions messages are kept.")
@click.option("--stop", is_flag=True, help="End a recording that somebody began.")
@click.option(
    "--decode", "capture", type=click.Path(path_type=Path, dir_okay=False), help="Print a capture's messages."
)
@json_option
@socket_option
def trace(
    session: str | None,
    evse: str | None,
    pcap: Path | None,
    duration: str | None,
    as_list: bool,
    stop: bool,
    capture: Path | None,
    as_json: bool,
    socket_path: Path | None,
) -> None:
    """V2GTP messages between vehicle and station, for Wireshark and for reading.

    The daemon keeps the first and the last messages of each session in memory, and of sessions that are over the newest
    (trace: in v2g.yaml). --duration records all of them for a time. The capture (pcapng) has the messages as they are
    above TLS, with TCP around them on port 15118; where messages were not kept it has a gap.

    It holds contract certificates and identifiers of people (EVCCID, EMAID): the file is for its owner alone, mode
    0600. It takes an engineer, and audit.log tells who read what.

    \b
    Examples:
      v2g-tool trace --list
      v2g-tool trace --session 3F1C07A2B4D5E6F8 --pcap session.pcapng
      v2g-tool trace --evse 'US*V2G*E1' --duration 60s --pcap e1.pcapng
      v2g-tool trace --decode session.pcapng

    Exit codes: 0 done. 1 refused, not kept or not readable. 2 not understood. 3 the daemon is not reachable.
    """
    chosen = [word for word, given in (("--list", as_list), ("--stop", stop), ("--decode", capture)) if given]
    wants_capture = session is not None or evse is not None or pcap is not None or duration is not None
    if len(chosen) + wants_capture != 1:
        raise click.UsageError("give --list, --stop, --decode FILE, or --session ID (or --evse ID) with --pcap FILE")
    if capture is not None:
        from v2g.cli.trace_decode import decode

        decode(capture, _NAME, as_json)
    elif as_list:
        _list(socket_path, as_json)
    elif stop:
        _stop(socket_path, as_json)
    else:
        if pcap is None or (session is None) == (evse is None):
            raise click.UsageError("a capture takes --session ID or --evse ID, and --pcap FILE")
        duration_s = parsed(parse_duration_s, duration) if duration is not None else None
        _capture(session, evse, pcap, duration_s, socket_path, as_json)


def _list(socket_path: Path | None, as_json: bool) -> None:
    from v2g.cli.tables import table
    from v2g.control.messages_trace import TraceListResult

    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("trace.list")
    if as_json:
        print_json(answer)
        return
    found = msgspec.convert(answer, TraceListResult)
    rows = [
        (
            line.session or "(none yet)",
            line.evse_id,
            line.vehicle,
            "over" if line.over else "running",
            format_duration(round(line.age_s)),
            f"{line.kept} of {line.pieces}",
        )
        for line in found.traces
    ]
    if rows:
        click.echo(table(("session", "EVSE", "vehicle", "state", "since", "messages kept"), rows))
    else:
        click.echo("no session since the daemon's start")
    if found.recording_evse is not None:
        what = found.recording_evse or "all EVSEs"
        click.echo(f"recording {what} in full for another {found.recording_left_s:.0f} s")


def _stop(socket_path: Path | None, as_json: bool) -> None:
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("trace.stop")
    if as_json:
        print_json(answer)
    else:
        click.echo("the recording is ended; what it kept stays" if answer["stopped"] else "nothing was being recorded")


def _capture(
    session: str | None,
    evse: str | None,
    pcap: Path,
    duration_s: float | None,
    socket_path: Path | None,
    as_json: bool,
) -> None:
    to_stdout = str(pcap) == "-"
    if to_stdout and as_json:
        raise click.UsageError("a capture on stdout leaves no place for --json")
    if not to_stdout and (problem := _unwritable(pcap)):
        fail(_NAME, problem, FAILED)
    if duration_s is not None:
        _record(socket_path, session, evse, duration_s, as_json)
    with daemon(socket_path, _NAME, as_json) as client:
        lines = _find(client, session, evse)
        fetched = [_fetch(client, line) for line in lines]
    count, size = _write(pcap, [_recorded(line, pages) for line, pages in zip(lines, fetched, strict=True)], to_stdout)
    gaps = sum(line.pieces - line.kept for line in lines)
    if as_json:
        print_json(
            {
                "file": str(pcap),
                "bytes": size,
                "messages": count,
                "not_kept": gaps,
                "sessions": [line.session for line in lines],
            }
        )
        return
    names = ", ".join(dict.fromkeys(line.session or "without identifier" for line in lines))
    note = f"; {gaps} in between were not kept: record with --duration" if gaps else ""
    where = "stdout" if to_stdout else f"{pcap} (mode 0600: it holds personal data)"
    click.echo(f"session {names}: {count} messages, {size} bytes in {where}{note}", err=to_stdout)


def _unwritable(path: Path) -> str:
    """Before anything is recorded for it."""
    if path.is_dir():
        return f"{path} is a directory"
    if not path.parent.is_dir():
        return f"{path.parent} is no directory"
    return "" if os.access(path.parent, os.W_OK | os.X_OK) else f"{path.parent} cannot be written"


def _record(socket_path: Path | None, session: str | None, evse: str | None, duration_s: float, as_json: bool) -> None:
    from v2g.clock import SystemClock

    with daemon(socket_path, _NAME, as_json) as client:
        evse_id = evse if evse is not None else _find(client, session, None)[-1].evse_id
        client.call("trace.start", {"evse_id": evse_id, "duration_s": duration_s})
    clock = SystemClock()
    begin_s = clock.monotonic_s()
    try:
        with progress(f"recording {evse_id}", duration_s) as bar:
            while (done_s := clock.monotonic_s() - begin_s) < duration_s:
                bar.to(done_s)
                clock.sleep_until(clock.monotonic_s() + min(_STEP_S, duration_s - done_s))
    except KeyboardInterrupt:
        click.echo("(ended early: what came so far is written)", err=True)
    # A connection that asks for nothing is ended by the daemon after a while: this is another one.
    with daemon(socket_path, _NAME, as_json) as client:
        if client.call("trace.stop").get("full"):
            click.echo("(the room for a recording was used up before its time)", err=True)


def _find(client: ControlClient, session: str | None, evse: str | None) -> list[TraceLine]:
    """All connections of a session (it may have been resumed), or the newest at an EVSE."""
    from v2g.control.messages_trace import TraceListResult

    known = msgspec.convert(client.call("trace.list"), TraceListResult).traces
    if session is not None:
        wanted = session.strip().upper().removeprefix("0X").replace(":", "")
        found = [line for line in known if wanted and line.session.startswith(wanted)]
        if len({line.session for line in found}) > 1:
            fail(_NAME, f"several sessions begin with {wanted}: {_names(found)}", FAILED)
    else:
        found = [line for line in known if line.evse_id == evse and line.pieces][-1:]
    if not found:
        what = f"session {session}" if session is not None else f"connection at {evse}"
        fail(_NAME, f"no {what} is kept; there are {_names(known) or 'none'} (see --list)", FAILED)
    return found


def _names(lines: Any) -> str:
    names = list(dict.fromkeys(line.session for line in lines if line.session))
    return ", ".join(names[-_TOLD_SESSIONS:])


def _fetch(client: ControlClient, line: TraceLine) -> list[TraceFetchResult]:
    from v2g.control.messages_trace import TraceFetchResult

    pages: list[TraceFetchResult] = []
    after = -1
    while True:
        answer = client.call("trace.fetch", {"number": line.number, "after": after})
        page = msgspec.convert(answer, TraceFetchResult)
        pages.append(page)
        if not page.more or not page.pieces:
            return pages
        after = page.pieces[-1].number


def _recorded(line: TraceLine, pages: list[TraceFetchResult]) -> Recorded:
    from v2g.host.v2gtp_capture import Bytes, Recorded

    return Recorded(
        vehicle=_host(line.vehicle),
        station=_host(line.station),
        pieces=tuple(Bytes(each.unix_s, each.sent, each.offset, each.data) for page in pages for each in page.pieces),
        comment=f"{line.evse_id}, {line.session or 'no session'}, {'TLS' if line.secured else 'no TLS'}",
        discovery=(found[0], _host(found[1]), *found[2:]) if (found := pages[0].discovery) is not None else None,
        over=line.over,
    )


def _host(text: str) -> Any:
    """``[fe80::1%eth1]:49152`` without the zone."""
    from ipaddress import IPv6Address

    from pyiso15118.capture import Host

    address, _, port = text.rpartition(":")
    return Host(IPv6Address(address.strip("[]").partition("%")[0]), int(port))


def _write(pcap: Path, recorded: list[Recorded], to_stdout: bool) -> tuple[int, int]:
    import io

    from v2g import __version__
    from v2g.host.files import replace_file
    from v2g.host.v2gtp_capture import write

    buffer = io.BytesIO()
    count = write(buffer, f"v2g-tool {__version__}", recorded)
    data = buffer.getvalue()
    if to_stdout:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return count, len(data)
    try:
        replace_file(pcap, data, mode=0o600)
    except OSError as error:
        fail(_NAME, f"{pcap} cannot be written: {error.strerror or error}", FAILED)
    return count, len(data)
