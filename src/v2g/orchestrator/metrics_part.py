"""Metrics for Prometheus: counted as the daemon runs, collected when they are asked for, served to this host only."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from v2g import __version__
from v2g.config.places import PlaceError, TcpPlace, metrics_place
from v2g.control.endpoint import Endpoint, EndpointError
from v2g.control.server import Method
from v2g.guard.quality_report import REPORT_FILE, read_report
from v2g.histogram import Histogram
from v2g.host.scrape_server import ScrapeServer
from v2g.orchestrator.cycle import PERIOD_S
from v2g.orchestrator.parts import Running
from v2g.orchestrator.timing_lines import cable_state
from v2g.sessions.turnaround import CableState
from v2g.telemetry import line_counts
from v2g.telemetry import metrics_table as m
from v2g.telemetry.metrics import Page
from v2g.telemetry.metrics_text import CONTENT_TYPE, render

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH: Final = "/metrics"
DURATION_EDGES: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 1.0)
LATENESS_EDGES: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


@dataclass(slots=True)
class CyclePace:
    """How late the cycles are that begin every :data:`v2g.orchestrator.cycle.PERIOD_S`; a missed one is left out.

    After one that failed, of which nobody is told, the next one counts as late.
    """

    _due_s: float | None = None

    def lateness(self, began_s: float) -> float:
        """Of the cycle that began then, in seconds, 0 or more."""
        due_s = began_s if self._due_s is None else self._due_s
        late_s = max(0.0, began_s - due_s)
        missed = floor(late_s / PERIOD_S)
        self._due_s = (began_s if late_s == 0.0 else due_s + missed * PERIOD_S) + PERIOD_S
        return late_s


class MetricsPart:
    """Of one daemon. What cannot be served is told and is a problem; everything else goes on."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._config = running.loaded.config
        self._began_unix_s = running.clock.unix_s()
        self._durations = Histogram(DURATION_EDGES)
        self._lateness = Histogram(LATENESS_EDGES)
        self._pace = CyclePace()
        self._trips: dict[str, int] = {}
        self._trip_at_s = 0.0
        self._bounds: Mapping[str, frozenset[str]] = {}
        self._alone = asyncio.Lock()
        self._server: ScrapeServer | None = None
        self._problem = ""
        running.sessions.cable_of = self._cable

    def methods(self) -> tuple[Method[Any], ...]:
        return ()

    async def start(self, stack: AsyncExitStack) -> None:
        if not self._config.metrics.enabled:
            return
        try:
            place = metrics_place(self._config)
            self._server = ScrapeServer(
                PATH, CONTENT_TYPE, self.scrape, self._failed, local_only=isinstance(place, TcpPlace)
            )
            stack.push_async_callback(self._server.close)
            if isinstance(place, TcpPlace):
                await self._server.serve_tcp(place.host, place.port)
            else:
                await self._serve_socket(self._server, place, stack)
        except (PlaceError, EndpointError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._problem = f"metrics are not served at {self._config.metrics.listen or 'the socket'}: {reason}"
            self._running.log.warning("METRICS_FAILED", self._problem)

    async def _serve_socket(self, server: ScrapeServer, path: Path, stack: AsyncExitStack) -> None:
        endpoint = Endpoint(path)
        stack.callback(endpoint.close)
        group = self._config.metrics.group
        listener, remarks = endpoint.open((group,) if group else ())
        for remark in remarks:
            self._running.log.warning("METRICS_FAILED", f"metrics.group: {remark}")
        await server.serve_socket(listener)

    def on_cycle(self, now_s: float) -> None:
        self._durations.observe(max(0.0, self._running.clock.monotonic_s() - now_s))
        self._lateness.observe(self._pace.lateness(now_s))
        image = self._running.site.image
        if image is not None and image.guard.trip_element and image.guard.trip_at_s != self._trip_at_s:
            self._trip_at_s = image.guard.trip_at_s
            element = image.guard.trip_element
            # Of the guard's own elements there are a few dozen.
            if element in self._trips or len(self._trips) < 64:
                self._trips[element] = self._trips.get(element, 0) + 1

    def problems(self) -> tuple[str, ...]:
        return (self._problem,) if self._problem else ()

    async def scrape(self) -> bytes:
        """The text for Prometheus: collected here within some milliseconds, written on a thread."""
        async with self._alone:
            return await asyncio.to_thread(render, self.page())

    def page(self) -> Page:
        """Everything, as it is now."""
        # Here and not above: the catalogue and the rest of it are of no use to who is never scraped.
        from v2g.orchestrator import metrics_around as around
        from v2g.orchestrator.metrics_labels import bounds_of
        from v2g.orchestrator.metrics_site import put_image, put_quality, put_status

        running, now_s = self._running, self._running.clock.monotonic_s()
        if not self._bounds:
            self._bounds = bounds_of(self._config)
        page = Page(self._bounds)
        page.put(m.BUILD_INFO, 1.0, __version__)
        page.put(m.START_TIME, self._began_unix_s)
        status = running.status()
        put_status(page, status, self._config)
        image, decision = running.site.image, running.site.decision
        if image is not None and decision is not None:
            put_image(page, image, decision, now_s)
        put_quality(page, read_report(running.paths.run_dir / REPORT_FILE, now_s))
        for element, count in self._trips.items():
            page.put(m.TRIPS, float(count), element)
        around.put_seen(page, m.CYCLE_DURATION, self._durations)
        around.put_seen(page, m.CYCLE_LATENESS, self._lateness)
        around.put_timing(page, running.sessions.timing)
        around.put_logs(page, line_counts.counts())
        around.put_process(page)
        paths = running.paths
        around.put_disks(page, {"run": paths.run_dir, "state": paths.state_dir, "log": paths.log_dir})
        if (gate := running.site.plc) is not None:
            lines = [line for evse_id, line in gate.lines.items() if evse_id in gate.evse_ids]
            around.put_plc(page, lines, alive=not gate.silent(now_s))
        if (beside := running.around) is not None:
            around.put_mesh(page, beside.mesh.result())
            around.put_certificates(page, beside.credentials.status())
            around.put_history(page, beside.chronicle.health(), beside.chronicle.queued_rows)
            around.put_heartbeat(page, beside.heartbeat.state, beside.heartbeat.view(now_s))
        return page

    def _cable(self, evse_id: str) -> CableState | None:
        gate = self._running.site.plc
        if gate is None or evse_id not in gate.evse_ids:
            return None
        now_s = self._running.clock.monotonic_s()
        return cable_state(gate.lines.get(evse_id), self._config.plc.warn_db, gate.silent(now_s))

    def _failed(self, error: Exception) -> None:
        self._running.log.error("METRICS_FAILED", f"a scrape failed: {type(error).__name__}: {error}")
