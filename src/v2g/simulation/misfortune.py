"""Applies faults to a plant and takes them back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping

import msgspec

from v2g.hardware.ports import PilotReading, Quantity
from v2g.simulation import faults
from v2g.simulation.ac_charger import AcCharger
from v2g.simulation.ac_stage import AcStage
from v2g.simulation.course import Course
from v2g.simulation.dc_stage import DcStage
from v2g.simulation.engine import Engine, WaveformFault
from v2g.simulation.faults import AnyFault, FaultError
from v2g.simulation.inverter import EFFICIENCY
from v2g.simulation.modbus_device import ModbusDevice
from v2g.simulation.plant_config import TOP_OIL_RANGE_C
from v2g.simulation.site import Charger
from v2g.simulation.spoiled_pilot import SpoiledPilot
from v2g.simulation.switchgear import Stuck
from v2g.simulation.waveforms import InverterSide

MAX_ACTIVE = 200


class Misfortune:
    """All faults now active in one plant. Runs in the event loop; touches the site under the engine's lock."""

    def __init__(
        self,
        engine: Engine,
        devices: Mapping[str, ModbusDevice],
        lost_sensors: set[Quantity],
        say: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._devices = devices
        self._lost_sensors = lost_sensors
        self._say = say
        self._active: dict[int, AnyFault] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._pending: set[asyncio.Task[None]] = set()
        self._last_id = 0

    @property
    def active(self) -> list[dict[str, object]]:
        return [{"id": number, **msgspec.to_builtins(fault)} for number, fault in self._active.items()]

    async def apply(self, fault: AnyFault) -> int:
        """Make it happen; returns the fault's number for :meth:`clear`. Raises :class:`FaultError`."""
        if isinstance(fault, faults.Clear):
            await self.clear()
            return 0
        if len(self._active) >= MAX_ACTIVE:
            raise FaultError(f"{MAX_ACTIVE} faults are active already; clear some")
        await self._switch(fault, True)
        self._say(f"fault: {_describe(fault)}")
        if isinstance(fault, faults.Ambience | faults.Profile):
            return 0
        self._last_id += 1
        number = self._last_id
        self._active[number] = fault
        if fault.for_s is not None:
            loop = asyncio.get_running_loop()
            self._timers[number] = loop.call_later(max(0.0, fault.for_s), self._expire, number)
        return number

    async def clear(self, number: int | None = None) -> None:
        """End one fault, or all. Raises :class:`FaultError` for an unknown number."""
        if number is not None and number not in self._active:
            raise FaultError(f"no fault {number} is active; active are {sorted(self._active) or 'none'}")
        for each in [number] if number is not None else list(self._active):
            if timer := self._timers.pop(each, None):
                timer.cancel()
            fault = self._active.pop(each)
            await self._switch(fault, False)
            self._say(f"cleared: {_describe(fault)}")

    def _expire(self, number: int) -> None:
        self._timers.pop(number, None)
        if number in self._active:
            task = asyncio.get_running_loop().create_task(self.clear(number))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    async def _switch(self, fault: AnyFault, on: bool) -> None:
        match fault:
            case faults.Stall(device=name):
                self._device(name).stalled = on
            case faults.Late(device=name, delay_s=delay_s):
                self._device(name).delay_s = delay_s if on else 0.0
            case faults.Garbage(device=name):
                self._device(name).garbage = on
            case faults.Refuse(device=name, exception=code):
                self._device(name).exception = int(_within("exception", code, 1, 255)) if on else None
            case faults.WrongUnit(device=name, unit=unit):
                self._device(name).other_unit = int(_within("unit", unit, 0, 255)) if on else None
            case faults.WrongLength(device=name, by=by):
                self._device(name).length_error = int(_within("by", by, -125, 125)) if on else 0
            case faults.Tear(device=name, every=every):
                self._device(name).tear_every = int(_within("every", every, 1, 1000)) if on else 0
            case faults.Disconnect(device=name):
                device = self._device(name)
                await (device.stop() if on else device.start())
            case faults.Lie(device=name, values=values):
                self._lie(self._device(name), values, on)
            case faults.SensorLoss(sensor=sensor):
                self._lose_sensor(sensor, on)
            case _:
                with self._engine.lock:
                    self._touch_site(fault, on)

    def _touch_site(self, fault: AnyFault, on: bool) -> None:
        site = self._engine.site
        grid, now_s = site.grid, self._engine.sample_time_s
        try:
            match fault:
                case faults.Frequency(hz=hz, ramp_hz_s=ramp):
                    grid.set_frequency(hz if on else grid.nominal_frequency_hz, now_s, ramp_hz_s=ramp or math.inf)
                case faults.Voltage(pu=pu):
                    per_phase = list(pu) if isinstance(pu, list) else [pu] * 3
                    grid.set_voltage(per_phase if on else [1.0] * 3, now_s)
                case faults.PhaseJump(degrees=degrees):
                    if on:
                        grid.jump_phase(degrees if isinstance(degrees, list) else [degrees] * 3, now_s)
                case faults.PhaseOffset(degrees=degrees, evse_id=evse_id):
                    self._side(evse_id).offset_deg = _three(degrees) if on else (0.0, 0.0, 0.0)
                    grid.last_event_at_s = now_s
                case faults.PhaseSwap(phases=(first, second), evse_id=evse_id):
                    self._side(evse_id).order = _swapped(first, second) if on else (0, 1, 2)
                    grid.last_event_at_s = now_s
                case faults.RelayFault(state=state, feedback=feedback):
                    site.relay.stuck = state if on else Stuck.NO
                    site.relay.feedback_lost = on and not feedback
                case faults.RelayTest():
                    site.relay.testing = on
                case faults.MainsLoss(told=told):
                    self._engine.mains_told = told or not on
                    grid.switch_mains(not on, now_s)
                case faults.BreakerStuck(state=state):
                    site.breaker.stuck = state if on else Stuck.NO
                case faults.Deaf(evse_id=evse_id):
                    self._charger(evse_id).inverter.deaf = on
                case faults.NoReversion(evse_id=evse_id):
                    self._charger(evse_id).inverter.reversion_dead = on
                case faults.InverterTrip(evse_id=evse_id, text=text):
                    self._charger(evse_id).inverter.tripped = text if on else None
                case faults.EvseTrip(evse_id=evse_id, text=text):
                    stage = self._ac_stage(evse_id) or self._charger(evse_id).stage
                    stage.tripped = text if on else None
                case faults.InsulationLoss(evse_id=evse_id, ohm=ohm):
                    self._charger(evse_id).stage.lose_insulation(ohm if on else None)
                case faults.ContactorStuck(evse_id=evse_id, state=state):
                    ac_stage = self._ac_stage(evse_id)
                    contactors = ac_stage.contactor if ac_stage else self._charger(evse_id).stage.contactors
                    contactors.stuck = state if on else Stuck.NO
                case faults.PilotFault(evse_id=evse_id):
                    self._spoil_pilot(self._ac_stage(evse_id) or self._charger(evse_id).stage, fault, on)
                case faults.Overdraw(evse_id=evse_id, power_w=power_w):
                    self._ac_charger(evse_id).overdraw_w = power_w if on else None
                case faults.PreCharge(evse_id=evse_id, gain=gain):
                    self._charger(evse_id).stage.output_gain = gain if on else 1.0
                case faults.Interlock(name=name, told=told):
                    contact = self._engine.interlocks[name]
                    contact.closed = not (on and told)
                    contact.told = told or not on
                    grid.last_event_at_s = now_s
                case faults.Efficiency(evse_id=evse_id, value=value):
                    efficiency = _within("value", value, 0.5, 1.0)
                    self._charger(evse_id).inverter.efficiency = efficiency if on else EFFICIENCY
                case faults.Distortion(thd=thd, evse_id=evse_id):
                    _within("thd", thd, 0.0, 1.0)
                    chosen = site.chargers.values() if evse_id is None else [self._charger(evse_id)]
                    for charger in chosen:
                        charger.inverter.bridge.normal_thd = thd if on else 0.0
                case faults.SwitchTemperature(evse_id=evse_id, temperature_c=temperature_c):
                    held_c = _within("temperature_c", temperature_c, -60.0, 250.0) if on else None
                    self._charger(evse_id).inverter.bridge.held_temperature_c = held_c
                case faults.Ambience():
                    self._set_conditions(fault)
                case faults.Profile(base_load_w=base_load_w, ambient_c=ambient_c):
                    if base_load_w is not None:
                        site.follow_base_load(Course(base_load_w))
                    if ambient_c is not None:
                        site.follow_ambient(Course(ambient_c))
                case _:
                    raise FaultError(f"this plant cannot simulate it: {_describe(fault)}")
        except ValueError as error:
            raise FaultError(str(error)) from error

    def _set_conditions(self, wanted: faults.Ambience) -> None:
        site = self._engine.site
        if wanted.base_load_w is not None:
            site.set_base_load(wanted.base_load_w)
        if wanted.power_factor is not None:
            site.base_power_factor = _within("power_factor", wanted.power_factor, 0.1, 1.0)
            site.base_var = None
        if wanted.base_load_var is not None:
            site.base_var = _within("base_load_var", wanted.base_load_var, -4 * site.rated_va, 4 * site.rated_va)
        for order, share in ((5, wanted.harmonic_5), (7, wanted.harmonic_7)):
            if share is not None:
                site.base_harmonics[order] = _within(f"harmonic_{order}", share, 0.0, 1.0)
        if wanted.ambient_c is not None:
            site.set_ambient(wanted.ambient_c)
        if wanted.top_oil_c is not None:
            site.transformer.heat_oil(_within("top_oil_c", wanted.top_oil_c, *TOP_OIL_RANGE_C))
        if wanted.winding_c is not None:
            site.transformer.winding_c = wanted.winding_c

    def _lose_sensor(self, sensor: str, on: bool) -> None:
        channels = self._engine.recorder.channels
        if sensor in set(WaveformFault):
            wrong = self._engine.waveform_faults
            (wrong.add if on else wrong.discard)(WaveformFault(sensor))
        elif sensor in channels:
            lost = self._engine.recorder.lost_channels
            (lost.add if on else lost.discard)(channels.index(sensor))
        elif sensor in set(Quantity):
            (self._lost_sensors.add if on else self._lost_sensors.discard)(Quantity(sensor))
        else:
            known = ", ".join([*WaveformFault, *channels, *Quantity])
            raise FaultError(f"unknown sensor {sensor!r}; known are {known}")

    def _lie(self, device: ModbusDevice, values: Mapping[str, float], on: bool) -> None:
        unknown = [name for name in values if name not in device.image.point_names()]
        if unknown:
            known = ", ".join(device.image.point_names())
            raise FaultError(f"{device.name} has no point {', '.join(unknown)}; it has {known}")
        for name, value in values.items():
            if on:
                device.lies[name] = value
            else:
                device.lies.pop(name, None)

    def _device(self, name: str) -> ModbusDevice:
        device = self._devices.get(name)
        if device is None:
            raise FaultError(f"unknown device {name!r}; known are {', '.join(self._devices)}")
        return device

    def _side(self, evse_id: str | None) -> InverterSide:
        recorder = self._engine.recorder
        if evse_id is None:
            return recorder.feeder_side
        side = recorder.own_sides.get(evse_id)
        if side is None:
            known = ", ".join(recorder.own_sides) or "none"
            raise FaultError(f"{evse_id!r} has no voltage channels of its own; there are {known}")
        return side

    def _charger(self, evse_id: str) -> Charger:
        site = self._engine.site
        if (charger := site.chargers.get(evse_id)) is not None:
            return charger
        if evse_id in site.ac_chargers:
            raise FaultError(f"{evse_id!r} is an AC EVSE: its vehicle inverts, it has no inverter or DC output")
        raise FaultError(f"unknown EVSE {evse_id!r}; known are {self._known()}")

    def _ac_charger(self, evse_id: str) -> AcCharger:
        site = self._engine.site
        if (charger := site.ac_chargers.get(evse_id)) is not None:
            return charger
        if evse_id in site.chargers:
            raise FaultError(f"{evse_id!r} is a DC EVSE: this fault is one of AC EVSEs")
        raise FaultError(f"unknown EVSE {evse_id!r}; known are {self._known()}")

    def _ac_stage(self, evse_id: str) -> AcStage | None:
        charger = self._engine.site.ac_chargers.get(evse_id)
        return charger.stage if charger is not None else None

    def _known(self) -> str:
        return ", ".join([*self._engine.site.chargers, *self._engine.site.ac_chargers])

    def _spoil_pilot(self, stage: AcStage | DcStage, fault: faults.PilotFault, on: bool) -> None:
        shown = PilotReading(
            high_v=fault.high_v,
            low_v=fault.low_v,
            duty_pct=fault.duty_pct,
            frequency_hz=fault.frequency_hz,
            earth_ohm=fault.earth_ohm,
        )
        stage.spoiled_pilot = SpoiledPilot(shown=shown, lost=fault.lost) if on else SpoiledPilot()


def _within(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise FaultError(f"{name} {value:g} is outside {low:g}..{high:g}")
    return value


def _three(value: float | list[float]) -> tuple[float, float, float]:
    values = value if isinstance(value, list) else [value] * 3
    if len(values) != 3:
        raise FaultError(f"{values} must be one value, or three for the phases a, b, c")
    return values[0], values[1], values[2]


def _swapped(first: str, second: str) -> tuple[int, int, int]:
    if first == second:
        raise FaultError(f"phases [{first}, {second}]: name two different ones of a, b, c")
    order = [0, 1, 2]
    one, other = "abc".index(first), "abc".index(second)
    order[one], order[other] = order[other], order[one]
    return order[0], order[1], order[2]


def _describe(fault: AnyFault) -> str:
    fields = {key: value for key, value in msgspec.to_builtins(fault).items() if value is not None}
    name = fields.pop("fault")
    return " ".join([name, *(f"{key}={value}" for key, value in fields.items())])
