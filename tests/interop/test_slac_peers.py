"""SLAC against others, over veth pairs between network namespaces: pyslac's EVSE against our vehicle, recorded vehicles
against our ``kplc-driver``. The modems on both sides are those of the simulated powerline."""

from __future__ import annotations

import asyncio
import json
import os
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

STATION, CAR = "v2gslac-evse", "v2gslac-car"
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
            f"Written by `{KEEP}=1 pytest -m interop tests/interop/test_slac_peers.py`. Times in ms.",
            "",
            "| EVSE | vehicle | CM_SLAC_PARM.CNF | CM_ATTEN_CHAR.IND after sounds | CM_SLAC_MATCH.CNF | dB | link |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        REPORT.write_text("\n".join([*head, *ROWS, ""]), encoding="utf-8")


@pytest.fixture(scope="session")
def pyslac() -> Path:
    """A Python that has it."""
    base = Path(os.environ.get("V2G_PEER_DIR", Path(tempfile.gettempdir()) / "v2g-interop-peer"))
    python = base / "pyslac" / "bin" / "python"
    if not python.exists():
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", base / "pyslac"], check=True)
        wanted = ["pyslac==0.8.3", "marshmallow<4"]
        install = [python, "-m", "pip", "install", "-q", *wanted]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(base / "pyslac", ignore_errors=True)
            pytest.skip(f"pyslac cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    return python


class Line:
    """Two namespaces, each with one end of a veth pair; the other ends are ports of the powerline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        for namespace in (STATION, CAR):
            ip("netns", "del", namespace, check=False)
        for namespace, outside, inside in ((STATION, "slacevse0", "slacevse1"), (CAR, "slaccar0", "slaccar1")):
            ip("netns", "add", namespace)
            ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            without_offloads(inside)
            ip("link", "set", inside, "netns", namespace)
            ip("link", "set", outside, "up")
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "link", "set", inside, "up")
        config = PowerlineConfig(
            control_socket=str(folder / "powerline.sock"),
            stations=(
                StationConfig(
                    name="EVSE", kind="veth", address="slacevse0", modem_mac="02:00:00:51:00:01", offset_db=4.0
                ),
                StationConfig(name="vehicle", kind="veth", address="slaccar0", modem_mac="02:00:00:51:00:02"),
            ),
            pairs=(PairConfig(one="EVSE", other="vehicle", db=7.5),),
        )
        (folder / "powerline.json").write_bytes(msgspec.json.encode(config))
        self.start(
            "powerline", "", sys.executable, "-m", "v2g.simulation.powerline", "--config", f"{folder}/powerline.json"
        )
        self.wait_for("the powerline", lambda: (folder / "powerline.sock").exists())

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
        for namespace in (STATION, CAR):
            ip("netns", "del", namespace, check=False)
        for outside in ("slacevse0", "slaccar0"):
            ip("link", "del", outside, check=False)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    made = Line(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_our_vehicle_is_matched_by_pyslac(line: Line, pyslac: Path) -> None:
    line.start("peer", STATION, pyslac, SUPPORT / "slac_peer_evse.py", "slacevse1")
    line.wait_for("pyslac's modem has its key", lambda: "ready" in line.said("peer"))
    line.start("vehicle", CAR, sys.executable, SUPPORT / "slac_vehicle.py", "ours", "slaccar1")
    matched = line.wait_for(
        "pyslac says that it is matched",
        lambda: [one for one in line.said("peer").split("\n") if "matched " in one],
        40,
    )
    linked = line.wait_for(
        "our vehicle is linked", lambda: [one for one in line.lines("vehicle") if one.get("linked")], 20
    )
    _, nid, nmk = matched[0].split()
    assert len(bytes.fromhex(nid)) == 7
    assert len(bytes.fromhex(nmk)) == 16
    with PowerlineClient(line.folder / "powerline.sock") as control:
        stations = {one["name"]: one for one in control.ask(do="measure")["measurement"]["stations"]}
    assert stations["vehicle"]["network"] == ["EVSE"], "with the key that pyslac gave"
    said = next(one["said"] for one in line.lines("vehicle") if one["said"].startswith("matched, "))
    ROWS.append(f"| pyslac 0.8.3 | ours | – | – | – | {linked[0]['attenuation_db']:.1f} | {said} |")


@pytest.mark.parametrize("name", VEHICLES)
def test_a_recorded_vehicle_is_matched_by_our_driver(line: Line, shared_data: Path, name: str) -> None:
    assert name in {capture.name for capture in captures(shared_data)}
    site = line.folder / "site"
    site.mkdir()
    layout = layouts.build(site, 1, None, SystemClock(), plc=True)
    path = layout.config_dir / "v2g.yaml"
    config = yaml.safe_load(path.read_text())
    config["evses"][0] |= {"interface": "slacevse1", "plc": {"calibration_db": 4.0, "pilot": "none"}}
    path.write_text(yaml.safe_dump(config))
    try:
        line.start("driver", STATION, sys.executable, "-m", "v2g.cli.kplc_driver", "--config", str(layout.config_dir))
        found = asyncio.run(drive(line, site, name))
    finally:
        layout.port_reservation.close()
    steps = {one["said"]: one for one in line.lines("vehicle")}
    assert found.vehicle_mac == steps["link"]["mac"]
    assert found.nid == steps["CM_SLAC_MATCH.CNF"]["nid"]
    assert found.attenuation is not None
    assert found.attenuation.average_db == pytest.approx(7.5, abs=0.7)
    assert steps["CM_ATTEN_CHAR.IND"]["average_db"] == pytest.approx(found.attenuation.average_db, abs=0.5)
    log = (layout.log_dir / "comms.log").read_text()
    assert "PLC_LINK " in log
    assert "0xEF22" not in log
    assert steps["CM_ATTEN_CHAR.IND"]["after_ms"] <= 200.0
    times = [steps[step]["after_ms"] for step in ("CM_SLAC_PARM.CNF", "CM_ATTEN_CHAR.IND", "CM_SLAC_MATCH.CNF")]
    cells = [name, *times, steps["CM_ATTEN_CHAR.IND"]["average_db"]]
    took_s = found.history[-1].took_s
    ROWS.append(f"| kplc-driver | {' | '.join(map(str, cells))} | {took_s:.2f} s after its first request |")


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
        line.start("vehicle", CAR, sys.executable, SUPPORT / "slac_vehicle.py", "captured", "slaccar1", name)
        return await until(PlcState.LINKED, 30)
    finally:
        await client.close()
