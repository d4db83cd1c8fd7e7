"""A site with its control cycle and methods, fake devices, vehicles that are events only; time in the test's hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyiso15118 import events as ev
from v2g.clock import ManualClock
from v2g.config.schema import Config
from v2g.control import messages
from v2g.control.server import Caller, Role
from v2g.orchestrator.api import Api
from v2g.orchestrator.cycle import ControlCycle
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.site import Site
from v2g.orchestrator.status import Daemon
from v2g.orchestrator.thermal_clock import ThermalClock
from v2g.sessions.supervisor import SessionInfo, Sessions

ALICE = Caller(uid=1000, gid=1000, pid=1, user="alice", role=Role.OPERATOR)
E1, E2 = "US*V2G*E1", "US*V2G*E2"
LIMITS = ev.DcLimits(
    max_charge_power_w=20_000.0,
    max_charge_current_a=80.0,
    max_voltage_v=450.0,
    min_voltage_v=300.0,
    max_discharge_power_w=12_000.0,
    max_discharge_current_a=80.0,
)


class World:
    """A site with its cycle, fake devices, and vehicles that are events only."""

    def __init__(self, config: Config, wires: Any, guard: Any, log_of: Any, clock: ManualClock) -> None:
        self.clock, self.wires, self.guard = clock, wires, guard
        self.daemon, self.power_quality, self.comms = log_of(), log_of(), log_of()
        self.errors: list[str] = []
        thermal_clock = ThermalClock(clock, SiteZone("UTC"))
        self.site = Site(config, thermal_clock, lambda evse_id, error: self.errors.append(f"{evse_id}: {error}"))
        self.sessions = Sessions(self.site.bays, self.comms, lambda *_: None, clock)
        self.fed = 0
        self.looping: set[str] = set()
        self.cycle = self.new_cycle()
        self.infos: dict[str, SessionInfo] = {}
        self.api = Api(
            self.site,
            self.infos.get,
            lambda: Daemon(started_at_s=clock.monotonic_s() - 5.0, ready=True, simulation=False),
            Path("/nonexistent/tick.sock"),
            clock,
        )

    def new_cycle(self) -> ControlCycle:
        return ControlCycle(
            self.site,
            self.sessions,
            self.wires,
            self.guard,
            self.clock,
            daemon=self.daemon,
            power_quality=self.power_quality,
            on_cycle=self._feed,
        )

    def _feed(self, now_s: float) -> None:
        self.fed += 1

    def run(self, cycles: int = 1) -> None:
        for _ in range(cycles):
            self.clock.advance(0.1)
            for evse_id in self.looping:
                self.tell(evse_id, self.loop_event())
            self.cycle.run_once()

    def tell(self, evse_id: str, event: ev.Event) -> None:
        procedure = self.site.bays[evse_id].procedure
        assert procedure is not None
        procedure.handle(event, self.clock.monotonic_s())

    def loop_event(self) -> ev.DcChargeLoopReceived:
        return ev.DcChargeLoopReceived(
            ev_present_voltage_v=400.0,
            limits=LIMITS,
            needs=ev.EnergyNeeds(),
            present_soc_pct=70,
            battery_capacity_wh=None,
        )

    def charge(self, evse_id: str, cycles: int = 2) -> None:
        """``cycles``: after the charge loop has begun."""
        self.run(2)
        self.site.bays[evse_id].begin(self.clock.monotonic_s())
        self.infos[evse_id] = SessionInfo(
            evse_id=evse_id, evccid="WMIV1", identity="CN=WMIV1", peer="[::1]:5", started_at_s=self.clock.monotonic_s()
        )
        self.tell(evse_id, ev.SessionStarted(session_id=bytes(8), evccid="WMIV1", evse_id=evse_id))
        self.tell(evse_id, ev.VehicleLimitsReceived(limits=LIMITS))
        self.tell(evse_id, ev.CableCheckRequested())
        self.run(10)
        self.tell(evse_id, ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
        self.run(3)
        self.tell(evse_id, ev.PowerDeliveryStarted())
        self.looping.add(evse_id)
        self.run(cycles)
        assert self.site.bays[evse_id].procedure.charging, self.site.bays[evse_id].fault  # type: ignore[union-attr]

    def power(self, evse_id: str) -> float:
        return next(s.power_w for s in self.wires.sent[-1].powers if s.evse_id == evse_id)

    async def discharge(self, power_w: float = 10_000.0, evse_id: str | None = None) -> messages.DispatchResult:
        params = messages.DispatchParams(mode="discharge", power_w=power_w, evse_id=evse_id)
        return await self.api.dispatch(params, ALICE)
