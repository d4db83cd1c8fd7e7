"""Metrics of a daemon: what they say of the site, that their labels are bounded, and that they are served."""

from __future__ import annotations

import asyncio
import grp
import os
import socket
import stat
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyiso15118 import events as ev
from support.control_world import E1, E2, World
from support.metrics_rig import MetricsRig, series, value
from v2g.control.messages_mesh import MeshLinkLine, MeshMemberLine, MeshResult, MeshWireLine
from v2g.control.messages_pki import CertificateLine, PkiStatusResult, ProfileInForce
from v2g.control.messages_plc import PlcAttenuation, PlcLine, PlcState
from v2g.guard.lateness import TOLD_EDGES
from v2g.guard.link import LATENCY_EDGES_S, DeviceHealth, Latency
from v2g.guard.status import Permit
from v2g.orchestrator.metrics_labels import bounds_of
from v2g.orchestrator.metrics_part import CyclePace
from v2g.orchestrator.plc_gate import PlcGate
from v2g.sessions.supervisor import SessionInfo
from v2g.sessions.turnaround import SessionTiming
from v2g.telemetry import line_counts
from v2g.telemetry import metrics_table as m
from v2g.telemetry.metrics import OTHER

HOSTILE = 'x"} 1\n# HELP evil \u202e'


@pytest.fixture
def rig(world: World, tmp_path: Path) -> MetricsRig:
    return MetricsRig(world, tmp_path)


def test_before_the_first_cycle_there_is_a_page(rig: MetricsRig) -> None:
    page = rig.page()
    assert value(page, m.READY) == 1.0
    assert m.TEMPERATURE not in page.values
    assert value(page, m.PERMIT, "guard_stale") == 1.0


def test_it_says_what_the_site_is(rig: MetricsRig) -> None:
    rig.world.charge(E1)
    rig.cycles(3)
    page = rig.page()
    assert value(page, m.PERMITTED) == value(page, m.PERMIT, "granted") == 1.0
    assert sum(page.values[m.PERMIT].values()) == 1.0
    assert value(page, m.SESSIONS, "charging") == 1.0
    assert value(page, m.EVSE_OCCUPIED, E1) == 1.0
    assert value(page, m.EVSE_OCCUPIED, E2) == 0.0
    assert value(page, m.EVSE_SOC, E1) == pytest.approx(0.7)
    assert value(page, m.EVSE_SOC, E2) is None
    assert value(page, m.FREQUENCY) == 60.0
    assert value(page, m.VOLTAGE, "b") == 277.0
    assert value(page, m.TEMPERATURE, "top_oil") == pytest.approx(45.0, abs=1.0)
    assert value(page, m.HEADROOM, "charge") == pytest.approx(rig.world.site.image.transformer.hi_w)  # type: ignore[union-attr]
    assert value(page, m.HEADROOM, "discharge") == pytest.approx(-rig.world.site.image.transformer.lo_w)  # type: ignore[union-attr]
    assert value(page, m.HISTORY_QUEUE) == 7.0
    assert value(page, m.DISK_FREE, "run") > 0.0  # type: ignore[operator]
    assert value(page, m.DISK_FREE, "state") is None, "a directory that is not there has no figure"
    assert page.histograms[m.CYCLE_DURATION][()].counts[0] == 3


async def test_orders_and_what_they_lack_are_told_by_code(rig: MetricsRig) -> None:
    rig.world.charge(E1)
    await rig.world.discharge(50_000.0)
    rig.cycles()
    page = rig.page()
    assert value(page, m.ORDERS, "discharge") == 1.0
    lacking = rig.world.site.decision.allocation.shortfalls  # type: ignore[union-attr]
    assert lacking
    assert page.values[m.SHORTFALL] == {
        (code,): pytest.approx(sum(each.missing_w for each in lacking if each.code == code))
        for code in {each.code for each in lacking}
    }


def test_each_trip_is_counted_once(rig: MetricsRig) -> None:
    rig.cycles(2)
    assert m.TRIPS not in rig.page().values
    for element, at_s in (("OV2", 5.0), ("UF1", 9.0), ("OV2", 12.0)):
        rig.world.guard.changes = {"permit": Permit.TRIPPED, "trip_element": element, "trip_at_s": at_s}
        rig.cycles(3)
    page = rig.page()
    assert page.values[m.TRIPS] == {("OV2",): 2.0, ("UF1",): 1.0}
    assert value(page, m.TRIP_LATCHED) == 1.0


def test_ticks_of_the_guard_come_through_its_status(rig: MetricsRig) -> None:
    counts = (90, 5, *([0] * (len(TOLD_EDGES) - 2)), 1)
    rig.world.guard.changes = {"ticks": 96, "late_ticks": 1, "lateness_counts": counts, "lateness_sum_s": 0.25}
    rig.cycles()
    page = rig.page()
    told = page.histograms[m.TICK_LATENESS][()]
    assert (told.counts, told.total, told.edges) == (counts, 0.25, TOLD_EDGES)
    assert value(page, m.LATE_TICKS) == 1.0


def test_devices_and_their_latency_are_told_by_kind(rig: MetricsRig) -> None:
    rig.cycles()
    wires = msgspec.structs.replace(
        rig.world.wires.image,
        devices=(
            DeviceHealth(name=f"inverter {E1}", address="a:1", online=True, timeouts=2),
            DeviceHealth(name=f"inverter {E2}", address="a:2", online=False, timeouts=3, reconnects=1),
            DeviceHealth(name="transducers", address="a:3", online=True),
            DeviceHealth(name=f"{HOSTILE} {E1}", address="a:4", online=True),
        ),
        latencies=(Latency(kind="inverter", counts=(1,) * (len(LATENCY_EDGES_S) + 1), total_s=1.5),),
    )
    rig.world.wires.frozen = wires
    rig.world.run()
    page = rig.page()
    assert value(page, m.MODBUS_ONLINE, "inverter", E1) == 1.0
    assert value(page, m.MODBUS_ONLINE, "inverter", E2) == 0.0
    assert value(page, m.MODBUS_ONLINE, "transducers", "") == 1.0
    assert value(page, m.MODBUS_TIMEOUTS, "inverter") == 5.0
    assert page.histograms[m.MODBUS_LATENCY][("inverter",)].total == 1.5


def test_turnaround_and_round_trip_of_sessions_are_told(rig: MetricsRig) -> None:
    rig.world.charge(E1)
    station = rig.world.sessions.timing
    timing = SessionTiming(E1, None, station, rig.world.clock.monotonic_s, lambda *_: None)
    timing.service = "DC_BPT"
    for _ in range(99):
        timing.observe(0.1, "DC_ChargeLoopRes", "DC_ChargeLoopReq")
    timing.observe(0.4, "DC_ChargeLoopRes", "DC_ChargeLoopReq")
    rig.world.infos[E1] = msgspec_replace(rig.world.infos[E1], timing)
    station.ended(ev.EndReason.TIMEOUT_SECC.value)
    rig.cycles()
    page, status = rig.page(), rig.world.api.snapshot()
    told = status.evses[0].session.timing  # type: ignore[union-attr]
    assert told is not None
    assert (told.turns, told.slow, told.turnaround_worst_s) == (100, 1, 0.4)
    assert told.turnaround_median_s == pytest.approx(0.1, rel=0.1)
    assert told.turnaround_p99_s == pytest.approx(0.1, rel=0.1)
    assert page.histograms[m.TURNAROUND][("DC_BPT", "charge_loop")].total == pytest.approx(10.3)
    assert value(page, m.TURNAROUND_SLOW, E1) == 1.0
    assert value(page, m.SESSIONS_ENDED, "SECC_TIMEOUT") == 1.0


def msgspec_replace(info: SessionInfo, timing: SessionTiming) -> SessionInfo:
    from dataclasses import replace

    return replace(info, timing=timing)


def certificate(use: str, end_unix_s: float) -> CertificateLine:
    return CertificateLine(
        use=use, subject=HOSTILE, issuer="", serial="", fingerprint="", key_type="", not_before_unix_s=0.0,
        not_after_unix_s=end_unix_s, days_left=0.0, life_used=0.0, file="",
    )  # fmt: skip


def member(name: str, **changes: Any) -> MeshMemberLine:
    fields: dict[str, Any] = {
        field.name: 0.0
        for field in msgspec.structs.fields(MeshMemberLine)
        if field.required and field.name not in ("id", "permit", "group", "voice", "links")
    }
    fields |= {"ourselves": False, "present": True, "deaf": False, "head": False, "hops": 1, "island": 1}
    return MeshMemberLine(id=name, group="g", voice=name, permit="", links=(), **(fields | changes))


def test_of_several_certificates_of_one_use_the_first_to_end_is_told(rig: MetricsRig) -> None:
    lines = (certificate("own", 2e9), certificate("trust anchor", 1.9e9), certificate("trust anchor", 1.8e9))
    rig.pki = PkiStatusResult(profiles=(ProfileInForce(profile="strict", loaded_at_unix_s=0.0, certificates=lines),))
    assert rig.page().values[m.CERTIFICATE_EXPIRY] == {("strict", "own"): 2e9, ("strict", "trust anchor"): 1.8e9}


def test_the_mesh_is_told_as_far_as_it_is_joined(rig: MetricsRig) -> None:
    assert m.MESH_MEMBERS not in rig.page().values
    rig.mesh = MeshResult(
        problem="",
        network="n",
        loss_pct=4.0,
        import_w=80_000.0,
        members=(member("us", ourselves=True), member("a"), member("b", present=False), member("c", deaf=True)),
        islands=(("us", "a"), ("b",)),
        links=(MeshLinkLine(node="a", address="", up=True, since_s=1.0),),
        drops={"replayed": 3, HOSTILE: 4},
        wire=MeshWireLine(
            received=10, received_bytes=1000, sent=5, sent_bytes=500, dropped=0, unsent=0, states_sent=5, opened=5
        ),
    )
    page = rig.page()
    assert page.values[m.MESH_MEMBERS] == {("present",): 1.0, ("deaf",): 1.0, ("absent",): 1.0}
    assert value(page, m.MESH_LOSS) == pytest.approx(0.04)
    assert value(page, m.MESH_ISLANDS) == 2.0
    assert page.values[m.MESH_DROPS] == {("replayed",): 3.0, (OTHER,): 4.0}
    assert value(page, m.MESH_SHARE, "import") == 80_000.0
    assert value(page, m.MESH_SHARE, "export") is None, "no limit"
    assert set(page.values[m.MESH_PRESENT]) == {(OTHER,)}, "none of them is in the configuration"


class Links:
    def __init__(self, **lines: PlcLine) -> None:
        self.lines = {line.evse_id: line for line in lines.values()}
        self.word = ""

    def silent(self, now_s: float) -> str:
        return self.word


def test_powerline_links_are_told_and_tell_a_timeout_its_cable(rig: MetricsRig) -> None:
    attenuation = PlcAttenuation(average_db=24.5, groups_db=(), sounds=10, at_unix_s=0.0)
    line = PlcLine(
        evse_id=E1, interface="e1", state=PlcState.LINKED, attenuation=attenuation, tx_mbps=5.0, rx_mbps=4.0,
        packet_loss=0.01,
    )  # fmt: skip
    links = Links(one=line, other=msgspec.structs.replace(line, evse_id=HOSTILE))
    gate = PlcGate([], links)
    gate._on_loopback = {E1: False}
    rig.world.site.plc = gate
    page = rig.page()
    assert value(page, m.PLC_DRIVER) == value(page, m.PLC_UP, E1) == 1.0
    assert page.values[m.PLC_ATTENUATION] == {(E1,): 24.5}
    assert page.values[m.PLC_RATE] == {(E1, "received"): 625e3, (E1, "sent"): 500e3}
    cable = rig.world.sessions.cable_of(E1)
    assert cable is not None
    assert (cable.attenuation_db, cable.packet_loss, cable.down, cable.is_bad) == (24.5, 0.01, "", True)
    assert rig.world.sessions.cable_of(E2) is None
    links.word = "kplc-driver is silent"
    page = rig.page()
    assert value(page, m.PLC_DRIVER) == value(page, m.PLC_UP, E1) == 0.0
    assert m.PLC_RATE not in page.values, "what it said before says nothing of now"


async def test_a_silence_of_a_vehicle_is_told_with_its_cable(rig: MetricsRig) -> None:
    class Gone:
        peer_identity = None
        peer_address = "[::1]:4711"

        def command(self, command: object) -> None: ...

        def abort(self, reason: str) -> None: ...

        async def events(self) -> Any:
            yield ev.SessionStarted(session_id=bytes(8), evccid="WMIV1", evse_id=E1)
            yield ev.SessionEnded(reason=ev.EndReason.TIMEOUT_SECC, detail="no request within 0.5 s")

    rig.cycles(2)
    await rig.world.sessions.serve(E1, Gone())
    level, _, text, fields = next(line for line in rig.world.comms.lines if line[1] == "SECC_TIMEOUT")
    assert level == "ERROR"
    assert "no request within 0.5 s; nothing is known of the connection" in text
    assert "attenuation not known" in text
    assert fields["cause"] == "unknown"
    assert value(rig.page(), m.SESSIONS_ENDED, "SECC_TIMEOUT") == 1.0


def test_what_vehicles_and_peers_say_makes_no_label(rig: MetricsRig) -> None:
    """The bound: every label's value is of the configuration, the catalogue or an enumeration of ours."""
    rig.world.charge(E1)
    rig.world.infos[E1] = SessionInfo(evse_id=E1, evccid=HOSTILE, identity=HOSTILE, peer=HOSTILE, started_at_s=0.0)
    timing = rig.world.sessions.timing
    for name in (HOSTILE, "X", "Y"):
        timing.observe(name, name, 0.1)
        timing.slow[name] = 3
        timing.ended(name)
        line_counts.count(name, name, name)
    rig.world.guard.changes = {"trip_element": HOSTILE[:16], "trip_at_s": 3.0, "locked_by": HOSTILE}
    rig.mesh = MeshResult(problem="", network=HOSTILE, members=(member(HOSTILE),), drops={HOSTILE: 1})
    rig.cycles(3)
    page = rig.page()
    bounds = bounds_of(rig.world.site.config)
    found = series(page)
    for name, keys in found.items():
        for key in keys:
            for label, word in zip(m.METRICS[name].labels, key, strict=True):
                assert word in bounds[label] | {OTHER}, (name, label)
    most = dict.fromkeys(found, 1)
    for name in most:
        for label in m.METRICS[name].labels:
            most[name] *= len(bounds[label]) + 1
        assert len(found[name]) <= most[name]
    line_counts.reset()


def test_every_label_of_the_table_is_bounded(rig: MetricsRig) -> None:
    bounds = bounds_of(rig.world.site.config)
    assert {label for metric in m.METRICS.values() for label in metric.labels} == set(bounds)


def test_a_cycle_that_begins_late_is_late_by_so_much_and_a_missed_one_is_left_out() -> None:
    pace = CyclePace()
    began = [10.0, 10.1, 10.23, 10.3, 10.75, 10.8, 10.9]
    assert [round(pace.lateness(at_s), 6) for at_s in began] == [0.0, 0.0, 0.03, 0.0, 0.35, 0.0, 0.0]


# ---- serving ----


async def ask(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10.0)
    writer.close()
    return answer


async def test_a_unix_socket_of_our_group_serves_the_page(rig: MetricsRig, tmp_path: Path) -> None:
    rig.cycles(2)
    async with AsyncExitStack() as stack:
        await rig.part.start(stack)
        path = tmp_path / "metrics.sock"
        mode = path.stat().st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o660)
        answer = await ask(path)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"v2g_energy_permitted 1.0\n" in answer
        assert rig.part.problems() == ()
    assert not path.exists(), "it is removed with the daemon"


async def test_a_stale_socket_is_replaced_and_a_served_one_is_a_problem(
    rig: MetricsRig, world: World, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with AsyncExitStack() as stack:
        await rig.part.start(stack)
        assert b"200 OK" in await ask(path)
        second = MetricsRig(world, tmp_path)
        await second.part.start(stack)
        (problem,) = second.part.problems()
        assert "metrics are not served at the socket: another orchestrator" in problem
        assert second.log.codes() == ["METRICS_FAILED"]
        assert b"200 OK" in await ask(path)


async def test_a_port_that_is_taken_is_a_problem_and_no_more(world: World, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        rig = MetricsRig(world, tmp_path, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        async with AsyncExitStack() as stack:
            await rig.part.start(stack)
            assert "metrics are not served at 127.0.0.1:" in rig.part.problems()[0]
            rig.cycles()


async def test_switched_off_nothing_is_served_and_cables_are_known_all_the_same(world: World, tmp_path: Path) -> None:
    rig = MetricsRig(world, tmp_path, enabled=False)
    async with AsyncExitStack() as stack:
        await rig.part.start(stack)
        assert list(tmp_path.iterdir()) == []
        assert world.sessions.cable_of == rig.part._cable


async def test_a_group_may_read_the_socket_and_one_that_is_not_there_is_told(world: World, tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    rig = MetricsRig(world, tmp_path, group="nosuchgroup")
    async with AsyncExitStack() as stack:
        await rig.part.start(stack)
        assert "the group nosuchgroup does not exist" in rig.log.lines[0][2]
        assert b"200 OK" in await ask(tmp_path / "metrics.sock")
    rig = MetricsRig(world, tmp_path, group=group)
    async with AsyncExitStack() as stack:
        await rig.part.start(stack)
        assert b"200 OK" in await ask(tmp_path / "metrics.sock")


async def test_a_scrape_that_fails_is_told_and_the_next_one_is_answered(rig: MetricsRig, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        await rig.part.start(stack)
        rig.mesh = None  # type: ignore[assignment]
        assert (await ask(tmp_path / "metrics.sock")).startswith(b"HTTP/1.1 500 ")
        assert rig.log.codes() == ["METRICS_FAILED"]
        rig.mesh = MeshResult(problem="")
        assert b"200 OK" in await ask(tmp_path / "metrics.sock")
