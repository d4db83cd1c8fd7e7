"""A vehicle that nobody here wrote: EcoG's EVCC in a network namespace of its own, opposite the whole simulation."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from v2g.simulation.plant_client import PlantClient

ROOT = Path(__file__).resolve().parents[2]
PEER = ROOT.parent / "shared" / "peer"


@dataclass
class PeerKit:
    """EcoG's package in a virtual environment of its own, with the certificates its scripts make."""

    python_dir: Path
    pki: Path

    @property
    def certs(self) -> Path:
        return self.pki / "iso15118_2" / "certs"

    @property
    def keys(self) -> Path:
        return self.pki / "iso15118_2" / "private_keys"


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


@dataclass
class Namespaces:
    secc: str
    evcc: str
    secc_interface: str
    evcc_interface: str


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
    key = folder / "peer-secc.key"
    key.write_bytes((kit.keys / "seccLeaf.key").read_bytes())
    password = folder / "peer-secc.password"
    password.write_text("12345")
    for secret in (key, password):
        secret.chmod(0o600)
    return f"""
pki:
  compat_chain: {kit.certs / "cpoCertChain.pem"}
  compat_key: {key}
  compat_trust: {kit.certs / "oemRootCACert.pem"}
  key_password_file: {password}
dispatch:
  min_soc_pct: 5
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

    def start(*, profile: str, vehicles: int = 0, loop_timeout_s: float = 3.0) -> Site:
        run_dir = tmp_path / "run"
        output = (tmp_path / "simulation.log").open("w")
        overlay = tmp_path / "overlay.yaml"
        overlay.write_text(overlay_for(peer_kit, tmp_path, loop_timeout_s), encoding="utf-8")
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
            site.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(site.process.pid, signal.SIGKILL)


@dataclass
class PeerVehicle:
    process: subprocess.Popen[str]
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def loop_currents_a(self) -> list[float]:
        """EVSEPresentCurrent of every DC_ChargeLoopRes that the vehicle decoded, in order."""
        found = re.findall(r'"EVSEPresentCurrent": ?\{"Exponent": ?(-?\d+), ?"Value": ?(-?\d+)\}', self.log)
        return [int(value) * 10.0 ** int(exponent) for exponent, value in found]

    def requests(self) -> int:
        return self.log.count("Sent DC_ChargeLoopReq")


@pytest.fixture
def start_peer_vehicle(namespaces: Namespaces, peer_kit: PeerKit, tmp_path: Path) -> Iterator[Any]:
    running: list[PeerVehicle] = []

    def start(*, tls: str, loops: int, delay_s: float = 0.0) -> PeerVehicle:
        path = tmp_path / f"peer-{len(running)}.log"
        vehicle = PeerVehicle(
            subprocess.Popen(
                [
                    *("bash", PEER / "run_evcc.sh", "-n", namespaces.evcc, "-i", namespaces.evcc_interface),
                    *("-t", tls, "-v", "1.3", "-p", "ISO_15118_20_DC", "-s", "DC_BPT", "-c", "dynamic"),
                    *("-C", str(loops), "-D", f"{delay_s:g}", "-k", peer_kit.pki, "-V", peer_kit.python_dir),
                ],
                env=os.environ | {"MESSAGE_LOG_JSON": "True"},
                stdout=path.open("w"),
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            ),
            path,
        )
        running.append(vehicle)
        return vehicle

    yield start
    for vehicle in running:
        if vehicle.process.poll() is None:
            os.killpg(vehicle.process.pid, signal.SIGKILL)
            vehicle.process.wait(5)
