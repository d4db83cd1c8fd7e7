"""The DC output driver against a device in memory; once over a real server."""

from __future__ import annotations

from typing import Any

import pytest

from v2g.clock import ManualClock, SystemClock
from v2g.hardware.dc_evse import ROLES, RegisterMapEvse
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
    device.tables["input"][1] = 2
    with pytest.raises(DeviceError, match="it is no v2g-dc-evse: input register 1 is 2, wanted 1"):
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
