"""One line of the meter feed as a reading, or why it is none. Pure; the format is in :mod:`v2g.utility.meter_feed`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from v2g.utility.meter_reading import LETTERS, Reading, ReadingRefused, Register
from v2g.utility.meter_view import Phases

_KEYS = ("meter", "at", "power_w", "energy_wh", "unit")
_UNITS = {"power_w": {"W": 1.0, "kW": 1e3}, "energy_wh": {"Wh": 1.0, "kWh": 1e3}}
_MOST = 1e12
_MAX_ID = 64
_EXAMPLE = '{"meter": "c1", "at": 1767225600, "power_w": {"a": 230.0, "b": 0, "c": 0}}'


@dataclass(frozen=True, slots=True)
class MeterLineIn:
    meter: str
    reading: Reading | Register


def parse(line: bytes) -> MeterLineIn:
    """Raises :class:`ReadingRefused` naming the field and the remedy."""
    try:
        raw = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReadingRefused(f"this line is no JSON ({error}); write one object a line, such as {_EXAMPLE}") from None
    if not isinstance(raw, dict):
        raise ReadingRefused(f"a reading is a JSON object, such as {_EXAMPLE}")
    if unknown := [key for key in raw if key not in _KEYS]:
        raise ReadingRefused(f"{unknown[0][:_MAX_ID]!r} is no field of a reading; the fields are {', '.join(_KEYS)}")
    meter = raw.get("meter")
    if not isinstance(meter, str) or not 1 <= len(meter) <= _MAX_ID:
        raise ReadingRefused(f'"meter" must be the id of a meter, a text of 1 to {_MAX_ID} characters')
    at_unix_s = _time(raw.get("at"))
    what = [name for name in _UNITS if name in raw]
    if len(what) != 1:
        raise ReadingRefused('give either "power_w" or "energy_wh"')
    factor = _factor(what[0], raw.get("unit"))
    values, phases, remark = _phases(what[0], raw[what[0]], factor)
    if what[0] == "power_w":
        return MeterLineIn(meter, Reading(at_unix_s=at_unix_s, power_w=values, phases=phases, remark=remark))
    return MeterLineIn(meter, Register(at_unix_s=at_unix_s, energy_wh=values, phases=phases, remark=remark))


def _time(at: object) -> float:
    if isinstance(at, str):
        try:
            when = datetime.fromisoformat(at)
        except ValueError:
            raise ReadingRefused(
                f'"at" {at[:_MAX_ID]!r} is no ISO 8601 time; write it like 2026-03-01T12:00:00Z, or seconds since 1970'
            ) from None
        if when.tzinfo is None:
            raise ReadingRefused(f'"at" {at!r} has no time zone; write {at}Z for UTC, or {at}+01:00')
        try:
            return when.timestamp()
        except (OverflowError, ValueError):
            at = None
    return _number('"at"', at, "seconds since 1970, or an ISO 8601 text")


def _factor(what: str, unit: object) -> float:
    units = _UNITS[what]
    if unit is None:
        return 1.0
    if not isinstance(unit, str) or unit not in units:
        told = (
            unit[:_MAX_ID] if isinstance(unit, str) else unit if isinstance(unit, int | float) else type(unit).__name__
        )
        other = next((name for name in _UNITS if name != what and isinstance(unit, str) and unit in _UNITS[name]), None)
        hint = f", or give {other!r} instead of {what!r}" if other else ""
        raise ReadingRefused(f'"unit" {told!r} is none of "{what}": write {" or ".join(units)}{hint}')
    return units[unit]


def _phases(what: str, told: object, factor: float) -> tuple[Phases, str, str]:
    """Values, the phases that were told, and what was assumed."""
    if not isinstance(told, dict):
        total = factor * _number(f'"{what}"', told, "a number, or an object with numbers for a, b, c")
        return (total / 3.0,) * 3, LETTERS, "its phases are not told: its total is shared equally among three"
    return _told_phases(what, told, factor), "".join(letter for letter in LETTERS if letter in told), ""


def _told_phases(what: str, told: Mapping[Any, object], factor: float) -> Phases:
    if not told or any(key not in LETTERS or len(key) != 1 for key in told):
        raise ReadingRefused(f'"{what}" has the phases a, b, c of the bus; those that the customer lacks are left out')
    a, b, c = (
        factor * _number(f'"{what}.{letter}"', told[letter], "a number") if letter in told else 0.0
        for letter in LETTERS
    )
    return a, b, c


def _number(name: str, value: object, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        is_ = "is missing" if value is None else f"is {_KINDS.get(type(value), 'no number')}"
        raise ReadingRefused(f"{name} {is_}: write {wanted}")
    if not -_MOST <= value <= _MOST or not math.isfinite(value):
        raise ReadingRefused(f"{name} is out of range: write {wanted} within ±{_MOST:g}")
    return float(value)


_KINDS = {bool: "true or false", str: "text", list: "a list", dict: "an object"}
