"""The AC EVSE driver by its map against registers in memory."""

from __future__ import annotations

import math
import struct
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest

from v2g.clock import ManualClock
from v2g.hardware.ac_evse import RegisterMapAcEvse, load_ac_map
from v2g.hardware.ports import AcEvseCommand, DeviceError

VOLTAGE, CURRENT, POWER = (6, 8, 10), (12, 14, 16), (18, 20, 22)


def put(registers: Any, address: int, value: float) -> None:
    for offset, word in enumerate(struct.unpack(">2H", struct.pack(">f", value))):
        registers.tables["input"][address + offset] = word


@pytest.fixture
def device(registers: Any) -> Any:
    registers.tables["input"][0], registers.tables["input"][1] = 0x5641, 2
    for l1, l2, l3 in (VOLTAGE, CURRENT, POWER):
        put(registers, l1, 230.0)
        put(registers, l2, math.nan)
        put(registers, l3, math.nan)
    return registers


@pytest.mark.parametrize(("phases", "others"), [(1, 0.0), (3, math.nan)])
async def test_a_line_that_is_not_connected_is_zero_and_one_that_is_and_is_not_measured_is_no_number(
    device: Any, memory_link: Any, clock: ManualClock, phases: int, others: float
) -> None:
    driver = RegisterMapAcEvse("E1", memory_link(device), load_ac_map("v2g-ac-evse"), clock, phases)
    reading = await driver.read()
    for values in (reading.voltage_v, reading.current_a, reading.power_w):
        assert values == pytest.approx((230.0, others, others), nan_ok=True)


async def test_a_current_in_a_line_that_is_not_connected_is_told(
    device: Any, memory_link: Any, clock: ManualClock
) -> None:
    put(device, CURRENT[1], 40.0)
    reading = await RegisterMapAcEvse("E1", memory_link(device), load_ac_map("v2g-ac-evse"), clock, 1).read()
    assert reading.most_a == 230.0
    assert reading.current_a[1] == 40.0


async def test_each_command_has_a_new_heartbeat(device: Any, memory_link: Any, clock: ManualClock) -> None:
    driver = RegisterMapAcEvse("E1", memory_link(device), load_ac_map("v2g-ac-evse"), clock)
    device.tables["holding"][0] = 65534
    beats = []
    for _ in range(3):
        await driver.apply(AcEvseCommand())
        beats.append(device.tables["holding"][0])
    assert beats == [65535, 0, 1]


async def test_a_map_that_has_one_line_only_measures_nothing_of_a_three_phase_evse(
    device: Any, memory_link: Any, clock: ManualClock
) -> None:
    map_ = load_ac_map("v2g-ac-evse")
    points = {role: point for role, point in map_.points.items() if role.split("_")[1:2] not in (["l2"], ["l3"])}
    one_line = msgspec.structs.replace(map_, points=points)
    reading = await RegisterMapAcEvse("E1", memory_link(device), one_line, clock, 3).read()
    for values in (reading.voltage_v, reading.current_a, reading.power_w):
        assert values == pytest.approx((230.0, math.nan, math.nan), nan_ok=True)
    assert reading.reactive_var[1:] == (0.0, 0.0)


def test_feedback_that_may_be_not_available_is_refused(tmp_path: Path) -> None:
    text = (resources.files("v2g.hardware") / "maps" / "v2g-ac-evse.yaml").read_text("utf-8")
    line = next(line for line in text.splitlines() if line.strip().startswith("contactor_closed:"))
    (tmp_path / "own.yaml").write_text(
        text.replace(line, "  contactor_closed: { table: input, address: 60, nan: [0xFFFF] }")
    )
    with pytest.raises(DeviceError, match="contactor_closed: has nan values"):
        load_ac_map("own.yaml", tmp_path)


async def test_state_f_is_ordered_and_toggles_are_read_where_the_map_has_them(
    device: Any, memory_link: Any, clock: ManualClock
) -> None:
    driver = RegisterMapAcEvse("E1", memory_link(device), load_ac_map("v2g-ac-evse"), clock)
    assert driver.signals_pilot_error
    await driver.apply(AcEvseCommand(pilot_error=True))
    assert device.tables["holding"][1] == 0b100
    await driver.apply(AcEvseCommand())
    assert device.tables["holding"][1] == 0
    device.tables["input"][46] = 3
    pilot = (await driver.read()).pilot
    assert pilot is not None
    assert pilot.toggles == 3
    device.tables["input"][46] = 0xFFFF
    pilot = (await driver.read()).pilot
    assert pilot is not None
    assert pilot.toggles is None, "not counted now"
