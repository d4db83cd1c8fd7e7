"""Over-current per phase: definite time (ANSI 50) and inverse time (ANSI 51, IEC 60255-151), and curtailment before it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from v2g.grid.trip import Trip


class Curve(enum.StrEnum):
    """IEC 60255-151 inverse-time characteristics: ``t = TMS * k / ((I/Is)^alpha - 1)``."""

    STANDARD_INVERSE = "standard_inverse"
    VERY_INVERSE = "very_inverse"
    EXTREMELY_INVERSE = "extremely_inverse"


@dataclass(frozen=True, slots=True, kw_only=True)
class OvercurrentSettings:
    """One place (V2G feeder or transformer). Currents are RMS over one cycle, per unit of ``rated_a``."""

    place: str
    """``feeder`` or ``transformer``."""
    rated_a: float
    pickup_pu: float = 1.2
    """Of the inverse-time element."""
    curve: Curve = Curve.STANDARD_INVERSE
    time_multiplier: float = 0.1
    instantaneous_pu: float = 3.0
    instantaneous_s: float = 0.1
    """Definite time: above ``instantaneous_pu`` for this long, command included and breaker not."""


class Overcurrent:
    """The elements of one place. The inverse element integrates and resets by its own characteristic (disk emulation:
    it falls back over ``RESET_S`` below pick-up) so that pumping currents add up."""

    def __init__(self, settings: OvercurrentSettings) -> None:
        raise NotImplementedError

    def step(self, now_s: float, amps: tuple[float, float, float]) -> Trip | None:
        """``Trip.element`` is ``50 feeder``, ``51 transformer`` ...; ``value`` and ``threshold`` in A."""
        raise NotImplementedError

    def reset(self) -> None:
        raise NotImplementedError


class Curtailment:
    """How much of the V2G power may stay so that no phase exceeds its rating: a factor of 0..1 for each direction.

    Only the direction that adds to the overloaded current is cut: discharge that offsets local load is left alone,
    whatever the base load. Falls at once to what fits, comes back over :data:`RECOVER_S` below 97 % of rating.
    """

    def __init__(self, feeder: OvercurrentSettings, transformer: OvercurrentSettings) -> None:
        raise NotImplementedError

    @property
    def charge(self) -> float:
        raise NotImplementedError

    @property
    def discharge(self) -> float:
        raise NotImplementedError

    def step(
        self,
        now_s: float,
        feeder_a: tuple[float, float, float],
        transformer_a: tuple[float, float, float],
        feeder_w: tuple[float, float, float],
        transformer_w: tuple[float, float, float],
    ) -> None:
        """Per phase: RMS currents, and active powers with their signs (positive downstream)."""
        raise NotImplementedError
