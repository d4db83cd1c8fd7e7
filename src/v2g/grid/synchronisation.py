"""Synchronisation (IEEE 1547-2018 4.10.4) and the phase between inverter output and grid ("Phase Mismatch")."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.grid.settings import SyncLimits
from v2g.grid.trip import PHASES

PerPhaseAngle = tuple[float | None, float | None, float | None]
"""Degrees, inverter side minus grid side, in (-180, 180]; None where either side is dead."""

HOLD_S = 0.1
"""How long the differences must be inside their limits: longer than the windows they are estimated from."""
LIVE_PU = 0.1
"""A phase of the inverter side above it is live: residual voltage that must not be closed on blindly."""
UNKNOWN_ANGLE_HELD_S = 0.1
NEAR_DEG = 30.0
"""An angle this near to 120 or 180 degrees is taken for a mistake in the wiring."""


@dataclass(frozen=True, slots=True)
class SyncState:
    """``live``: the inverter side has voltage although the breaker is open. ``ready``: closing is allowed now.

    ``reason`` names the quantity, its value and its limit where it is not; empty otherwise.
    """

    live: bool
    ready: bool
    reason: str


_DEAD = SyncState(live=False, ready=True, reason="")
_READY = SyncState(live=True, ready=True, reason="")


class Synchronisation:
    """Judges the closing of the breaker. A dead inverter side may always be closed on; a live one only while frequency,
    voltage and angle differences are inside their limits for :data:`HOLD_S` without a break.

    The angle is judged as it will be when the contacts touch, ``closing_time_s`` after the command: until then it moves
    by 360 degrees times the frequency difference times that time.
    """

    def __init__(self, limits: SyncLimits, closing_time_s: float) -> None:
        self._limits = limits
        self._closing_time_s = closing_time_s
        self._since_s: float | None = None

    def step(
        self,
        now_s: float,
        bus_v_pu: tuple[float, float, float],
        bus_hz: float | None,
        inverter_v_pu: tuple[float, float, float],
        inverter_hz: float | None,
        angle_deg: PerPhaseAngle,
    ) -> SyncState:
        """Judge one measurement with the breaker open. ``angle_deg`` corrected by the calibrated offset."""
        if max(inverter_v_pu) <= LIVE_PU:
            self._since_s = None
            return _DEAD
        reason = self._reason(bus_v_pu, bus_hz, inverter_v_pu, inverter_hz, angle_deg)
        if reason:
            self._since_s = None
            return SyncState(live=True, ready=False, reason=reason)
        if self._since_s is None or self._since_s > now_s:
            self._since_s = now_s
        if now_s - self._since_s >= HOLD_S:
            return _READY
        return SyncState(live=True, ready=False, reason=f"both sides must be in step for {HOLD_S:g} s")

    def reset(self) -> None:
        """Nothing is known of either side."""
        self._since_s = None

    def _reason(
        self,
        bus_v_pu: tuple[float, float, float],
        bus_hz: float | None,
        inverter_v_pu: tuple[float, float, float],
        inverter_hz: float | None,
        angle_deg: PerPhaseAngle,
    ) -> str:
        limits = self._limits
        if bus_hz is None or inverter_hz is None:
            return f"the frequency of the live {'inverter side' if bus_hz is not None else 'grid'} is unknown"
        if not abs(inverter_hz - bus_hz) <= limits.df_hz:
            return f"frequency differs by {inverter_hz - bus_hz:+.3f} Hz, limit {limits.df_hz:g} Hz ({limits.clause})"
        lead_deg = 360.0 * (inverter_hz - bus_hz) * self._closing_time_s
        for phase, inverter, bus, angle in zip(PHASES, inverter_v_pu, bus_v_pu, angle_deg, strict=True):
            if not abs(inverter - bus) <= limits.dv_pu:
                return (
                    f"voltage of phase {phase} differs by {inverter - bus:+.3f} p.u., limit {limits.dv_pu:g} p.u. "
                    f"({limits.clause})"
                )
            if angle is None:
                return f"the angle of phase {phase} is unknown: one side of the breaker is dead"
            met_deg = wrapped_deg(angle + lead_deg)
            if not abs(met_deg) <= limits.dtheta_deg:
                return (
                    f"angle of phase {phase} at the closing is {met_deg:+.1f} degrees, limit {limits.dtheta_deg:g} "
                    f"degrees ({limits.clause})"
                )
        return ""


@dataclass(frozen=True, slots=True)
class PhaseMismatch:
    """``likely``: the wiring check to make, in words: ``phases b and c are swapped`` ..."""

    phase: str
    angle_deg: float
    limit_deg: float
    cycles: int
    likely: str


def wrapped_deg(angle_deg: float) -> float:
    """The same angle in (-180, 180]."""
    return 180.0 - (180.0 - angle_deg) % 360.0


def corrected(angle_deg: PerPhaseAngle, offset_deg: tuple[float, float, float]) -> PerPhaseAngle:
    """Angles as they are, from those measured and the transducers' own error."""
    a, b, c = angle_deg
    return (
        None if a is None else wrapped_deg(a - offset_deg[0]),
        None if b is None else wrapped_deg(b - offset_deg[1]),
        None if c is None else wrapped_deg(c - offset_deg[2]),
    )


class PhaseWatch:
    """Watches the angle of each phase across the closed breaker, corrected by the calibrated offset.

    ``limit_deg`` (default: the synchronisation limit) exceeded for ``cycles`` nominal cycles in a row is a mismatch. An
    unknown angle keeps what was counted for at most a tenth of a second, then resets it.
    """

    def __init__(
        self,
        limit_deg: float,
        cycles: int,
        nominal_frequency_hz: float,
        offset_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        self._limit_deg = limit_deg
        self._cycles = cycles
        self._after_s = cycles / nominal_frequency_hz
        self._offset_deg = offset_deg
        self._since_s: list[float | None] = [None, None, None]
        self._known_at_s = [float("-inf")] * 3
        self._last_deg: list[float | None] = [None, None, None]

    def step(self, now_s: float, angle_deg: PerPhaseAngle) -> PhaseMismatch | None:
        """``angle_deg`` as measured, not corrected. Of several phases the one that is farthest off is named."""
        worst = -1
        for phase, angle in enumerate(angle_deg):
            if angle is None:
                if not 0.0 <= now_s - self._known_at_s[phase] <= UNKNOWN_ANGLE_HELD_S:
                    self._since_s[phase] = self._last_deg[phase] = None
                continue
            angle = wrapped_deg(angle - self._offset_deg[phase])
            self._known_at_s[phase] = now_s
            self._last_deg[phase] = angle
            if abs(angle) <= self._limit_deg:
                self._since_s[phase] = None
                continue
            since_s = self._since_s[phase]
            if since_s is None or since_s > now_s:
                self._since_s[phase] = since_s = now_s
            if now_s - since_s >= self._after_s - 1e-9 and (
                worst < 0 or abs(angle) > abs(self._last_deg[worst] or 0.0)
            ):
                worst = phase
        if worst < 0:
            return None
        return PhaseMismatch(
            phase=PHASES[worst],
            angle_deg=self._last_deg[worst] or 0.0,
            limit_deg=self._limit_deg,
            cycles=self._cycles,
            likely=likely_wiring(self._last_deg, PHASES[worst]),
        )

    def reset(self) -> None:
        self._since_s = [None, None, None]
        self._last_deg = [None, None, None]


def likely_wiring(angles_deg: list[float | None], worst: str) -> str:
    """What three corrected angles look like; ``worst`` is named where they look like nothing known."""
    kinds = [_kind(angle) for angle in angles_deg]
    turned = [PHASES[index] for index, kind in enumerate(kinds) if kind == "turned"]
    if turned == list(PHASES):
        return "polarity: the inverter-side voltage transducers of all phases are turned round"
    if turned and all(kind in ("turned", "right") for kind in kinds):
        return " and ".join(f"polarity of phase {phase}'s transducer" for phase in turned)
    if sorted(kinds) == ["ahead", "behind", "right"]:
        first, second = (PHASES[index] for index, kind in enumerate(kinds) if kind != "right")
        return f"phases {first} and {second} are swapped"
    if kinds in (["ahead"] * 3, ["behind"] * 3):
        return "the phases are rotated by one: a is wired to b, b to c and c to a, or the other way round"
    return f"offset: calibrate with v2g-tool --calibrate-pll, or check phase {worst}"


def _kind(angle_deg: float | None) -> str:
    if angle_deg is None:
        return "unknown"
    if abs(angle_deg) <= NEAR_DEG:
        return "right"
    if abs(angle_deg) >= 180.0 - NEAR_DEG:
        return "turned"
    if abs(abs(angle_deg) - 120.0) < NEAR_DEG:
        return "ahead" if angle_deg > 0.0 else "behind"
    return "odd"
