"""The control pilot in a register map: the same roles whether a DC output stage or an AC EVSE measures it."""

from __future__ import annotations

from typing import Final

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
}
"""Role -> access; a map may have any of them. ``pilot_state`` is an enumeration of ``A`` to ``F``."""


def pilot_reading(image: RegisterImage) -> PilotReading | None:
    """What the image says of the pilot; None when its map has none of :data:`PILOT_ROLES`.

    A value that the device marks as not available, and a state that is none of A to F, are None.
    """
    if not PILOT_ROLES.keys() & image.map.points.keys():
        return None
    state = image.optional_text("pilot_state")
    return PilotReading(
        state=PilotState(state) if state in tuple(PilotState) else None,
        high_v=image.optional_number("pilot_high_v"),
        low_v=image.optional_number("pilot_low_v"),
        duty_pct=image.optional_number("pilot_duty_pct"),
        frequency_hz=image.optional_number("pilot_frequency_hz"),
        proximity_a=image.optional_number("proximity_a"),
        earth_ohm=image.optional_number("earth_ohm"),
        earth_ok=image.optional_flag("earth_ok"),
    )
