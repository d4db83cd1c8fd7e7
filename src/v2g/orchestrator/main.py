"""The composition root of the orchestrator: everything is made, joined, run and taken down here."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from pyiso15118.aio import NetworkError, SeccConnection, SeccServer
from pyiso15118.aio.server import HANDSHAKE_THREADS
from pyiso15118.security import TlsError
from v2g import __version__
from v2g.clock import Clock, SystemClock
from v2g.config.loader import Loaded, load
from v2g.config.paths import RunPaths, run_paths
from v2g.config.schema import Config
from v2g.config.thermal import limits_in_force
from v2g.control.messages import StatusResult
from v2g.control.server import ControlServer
from v2g.guard.link_client import WiresClient
from v2g.guard.quality_report import REPORT_FILE
from v2g.guard.status_block import StatusReader
from v2g.guard.tick_commands import send_command
from v2g.host.memory import give_back
from v2g.host.notify import Notifier
from v2g.orchestrator.api import Api
from v2g.orchestrator.audit_trail import AuditTrail
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.chronicle import Chronicle
from v2g.orchestrator.config_api import ConfigApi
from v2g.orchestrator.credentials import Credentials
from v2g.orchestrator.cycle import ControlCycle, traceback_tail
from v2g.orchestrator.devices_api import DevicesApi
from v2g.orchestrator.discharge_record import FILE as DISCHARGE_TESTS_FILE
from v2g.orchestrator.discharge_record import DischargeTests
from v2g.orchestrator.discharge_test_api import DischargeTestApi
from v2g.orchestrator.firewall_api import FirewallApi
from v2g.orchestrator.guard_api import GuardApi
from v2g.orchestrator.guard_link import GuardLink
from v2g.orchestrator.harmonic_api import HarmonicApi
from v2g.orchestrator.heartbeat import Heartbeat
from v2g.orchestrator.library_logs import bridge_library_logs
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.lockout_api import LockoutApi
from v2g.orchestrator.mesh_absent import mesh_place
from v2g.orchestrator.operations import Operations, Running
from v2g.orchestrator.order_store import OrderStore
from v2g.orchestrator.parts import Around
from v2g.orchestrator.pki_api import PkiApi
from v2g.orchestrator.plc_links import PlcLinks
from v2g.orchestrator.recall_words import RECALLED, recall_words
from v2g.orchestrator.reload import Reload
from v2g.orchestrator.sensors_api import SensorsApi
from v2g.orchestrator.site import Site
from v2g.orchestrator.status import Daemon
from v2g.orchestrator.status_line import Bound, bound_words, status_line
from v2g.orchestrator.surroundings import Surroundings
from v2g.orchestrator.thermal_api import ThermalApi
from v2g.orchestrator.thermal_clock import ThermalClock, simulated_begin, simulated_speed
from v2g.orchestrator.timing_lines import backhaul_line
from v2g.orchestrator.tls_report import tls_notes
from v2g.orchestrator.trust import TrustData
from v2g.orchestrator.winding_down import WindingDown
from v2g.sessions.supervisor import Sessions
from v2g.telemetry import logs
from v2g.thermal.parameters import ParameterError

EX_CONFIG = os.EX_CONFIG
STATUS_PERIOD_S = 1.0
TICK_ANSWERS_S = 3.0
"""So long a command to ``v2g-guard tick`` may take: it reads its configuration again, or measures for a second."""
OCSP_HANDSHAKES = 4
"""At once: each may wait for a responder, and must not hold up the other EVSEs' vehicles."""


def run(config_dir: Path) -> int:
    """The daemon, until SIGTERM or SIGINT. Exit code 0 after a clean stop.

    1 for a network that does not let it start and may later, :data:`EX_CONFIG` for certificates, keys or a nameplate
    that only a person can put right. Raises :class:`v2g.config.problems.ConfigError`, and
    :class:`v2g.control.endpoint.EndpointError` where another orchestrator runs.
    """
    loaded = load(config_dir)
    paths = run_paths(loaded.config)
    logs.configure(paths.log_dir)
    bridge_library_logs()
    log = logs.daemon_log()
    for warning in loaded.warnings:
        log.warning("CONFIG", str(warning))
    try:
        return asyncio.run(Orchestrator(loaded, paths, SystemClock()).main())
    except NetworkError as error:
        log.error("START_FAILED", str(error))
        return 1
    except (TlsError, ParameterError) as error:
        log.error("START_FAILED", str(error))
        return EX_CONFIG
    finally:
        logs.close()


class Orchestrator:
    """One run of the daemon."""

    def __init__(self, loaded: Loaded, paths: RunPaths, clock: Clock, notifier: Notifier | None = None) -> None:
        self._config: Config = loaded.config
        self._paths = paths
        self._clock = clock
        self._notifier = notifier or Notifier()
        self._log = logs.daemon_log()
        self._stop = asyncio.Event()
        self._ready = False
        self._started_at_s = clock.monotonic_s()
        self._fed_at_s = self._told_at_s = -1e9
        self._simulation = os.environ.get("V2G_SIMULATION") == "1"
        speed = simulated_speed(os.environ, self._simulation)
        thermal_clock = ThermalClock(
            clock,
            SiteZone(self._config.site.timezone),
            speed=speed,
            begin=simulated_begin(os.environ, self._simulation),
        )
        self._chronicle = Chronicle(self._config, paths.history, paths.run_dir / REPORT_FILE, self._log, speed=speed)
        memory = self._chronicle.recall()
        self.site = Site(self._config, thermal_clock, self._on_error, memory=memory)
        self._recalled = recall_words(memory, self.site.model.authorisation, thermal_clock.begin)
        self._orders = OrderStore(paths.state_dir / "orders.json", clock)
        self.sessions = Sessions(self.site.bays, logs.comms_log(), self._on_error, clock)
        self.secc: SeccServer | None = None
        self._plc = PlcLinks(self._config, paths.plc_sock, self.site, self.sessions, clock, logs.comms_log())
        self._mesh = mesh_place(self._config, self.site, clock, logs.comms_log())
        self._heartbeat = Heartbeat(self._config.heartbeat, self._log, clock=clock)
        self._api = Api(self.site, self.sessions.info, self._daemon, paths.tick_sock, clock)
        self._guard = StatusReader(paths.guard_status)
        tick = partial(send_command, paths.tick_sock, timeout_s=TICK_ANSWERS_S)
        self._changes = Changes()
        self._lockout_api = LockoutApi(GuardLink(tick, self._guard, clock))
        self._guard_api = GuardApi(
            self.site,
            tick,
            self._guard,
            loaded.config_dir,
            paths.state_dir,
            clock,
            logs.audit_log().info,
            self._changes,
        )
        self._wires = WiresClient(paths.wires_sock, self._on_wires)
        self._sensors_api = SensorsApi(
            loaded,
            GuardLink(tick, self._guard, clock),
            self._wires.reload,
            lambda: self._wires.image,
            clock,
            logs.audit_log().info,
            self._changes,
        )
        self._thermal_api = ThermalApi(
            self._config.transformer,
            limits_in_force(self._config),
            self._config.dispatch.thermal_horizon_s,
            lambda: self.site.image.transformer if self.site.image is not None else None,
            self._chronicle.health,
            self.site.model.authorisation,
            self._keep_thermal,
            clock,
            thermal_clock.thermal_s,
            logs.audit_log().info,
        )
        self.site.discharge_tests = DischargeTests(paths.state_dir / DISCHARGE_TESTS_FILE)
        self._discharge_api = DischargeTestApi(self.site, self.site.discharge_tests, clock, logs.audit_log().info)
        self._harmonic_api = HarmonicApi(
            self.site, paths.run_dir / REPORT_FILE, loaded.config_dir, clock, self._changes
        )
        self._devices_api = DevicesApi(self.site, clock)
        self._trust = TrustData(self._config, paths.state_dir, clock, logs.comms_log(), self._log)
        self._credentials = Credentials(self._config, clock, logs.comms_log(), self._trust.build)
        self._pki_api = PkiApi(self._credentials, lambda: self.secc, self._log)
        self._surroundings = Surroundings(
            loaded,
            paths,
            self.site,
            self.sessions,
            clock,
            self._changes,
            self._log,
            compressed=speed != 1.0,
        )
        self._reload = Reload(
            loaded,
            self._sensors_api,
            self._pki_api,
            self._mesh,
            self.site,
            self._surroundings.min_soc,
            lambda: self._guard.read(clock.monotonic_s()).settings_digest,
            self._changes,
        )
        self._winding = WindingDown(self.site, self.sessions, clock, lambda: self.secc, self._log)
        self._operations = Operations(
            Running(
                loaded=loaded,
                paths=paths,
                site=self.site,
                sessions=self.sessions,
                clock=clock,
                changes=self._changes,
                log=self._log,
                simulation=self._simulation,
                secc=lambda: self.secc,
                winding=self._winding,
                status=self._api.snapshot,
                unreachable=self._unreachable,
                in_force=lambda: self._credentials.in_force,
                around=Around(self._mesh, self._credentials, self._chronicle, self._heartbeat),
                tell=self._tell,
            )
        )
        self._cycle = ControlCycle(
            self.site,
            self.sessions,
            self._wires,
            self._guard,
            clock,
            daemon=self._log,
            power_quality=logs.power_quality_log(),
            on_cycle=self._on_cycle,
        )
        self._trail = AuditTrail(loaded.config_dir, paths.state_dir, clock, simulation=self._simulation)
        self._control = ControlServer(
            paths.control_sock,
            (
                *self._api.methods(),
                *self._guard_api.methods(),
                *self._lockout_api.methods(),
                *self._discharge_api.methods(),
                *self._thermal_api.methods(),
                *self._harmonic_api.methods(),
                *self._sensors_api.methods(),
                *self._devices_api.methods(),
                *self._pki_api.methods(),
                *ConfigApi(self._reload, self._changes).methods(),
                *FirewallApi().methods(),
                *self._plc.methods(),
                *self._mesh.methods(),
                *self._surroundings.methods(),
                *self._trail.methods(),
                *self._operations.methods(),
            ),
            self._config.control.roles,
            logs.audit_log().info,
            clock,
            simulation=self._simulation,
            caught_up=self._cycle.caught_up,
        )

    def stop(self) -> None:
        """Begin a clean stop."""
        self._stop.set()

    async def main(self) -> int:
        """Start, serve, stop. Raises what keeps it from starting, with everything taken down again."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_loop_error)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload.on_hangup)
        self._trust.start()
        endpoints = self._credentials.start()
        for evse_id, problem in self._credentials.unusable.items():
            logs.comms_log().error("EVSE_UNREACHABLE", f"{evse_id}: no vehicle can connect: {problem}")
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._trail)
            # The lock on the control socket comes first: a second orchestrator must not take wires or ports away.
            await self._control.start()
            self._trail.begin()
            stack.push_async_callback(self._control.close)
            self._restore_orders()
            self._log.info(RECALLED, self._recalled)
            for remark in self.site.model.remarks:
                self._log.warning("THERMAL", remark)
            self._chronicle.start()
            stack.callback(self._close_chronicle)
            remark_on = self._log.info if self._simulation else self._log.warning
            for remark in self._control.remarks:
                remark_on("CONTROL", remark)
            await self._wires.start()
            stack.push_async_callback(self._wires.close)
            await self._plc.start(stack)
            await self._mesh.start(stack)
            stack.callback(self._heartbeat.close)
            stack.callback(self._guard.close)
            stack.push_async_callback(self._guard_api.close)
            await self._surroundings.start(stack)
            self._trail.restored("SIGNALS", self._surroundings.signal_ids())
            await self._operations.start(stack)
            stack.push_async_callback(self._end_changes)
            stack.push_async_callback(self._discharge_api.close)
            threads = OCSP_HANDSHAKES if self._config.pki.revocation.ocsp else HANDSHAKE_THREADS
            self.secc = SeccServer(
                endpoints, self._on_session, threads, admits=self._plc.admission.admits, tracer=self._operations.tracer
            )
            self._plc.admission.solicit = self.secc.solicit
            self._operations.before_listening(self.secc)
            await self.secc.start()
            stack.push_async_callback(self.secc.close)
            stack.callback(self._trust.close)
            stack.push_async_callback(_cancel, loop.create_task(self._trust.run(), name="revocation and time"))
            running = loop.create_task(self._cycle.run(), name="control cycle")
            stack.push_async_callback(_cancel, running)
            self._announce()
            stopped = loop.create_task(self._stop.wait())
            await asyncio.wait((stopped, running), return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                stopped.cancel()
                running.result()
            self._notifier.stopping()
            await self._winding.stop()
        self._log.info("STOPPED", "v2g-orchestrator ended cleanly")
        return 0

    def _restore_orders(self) -> None:
        restored = self._orders.load()
        self.site.book.restore(restored.orders, restored.next_id, self._clock.monotonic_s())
        self._trail.restored("ORDERS", [order.id for order in restored.orders], restored.problem)
        if restored.problem:
            self._log.warning("ORDERS_DROPPED", restored.problem)
        if restored.orders:
            self._log.info("ORDERS_RESTORED", f"{len(restored.orders)} orders from before the restart stand again")

    def _keep_orders(self, now_s: float) -> None:
        before = self._orders.problem
        self._orders.save(self._discharge_api.lasting(self.site.book.all(now_s)), self.site.book.next_id)
        if (problem := self._orders.problem) and problem != before:
            self._log.error("ORDERS_NOT_KEPT", problem)

    def _announce(self) -> None:
        for note in tls_notes(self._config, self._credentials.in_force):
            (self._log.warning if note.is_gap else self._log.info)(note.code, note.text)
        self._ready = True
        self._log.info("READY", f"v2g-orchestrator {__version__}: ISO 15118 ready on {self._bound()}")
        self._notifier.ready(f"ISO 15118 ready on {self._bound()}")
        # What start-up made lives as long as the process; collections need not walk it again.
        give_back()
        gc.freeze()
        gc.enable()

    def _unreachable(self) -> Mapping[str, str]:
        return {**self._credentials.unusable, **(self.secc.problems if self.secc is not None else {})}

    def _bound(self) -> str:
        """Where vehicles can connect now, and which EVSEs they cannot reach."""
        lost = self._unreachable()
        secc = self.secc
        return bound_words(
            [
                Bound(evse.interface, (at := secc.address(evse.id)).host, at.port)
                for evse in self._config.evses
                if secc is not None and evse.id not in lost
            ],
            list(lost),
        )

    def _line(self, status: StatusResult) -> str:
        decision = self.site.decision
        if self.site.image is None or decision is None:
            return f"starting, ISO 15118 ready on {self._bound()}"
        return status_line(status, "" if decision.permitted else decision.permit_reason, self._bound())

    async def _on_session(self, connection: SeccConnection) -> None:
        evse_id = connection.endpoint.evse_id
        if (refusal := self._plc.begin(evse_id, connection.peer_address)) is not None:
            connection.abort(refusal)
            return
        try:
            await self.sessions.serve(evse_id, connection)
        finally:
            self._plc.end(evse_id)

    def _on_cycle(self, now_s: float) -> None:
        self._plc.on_cycle(now_s)
        self._mesh.on_cycle(now_s)
        self._heartbeat.on_cycle(self._mesh.loss, self._ready, now_s)
        self._keep_orders(now_s)
        self._surroundings.on_cycle(now_s)
        self._chronicle.on_cycle(self.site, now_s)
        self._trail.on_cycle(now_s)
        self._credentials.on_cycle(now_s)
        self._operations.on_cycle(now_s)
        interval_s = self._notifier.interval_s
        if interval_s is not None and now_s - self._fed_at_s >= min(interval_s, STATUS_PERIOD_S) / 2:
            self._fed_at_s = now_s
            self._notifier.watchdog()
        if now_s - self._told_at_s >= STATUS_PERIOD_S:
            self._told_at_s = now_s
            if self._control.is_wanted("status") or (self._ready and self._notifier.enabled):
                status = self._api.snapshot()
                self._control.broadcast("status", status)
                if self._ready:
                    self._notifier.status(self._line(status))

    def _tell(self, topic: str, make: Callable[[], Any]) -> None:
        if self._control.is_wanted(topic):
            self._control.broadcast(topic, make())

    def _close_chronicle(self) -> None:
        self._chronicle.close(self.site, self._clock.monotonic_s())

    def _keep_thermal(self) -> None:
        self._chronicle.keep(self.site, self._clock.monotonic_s())

    def _on_wires(self, connected: bool, reason: str) -> None:
        if connected:
            self._log.info("WIRES_UP", "connected to v2g-guard wires")
        else:
            self._log.warning("WIRES_DOWN", reason or "connection lost; trying again")

    def _daemon(self) -> Daemon:
        return Daemon(
            started_at_s=self._started_at_s,
            ready=self._ready,
            heartbeat=self._heartbeat.state,
            backhaul=backhaul_line(self._heartbeat.view(self._clock.monotonic_s())),
            simulation=self._simulation,
            unreachable=self._unreachable(),
            problems=(
                *filter(None, [self._orders.problem]),
                *self._plc.problems(),
                *self._mesh.problems(),
                *self._heartbeat.problems(),
                *self._surroundings.problems(),
                *self._credentials.problems(),
                *self._trust.problems(),
                *self._trail.problems(),
                *self._operations.problems(),
            ),
        )

    def _on_error(self, evse_id: str, error: Exception) -> None:
        text = f"{evse_id}: {type(error).__name__}: {error}; this session ends, the others go on"
        info = self.sessions.info(evse_id)
        session = info.session if info is not None else "none"
        self._log.error("SESSION_ERROR", text, evse=evse_id, session=session, traceback=traceback_tail())
        self.sessions.abort(evse_id, f"internal error: {error}")

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        what = f": {type(error).__name__}: {error}" if error is not None else ""
        self._log.error("INTERNAL_ERROR", f"{context.get('message')}{what}")

    async def _end_changes(self) -> None:
        await self._changes.close()
        await self._reload.close()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
