"""A vehicle and a station that nobody here wrote, EcoG's, in network namespaces of their own, opposite ours."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.ecog import (
    KEY_PASSWORD,
    PEER,
    Cell,
    Namespaces,
    Ours,
    Peer,
    PeerKit,
    Program,
    our_program,
    peer_station,
    peer_vehicle,
)
from v2g.simulation.plant_client import PlantClient


@pytest.fixture(scope="session")
def peer_kit() -> PeerKit:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if not PEER.is_dir():
        pytest.skip("the peer's scripts are not here (../shared/peer)")
    for tool in ("java", "ip", "openssl"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    base = Path(os.environ.get("V2G_PEER_DIR", Path(tempfile.gettempdir()) / "v2g-interop-peer"))
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    kit = PeerKit(base / "venv", base / "pki")
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        leaf = kit.certs / "seccLeafCert.pem"
        week_s = 7 * 86400
        if not leaf.exists() or time.time() - leaf.stat().st_mtime > week_s:
            made = subprocess.run(
                ["bash", PEER / "setup.sh", kit.python_dir, kit.pki], capture_output=True, text=True, check=False
            )
            if made.returncode != 0:
                pytest.skip(f"the peer cannot be installed: {made.stderr.strip().splitlines()[-1:]}")
    return kit


@pytest.fixture
def namespaces(peer_kit: PeerKit) -> Iterator[Namespaces]:
    tag = f"{os.getpid() % 100000}"
    names = Namespaces(f"v2gs{tag}", f"v2ge{tag}", f"vs{tag}", f"ve{tag}")
    env = os.environ | {
        "NS_SECC": names.secc,
        "NS_EVCC": names.evcc,
        "IF_SECC": names.secc_interface,
        "IF_EVCC": names.evcc_interface,
    }
    up = subprocess.run(["bash", PEER / "netns.sh", "up"], env=env, capture_output=True, text=True, check=False)
    if up.returncode != 0:
        subprocess.run(["bash", PEER / "netns.sh", "down"], env=env, capture_output=True, check=False)
        pytest.skip(f"no network namespaces here: {up.stderr.strip()}")
    yield names
    subprocess.run(["bash", PEER / "netns.sh", "down"], env=env, capture_output=True, check=False)


def overlay_for(kit: PeerKit, folder: Path, loop_timeout_s: float) -> str:
    """What this peer needs: its certificates, a lower min-SoC (it reports 10 % for ever), and its idea of a meter.

    Its Java gateway halts for longer than the standard's 0.5 s now and then, the more the busier the machine is.
    """
    password = folder / "peer-secc.password"
    password.write_text(KEY_PASSWORD)
    password.chmod(0o600)
    return f"""
pki:
  compat_chain: {kit.certs / "cpoCertChain.pem"}
  compat_key: {kit.key("seccLeaf.key", folder)}
  compat_trust: {kit.certs / "oemRootCACert.pem"}
  key_password_file: {password}
dispatch:
  min_soc_pct: 5
  default_mode: idle
secc:
  charge_loop_timeout_s: {loop_timeout_s:g}
evses:
  - id: US*V2G*EF1
    meter_discharge_reading: false
"""


@dataclass
class Site:
    """The running simulation inside the SECC's namespace."""

    process: subprocess.Popen[str]
    run_dir: Path
    namespace: str
    lines: list[str] = field(default_factory=list)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / arguments[0]
        environment = os.environ | {"V2G_SOCKET": str(self.run_dir / "control.sock")}
        return subprocess.run(
            [program, *arguments[1:]], env=environment, capture_output=True, text=True, timeout=20, check=False
        )

    def status(self) -> dict[str, Any]:
        answer = self.command("v2g-control", "status", "--json")
        return json.loads(answer.stdout) if answer.returncode == 0 else {}

    def evse(self, evse_id: str) -> dict[str, Any]:
        return next((e for e in self.status().get("evses", ()) if e["evse_id"] == evse_id), {})

    def plant_w(self, evse_id: str) -> float:
        """Power at the inverter's AC terminals as the plant itself has it, past daemon, guard and Modbus."""
        with PlantClient(self.run_dir / "plant.sock") as plant:
            return plant.measure().chargers[evse_id].ac_w

    def daemon_pid(self) -> int:
        """Of the orchestrator itself, below the simulation."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if "v2g.cli.orchestrator" in words and any(str(self.run_dir) in word for word in words):
                    return int(folder.name)
        raise AssertionError("the orchestrator does not run")

    def log(self, name: str) -> str:
        found = list(self.run_dir.rglob(name))
        return found[0].read_text() if found else ""

    def wait_for(self, what: str, condition: Any, timeout_s: float = 40.0) -> Any:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the simulation ended with {self.process.returncode} while waiting for {what}")
            got = condition()
            if got:
                return got
            time.sleep(0.1)
        raise AssertionError(f"waited {timeout_s:g} s for {what}; comms.log:\n{self.log('comms.log')[-3000:]}")


@pytest.fixture
def start_site(namespaces: Namespaces, peer_kit: PeerKit, tmp_path: Path) -> Iterator[Any]:
    running: list[Site] = []

    def start(*, profile: str, vehicles: int = 0, loop_timeout_s: float = 3.0, on_stop: str = "terminate") -> Site:
        run_dir = tmp_path / "run"
        output = (tmp_path / "simulation.log").open("w")
        overlay = tmp_path / "overlay.yaml"
        settings = overlay_for(peer_kit, tmp_path, loop_timeout_s) + f"sessions: {{on_stop: {on_stop}}}\n"
        overlay.write_text(settings, encoding="utf-8")
        site = Site(
            subprocess.Popen(
                [
                    *("ip", "netns", "exec", namespaces.secc),
                    *(Path(sys.executable).parent / "v2g-orchestrator", "--simulate"),
                    *("--vehicles", str(vehicles), "--run-dir", run_dir, "--overlay", overlay),
                    *("--foreign", f"{namespaces.secc_interface}:{profile}"),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            ),
            run_dir,
            namespaces.secc,
        )
        running.append(site)
        site.wait_for("the daemon", lambda: site.status().get("ready"))
        return site

    yield start
    for site in running:
        site.process.send_signal(signal.SIGTERM)
        try:
            site.process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(site.process.pid, signal.SIGKILL)


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    """Processes of this test, ended with it whatever happens."""
    running: list[Program] = []
    yield running
    for program in running:
        program.stop()


@pytest.fixture
def start_peer_vehicle(
    namespaces: Namespaces, peer_kit: PeerKit, tmp_path: Path, programs: list[Program]
) -> Callable[..., Peer]:
    def start(
        *,
        tls: str,
        loops: int,
        delay_s: float = 0.0,
        service: str = "DC_BPT",
        mode: str = "dynamic",
        **environment: str,
    ) -> Peer:
        log = tmp_path / f"peer-{len(programs)}.log"
        cell = Cell(service, mode, tls != "none")
        vehicle = peer_vehicle(peer_kit, namespaces, log, cell, turns=loops, delay_s=delay_s, **environment)
        programs.append(vehicle)
        return vehicle

    return start


@pytest.fixture
def start_peer_station(
    namespaces: Namespaces, peer_kit: PeerKit, tmp_path: Path, programs: list[Program]
) -> Callable[..., Peer]:
    def start(**options: str) -> Peer:
        station = peer_station(peer_kit, namespaces, tmp_path / "peer-station.log", **options)
        programs.append(station)
        return station

    return start


@pytest.fixture
def start_our_station(
    namespaces: Namespaces, peer_kit: PeerKit, tmp_path: Path, programs: list[Program]
) -> Callable[..., Ours]:
    """The package alone: ``support.stack_station``."""

    def start(*, ac: bool, tls: bool, **job: Any) -> Ours:
        job |= {"interface": namespaces.secc_interface, "ac": ac}
        if tls:
            job["tls"] = peer_kit.station_tls(tmp_path)
        station = our_program("support.stack_station", namespaces.secc, tmp_path / "our-station.log", job)
        programs.append(station)
        return station

    return start


@pytest.fixture
def start_our_vehicle(
    namespaces: Namespaces, peer_kit: PeerKit, tmp_path: Path, programs: list[Program]
) -> Callable[..., Ours]:
    """The package alone: ``support.stack_vehicle``."""

    def start(cell: Cell, **job: Any) -> Ours:
        job |= {"interface": namespaces.evcc_interface, "service": cell.service, "mode": cell.mode.upper()}
        if cell.tls:
            job["tls"] = peer_kit.vehicle_tls(tmp_path)
        vehicle = our_program("support.stack_vehicle", namespaces.evcc, tmp_path / "our-vehicle.log", job)
        programs.append(vehicle)
        return vehicle

    return start
