"""What ``systemctl reload`` takes up anew: sensors, certificates, the mesh's links; each whole or not at all."""

from __future__ import annotations

import asyncio
import os

from v2g.control.messages import NoParams
from v2g.control.server import Caller, Refused, Role
from v2g.orchestrator.changes import FINISH_CHANGE_S
from v2g.orchestrator.mesh_link import MeshLink
from v2g.orchestrator.pki_api import PkiApi
from v2g.orchestrator.sensors_api import SensorsApi
from v2g.telemetry import logs


class Reload:
    """Of SIGHUP. Log rotation sends none: logs reopen by themselves."""

    def __init__(self, sensors: SensorsApi, pki: PkiApi, mesh: MeshLink) -> None:
        self._sensors = sensors
        self._pki = pki
        self._mesh = mesh
        self._log = logs.daemon_log()
        self._running: set[asyncio.Task[None]] = set()

    def on_hangup(self) -> None:
        """Within the event loop."""
        caller = Caller(uid=os.getuid(), gid=os.getgid(), pid=os.getpid(), user="SIGHUP", role=Role.ENGINEER)
        for name, reload in (
            ("sensors anew", self._reload_sensors),
            ("certificates anew", self._reload_certificates),
            ("mesh anew", self._rejoin_mesh),
        ):
            task = asyncio.get_running_loop().create_task(reload(caller), name=name)
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """What runs gets a moment to finish."""
        if self._running:
            await asyncio.wait(self._running, timeout=FINISH_CHANGE_S)

    async def _reload_certificates(self, caller: Caller) -> None:
        try:
            result = await self._pki.reload(NoParams(), caller)
        except Refused as error:
            logs.audit_log().info(error.code, str(error), user=caller.user)
            return
        logs.audit_log().info("PKI_RELOADED", result.message, user=caller.user)

    async def _rejoin_mesh(self, caller: Caller) -> None:
        await self._mesh.rejoin()

    async def _reload_sensors(self, caller: Caller) -> None:
        try:
            result = await self._sensors.reload(NoParams(), caller)
        except Refused as error:
            code = "SENSORS_HALF_RELOADED" if error.code == "HALF_RELOADED" else "SENSORS_REFUSED"
            self._log.warning(code, str(error), by=caller.user)
            logs.audit_log().info(code, str(error), user=caller.user)
            return
        self._log.info("SENSORS_RELOADED", result.message, by=caller.user)
        logs.audit_log().info("SENSORS_RELOADED", result.message, user=caller.user, digest=result.digest)
