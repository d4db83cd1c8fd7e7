"""What arrives from a meter, on its way from the wire to the meter's record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from v2g.utility.meter_view import Phases

LETTERS = "abc"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSpec:
    """A meter that is expected. ``rated_w``: of the customer's connection; ``fed``: told by the feed, not polled."""

    id: str
    max_age_s: float
    rated_w: float
    fed: bool = False
    where: str = ""
    """Address, or path of the feed, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Power by bus phase, positive: the customer draws. ``at_unix_s``: when it was measured, or where its mean ends.

    ``remark``: what of it was assumed, for people.
    """

    at_unix_s: float
    power_w: Phases
    phases: str = LETTERS
    """Those that were told; the others are 0."""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """An energy register by bus phase: import less export, in Wh."""

    at_unix_s: float
    energy_wh: Phases
    phases: str = LETTERS
    """As :attr:`Reading.phases`."""
    remark: str = ""


class ReadingRefused(Exception):
    """A reading that is not used; the text names meter, reason and remedy."""


def to_bus(values: Sequence[float], rotation: str) -> Phases:
    """A meter's phases A, B, C to those of the bus; ``rotation`` as in the configuration, one letter a phase.

    With a single letter all of it is on that phase.
    """
    bus = dict.fromkeys(LETTERS, 0.0)
    for number, value in enumerate(values):
        bus[rotation[number if len(rotation) > 1 else 0]] += value
    return bus["a"], bus["b"], bus["c"]
