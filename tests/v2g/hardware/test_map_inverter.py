"""The inverter driver by register map against a device in memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from v2g.clock import ManualClock
from v2g.grid.support import SupportSettings, VoltWatt
from v2g.hardware.inverter_driver import DeviceSettings, InverterDriver
from v2g.hardware.map_inverter import RegisterMapInverter, load_inverter_map
from v2g.hardware.ports import DeviceError, InverterCommand
from v2g.hardware.setpoint_watch import SOUND_AFTER_S, TAKEN_WITHIN_S

VENDOR = """
name: vendor
kind: inverter
ratings: { max_charge_w: 8000, max_discharge_w: 5000 }
identity: [{ table: input, address: 0, value: 77 }]
writes: [{ address: 40, value: 3 }]
reversion: { written: reversion_timeout_s, remaining: reversion_remaining_s }
points:
  power_w:               { table: input, address: 1, type: int16, scale: -1 }
  state:                 { table: input, address: 2, values: { 1: waiting, 2: running, 3: failed } }
  reversion_remaining_s: { table: input, address: 3 }
  fault_code:            { table: input, address: 4, values: { 5: hot } }
  reversion_timeout_s:   { table: holding, address: 41, access: rw, min: 1, max: 60 }
  setpoint_w:            { table: holding, address: 42, type: int16, scale: -1, access: rw, order: 1 }
states: { running: [running], fault: [failed] }
"""


class Device:
    """The registers of ``VENDOR``: the countdown runs in ``clock``, power follows the set-point."""

    def __init__(self, registers: Any, clock: ManualClock) -> None:
        self.registers, self.clock, self.refreshed_s = registers, clock, -100.0
        self.input, self.holding = registers.tables["input"], registers.tables["holding"]
        self.input[0], self.input[2] = 77, 2
        self.counts = True
        registers.before_read = self.before_read
        registers.after_write = self.after_write

    def before_read(self, table: object) -> None:
        left_s = max(0, math.ceil(self.refreshed_s + self.holding[41] - self.clock.monotonic_s()))
        self.input[3] = left_s if self.counts else self.holding[41]
        self.input[1] = self.holding[42]

    def after_write(self, address: int, values: list[int]) -> None:
        self.refreshed_s = self.clock.monotonic_s()


@pytest.fixture
def device(registers: Any, clock: ManualClock) -> Device:
    return Device(registers, clock)


def make(tmp_path: Path, device: Device, link: Any, text: str = VENDOR, **more: Any) -> RegisterMapInverter:
    (tmp_path / "vendor.yaml").write_text(text)
    map_ = load_inverter_map("vendor.yaml", tmp_path)
    return RegisterMapInverter("E1", link(device.registers), map_, device.clock, **more)


async def armed(driver: RegisterMapInverter, device: Device) -> None:
    await driver.apply(InverterCommand(power_w=0))
    for _ in range(12):
        if (await driver.read()).reversion_armed:
            return
        device.clock.advance(0.4)
        await driver.apply(InverterCommand(power_w=0))
    raise AssertionError(driver.reversion_problem)


async def test_signs_states_ratings_and_the_order_of_writes(tmp_path: Path, device: Device, memory_link: Any) -> None:
    driver: InverterDriver = make(tmp_path, device, memory_link)
    await driver.apply(InverterCommand(power_w=3000))
    assert device.registers.writes == [(40, [3, 3]), (42, [65536 - 3000])]
    reading = await driver.read()
    assert (reading.power_w, reading.setpoint_w, reading.setpoint_enabled) == (3000, 3000, True)
    assert (reading.max_charge_w, reading.max_discharge_w, driver.apparent_rating_va) == (8000, 5000, 8000)
    assert (reading.connected, reading.state, reading.fault) == (True, "running", None)


@pytest.mark.parametrize(
    ("wanted_w", "written_w"),
    [(99_999, 8000), (-99_999, -5000), (math.nan, 0), (math.inf, 0), (-math.inf, 0)],
)
async def test_ratings_bound_and_what_is_no_number_is_zero(
    tmp_path: Path, device: Device, memory_link: Any, wanted_w: float, written_w: float
) -> None:
    driver = make(tmp_path, device, memory_link)
    await driver.apply(InverterCommand(power_w=wanted_w))
    assert (await driver.read()).setpoint_w == written_w


async def test_reversion_is_armed_when_written_read_back_and_seen_counting(
    tmp_path: Path, device: Device, memory_link: Any
) -> None:
    driver = make(tmp_path, device, memory_link)
    await armed(driver, device)
    assert driver.reversion_problem is None
    await driver.apply(InverterCommand(power_w=-2000))
    assert (await driver.read()).reversion_armed
    device.holding[41] = 60
    reading = await driver.read()
    assert (reading.reversion_armed, driver.reversion_problem) == (False, "it does not keep its reversion time of 3 s")


async def test_a_countdown_that_stands_still_is_no_proof(tmp_path: Path, device: Device, memory_link: Any) -> None:
    device.counts = False
    driver = make(tmp_path, device, memory_link)
    for _ in range(15):
        await driver.apply(InverterCommand(power_w=0))
        assert not (await driver.read()).reversion_armed
        device.clock.advance(0.4)
    assert driver.reversion_problem == "the proof that its reversion to zero runs was not seen"


async def test_a_new_connection_proves_the_reversion_anew(tmp_path: Path, device: Device, memory_link: Any) -> None:
    driver = make(tmp_path, device, memory_link)
    await armed(driver, device)
    driver._link.lose = 1
    with pytest.raises(DeviceError):
        await driver.read()
    assert not (await driver.read()).reversion_armed


async def test_a_mode_that_was_left_is_told_and_written_again(tmp_path: Path, device: Device, memory_link: Any) -> None:
    driver = make(tmp_path, device, memory_link)
    await armed(driver, device)
    device.holding[40] = 0
    assert not (await driver.read()).reversion_armed
    assert driver.reversion_problem == "it is not in remote control: register 40 is 0, wanted 3"
    await driver.apply(InverterCommand(power_w=500))
    assert device.holding[40] == 3


async def test_a_set_point_that_is_not_kept_is_a_fault(tmp_path: Path, device: Device, memory_link: Any) -> None:
    driver = make(tmp_path, device, memory_link)
    await driver.apply(InverterCommand(power_w=3000))
    device.holding[42] = 65536 - 1000
    device.clock.advance(TAKEN_WITHIN_S)
    assert (await driver.read()).fault is None
    device.clock.advance(0.1)
    said = (await driver.read()).fault or ""
    assert "set-point not taken: 3000 W written, 1000 W read back" in said
    assert driver.setpoint_problem == said


async def test_set_points_that_change_each_cycle_are_judged_all_the_same(
    tmp_path: Path, device: Device, memory_link: Any
) -> None:
    driver = make(tmp_path, device, memory_link)
    for cycle in range(12):
        await driver.apply(InverterCommand(power_w=3000 + 100 * cycle))
        device.holding[42] = 65536 - 1000
        device.clock.advance(0.2)
        reading = await driver.read()
    assert "1000 W read back" in (reading.fault or "")


async def test_a_device_that_does_not_take_set_points_is_ordered_to_zero_until_it_was_sound_for_a_while(
    tmp_path: Path, device: Device, memory_link: Any
) -> None:
    driver = make(tmp_path, device, memory_link)

    async def run(seconds: float, kept_w: int | None = None) -> None:
        for _ in range(round(seconds / 0.2)):
            await driver.apply(InverterCommand(power_w=3000))
            if kept_w is not None:
                device.holding[42] = 65536 - kept_w
            device.clock.advance(0.2)
            await driver.read()

    await run(2.0, kept_w=1000)
    assert driver.setpoint_problem is not None
    await run(1.0)
    assert (await driver.read()).setpoint_w == 0
    await run(SOUND_AFTER_S)
    assert driver.setpoint_problem is None
    await run(0.4)
    assert (await driver.read()).setpoint_w == 3000


async def test_zero_that_is_not_taken_is_written_again_while_the_countdown_is_looked_for(
    tmp_path: Path, device: Device, memory_link: Any
) -> None:
    device.counts = False
    driver = make(tmp_path, device, memory_link)
    await driver.apply(InverterCommand(power_w=0))
    for _ in range(7):
        device.holding[42] = 5000
        device.clock.advance(0.2)
        await driver.read()
        await driver.apply(InverterCommand(power_w=0))
    assert driver.setpoint_problem is not None
    assert device.holding[42] == 0


async def test_an_order_that_is_not_taken_is_not_prolonged(tmp_path: Path, device: Device, memory_link: Any) -> None:
    driver = make(tmp_path, device, memory_link)
    await armed(driver, device)
    await driver.apply(InverterCommand(power_w=-2000))
    genuine = device.registers.write
    device.registers.write = lambda address, values: True if address == 42 else genuine(address, values)
    for _ in range(10):
        device.clock.advance(0.2)
        await driver.read()
        await driver.apply(InverterCommand(power_w=0))
    assert driver.setpoint_problem is not None
    before_s = device.refreshed_s
    for _ in range(20):
        device.clock.advance(0.2)
        assert (await driver.read()).fault is not None
        await driver.apply(InverterCommand(power_w=0))
    assert device.refreshed_s == before_s


@pytest.mark.parametrize(
    ("address", "value", "fault", "connected"),
    [
        (2, 3, "state failed", False),
        (2, 1, None, False),
        (2, 9, None, False),
        (4, 5, "hot", True),
        (4, 6, "code 6", True),
    ],
)
async def test_states_and_fault_codes(
    tmp_path: Path, device: Device, memory_link: Any, address: int, value: int, fault: str | None, connected: bool
) -> None:
    device.input[address] = value
    reading = await make(tmp_path, device, memory_link).read()
    assert (reading.fault, reading.connected) == (fault, connected)


async def test_a_heartbeat_passes_what_means_not_available_and_begins_where_there_is_none(
    tmp_path: Path, device: Device, memory_link: Any
) -> None:
    point = "  heartbeat: { table: holding, address: 50, access: rw, order: 9, nan: [65535, 0] }\n"
    text = VENDOR.replace("points:\n", f"points:\n{point}")
    beats = []
    for start in (65535, 65533):
        device.holding[50] = start
        driver = make(tmp_path, device, memory_link, text)
        for _ in range(3):
            await driver.apply(InverterCommand(power_w=100))
            beats.append(device.holding[50])
    assert beats == [1, 2, 3, 65534, 1, 2]


async def test_another_device_is_not_commanded(tmp_path: Path, device: Device, memory_link: Any) -> None:
    device.input[0] = 78
    with pytest.raises(DeviceError, match="it is no vendor: input register 0 is 78, wanted 77"):
        await make(tmp_path, device, memory_link).apply(InverterCommand(power_w=1))
    assert device.registers.writes == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("reversion: {", "# reversion: {", "states no reversion to zero"),
        ("access: rw, order: 1", "access: w, order: 1", "set-point cannot be read back"),
        ("written: reversion_timeout_s, remaining", "remaining", None),
        (", remaining: reversion_remaining_s", "", "neither a countdown nor the echo"),
        ("min: 1, max: 60", "min: 10, max: 60", "its reversion time is 10.0 to 60.0 s; reversion_s is 3"),
    ],
)
def test_a_map_without_a_reversion_that_can_be_seen_says_why_it_may_not_discharge(
    tmp_path: Path, device: Device, memory_link: Any, old: str, new: str, said: str | None
) -> None:
    assert old in VENDOR
    problem = make(tmp_path, device, memory_link, VENDOR.replace(old, new)).reversion_problem
    assert problem == said if said is None else said in str(problem)


async def test_direction_and_magnitude_make_a_signed_set_point(
    tmp_path: Path, device: Device, memory_link: Any
) -> None:
    text = VENDOR.replace(
        "  setpoint_w:            { table: holding, address: 42, type: int16, scale: -1, access: rw, order: 1 }",
        "  direction: { table: holding, address: 42, access: rw, values: { 170: charge, 187: discharge, 204: idle } }\n"
        "  setpoint_magnitude_w: { table: holding, address: 43, access: rw }",
    )
    driver = make(tmp_path, device, memory_link, text)
    for power_w, registers in ((1500, [170, 1500]), (-1500, [187, 1500]), (0, [204, 0])):
        await driver.apply(InverterCommand(power_w=power_w))
        assert device.holding[42:44] == registers
        assert (await driver.read()).setpoint_w == power_w


async def test_the_echo_of_a_heartbeat_is_a_proof(tmp_path: Path, device: Device, memory_link: Any) -> None:
    text = VENDOR.replace("written: reversion_timeout_s, remaining: reversion_remaining_s", "echo: heartbeat_echo")
    text = text.replace("reversion_remaining_s:", "heartbeat_echo:").replace(
        "states:", "  heartbeat: { table: holding, address: 43, access: rw, order: 1 }\nstates:"
    )
    driver = make(tmp_path, device, memory_link, text)
    follows = True

    def before_read(table: object) -> None:
        if follows:
            device.input[3] = device.holding[43]

    device.registers.before_read = before_read
    seen = []
    for _ in range(3):
        await driver.apply(InverterCommand(power_w=100))
        device.clock.advance(0.4)
        seen.append((await driver.read()).reversion_armed)
    assert seen == [False, True, True]
    follows = False
    for _ in range(8):
        await driver.apply(InverterCommand(power_w=100))
        device.clock.advance(0.5)
        reading = await driver.read()
    assert (reading.reversion_armed, driver.reversion_problem) == (False, "its reversion to zero does not run any more")


def test_functions_of_the_site_are_lacking(tmp_path: Path, device: Device, memory_link: Any) -> None:
    settings = DeviceSettings(support=SupportSettings(volt_watt=VoltWatt()))
    driver = make(tmp_path, device, memory_link, settings=settings)
    assert "volt_watt" in (driver.lacks or {})
    assert make(tmp_path, device, memory_link).lacks is None


def test_a_ramp_rate_is_lacking_with_and_without_functions_of_the_site(
    tmp_path: Path, device: Device, memory_link: Any
) -> None:
    lacking = {"ramp_rate": "the register map vendor has none"}
    assert make(tmp_path, device, memory_link, ramp_w_s=500.0).lacks == lacking
    settings = DeviceSettings(support=SupportSettings(frequency_droop=None))
    assert make(tmp_path, device, memory_link, ramp_w_s=500.0, settings=settings).lacks == lacking


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  setpoint_w: ", "  setpoint: ", "one of setpoint_w"),
        ("max_charge_w: 8000, ", "", "max_charge_w missing"),
        ("running: [running], ", "", "nothing tells when it can deliver"),
        ("  power_w: ", "  power: ", "power_w missing"),
        ("  setpoint_w: ", "  direction: ", "one of setpoint_w"),
        ("access: rw, order: 1", "access: rw, order: 1, min: 500", "setpoint_w: min to max leave out 0"),
        ("access: rw, order: 1", "access: rw, order: 1, max: -500", "setpoint_w: min to max leave out 0"),
    ],
)
def test_a_map_that_lacks_what_the_driver_needs_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in VENDOR
    (tmp_path / "vendor.yaml").write_text(VENDOR.replace(old, new))
    with pytest.raises(DeviceError, match=said):
        load_inverter_map("vendor.yaml", tmp_path)


async def test_an_order_that_is_refused_half_way_is_taken_back_by_the_zero_that_follows(
    tmp_path: Path, device: Device, memory_link: Any
) -> None:
    text = VENDOR.replace(
        "states:", "  enable:                { table: holding, address: 50, access: rw, order: 2 }\nstates:"
    )
    driver = make(tmp_path, device, memory_link, text)
    await driver.apply(InverterCommand(power_w=0))
    device.registers.missing = {50}
    with pytest.raises(DeviceError):
        await driver.apply(InverterCommand(power_w=3000))
    assert device.holding[42] == 65536 - 3000
    device.registers.missing = set()
    await driver.apply(InverterCommand(power_w=0))
    assert device.holding[42] == 0


async def test_bits_beside_ours_stay_as_they_are(tmp_path: Path, device: Device, memory_link: Any) -> None:
    text = VENDOR.replace(
        "states:", "  enable:                { table: holding, address: 50, bit: 0, access: rw, order: 2 }\nstates:"
    )
    device.holding[50] = 0b1010_0000
    driver = make(tmp_path, device, memory_link, text)
    await driver.apply(InverterCommand(power_w=1000))
    assert device.holding[50] == 0b1010_0001
