"""One powerline for everything: SLAC, discovery, TLS and the session of a vehicle pass over the same simulated segment,
between network namespaces; and strangers on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from v2g.clock import SystemClock
from v2g.control.client import ControlClient, ControlError
from v2g.control.messages import DispatchParams
from v2g.control.messages_plc import PlcParams
from v2g.simulation import layout as layouts
from v2g.simulation.plant_client import PlantClient, PlantNotReachable
from v2g.simulation.powerline_client import PowerlineClient
from v2g.simulation.powerline_config import PairConfig, PowerlineConfig, StationConfig
from v2g.simulation.vehicle_config import VehicleConfig, read_config

pytestmark = pytest.mark.interop

EVSE = "US*V2G*E1"
SECC, CAR, OTHER = "v2gplc-secc", "v2gplc-car", "v2gplc-other"
TAPS = {SECC: "tapsecc", CAR: "tapcar", OTHER: "vethother"}
VETH = "v2gplc-veth"
"""The powerline's end of the stranger's cable."""
ADDRESSES = {SECC: "fe80::5ecc", CAR: "fe80::ca", OTHER: "fe80::bad"}
PORT = 50_118
STRANGER = Path(__file__).parents[1] / "support" / "plc_stranger.py"
KEEP = "V2G_PLC_SEGMENT_REPORT"
REPORT = Path(__file__).parents[1] / "bench" / "report_plc_segment.md"


NO_OFFLOADS = "import sys; from v2g.simulation.powerline_ports import without_offloads; without_offloads(sys.argv[1])"


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


class Segment:
    """The powerline in the root's namespace; its two TAPs, and the far end of its veth pair, each in one of their own
    with our processes there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.figures: list[tuple[str, str]] = []
        self.told: list[str] = []
        self.layout = layouts.build(folder, 1, None, SystemClock(), plc=True)
        self._configure()

    def _configure(self) -> None:
        path = self.layout.config_dir / "v2g.yaml"
        config = yaml.safe_load(path.read_text())
        (evse,) = config["evses"]
        evse |= {"interface": TAPS[SECC], "sdp_port": 15118, "tcp_port": PORT, "plc": {"calibration_db": 5.0}}
        config["dispatch"] = {"default_mode": "idle"}
        config["firewall"] = {
            "plc_interfaces": [TAPS[SECC]],
            "local_only": True,
            "state_dir": str(self.folder / "firewall"),
        }
        path.write_text(yaml.safe_dump(config))
        ((_, vehicle),) = self.layout.vehicles
        told = msgspec.structs.replace(
            read_config(vehicle.config), interface=TAPS[CAR], sdp_port=15118, powerline="", mac=""
        )
        assert isinstance(told, VehicleConfig)
        vehicle.config.write_bytes(msgspec.json.encode(told))
        stations = [
            StationConfig(
                name=name, kind=kind, address=port, modem_mac=f"02:00:00:51:00:{number:02x}", offset_db=offset
            )
            for number, (name, kind, port, offset) in enumerate(
                (
                    ("EVSE 1", "tap", TAPS[SECC], 5.0),
                    ("vehicle 1", "tap", TAPS[CAR], 0.0),
                    ("stranger", "veth", VETH, 0.0),
                ),
                1,
            )
        ]
        line = PowerlineConfig(
            control_socket=str(self.folder / "powerline.sock"),
            stations=tuple(stations),
            pairs=(
                PairConfig(one="EVSE 1", other="vehicle 1", db=9.0),
                PairConfig(one="EVSE 1", other="stranger", db=12.0),
                PairConfig(one="vehicle 1", other="stranger", db=12.0),
            ),
        )
        (self.folder / "powerline.json").write_bytes(msgspec.json.encode(line))

    def start(self) -> None:
        for name in TAPS:
            ip("netns", "add", name)
        ip("link", "add", VETH, "type", "veth", "peer", "name", TAPS[OTHER], "netns", OTHER)
        ip("link", "set", VETH, "up")
        self.inside(OTHER, sys.executable, "-c", NO_OFFLOADS, TAPS[OTHER])
        self.run("powerline", None, "v2g.simulation.powerline", "--config", str(self.folder / "powerline.json"))
        self.wait_for("the powerline", lambda: (self.folder / "powerline.sock").exists())
        for name, tap in TAPS.items():
            if name != OTHER:
                ip("link", "set", tap, "netns", name)
            for link in ("lo", tap):
                ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "addr", "add", f"{ADDRESSES[name]}/64", "dev", tap, "nodad")
        config = ("--config", str(self.layout.config_dir))
        self.run("plant", SECC, "v2g.simulation.plant", "--config", str(self.layout.plant_config))
        self.wait_for("the plant", lambda: self.layout.plant_socket.exists())
        for name, words in (
            ("tick", ("v2g.cli.guard", "tick")),
            ("wires", ("v2g.cli.guard", "wires")),
            ("kplc-driver", ("v2g.cli.kplc_driver",)),
            ("orchestrator", ("v2g.cli.orchestrator",)),
        ):
            self.run(name, SECC, *words, *config)
        self.wait_for("the daemon", lambda: self.status().get("ready"))

    def plug_in(self) -> None:
        ((_, vehicle),) = self.layout.vehicles
        self.run("vehicle", CAR, "v2g.simulation.vehicle", "--config", str(vehicle.config))

    def run(self, name: str, namespace: str | None, *words: str) -> None:
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        with (self.folder / f"{name}.out").open("w") as out:
            self.processes[name] = subprocess.Popen(
                [*inside, sys.executable, "-m", *words],
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "V2G_SIMULATION": "1"},
                text=True,
            )

    def close(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in TAPS:
            ip("netns", "del", name, check=False)
        self.layout.port_reservation.close()

    # ---- what is seen ----

    def status(self) -> dict[str, Any]:
        return self.call("status")

    def call(self, method: str, params: Any = None) -> dict[str, Any]:
        try:
            with ControlClient(self.layout.control_socket, name="show") as client:
                answer: dict[str, Any] = client.call(method, params) if params is not None else client.call(method)
                return answer
        except ControlError:
            return {}

    def plc(self) -> dict[str, Any]:
        found: dict[str, Any] = (self.call("plc", PlcParams()).get("evses") or [{}])[0]
        return found

    def power_w(self) -> float:
        with PlantClient(self.layout.plant_socket) as client:
            return client.measure().ac_w

    def last_power_at_s(self) -> float:
        with PlantClient(self.layout.plant_socket) as client:
            return client.measure().chargers[EVSE].last_power_at_s or 0.0

    def log(self) -> str:
        path = self.layout.log_dir / "comms.log"
        return path.read_text() if path.exists() else ""

    def session_state(self) -> str:
        evses = self.status().get("evses") or [{}]
        return str((evses[0].get("session") or {}).get("state", ""))

    def stranger(self) -> dict[str, str]:
        said = self.inside(OTHER, sys.executable, str(STRANGER), TAPS[OTHER], ADDRESSES[SECC], str(PORT))
        answer: dict[str, str] = json.loads(said)
        return answer

    def firewall(self, *words: str) -> str:
        """``v2g-tool firewall`` where the charging station is."""
        tool = str(Path(sys.executable).parent / "v2g-tool")
        return self.inside(SECC, tool, "firewall", *words, "--config", str(self.layout.config_dir))

    def admitted(self) -> list[str]:
        return [one["mac"] for one in json.loads(self.firewall("status", "--json"))["admitted"]]

    @staticmethod
    def inside(namespace: str, *words: str) -> str:
        """What a program in a namespace prints."""
        command = ["ip", "netns", "exec", namespace, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def car_mac(self) -> str:
        return self.inside(CAR, "cat", f"/sys/class/net/{TAPS[CAR]}/address").strip()

    def wait_for(self, what: str, condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            try:
                if found := condition():
                    return found
            except PlantNotReachable:
                pass
            time.sleep(0.05)
        outputs = "\n".join(
            f"-- {name}\n{(self.folder / f'{name}.out').read_text()[-1500:]}" for name in self.processes
        )
        pytest.fail(f"not within {timeout_s:g} s: {what}\n{outputs}\n{self.log()[-3000:]}\n{self.plc()}")


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segment]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    if not Path("/dev/net/tun").exists():
        pytest.skip("this machine has no /dev/net/tun")
    made = Segment(tmp_path_factory.mktemp("plc"))
    try:
        made.start()
        yield made
        if os.environ.get(KEEP):
            write(made)
    finally:
        made.close()


def write(segment: Segment) -> None:
    """What was measured, as a report."""
    lines = [
        "# One powerline for SLAC, discovery, TLS and the session",
        "",
        "Powerline process with two TAPs and a veth pair into three namespaces: charging station, vehicle, stranger.",
        f"Written by `{KEEP}=1 pytest -m interop tests/interop/test_plc_segment.py`.",
        "",
        "| figure | measured |",
        "| --- | --- |",
        *(f"| {figure} | {measured} |" for figure, measured in segment.figures),
        "",
        "The log tells it in this order:",
        "",
        "```",
        *(line.split(" ", 1)[1][:150] for line in segment.told),
        "```",
        "",
    ]
    REPORT.write_text("\n".join(lines), encoding="utf-8")


STORY = (
    "PLC_MATCHING",
    "PLC_LINK ",
    "SDP request of",
    "CONNECTED",
    "SESSION_START",
    "phase=charging",
    "PLC_LINK_LOST",
)
ENDS = ("SESSION_ABORTED", "SECC_TIMEOUT")
"""Of the session: by the link's loss, or by the vehicle's silence in the charge loop, whichever is seen first."""


def story(log: str) -> list[str]:
    lines = log.splitlines()
    found, position = [], 0
    for words in STORY:
        position = next(number for number in range(position, len(lines)) if words in lines[number])
        found.append(lines[position])
    return found


def unix(line: str) -> float:
    return datetime.fromisoformat(line.split(" ", 1)[0]).timestamp()


def test_a_vehicle_is_matched_served_and_lost_over_one_segment_and_strangers_are_not_heard(segment: Segment) -> None:
    alone = segment.stranger()
    assert alone["sdp"] == ""
    assert not alone["tcp"].startswith(("open", "answered", "closed")), "it is in no network with the EVSE"

    segment.plug_in()
    segment.wait_for("the link", lambda: segment.plc().get("state") == "linked", 30)
    linked = segment.plc()
    assert linked["attenuation"]["average_db"] == pytest.approx(9.0, abs=1.0)
    car_mac = segment.car_mac()
    assert linked["vehicle_mac"] == car_mac
    segment.wait_for("the charge loop", lambda: segment.session_state() in ("charging", "discharging"), 40)
    assert f"mac={car_mac}" in next(line for line in segment.log().splitlines() if "SESSION_START" in line)
    segment.call("dispatch", DispatchParams(mode="discharge", power_w=5_000.0))
    segment.wait_for("5 kW flow back", lambda: abs(segment.power_w() + 5_000.0) <= 100.0, 10)

    with PowerlineClient(segment.folder / "powerline.sock") as line:
        line.ask(do="leak", source="EVSE 1", to="stranger")
        time.sleep(1.0)
        inside = segment.stranger()
        assert inside["sdp"] == "", "the key alone does not make it the matched vehicle"
        assert inside["tcp"] in ("closed", "refused: Connection reset by peer"), inside
        assert segment.session_state() == "discharging", "the vehicle is not disturbed"
        assert abs(segment.power_w() + 5_000.0) <= 100.0

        cut_unix_s, cut_s = time.time(), time.monotonic()
        line.ask(do="plug", station="vehicle 1", plugged=False)
    segment.wait_for("the link's loss", lambda: "PLC_LINK_LOST" in segment.log(), 5)
    segment.wait_for("the session's end", lambda: any(code in segment.log() for code in ENDS), 5)
    told = story(segment.log())
    end = next(line for line in segment.log().splitlines() if any(code in line for code in ENDS))
    seen_s, closed_s = unix(told[6]) - cut_unix_s, unix(end) - cut_unix_s
    segment.wait_for("no power", lambda: abs(segment.power_w()) < 100.0, 5)
    power_s = segment.last_power_at_s() - cut_s
    assert seen_s <= 1.0
    assert power_s <= 1.5
    assert closed_s <= 1.5
    segment.told = sorted([*told, end], key=unix)
    segment.figures += [
        ("attenuation told (9.0 dB on the line)", f"{linked['attenuation']['average_db']:.1f} dB"),
        ("PHY rates told", f"{linked['tx_mbps']:g} / {linked['rx_mbps']:g} Mbit/s"),
        ("stranger without the key: SDP, TCP", f"no answer, {alone['tcp']}"),
        ("stranger with the EVSE's key and another MAC, no firewall: SDP, TCP", f"no answer, {inside['tcp']}"),
        ("vehicle taken off the line at 5 kW: link loss seen after", f"{seen_s:.2f} s"),
        ("power zero after", f"{power_s:.2f} s"),
        ("session closed after", f"{closed_s:.2f} s"),
    ]

    with PowerlineClient(segment.folder / "powerline.sock") as line:
        line.ask(do="plug", station="vehicle 1", plugged=True)
    segment.wait_for("it is matched again", lambda: segment.plc().get("state") == "linked", 40)


@pytest.mark.skipif(shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin") is None, reason="nft is not installed")
def test_behind_the_firewall_only_the_matched_vehicle_is_admitted_and_only_for_as_long(segment: Segment) -> None:
    """After the show above: the vehicle is matched, the stranger has the key of a former session, then this one's."""
    segment.firewall("apply", "--no-confirm")
    car_mac = segment.car_mac()
    segment.wait_for("its MAC is in the set", lambda: segment.admitted() == [car_mac], 30)
    segment.wait_for("the charge loop", lambda: segment.session_state() in ("charging", "discharging"), 40)
    with PowerlineClient(segment.folder / "powerline.sock") as line:
        line.ask(do="leak", source="EVSE 1", to="stranger")
        time.sleep(1.0)
        network = line.ask(do="measure")["measurement"]["stations"][2]["network"]
        assert "EVSE 1" in network, "the stranger is in the network"
        inside = segment.stranger()
        assert inside["sdp"] == ""
        assert inside["tcp"].startswith("silent"), "the kernel drops it before the daemon sees it"
        assert segment.session_state() in ("charging", "discharging")
        cut_s = time.monotonic()
        line.ask(do="plug", station="vehicle 1", plugged=False)
        segment.wait_for("the set is empty", lambda: segment.admitted() == [], 5)
        segment.figures += [
            ("the same stranger, with the firewall: SDP, TCP", f"no answer, {inside['tcp']}"),
            ("vehicle off the line: out of the firewall's set after", f"{time.monotonic() - cut_s:.2f} s"),
        ]
        line.ask(do="plug", station="vehicle 1", plugged=True)
    segment.wait_for("it is admitted again", lambda: segment.admitted() == [car_mac], 40)
    segment.wait_for("and charges", lambda: segment.session_state() in ("charging", "discharging"), 40)
