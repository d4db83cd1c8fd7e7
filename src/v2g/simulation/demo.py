"""The demonstration: vehicles plug in, one order, ten kilowatts flow back, measured twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pymodbus.client import ModbusTcpClient

from v2g.clock import Clock
from v2g.control.client import ControlClient, ControlError
from v2g.control.messages import DispatchParams
from v2g.hardware.sunspec.codec import END_MODEL_ID, ModelImage, load_model
from v2g.simulation.layout import HOST, Layout, SimulatedVehicle
from v2g.simulation.plant_client import PlantClient, PlantNotReachable
from v2g.simulation.plant_protocol import Measurement
from v2g.simulation.sunspec_registers import BASE_ADDRESS
from v2g.simulation.vehicle_config import read_state
from v2g.units import format_power

POWER_W = 10_000.0
TOLERANCE = 0.02
DEADLINE_S = 50.0
"""From the moment everything runs; the whole stays below a minute."""
_STEADY_S = 2.0
_SEEN_BY_DAEMON_S = 0.5
"""A vehicle knows of its first charge loop some control cycles before the daemon has counted it in."""
_MEASURE_MODEL = 701


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One EVSE, measured by the plant itself and by a Modbus client of our own. W, positive: charges."""

    evse_id: str
    vehicle: str
    soc_pct: float
    plant_w: float
    modbus_w: float
    dc_v: float
    dc_a: float


async def demonstrate(layout: Layout, clock: Clock, say: Callable[[str], None]) -> int:
    """0: the inverters' AC terminals total -10 kW within 2 %; 1: not in time."""
    deadline_s = clock.monotonic_s() + DEADLINE_S
    say(f"waiting for {len(layout.vehicles)} vehicles to reach the charge loop")
    while not all(_charging(vehicle) for _, vehicle in layout.vehicles):
        if clock.monotonic_s() > deadline_s:
            for evse, vehicle in layout.vehicles:
                state = read_state(vehicle.state)
                what = f"{state.state}, {state.last_end}" if state else "silent"
                say(f"{vehicle.evccid} at {evse.evse_id}: {what}")
            say("FAILED: not all vehicles reached the charge loop in time")
            return 1
        await asyncio.sleep(0.1)
    await asyncio.sleep(_SEEN_BY_DAEMON_S)
    say("v2g-control --dispatch --mode=discharge --power=10kW")
    ordered_s = clock.monotonic_s()
    try:
        await asyncio.to_thread(_dispatch, layout, say)
    except ControlError as error:
        say(f"FAILED: {error}")
        return 1
    reached_s = await _wait_for_power(layout, clock, deadline_s)
    readings = await asyncio.to_thread(_read_all, layout)
    for line in table(readings):
        print(line, flush=True)
    missed = [
        f"{how} {format_power(total_w)}"
        for how, total_w in (
            ("the plant measures", sum(r.plant_w for r in readings)),
            ("over Modbus it is", sum(r.modbus_w for r in readings)),
        )
        if not abs(total_w + POWER_W) <= TOLERANCE * POWER_W
    ]
    if reached_s is None or missed:
        say(f"FAILED: {', '.join(missed) or 'the power did not stay'} instead of {format_power(-POWER_W)}")
        return 1
    say(f"{format_power(-POWER_W)} within 2 %, reached {reached_s - ordered_s:.1f} s after the order")
    return 0


def table(readings: list[Reading]) -> list[str]:
    """The readings as lines of text, with their total."""
    lines = [
        "",
        f"{'EVSE':<14} {'vehicle':<14} {'SoC':>7} {'AC, plant':>11} {'AC, Modbus':>11} {'DC':>9} {'DC':>9}",
    ]
    lines += [
        f"{r.evse_id:<14} {r.vehicle:<14} {r.soc_pct:>6.2f}% {r.plant_w:>9.0f} W {r.modbus_w:>9.0f} W "
        f"{r.dc_v:>7.1f} V {r.dc_a:>7.2f} A"
        for r in readings
    ]
    plant_w, modbus_w = sum(r.plant_w for r in readings), sum(r.modbus_w for r in readings)
    lines.append(f"{'total':<14} {'':<14} {'':>7} {plant_w:>9.0f} W {modbus_w:>9.0f} W")
    return [*lines, ""]


def read_inverter_w(host: str, port: int) -> float:
    """Active power at an inverter's AC terminals (701 W), by a plain client; positive: charges. Raises OSError."""
    with ModbusTcpClient(host, port=port, timeout=2.0) as client:
        at = BASE_ADDRESS + 2
        while (number := _registers(client, at, 2)[0]) != _MEASURE_MODEL:
            if number == END_MODEL_ID:
                raise OSError(f"{host}:{port} has no SunSpec model {_MEASURE_MODEL}")
            at += 2 + _registers(client, at, 2)[1]
        image = ModelImage(load_model(_MEASURE_MODEL), _registers(client, at, 122))
    injected_w = image.number("W")
    if injected_w is None:
        raise OSError(f"{host}:{port} does not measure its power")
    return -injected_w


def _registers(client: ModbusTcpClient, address: int, count: int) -> list[int]:
    response = client.read_holding_registers(address, count=count)
    if response.isError():
        raise OSError(f"{client.comm_params.host}: {response}")
    return list(response.registers)


def _charging(vehicle: SimulatedVehicle) -> bool:
    state = read_state(vehicle.state)
    return state is not None and state.state == "charging"


def _dispatch(layout: Layout, say: Callable[[str], None]) -> None:
    with ControlClient(layout.control_socket, name="demo") as client:
        answer = client.call("dispatch", DispatchParams(mode="discharge", power_w=POWER_W))
    say(f"granted {format_power(answer['granted_w'])} of {format_power(answer['requested_w'])}")
    for shortfall in answer.get("shortfalls", ()):
        say(f"short by {format_power(shortfall['missing_w'])}: {shortfall['code']}, {shortfall['source']}")


async def _wait_for_power(layout: Layout, clock: Clock, deadline_s: float) -> float | None:
    """When the power was first there, once it stayed for two seconds; None when it did not come."""
    since_s: float | None = None
    while (now_s := clock.monotonic_s()) <= deadline_s:
        measurement = await asyncio.to_thread(_measure, layout)
        if measurement is None or abs(measurement.ac_w + POWER_W) > TOLERANCE * POWER_W:
            since_s = None
        elif since_s is None:
            since_s = now_s
        elif now_s - since_s >= _STEADY_S:
            return since_s
        await asyncio.sleep(0.1)
    return None


def _measure(layout: Layout) -> Measurement | None:
    try:
        with PlantClient(layout.plant_socket) as client:
            return client.measure()
    except PlantNotReachable:
        return None


def _read_all(layout: Layout) -> list[Reading]:
    measurement = _measure(layout)
    readings = []
    for evse, vehicle in layout.vehicles:
        charger = measurement.chargers[evse.evse_id] if measurement is not None else None
        try:
            modbus_w = read_inverter_w(HOST, evse.inverter_port)
        except OSError:
            modbus_w = float("nan")
        readings.append(
            Reading(
                evse_id=evse.evse_id,
                vehicle=vehicle.evccid,
                soc_pct=100.0 * charger.soc if charger is not None and charger.soc is not None else float("nan"),
                plant_w=charger.ac_w if charger is not None else float("nan"),
                modbus_w=modbus_w,
                dc_v=charger.dc_v if charger is not None else float("nan"),
                dc_a=charger.dc_a if charger is not None else float("nan"),
            )
        )
    return readings
