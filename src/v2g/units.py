"""Quantities as people write them, and the one sign convention.

Power and current are positive from the grid into a vehicle (charge), negative out of it (discharge). Transformer
flow is positive downstream. Limits of discharge are magnitudes. Names carry the unit: ``power_w``, ``top_oil_c``.
"""

from __future__ import annotations

import itertools
import re
from math import isfinite

_NUMBER = re.compile(r"^\s*([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+))\s*([^\d\s.,].*?)?\s*$")
_PART = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*([a-z]+)", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?\d{1,3},\d{3}")
_POWER_FACTORS = {"W": 1.0, "w": 1.0, "kW": 1e3, "KW": 1e3, "kw": 1e3, "Kw": 1e3, "MW": 1e6}
"""A small m would be a thousandth: mw is refused."""
_DURATION_FACTORS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

_IN = {
    "": {"%": 0.01},
    "s": {"ms": 1e-3, **_DURATION_FACTORS},
    "d": {"d": 1.0},
    "V": {"V": 1.0, "kV": 1e3},
    "Hz": {"Hz": 1.0},
    "°C": {"°C": 1.0},
}
_SPELLINGS = {"C": "°C", "degC": "°C", "℃": "°C", "\u00baC": "°C", "v": "V", "a": "A", "hz": "Hz"}
"""Of units, as keyboards and people give them."""


class QuantityError(ValueError):
    """A quantity that cannot be read; the message names the text and the remedy."""


def parse_power_w(text: str) -> float:
    """``"10kW"`` -> 10000.0. A magnitude in W; W, kW and MW are known, a unit is required.

    Raises :class:`QuantityError` for a missing or unknown unit, a negative value, or text that is no number.
    """
    value, unit = _split(text, "power", "10kW")
    if not unit:
        raise QuantityError(f"power {text!r} has no unit: {text}kW or {text}W?")
    factor = _POWER_FACTORS.get(unit)
    if factor is None:
        raise QuantityError(f"power {text!r}: unknown unit {unit!r}; use W, kW or MW")
    if value < 0:
        raise QuantityError(f"power {text!r} is negative: give a magnitude, the mode says the direction")
    return value * factor


def parse_duration_s(text: str) -> float:
    """``"15min"`` -> 900.0, ``"1h 30min"`` -> 5400.0. Seconds; s, min, h and d are known, a unit is required, the value
    must be above zero.

    Raises :class:`QuantityError`.
    """
    if (parts := _parts(text)) is not None:
        return parts
    value, unit = _split(text, "duration", "15min")
    if not unit:
        raise QuantityError(f"duration {text!r} has no unit: {text}min or {text}s?")
    factor = _DURATION_FACTORS.get(unit)
    if factor is None:
        raise QuantityError(f"duration {text!r}: unknown unit {unit!r}; use s, min, h or d")
    if value <= 0:
        raise QuantityError(f"duration {text!r} must be above zero")
    return value * factor


def parse_in(text: str, unit: str) -> float:
    """``("50ms", "s")`` -> 0.05, ``("277", "V")`` -> 277.0: a number alone counts in ``unit``, one of s, d, V, Hz, °C,
    and empty for a share, which ``3%`` is one of.

    Raises :class:`QuantityError` for text that is no number, or with another unit.
    """
    example = f"{'0.03 or 3%' if not unit else f'10{unit}'}"
    value, given = _split(text, "value", example)
    given = _SPELLINGS.get(given, given)
    if not given:
        return value
    factor = _IN[unit].get(given)
    if factor is None:
        known = ", ".join(_IN[unit])
        raise QuantityError(f"value {text!r}: unknown unit {given!r}; use {known}, or a number alone")
    return value * factor


def parse_quantity(text: str) -> tuple[float, str]:
    """``"231.4V"`` -> ``(231.4, "V")``, ``"65.2 C"`` -> ``(65.2, "°C")``: as an instrument shows it.

    Raises :class:`QuantityError` for a missing unit, or text that is no number.
    """
    value, unit = _split(text, "reference", "231.4V, 12.5A or 65.2°C")
    if not unit:
        raise QuantityError(f"reference {text!r} has no unit: write it like 231.4V, 12.5A or 65.2°C")
    return value, _SPELLINGS.get(unit, unit)


def format_power(power_w: float) -> str:
    """-10000.0 -> ``"-10.00 kW"``; below 1 kW in whole W."""
    if abs(power_w) >= 1e6:
        return f"{power_w / 1e6:.3f} MW"
    if abs(power_w) >= 1e3:
        return f"{power_w / 1e3:.2f} kW"
    return f"{power_w:.0f} W"


def format_duration(duration_s: float) -> str:
    """900.0 -> ``"15 min"``."""
    if duration_s >= 172_800 and duration_s % 86_400 == 0:
        return f"{duration_s / 86_400:.0f} d"
    if duration_s >= 3600 and duration_s % 3600 == 0:
        return f"{duration_s / 3600:.0f} h"
    if duration_s >= 60 and duration_s % 60 == 0:
        return f"{duration_s / 60:.0f} min"
    return f"{duration_s:g} s"


def finite(value: float | None) -> float | None:
    """None for what is no number: JSON has no infinity and no NaN."""
    return value if value is not None and isfinite(value) else None


def _parts(text: str) -> float | None:
    """Seconds of a duration in several parts, the larger units first; None where it has one part, or is none."""
    found = _PART.findall(text)
    if len(found) < 2 or _PART.sub("", text).strip():
        return None
    factors = [_DURATION_FACTORS.get(unit) for _, unit in found]
    known = [factor for factor in factors if factor is not None]
    if len(known) < len(factors) or any(small >= large for large, small in itertools.pairwise(known)):
        raise QuantityError(f"duration {text!r} is not a quantity; write it like 1h 30min, with s, min, h or d")
    return sum(_number(value) * factor for (value, _), factor in zip(found, known, strict=True))


def _split(text: str, what: str, example: str) -> tuple[float, str]:
    match = _NUMBER.match(text)
    if match is None:
        raise QuantityError(f"{what} {text!r} is not a quantity; write it like {example}")
    if _THOUSANDS.fullmatch(match[1]):
        raise QuantityError(f"{what} {text!r}: is {match[1].replace(',', '')} meant, or {match[1].replace(',', '.')}?")
    return _number(match[1]), (match[2] or "").strip()


def _number(text: str) -> float:
    return float(text.replace(",", "."))
