"""Metrics of what is around the control cycle: logs, disks, history, certificates, backhaul, mesh, powerline links."""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from v2g.control.messages_mesh import MeshResult
from v2g.control.messages_pki import PkiStatusResult
from v2g.control.messages_plc import PlcLine, PlcState
from v2g.histogram import Histogram
from v2g.orchestrator.backhaul import BackhaulView
from v2g.orchestrator.metrics_labels import LIGHTS, LINK_STATES, MEMBER_STATES
from v2g.sessions.turnaround import StationTiming
from v2g.telemetry import metrics_table as m
from v2g.telemetry.history import HistoryHealth
from v2g.telemetry.metrics import Metric, Page

_MEGABIT_BYTES = 125_000.0


def put_logs(page: Page, counts: Mapping[tuple[str, str, str], int]) -> None:
    """As :func:`v2g.telemetry.line_counts.counts` has them."""
    for (log, level, code), count in counts.items():
        page.put(m.LOG_LINES, float(count), log, level, code)


def put_disks(page: Page, directories: Mapping[str, Path]) -> None:
    """A directory that cannot be asked has no sample."""
    for name, directory in directories.items():
        try:
            found = os.statvfs(directory)
        except OSError:
            continue
        page.put(m.DISK_FREE, float(found.f_bavail * found.f_frsize), name)
        page.put(m.DISK_SIZE, float(found.f_blocks * found.f_frsize), name)


def put_process(page: Page) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    page.put(m.CPU_TIME, usage.ru_utime + usage.ru_stime)
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return
    page.put(m.RESIDENT_MEMORY, float(pages * resource.getpagesize()))


def put_history(page: Page, health: HistoryHealth, queued_rows: int) -> None:
    page.put(m.HISTORY_QUEUE, float(queued_rows))
    page.put(m.HISTORY_DROPPED, float(health.dropped_rows))
    page.put(m.HISTORY_WRITTEN, float(health.written_rows))
    page.put(m.HISTORY_SIZE, float(health.size_bytes))
    page.put(m.HISTORY_FAILS, float(bool(health.problem)))


def put_certificates(page: Page, status: PkiStatusResult) -> None:
    """Of several of one use, the one that ends first."""
    ends: dict[tuple[str, str], float] = {}
    for profile in status.profiles:
        for line in profile.certificates:
            key = (profile.profile, line.use)
            ends[key] = min(ends.get(key, line.not_after_unix_s), line.not_after_unix_s)
    for (profile_name, use), end_unix_s in ends.items():
        page.put(m.CERTIFICATE_EXPIRY, end_unix_s, profile_name, use)


def put_heartbeat(page: Page, state: str, backhaul: BackhaulView | None) -> None:
    page.put_state(m.HEARTBEAT, state, LIGHTS)
    if backhaul is not None:
        page.put(m.BACKHAUL_LOSS, backhaul.loss)
        page.put(m.BACKHAUL_ROUND_TRIP, backhaul.round_trip_s)
        page.put(m.BACKHAUL_PROBES, float(backhaul.probes))
        page.put(m.BACKHAUL_LOST, float(backhaul.lost))


def put_timing(page: Page, timing: StationTiming) -> None:
    for (service, stage), seen in timing.turnaround.items():
        put_seen(page, m.TURNAROUND, seen, service, stage)
    put_seen(page, m.ROUND_TRIP, timing.rtt)
    put_seen(page, m.HANDSHAKE, timing.handshake)
    for evse_id, count in timing.slow.items():
        page.put(m.TURNAROUND_SLOW, float(count), evse_id)
    for reason, count in timing.ends.items():
        page.put(m.SESSIONS_ENDED, float(count), reason)
    page.put(m.SESSIONS_BEGUN, float(timing.begun))


def put_plc(page: Page, lines: Iterable[PlcLine], *, alive: bool) -> None:
    page.put(m.PLC_DRIVER, float(alive))
    for line in lines:
        page.put(m.PLC_UP, float(alive and line.state is PlcState.LINKED), line.evse_id)
        if line.attenuation is not None:
            page.put(m.PLC_ATTENUATION, line.attenuation.average_db, line.evse_id)
        if not alive:
            continue
        for way, rate_mbps in (("received", line.tx_mbps), ("sent", line.rx_mbps)):
            page.put(m.PLC_RATE, rate_mbps * _MEGABIT_BYTES if rate_mbps is not None else None, line.evse_id, way)
        page.put(m.PLC_LOSS, line.packet_loss, line.evse_id)


def put_mesh(page: Page, mesh: MeshResult) -> None:
    """Of a mesh that is configured and joined."""
    if not mesh.network:
        return
    others = [member for member in mesh.members if not member.ourselves]
    states = Counter("deaf" if each.deaf else "present" if each.present else "absent" for each in others)
    for state in MEMBER_STATES:
        page.put(m.MESH_MEMBERS, float(states[state]), state)
    for member in others:
        page.put(m.MESH_PRESENT, float(member.present), member.id)
        trip_ms = member.round_trip_ms
        page.put(m.MESH_ROUND_TRIP, trip_ms / 1e3 if trip_ms is not None else None, member.id)
    page.put(m.MESH_LOSS, mesh.loss_pct / 100.0 if mesh.loss_pct is not None else None)
    page.put(m.MESH_ISLANDS, float(len(mesh.islands)))
    links = Counter("up" if link.up else "down" for link in mesh.links)
    for state in LINK_STATES:
        page.put(m.MESH_LINKS, float(links[state]), state)
    page.put(m.MESH_SHARE, mesh.import_w, "import")
    page.put(m.MESH_SHARE, mesh.export_w, "export")
    for reason, count in mesh.drops.items():
        page.put(m.MESH_DROPS, float(count), reason)
    if mesh.wire is not None:
        page.put(m.MESH_MESSAGES, float(mesh.wire.received), "received")
        page.put(m.MESH_MESSAGES, float(mesh.wire.sent), "sent")
        page.put(m.MESH_BYTES, float(mesh.wire.received_bytes), "received")
        page.put(m.MESH_BYTES, float(mesh.wire.sent_bytes), "sent")


def put_seen(page: Page, metric: Metric, seen: Histogram, *labels: str) -> None:
    page.put_histogram(metric, seen.edges, seen.counts, seen.total, *labels)
