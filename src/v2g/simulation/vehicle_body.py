"""What vehicles at DC and AC EVSEs share: plug, conversation, booking of charge.

Its computer is our EVCC over TLS 1.3; its battery sits in the plant's circuit and its charge is booked here, from the
physical current that its own sensors report. After a session ends it waits and begins another, for as long as it is
plugged in; one that was paused goes on, if the station knows it again.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import sys
import threading
from pathlib import Path

from pyiso15118 import commands, events
from pyiso15118.aio import EvccConnection, NetworkError, connect, discover
from pyiso15118.der import DerNameplate
from pyiso15118.errors import Iso15118Error, LocalProtocolError
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import ControlMode, EnergyNeeds, EnergyService, MobilityNeedsMode
from pyiso15118.paused import PausedSession
from pyiso15118.schedules import PowerProfile
from pyiso15118.security import TlsProfile, client_context
from pyiso15118.slac.addresses import parse_mac
from pyiso15118.timers import EvccTimers
from v2g.clock import Clock
from v2g.hardware.ethernet_port import frame_port
from v2g.simulation.battery import Battery
from v2g.simulation.plant_client import Cable, PlantNotReachable, PlantRefused
from v2g.simulation.plant_protocol import Tick
from v2g.simulation.vehicle_config import (
    VehicleConfig,
    VehicleState,
    read_state,
    write_state,
)
from v2g.simulation.vehicle_plc import PowerlinePlug
from v2g.simulation.vehicle_schedule import choose

_BACK_OFF_S = (0.5, 1.0, 2.0, 4.0)
_PLUG_BACK_OFF_S = 1.5
"""A plug that was pulled is not put back sooner by anybody."""
_DEAD_CABLE_S = 2.0
_TELL_MACHINE_S = 0.1
HANG_S = 2.0
JUMP_PU, _JUMP_EVERY_S = 0.3, 30.0
"""What a vehicle whose told state of charge jumps is off by, up or down, whichever is possible."""
_SCHEDULED_FIRST = (ControlMode.SCHEDULED, ControlMode.DYNAMIC)
_STATION_FIRST = (MobilityNeedsMode.BY_SECC, MobilityNeedsMode.BY_EVCC)


class Vehicle(abc.ABC):
    """One vehicle's life: plug in, talk, charge or discharge, again."""

    @property
    @abc.abstractmethod
    def services(self) -> tuple[EnergyService, ...]:
        """What it asks for, most wanted first."""

    def __init__(self, config: VehicleConfig, clock: Clock) -> None:
        """Raises :class:`pyiso15118.security.TlsError` when certificate, key or trust cannot be used."""
        self._config = config
        self._clock = clock
        self._tls = client_context(
            TlsProfile.STRICT, Path(config.cert_chain), Path(config.cert_key), [Path(config.trust)]
        )
        self._state_file = Path(config.state_file)
        known = read_state(self._state_file)
        self._battery = Battery(config.battery, known.soc if known else config.soc)
        self.state = known or VehicleState(
            evccid=config.evccid, evse_id=config.evse_id, soc=config.soc, stored_wh=self._battery.stored_wh
        )
        self._cable: Cable | None = None
        self._counted: Tick | None = None
        self._connection: EvccConnection | None = None
        self._failures = 0
        self._loop_began_s = 0.0
        self._hung = False
        self._paused: PausedSession | None = None
        self._may_talk = asyncio.Event()
        self._may_talk.set()
        self._began_s = clock.monotonic_s()
        self._profile: PowerProfile | None = None
        self._powerline: PowerlinePlug | None = None

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                try:
                    await self._be_plugged_in()
                except (PlantNotReachable, PlantRefused) as error:
                    self._enter("unplugged", str(error))
                await asyncio.sleep(_PLUG_BACK_OFF_S)
        finally:
            self._enter("ended")

    async def stop(self) -> None:
        """End the session as a driver would: no more energy, SessionStop."""
        connection = self._connection
        if connection is None:
            return
        connection.command(commands.StopCharging())
        try:
            async with asyncio.timeout(3.0):
                await connection.closed()
        except TimeoutError:
            connection.abort("the vehicle leaves")

    def pause(self) -> None:
        """The driver wants no energy for now: SessionStop(Pause), and no session until :meth:`go_on`."""
        self._may_talk.clear()
        if self._connection is not None:
            with contextlib.suppress(LocalProtocolError):
                self._connection.command(commands.PauseCharging())

    def go_on(self) -> None:
        """Back to the paused session, or to a new one."""
        self._may_talk.set()

    def save(self) -> None:
        self.state.soc = self._battery.soc
        self.state.stored_wh = self._battery.stored_wh
        self.state.at_unix_s = self._clock.unix_s()
        write_state(self._state_file, self.state)

    # ---- the plug -------------------------------------------------------------------------------------------------

    async def _be_plugged_in(self) -> None:
        config = self._config
        cable = await Cable.plug(
            Path(config.plant_socket), config.evse_id, config.evccid, self._battery.soc, config.battery
        )
        self._cable, self._counted = cable, None
        self._powerline = self._modem(cable)
        tasks = [asyncio.create_task(self._book(cable)), asyncio.create_task(self._talk(cable))]
        if self._powerline is not None:
            tasks.append(asyncio.create_task(self._powerline.run()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._cable = None
            await cable.close()

    async def _book(self, cable: Cable) -> None:
        """Charge follows the sensors; ends when the cable is dead."""
        told_s = saved_s = self._clock.monotonic_s()
        while True:
            try:
                async with asyncio.timeout(_DEAD_CABLE_S):
                    await cable.fresh.wait()
            except TimeoutError:
                raise PlantNotReachable("the vehicle's sensors are silent") from None
            cable.fresh.clear()
            if not cable.alive or cable.tick is None:
                raise PlantNotReachable("the plug was pulled")
            self._count(cable.tick)
            now_s = self._clock.monotonic_s()
            if self._connection is not None and now_s - told_s >= _TELL_MACHINE_S:
                told_s = now_s
                self._connection.command(self._report(cable.tick))
            if now_s - saved_s >= 1.0:
                saved_s = now_s
                self.save()

    def _count(self, tick: Tick) -> None:
        before, state = self._counted, self.state
        self._counted = tick
        state.voltage_v, state.current_a = tick.battery_v, tick.current_a
        state.power_w = tick.battery_v * tick.current_a
        charge_ah = tick.charge_ah - (before.charge_ah if before else 0.0)
        self._battery.move(charge_ah * 3600.0, 1.0)
        state.energy_in_wh += tick.energy_in_wh - (before.energy_in_wh if before else 0.0)
        state.energy_out_wh += tick.energy_out_wh - (before.energy_out_wh if before else 0.0)

    # ---- the conversation -----------------------------------------------------------------------------------------

    async def _talk(self, cable: Cable) -> None:
        await cable.fresh.wait()
        while True:
            await self._may_talk.wait()
            if self._powerline is not None and not self._powerline.linked.is_set():
                self._enter("matching")
                await self._powerline.linked.wait()
            try:
                await self._session(cable)
            except Iso15118Error as error:
                self.state.last_end = str(error)
                self._enter("searching", str(error))
                self._failures += 1
            await asyncio.sleep(_BACK_OFF_S[min(self._failures, len(_BACK_OFF_S) - 1)])

    def _modem(self, cable: Cable) -> PowerlinePlug | None:
        config = self._config
        if config.powerline is None:
            return None
        mac = parse_mac(config.mac) if config.mac else b""
        port = frame_port(config.interface, config.powerline, mac)
        return PowerlinePlug(port, self._clock, _say, self._on_link_lost, cable.toggle)

    def _on_link_lost(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.abort(f"the powerline link is lost: {reason}")

    async def _session(self, cable: Cable) -> None:
        self._enter("searching")
        found = await discover(self._config.interface, port=self._config.sdp_port, attempts=8)
        if cable.tick is None:
            raise NetworkError("no reading of the vehicle's sensors yet")
        connection = await connect(
            found.address,
            self.evcc_config(),
            tls=self._tls,
            vehicle=self._report(cable.tick),
            paused=self._paused,
        )
        self._connection = connection
        self.state.sessions += 1
        try:
            async for event in connection.events():
                await self._react(event, connection, cable)
        finally:
            self._connection = None
            if not isinstance(sys.exception(), asyncio.CancelledError):
                await self._part(cable)
            else:
                connection.abort("the plug was pulled")

    def nameplate(self) -> DerNameplate | None:
        """Of its own inverter, where it offers to be a distributed energy resource; None: it does not."""
        return None

    def evcc_config(self) -> EvccConfig:
        """What its computer can do and wants."""
        config, scheduled = self._config, self._config.control_mode == "scheduled"
        modes = _SCHEDULED_FIRST if scheduled else _SCHEDULED_FIRST[::-1]
        needs = _STATION_FIRST if config.needs_by == "station" else _STATION_FIRST[::-1]
        return EvccConfig(
            evccid=config.evccid,
            services=tuple(service for service in self.services if config.both_ways or not service.is_bpt),
            control_modes=modes,
            mobility_needs_modes=needs,
            select_schedules=scheduled,
            der=self.nameplate(),
            timers=EvccTimers() if config.slow_s is None else EvccTimers(charge_loop_period_s=config.slow_s),
        )

    async def _react(self, event: events.Event, connection: EvccConnection, cable: Cable) -> None:
        match event:
            case events.SessionStarted(session_id=session_id, resumed=resumed):
                self._paused = None
                self.state.session_id = session_id.hex()
                self._enter("connected", "the paused session goes on" if resumed else "")
            case events.SchedulesOffered(tuples=tuples):
                config = self._config
                self._profile = choose(tuples, config.max_charge_w, config.max_discharge_w * config.both_ways)
                connection.command(commands.SelectSchedule(profile=self._profile))
            case events.ChargingStopped():
                await self._part(cable)
                self._enter("connected")
            case events.SessionEnded(reason=reason, detail=detail, response_code=code):
                if reason is events.EndReason.PAUSED:
                    self._paused = connection.machine.paused
                self.state.last_end = reason.value
                self.state.session_id = ""
                self._failures += 1
                self._enter("searching", " ".join(filter(None, (reason.value, code, detail))))
            case _:
                await self._act(event, connection, cable)

    def _in_loop(self) -> None:
        self._failures = 0
        self._enter("charging")
        self._loop_began_s = self._loop_began_s or self._clock.monotonic_s()
        after_s = self._config.hangs_after_s
        if after_s is not None and not self._hung and self._clock.monotonic_s() - self._loop_began_s >= after_s:
            self._hung = True
            _say(f"the vehicle's computer stands still for {HANG_S:g} s")
            # The whole process, as a computer that hangs: its kernel goes on acknowledging what it is sent.
            threading.Event().wait(HANG_S)

    @abc.abstractmethod
    async def _act(self, event: events.Event, connection: EvccConnection, cable: Cable) -> None:
        """An event that belongs to one kind of EVSE."""

    @abc.abstractmethod
    async def _part(self, cable: Cable) -> None:
        """Charging is over, or the conversation: end the exchange of energy."""

    @abc.abstractmethod
    def _report(self, tick: Tick) -> commands.VehicleState:
        """What the machine is told of the vehicle as it is now."""

    def _needs(self) -> EnergyNeeds:
        config, soc, capacity_wh = self._config, self._told_soc, self._config.battery.capacity_wh
        departs_at_s = self._began_s + config.departure_s
        return EnergyNeeds(
            departure_time_s=max(0, round(departs_at_s - self._clock.monotonic_s())),
            target_energy_wh=(config.target_soc_pct / 100.0 - soc) * capacity_wh,
            max_energy_wh=(1.0 - soc) * capacity_wh,
            min_energy_wh=(config.min_soc_pct / 100.0 - soc) * capacity_wh,
            max_v2x_energy_wh=(1.0 - soc) * capacity_wh,
            min_v2x_energy_wh=(config.min_soc_pct / 100.0 - soc) * capacity_wh,
            min_soc_pct=config.min_soc_pct if config.tells_soc else None,
            target_soc_pct=config.target_soc_pct if config.tells_soc else None,
        )

    @property
    def _told_soc(self) -> float:
        """0..1, and not always the truth."""
        config, soc = self._config, self._battery.soc
        if config.told_soc_pct is not None:
            return config.told_soc_pct / 100.0
        if config.soc_jumps and int((self._clock.monotonic_s() - self._began_s) / _JUMP_EVERY_S) % 2:
            return soc + (JUMP_PU if soc < 0.5 else -JUMP_PU)
        return soc

    @property
    def _told_soc_pct(self) -> int | None:
        return round(self._told_soc * 100.0) if self._config.tells_soc else None

    @property
    def _told_capacity_wh(self) -> float | None:
        return self._config.battery.capacity_wh if self._config.tells_soc else None

    def _planned_w(self) -> float:
        """What its own profile has for now."""
        return self._profile.total_w_at(self._clock.unix_s()) if self._profile is not None else 0.0

    @property
    def _full(self) -> bool:
        return self._battery.soc >= 0.98

    @property
    def _empty(self) -> bool:
        return self._battery.soc <= 0.05

    def _enter(self, state: str, why: str = "") -> None:
        if self.state.state == state and not why:
            return
        _say(f"{state}, {self._battery.soc:.1%}" + (f": {why}" if why else ""))
        self.state.state = state
        self.save()


def _say(text: str) -> None:
    print(text, flush=True)
