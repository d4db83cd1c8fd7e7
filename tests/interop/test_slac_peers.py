"""SLAC against others, over veth pairs between network namespaces: pyslac's EVSE against our vehicle, recorded vehicles
against our ``kplc-driver``. The modems on both sides are those of the simulated powerline."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from support.slac_replay import captures
from v2g.clock import SystemClock
from v2g.control.messages_plc import PlcLine, PlcState
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
"""Three vehicles' makes: their addresses and their pace differ."""
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
            "the link after the vehicle's first request. The cable has 7.5 dB; pyslac leaves its modem's 4 dB in.",
            "",
            "| EVSE | vehicle | CM_SLAC_PARM.CNF | CM_ATTEN_CHAR.IND after sounds | CM_SLAC_MATCH.CNF | dB | link |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        REPORT.write_text("\n".join([*head, *ROWS, ""]), encoding="utf-8")


@pytest.fixture(scope="session")
def pyslac() -> Path:
    """A Python that has it."""
    base = Path(os.environ.get("V2G_PEER_DIR", Path(tempfile.gettempdir()) / "v2g-interop-peer"))
    folder = base / "pyslac"
    python = folder / "bin" / "python"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (base / "pyslac.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # An installation that was interrupted has the Python and not the package.
        if not python.exists() or subprocess.run([python, "-c", "import pyslac"], check=False).returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            install = [python, "-m", "pip", "install", "-q", "pyslac==0.8.3", "marshmallow<4"]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                shutil.rmtree(folder, ignore_errors=True)
                pytest.skip(f"pyslac cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    return python


def row(evse: str, vehicle: str, said: dict[str, dict[str, Any]], average_db: float, ends: str) -> None:
    answers = [said.get(step) for step in ("CM_SLAC_PARM.CNF", "CM_ATTEN_CHAR.IND", "CM_SLAC_MATCH.CNF")]
    times = ["–" if answer is None else f"{answer['after_ms']:.1f}" for answer in answers]
    ROWS.append(f"| {evse} | {vehicle} | {' | '.join(times)} | {average_db:.1f} | {ends} |")


class Line:
    """Two namespaces, each with one end of a veth pair; the other ends are ports of the powerline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []

    def up(self) -> None:
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
                    kind="veth",
                    address=ENDS[STATION][0],
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
def line(tmp_path: Path) -> Iterator[Line]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    made = Line(tmp_path)
    try:
        try:
            made.up()
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


def test_our_vehicle_is_matched_by_pyslac(line: Line, pyslac: Path) -> None:
    pyslac_meets_ours(line, pyslac)
    matched = line.wait_for(
        "pyslac says that it is matched",
        lambda: [one for one in line.said("peer").split("\n") if "matched " in one],
        40,
    )
    linked = line.wait_for("our vehicle is linked", lambda: steps(line).get("link"), 20)
    _, nid, nmk = matched[0].split()
    assert len(bytes.fromhex(nid)) == 7
    assert len(bytes.fromhex(nmk)) == 16
    said = steps(line)
    assert said["CM_SLAC_MATCH.CNF"]["nid"] == nid
    assert line.network("vehicle") == ["EVSE"], "with the key that pyslac gave"
    # pyslac takes no calibration offset off.
    assert linked["average_db"] == pytest.approx(OWN_DB + OFFSET_DB, abs=0.7)
    took = next(words for words in said if words.startswith("matched, ")).rsplit(" ", 2)[1]
    row("pyslac 0.8.3", "ours", said, linked["average_db"], f"{float(took):.2f} s")


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


@pytest.mark.parametrize("name", VEHICLES)
def test_a_recorded_vehicle_is_matched_by_our_driver(line: Line, shared_data: Path, name: str) -> None:
    assert name in {capture.name for capture in captures(shared_data)}
    site = line.folder / "site"
    site.mkdir()
    layout = layouts.build(site, 1, None, SystemClock(), plc=True)
    path = layout.config_dir / "v2g.yaml"
    config = yaml.safe_load(path.read_text())
    config["evses"][0] |= {"interface": AT_STATION, "plc": {"calibration_db": OFFSET_DB, "pilot": "none"}}
    path.write_text(yaml.safe_dump(config))
    try:
        line.start("driver", STATION, sys.executable, "-m", "v2g.cli.kplc_driver", "--config", str(layout.config_dir))
        found = asyncio.run(drive(line, site, name))
    finally:
        layout.port_reservation.close()
    said = steps(line)
    assert found.vehicle_mac == said["link"]["mac"]
    assert found.nid == said["CM_SLAC_MATCH.CNF"]["nid"]
    assert found.attenuation is not None
    assert found.attenuation.average_db == pytest.approx(OWN_DB, abs=0.7)
    assert said["CM_ATTEN_CHAR.IND"]["average_db"] == pytest.approx(found.attenuation.average_db, abs=0.5)
    log = (layout.log_dir / "comms.log").read_text()
    assert "PLC_LINK " in log
    assert "0xEF22" not in log
    assert said["CM_ATTEN_CHAR.IND"]["after_ms"] <= 200.0
    row("kplc-driver", name, said, said["CM_ATTEN_CHAR.IND"]["average_db"], f"{found.history[-1].took_s:.2f} s")


async def drive(line: Line, site: Path, name: str) -> PlcLine:
    """The vehicle comes once the modem is keyed; what the driver tells of the link."""
    client = PlcClient(site / "plc.sock")
    await client.start()

    async def until(state: PlcState, within_s: float) -> PlcLine:
        try:
            async with asyncio.timeout(within_s):
                while not any(one.state is state for one in client.lines.values()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            line.wait_for(f"{state}; lines are {dict(client.lines)}", lambda: False, 0.1)
        return next(iter(client.lines.values()))

    try:
        # Without a pilot it waits for whoever comes.
        await until(PlcState.WAITING, 30)
        line.start("vehicle", CAR, sys.executable, SUPPORT / "slac_vehicle.py", "captured", AT_CAR, name)
        return await until(PlcState.LINKED, 30)
    finally:
        await client.close()
