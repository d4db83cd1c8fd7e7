"""The base load by phase as customers' meters tell it: the type that the control cycle reads."""

from __future__ import annotations

from dataclasses import dataclass

Phases = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterLine:
    """One meter. ``power_w`` by bus phase (a, b, c), positive: the customer draws; None: nothing believable yet."""

    id: str
    power_w: Phases | None
    age_s: float | None
    problem: str = ""
    """In words, with the remedy; empty: fine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredLoad:
    """All meters together. ``base_w``: None unless every expected meter is fresh and plausible.

    ``known_w``: the sum of those that are; ``missing``: ids of the others.
    """

    base_w: Phases | None = None
    known_w: Phases = (0.0, 0.0, 0.0)
    missing: tuple[str, ...] = ()
    lines: tuple[MeterLine, ...] = ()
    notes: tuple[str, ...] = ()
