"""The plant behind its wires: a plain Modbus client against its devices."""

from __future__ import annotations

import asyncio

import pytest

from support.running_plant import EVSE, Running, sunspec
from v2g.clock import SystemClock
from v2g.grid.support import FrequencyDroop, SupportSettings, VoltVar
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.modbus import ModbusEndpoint, ModbusLink
from v2g.hardware.ports import InverterCommand
from v2g.hardware.register_map import RegisterImage, load_map
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.codec import load_repeated
from v2g.hardware.sunspec.inverter import SunSpecInverter
from v2g.simulation.battery import BatteryModel
from v2g.simulation.plant_client import Cable, PlantRefused


async def test_the_inverter_is_a_sunspec_device_from_one_end_to_the_other(running: Running) -> None:
    client = await running.inverter()
    assert (await client.read_holding_registers(40000, count=2)).registers == [0x5375, 0x6E53]
    await running.until(lambda m: m.chargers[EVSE].connected)
    _, common = await sunspec(client, 1)
    _, measure = await sunspec(client, 701)
    _, capacity = await sunspec(client, 702)
    _, service = await sunspec(client, 703)
    assert common.get("Mn") == "Simulated"
    assert measure.number("LNV") == pytest.approx(277.0, abs=0.2)
    assert measure.number("Hz") == pytest.approx(60.0)
    assert (measure.integer("ConnSt"), measure.integer("St"), measure.integer("Alrm")) == (1, 1, 0)
    assert capacity.number("WDisChaRteMaxRtg") == 22_000.0
    assert service.number("ES") == 1


async def test_read_only_and_absent_registers_refuse_writes(running: Running) -> None:
    client = await running.inverter()
    at, measure = await sunspec(client, 701)
    assert (await client.write_register(at + measure.model.point("W").offset, 7)).isError()
    assert (await client.write_register(39_000, 7)).isError()
    control_at, control = await sunspec(client, 704)
    remaining = control.model.point("WSetRvrtRem").offset
    assert (await client.write_registers(control_at + remaining, [0, 9])).isError()


@pytest.mark.soak
async def test_set_point_and_reversion_work_over_the_wire(running: Running) -> None:
    await running.ask(do="plug", evse_id=EVSE, auto=True, keep=True)
    dc, inverter = await running.dc(), await running.inverter()
    assert not (await dc.write_registers(0, [1, 0b101, 0, 40_000, 0, 6_000])).isError()
    await running.until(lambda m: m.chargers[EVSE].vehicle_contactor_closed)
    at, control = await sunspec(inverter, 704)
    offset = control.model.point
    await inverter.write_registers(at + offset("WSetRvrt").offset, [0, 0])
    await inverter.write_registers(at + offset("WSetEnaRvrt").offset, [1])
    await inverter.write_registers(at + offset("WSetRvrtTms").offset, [0, 1])
    await inverter.write_registers(at + offset("WSetEna").offset, [1, 1, *control.encode("WSet", 5_000)])
    _, control = await sunspec(inverter, 704)
    assert (control.number("WSet"), control.number("WSetEna"), control.number("WSetRvrtRem")) == (5_000.0, 1, 1)
    await running.until(lambda m: abs(m.ac_w + 5_000.0) < 1.0)
    _, measure = await sunspec(inverter, 701)
    assert measure.number("W") == pytest.approx(5_000.0, abs=1.0)
    await running.until(lambda m: m.ac_w == 0.0)
    _, control = await sunspec(inverter, 704)
    assert (control.number("WSet"), control.number("WSetRvrtRem")) == (0, 0)
    assert running.plant.socket.measure().chargers[EVSE].reversions == 1


@pytest.mark.soak
async def test_the_production_driver_configures_the_plants_inverter_over_the_wire(running: Running) -> None:
    clock = SystemClock()
    link = ModbusLink(
        "inverter", ModbusEndpoint("127.0.0.1", running.config.evses[0].inverter_port), clock, lambda: 0.0
    )
    support = SupportSettings(frequency_droop=FrequencyDroop(k_of=0.04), volt_var=VoltVar())
    driver = SunSpecInverter(EVSE, link, clock, 1, DeviceSettings(support=support))
    made = running.plant.engine.site.chargers[EVSE].inverter.functions
    async with asyncio.timeout(5.0):
        while driver.lacks is None:
            assert (await driver.read()).anti_islanding
            await asyncio.sleep(0.05)
    assert driver.lacks == {}
    assert (made.droop.enabled, made.droop.k_of) == (True, 0.04)
    assert (made.volt_var.enabled, made.volt_var.points[0]) == (True, (92, 44))
    await driver.apply(InverterCommand(power_w=5_000.0, reactive_var=1_500.0))
    assert (made.var_set.enabled, made.var_set.var) == (True, -1_500.0)
    await running.until(lambda m: not made.var_set.var)
    await driver.close()


async def test_the_set_in_force_takes_no_writes(running: Running) -> None:
    client = await running.inverter()
    at, fixed = await sunspec(client, 705)
    model = load_repeated(705, (fixed.integer("NCrv") or 0, fixed.integer("NPt") or 0))
    for name, refused in (("Crv[1].Pt[1].V", True), ("Crv[2].Pt[1].V", False), ("Crv[2].ReadOnly", True)):
        assert (await client.write_register(at + model.point(name).offset, 0)).isError() is refused


@pytest.mark.soak
async def test_the_dc_evse_speaks_its_register_map(running: Running) -> None:
    client, map_ = await running.dc(), load_map("v2g-dc-evse")
    image = RegisterImage(map_)

    async def read() -> RegisterImage:
        for block in map_.read_blocks():
            assert block.table is Table.INPUT
            image.load(block, (await client.read_input_registers(block.address, count=block.count)).registers)
        return image

    assert (await read()).wrong_identity() is None
    assert not image.flag("plugged")
    await running.ask(do="plug", evse_id=EVSE, keep=True)
    assert not (await client.write_registers(0, [1, 0b111, 0, 0, 0, 0])).isError()
    await running.until(lambda m: m.chargers[EVSE].insulation == "testing")
    assert (await read()).text("insulation") == "testing"
    assert image.flag("connector_locked")
    assert image.flag("contactors_closed")
    await running.until(lambda m: m.chargers[EVSE].insulation == "valid")
    assert (await read()).number("insulation_ohm") == 2_000_000.0
    assert not (await client.write_registers(0, [1, 0, 0, 0, 0, 0])).isError()
    assert running.plant.socket.measure().chargers[EVSE].contactors_closed, "the heartbeat did not change"
    assert not (await client.write_registers(0, [2, 0, 0, 0, 0, 0])).isError()
    await running.until(lambda m: not m.chargers[EVSE].contactors_closed)
    assert (await client.write_register(90, 1)).isError()


async def test_a_vehicle_toggles_its_pilot_at_the_dc_evse_which_can_be_ordered_to_say_state_f(running: Running) -> None:
    client, map_ = await running.dc(), load_map("v2g-dc-evse")
    image = RegisterImage(map_)

    async def read() -> RegisterImage:
        for block in map_.read_blocks():
            image.load(block, (await client.read_input_registers(block.address, count=block.count)).registers)
        return image

    cable = await Cable.plug(running.run_dir / "plant.sock", EVSE, "car", 0.5, BatteryModel())
    await cable.toggle(2, 0.01)
    await cable.ready(True)
    assert ((await read()).text("pilot_state"), image.number("pilot_toggles")) == ("C", 2)
    assert not (await client.write_registers(0, [1, 0b1000, 0, 0, 0, 0])).isError()
    await running.until(lambda m: m.chargers[EVSE].pilot == "F")
    assert ((await read()).text("pilot_state"), image.flag("plugged")) == ("F", True)
    assert not (await client.write_registers(0, [2, 0, 0, 0, 0, 0])).isError()
    assert (await read()).text("pilot_state") == "C"
    await cable.close()
    await running.until(lambda m: (m.chargers[EVSE].pilot, m.chargers[EVSE].pilot_toggles) == ("A", 0))
    with pytest.raises(PlantRefused, match="not plugged in"):
        await running.ask(do="ready", ready=True)


async def test_transducers_and_the_loss_of_one(running: Running) -> None:
    client = await running.modbus(running.config.transducers_port)
    truth = running.plant.socket.measure().transformer
    values = [v / 10 for v in (await client.read_input_registers(0, count=3)).registers]
    assert values == pytest.approx([truth.top_oil_c, truth.ambient_c, truth.hot_spot_c], abs=0.5)
    await running.ask(do="fault", fault="sensor_loss", sensor="top_oil_c")
    assert (await client.read_input_registers(0, count=1)).registers == [0x8000]
    await running.ask(do="clear")
    assert (await client.read_input_registers(0, count=1)).registers[0] != 0x8000


async def test_a_gain_and_a_stress_show_in_the_registers_and_end_with_the_fault(running: Running) -> None:
    client = await running.modbus(running.config.transducers_port)
    await running.ask(do="fault", fault="set", winding_stress_mpa=120.0, top_oil_c=60.0)

    async def shown() -> list[float]:
        return [v / 10 for v in (await client.read_input_registers(0, count=4)).registers]

    assert (await shown())[3] == pytest.approx(120.0, abs=0.5)
    await running.ask(do="fault", fault="sensor_gain", sensor="top_oil_c", gain=1.1)
    await running.ask(do="fault", fault="sensor_gain", sensor="v_bus_a", gain=0.97)
    await running.ask(do="fault", fault="sensor_loss", sensor="winding_stress_mpa")
    values = await shown()
    assert values[0] == pytest.approx(66.0, abs=0.5)
    assert values[3] == 0x8000 / 10
    assert 0.97 in running.plant.engine.recorder.gains.values()
    with pytest.raises(PlantRefused, match="unknown sensor 'nose'"):
        await running.ask(do="fault", fault="sensor_gain", sensor="nose", gain=1.1)
    await running.ask(do="clear")
    values = await shown()
    assert (values[0], values[3]) == (pytest.approx(60.0, abs=0.5), pytest.approx(120.0, abs=0.5))
    assert set(running.plant.engine.recorder.gains.values()) == {1.0}
