"""The case file: a CSV with one stimulus a row, its settings and what is expected of the guard."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from v2g.replay.stimulus import Case, ReplayError, Segment

COLUMNS = (
    "id", "family", "category", "nominal_hz", "settings", "stimulus", "ref_segment", "expect", "element",
    "tmin_s", "tmax_s",
)  # fmt: skip
"""Each must be there; ``provenance`` and ``note`` may."""
EXPECTATIONS = ("TRIP", "NO_TRIP", "CLOSE", "NO_CLOSE")

LONGEST_S = 86_400.0
_V_MAX_PU = 10.0
_F_RANGE_HZ = (1.0, 400.0)
_SEGMENT_KEYS = frozenset(("d", "v", "f", "r", "ph", "h", "loss"))
_SETTINGS_KEYS = frozenset(("profile", "override", "disable_other", "es", "sync", "der"))
_SIDE_KEYS = ("df_hz", "dv_pu", "dtheta_deg")
_MAX_BYTES = 64 << 20


def is_case_file(header: list[str]) -> bool:
    return {"id", "stimulus", "expect"} <= set(header)


def read_cases(path: Path) -> tuple[Case, ...]:
    """All rows. Raises :class:`~v2g.replay.stimulus.ReplayError` naming file, line and remedy."""
    cases = tuple(_rows(path))
    if not cases:
        raise ReplayError(f"{path}: no case below the header; add at least one row")
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise ReplayError(f"{path}: the id {case.id} is there twice; give each case its own")
        seen.add(case.id)
    return cases


def _rows(path: Path) -> Iterator[Case]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ReplayError(f"{path}: more than {_MAX_BYTES >> 20} MB; split it")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ReplayError(f"{path}, line 1: no column {', '.join(missing)}; wanted are {', '.join(COLUMNS)}")
            line = reader.line_num + 1
            for row in reader:
                yield _case(_Row(f"{path}, line {line}", row))
                line = reader.line_num + 1
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror or error}; check the path and its permissions") from None
    except UnicodeDecodeError as error:
        raise ReplayError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except csv.Error as error:
        raise ReplayError(f"{path}: {error}; write it as plain CSV") from None


class _Row:
    """One row and where it stands, for errors."""

    def __init__(self, where: str, row: dict[str, Any]) -> None:
        self.where = where
        self._row = row
        if None in row or None in row.values():
            raise ReplayError(f"{where}: the number of fields differs from the header's; quote JSON that has commas")

    def fail(self, column: str, reason: str, remedy: str) -> ReplayError:
        return ReplayError(f"{self.where}, {column}: {reason}; {remedy}")

    def text(self, column: str) -> str:
        return str(self._row.get(column) or "").strip()

    def number(self, column: str) -> float | None:
        text = self.text(column)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.fail(column, f"{text!r} is not a number", "write a decimal number or leave it empty")
        return value

    def json(self, column: str) -> Any:
        try:
            return msgspec.json.decode(self.text(column))
        except msgspec.DecodeError as error:
            raise self.fail(column, f"not JSON ({error})", "see the description of the case file") from None


def _case(row: _Row) -> Case:
    name = row.text("id")
    if not name:
        raise row.fail("id", "empty", "give the case a name")
    nominal_hz = row.number("nominal_hz")
    if nominal_hz not in (50.0, 60.0):
        raise row.fail("nominal_hz", f"{row.text('nominal_hz')!r}", "it is 50 or 60")
    expect = row.text("expect")
    if expect not in EXPECTATIONS:
        raise row.fail("expect", f"{expect!r}", f"it is one of {', '.join(EXPECTATIONS)}")
    segments = _segments(row)
    reference = row.number("ref_segment")
    if reference is None or reference != int(reference) or not 0 <= reference < len(segments):
        raise row.fail("ref_segment", f"{row.text('ref_segment')!r}", f"it is a whole number of 0..{len(segments) - 1}")
    tmin_s, tmax_s = row.number("tmin_s"), row.number("tmax_s")
    if expect in ("TRIP", "CLOSE") and (tmin_s is None or tmax_s is None or tmin_s > tmax_s):
        raise row.fail("tmin_s", f"{expect} needs tmin_s <= tmax_s", "state both in seconds")
    return Case(
        id=name,
        family=row.text("family"),
        category=row.text("category"),
        nominal_hz=nominal_hz,
        settings=_settings(row),
        segments=segments,
        ref_segment=int(reference),
        expect=expect,
        element=row.text("element"),
        tmin_s=tmin_s,
        tmax_s=tmax_s,
        note=row.text("note"),
    )


def _settings(row: _Row) -> dict[str, Any]:
    settings = row.json("settings")
    if not isinstance(settings, dict):
        raise row.fail("settings", "not an object", 'write {"profile": "default_III"} or another form')
    unknown = set(settings) - _SETTINGS_KEYS
    if unknown:
        raise row.fail(
            "settings", f"unknown {', '.join(sorted(unknown))}", f"known are {', '.join(sorted(_SETTINGS_KEYS))}"
        )
    if not {"profile", "es", "sync"} & set(settings):
        raise row.fail("settings", "neither profile nor es nor sync", "name what the case is judged by")
    side = settings.get("der")
    if side is not None:
        if "sync" not in settings:
            raise row.fail("settings", "der without sync", "a live inverter side is for synchronisation")
        if not isinstance(side, dict) or not all(_is_side(name, value) for name, value in side.items()):
            raise row.fail("settings", f"der {side}", f"it holds numbers for {', '.join(_SIDE_KEYS)}")
    return settings


def _is_side(name: str, value: object) -> bool:
    return name in _SIDE_KEYS and isinstance(value, (int, float)) and not isinstance(value, bool)


def _segments(row: _Row) -> tuple[Segment, ...]:
    decoded = row.json("stimulus")
    if not isinstance(decoded, list) or not decoded:
        raise row.fail("stimulus", "not a list of segments", "write at least one segment")
    segments = tuple(_segment(row, number, entry) for number, entry in enumerate(decoded))
    total_s = sum(segment.d for segment in segments)
    if total_s > LONGEST_S:
        raise row.fail("stimulus", f"{total_s:g} s in all", f"at most {LONGEST_S:g} s can be replayed")
    return segments


def _segment(row: _Row, number: int, entry: Any) -> Segment:
    def wrong(reason: str, remedy: str) -> ReplayError:
        return row.fail(f"stimulus, segment {number}", reason, remedy)

    if not isinstance(entry, dict):
        raise wrong("not an object", "write {d, v, f} and what else it needs")
    unknown = set(entry) - _SEGMENT_KEYS
    if unknown:
        raise wrong(f"unknown {', '.join(sorted(unknown))}", f"known are {', '.join(sorted(_SEGMENT_KEYS))}")
    given = {key: value for key, value in entry.items() if value is not None}
    if "h" in given and isinstance(given["h"], dict):
        # Keys of a JSON object are text.
        given["h"] = {int(order) if str(order).isdecimal() else order: share for order, share in given["h"].items()}
    try:
        segment = msgspec.convert(given, Segment)
    except msgspec.ValidationError as error:
        raise wrong(
            str(error), "d in s, v three p.u., f in Hz, r in Hz/s, ph three degrees, h order to share"
        ) from None
    if not 0.0 < segment.d <= LONGEST_S:
        raise wrong(f"d {segment.d:g} s", f"it is above 0 and at most {LONGEST_S:g}")
    if not all(0.0 <= v <= _V_MAX_PU for v in segment.v):
        raise wrong(f"v {segment.v}", f"each is 0..{_V_MAX_PU:g} p.u.")
    if not _F_RANGE_HZ[0] <= segment.f <= _F_RANGE_HZ[1]:
        raise wrong(f"f {segment.f:g} Hz", f"it is {_F_RANGE_HZ[0]:g}..{_F_RANGE_HZ[1]:g}")
    if segment.r is not None and not 0.0 < segment.r <= 1000.0:
        raise wrong(f"r {segment.r:g} Hz/s", "it is a magnitude of 0..1000, or null for a step")
    if not all(-360.0 <= jump <= 360.0 for jump in segment.ph):
        raise wrong(f"ph {segment.ph}", "each is -360..360 degrees")
    for order, share in (segment.h or {}).items():
        if order < 2 or not 0.0 <= share <= 10.0:
            raise wrong(f"h {order}: {share:g}", "orders from 2 on, shares 0..10 of the fundamental")
    return segment
