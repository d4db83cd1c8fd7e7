"""The control pilot in a register map: the same roles whether a DC output stage or an AC EVSE measures it."""

from __future__ import annotations

from typing import Final

from v2g.hardware.pilot import state_of_level
from v2g.hardware.ports import PilotReading, PilotState
from v2g.hardware.register_map import RegisterImage

PILOT_ROLES: Final = {
    "pilot_state": "r",
    "pilot_high_v": "r",
    "pilot_low_v": "r",
    "pilot_duty_pct": "r",
    "pilot_frequency_hz": "r",
    "proximity_a": "r",
    "earth_ohm": "r",
    "earth_ok": "r",
    "pilot_toggles": "r",
}
"""Role -> access; a map may have any of them. ``pilot_state`` is an enumeration of ``A`` to ``F``."""

PILOT_STATE_ROLES: Final = frozenset({"pilot_state", "pilot_high_v"})
"""Either of them tells the state."""


def pilot_reading(image: RegisterImage) -> PilotReading | None:
    """What the image says of the pilot; None when its map has none of :data:`PILOT_ROLES`.

    A value that the device marks as not available, and a state that is none of A to F, are None. Without a role for the
    state the level says it.
    """
    if not PILOT_ROLES.keys() & image.map.points.keys():
        return None
    told, high_v = image.optional_text("pilot_state"), image.optional_number("pilot_high_v")
    state = PilotState(told) if told in tuple(PilotState) else None
    toggles = image.optional_number("pilot_toggles")
    if "pilot_state" not in image.map.points and high_v is not None:
        state = state_of_level(high_v)
    return PilotReading(
        state=state,
        high_v=high_v,
        low_v=image.optional_number("pilot_low_v"),
        duty_pct=image.optional_number("pilot_duty_pct"),
        frequency_hz=image.optional_number("pilot_frequency_hz"),
        proximity_a=image.optional_number("proximity_a"),
        earth_ohm=image.optional_number("earth_ohm"),
        earth_ok=image.optional_flag("earth_ok"),
        toggles=int(toggles) if toggles is not None else None,
    )
