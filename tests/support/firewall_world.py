"""A controller, two vehicles' links and the network beyond, in network namespaces of their own; and what is seen there.

``host`` has ``evse1`` (vehicles by known MAC), ``evse2`` (a PLC link) and ``eth0``; their other ends are ``car1`` and
``car2`` in ``car``, and ``wan0`` in ``net`` with an address for each role.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from support.config_dir import two_evses, write_config
from support.ecog import Ours, Program, our_program

HOST, OPERATOR, UTILITY, STRANGER = "10.9.0.1", "10.9.0.2", "10.9.0.18", "10.9.0.99"
LISTED, UNLISTED = "10.9.0.40", "10.9.0.41"
KNOWN, UNKNOWN, PLC = "02:00:00:00:00:01", "02:00:00:00:00:66", "02:00:00:00:00:02"
SSH, METRICS, STRAY = 2222, 9100, 8080
EVSE_PORTS = {"evse1": 15118, "evse2": 49152}
TESTS = Path(__file__).resolve().parents[1]


def run(*words: str, check: bool = True, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=check, cwd=TESTS)


class World:
    def __init__(self, folder: Path) -> None:
        tag = str(os.getpid() % 100_000)
        self.host, self.car, self.net = (f"v2gfw{role}{tag}" for role in ("h", "c", "n"))
        self.folder = folder
        self.config = folder / "etc"
        self.programs: list[Program] = []

    def up(self) -> None:
        for namespace in (self.host, self.car, self.net):
            run("ip", "netns", "add", namespace)
            self.inside(namespace, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
            self.inside(namespace, "ip", "link", "set", "lo", "up")
        for here, there, other in (
            ("evse1", "car1", self.car),
            ("evse2", "car2", self.car),
            ("eth0", "wan0", self.net),
        ):
            pair = ("type", "veth", "peer", "name", there, "netns", other)
            run("ip", "link", "add", here, "netns", self.host, *pair)
            self.inside(self.host, "ip", "link", "set", here, "up")
            self.inside(other, "ip", "link", "set", there, "up")
        self.inside(self.host, "ip", "address", "add", f"{HOST}/24", "dev", "eth0")
        for address in (OPERATOR, UTILITY, STRANGER, LISTED, UNLISTED):
            self.inside(self.net, "ip", "address", "add", f"{address}/24", "dev", "wan0")
        self.inside(self.host, "ip", "address", "add", "10.8.0.1/24", "dev", "evse1")
        self.inside(self.car, "ip", "address", "add", "10.8.0.2/24", "dev", "car1")
        self.inside(self.car, "ip", "route", "add", "10.9.0.0/24", "via", "10.8.0.1")
        self.inside(self.net, "ip", "route", "add", "10.8.0.0/24", "via", HOST)
        self.inside(self.host, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.car_is("car1", KNOWN)
        self.car_is("car2", PLC)

    def down(self) -> None:
        for program in self.programs:
            program.stop()
        for namespace in (self.host, self.car, self.net):
            run("ip", "netns", "del", namespace, check=False)

    def inside(
        self, namespace: str, *words: str, check: bool = True, timeout_s: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", namespace, *words, check=check, timeout_s=timeout_s)

    def car_is(self, interface: str, mac: str) -> None:
        """Another vehicle is plugged in: its modem's address, and the link-local address that follows from it."""
        self.inside(self.car, "ip", "link", "set", interface, "down")
        self.inside(self.car, "ip", "link", "set", interface, "address", mac)
        self.inside(self.car, "ip", "link", "set", interface, "up")
        for _ in range(100):
            shown = self.inside(self.car, "ip", "-6", "address", "show", "dev", interface, "scope", "link").stdout
            if "fe80" in shown and "tentative" not in shown:
                break
            time.sleep(0.05)
        if interface == "car1":
            self.inside(self.car, "ip", "route", "replace", "10.9.0.0/24", "via", "10.8.0.1")

    def write(self, **changes: Any) -> None:
        """The configuration: what is always there, with ``changes`` in its section firewall."""
        main = two_evses(
            firewall={
                "operators": [{"addresses": [OPERATOR], "ports": [SSH]}],
                "utility": [{"addresses": ["10.9.0.16/29"], "ports": [METRICS], "interface": "eth0"}],
                "evse_macs": {"US*V2G*E1": [KNOWN.replace(":", "-").upper()]},
                "plc_interfaces": ["evse2"],
                "state_dir": str(self.folder / "state"),
                **changes,
            }
        )
        main["paths"] = {"run_dir": str(self.folder / "run")}
        for evse, port in zip(main["evses"], EVSE_PORTS.values(), strict=True):
            evse["tcp_port"] = port
        main["evses"][0]["inverter"]["modbus"]["host"] = LISTED
        if self.config.exists():
            (self.config / "v2g.yaml").write_text(json.dumps(main))
        else:
            write_config(self.config, main)

    def tool(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``v2g-tool firewall`` on the host."""
        return self.inside(self.host, *self.command(*words), check=False)

    def command(self, *words: str) -> tuple[str, ...]:
        return (str(Path(sys.executable).parent / "v2g-tool"), "firewall", *words, "--config", str(self.config))

    def apply(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = self.tool("apply", *(words or ("--no-confirm",)))
        assert done.returncode == 0, done.stderr
        return done

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.tool("status", "--json").stdout)
        return found

    def packets(self, words: str) -> int:
        """What the rule with these words in its comment has counted."""
        return sum(one["packets"] for one in self.status()["counters"] if words in one["words"])

    def table(self) -> str:
        return self.inside(self.host, "nft", "-s", "list", "table", "inet", "v2g", check=False).stdout

    def link_local(self, interface: str) -> str:
        shown = self.inside(self.host, "ip", "-6", "-o", "address", "show", "dev", interface, "scope", "link").stdout
        return shown.split("inet6 ")[1].split("/")[0]

    def probe(self, namespace: str, *words: str, timeout_s: float = 30.0) -> str:
        python = (sys.executable, "-m", "support.firewall_probe")
        done = self.inside(namespace, *python, *words, timeout_s=timeout_s)
        return done.stdout.split()[-1]

    def hold(self, namespace: str, host: str, port: int, seconds: float, source: str = "") -> Program:
        """An echo every 50 ms over one connection, which is open when this returns."""
        return self._held(namespace, "hold", host, port, seconds, source)

    def ask(self, interface: str, seconds: float) -> Program:
        """SDP by unicast from the car, again and again from one port; it was answered when this returns."""
        evse = interface.replace("car", "evse")
        return self._held(self.car, "ask", self.link_local(evse), 15118, interface, seconds)

    def _held(self, namespace: str, *what: object) -> Program:
        words = ("ip", "netns", "exec", namespace, sys.executable, "-m", "support.firewall_probe")
        log = self.folder / f"hold-{len(self.programs)}.log"
        program = Program([*words, *what], log)
        self.programs.append(program)
        wait_until(lambda: "held" in program.log, "the connection", lambda: program.log)
        return program

    def iso15118(self, interface: str) -> str:
        """TCP to the SECC of the link that ``interface`` of the car is on."""
        evse = interface.replace("car", "evse")
        return self.probe(self.car, "connect", f"{self.link_local(evse)}%{interface}", str(EVSE_PORTS[evse]))

    def serve(self, namespace: str, *places: str) -> None:
        log = self.folder / f"serve-{len(self.programs)}.log"
        words: Sequence[object] = ("ip", "netns", "exec", namespace, sys.executable, "-m", "support.firewall_probe")
        program = Program([*words, "serve", *places], log)
        self.programs.append(program)
        wait_until(lambda: "ready" in program.log, "the server")

    def station(self) -> Ours:
        station = our_program("support.firewall_station", self.host, self.folder / "station.log", {"ports": EVSE_PORTS})
        self.programs.append(station)
        wait_until(lambda: bool(station.all("Listening")), "the station", lambda: station.log)
        return station

    def vehicle(self, interface: str, turns: int) -> Ours:
        job = {"interface": interface, "service": "DC_BPT", "mode": "DYNAMIC", "turns": turns}
        log = self.folder / f"vehicle-{len(self.programs)}.log"
        vehicle = our_program("support.stack_vehicle", self.car, log, job)
        self.programs.append(vehicle)
        return vehicle


def wait_until(
    condition: Callable[[], bool], what: str, explain: Callable[[], str] = lambda: "", timeout_s: float = 20.0
) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s:g} s for {what}\n{explain()}"
        time.sleep(0.05)
