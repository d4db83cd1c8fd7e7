"""The DC output driver against a device in memory; once over a real server."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Any

import pytest

from v2g.clock import ManualClock, SystemClock
from v2g.hardware.dc_evse import ROLES, RegisterMapEvse, load_dc_map
from v2g.hardware.modbus import ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DcEvseCommand, DeviceError, Insulation
from v2g.hardware.register_map import load_map

MAP = load_map("v2g-dc-evse", roles=ROLES)


@pytest.fixture
def device(fake_evse: Any) -> Any:
    return fake_evse()


@pytest.fixture
def driver(device: Any, memory_link: Any, clock: ManualClock) -> RegisterMapEvse:
    return RegisterMapEvse("US*V2G*E1", memory_link(device), MAP, clock)


async def test_reads_everything_in_units(driver: RegisterMapEvse, device: Any, clock: ManualClock) -> None:
    device.set("present_current_a", -25.37)
    device.set("discharged_energy_wh", 330.5)
    reading = await driver.read()
    assert reading.as_of_s == clock.monotonic_s()
    assert reading.present_voltage_v == 400.0
    assert reading.present_current_a == pytest.approx(-25.37)
    assert reading.insulation is Insulation.VALID
    assert reading.insulation_ohm == 1e6
    assert (reading.max_voltage_v, reading.min_voltage_v) == (900.0, 150.0)
    assert (reading.max_current_a, reading.max_power_w) == (60.0, 22_000.0)
    assert reading.discharged_energy_wh == pytest.approx(330.5)
    assert (reading.plugged, reading.contactors_closed, reading.connector_locked) == (True, False, False)
    assert reading.fault is None


async def test_a_command_is_one_write_with_a_new_heartbeat(driver: RegisterMapEvse, device: Any) -> None:
    command = DcEvseCommand(target_voltage_v=412.34, current_limit_a=30.5, close_contactors=True, lock_connector=True)
    await driver.apply(command)
    await driver.apply(command)
    assert [address for address, _ in device.writes] == [0, 0]
    first, second = (values for _, values in device.writes)
    assert first[1:] == second[1:] == [0b101, 0, 41234, 0, 3050]
    assert second[0] == first[0] + 1
    reading = await driver.read()
    assert reading.contactors_closed
    assert reading.contactors_commanded
    assert reading.connector_locked


async def test_the_heartbeat_goes_on_from_the_devices_and_wraps(
    driver: RegisterMapEvse, device: Any, memory_link: Any
) -> None:
    device.image.set("heartbeat", 65534)
    device.tables["holding"][:6] = device.image.registers(MAP.write_block())
    for _ in range(3):
        await driver.apply(DcEvseCommand())
    assert [values[0] for _, values in device.writes] == [65535, 0, 1]


async def test_feedback_is_what_the_contactors_do_not_what_they_are_told(driver: RegisterMapEvse, device: Any) -> None:
    device.stuck = True
    await driver.apply(DcEvseCommand(close_contactors=True))
    reading = await driver.read()
    assert not reading.contactors_closed
    assert reading.contactors_commanded


@pytest.mark.parametrize(
    ("raw", "insulation"),
    [(0, "unknown"), (1, "testing"), (2, "valid"), (3, "fault"), (9, "unknown")],
)
async def test_insulation_states(driver: RegisterMapEvse, device: Any, raw: int, insulation: str) -> None:
    device.tables["input"][3] = raw
    assert (await driver.read()).insulation == insulation


async def test_faults_are_told_in_words(driver: RegisterMapEvse, device: Any) -> None:
    device.image.set_fault("contactor welded", True)
    device.image.set_fault("over-temperature", True)
    device.show()
    assert (await driver.read()).fault == "contactor welded, over-temperature"


async def test_another_device_is_neither_believed_nor_commanded(driver: RegisterMapEvse, device: Any) -> None:
    device.tables["input"][1] = 1
    with pytest.raises(DeviceError, match="it is no v2g-dc-evse: input register 1 is 1, wanted 3"):
        await driver.read()
    with pytest.raises(DeviceError, match="it is no v2g-dc-evse"):
        await driver.apply(DcEvseCommand(close_contactors=True))
    assert device.writes == []


async def test_over_a_real_server(serve: Any, device: Any) -> None:
    served = await serve(device)
    link = ModbusLink("DC output", ModbusEndpoint("127.0.0.1", served.port), SystemClock(), lambda: 0.0)
    driver = RegisterMapEvse("US*V2G*E1", link, MAP, SystemClock())
    await driver.apply(DcEvseCommand(close_contactors=True, current_limit_a=5))
    assert (await driver.read()).contactors_closed
    before = served.requests
    await driver.read()
    await driver.apply(DcEvseCommand())
    assert served.requests - before == 2
    await driver.close()


VENDOR = """
name: vendor
kind: dc_evse
watchdog_s: 5
ratings: { max_voltage_v: 500, min_voltage_v: 50, max_current_a: 40, max_power_w: 15000 }
writes:
  - { address: 900, value: 3 }
points:
  contactors_closed: { table: input, address: 10, bit: 4 }
  plugged:           { table: input, address: 10, bit: 0 }
  insulation:        { table: input, address: 11, values: { 0: fault, 1: valid } }
  insulation_ohm:    { table: input, address: 12, scale: 1000 }
  present_voltage_v: { table: input, address: 13, scale: 0.1 }
  present_current_a: { table: input, address: 14, type: int16, scale: -0.1, nan: [0x7FFF] }
  target_voltage_v:  { table: holding, address: 100, scale: 0.1, access: rw }
  current_limit_a:   { table: holding, address: 101, scale: 0.1, access: rw }
  test_insulation:   { table: holding, address: 200, bit: 1, access: rw, order: 1 }
  close_contactors:  { table: holding, address: 200, bit: 0, access: rw, order: 1 }
"""


@pytest.fixture
def vendor(tmp_path: Path, registers: Any, memory_link: Any, clock: ManualClock) -> RegisterMapEvse:
    (tmp_path / "vendor.yaml").write_text(VENDOR)
    registers.tables["input"][10:15] = [0b1, 1, 2000, 4000, 100]
    return RegisterMapEvse("US*V2G*E1", memory_link(registers), load_dc_map("vendor.yaml", tmp_path), clock)


async def test_a_module_without_lock_heartbeat_counters_and_rating_registers_is_read(vendor: RegisterMapEvse) -> None:
    reading = await vendor.read()
    assert (reading.present_voltage_v, reading.present_current_a) == (400.0, -10.0)
    assert (reading.max_voltage_v, reading.min_voltage_v) == (500.0, 50.0)
    assert (reading.max_current_a, reading.max_power_w) == (40.0, 15_000.0)
    assert (reading.connector_locked, reading.plugged, reading.contactors_closed) == (True, True, False)
    assert (reading.insulation_ohm, reading.insulation) == (2e6, "valid")
    assert (reading.pilot, reading.contactors_commanded) == (None, False)
    assert isnan(reading.charged_energy_wh), "no counter is not a counter at zero: an honest vehicle would seem to lie"
    assert isnan(reading.discharged_energy_wh)


async def test_commands_go_in_their_order_and_the_mode_once_a_connection(
    vendor: RegisterMapEvse, registers: Any, memory_link: Any
) -> None:
    command = DcEvseCommand(target_voltage_v=400, current_limit_a=12.5, close_contactors=True)
    await vendor.apply(command)
    assert registers.writes == [(100, [4000, 125]), (900, [3]), (200, [1])]
    registers.writes.clear()
    await vendor.apply(command)
    assert registers.writes == [(100, [4000, 125]), (200, [1])]
    assert (await vendor.read()).contactors_commanded
    vendor._link.lose = 1
    with pytest.raises(DeviceError):
        await vendor.read()
    assert not (await vendor.read()).contactors_commanded


async def test_a_current_that_is_not_available_is_no_reading(vendor: RegisterMapEvse, registers: Any) -> None:
    registers.tables["input"][14] = 0x7FFF
    with pytest.raises(DeviceError, match="it has no present_current_a"):
        await vendor.read()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max_current_a: 40, ", "", "max_current_a missing"),
        ("insulation:  ", "isolation:  ", "insulation missing"),
        (
            "  test_insulation:",
            "  lock_connector: { table: holding, address: 300, access: rw }\n  test_insulation:",
            "belong",
        ),
        (
            "  test_insulation:",
            "  heartbeat: { table: holding, address: 90, access: rw }\n  test_insulation:",
            "after all other",
        ),
        (
            "  test_insulation:",
            "  earth_ok: { table: input, address: 20 }\n  test_insulation:",
            "pilot_high_v or pilot_state missing",
        ),
    ],
)
def test_a_module_map_that_lacks_what_safety_needs_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in VENDOR
    (tmp_path / "vendor.yaml").write_text(VENDOR.replace(old, new))
    with pytest.raises(DeviceError, match=said):
        load_dc_map("vendor.yaml", tmp_path)


async def test_the_pilot_is_read_where_the_device_measures_it(driver: RegisterMapEvse, device: Any) -> None:
    device.set("pilot_state", "C")
    device.set("pilot_high_v", 6.02)
    device.set("pilot_low_v", float("nan"))
    pilot = (await driver.read()).pilot
    assert pilot is not None
    assert (pilot.state, pilot.high_v, pilot.low_v) == ("C", pytest.approx(6.02), None)


async def test_state_f_is_ordered_and_toggles_are_read_where_the_map_has_them(
    driver: RegisterMapEvse, device: Any
) -> None:
    assert driver.signals_pilot_error
    await driver.apply(DcEvseCommand(pilot_error=True))
    assert device.writes[-1][1][1] == 0b1000
    await driver.apply(DcEvseCommand())
    assert device.writes[-1][1][1] == 0
    device.set("pilot_toggles", 3)
    pilot = (await driver.read()).pilot
    assert pilot is not None
    assert pilot.toggles == 3
    device.set("pilot_toggles", float("nan"))
    pilot = (await driver.read()).pilot
    assert pilot is not None
    assert pilot.toggles is None, "not counted now"


async def test_state_f_changes_nothing_of_what_a_module_without_the_role_is_told(
    vendor: RegisterMapEvse, registers: Any
) -> None:
    await vendor.apply(DcEvseCommand(lock_connector=True))
    registers.writes.clear()
    await vendor.apply(DcEvseCommand(lock_connector=True))
    without = list(registers.writes)
    registers.writes.clear()
    await vendor.apply(DcEvseCommand(lock_connector=True, pilot_error=True))
    assert registers.writes == without
    assert not vendor.signals_pilot_error
