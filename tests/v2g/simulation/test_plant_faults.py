"""The plant's faults and contacts, by its socket: they show on the wires and end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest
from pymodbus.exceptions import ModbusException

from support.running_plant import EVSE, Running, sunspec
from v2g.clock import SystemClock
from v2g.hardware.contact import ContactReader
from v2g.hardware.modbus import ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table
from v2g.hardware.waveform import WaveformError, WaveformReader, WaveformWindow, WriterGone
from v2g.simulation.battery import BatteryModel
from v2g.simulation.inverter import EFFICIENCY
from v2g.simulation.plant_client import Cable, PlantNotReachable, PlantRefused
from v2g.simulation.waveforms import InverterSide

pytestmark = pytest.mark.soak


async def test_a_stalled_device_takes_requests_and_never_answers(running: Running) -> None:
    client = await running.inverter()
    number = (await running.ask(do="fault", fault="stall", device=f"inverter {EVSE}"))["id"]
    with pytest.raises(ModbusException):
        await client.read_holding_registers(40000, count=2)
    await running.ask(do="clear", id=number)
    fresh = await running.inverter()
    assert (await fresh.read_holding_registers(40000, count=2)).registers[0] == 0x5375


async def test_a_disconnected_device_is_gone_and_comes_back(running: Running) -> None:
    client = await running.dc()
    await running.ask(do="fault", fault="disconnect", device=f"dc {EVSE}")
    with pytest.raises(ModbusException):
        await client.read_input_registers(0, count=2)
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await asyncio.open_connection("127.0.0.1", running.config.evses[0].dc_port)
    await running.ask(do="clear")
    again = await running.dc()
    assert (await again.read_input_registers(0, count=1)).registers == [0x5645]


async def test_a_fault_with_a_duration_ends_by_itself(running: Running) -> None:
    await running.ask(do="fault", fault="voltage", pu=[1.0, 0.5, 1.0], for_s=0.05)
    assert running.plant.socket.measure().grid.v_pu == (1.0, 0.5, 1.0)
    await running.until(lambda m: m.faults == [])
    assert running.plant.socket.measure().grid.v_pu == (1.0, 1.0, 1.0)


async def test_a_late_device_answers_after_its_delay(running: Running) -> None:
    client = await running.modbus(running.config.transducers_port)
    await running.ask(do="fault", fault="late", device="transducers", delay_s=0.1)
    before = SystemClock().monotonic_s()
    assert len((await client.read_input_registers(0, count=3)).registers) == 3
    assert SystemClock().monotonic_s() - before >= 0.1


async def test_a_lying_device_shows_what_it_was_told(running: Running) -> None:
    client = await running.inverter()
    await running.ask(do="fault", fault="lie", device=f"inverter {EVSE}", values={"701.W": 9_999.0})
    _, measure = await sunspec(client, 701)
    assert measure.number("W") == 9_999.0
    assert running.plant.socket.measure().ac_w == 0.0
    await running.ask(do="clear")
    _, measure = await sunspec(client, 701)
    assert measure.number("W") == 0.0


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"do": "dance"}, "dance"),
        ({"do": "fault", "fault": "earthquake"}, "earthquake"),
        ({"do": "fault", "fault": "stall", "device": "toaster"}, "known are inverter"),
        ({"do": "fault", "fault": "sensor_loss", "sensor": "nose"}, "known are waveform"),
        ({"do": "fault", "fault": "deaf", "evse_id": "E9"}, "unknown EVSE"),
        ({"do": "fault", "fault": "frequency", "hz": -3}, "1..200 Hz"),
        ({"do": "fault", "fault": "frequency", "hz": "fast"}, "hz"),
        ({"do": "fault", "fault": "lie", "device": "transducers", "values": {"x": 1}}, "no point x"),
        ({"do": "fault", "fault": "phase_swap", "phases": ["b", "b"]}, "two different ones"),
        ({"do": "fault", "fault": "phase_offset", "degrees": [1, 2]}, "one value, or three"),
        ({"do": "fault", "fault": "phase_offset", "degrees": 1, "evse_id": EVSE}, "no voltage channels of its own"),
        ({"do": "clear", "id": 77}, "no fault 77"),
        ({"do": "plug", "evse_id": "E9"}, "unknown EVSE"),
        ({"do": "plug", "evse_id": EVSE, "soc": 7}, "outside 0..1"),
        ({"do": "unplug"}, "needs evse_id"),
        ({"do": "unplug", "evse_id": EVSE}, "nothing is plugged"),
        ({"do": "contactor", "closed": True}, "not plugged in"),
    ],
)
async def test_a_bad_request_gets_an_error_in_words_and_changes_nothing(running, request_, words) -> None:
    with pytest.raises(PlantRefused, match=words):
        await running.ask(**request_)
    assert running.plant.socket.measure().faults == []


async def test_garbage_on_the_socket_harms_nobody(running: Running) -> None:
    _, writer = await asyncio.open_unix_connection(str(running.run_dir / "plant.sock"))
    writer.write(b"\x00\xff{{{\n" + b"x" * 200_000)
    await writer.drain()
    assert (await running.ask(do="measure"))["measurement"]["breaker"]
    writer.close()


async def test_a_frequency_step_is_dated_and_seen_in_the_buffer(running: Running) -> None:
    await running.ask(do="fault", fault="frequency", hz=62.5)
    measured = running.plant.socket.measure()
    assert measured.grid.last_event_at_s is not None
    assert abs(SystemClock().monotonic_s() - measured.grid.last_event_at_s) < 0.5
    await asyncio.sleep(0.15)
    window = WaveformReader(running.run_dir / "waveform").latest(256)
    rising = [i for i in range(1, 256) if window.samples[i - 1, 0] < 0 <= window.samples[i, 0]]
    period = (rising[-1] - rising[0]) / (len(rising) - 1)
    assert 3840 / period == pytest.approx(62.5, rel=0.02)


async def test_the_breaker_opens_when_nobody_holds_it(running: Running) -> None:
    await running.until(lambda m: m.breaker.closed)
    running.hold_closed = False
    let_go_s = SystemClock().monotonic_s()
    await running.until(lambda m: not m.breaker.closed)
    opened_s = running.plant.socket.measure().breaker.changed_at_s
    assert opened_s is not None
    assert 0.4 < opened_s - let_go_s < 0.7, "500 ms of hold-to-close and 50 ms of opening"


async def test_a_stuck_breaker_does_not_follow(running: Running) -> None:
    await running.until(lambda m: m.breaker.closed)
    await running.ask(do="fault", fault="breaker_stuck", state="open")
    await running.until(lambda m: not m.breaker.closed)
    assert running.plant.socket.measure().breaker.commanded
    await running.ask(do="clear")
    await running.until(lambda m: m.breaker.closed)


async def test_the_relay_opens_and_its_contact_says_so(running: Running) -> None:
    await running.until(lambda m: m.breaker.closed)
    contact, clock = ContactReader(running.run_dir / "relay"), SystemClock()
    assert contact.is_closed(clock.monotonic_s()) is True
    await running.ask(do="fault", fault="relay", state="open")
    await running.until(lambda m: not m.relay.closed)
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is False)
    contact.close()


@pytest.mark.parametrize(("name", "file"), [("emergency_stop", "estop"), ("door", "door")])
async def test_an_interlock_opens_its_contact(running: Running, name: str, file: str) -> None:
    contact, clock = ContactReader(running.run_dir / file), SystemClock()
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is True)
    answer = await running.ask(do="fault", fault="interlock", name=name)
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is False)
    await running.ask(do="clear", id=answer["id"])
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is True)
    contact.close()


async def test_an_interlock_that_is_not_told_any_more_is_unknown_after_half_a_second(running: Running) -> None:
    contact, clock = ContactReader(running.run_dir / "estop"), SystemClock()
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is True)
    await running.ask(do="fault", fault="interlock", name="emergency_stop", told=False)
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is None)
    contact.close()


async def test_an_inverter_may_waste_more_than_it_should(running: Running) -> None:
    await running.ask(do="fault", fault="efficiency", evse_id=EVSE, value=0.9)
    assert running.plant.engine.site.chargers[EVSE].inverter.efficiency == 0.9
    await running.ask(do="clear")
    assert running.plant.engine.site.chargers[EVSE].inverter.efficiency == EFFICIENCY


async def test_a_relay_without_feedback_is_unknown_after_half_a_second(running: Running) -> None:
    contact, clock = ContactReader(running.run_dir / "relay"), SystemClock()
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is True)
    await running.ask(do="fault", fault="relay", feedback=False)
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is None)
    await running.ask(do="clear")
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is True)
    contact.close()


async def test_a_loss_of_mains_is_told_and_leaves_a_dead_bus_without_vehicles(running: Running) -> None:
    contact, clock = ContactReader(running.run_dir / "mains"), SystemClock()
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is True)
    number = (await running.ask(do="fault", fault="mains_loss"))["id"]
    await running.until(lambda m: contact.is_closed(clock.monotonic_s()) is False and max(m.grid.v_pu) < 0.01)
    await running.ask(do="clear", id=number)
    await running.until(lambda m: m.grid.mains_closed and m.grid.v_pu == (1.0, 1.0, 1.0))
    contact.close()


async def test_a_loss_of_mains_that_is_not_told_leaves_the_input_as_it_was(running: Running) -> None:
    contact, clock = ContactReader(running.run_dir / "mains"), SystemClock()
    await running.ask(do="fault", fault="mains_loss", told=False)
    await running.until(lambda m: not m.grid.mains_closed and max(m.grid.v_pu) < 0.01)
    assert contact.is_closed(clock.monotonic_s()) is True
    contact.close()


async def test_offset_and_swap_reach_the_recorder_and_go_again(running: Running) -> None:
    recorder = running.plant.engine.recorder
    await running.ask(do="fault", fault="phase_offset", degrees=7)
    await running.ask(do="fault", fault="phase_swap", phases=["b", "c"])
    assert (recorder.feeder_side.offset_deg, recorder.feeder_side.order) == ((7, 7, 7), (0, 2, 1))
    await running.ask(do="clear")
    assert recorder.feeder_side == InverterSide()


async def test_a_cable_carries_ticks_and_the_plug_comes_out_with_it(running: Running) -> None:
    cable = await Cable.plug(running.run_dir / "plant.sock", EVSE, "car", 0.5, BatteryModel())
    async with asyncio.timeout(1.0):
        await cable.fresh.wait()
    assert cable.tick is not None
    assert (cable.tick.soc, cable.tick.contactor_closed) == (0.5, False)
    await cable.contactor(True)
    assert running.plant.socket.measure().chargers[EVSE].vehicle_contactor_closed
    with pytest.raises(PlantRefused, match="plugged in already"):
        await Cable.plug(running.run_dir / "plant.sock", EVSE, "second", 0.5, BatteryModel())
    await cable.close()
    await running.until(lambda m: not m.chargers[EVSE].plugged)
    with pytest.raises(PlantNotReachable):
        await cable.contactor(False)
    with pytest.raises(PlantNotReachable, match="no plant at"):
        await Cable.plug(running.run_dir / "other.sock", EVSE, "car", 0.5, BatteryModel())


async def window_when(reader: WaveformReader, wanted: Callable[[WaveformWindow], bool]) -> WaveformWindow:
    async with asyncio.timeout(3.0):
        while True:
            with contextlib.suppress(WaveformError):
                if wanted(window := reader.latest(64)):
                    return window
            await asyncio.sleep(0.005)


async def test_a_waveform_writer_that_is_gone_lets_go_of_the_buffer_and_another_makes_a_new_one(
    running: Running,
) -> None:
    reader = WaveformReader(running.run_dir / "waveform")
    before = await window_when(reader, lambda window: window.last_index > 1000)
    await running.ask(do="fault", fault="sensor_loss", sensor="waveform_writer")
    await asyncio.sleep(0.05)
    with pytest.raises(WriterGone):
        reader.latest(64)
    assert reader.path.exists()
    await running.ask(do="clear")
    after = await window_when(reader, lambda window: window.generation > before.generation)
    assert after.last_index < before.last_index
    reader.close()


async def test_a_stopped_waveform_keeps_its_lock_and_its_last_samples(running: Running) -> None:
    reader = WaveformReader(running.run_dir / "waveform")
    await window_when(reader, lambda window: window.last_index > 100)
    await running.ask(do="fault", fault="sensor_loss", sensor="waveform")
    await asyncio.sleep(0.05)
    stopped = reader.latest(64)
    await asyncio.sleep(0.05)
    assert (reader.latest(64).last_index, reader.latest(64).as_of_s) == (stopped.last_index, stopped.as_of_s)
    await running.ask(do="clear")
    await window_when(reader, lambda window: window.last_index > stopped.last_index)
    reader.close()


async def test_a_frozen_waveform_has_a_live_heartbeat_and_one_value_in_each_channel(running: Running) -> None:
    reader, clock = WaveformReader(running.run_dir / "waveform"), SystemClock()
    await window_when(reader, lambda window: window.last_index > 100)
    await running.ask(do="fault", fault="sensor_loss", sensor="waveform_frozen")
    frozen = await window_when(reader, lambda window: bool((window.samples == window.samples[0]).all()))
    await asyncio.sleep(0.05)
    later = reader.latest(64)
    assert later.last_index > frozen.last_index
    assert clock.monotonic_s() - later.as_of_s < 0.1
    assert (later.samples == frozen.samples).all()
    await running.ask(do="clear")
    await window_when(reader, lambda window: bool((window.samples != window.samples[0]).any()))
    reader.close()


async def test_samples_are_never_older_than_the_guard_accepts(running: Running) -> None:
    reader, clock = WaveformReader(running.run_dir / "waveform"), SystemClock()
    await asyncio.sleep(0.1)
    ages = []
    for _ in range(50):
        ages.append(clock.monotonic_s() - reader.latest(64).as_of_s)
        await asyncio.sleep(0.005)
    assert sorted(ages)[len(ages) // 2] < 0.03


async def test_distortion_and_hot_switches_are_faults_that_end(running: Running) -> None:
    bridge = running.plant.engine.site.chargers[EVSE].inverter.bridge
    await running.ask(do="fault", fault="distortion", thd=0.06)
    await running.ask(do="fault", fault="switch_temperature", evse_id=EVSE, temperature_c=95.0)
    _, measure = await sunspec(await running.inverter(), 701)
    assert bridge.thd == 0.06
    assert measure.number("TmpSw") == 95.0
    await running.ask(do="clear")
    assert bridge.thd == 0.0
    assert bridge.temperature_c < 90.0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"fault": "refuse", "exception": 6}, "is busy"),
        ({"fault": "wrong_unit", "unit": 9}, "unit 9 answered instead of 1"),
        ({"fault": "wrong_length", "by": 2}, "answered with 3 registers"),
        ({"fault": "tear", "every": 1}, None),
    ],
)
async def test_wrong_answers_come_and_go_as_faults(
    running: Running, fault: dict[str, object], said: str | None
) -> None:
    device = running.plant.devices["transducers"]
    endpoint = ModbusEndpoint("127.0.0.1", running.config.transducers_port)
    link = ModbusLink("transducers", endpoint, SystemClock(), lambda: 0.0)
    number = (await running.ask(do="fault", device="transducers", **fault))["id"]
    if said is None:
        assert device.tear_every == 1
    else:
        with pytest.raises(DeviceError, match=said):
            await link.read(Table.INPUT, 0, 1)
    await running.ask(do="clear", id=number)
    assert device.tear_every == 0
    assert len(await link.read(Table.INPUT, 0, 1)) == 1
    await link.close()
