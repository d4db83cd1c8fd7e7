"""A station and its vehicles, each a process on a core of its own."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from pyiso15118.security import Curve, Pki, openssl_conf_path, write_credential, write_trust_anchor

TESTS = Path(__file__).resolve().parents[2]
NICE = -15
"""Of both processes, where that is permitted: what else the machine does is not to be measured."""


def write_pki(folder: Path) -> None:
    """Credentials of profile strict, for both sides."""
    pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1), curve=Curve.SECP521R1)
    write_credential(pki.secc("US*V2G*E1"), folder, "secc")
    write_credential(pki.vehicle("WMIV1234567890ABCDEX"), folder, "vehicle")
    write_trust_anchor(pki.v2g_root, folder, "v2g")
    write_trust_anchor(pki.oem_root, folder, "oem")


def cores() -> tuple[int, int]:
    """For the station and for the vehicles: two where there are two."""
    found = sorted(os.sched_getaffinity(0))
    return found[0], found[-1]


def core_busy_s(core: int) -> float:
    """Time a core has worked for anybody since the machine started."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, *rest = map(int, ticks[:8])
            return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
    raise RuntimeError(f"/proc/stat has no cpu{core}")


def prefer(pid: int) -> None:
    """Before whatever else the machine does, as far as that is permitted; also where the kernel groups by session."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICE))


class Child:
    """A process of a fleet that answers a question with one line."""

    def __init__(self, module: str, *arguments: str, core: int) -> None:
        self._module = module
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(TESTS), *(p for p in sys.path if p)]),
            "OPENSSL_CONF": str(openssl_conf_path()),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, start_new_session=True,
        )  # fmt: skip
        os.sched_setaffinity(self._process.pid, {core})
        prefer(self._process.pid)
        self.first = self.read()

    def read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, **question: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def ask(self, **question: Any) -> dict[str, Any]:
        self.tell(**question)
        return self.read()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Hogs:
    """So many idle loops beside the station, of its own rank: it gets one part in ``count + 1`` of its core."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> None:
        for _ in range(self._count):
            hog = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
            os.sched_setaffinity(hog.pid, {cores()[0]})
            prefer(hog.pid)
            self._processes.append(hog)

    def __exit__(self, *_: object) -> None:
        for hog in self._processes:
            hog.kill()
            hog.wait()


class Run:
    """``with Run(folder, 500) as run``: the station on the first core, its vehicles on the last."""

    def __init__(
        self, folder: Path, evses: int, *, period_s: float = 0.25, echo: bool = False, extra: tuple[str, ...] = ()
    ) -> None:
        self._folder = folder
        self._evses = evses
        self._period_s = period_s
        self._extra = (*extra, *(("echo",) if echo else ()))

    def __enter__(self) -> Run:
        first, last = cores()
        folder = str(self._folder)
        self.station = Child("support.fleet.station", folder, str(self._evses), *self._extra, core=first)
        self.ports: list[int] = self.station.first["ports"]
        try:
            self.vehicles = Child("support.fleet.vehicles", folder, str(self._period_s), *self._extra, core=last)
        except BaseException:
            self.station.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.vehicles.close()
        self.station.close()

    def usage(self, *, collect: bool = False) -> dict[str, Any]:
        """The station's, and what it knows of its sessions; with ``collect`` once its garbage is gone."""
        return self.station.ask(do="usage", collect=collect)

    def connect(self, first: int, count: int, over_s: float, group: str) -> dict[str, Any]:
        """So many vehicles from the ``first`` port on; returns when all are in the loop, or lost."""
        return self.vehicles.ask(do="connect", ports=self.ports[first : first + count], over_s=over_s, group=group)

    def measure(self, seconds: float) -> dict[str, Any]:
        """Figures of the vehicles' window with the station's processor time in it."""
        before, core_before_s = self.usage(), core_busy_s(cores()[0])
        figures = self.vehicles.ask(do="measure", seconds=seconds)
        after, core_after_s = self.usage(), core_busy_s(cores()[0])
        cpu_s = after["cpu_s"] - before["cpu_s"]
        return figures | {
            "cpu_share": cpu_s / figures["seconds"],
            "others_share": max(0.0, core_after_s - core_before_s - cpu_s) / figures["seconds"],
            "cpu_us_a_turn": cpu_s / max(1, after["turns"] - before["turns"]) * 1e6,
            "rss_kb": after["rss_kb"],
            "ends": after["ends"],
        }
