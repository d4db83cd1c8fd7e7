"""What may be taken for the phase error of transducers, and what is a mistake in the wiring. Degrees. Pure."""

from __future__ import annotations

LIVE_PU = 0.5
"""A side with less has no angle worth calibrating."""
MOST_OFFSET_DEG = 15.0
MOST_SPREAD_DEG = 1.0
MOST_RESIDUAL_DEG = 0.5

Angles = tuple[float, float, float]
_PHASES = ("a", "b", "c")
_NEAR_DEG = 20.0


def problem(measured_deg: Angles, spread_deg: float) -> str | None:
    """Why ``measured_deg`` (inverter side minus grid) is no offset of transducers; None where it is one."""
    worst = max(range(3), key=lambda index: abs(measured_deg[index]))
    angle_deg = measured_deg[worst]
    if not all(abs(angle) <= MOST_OFFSET_DEG for angle in measured_deg):
        return (
            f"phase {_PHASES[worst]} is {angle_deg:+.1f} degrees from the grid, above {MOST_OFFSET_DEG:g}: that is a "
            f"wiring mistake, not an offset: Phase Mismatch; {wiring(measured_deg)}"
        )
    if not spread_deg <= MOST_SPREAD_DEG:
        return (
            f"single readings lie up to {spread_deg:.1f} degrees apart, above {MOST_SPREAD_DEG:g}: the grid or the "
            "measurement is disturbed; try again when it is calm"
        )
    return None


def wiring(measured_deg: Angles) -> str:
    """The wiring check to make, from how the three phases lie."""
    turned = [angle if abs(abs(angle) - 120.0) <= _NEAR_DEG else 0.0 for angle in measured_deg]
    reversed_ones = [name for name, angle in zip(_PHASES, measured_deg, strict=True) if abs(angle) >= 180.0 - _NEAR_DEG]
    swapped = [name for name, angle in zip(_PHASES, turned, strict=True) if angle]
    if len(swapped) == 2 and sum(angle > 0 for angle in turned) == 1:
        return f"phases {swapped[0]} and {swapped[1]} are exchanged: check their conductors behind the breaker"
    if len(swapped) == 3 and len({angle > 0 for angle in turned}) == 1:
        return "all phases are one place further: check the order of a, b and c behind the breaker"
    if reversed_ones:
        return f"phase {', '.join(reversed_ones)} is reversed: check the polarity of its voltage transformer"
    return "check the conductors and the transducers of that phase on both sides of the breaker"


def rounded(measured_deg: Angles) -> Angles:
    """As it is written: hundredths of a degree."""
    a, b, c = (round(angle, 2) + 0.0 for angle in measured_deg)
    return a, b, c


def residual(measured_deg: Angles, offset_deg: Angles) -> Angles:
    """What the correction leaves, in (-180, 180]."""
    a, b, c = (_wrapped(angle - offset) for angle, offset in zip(measured_deg, offset_deg, strict=True))
    return a, b, c


def residual_problem(residual_deg: Angles) -> str | None:
    """Why the corrected phase is not accepted; None where it is."""
    if all(abs(angle) < MOST_RESIDUAL_DEG for angle in residual_deg):
        return None
    shown = ", ".join(f"{name} {angle:+.2f}" for name, angle in zip(_PHASES, residual_deg, strict=True))
    return f"measured again, {shown} degrees are left, {MOST_RESIDUAL_DEG:g} are allowed: the phase is not steady"


def _wrapped(angle_deg: float) -> float:
    return 180.0 - (180.0 - angle_deg) % 360.0
