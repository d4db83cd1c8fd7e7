from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.status_example import example_status
from v2g.cli import control, tool
from v2g.cli.lazy import LazyGroup
from v2g.cli.verbs import normalise
from v2g.clock import ManualClock
from v2g.config.schema import Roles
from v2g.control import messages
from v2g.control.messages import (
    DispatchResult,
    StatusResult,
)
from v2g.control.messages_devices import EfficiencyParams, PilotCheckParams
from v2g.control.messages_discharge import DischargeTestParams
from v2g.control.messages_lockout import LockoutParams
from v2g.control.messages_maintenance import MaintenanceParams
from v2g.control.messages_mesh import MeshCapParams, MeshPingParams, MeshUncapParams
from v2g.control.messages_plc import PlcParams
from v2g.control.messages_quality import HarmonicFilterParams
from v2g.control.messages_sensors import SensorsCalibrateParams
from v2g.control.server import ControlServer, Method, Refused, Role


class Daemon:
    """A real control server with canned answers, and the commands run against it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.status = example_status()
        self.received: list[Any] = []
        self.answers: dict[str, Any] = {}
        methods: list[Method[Any]] = [
            Method("status", Role.VIEWER, messages.NoParams, self._status),
            Method("dispatch", Role.UTILITY, messages.DispatchParams, self._answer("dispatch")),
            Method("cancel", Role.OPERATOR, messages.CancelParams, self._answer("cancel")),
            Method("trip.reset", Role.OPERATOR, messages.NoParams, self._answer("trip.reset")),
            Method("permit.service", Role.OPERATOR, messages.PermitServiceParams, self._answer("permit.service")),
            Method("grid.settings", Role.VIEWER, messages.NoParams, self._answer("grid.settings")),
            Method("grid.adjust", Role.ENGINEER, messages.GridAdjustParams, self._answer("grid.adjust")),
            Method("thermal", Role.VIEWER, messages.NoParams, self._answer("thermal")),
            Method("thermal.course", Role.VIEWER, messages.NoParams, self._answer("thermal.course")),
            Method("thermal.regime", Role.ENGINEER, messages.RegimeParams, self._answer("thermal.regime")),
            Method("harmonics.show", Role.VIEWER, messages.NoParams, self._answer("harmonics.show")),
            Method("harmonic_filter.set", Role.ENGINEER, HarmonicFilterParams, self._answer("harmonic_filter.set")),
            Method("pll.calibrate", Role.ENGINEER, messages.PllCalibrateParams, self._answer("pll.calibrate")),
            Method("lockout.set", Role.OPERATOR, LockoutParams, self._answer("lockout.set")),
            Method("lockout.show", Role.VIEWER, messages.NoParams, self._answer("lockout.show")),
            Method("maintenance.begin", Role.ENGINEER, MaintenanceParams, self._answer("maintenance.begin")),
            Method("maintenance.end", Role.ENGINEER, messages.NoParams, self._answer("maintenance.end")),
            Method("maintenance.show", Role.VIEWER, messages.NoParams, self._answer("maintenance.show")),
            Method("inverter.efficiency", Role.VIEWER, EfficiencyParams, self._answer("inverter.efficiency")),
            Method("pilot.check", Role.VIEWER, PilotCheckParams, self._answer("pilot.check")),
            Method("plc", Role.VIEWER, PlcParams, self._answer("plc")),
            Method("mesh.show", Role.VIEWER, messages.NoParams, self._answer("mesh.show")),
            Method("mesh.ping", Role.VIEWER, MeshPingParams, self._answer("mesh.ping")),
            Method("mesh.cap", Role.UTILITY, MeshCapParams, self._answer("mesh.cap")),
            Method("mesh.uncap", Role.UTILITY, MeshUncapParams, self._answer("mesh.uncap")),
            Method("sensors.list", Role.VIEWER, messages.NoParams, self._answer("sensors.list")),
            Method("sensors.reload", Role.ENGINEER, messages.NoParams, self._answer("sensors.reload")),
            Method("sensors.calibrate", Role.ENGINEER, SensorsCalibrateParams, self._answer("sensors.calibrate")),
            Method("discharge.test", Role.ENGINEER, DischargeTestParams, self._answer("discharge.test")),
        ]
        self.server = ControlServer(path, methods, Roles(), lambda *args, **fields: None, ManualClock())

    async def _status(self, params: messages.NoParams, caller: Any) -> StatusResult:
        return self.status

    def _answer(self, name: str) -> Callable[[Any, Any], Awaitable[Any]]:
        async def handler(params: Any, caller: Any) -> Any:
            self.received.append(params)
            answer = self.answers[name]
            if isinstance(answer, Refused):
                raise answer
            return answer

        return handler

    def grants(self, *powers_w: float, requested_w: float = -10_000.0, mode: str = "discharge", **more: Any) -> None:
        """Let the next dispatch grant each EVSE in turn its power."""
        self.answers["dispatch"] = DispatchResult(
            order_id=3,
            mode=mode,
            requested_w=requested_w,
            granted_w=sum(powers_w),
            duration_s=900.0,
            grants=tuple(
                messages.VehicleGrant(evse_id=f"US*V2G*E{n}", vehicle=f"WMIV2G000{n}", power_w=power_w)
                for n, power_w in enumerate(powers_w, 1)
            ),
            **more,
        )

    async def run(self, command: str, tool_too: bool = False) -> Result:
        """A command line, as a shell would split it, in a thread of its own."""
        program = tool.cli if tool_too else control.cli
        verbs = program.verbs if isinstance(program, LazyGroup) else tuple(program.commands)
        words = normalise(command.split(), verbs)
        environ = {"V2G_SOCKET": str(self.path)}
        return await asyncio.to_thread(CliRunner().invoke, program, words, env=environ)


@pytest.fixture
async def site_daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    running = Daemon(tmp_path / "control.sock")
    await running.server.start()
    yield running
    await running.server.close()
