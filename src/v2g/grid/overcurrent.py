"""Over-current per phase: definite time (ANSI 50) and inverse time (ANSI 51, IEC 60255-151), curtailment before it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from v2g.grid.trip import PHASES, Trip

PerPhase = tuple[float, float, float]

RESET_S = 10.0
"""From just below tripping back to rest, below pick-up."""
FLAT_ABOVE = 20.0
"""Multiple of pick-up from which on the inverse characteristic is flat."""
RECOVER_S = 10.0
"""Curtailment from nothing to all of the power."""
RECOVER_BELOW_PU = 0.97
SETTLE_S = 1.0
"""What a commanded reduction takes until the current shows it; before, the same overload is not cut twice."""
ADDS_FROM_PU = 0.02
"""Of the feeder's rating: below it the feeder's flow is noise and adds to nothing."""
_LONGEST_STEP_S = 0.1
"""Time between two calls counts for no more than this: over a gap nothing is known."""


class Curve(enum.StrEnum):
    """IEC 60255-151 inverse-time characteristics: ``t = TMS * k / ((I/Is)^alpha - 1)``."""

    STANDARD_INVERSE = "standard_inverse"
    VERY_INVERSE = "very_inverse"
    EXTREMELY_INVERSE = "extremely_inverse"


_CONSTANTS = {
    Curve.STANDARD_INVERSE: (0.14, 0.02),
    Curve.VERY_INVERSE: (13.5, 1.0),
    Curve.EXTREMELY_INVERSE: (80.0, 2.0),
}


def operate_time_s(curve: Curve, time_multiplier: float, multiple: float) -> float:
    """``multiple``: of the pick-up current; infinity up to 1."""
    if multiple <= 1.0:
        return float("inf")
    k, alpha = _CONSTANTS[curve]
    rise = float(min(multiple, FLAT_ABOVE) ** alpha) - 1.0
    return time_multiplier * k / rise if rise > 0.0 else float("inf")


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
    it falls back over :data:`RESET_S` below pick-up) so that pumping currents add up."""

    def __init__(self, settings: OvercurrentSettings) -> None:
        self._settings = settings
        self._pickup_a = settings.pickup_pu * settings.rated_a
        self._instantaneous_a = settings.instantaneous_pu * settings.rated_a
        self._stepped_at_s: float | None = None
        self._disks = [0.0, 0.0, 0.0]
        self._began_s = 0.0
        self._fast_since_s: float | None = None

    def step(self, now_s: float, amps: PerPhase) -> Trip | None:
        """``Trip.element`` is ``50 feeder``, ``51 transformer`` ...; ``value`` and ``threshold`` in A.

        The definite-time element counts from the call before the first one beyond.
        """
        before_s = now_s if self._stepped_at_s is None else min(self._stepped_at_s, now_s)
        elapsed_s = min(now_s - before_s, _LONGEST_STEP_S)
        self._stepped_at_s = now_s
        worst_a = max(amps)
        if worst_a <= self._pickup_a and not any(self._disks):
            self._fast_since_s = None
            return None
        settings = self._settings
        if worst_a > self._instantaneous_a:
            if self._fast_since_s is None or self._fast_since_s > now_s:
                self._fast_since_s = now_s - elapsed_s
            if now_s - self._fast_since_s >= settings.instantaneous_s - 1e-9:
                return self._trip("50", now_s, amps.index(worst_a), worst_a, self._instantaneous_a, self._fast_since_s)
        else:
            self._fast_since_s = None
        if not any(self._disks):
            self._began_s = now_s - elapsed_s
        for phase, current_a in enumerate(amps):
            if current_a > self._pickup_a:
                time_s = operate_time_s(settings.curve, settings.time_multiplier, current_a / self._pickup_a)
                self._disks[phase] = min(1.0, self._disks[phase] + elapsed_s / time_s)
                if self._disks[phase] >= 1.0 - 1e-9:
                    return self._trip("51", now_s, phase, current_a, self._pickup_a, self._began_s)
            else:
                self._disks[phase] = max(0.0, self._disks[phase] - elapsed_s / RESET_S)
        return None

    def reset(self) -> None:
        """Back to rest."""
        self._stepped_at_s = None
        self._disks = [0.0, 0.0, 0.0]
        self._fast_since_s = None

    def _trip(self, number: str, now_s: float, phase: int, value: float, threshold: float, began_s: float) -> Trip:
        return Trip(
            element=f"{number} {self._settings.place}",
            quantity="current",
            phase=PHASES[phase],
            value=value,
            threshold=threshold,
            clearing_time_s=0.0,
            picked_up_at_s=began_s,
            at_s=now_s,
            unit="A",
            remedy=f"over-current at the {self._settings.place}: look for a short circuit or an overload, "
            f"and check that its rated current ({self._settings.rated_a:g} A) is right",
        )


def adding(feeder: OvercurrentSettings, feeder_a: PerPhase, feeder_w: PerPhase, transformer_w: PerPhase) -> list[bool]:
    """Per phase: the feeder's flow has the direction of the transformer's, and is more than noise."""
    floor_a = ADDS_FROM_PU * feeder.rated_a
    return [
        amps >= floor_a and (watts > 0.0) == (through > 0.0) and watts != 0.0 and through != 0.0
        for amps, watts, through in zip(feeder_a, feeder_w, transformer_w, strict=True)
    ]


class _Factor:
    """Of one direction. What is asked for is relative to the factor that was in force when the current was measured."""

    __slots__ = ("_base", "_lowest", "_since_s", "value")

    def __init__(self, value: float) -> None:
        self.value = value
        self._base = value
        self._lowest = 1.0
        self._since_s: float | None = None

    def cut(self, now_s: float, fits: float) -> None:
        """``fits``: what part of the present flow may stay."""
        if self._since_s is None or not 0.0 <= now_s - self._since_s < SETTLE_S:
            self._since_s, self._base, self._lowest = now_s, self.value, fits
        self._lowest = min(self._lowest, fits)
        self.value = max(0.0, min(self.value, self._base * self._lowest))

    def recover(self, elapsed_s: float) -> None:
        self._since_s = None
        self.value = min(1.0, self.value + elapsed_s / RECOVER_S)


class Curtailment:
    """How much of the V2G power may stay so that no phase exceeds its rating: a factor of 0..1 for each direction.

    Only the direction that adds to the overloaded current is cut: discharge that offsets local load is left alone,
    whatever the base load. Falls at once to what fits, comes back over :data:`RECOVER_S` below 97 % of rating. A cut is
    given :data:`SETTLE_S` to show before the same overload is cut further. ``charge`` and ``discharge``: to begin with.
    """

    def __init__(
        self,
        feeder: OvercurrentSettings,
        transformer: OvercurrentSettings,
        charge: float = 1.0,
        discharge: float = 1.0,
    ) -> None:
        self._feeder_a = feeder.rated_a
        self._transformer_a = transformer.rated_a
        self._charge = _Factor(charge)
        self._discharge = _Factor(discharge)
        self._stepped_at_s: float | None = None

    @property
    def charge(self) -> float:
        return self._charge.value

    @property
    def discharge(self) -> float:
        return self._discharge.value

    def step(
        self,
        now_s: float,
        feeder_a: PerPhase,
        transformer_a: PerPhase,
        feeder_w: PerPhase,
        transformer_w: PerPhase,
    ) -> None:
        """Per phase: RMS currents, and active powers with their signs (positive downstream)."""
        before_s = now_s if self._stepped_at_s is None else self._stepped_at_s
        self._stepped_at_s = now_s
        elapsed_s = min(max(0.0, now_s - before_s), _LONGEST_STEP_S)
        low_feeder_a = RECOVER_BELOW_PU * self._feeder_a
        low_transformer_a = RECOVER_BELOW_PU * self._transformer_a
        if max(feeder_a) <= low_feeder_a and max(transformer_a) <= low_transformer_a:
            self._charge.recover(elapsed_s)
            self._discharge.recover(elapsed_s)
            return
        # The least part that fits, and whether the direction has room again.
        charge = discharge = 1.0
        charge_room = discharge_room = True
        for amps, through_a, watts, through_w in zip(feeder_a, transformer_a, feeder_w, transformer_w, strict=True):
            if amps > low_feeder_a:
                fits = self._feeder_a / amps
                if watts >= 0.0:
                    charge, charge_room = min(charge, fits), False
                if watts <= 0.0:
                    discharge, discharge_room = min(discharge, fits), False
            if through_a > low_transformer_a:
                over_a = through_a - self._transformer_a
                if through_w >= 0.0:
                    charge, charge_room = min(charge, _remains(amps if watts > 0.0 else 0.0, over_a)), False
                if through_w <= 0.0:
                    discharge, discharge_room = min(discharge, _remains(amps if watts < 0.0 else 0.0, over_a)), False
        for factor, fits, room in (
            (self._charge, charge, charge_room),
            (self._discharge, discharge, discharge_room),
        ):
            if fits < 1.0:
                factor.cut(now_s, fits)
            elif room:
                factor.recover(elapsed_s)


def _remains(flowing_a: float, over_a: float) -> float:
    if over_a <= 0.0:
        return 1.0
    return max(0.0, (flowing_a - over_a) / flowing_a) if flowing_a > 0.0 else 0.0
