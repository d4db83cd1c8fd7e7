"""Sessions over a restart: what is offered to be resumed, who is known again, and what is forgotten."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pyiso15118.events import EndReason
from pyiso15118.paused import PausedSession
from support.control_world import E1, E2
from support.event_vehicle import paused_session
from support.kept_log import KeptLog
from v2g.clock import ManualClock
from v2g.config.schema_sessions import SessionsConfig
from v2g.orchestrator.paused_sessions import PausedSessions
from v2g.sessions.supervisor import SessionInfo, SessionWatcher

FIRST, SECOND = b"\x01" * 8, b"\x02" * 8
HOUR_S = 3600.0


class Secc:
    """Keeps what it is offered. ``evses``: those that there are."""

    def __init__(self, *evses: str) -> None:
        self.evses = set(evses)
        self.kept: dict[str, tuple[PausedSession, float]] = {}

    def keep_paused(self, evse_id: str, paused: PausedSession | None, for_s: float | None = None) -> bool:
        if paused is None:
            self.kept.pop(evse_id, None)
            return True
        if evse_id not in self.evses or for_s is None:
            return False
        self.kept[evse_id] = paused, for_s
        return True


class Life:
    """One run of the daemon after another, on one state directory and one clock."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.clock = ManualClock()
        self.config = SessionsConfig(resume_within_h=24.0)
        self.evses = (E1, E2)
        self.comms, self.daemon = KeptLog(), KeptLog()
        self.stack = AsyncExitStack()
        self.sessions: PausedSessions
        self.bay = SimpleNamespace(view=SimpleNamespace(evse=None), paused_by="")
        self.secc = Secc(E1, E2)

    async def start(self) -> Secc:
        self.comms, self.daemon = KeptLog(), KeptLog()
        self.secc = Secc(*self.evses)
        watchers: list[SessionWatcher] = []
        running: Any = SimpleNamespace(
            clock=self.clock,
            site=SimpleNamespace(bays=dict.fromkeys(self.evses, self.bay)),
            secc=lambda: self.secc,
            loaded=SimpleNamespace(config=SimpleNamespace(sessions=self.config)),
            log=self.daemon,
            paths=SimpleNamespace(state_dir=self.state_dir),
            sessions=SimpleNamespace(watch=watchers.append),
        )
        self.sessions = PausedSessions(running, self.comms)
        assert watchers == [self.sessions]
        self.stack = AsyncExitStack()
        await self.sessions.start(self.stack)
        self.sessions.offer(self.secc)
        return self.secc

    async def stop(self) -> None:
        await self.stack.aclose()

    def info(self, evse_id: str = E1, evccid: str = "WMIV1", certificate: str | None = "ab" * 32) -> SessionInfo:
        identity = f"CN={evccid}" if certificate else None
        return SessionInfo(
            evse_id=evse_id, evccid=evccid, identity=identity, peer="", started_at_s=0.0, certificate=certificate
        )

    def begin(self, session_id: bytes = FIRST, *, resumed: bool = False, **who: Any) -> None:
        self.sessions.began(self.info(**who), session_id, resumed=resumed)

    def pause(self, **who: Any) -> None:
        info = self.info(**who)
        self.sessions.ended(info, EndReason.PAUSED, paused_session(info.evse_id, info.evccid))

    def end(self, reason: EndReason = EndReason.STOPPED, **who: Any) -> None:
        self.sessions.ended(self.info(**who), reason, None)


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


async def test_a_paused_session_is_offered_after_the_restart_and_told_when_it_goes_on(life: Life) -> None:
    await life.start()
    life.begin()
    life.pause()
    await life.stop()
    life.clock.advance(90.0)
    secc = await life.start()
    paused, for_s = secc.kept[E1]
    assert paused == paused_session(E1, "WMIV1")
    assert for_s == pytest.approx(24 * HOUR_S - 90.0)
    assert "paused its session 90 s ago" in dict(life.comms.said)["SESSIONS_RECALLED"]
    assert life.bay.paused_by == "WMIV1"
    life.begin(resumed=True)
    assert life.bay.paused_by == ""
    assert "after 90 s" in dict(life.comms.said)["SESSION_RESUMED"]
    (fields,) = [fields for _, code, _, fields in life.comms.lines if code == "SESSION_RESUMED"]
    assert fields["response"] == "OK_OldSessionJoined"
    await life.stop()


async def test_a_session_that_ran_when_the_daemon_was_lost_is_recognised_and_not_resumed(life: Life) -> None:
    await life.start()
    life.begin()
    # Nothing of a kill: the journal's thread has written, nobody has closed it.
    await life.stop()
    life.clock.advance(2.0)
    secc = await life.start()
    assert secc.kept == {}
    life.clock.advance(5.0)
    life.begin(SECOND)
    level, _, text, fields = next(line for line in life.comms.lines if line[1] == "SESSION_RECOGNISED")
    assert level == "INFO"
    assert "was in its session when the controller was lost" in text
    assert (fields["before"], fields["session"], fields["was"]) == (FIRST.hex(), SECOND.hex(), "lost")
    life.begin(SECOND)
    assert life.comms.codes().count("SESSION_RECOGNISED") == 1
    await life.stop()


async def test_it_is_known_at_another_evse_too(life: Life) -> None:
    await life.start()
    life.begin()
    await life.stop()
    await life.start()
    life.begin(SECOND, evse_id=E2)
    assert "SESSION_RECOGNISED" in life.comms.codes()
    await life.stop()
    await life.start()
    life.begin(evse_id=E1)
    assert "US*V2G*E2 / WMIV1" in dict(life.comms.said)["SESSION_RECOGNISED"]
    await life.stop()


@pytest.mark.parametrize("who", [{"evccid": "WMIV2"}, {"certificate": "cd" * 32}, {"certificate": None}])
async def test_another_vehicle_is_not_taken_for_it(life: Life, who: dict[str, Any]) -> None:
    await life.start()
    life.begin()
    await life.stop()
    await life.start()
    life.begin(SECOND, **who)
    assert "SESSION_RECOGNISED" not in life.comms.codes()
    await life.stop()


async def test_a_pause_is_over_once_another_vehicle_has_begun_there(life: Life) -> None:
    await life.start()
    life.begin()
    life.pause()
    life.begin(SECOND, evccid="WMIV2")
    life.end(evccid="WMIV2")
    await life.stop()
    assert (await life.start()).kept == {}
    await life.stop()


@pytest.mark.parametrize("reason", [EndReason.STOPPED, EndReason.ABORTED, EndReason.TIMEOUT_SECC])
async def test_what_ended_otherwise_leaves_nothing(life: Life, reason: EndReason) -> None:
    await life.start()
    life.begin()
    life.end(reason)
    await life.stop()
    secc = await life.start()
    assert (secc.kept, life.comms.codes()) == ({}, [])
    await life.stop()


async def test_a_pause_that_is_too_old_is_forgotten(life: Life) -> None:
    await life.start()
    life.begin()
    life.pause()
    await life.stop()
    life.clock.advance(25 * HOUR_S)
    assert (await life.start()).kept == {}
    await life.stop()


async def test_it_gets_too_old_while_the_daemon_runs(life: Life) -> None:
    await life.start()
    life.begin()
    life.pause()
    life.clock.advance(25 * HOUR_S)
    life.sessions.on_cycle(life.clock.monotonic_s())
    life.clock.advance(-25 * HOUR_S)
    await life.stop()
    assert (await life.start()).kept == {}
    await life.stop()


async def test_a_clock_that_went_back_makes_a_pause_last_no_longer_than_it_may(life: Life) -> None:
    await life.start()
    life.begin()
    life.pause()
    await life.stop()
    life.clock.advance(-1000 * HOUR_S)
    _, for_s = (await life.start()).kept[E1]
    assert for_s == 24 * HOUR_S
    await life.stop()


async def test_a_pause_is_over_when_the_plug_is_pulled(life: Life) -> None:
    secc = await life.start()
    life.begin()
    life.pause()
    secc.kept[E1] = paused_session(E1, "WMIV1"), 1.0

    def cycles(count: int, **reading: Any) -> None:
        for _ in range(count):
            life.clock.advance(0.1)
            now_s = life.clock.monotonic_s()
            life.bay.view.evse = SimpleNamespace(**{"as_of_s": now_s, "plugged": True, **reading})
            life.sessions.on_cycle(now_s)

    cycles(30)
    cycles(30, plugged=False, as_of_s=0.0)
    cycles(15, plugged=False)
    cycles(1)
    assert set(secc.kept) == {E1}
    cycles(25, plugged=False)
    assert secc.kept == {}
    assert "the plug was pulled" in dict(life.comms.said)["SESSION_PAUSE_OVER"]
    await life.stop()
    assert (await life.start()).kept == {}
    await life.stop()


async def test_where_nothing_shall_be_resumed_nothing_is_kept(life: Life) -> None:
    life.config = SessionsConfig(resume_within_h=0.0)
    await life.start()
    life.begin()
    life.pause()
    await life.stop()
    life.config = SessionsConfig()
    assert (await life.start()).kept == {}
    await life.stop()


async def test_an_evse_that_cannot_be_served_yet_gets_its_session_later(life: Life) -> None:
    await life.start()
    life.begin(evse_id=E2)
    life.pause(evse_id=E2)
    await life.stop()
    secc = await life.start()
    secc.kept.clear()
    secc.evses = {E1}
    await life.stop()
    life.evses = (E1, E2)
    secc = await life.start()
    assert set(secc.kept) == {E2}
    await life.stop()


async def test_an_offer_that_is_not_taken_is_made_again(life: Life) -> None:
    await life.start()
    life.begin()
    life.pause()
    await life.stop()
    await life.start()
    late = Secc()
    life.sessions._offers[E1] = paused_session(E1, "WMIV1")
    life.secc = late
    life.sessions.on_cycle(life.clock.monotonic_s())
    assert late.kept == {}
    late.evses.add(E1)
    life.clock.advance(61.0)
    life.sessions.on_cycle(life.clock.monotonic_s())
    assert set(late.kept) == {E1}
    await life.stop()


async def test_an_evse_that_is_no_longer_configured_is_forgotten(life: Life) -> None:
    await life.start()
    life.begin(evse_id=E2)
    life.pause(evse_id=E2)
    await life.stop()
    life.evses = (E1,)
    await life.start()
    await life.stop()
    life.evses = (E1, E2)
    assert (await life.start()).kept == {}
    await life.stop()


async def test_a_record_that_cannot_be_read_is_dropped_and_said(life: Life) -> None:
    await life.start()
    life.begin()
    life.sessions.ended(life.info(), EndReason.PAUSED, paused_session(E1, "WMIV1"))
    row = life.sessions._rows[E1]
    life.sessions._put(msgspec.structs.replace(row, record=b'{"session_id":7}'))
    await life.stop()
    assert (await life.start()).kept == {}
    assert "cannot be read" in dict(life.daemon.said)["SESSIONS_NOT_KEPT"]
    await life.stop()


async def test_a_broken_journal_is_said_and_sessions_go_on(life: Life) -> None:
    (life.state_dir / "sessions.sqlite").write_bytes(b"this is no database" * 50)
    await life.start()
    assert "was broken" in dict(life.daemon.said)["SESSIONS_NOT_KEPT"]
    assert life.sessions.problems() == ()
    life.begin()
    life.pause()
    await life.stop()
    assert set((await life.start()).kept) == {E1}
    await life.stop()


async def test_a_journal_of_the_future_is_a_problem_in_the_status(life: Life) -> None:
    import sqlite3

    await life.start()
    life.begin()
    life.pause()
    await life.stop()
    with sqlite3.connect(life.state_dir / "sessions.sqlite") as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    assert (await life.start()).kept == {}
    (problem,) = life.sessions.problems()
    assert "paused sessions do not outlast a restart" in problem
    assert "newer v2g-orchestrator (schema 7" in problem
    life.begin(SECOND)
    await life.stop()


async def test_nothing_is_written_while_nothing_changes(life: Life) -> None:
    await life.start()
    life.begin()
    journal = life.sessions._journal
    async with asyncio.timeout(5.0):
        while journal._waiting:
            await asyncio.sleep(0.005)
    for _ in range(1000):
        life.clock.advance(0.1)
        life.sessions.on_cycle(life.clock.monotonic_s())
    assert not journal._waiting
    await life.stop()
