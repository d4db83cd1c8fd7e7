"""The whole simulation as a subprocess: its commands, its processes, its plant; and what was measured, as a table."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import ModbusTcpClient

from v2g.control.client import ControlClient
from v2g.simulation.plant_client import PlantClient, PlantNotReachable
from v2g.simulation.plant_protocol import ChargerMeasurement, Measurement
from v2g.simulation.vehicle_config import VehicleState, read_state

BIN = Path(sys.executable).parent
REPORT = Path(__file__).parents[1] / "bench" / "report_shows.md"
NO_POWER_W = 100.0
"""Below this nothing flows; the plant notes the last moment above it."""


class Simulation:
    """One ``v2g-orchestrator --simulate`` of our own, in a directory of its own.

    ``environment``: what its processes and commands have besides ours. ``auto``: vehicles without an order do what
    ``auto`` makes of them; otherwise they rest, so that all power is an order's. ``plc``: they are matched over the
    powerline first, as by default; without, a show is about what comes behind it.
    """

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        auto: bool = False,
        plc: bool = False,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="v2g-soak-"))
        if not plc:
            arguments = (*arguments, "--no-plc")
        if not auto:
            resting = self.folder / "orders-only.yaml"
            resting.write_text("dispatch: {default_mode: idle}\n")
            arguments = (*arguments, "--overlay", str(resting))
        self.run_dir = self.folder / "run"
        self._output = self.folder / "output"
        self._environment = {**os.environ, **(environment or {})}
        self._plant: PlantClient | None = None
        self._control: ControlClient | None = None
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [BIN / "v2g-orchestrator", "--simulate", "--run-dir", self.run_dir, *arguments],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    # ---- what it says ---------------------------------------------------------------------------------------------

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def log(self, name: str) -> str:
        path = self.run_dir / "log" / name
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for(self, what: str, condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
        """What ``condition`` gave; fails with what everybody said."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            if self.process.poll() is not None:
                pytest.fail(f"the simulation ended with {self.process.returncode} before: {what}\n{self.output}")
            with contextlib.suppress(PlantNotReachable):
                if got := condition():
                    return got
            time.sleep(0.05)
        said = "\n".join(f"-- {name}\n{self.log(name)[-2500:]}" for name in ("comms.log", "power_quality.log"))
        status = self.command("v2g-tool", "status")
        pytest.fail(
            f"not within {timeout_s:g} s: {what}\n{self.output[-4000:]}\n{said}\n{status.stdout}{status.stderr}"
        )

    # ---- its commands ---------------------------------------------------------------------------------------------

    def command(self, program: str, *arguments: str, timeout_s: float = 20.0) -> subprocess.CompletedProcess[str]:
        """A command of the package, as a person at a shell gives it."""
        return subprocess.run(
            [BIN / program, *arguments],
            env={**self._environment, "V2G_SOCKET": str(self.run_dir / "control.sock")},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """Empty while the daemon does not answer."""
        answer = self.command("v2g-control", "status", "--json")
        return json.loads(answer.stdout) if answer.returncode == 0 else {}

    def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """By a connection of ours that stays open: no process a call, for what is asked every second."""
        if self._control is None:
            self._control = ControlClient(self.run_dir / "control.sock", name="show")
        return self._control.call(method, params)

    def evse(self, evse_id: str) -> dict[str, Any]:
        return next((e for e in self.status().get("evses", ()) if e["evse_id"] == evse_id), {})

    def dispatch(self, power: str, mode: str = "discharge") -> str:
        """The only standing order from now on. What the command printed."""
        self.command("v2g-control", "cancel", "--yes")
        answer = self.command("v2g-control", "--dispatch", f"--mode={mode}", f"--power={power}")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def charge_loops(self, *numbers: int) -> bool:
        """The daemon has the vehicles at all EVSEs (or at these) in their charge loops, and energy is permitted."""
        status = self.status()
        if not status or not status["ready"] or status["guard"]["permit"] != "granted":
            return False
        wanted = {f"US*V2G*E{number}" for number in numbers}
        evses = [evse for evse in status["evses"] if not wanted or evse["evse_id"] in wanted]
        return all(evse["session"] and evse["session"]["state"] in ("charging", "discharging") for evse in evses)

    def steady(self, total_w: float) -> bool:
        return abs(self.measure().ac_w - total_w) <= 0.02 * abs(total_w)

    # ---- its plant ------------------------------------------------------------------------------------------------

    def ask(self, **request: Any) -> dict[str, Any]:
        """Raises PlantNotReachable."""
        if self._plant is None:
            self._plant = PlantClient(self.run_dir / "plant.sock")
        try:
            return self._plant.ask(**request)
        except PlantNotReachable:
            self._plant = None
            raise

    def measure(self) -> Measurement:
        if self._plant is None:
            self._plant = PlantClient(self.run_dir / "plant.sock")
        try:
            return self._plant.measure()
        except PlantNotReachable:
            self._plant = None
            raise

    def charger(self, evse_id: str) -> ChargerMeasurement:
        return self.measure().chargers[evse_id]

    def fault(self, fault: str, **fields: Any) -> None:
        self.ask(do="fault", fault=fault, **fields)

    def clear(self) -> None:
        self.ask(do="clear")

    def no_power(self) -> bool:
        return all(abs(charger.ac_w) < NO_POWER_W for charger in self.measure().chargers.values())

    def last_power_at_s(self) -> float:
        return max(charger.last_power_at_s or 0.0 for charger in self.measure().chargers.values())

    def inverter_ports(self) -> list[int]:
        return [evse["inverter_port"] for evse in json.loads((self.run_dir / "plant.json").read_text())["evses"]]

    def vehicles(self) -> list[VehicleState]:
        """What the vehicles' own processes last wrote of themselves."""
        states = (read_state(p) for p in sorted((self.run_dir / "vehicles").glob("SIMEV*[0-9].json")))
        return [state for state in states if state is not None]

    # ---- its processes --------------------------------------------------------------------------------------------

    def pids(self) -> dict[str, int]:
        """The supervisor's children, by their command line: ``plant``, ``tick``, ``wires``, ``vehicle 1`` ..."""
        found = {}
        for pid, parent, words in _processes():
            if parent == self.process.pid and (name := _role(words)):
                found[name] = pid
        return found

    def own_pids(self) -> list[int]:
        """Every live process that has our run directory on its command line."""
        return [pid for pid, _, words in _processes() if any(str(self.run_dir) in word for word in words)]

    @contextlib.contextmanager
    def stopped(self, *names: str) -> Iterator[None]:
        """SIGSTOP for these children, or for the supervisor: nobody is restarted meanwhile."""
        pids = [self.process.pid if name == "supervisor" else self.pids()[name] for name in names]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            # Children first: a supervisor that wakes up before them would take them for dead.
            for pid in reversed(pids):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def end(self) -> tuple[int | None, list[int]]:
        """SIGTERM, and killed if need be. Its exit code (None: it had to be killed), and what it had left running."""
        if self._plant is not None:
            self._plant.close()
        if self._control is not None:
            self._control.close()
        if self.process.poll() is None:
            for pid in (*self.own_pids(), self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.process.wait(30)
        left = self.own_pids() if code is not None else []
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)
        for pid in self.own_pids():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        return code, left

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _processes() -> Iterator[tuple[int, int, list[str]]]:
    """Pid, parent and command line of all that live."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except (OSError, IndexError, ValueError):
            continue
        if state != "Z":
            yield int(folder.name), int(parent), words


def _role(words: list[str]) -> str | None:
    if "v2g.cli.guard" in words:
        return words[words.index("v2g.cli.guard") + 1]
    if "v2g.simulation.vehicle" in words and (number := re.search(r"SIMEV0*(\d+)\.config\.json$", words[-1])):
        return f"vehicle {number[1]}"
    return next(
        (
            name
            for module, name in (
                ("v2g.simulation.plant", "plant"),
                ("v2g.simulation.powerline", "powerline"),
                ("v2g.cli.kplc_driver", "kplc-driver"),
                ("v2g.cli.orchestrator", "orchestrator"),
            )
            if module in words
        ),
        None,
    )


@pytest.fixture(scope="module")
def simulate() -> Iterator[Callable[..., Simulation]]:
    """Starts simulations; at the end of the module each must end by itself on SIGTERM and leave nothing."""
    made: list[Simulation] = []

    def start(*arguments: str, **settings: Any) -> Simulation:
        made.append(Simulation(*arguments, **settings))
        return made[-1]

    yield start
    unclean = []
    for simulation in made:
        finished = simulation.process.poll() is not None
        code, left = simulation.end()
        if left or (not finished and code != 0):
            unclean.append(f"exit code {code}, left running {left}\n{simulation.output[-2000:]}")
        simulation.remove()
    assert not unclean, "\n".join(unclean)


@pytest.fixture(scope="session")
def read_ac_w() -> Callable[[int], float]:
    """Watts at an inverter's AC terminals, positive: injected, by a Modbus client that shares nothing with ours."""

    def registers(client: ModbusTcpClient, address: int, count: int) -> list[int]:
        answer = client.read_holding_registers(address, count=count, device_id=1)
        assert not answer.isError(), answer
        return list(answer.registers)

    def signed(word: int) -> int:
        return word - 0x10000 if word & 0x8000 else word

    def read(port: int) -> float:
        with ModbusTcpClient("127.0.0.1", port=port, timeout=2.0) as client:
            assert registers(client, 40000, 2) == [0x5375, 0x6E53], "no SunS at 40000"
            address = 40002
            while True:
                model, length = registers(client, address, 2)
                assert model != 0xFFFF, "no SunSpec model 701"
                if model == 701:
                    break
                address += 2 + length
            # SunSpec model 701, DER AC measurement: W is its point at offset 10, W_SF at 116.
            (power,), (exponent,) = registers(client, address + 10, 1), registers(client, address + 116, 1)
            return float(signed(power) * 10.0 ** signed(exponent))

    return read


# ---- figures --------------------------------------------------------------------------------------------------------


@dataclass
class Figures:
    """What was measured, for people and for the report: figure -> limit and values."""

    rows: dict[str, tuple[str, list[float]]] = field(default_factory=dict)

    def add(self, figure: str, limit: str, value: float) -> None:
        self.rows.setdefault(figure, (limit, []))[1].append(value)

    def table(self, known: Mapping[str, str] | None = None) -> list[str]:
        """One line a figure; ``known`` are lines of figures that were not measured this time."""
        lines = dict(known or {})
        for figure, (limit, values) in self.rows.items():
            low, middle, high = min(values), statistics.median(values), max(values)
            lines[figure] = f"| {figure} | {limit} | {low:.3f} | {middle:.3f} | {high:.3f} | {len(values)} |"
        head = ["| figure | limit | min | median | max | runs |", "|---|---|---|---|---|---|"]
        return [*head, *(lines[figure] for figure in sorted(lines))]


_FIGURES = Figures()


@pytest.fixture(scope="session")
def figures() -> Iterator[Figures]:
    yield _FIGURES
    if not _FIGURES.rows:
        return
    known = {}
    if REPORT.exists():
        for line in REPORT.read_text(encoding="utf-8").splitlines():
            if line.startswith("| ") and not line.startswith("| figure "):
                known[line.split("|")[1].strip()] = line
    head = "# The whole simulation: what was measured\n\nBy `pytest -m soak tests/simulation`.\n\n"
    with contextlib.suppress(OSError):
        REPORT.write_text(head + "\n".join(_FIGURES.table(known)) + "\n", encoding="utf-8")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _FIGURES.rows:
        terminalreporter.section("figures")
        for line in _FIGURES.table():
            terminalreporter.write_line(line)
