"""A control pilot whose measurement is spoilt: what an EVSE shows of it, whatever is on the wire."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from v2g.hardware.pilot import state_of_level
from v2g.hardware.ports import PilotReading

_EARTH_FAULT_ABOVE_OHM = 1_000.0


@dataclass(slots=True, kw_only=True)
class SpoiledPilot:
    """``shown``: what it gives replaces the truth; ``lost``: there is no measurement."""

    shown: PilotReading | None = None
    lost: bool = False

    def show(self, truth: PilotReading) -> PilotReading:
        """What the device measures; state and continuity of earth follow from it."""
        if self.lost:
            return PilotReading()
        shown = truth
        if self.shown is not None:
            replaced = {
                name: value
                for name in ("high_v", "low_v", "duty_pct", "frequency_hz", "earth_ohm")
                if (value := getattr(self.shown, name)) is not None
            }
            shown = msgspec.structs.replace(shown, **replaced)
        state = state_of_level(shown.high_v) if shown.high_v is not None else None
        earthed = shown.earth_ohm is not None and shown.earth_ohm <= _EARTH_FAULT_ABOVE_OHM
        return msgspec.structs.replace(shown, state=state, earth_ok=earthed)


def pilot_values(pilot: PilotReading, no_state: str) -> dict[str, float | bool | str]:
    """By the roles of a register map; what is not measured is NaN, and no state ``no_state``."""
    values: dict[str, float | bool | str] = {
        "pilot_state": pilot.state.value if pilot.state is not None else no_state,
        "earth_ok": bool(pilot.earth_ok),
        "proximity_a": _or_nan(pilot.proximity_a),
        "earth_ohm": _or_nan(pilot.earth_ohm),
    }
    for name in ("high_v", "low_v", "duty_pct", "frequency_hz"):
        values[f"pilot_{name}"] = _or_nan(getattr(pilot, name))
    return values


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
