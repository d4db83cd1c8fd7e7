"""What the live view asks and is told, and what it shows while the daemon does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from support.status_example import example_status
from support.watch_example import course, thermal
from v2g.cli.watch_poll import RETRY_S, SELDOM_S, Poller, Source, as_builtins
from v2g.clock import ManualClock
from v2g.control.client import CallRefused, DaemonNotReachable
from v2g.control.messages_mesh import MeshResult
from v2g.control.messages_topics import EVERYTHING

STATUS = msgspec.to_builtins(example_status())
COLDER = msgspec.to_builtins(thermal(hot_spot_c=50.0))
LOST = DaemonNotReachable("nobody answers at /run/v2g/control.sock")


class Client:
    """A control client whose daemon says what it is told to, or fails so."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.closed = False

    def call(self, method: str) -> dict[str, Any]:
        self.daemon.asked.append(method)
        answer = self.daemon.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def told(self, topics: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        self.daemon.asked.append("subscribe")
        assert tuple(topics) == EVERYTHING
        for item in self.daemon.notifications:
            if isinstance(item, Exception):
                raise item
            self.daemon.clock.advance(1.0)
            yield item

    def close(self) -> None:
        self.closed = True


class Daemon:
    def __init__(self, *notifications: Any) -> None:
        self.asked: list[str] = []
        self.clients: list[Client] = []
        self.clock = ManualClock(monotonic_s=50.0)
        self.skew = ""
        self.notifications = notifications
        self.answers: dict[str, Any] = {
            "status": STATUS,
            "thermal": msgspec.to_builtins(thermal()),
            "thermal.course": msgspec.to_builtins(course()),
            "mesh.show": msgspec.to_builtins(MeshResult(problem="there is no mesh")),
        }

    def connect(self, on_skew: Callable[[str], None]) -> Any:
        self.clients.append(Client(self))
        if self.skew:
            on_skew(self.skew)
        return self.clients[-1]

    @property
    def source(self) -> Source:
        return Source(self.connect, self.clock, lambda: f"at {self.clock.monotonic_s():g}")


def test_a_snapshot_has_status_temperatures_course_and_mesh() -> None:
    daemon = Daemon()
    taken = daemon.source.ask()
    assert (taken.status, taken.thermal, taken.course) == (example_status(), thermal(), course())
    assert (taken.mesh, taken.taken_s, taken.time_of_day, taken.problem) == (
        MeshResult(problem="there is no mesh"), 50.0, "at 50", "",
    )  # fmt: skip
    assert as_builtins(taken)["course"]["past"][0]["ago_s"] == 1800.0


def test_it_asks_once_and_is_told_then() -> None:
    colder = ("thermal", COLDER)
    daemon = Daemon(("status", STATUS), colder, ("from the future", {}), ("status", {**STATUS, "ready": False}), LOST)
    source = daemon.source
    seen = []
    poller = Poller(source, source.ask(), lambda: seen.append(poller.snapshot))
    assert poller.listen() == RETRY_S
    assert daemon.asked == ["status", "thermal", "thermal.course", "mesh.show", "subscribe"]
    assert [shown.taken_s for shown in seen] == [51.0, 54.0, 54.0]
    assert [shown.status.ready for shown in seen] == [True, False, False]
    assert seen[0].thermal == thermal()
    assert seen[1].thermal is not None
    assert seen[1].thermal.hot_spot_c == 50.0


def test_a_lost_daemon_keeps_what_was_last_known_and_is_found_again() -> None:
    daemon = Daemon(("status", STATUS), LOST)
    source = daemon.source
    poller = Poller(source, source.ask())
    poller.listen()
    assert poller.snapshot.problem == str(LOST)
    assert (poller.snapshot.taken_s, poller.snapshot.status) == (51.0, example_status())
    assert daemon.clients[0].closed
    daemon.answers["status"] = DaemonNotReachable("still nobody")
    assert poller.listen() == RETRY_S
    assert (poller.snapshot.problem, poller.snapshot.taken_s) == ("still nobody", 51.0)
    daemon.answers["status"], daemon.notifications = STATUS, ()
    daemon.clock.advance(9.0)
    poller.listen()
    assert (poller.snapshot.problem, poller.snapshot.taken_s) == ("", 60.0)


def test_a_daemon_of_another_version_is_shown_as_far_as_it_answers() -> None:
    daemon = Daemon(CallRefused("subscribe: unknown field topics", "INVALID_PARAMS"))
    daemon.answers["thermal.course"] = CallRefused("unknown method", "METHOD_NOT_FOUND")
    daemon.answers["status"] = {**STATUS, "from_the_future": 1}
    source = daemon.source
    poller = Poller(source, source.ask())
    daemon.clock.advance(7.0)
    assert poller.listen() == SELDOM_S
    assert (poller.snapshot.course, poller.snapshot.thermal, poller.snapshot.taken_s) == (None, thermal(), 57.0)
    assert poller.snapshot.stale_after_s > SELDOM_S


def test_a_daemon_of_another_version_is_named_until_it_is_restarted() -> None:
    daemon = Daemon()
    daemon.skew = "watch 2 speaks with v2g-orchestrator 1"
    source = daemon.source
    assert source.ask().notes == ("watch 2 speaks with v2g-orchestrator 1",)
    source.close()
    daemon.skew = ""
    assert source.ask().notes == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(("status", {"site": 5}), "does not understand"), (ValueError("something else"), "ValueError: something else")],
)
def test_what_is_not_understood_is_said_and_not_shown(wrong: Any, words: str) -> None:
    daemon = Daemon(wrong)
    source = daemon.source
    poller = Poller(source, source.ask())
    poller.listen()
    assert words in poller.snapshot.problem
    assert poller.snapshot.status == example_status()
    assert daemon.clients[0].closed
