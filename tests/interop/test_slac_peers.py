"""SLAC against others, over veth pairs between network namespaces: pyslac's EVSE against our vehicle, recorded vehicles
against our ``kplc-driver``. The modems on both sides are those of the simulated powerline."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import yaml

from support.slac_replay import captures
from support.slac_tagged_wire import TaggedWire
from v2g.clock import SystemClock
from v2g.control.messages_plc import PlcLine, PlcState
from v2g.hardware.ports import PilotState
from v2g.plc.link import EvsePilot, Pilots
from v2g.plc.link_client import PlcClient
from v2g.simulation import layout as layouts
from v2g.simulation.powerline_client import PowerlineClient
from v2g.simulation.powerline_config import PairConfig, PowerlineConfig, StationConfig
from v2g.simulation.powerline_ports import without_offloads

pytestmark = pytest.mark.interop

TAG = f"{os.getpid() % 100_000}"
STATION, CAR = f"v2gslac-evse-{TAG}", f"v2gslac-car-{TAG}"
ENDS = {STATION: (f"pe{TAG}o", f"pe{TAG}i"), CAR: (f"pc{TAG}o", f"pc{TAG}i")}
"""Of each veth pair: the powerline's end, and the one in the namespace."""
AT_STATION, AT_CAR = ENDS[STATION][1], ENDS[CAR][1]
SUPPORT = Path(__file__).parents[1] / "support"
VEHICLES = (
    "ISO-20_BPT_AC_DS5366_Josev",
    "ISO-2_DC_DS5366",
    "ISO-2_DC_BatteryDataExchange_DS5366_RiseV2G",
)
"""Three vehicles by their recorded addresses; their pace differs too."""
FIRST = VEHICLES[0]
NOISE_PER_S = 1000
KEEP = "V2G_SLAC_PEERS_REPORT"
REPORT = Path(__file__).parents[1] / "bench" / "report_slac_peers.md"
ROWS: list[str] = []
OWN_DB, OFFSET_DB = 7.5, 4.0
"""Of the cable, and what the EVSE's modem measures on top of it."""


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


@pytest.fixture(scope="module", autouse=True)
def report() -> Iterator[None]:
    yield
    if os.environ.get(KEEP) and ROWS:
        head = [
            "# SLAC against others",
            "",
            "Over veth pairs between network namespaces, with the modems of the simulated powerline on both sides.",
            f"Written by `{KEEP}=1 pytest -m interop tests/interop/test_slac_peers.py`. Answers in ms;",
            "the link after the vehicle's first request, at the pace of the recorded vehicle. The cable has 7.5 dB;",
            "pyslac leaves its modem's 4 dB in.",
            "",
            "| EVSE | vehicle | CM_SLAC_PARM.CNF | CM_ATTEN_CHAR.IND after sounds | CM_SLAC_MATCH.CNF | dB | link |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        REPORT.write_text("\n".join([*head, *ROWS, ""]), encoding="utf-8")


@pytest.fixture(scope="session")
def pyslac() -> Path:
    """A Python that has it: PEER_PYTHON where it does, else of an environment made here."""
    named = os.environ.get("PEER_PYTHON")
    if named and has_pyslac(Path(named)):
        return Path(named)
    base = Path(os.environ.get("V2G_PEER_DIR", Path(tempfile.gettempdir()) / "v2g-interop-peer"))
    folder = base / "pyslac"
    python = folder / "bin" / "python"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (base / "pyslac.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # An installation that was interrupted has the Python and not the package.
        if not has_pyslac(python):
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            install = [python, "-m", "pip", "install", "-q", "pyslac==0.8.3", "marshmallow<4"]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                shutil.rmtree(folder, ignore_errors=True)
                pytest.skip(f"pyslac cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    return python


def has_pyslac(python: Path) -> bool:
    if not python.exists():
        return False
    return subprocess.run([python, "-c", "import pyslac"], capture_output=True, check=False).returncode == 0


def row(evse: str, vehicle: str, said: dict[str, dict[str, Any]], average_db: float, ends: str) -> None:
    answers = [said.get(step) for step in ("CM_SLAC_PARM.CNF", "CM_ATTEN_CHAR.IND", "CM_SLAC_MATCH.CNF")]
    times = ["–" if answer is None else f"{answer['after_ms']:.1f}" for answer in answers]
    ROWS.append(f"| {evse} | {vehicle} | {' | '.join(times)} | {average_db:.1f} | {ends} |")


class Line:
    """Two namespaces, each with one end of a veth pair; the other ends are ports of the powerline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "evse.sock"
        self.processes: list[subprocess.Popen[str]] = []

    def up(self, station: Literal["veth", "unix"] = "veth") -> None:
        """``station``: where the powerline has the EVSE: at its veth pair, or at ``socket`` for another to pass on."""
        for namespace, (outside, inside) in ENDS.items():
            ip("netns", "add", namespace)
            ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            without_offloads(inside)
            ip("link", "set", inside, "netns", namespace)
            ip("link", "set", outside, "up")
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "link", "set", inside, "up")
        config = PowerlineConfig(
            control_socket=str(self.folder / "powerline.sock"),
            stations=(
                StationConfig(
                    name="EVSE",
                    kind=station,
                    address=ENDS[STATION][0] if station == "veth" else str(self.socket),
                    modem_mac="02:00:00:51:00:01",
                    offset_db=OFFSET_DB,
                ),
                StationConfig(name="vehicle", kind="veth", address=ENDS[CAR][0], modem_mac="02:00:00:51:00:02"),
            ),
            pairs=(PairConfig(one="EVSE", other="vehicle", db=OWN_DB),),
        )
        file = self.folder / "powerline.json"
        file.write_bytes(msgspec.json.encode(config))
        self.start("powerline", "", sys.executable, "-m", "v2g.simulation.powerline", "--config", file)
        self.wait_for("the powerline", (self.folder / "powerline.sock").exists)

    def control(self, **request: Any) -> dict[str, Any]:
        with PowerlineClient(self.folder / "powerline.sock") as control:
            return control.ask(**request)

    def network(self, station: str) -> list[str]:
        """Who is in one network with that station."""
        stations = self.control(do="measure")["measurement"]["stations"]
        return next(one["network"] for one in stations if one["name"] == station)

    def noise(self, station: str) -> None:
        self.control(do="noise", station=station, per_s=NOISE_PER_S, for_s=90)

    def received(self, namespace: str) -> tuple[float, int]:
        """When, and how many frames came into that namespace by then."""
        words = ["ip", "-n", namespace, "-s", "-j", "link", "show", "dev", ENDS[namespace][1]]
        found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        return time.monotonic(), found[0]["stats64"]["rx"]["packets"]

    def mac(self, namespace: str) -> bytes:
        words = ["ip", "-n", namespace, "-j", "link", "show", "dev", ENDS[namespace][1]]
        found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        return bytes.fromhex(found[0]["address"].replace(":", ""))

    def start(self, name: str, namespace: str, *words: str | Path) -> subprocess.Popen[str]:
        inside: list[str | Path] = ["ip", "netns", "exec", namespace] if namespace else []
        with (self.folder / f"{name}.out").open("w") as out, (self.folder / f"{name}.err").open("w") as err:
            process = subprocess.Popen([*inside, *words], stdout=out, stderr=err, text=True)
        self.processes.append(process)
        return process

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.out").read_text()

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said(name).splitlines()]

    def wait_for(self, what: str, condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            if found := condition():
                return found
            time.sleep(0.05)
        outputs = "\n".join(f"-- {path.name}\n{path.read_text()[-2500:]}" for path in self.folder.glob("*.*[rt]"))
        pytest.fail(f"not within {timeout_s:g} s: {what}\n{outputs}")

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for namespace, (outside, _) in ENDS.items():
            ip("link", "del", outside, check=False)
            ip("netns", "del", namespace, check=False)


@pytest.fixture
def line(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Line]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    made = Line(tmp_path)
    try:
        try:
            made.up(getattr(request, "param", "veth"))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield made
    finally:
        made.close()


def steps(line: Line) -> dict[str, dict[str, Any]]:
    """The last of each kind that the vehicle said."""
    return {one["said"]: one for one in line.lines("vehicle")}


def pyslac_meets_ours(line: Line, pyslac: Path) -> None:
    line.start("peer", STATION, pyslac, SUPPORT / "slac_peer_evse.py", AT_STATION)
    line.wait_for("pyslac's modem has its key", lambda: "ready" in line.said("peer"))
    line.start("vehicle", CAR, sys.executable, SUPPORT / "slac_vehicle.py", "ours", AT_CAR)


@pytest.mark.parametrize("noise", [False, True], ids=["quiet", "noise"])
def test_our_vehicle_is_matched_by_pyslac(line: Line, pyslac: Path, noise: bool) -> None:
    if noise:
        line.noise("vehicle")
    before_s, before = line.received(CAR)
    pyslac_meets_ours(line, pyslac)
    matched = line.wait_for(
        "pyslac says that it is matched",
        lambda: [one for one in line.said("peer").split("\n") if "matched " in one],
        40,
    )
    linked = line.wait_for("our vehicle is linked", lambda: steps(line).get("link"), 20)
    after_s, after = line.received(CAR)
    _, nid, nmk = matched[0].split()
    assert len(bytes.fromhex(nid)) == 7
    assert len(bytes.fromhex(nmk)) == 16
    said = steps(line)
    assert said["CM_SLAC_MATCH.CNF"]["nid"] == nid
    assert said["CM_SLAC_MATCH.CNF"]["nmk"] == nmk
    assert line.network("vehicle") == ["EVSE"], "with the key that pyslac gave its modem"
    # pyslac takes no calibration offset off.
    assert linked["average_db"] == pytest.approx(OWN_DB + OFFSET_DB, abs=0.7)
    if noise:
        assert (after - before) / (after_s - before_s) > 0.9 * NOISE_PER_S
    took = next(words for words in said if words.startswith("matched, ")).rsplit(" ", 2)[1]
    vehicle = f"ours, {NOISE_PER_S} frames/s of noise" if noise else "ours"
    row("pyslac 0.8.3", vehicle, said, linked["average_db"], f"{float(took):.2f} s")


def test_our_vehicle_does_not_match_a_pyslac_that_is_too_far(line: Line, pyslac: Path) -> None:
    line.control(do="attenuation", one="EVSE", other="vehicle", db=26.0)
    pyslac_meets_ours(line, pyslac)
    line.wait_for(
        "our vehicle gives up",
        lambda: [words for words in steps(line) if words.endswith("no further attempt for now")],
        40,
    )
    first = next(words for words in steps(line) if words.startswith("not matched"))
    told = re.match(
        r"not matched at CM_ATTEN_CHAR: the nearest of 1 EVSEs, .* is ([\d.]+) dB away; at most 20 dB", first
    )
    assert told is not None, first
    assert float(told[1]) == pytest.approx(26.0 + OFFSET_DB, abs=0.7)
    assert not {"CM_SLAC_MATCH.CNF", "link"} & set(steps(line))
    assert "matched " not in line.said("peer")
    assert line.network("vehicle") == []
    row("pyslac 0.8.3", "ours, 26 dB away", steps(line), float(told[1]), "refused by the vehicle")


class Orchestrator:
    """What there has to be of one for kplc-driver: it is told of the link, and tells the pilot, where there is one."""

    def __init__(self, line: Line, site: Path) -> None:
        self.pilot: PilotState | None = None
        self._line = line
        self._client = PlcClient(site / "plc.sock")

    @property
    def told(self) -> PlcLine | None:
        return next(iter(self._client.lines.values()), None)

    async def run(self) -> None:
        await self._client.start()
        try:
            while True:
                if self.told is not None:
                    pilot = EvsePilot(evse_id=self.told.evse_id, state=self.pilot)
                    self._client.send(Pilots(as_of_s=time.monotonic(), pilots=(pilot,)))
                await asyncio.sleep(0.1)
        finally:
            await self._client.close()

    async def until(self, what: str, condition: Callable[[PlcLine], bool], within_s: float = 30.0) -> PlcLine:
        end_s = time.monotonic() + within_s
        while (told := self.told) is None or not condition(told):
            if time.monotonic() > end_s:
                self._line.wait_for(f"{what}; told is {told}", lambda: False, 0.0)
            await asyncio.sleep(0.02)
        return told

    async def state(self, state: PlcState) -> PlcLine:
        return await self.until(state, lambda told: told.state is state)


@contextlib.asynccontextmanager
async def our_driver(line: Line, **plc: Any) -> AsyncIterator[Orchestrator]:
    """``kplc-driver`` in the station's namespace. ``plc``: of ``evses[].plc``."""
    site = line.folder / "site"
    site.mkdir()
    layout = layouts.build(site, 1, None, SystemClock(), plc=True)
    path = layout.config_dir / "v2g.yaml"
    config = yaml.safe_load(path.read_text())
    config["evses"][0] |= {"interface": AT_STATION, "plc": {"calibration_db": OFFSET_DB, **plc}}
    path.write_text(yaml.safe_dump(config))
    orchestrator = Orchestrator(line, site)
    running = asyncio.create_task(orchestrator.run())
    try:
        line.start("driver", STATION, sys.executable, "-m", "v2g.cli.kplc_driver", "--config", str(layout.config_dir))
        yield orchestrator
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        layout.port_reservation.close()


def comms(line: Line) -> str:
    return next((line.folder / "site").rglob("comms.log")).read_text()


def recorded(line: Line, name: str) -> subprocess.Popen[str]:
    return line.start("vehicle", CAR, sys.executable, SUPPORT / "slac_vehicle.py", "captured", AT_CAR, name)


def is_matched_with_the_key_of_the_modem(line: Line, found: PlcLine, name: str) -> None:
    said = steps(line)
    assert found.vehicle_mac == said["link"]["mac"]
    assert found.nid == said["CM_SLAC_MATCH.CNF"]["nid"]
    assert line.network("vehicle") == ["EVSE"], "with the key that the driver gave its modem"
    assert found.attenuation is not None
    assert found.attenuation.sounds == 10
    assert found.attenuation.average_db == pytest.approx(OWN_DB, abs=0.7)
    assert said["CM_ATTEN_CHAR.IND"]["average_db"] == pytest.approx(found.attenuation.average_db, abs=0.5)
    assert said["CM_ATTEN_CHAR.IND"]["after_ms"] <= 200.0
    log = comms(line)
    assert f" PLC_LINK {found.evse_id}: link to vehicle {found.vehicle_mac} is up" in log
    assert "0xEF22" not in log
    row("kplc-driver", name, said, said["CM_ATTEN_CHAR.IND"]["average_db"], f"{found.history[-1].took_s:.2f} s")


@pytest.mark.parametrize("name", VEHICLES)
def test_a_recorded_vehicle_is_matched_by_our_driver_without_a_pilot(line: Line, shared_data: Path, name: str) -> None:
    assert name in {capture.name for capture in captures(shared_data)}

    async def meet() -> PlcLine:
        async with our_driver(line, pilot="none") as driver:
            # It waits for whoever comes.
            await driver.state(PlcState.WAITING)
            recorded(line, name)
            return await driver.state(PlcState.LINKED)

    is_matched_with_the_key_of_the_modem(line, asyncio.run(meet()), name)


def test_each_recorded_vehicle_is_matched_when_it_is_plugged_in_and_by_a_key_of_its_own(
    line: Line, shared_data: Path
) -> None:
    names = [capture.name for capture in captures(shared_data)]
    assert len(names) >= 10
    nids = []

    async def meet() -> None:
        async with our_driver(line) as driver:
            driver.pilot = PilotState.A
            for name in names:
                await driver.state(PlcState.FREE)
                driver.pilot = PilotState.B
                await driver.state(PlcState.WAITING)
                vehicle = recorded(line, name)
                found = await driver.state(PlcState.LINKED)
                is_matched_with_the_key_of_the_modem(line, found, f"{name}, pilot")
                nids.append(found.nid)
                vehicle.terminate()
                driver.pilot = PilotState.A
                await driver.until("a new key", lambda told, old=found.nid: told.nid not in ("", old))
                assert line.network("vehicle") == [], "its key is no longer the modem's"

    asyncio.run(meet())
    assert len(set(nids)) == len(names)


def test_a_vehicle_that_nobody_plugged_in_is_not_answered(line: Line, shared_data: Path) -> None:
    async def meet() -> None:
        async with our_driver(line) as driver:
            driver.pilot = PilotState.A
            await driver.state(PlcState.FREE)
            vehicle = recorded(line, FIRST)
            # Its requests, one after the other, come to nothing.
            assert await asyncio.to_thread(vehicle.wait, 30) != 0
            assert (await driver.state(PlcState.FREE)).vehicle_mac is None

    asyncio.run(meet())
    assert "no CM_SLAC_PARM.CNF" in (line.folder / "vehicle.err").read_text()
    assert line.network("vehicle") == []


@pytest.mark.parametrize("line", ["unix"], indirect=True)
def test_a_recorded_vehicle_is_matched_where_every_frame_bears_a_vlan_tag(line: Line, shared_data: Path) -> None:
    async def meet() -> tuple[PlcLine, TaggedWire]:
        wire = TaggedWire(str(line.socket), ENDS[STATION][0], line.mac(STATION))
        await wire.start()
        try:
            async with our_driver(line, pilot="none") as driver:
                await driver.state(PlcState.WAITING)
                recorded(line, FIRST)
                return await driver.state(PlcState.LINKED), wire
        finally:
            wire.close()

    found, wire = asyncio.run(meet())
    is_matched_with_the_key_of_the_modem(line, found, f"{FIRST}, VLAN 5")
    assert wire.lost == []
    # Ten sounds and what the modem measured of each, for the least; all that came to the driver came by this wire.
    assert 30 <= wire.to_host <= line.received(STATION)[1]


def test_a_recorded_vehicle_is_matched_amid_noise(line: Line, shared_data: Path) -> None:
    async def meet() -> tuple[PlcLine, float]:
        async with our_driver(line, pilot="none") as driver:
            await driver.state(PlcState.WAITING)
            line.noise("EVSE")
            before_s, before = line.received(STATION)
            recorded(line, FIRST)
            found = await driver.state(PlcState.LINKED)
            after_s, after = line.received(STATION)
            return found, (after - before) / (after_s - before_s)

    found, per_s = asyncio.run(meet())
    assert per_s > 0.9 * NOISE_PER_S
    is_matched_with_the_key_of_the_modem(line, found, f"{FIRST}, {NOISE_PER_S} frames/s of noise")
