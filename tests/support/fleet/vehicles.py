"""The load generator's process: ``python -m support.fleet.vehicles FOLDER PERIOD_S [echo]``; questions on stdin.

    connect  ports, over_s, group      so many vehicles, spread over ``over_s``; answered when all are in the loop
    measure  seconds                   figures of the window that begins now
    rush     turns                     the loop as fast as the station answers, until so many turns are done
    churn    ports, sessions, parallel so many connections one after another, each ended in another way
    align                              all schedules to one moment, the worst they can do together
    leave                              everybody closes
    state                              who is there, and why others left

All in one thread without asyncio: the poll, a heap of what is due, and what is due goes first.
"""

from __future__ import annotations

import heapq
import random
import select
import ssl
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyiso15118.security import TlsProfile, client_context
from support.fleet import parts
from support.fleet.channel import Questions, tell, usage
from support.fleet.vehicle import Vehicle

clock = time.monotonic

ENDINGS = ("session", "tcp", "", "tls")
"""How a connection of ``churn`` ends: in the loop without a word, before or after TLS, and with SessionStop."""


def quantile(values: array[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


class Window:
    """What is counted from now on."""

    def __init__(self) -> None:
        self.began_at = clock()
        self.cpu_s = usage()["cpu_s"]
        self.took = array("d")
        self.late = array("d")
        self.late_max_s = 0.0
        """Of anything that was due, not of requests alone."""
        self.timeouts = 0

    def figures(self) -> dict[str, float]:
        return {
            "seconds": clock() - self.began_at,
            "turns": len(self.took),
            "median_ms": quantile(self.took, 0.5) * 1e3,
            "p99_ms": quantile(self.took, 0.99) * 1e3,
            "max_ms": max(self.took, default=0.0) * 1e3,
            "late_p99_ms": quantile(self.late, 0.99) * 1e3,
            "late_max_ms": self.late_max_s * 1e3,
            "timeouts": self.timeouts,
            "generator_cpu_s": usage()["cpu_s"] - self.cpu_s,
        }


class Group:
    """Vehicles that were told to connect together."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.began_at = clock()
        self.in_loop = 0
        self.lost: Counter[str] = Counter()

    @property
    def complete(self) -> bool:
        return self.in_loop + self.lost.total() >= self.wanted


class Churn:
    """Connections one after another on ports in turn; a port that was just left rests meanwhile."""

    def __init__(self, fleet: Fleet, ports: list[int], sessions: int) -> None:
        self._fleet = fleet
        self._free = deque(ports)
        self._begun = self._over = 0
        self._sessions = sessions

    @property
    def done(self) -> bool:
        return self._over >= self._sessions

    def begin_next(self) -> None:
        if self._begun < self._sessions:
            quits = ENDINGS[self._begun % len(ENDINGS)]
            self._begun += 1
            self._fleet.add(self._free.popleft(), loops=2, quits=quits)

    def over(self, port: int) -> None:
        self._over += 1
        self._free.append(port)
        self._fleet.at(clock(), self.begin_next)


class Fleet:
    def __init__(self, context: ssl.SSLContext, period_s: float, echo: tuple[bytes, int] | None) -> None:
        self.period_s = period_s
        self.echo = echo
        self._context = context
        self._poll = select.epoll()
        self._by_fd: dict[int, Vehicle] = {}
        self._agenda: list[tuple[float, int, Vehicle | Callable[[], None]]] = []
        self._count = 0
        self._groups: dict[str, Group] = {}
        self._waiting: list[tuple[Callable[[], bool], Callable[[], None]]] = []
        self._window = Window()
        self._rush_left = 0
        self._reasons: Counter[str] = Counter()
        self._churn: Churn | None = None
        self._random = random.Random(1)
        self._questions = Questions()
        self._poll.register(self._questions.fd, select.EPOLLIN)

    # ---- for the vehicles ----

    def phase(self) -> float:
        """Where in the period a vehicle's schedule lies."""
        return self._random.random()

    def at(self, when: float, what: Vehicle | Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._agenda, (when, self._count, what))

    def in_loop(self, vehicle: Vehicle, now: float) -> None:
        self._poll.modify(vehicle.sock, select.EPOLLIN)
        if vehicle.group:
            self._groups[vehicle.group].in_loop += 1

    def sent(self, vehicle: Vehicle, late_s: float | None) -> None:
        if late_s is not None:
            self._window.late.append(late_s)

    def answered(self, vehicle: Vehicle, took_s: float, now: float) -> bool:
        """Whether the vehicle is to ask again at once."""
        self._window.took.append(took_s)
        self._rush_left -= 1
        return self._rush_left > 0

    def timed_out(self, vehicle: Vehicle) -> None:
        self._window.timeouts += 1

    def over(self, vehicle: Vehicle, why: str) -> None:
        self._by_fd.pop(vehicle.fd, None)
        self._reasons[why] += 1
        if vehicle.group:
            self._groups[vehicle.group].lost[why] += 1
        elif self._churn is not None:
            self._churn.over(vehicle.port)

    # ---- the loop ----

    def run(self) -> None:
        while not self._questions.closed:
            self._do_what_is_due()
            pause_s = max(0.0, self._agenda[0][0] - clock()) if self._agenda else 1.0
            others = []
            for fd, _ in self._poll.poll(min(pause_s, 1.0), 4096):
                vehicle = self._by_fd.get(fd)
                if vehicle is not None and vehicle.request:
                    vehicle.readable(clock())
                    self._do_what_is_due()
                else:
                    others.append(fd)
            # One at a time: a handshake is dear, and answers of those in the loop must not wait for it to be timed.
            if others:
                self._serve_other(others[0])
            for wait in [w for w in self._waiting if w[0]()]:
                self._waiting.remove(wait)
                wait[1]()

    def _serve_other(self, fd: int) -> None:
        if fd == self._questions.fd:
            for question in self._questions.read():
                getattr(self, f"do_{question.pop('do')}")(**question)
        elif (vehicle := self._by_fd.get(fd)) is None:
            return
        elif vehicle.connected:
            vehicle.readable(clock())
        else:
            vehicle.writable(clock())
            if not vehicle.closed:
                self._poll.modify(fd, select.EPOLLIN)

    def _do_what_is_due(self) -> None:
        agenda = self._agenda
        while agenda and agenda[0][0] <= (now := clock()):
            when, _, what = heapq.heappop(agenda)
            self._window.late_max_s = max(self._window.late_max_s, now - when)
            if not isinstance(what, Vehicle):
                what()
            elif what.wake_at == when:
                what.wake(now)

    # ---- questions ----

    def do_connect(self, ports: list[int], over_s: float, group: str) -> None:
        joined = self._groups[group] = Group(len(ports))
        now = clock()
        for number, port in enumerate(ports):
            self.at(now + over_s * number / len(ports), lambda port=port: self.add(port, group))  # type: ignore[misc]

        def done() -> None:
            tell(in_loop=joined.in_loop, seconds=clock() - joined.began_at, lost=dict(joined.lost))

        self._waiting.append((lambda: joined.complete, done))

    def do_measure(self, seconds: float) -> None:
        window = self._window = Window()
        self.at(clock() + seconds, lambda: tell(**window.figures()))

    def do_rush(self, turns: int) -> None:
        window = self._window = Window()
        self._rush_left = turns
        self._waiting.append((lambda: self._rush_left <= 0, lambda: tell(**window.figures())))

    def do_churn(self, ports: list[int], sessions: int, parallel: int) -> None:
        self._reasons.clear()
        churn = self._churn = Churn(self, ports, sessions)
        for _ in range(parallel):
            churn.begin_next()
        window = self._window = Window()
        self._waiting.append((lambda: churn.done, lambda: tell(reasons=dict(self._reasons), **window.figures())))

    def do_align(self) -> None:
        at = clock() + 0.4 * self.period_s
        for vehicle in self._by_fd.values():
            vehicle.reschedule(at)
        tell(aligned=len(self._by_fd))

    def do_leave(self) -> None:
        vehicles = list(self._by_fd.values())
        wrong = sum(1 for v in vehicles if v.last_response and not self._is_good(v.last_response))
        for vehicle in vehicles:
            vehicle.close("left")
        tell(left=len(vehicles), wrong=wrong)

    def do_state(self) -> None:
        groups = {name: {"in_loop": g.in_loop, "lost": dict(g.lost)} for name, g in self._groups.items()}
        tell(
            **usage(),
            vehicles=len(self._by_fd),
            reasons=dict(self._reasons),
            groups=groups,
        )

    # ---- within ----

    def _is_good(self, response: bytes) -> bool:
        return self.echo is not None or parts.is_good_response(response)

    def add(self, port: int, group: str = "", **how: Any) -> None:
        vehicle = Vehicle(self, port, self._context, group, **how)
        self._by_fd[vehicle.sock.fileno()] = vehicle
        self._poll.register(vehicle.sock, select.EPOLLOUT)


def main() -> None:
    folder, period_s = Path(sys.argv[1]), float(sys.argv[2])
    context = client_context(TlsProfile.STRICT, folder / "vehicle.pem", folder / "vehicle.key", [folder / "v2g.pem"])
    parts.prepare()
    echo = None
    if "echo" in sys.argv[3:]:
        bench = parts.TurnBench()
        echo = bench.request, len(bench.response)
    tell(ready=True)
    Fleet(context, period_s, echo).run()


if __name__ == "__main__":
    main()
