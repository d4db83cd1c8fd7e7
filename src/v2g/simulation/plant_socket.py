"""The server of ``plant.sock``: measurements, faults and the cables of vehicles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from v2g.simulation import plant_protocol as protocol
from v2g.simulation.ac_charger import AcCharger, AcVehicle
from v2g.simulation.battery import Battery
from v2g.simulation.engine import Engine
from v2g.simulation.faults import FaultError, parse_fault
from v2g.simulation.misfortune import Misfortune
from v2g.simulation.site import Charger, PluggedVehicle

MAX_CONNECTIONS = 200


class PlantSocket:
    """Serves until :meth:`close`. A bad line costs its sender an error line, nobody else anything."""

    def __init__(self, path: Path, engine: Engine, misfortune: Misfortune, say: Callable[[str], None]) -> None:
        self._path = path
        self._engine = engine
        self._misfortune = misfortune
        self._say = say
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=protocol.MAX_LINE_BYTES)
        self._path.chmod(0o600)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._connections):
            writer.close()
        self._path.unlink(missing_ok=True)

    def measure(self) -> protocol.Measurement:
        """The site as it is at this moment."""
        engine = self._engine
        with engine.lock:
            site, now_s = engine.site, engine.sample_time_s
            load_w, load_var = site.transformer_flow()
            return protocol.Measurement(
                at_s=now_s,
                ac_w=site.feeder_w,
                chargers={name: _measure_charger(charger, now_s) for name, charger in site.chargers.items()}
                | {name: _measure_ac_charger(charger) for name, charger in site.ac_chargers.items()},
                breaker=protocol.BreakerMeasurement(
                    closed=site.breaker.closed,
                    commanded=site.breaker_commanded,
                    changed_at_s=site.breaker.changed_at_s,
                ),
                relay=protocol.RelayMeasurement(
                    closed=site.relay.closed,
                    changed_at_s=site.relay.changed_at_s,
                    operations=site.relay.operations,
                ),
                grid=protocol.GridMeasurement(
                    frequency_hz=site.grid.frequency_hz,
                    v_pu=site.grid.bus_pu,
                    mains_closed=site.grid.mains_closed,
                    last_event_at_s=site.grid.last_event_at_s,
                ),
                transformer=protocol.TransformerMeasurement(
                    top_oil_c=site.transformer.top_oil_c,
                    hot_spot_c=site.transformer.hot_spot_c,
                    ambient_c=site.transformer.ambient_c,
                    load_va=site.transformer_va(),
                    load_w=load_w,
                    load_var=load_var,
                    base_load_w=site.base_load_now_w(),
                    base_load_var=site.base_load_var(),
                    thermal_time_s=site.thermal_time_s,
                    thermal_speed=site.thermal_speed,
                ),
                faults=self._misfortune.active,
                batches=engine.batches,
                late_batches=engine.late_batches,
                worst_lateness_s=engine.worst_lateness_s,
            )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections.add(writer)
        cable = _Cable(self._engine, writer)
        try:
            while line := await reader.readline():
                try:
                    answer = {"ok": True, **await self._handle(line, cable)}
                except (FaultError, ValueError, msgspec.MsgspecError) as error:
                    answer = {"ok": False, "error": str(error)}
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
                cable.stream()
        except (ConnectionError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            self._connections.discard(writer)
            if cable.pull():
                self._say(f"{cable.evse_id}: plug pulled")
            writer.close()

    async def _handle(self, line: bytes, cable: _Cable) -> dict[str, Any]:
        data = msgspec.json.decode(line)
        if isinstance(data, dict) and data.get("do") == "fault":
            del data["do"]
            return {"id": await self._misfortune.apply(parse_fault(data))}
        request: protocol.Request = msgspec.convert(data, protocol.Request)
        match request:
            case protocol.Measure():
                return {"measurement": self.measure()}
            case protocol.ClearFaults(id=number):
                await self._misfortune.clear(number)
            case protocol.Plug():
                cable.plug(request)
                self._say(f"{request.evse_id}: {request.name} plugged in, {request.soc:.0%}")
            case protocol.Unplug(evse_id=evse_id):
                cable.unplug(evse_id)
            case protocol.Contactor(closed=closed):
                cable.contactor(closed)
            case protocol.Drive():
                cable.drive(request)
            case protocol.TakeOver():
                cable.take_over(request)
            case protocol.Ready(ready=ready):
                cable.ready(ready)
        return {}


class _Cable:
    """What one connection holds: at most one plug."""

    def __init__(self, engine: Engine, writer: asyncio.StreamWriter) -> None:
        self.evse_id: str | None = None
        self._engine = engine
        self._writer = writer
        self._vehicle: PluggedVehicle | AcVehicle | None = None
        self._streaming: asyncio.Task[None] | None = None

    def plug(self, request: protocol.Plug) -> None:
        if self.evse_id is not None:
            raise ValueError(f"this connection is plugged into {self.evse_id} already")
        battery = Battery(request.battery, request.soc)
        vehicle: PluggedVehicle | AcVehicle
        with self._engine.lock:
            charger = self._charger(request.evse_id)
            if isinstance(charger, AcCharger):
                vehicle = AcVehicle(name=request.name, battery=battery, auto=request.auto)
                charger.plug(vehicle)
            else:
                vehicle = PluggedVehicle(name=request.name, battery=battery, auto=request.auto)
                charger.plug(vehicle)
            charger.stage.wire.follow(charger.stage.true_state)
        if not request.keep:
            self.evse_id, self._vehicle = request.evse_id, vehicle

    def unplug(self, evse_id: str | None) -> None:
        wanted = evse_id or self.evse_id
        if wanted is None:
            raise ValueError("unplug needs evse_id here: this connection is no cable")
        with self._engine.lock:
            charger = self._charger(wanted)
            if charger.vehicle is None:
                raise ValueError(f"nothing is plugged into {wanted}")
            charger.unplug()
        if wanted == self.evse_id:
            self._forget()

    def contactor(self, closed: bool) -> None:
        with self._engine.lock:
            charger, vehicle = self._mine()
            if isinstance(charger, AcCharger) or isinstance(vehicle, AcVehicle):
                raise ValueError("contactor: a vehicle at an AC EVSE is driven instead")
            if vehicle is None or charger is None:
                raise ValueError("contactor: this connection is not plugged in")
            vehicle.close_contactor(charger.stage, closed)

    def drive(self, request: protocol.Drive) -> None:
        with self._engine.lock:
            _, vehicle = self._mine()
            if not isinstance(vehicle, AcVehicle):
                raise ValueError("drive: this connection is not plugged into an AC EVSE")
            vehicle.drive(request.power_w, request.reactive_var, request.ready)

    def take_over(self, request: protocol.TakeOver) -> None:
        with self._engine.lock:
            _, vehicle = self._mine()
            if not isinstance(vehicle, AcVehicle):
                raise ValueError("grid_code: this connection is not plugged into an AC EVSE")
            if not (request.rated_w > 0.0 and request.rated_va > 0.0):
                raise ValueError("grid_code: rated_w and rated_va must be above zero")
            vehicle.take_over(request.code, request.rated_w, request.rated_va)

    def ready(self, ready: bool) -> None:
        with self._engine.lock:
            charger, vehicle = self._mine()
            if charger is None or vehicle is None:
                raise ValueError("ready: this connection is not plugged in")
            if isinstance(vehicle, AcVehicle):
                vehicle.ready = ready
            # The device's own eye is quicker than a step of the plant's.
            charger.stage.vehicle_ready = ready
            charger.stage.wire.follow(charger.stage.true_state)

    def pull(self) -> bool:
        """The connection ended: the plug comes out, unless it was to be kept."""
        with self._engine.lock:
            charger, vehicle = self._mine()
            if charger is not None and vehicle is not None:
                charger.unplug()
        pulled = self.evse_id is not None
        if self._streaming is not None:
            self._streaming.cancel()
        return pulled

    def stream(self) -> None:
        """Begin with the ticks once the answer to ``plug`` is out."""
        if self.evse_id is not None and self._streaming is None:
            self._streaming = asyncio.get_running_loop().create_task(self._tick())

    async def _tick(self) -> None:
        try:
            while True:
                with self._engine.lock:
                    tick = self._read()
                if tick is None:
                    self._forget()
                    return
                # A vehicle that does not read gets no second line before the first is gone.
                if self._writer.transport.get_write_buffer_size() == 0:
                    self._writer.write(msgspec.json.encode({"tick": tick}) + b"\n")
                await asyncio.sleep(protocol.TICK_PERIOD_S)
        except ConnectionError:
            self._writer.close()

    def _read(self) -> protocol.Tick | None:
        charger, vehicle = self._mine()
        if charger is None or vehicle is None:
            return None
        if isinstance(charger, AcCharger) or isinstance(vehicle, AcVehicle):
            return self._read_ac()
        battery, stage = vehicle.battery, charger.stage
        current_a = stage.current_a if vehicle.contactor_closed else 0.0
        return protocol.Tick(
            at_s=self._engine.sample_time_s,
            inlet_v=stage.voltage_v if stage.contactors.closed else 0.0,
            battery_v=battery.terminal_voltage_v(current_a),
            current_a=current_a,
            charge_ah=battery.charge_ah,
            energy_in_wh=battery.energy_in_wh,
            energy_out_wh=battery.energy_out_wh,
            soc=battery.soc,
            contactor_closed=vehicle.contactor_closed,
            pilot=stage.true_state.value,
            pilot_duty_pct=stage.duty_pct,
        )

    def _read_ac(self) -> protocol.Tick | None:
        charger, vehicle = self._mine()
        if not isinstance(charger, AcCharger) or not isinstance(vehicle, AcVehicle):
            return None
        battery, stage = vehicle.battery, charger.stage
        return protocol.Tick(
            at_s=self._engine.sample_time_s,
            inlet_v=stage.inlet_v[0],
            battery_v=battery.terminal_voltage_v(vehicle.battery_a),
            current_a=vehicle.battery_a,
            charge_ah=battery.charge_ah,
            energy_in_wh=battery.energy_in_wh,
            energy_out_wh=battery.energy_out_wh,
            soc=battery.soc,
            contactor_closed=stage.contactor.closed and vehicle.ready,
            ac_w=stage.power_w,
            supply_v=stage.inlet_v,
            frequency_hz=vehicle.inverter.frequency_hz,
            in_service=vehicle.inverter.in_service,
            alarms=int(vehicle.inverter.alarms),
            pilot=stage.true_state.value,
            pilot_duty_pct=stage.duty_pct,
        )

    def _mine(self) -> tuple[Charger | AcCharger | None, PluggedVehicle | AcVehicle | None]:
        site = self._engine.site
        charger: Charger | AcCharger | None = None
        if self.evse_id is not None:
            charger = site.chargers.get(self.evse_id) or site.ac_chargers.get(self.evse_id)
        if charger is None or charger.vehicle is not self._vehicle:
            return None, None
        return charger, self._vehicle

    def _charger(self, evse_id: str) -> Charger | AcCharger:
        site = self._engine.site
        charger = site.chargers.get(evse_id) or site.ac_chargers.get(evse_id)
        if charger is None:
            known = ", ".join([*site.chargers, *site.ac_chargers])
            raise ValueError(f"unknown EVSE {evse_id!r}; known are {known}")
        return charger

    def _forget(self) -> None:
        self.evse_id, self._vehicle = None, None


def _measure_charger(charger: Charger, now_s: float) -> protocol.ChargerMeasurement:
    inverter, stage, vehicle = charger.inverter, charger.stage, charger.vehicle
    return protocol.ChargerMeasurement(
        ac_w=inverter.power_w,
        setpoint_w=inverter.setpoint_w,
        setpoint_enabled=inverter.enabled,
        reversion_remaining_s=inverter.reversion_remaining_s(now_s),
        reversions=inverter.reversions,
        connected=inverter.connected,
        exported_wh=inverter.exported_wh,
        imported_wh=inverter.imported_wh,
        last_power_at_s=charger.last_power_at_s,
        dc_v=stage.voltage_v,
        dc_a=stage.current_a,
        contactors_closed=stage.contactors.closed,
        vehicle_contactor_closed=vehicle is not None and vehicle.contactor_closed,
        plugged=stage.plugged,
        locked=stage.locked,
        insulation=stage.insulation.value,
        watchdog_expired=stage.watchdog_expired,
        inrush_events=stage.inrush_events,
        opened_under_load=stage.contactors.opened_under_load + stage.vehicle_opened_under_load,
        vehicle=vehicle.name if vehicle is not None else None,
        soc=vehicle.battery.soc if vehicle is not None else None,
        pilot=stage.true_state.value,
        pilot_toggles=stage.wire.toggles,
    )


def _measure_ac_charger(charger: AcCharger) -> protocol.ChargerMeasurement:
    stage, vehicle = charger.stage, charger.vehicle
    joined = stage.contactor.closed and vehicle is not None and vehicle.ready
    return protocol.ChargerMeasurement(
        ac_w=stage.total_w,
        setpoint_w=vehicle.wanted_w if vehicle is not None else 0.0,
        setpoint_enabled=vehicle is not None and vehicle.ready,
        reversion_remaining_s=0,
        reversions=0,
        connected=joined and min(stage.inlet_v[: charger.phases]) > 0.0,
        exported_wh=stage.discharged_wh,
        imported_wh=stage.charged_wh,
        last_power_at_s=charger.last_power_at_s,
        dc_v=vehicle.battery.terminal_voltage_v(vehicle.battery_a) if vehicle is not None else 0.0,
        dc_a=vehicle.battery_a if vehicle is not None else 0.0,
        contactors_closed=stage.contactor.closed,
        vehicle_contactor_closed=joined,
        plugged=stage.plugged,
        locked=stage.locked,
        insulation="",
        watchdog_expired=stage.watchdog_expired,
        inrush_events=0,
        opened_under_load=stage.contactor.opened_under_load,
        vehicle=vehicle.name if vehicle is not None else None,
        soc=vehicle.battery.soc if vehicle is not None else None,
        in_service=vehicle.inverter.in_service if vehicle is not None else None,
        trips=vehicle.inverter.trips if vehicle is not None else 0,
        pilot=stage.true_state.value,
        pilot_toggles=stage.wire.toggles,
    )
