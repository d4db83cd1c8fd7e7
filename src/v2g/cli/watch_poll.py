"""Listens to the daemon for the live view, in a thread of its own: a daemon that hangs freezes no screen.

It asks once and subscribes then, since each question is a line of the daemon's audit log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec

from v2g.cli.watch_frame import Snapshot
from v2g.clock import Clock
from v2g.control.client import CallRefused, ControlClient, ControlError
from v2g.control.messages import StatusResult, ThermalResult
from v2g.control.messages_course import CourseResult
from v2g.control.messages_mesh import MeshResult
from v2g.control.messages_topics import EVERYTHING

_T = TypeVar("_T")

RETRY_S: Final = 1.0
SELDOM_S: Final = 5.0
"""So often a daemon is asked that cannot be subscribed to like this."""
_PATIENCE_S: Final = 3.5
_OTHER_VERSION: Final = "the daemon gave an answer that this version of the command does not understand"

Connect = Callable[[Callable[[str], None]], ControlClient]
"""Makes a client that tells what it is given of a daemon of another version."""


class Source:
    """The daemon's words as snapshots. Connects anew after an error; not for several threads."""

    def __init__(self, connect: Connect, clock: Clock, time_of_day: Callable[[], str]) -> None:
        self._connect = connect
        self._clock = clock
        self._time_of_day = time_of_day
        self._client: ControlClient | None = None
        self._notes: tuple[str, ...] = ()

    def ask(self) -> Snapshot:
        """Raises :class:`ControlError`."""
        with _Understood(self):
            client = self._connected()
            status = msgspec.convert(client.call("status"), StatusResult)
            return Snapshot(
                status=status,
                thermal=_optional(client, "thermal", ThermalResult),
                course=_optional(client, "thermal.course", CourseResult),
                mesh=_optional(client, "mesh.show", MeshResult),
                notes=self._notes,
                taken_s=self._clock.monotonic_s(),
                time_of_day=self._time_of_day(),
                stale_after_s=_PATIENCE_S,
            )

    def follow(self, first: Snapshot) -> Iterator[Snapshot]:
        """What is newer than ``first``, as it comes. Raises :class:`ControlError`, :class:`CallRefused` where the
        daemon cannot be subscribed to."""
        now = first
        with _Understood(self):
            for topic, payload in self._connected().told(EVERYTHING):
                now = self._with(now, topic, payload)
                if topic == "status":
                    yield now

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> ControlClient:
        if self._client is None:
            self._notes = ()
            self._client = self._connect(self._note)
        return self._client

    def _note(self, words: str) -> None:
        self._notes = (words,)

    def _with(self, now: Snapshot, topic: str, payload: dict[str, Any]) -> Snapshot:
        if topic == "status":
            return replace(
                now,
                status=msgspec.convert(payload, StatusResult),
                taken_s=self._clock.monotonic_s(),
                time_of_day=self._time_of_day(),
            )
        if topic == "thermal":
            return replace(now, thermal=msgspec.convert(payload, ThermalResult))
        if topic == "thermal.course":
            return replace(now, course=msgspec.convert(payload, CourseResult))
        if topic == "mesh.show":
            return replace(now, mesh=msgspec.convert(payload, MeshResult))
        return now


class _Understood:
    """What goes wrong closes the connection, and is a :class:`ControlError`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None or isinstance(error, GeneratorExit):
            return
        self._source.close()
        if isinstance(error, msgspec.ValidationError):
            raise ControlError(f"{_OTHER_VERSION}: {error}") from None


def _optional(client: ControlClient, method: str, kind: type[_T]) -> _T | None:
    """None where the daemon has no such method: one of another version."""
    try:
        return msgspec.convert(client.call(method), kind)
    except CallRefused:
        return None


class Poller:
    """Keeps :attr:`snapshot` new, or saying since when there is none newer and why."""

    def __init__(self, source: Source, first: Snapshot, on_news: Callable[[], None] = lambda: None) -> None:
        self._source = source
        self._on_news = on_news
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.snapshot = first

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Does not wait for what is under way."""
        self._stop.set()

    def listen(self) -> float:
        """Until something goes wrong or :meth:`close`. How long to wait before the next."""
        try:
            if self.snapshot.problem:
                self._show(self._source.ask())
            for newer in self._source.follow(self.snapshot):
                self._show(newer)
                if self._stop.is_set():
                    return 0.0
        except CallRefused as error:
            return self._ask_instead(error)
        except ControlError as error:
            self._lost(str(error))
        except Exception as error:
            # The screen says so; a thread that ended would leave it standing still.
            self._source.close()
            self._lost(f"{type(error).__name__}: {error}")
        return RETRY_S

    def _ask_instead(self, error: CallRefused) -> float:
        try:
            self._show(replace(self._source.ask(), stale_after_s=SELDOM_S + _PATIENCE_S))
        except ControlError as refused:
            self._lost(str(refused) or str(error))
        return SELDOM_S

    def _show(self, newer: Snapshot) -> None:
        self.snapshot = newer
        self._on_news()

    def _lost(self, problem: str) -> None:
        self.snapshot = replace(self.snapshot, problem=problem)
        self._on_news()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self.listen())
        self._source.close()


def as_builtins(snapshot: Snapshot) -> dict[str, Any]:
    """For programs."""
    return {
        "status": msgspec.to_builtins(snapshot.status),
        "thermal": msgspec.to_builtins(snapshot.thermal),
        "course": msgspec.to_builtins(snapshot.course),
        "mesh": msgspec.to_builtins(snapshot.mesh),
    }
