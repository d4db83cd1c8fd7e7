"""EcoG's vehicle at EcoG's station, both on one codec, and what the codec cost them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.ecog import PEER, PEER_ENVIRONMENT, TESTS, Cell, Namespaces, Peer, PeerKit, wait_for
from support.own_path import python_path

LAUNCHER = TESTS / "support" / "josev_peer.py"


@dataclass
class Side:
    """One process: its log, and its report once it has ended."""

    peer: Peer
    report_path: Path

    @cached_property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.report_path.read_text())
        return found

    def calls_ms(self, call: str) -> list[float]:
        """How long each encoding or decoding of the charge loop took."""
        return [(ended - began) / 1e6 for name, began, ended in self.report["calls"] if name == call]

    def count(self, what: str) -> int:
        """``encode SessionSetupReq``, ``decode SignedInfo``: how often."""
        return int(self.report["elements"].get(what, 0))

    def starts_ms(self) -> list[float]:
        """From one request of the charge loop to the next, at the vehicle."""
        begins = [began / 1e6 for name, began, _ in self.report["calls"] if name == "encode"]
        return [after - before for before, after in pairwise(begins)]

    def used_s(self, what: str) -> float:
        """CPU seconds of the charge loop, of the process (``own_s``) or its Java (``java_s``)."""
        return float(self.report["last"][what] - self.report["first"][what])


@dataclass
class Session:
    """A session that came to its end."""

    cell: Cell
    vehicle: Side
    station: Side

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.vehicle, self.station

    @property
    def pairs(self) -> int:
        """Of the charge loop: requests that the vehicle encoded and whose answers it decoded."""
        return min(len(self.vehicle.calls_ms("encode")), len(self.vehicle.calls_ms("decode")))

    def signed(self) -> dict[str, list[str]]:
        """What each side encoded that is no message: parts to sign, or whose signature it checked."""
        sides = {"vehicle": self.vehicle, "station": self.station}
        return {
            name: sorted(
                element
                for call, _, element in (key.partition(" ") for key in side.report["elements"])
                if call == "encode" and not element.endswith(("Req", "Res"))
            )
            for name, side in sides.items()
        }

    def codec_ms(self, share: float = 0.5) -> float:
        """Of one pair, two encodings and two decodings: that share of each was as quick or quicker."""
        return sum(quantile(side.calls_ms(call), share) for side in self.sides for call in ("encode", "decode"))

    def pair_ms(self, share: float = 0.5) -> float:
        """From one request to the next at the vehicle: that share was as quick or quicker."""
        return quantile(self.vehicle.starts_ms(), share)

    def cpu_ms(self, *what: str) -> float:
        """CPU of both sides for one pair, of their processes (``own_s``), their Java (``java_s``) or both, the mean."""
        return 1e3 * sum(side.used_s(part) for side in self.sides for part in what) / self.pairs


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


class Pair:
    """Starts sessions of EcoG's vehicle at EcoG's station."""

    def __init__(self, kit: PeerKit, where: Namespaces, folder: Path, programs: list[Any]) -> None:
        self.kit, self.where, self.folder, self.programs = kit, where, folder, programs
        self.path = folder / "path"
        """An empty folder, all that processes on our codec have on their path."""
        self.path.mkdir(exist_ok=True)
        self.python_path = python_path(folder / "python-path")

    def session(
        self, cell: Cell, *, vehicle: str, station: str, pairs: int, contract: bool = False, wait_s: float = 60.0
    ) -> Session:
        """A whole session, of codecs that are ``ours`` or ``theirs``. Raises :class:`AssertionError` with both logs."""
        stations, vehicles = self._station(station, contract), self._vehicle(vehicle, cell, pairs)

        def explain() -> str:
            return f"--- vehicle\n{vehicles.peer.complaints()}\n--- station\n{stations.peer.complaints()}"

        wait_for("the vehicle's end", lambda: vehicles.peer.process.poll() is not None, explain, wait_s)
        assert vehicles.peer.count("SessionStopRes received") == 1, explain()
        # ``ip netns exec`` has become the program that it runs.
        os.kill(stations.peer.process.pid, signal.SIGTERM)
        wait_for("the station's end", lambda: stations.peer.process.poll() is not None, explain, 15)
        assert stations.report_path.exists(), explain()
        return Session(cell, vehicles, stations)

    def _station(self, codec: str, contract: bool) -> Side:
        environment = {
            "NETWORK_INTERFACE": self.where.secc_interface,
            "PROTOCOLS": "ISO_15118_20_DC,ISO_15118_20_AC",
            "AUTH_MODES": "PNC" if contract else "EIM",
            "SECC_ENFORCE_TLS": "False",
        }
        return self._side("station", codec, self.where.secc, "peer_secc.py", environment)

    def _vehicle(self, codec: str, cell: Cell, pairs: int) -> Side:
        settings = self.folder / f"evcc-{time.monotonic_ns()}.json"
        settings.write_text(
            json.dumps(
                {
                    "supportedProtocols": [cell.protocol],
                    "supportedEnergyServices": [cell.service],
                    "isCertInstallNeeded": False,
                    "useTls": cell.tls,
                    "enforceTls": cell.tls,
                    "sdpRetryCycles": 1,
                    "chargeLoopCycle": pairs,
                    "chargeLoopDelay": 0,
                }
            )
        )
        environment = {"NETWORK_INTERFACE": self.where.evcc_interface, "PEER_CONTROL_MODE": cell.mode}
        return self._side("vehicle", codec, self.where.evcc, "peer_evcc.py", environment, settings)

    def _side(
        self, role: str, codec: str, namespace: str, script: str, environment: dict[str, str], *arguments: Path
    ) -> Side:
        number = len(self.programs)
        log, report = self.folder / f"{role}-{number}.log", self.folder / f"{role}-{number}.json"
        ip = shutil.which("ip")
        command = [ip, "netns", "exec", namespace, self.kit.python_dir / "bin" / "python"]
        command += [LAUNCHER, PEER / script, codec, report, *arguments]
        peer = Peer(
            command,
            log,
            **PEER_ENVIRONMENT | environment | {"LOG_LEVEL": "INFO", "MESSAGE_LOG_JSON": "False"},
            MESSAGE_LOG_EXI="False",
            ENABLE_TLS_1_3="True",
            PKI_PATH=f"{self.kit.pki}/",
            PYTHONUNBUFFERED="1",
            PYTHONPATH=self.python_path,
            PATH=os.environ["PATH"] if codec == "theirs" else str(self.path),
        )
        self.programs.append(peer)
        return Side(peer, report)
