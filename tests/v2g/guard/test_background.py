"""The thread for slow work: when it has none, it has a moment of its own."""

from __future__ import annotations

import threading

import pytest

from v2g.guard import background
from v2g.guard.background import Background


def test_without_a_job_it_does_what_it_is_there_for_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "IDLE_S", 0.005)
    idled, done = threading.Event(), threading.Event()
    thread = Background("test", idle=idled.set)
    assert idled.wait(5.0)
    thread.post(done.set)
    assert done.wait(5.0)
    thread.close()


def test_what_fails_when_idle_is_told_and_jobs_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "IDLE_S", 0.005)
    told, done = threading.Event(), threading.Event()

    def idle() -> None:
        raise OSError(5, "Input/output error")

    thread = Background("test", lambda error: told.set(), idle=idle)
    assert told.wait(5.0)
    thread.post(done.set)
    assert done.wait(5.0)
    thread.close()
