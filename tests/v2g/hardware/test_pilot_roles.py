"""Pilot roles of a register map, decoded alike for DC and AC EVSEs."""

from __future__ import annotations

import math
from pathlib import Path

from v2g.hardware.pilot_roles import PILOT_ROLES, pilot_reading
from v2g.hardware.ports import PilotReading, PilotState
from v2g.hardware.register_map import RegisterImage, load_map

MAP = """
name: pilot
points:
  pilot_state:        { table: input, address: 0, values: { 0: unknown, 1: A, 2: B, 3: C, 4: D, 5: E, 6: F } }
  pilot_high_v:       { table: input, address: 1, type: int16, scale: 0.01 }
  pilot_low_v:        { table: input, address: 2, type: int16, scale: 0.01 }
  pilot_duty_pct:     { table: input, address: 3, scale: 0.1 }
  pilot_frequency_hz: { table: input, address: 4 }
  proximity_a:        { table: input, address: 5 }
  earth_ohm:          { table: input, address: 6, type: float32 }
  earth_ok:           { table: input, address: 8, bit: 3 }
  pilot_toggles:      { table: input, address: 9 }
"""


def image_of(tmp_path: Path, text: str = MAP) -> RegisterImage:
    (tmp_path / "pilot.yaml").write_text(text)
    return RegisterImage(load_map("pilot.yaml", tmp_path))


def test_every_role_of_the_pilot_is_decoded(tmp_path: Path) -> None:
    image = image_of(tmp_path)
    assert set(image.map.points) == set(PILOT_ROLES)
    for role, value in {
        "pilot_state": "C",
        "pilot_high_v": 5.94,
        "pilot_low_v": -11.97,
        "pilot_duty_pct": 5.0,
        "pilot_frequency_hz": 1000,
        "proximity_a": 32,
        "earth_ohm": 0.25,
        "earth_ok": True,
        "pilot_toggles": 3,
    }.items():
        image.set(role, value)
    assert pilot_reading(image) == PilotReading(
        state=PilotState.C,
        high_v=5.94,
        low_v=-11.97,
        duty_pct=5.0,
        frequency_hz=1000,
        proximity_a=32,
        earth_ohm=0.25,
        earth_ok=True,
        toggles=3,
    )


def test_a_state_that_is_none_and_a_value_that_is_no_number_are_not_measured(tmp_path: Path) -> None:
    image = image_of(tmp_path)
    image.set("earth_ohm", math.nan)
    reading = pilot_reading(image)
    assert reading is not None
    assert (reading.state, reading.earth_ohm, reading.earth_ok) == (None, None, False)


def test_roles_that_the_map_lacks_are_not_measured_and_without_any_there_is_no_pilot(tmp_path: Path) -> None:
    some = image_of(tmp_path, "name: x\npoints: { earth_ok: { table: input, address: 0 } }\n")
    some.set("earth_ok", True)
    assert pilot_reading(some) == PilotReading(earth_ok=True)
    none = image_of(tmp_path, "name: x\npoints: { plugged: { table: input, address: 0 } }\n")
    assert pilot_reading(none) is None


def test_without_a_role_for_the_state_the_level_says_it(tmp_path: Path) -> None:
    image = image_of(tmp_path, "name: x\npoints: { pilot_high_v: { table: input, address: 0, scale: 0.01 } }\n")
    image.set("pilot_high_v", 6.0)
    assert pilot_reading(image) == PilotReading(state=PilotState.C, high_v=6.0)
