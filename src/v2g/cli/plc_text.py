"""What ``v2g-tool plc`` says of powerline links, for a screen of 80 columns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import zip_longest

from pyiso15118.slac.attenuation import group_mhz
from v2g.cli.render import table
from v2g.control.messages_plc import PlcAttenuation, PlcLine, PlcMatching, PlcResult
from v2g.telemetry.lines import escape

MARK_ABOVE_DB = 20.0
"""Above it vehicles usually do not match; ``plc.warn_db`` of the site is the same unless it is configured."""
_BAR_COLUMNS = 20
_SCALE_DB = 40.0
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
_COLUMN_WIDTH = 17 + _BAR_COLUMNS


def plc_text(result: PlcResult, *, in_detail: bool, ascii_only: bool = False) -> str:
    """``in_detail``: attenuation by carrier group and history too. ``ascii_only``: for a terminal without UTF-8."""
    parts = [result.problem] if result.problem else []
    if result.evses:
        parts.append(_links(result.evses))
    if in_detail:
        parts += [_detail(line, ascii_only) for line in result.evses]
    text = "\n\n".join(parts)
    return text.encode("ascii", "replace").decode() if ascii_only else text


def moment(unix_s: float) -> str:
    """In UTC, as in the logs: ``2026-01-02 03:04:05``."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S}"


def _links(lines: tuple[PlcLine, ...]) -> str:
    head = ("EVSE", "STATE", "VEHICLE", "dB", "Mbit/s", "LOSS")
    text = table(head, map(_row, lines))
    remarks = [remark for line in lines for remark in _remarks(line)]
    return "\n".join([text, *remarks])


def _row(line: PlcLine) -> tuple[str, ...]:
    rates = line.tx_mbps, line.rx_mbps
    return (
        line.evse_id,
        line.state.value,
        line.vehicle_mac or "-",
        f"{line.attenuation.average_db:.1f}" if line.attenuation is not None else "-",
        "-" if rates == (None, None) else "/".join(map(_rate, rates)),
        "-" if line.packet_loss is None else f"{100 * line.packet_loss:.2g} %",
    )


def _rate(mbps: float | None) -> str:
    return "?" if mbps is None else f"{mbps:.3g}"


def _remarks(line: PlcLine) -> Iterable[str]:
    if line.modem is not None:
        version = escape(line.modem.version) or "it tells no version"
        yield f"{line.evse_id}: modem {line.modem.mac} {version}"
    if line.pilot_error:
        yield f"{line.evse_id}: state F is wanted on the pilot, so that the vehicle begins anew"
    if line.problem:
        yield f"{line.evse_id}: {escape(line.problem)}"


def _detail(line: PlcLine, ascii_only: bool) -> str:
    since = f" since {moment(line.since_unix_s)} UTC" if line.since_unix_s is not None else ""
    network = f", network {escape(line.nid)}" if line.nid else ""
    head = f"{line.evse_id} at {escape(line.interface)}: {line.state.value}{since}{network}"
    if line.signal_db is not None:
        head += f"\nThe vehicle's modem is heard at {line.signal_db:.0f} dB of full power."
    parts = [head]
    if line.attenuation is None:
        parts.append("No vehicle's sounds were measured here yet.")
    else:
        parts.append(_attenuation(line.attenuation, ascii_only))
    parts.append(_history(line.history) if line.history else "No matching yet.")
    return "\n\n".join(parts)


def _attenuation(attenuation: PlcAttenuation, ascii_only: bool) -> str:
    groups = attenuation.groups_db
    said = (
        f"Attenuation {attenuation.average_db:.1f} dB on average, of {attenuation.sounds} sounds at "
        f"{moment(attenuation.at_unix_s)} UTC"
    )
    if attenuation.average_db > MARK_ABOVE_DB:
        said += f"\nMore than {MARK_ABOVE_DB:g} dB: many vehicles do not match with it."
    if not groups:
        return said
    scale_db = max(_SCALE_DB, math.ceil(max(groups) / 10.0) * 10.0)
    lines = [_group(number, len(groups), value, scale_db, ascii_only) for number, value in enumerate(groups)]
    half = (len(lines) + 1) // 2
    head = _head(scale_db)
    rows = [_beside(head, head if len(lines) > half else "")]
    rows += [_beside(left, right) for left, right in zip_longest(lines[:half], lines[half:], fillvalue="")]
    return "\n".join([said, f"By carrier group; ! is more than {MARK_ABOVE_DB:g} dB, which a colon marks.", "", *rows])


def _beside(left: str, right: str) -> str:
    return f"{left:<{_COLUMN_WIDTH}}   {right}".rstrip()


def _head(scale_db: float) -> str:
    ticks = [" "] * (_BAR_COLUMNS + 1)
    for quarter in range(4):
        place = quarter * _BAR_COLUMNS // 4
        text = f"{scale_db * quarter / 4:.0f}"
        ticks[place : place + len(text)] = text
    return f"      MHz    dB  {''.join(ticks)[:_BAR_COLUMNS]}"


def _group(number: int, count: int, value_db: float, scale_db: float, ascii_only: bool) -> str:
    low_mhz, high_mhz = group_mhz(number, count)
    mark = "!" if value_db > MARK_ABOVE_DB else " "
    bar = _bar(value_db, scale_db, ascii_only)
    return f"{low_mhz:4.1f}-{high_mhz:4.1f} {value_db:5.1f}{mark}|{bar}"


def _bar(value_db: float, scale_db: float, ascii_only: bool) -> str:
    length = min(_BAR_COLUMNS, max(0.0, value_db) / scale_db * _BAR_COLUMNS)
    bar = "#" * round(length) if ascii_only else _FULL * int(length) + _EIGHTHS[int(length % 1 * 8)].strip()
    place = int(MARK_ABOVE_DB / scale_db * _BAR_COLUMNS)
    return bar if len(bar) > place else f"{bar:<{place}}:"


def _history(history: tuple[PlcMatching, ...]) -> str:
    head = ("TIME (UTC)", "VEHICLE", "OUTCOME", "STEP", "dB", "SECONDS")
    first, *rows = table(head, map(_matching, history)).split("\n")
    lines = ["Matchings, the newest first:", first]
    for row, matching in reversed(list(zip(rows, history, strict=True))):
        lines.append(row)
        if matching.reason:
            lines.append(f"  {escape(matching.reason)}")
    return "\n".join(lines)


def _matching(matching: PlcMatching) -> tuple[str, ...]:
    return (
        moment(matching.at_unix_s),
        matching.vehicle_mac or "-",
        matching.outcome,
        matching.step or "-",
        "-" if matching.average_db is None else f"{matching.average_db:.1f}",
        "-" if matching.took_s is None else f"{matching.took_s:.1f}",
    )
