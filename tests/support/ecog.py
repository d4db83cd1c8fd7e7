"""EcoG's vehicle and charging station in network namespaces of their own, and what their logs say.

Their exit codes say nothing: a session is judged by what was sent and received.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
PEER = TESTS.parents[1] / "shared" / "peer"
KEY_PASSWORD = "12345"
PEER_ENVIRONMENT = {
    "MESSAGE_LOG_JSON": "True",
    # Its Java lives for seconds: no second compiler, no collector threads. Twice as quick on two cores.
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@dataclass
class PeerKit:
    """The package in a virtual environment of its own, with the certificates its scripts make."""

    python_dir: Path
    pki: Path

    @property
    def certs(self) -> Path:
        return self.pki / "iso15118_2" / "certs"

    @property
    def keys(self) -> Path:
        return self.pki / "iso15118_2" / "private_keys"

    def key(self, name: str, folder: Path) -> str:
        """A copy of a key that only its owner can read, as our stack wants it."""
        copy = folder / name
        copy.write_bytes((self.keys / name).read_bytes())
        copy.chmod(0o600)
        return str(copy)

    def station_tls(self, folder: Path) -> dict[str, Any]:
        """What our station needs to serve the peer's vehicle over TLS."""
        return self._tls("cpoCertChain.pem", self.key("seccLeaf.key", folder), "oemRootCACert.pem")

    def vehicle_tls(self, folder: Path) -> dict[str, Any]:
        """What our vehicle needs at the peer's station."""
        return self._tls("oemCertChain.pem", self.key("oemLeaf.key", folder), "v2gRootCACert.pem")

    def contract(self, folder: Path) -> dict[str, Any]:
        """The contract with which the peer's own vehicle would pay."""
        names = ("contractLeafCert", "moSubCA2Cert", "moSubCA1Cert")
        return {
            "chain": [str(self.certs / f"{name}.pem") for name in names],
            "key": self.key("contractLeaf.key", folder),
            "password": KEY_PASSWORD,
            "emaid": self.emaid,
        }

    @cached_property
    def emaid(self) -> str:
        """Of the one contract there is."""
        command = ["openssl", "x509", "-in", self.certs / "contractLeafCert.pem", "-noout", "-subject"]
        subject = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = re.search(r"CN ?= ?([^,\n]+)", subject)
        assert found, f"the contract's certificate names no one: {subject}"
        return found[1]

    def _tls(self, chain: str, key: str, trust: str) -> dict[str, Any]:
        return {
            "chain": str(self.certs / chain),
            "key": key,
            "password": KEY_PASSWORD,
            "trust": str(self.certs / trust),
        }


@dataclass
class Namespaces:
    secc: str
    evcc: str
    secc_interface: str
    evcc_interface: str


@dataclass
class Cell:
    """One session: which service, how it is controlled and whether over TLS."""

    service: str
    mode: str
    tls: bool

    @property
    def ac(self) -> bool:
        return self.service.startswith("AC")

    @property
    def transport(self) -> str:
        return "TLS 1.3 compat" if self.tls else "plain"

    @property
    def protocol(self) -> str:
        return "ISO_15118_20_AC" if self.ac else "ISO_15118_20_DC"

    def loop_element(self, message: str) -> str:
        """The element that a charge-loop message (``Req``, ``Res``) of this service and mode has, and no other."""
        kind = "AC" if self.ac else "DC"
        channel = "BPT_" if self.service.endswith("BPT") else ""
        return f'"{channel}{self.mode.capitalize()}_{kind}_CL{message}ControlMode"'

    def __str__(self) -> str:
        return f"{self.service}-{self.mode}-{'tls' if self.tls else 'plain'}"


class Program:
    """A process in a namespace, in a process group of its own, its output in a file."""

    def __init__(self, command: Sequence[object], log: Path, **environment: str) -> None:
        self.log_path = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=TESTS,
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)


class Peer(Program):
    """EcoG's side. Its log has every message as JSON, once each."""

    def count(self, text: str) -> int:
        return self.log.count(text)

    def numbers(self, element: str) -> list[float]:
        """What an element of RationalNumber type was in every message that had it, in order."""
        found = re.findall(rf'"{element}": ?\{{"Exponent": ?(-?\d+), ?"Value": ?(-?\d+)\}}', self.log)
        return [int(value) * 10.0 ** int(exponent) for exponent, value in found]

    def loop_currents_a(self) -> list[float]:
        """EVSEPresentCurrent of every DC_ChargeLoopRes that the vehicle decoded, in order."""
        return self.numbers("EVSEPresentCurrent")

    def requests(self) -> int:
        """Charge-loop requests that the vehicle sent."""
        return self.count("Sent DC_ChargeLoopReq") + self.count("Sent AC_ChargeLoopReq")

    def complaints(self) -> str:
        """The last lines that are no messages."""
        lines = [line for line in self.log.splitlines() if "ssage" not in line]
        return "\n".join(lines[-25:])


class Ours(Program):
    """``stack_station`` or ``stack_vehicle``. Its log has an event a line, and whatever went wrong."""

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}")]

    def all(self, event: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["event"] == event]

    def one(self, event: str) -> dict[str, Any]:
        found = self.all(event)
        assert len(found) == 1, f"{len(found)} {event} events in {self.log_path.name}:\n{self.story()}"
        return found[0]

    def story(self) -> str:
        """The log without the bulk, for people."""
        told = ("MessageReceived", "MessageSent")
        lines = [f"{e['at_s']} {e['event']} {e.get('name', '')}" if e["event"] in told else str(e) for e in self.events]
        other = [line for line in self.log.splitlines() if not line.startswith("{")]
        return "\n".join([*lines[-40:], *other[-40:]])


def peer_vehicle(
    kit: PeerKit, where: Namespaces, log: Path, cell: Cell, *, turns: int, delay_s: float = 0.0, **environment: str
) -> Peer:
    command = [
        *("bash", PEER / "run_evcc.sh", "-n", where.evcc, "-i", where.evcc_interface),
        *("-t", "tls-enforced" if cell.tls else "none", "-v", "1.3"),
        *("-p", cell.protocol, "-s", cell.service, "-c", cell.mode, "-C", turns, "-D", f"{delay_s:g}"),
        *("-k", kit.pki, "-V", kit.python_dir),
    ]
    return Peer(command, log, **PEER_ENVIRONMENT, **environment)


def peer_station(kit: PeerKit, where: Namespaces, log: Path, *, authorization: str = "EIM") -> Peer:
    """Serves whatever our vehicle asks for: AC or DC, plain or TLS."""
    command = [
        *("bash", PEER / "run_secc.sh", "-n", where.secc, "-i", where.secc_interface),
        *("-m", "sim", "-t", "tls", "-v", "1.3", "-a", authorization, "-k", kit.pki, "-V", kit.python_dir),
    ]
    return Peer(command, log, **PEER_ENVIRONMENT)


def our_program(module: str, namespace: str, log: Path, job: dict[str, Any]) -> Ours:
    return Ours(["ip", "netns", "exec", namespace, sys.executable, "-m", module, json.dumps(job)], log)


def wait_for(what: str, condition: Callable[[], bool], explain: Callable[[], str], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s:g} s for {what}\n{explain()}")
        time.sleep(0.1)
