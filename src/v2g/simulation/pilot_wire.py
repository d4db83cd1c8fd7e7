"""The control pilot of a simulated EVSE as its device measures it, and how that can be wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from v2g.hardware.pilot import state_of_level
from v2g.hardware.ports import PilotReading, PilotState

HEALTHY_EARTH_OHM = 1.0
_EARTH_FAULT_ABOVE_OHM = 1_000.0
_MOST_TOGGLES = 0xFFFE
_LEVEL_V = {
    PilotState.A: 12.0,
    PilotState.B: 9.0,
    PilotState.C: 6.0,
    PilotState.D: 3.0,
    PilotState.E: 0.0,
    PilotState.F: -12.0,
}


@dataclass(slots=True)
class PilotWire:
    """``shown``: a fault, what it gives replaces the truth. ``lost``: the device measures none any more."""

    shown: PilotReading | None = None
    lost: bool = False
    toggles: int = 0
    """B-C-B changes since the vehicle was plugged in."""
    _before: PilotState = PilotState.A
    _left_b: bool = False

    def follow(self, state: PilotState) -> None:
        """The truth on the wire, whenever it may have changed: the device counts B-C-B changes. State F begins none and
        ends none."""
        if state is PilotState.A:
            self.toggles, self._left_b = 0, False
        elif state is PilotState.C:
            self._left_b = self._left_b or self._before is PilotState.B
        elif state is PilotState.B and self._before is PilotState.C and self._left_b:
            self.toggles, self._left_b = min(self.toggles + 1, _MOST_TOGGLES), False
        else:
            self._left_b = False
        self._before = state

    def measured(self, state: PilotState, duty_pct: float, proximity_a: float | None) -> PilotReading:
        """``state``: the truth on the wire. ``duty_pct`` 100: steady."""
        if self.lost:
            return PilotReading()
        pwm = duty_pct < 100.0
        reading = PilotReading(
            high_v=_LEVEL_V[state],
            low_v=-12.0 if pwm else None,
            duty_pct=duty_pct,
            frequency_hz=1_000.0 if pwm else None,
            proximity_a=proximity_a,
            earth_ohm=HEALTHY_EARTH_OHM,
            toggles=self.toggles,
        )
        if self.shown is not None:
            given = {name: value for name, value in msgspec.structs.asdict(self.shown).items() if value is not None}
            reading = msgspec.structs.replace(reading, **given)
        judged = state_of_level(reading.high_v) if reading.high_v is not None else None
        earthed = reading.earth_ohm is not None and reading.earth_ohm <= _EARTH_FAULT_ABOVE_OHM
        return msgspec.structs.replace(reading, state=judged, earth_ok=earthed)


def pilot_values(pilot: PilotReading) -> dict[str, float | bool | str]:
    """By the roles of :mod:`v2g.hardware.pilot_roles`; NaN is "not measured"."""
    return {
        "pilot_state": pilot.state.value if pilot.state is not None else "none",
        "pilot_high_v": _or_nan(pilot.high_v),
        "pilot_low_v": _or_nan(pilot.low_v),
        "pilot_duty_pct": _or_nan(pilot.duty_pct),
        "pilot_frequency_hz": _or_nan(pilot.frequency_hz),
        "proximity_a": _or_nan(pilot.proximity_a),
        "earth_ohm": _or_nan(pilot.earth_ohm),
        "earth_ok": bool(pilot.earth_ok),
        "pilot_toggles": _or_nan(pilot.toggles),
    }


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
