"""Options that take quantities as people write them: ``5s``, ``50ms``, ``277 V``, ``3%``, or a number alone."""

from __future__ import annotations

from math import isfinite

import click

from v2g.units import QuantityError, parse_in


class Quantity(click.ParamType[float]):
    """A number in ``unit`` (one of those of :func:`v2g.units.parse_in`), from ``low`` to ``high``."""

    def __init__(self, unit: str, low: float = float("-inf"), high: float = float("inf"), *, above: bool = False):
        """``above``: ``low`` itself is outside."""
        self.unit, self._low, self._high, self._above = unit, low, high, above
        self.name = {"s": "duration", "d": "days", "V": "voltage", "Hz": "frequency", "°C": "temperature"}.get(
            unit, "share"
        )

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        try:
            found = parse_in(str(value), self.unit)
        except QuantityError as error:
            self.fail(str(error), param, ctx)
        unit = f" {self.unit}" if self.unit else ""
        if not isfinite(found) or found < self._low or found > self._high or (self._above and found == self._low):
            lowest = f"{'above ' if self._above else ''}{self._low:g}" if isfinite(self._low) else ""
            ends = f"{lowest}..{self._high:g}" if isfinite(self._high) else lowest or f"at most {self._high:g}"
            self.fail(f"{found:g}{unit} is outside {ends}{unit}", param, ctx)
        return found
