"""Whether a daemon that was just started is well: what it answers, judged; and for how long."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from v2g.control.client import CallRefused, ControlClient, ControlError
from v2g.control.messages import StatusResult
from v2g.control.messages_firmware import VersionsResult

_CALL_S = 3.0


class Health:
    """Of the version ``expect``."""

    def __init__(self, expect: str) -> None:
        self._expect = expect
        self._well_since_s = math.inf
        self._uptime_s = 0.0
        self.reachable = False

    def look(self, sock: Path, now_s: float) -> str:
        """Ask the daemon; empty: all is well now, else what is not."""
        status: StatusResult | None = None
        versions: VersionsResult | None = None
        try:
            with ControlClient(sock, _CALL_S, name="v2g-tool firmware") as client:
                status = msgspec.convert(client.call("status"), StatusResult)
                versions = msgspec.convert(client.call("versions"), VersionsResult)
        except CallRefused as error:
            problem = f"the daemon refuses to tell: {error}"
        except (ControlError, msgspec.ValidationError) as error:
            problem = str(error)
        else:
            problem = self.judge(status, versions)
        self.reachable = status is not None
        uptime_s = status.uptime_s if status is not None else 0.0
        if not problem and uptime_s < self._uptime_s:
            problem = "it ended and was started again"
        self._uptime_s = uptime_s
        if problem:
            self._well_since_s = math.inf
        else:
            self._well_since_s = min(self._well_since_s, now_s)
        return problem

    def judge(self, status: StatusResult, versions: VersionsResult) -> str:
        """Empty: daemon and guard are of our version, ready and alive."""
        parts = {"v2g-orchestrator": versions.orchestrator, "tick": versions.tick, "wires": versions.wires}
        wrong = [f"{name} is {version}" for name, version in parts.items() if version and version != self._expect]
        if wrong:
            return f"not all is {self._expect}: {', '.join(wrong)}"
        if not status.ready:
            return "the daemon is not ready yet"
        if not status.guard.tick_alive:
            return "v2g-guard tick is not alive"
        if not status.guard.wires_alive:
            return "v2g-guard wires is not alive"
        return ""

    def well_for_s(self, now_s: float) -> float:
        return max(0.0, now_s - self._well_since_s)
