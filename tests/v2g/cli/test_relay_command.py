"""``v2g-tool test-relay``: the walk through the test, with a daemon and a relay of a few lines."""

from __future__ import annotations

from typing import Any

import click
import pytest

from v2g.cli.relay import walk
from v2g.clock import ManualClock
from v2g.control.client import CallRefused
from v2g.control.messages import RelayTestParams


class Daemon:
    """Answers as the daemon does; the contact moves at the given seconds after the start."""

    def __init__(self, clock: ManualClock, *movements: tuple[float, bool], setting_pu: float | None = 1.1) -> None:
        self.clock, self.movements, self.setting_pu = clock, movements, setting_pu
        self.steps: list[RelayTestParams] = []
        self.began_s = clock.monotonic_s()
        self.refuses = ""

    def call(self, method: str, params: Any = None) -> dict[str, Any]:
        if method == "grid.settings":
            relay = {"setting_pu": self.setting_pu, "delay_s": 14.0, "closed": True}
            return {
                "profile": "", "standard": "", "verified": True, "confirmed": False, "nominal_frequency_hz": 60.0,
                "elements": [], "enter_service": {}, "sync": {}, "relay": relay, "adjusted": [], "remarks": [],
                "digest": "", "in_force": "",
            }  # fmt: skip
        assert method == "relay.test"
        self.steps.append(params)
        if params.step == self.refuses:
            raise CallRefused("power flows on the V2G feeder", "POWER_FLOWS")
        elapsed_s = self.clock.monotonic_s() - self.began_s
        seen = [(at_s, closed) for at_s, closed in self.movements if at_s <= elapsed_s]
        return {
            "running": elapsed_s <= 600.0, "relay_closed": seen[-1][1] if seen else True, "breaker_closed": False,
            "elapsed_s": elapsed_s, "operations": seen,
            "recorded_in": "/var/lib/v2g/relay-tests.jsonl" if params.step == "finish" else "",
        }  # fmt: skip

    @property
    def names(self) -> list[str]:
        return [step.step for step in self.steps if step.step != "state"]


class Person:
    def __init__(self, agrees: bool = True) -> None:
        self.agrees, self.heard, self.asked = agrees, [], []  # type: ignore[var-annotated]

    def say(self, text: str) -> None:
        self.heard.append(text)

    def ask(self, question: str, yes_or_no: bool) -> str:
        self.asked.append(question)
        if yes_or_no and not self.agrees:
            raise click.Abort
        return "" if yes_or_no else "Omicron, 1.15 pu, Anna"


def test_a_relay_that_opens_and_closes_passes_and_the_note_is_recorded() -> None:
    clock, person = ManualClock(), Person()
    daemon = Daemon(clock, (20.0, False), (26.0, True))
    result, passed = walk(daemon, clock, person.say, person.ask, None, "Eva Qualm")  # type: ignore[arg-type]
    assert passed
    assert daemon.names == ["start", "finish"]
    assert (daemon.steps[-1].passed, daemon.steps[-1].note) == (True, "Omicron, 1.15 pu, Anna")
    assert person.asked == ["Begin?", "Note for the record (instrument, value, who)"]
    assert "setting 1.1 per unit, delay 14 s" in person.heard[0]
    assert any(text.startswith("open, 20.00 s after the start") for text in person.heard)
    assert result.recorded_in in person.heard[-1]


@pytest.mark.parametrize(
    ("movements", "words", "waited_s"),
    [((), "did not open within 2 min", 120.0), (((5.0, False),), "did not close", 125.0)],
)
def test_a_contact_that_does_not_move_for_two_minutes_is_recorded_as_failed(movements, words, waited_s) -> None:
    clock, person = ManualClock(), Person()
    daemon = Daemon(clock, *movements)
    _, passed = walk(daemon, clock, person.say, None, "by script", "Eva Qualm")  # type: ignore[arg-type]
    assert not passed
    assert (daemon.names, daemon.steps[-1].passed) == (["start", "finish"], False)
    assert any(words in text for text in person.heard)
    assert clock.monotonic_s() - daemon.began_s == pytest.approx(waited_s, abs=1.0)


def test_whoever_does_not_go_on_has_started_nothing() -> None:
    clock, person = ManualClock(), Person(agrees=False)
    daemon = Daemon(clock)
    with pytest.raises(click.Abort):
        walk(daemon, clock, person.say, person.ask, None, "Eva Qualm")  # type: ignore[arg-type]
    assert daemon.steps == []


def test_a_test_that_may_not_begin_is_refused_without_an_end() -> None:
    clock, person = ManualClock(), Person()
    daemon = Daemon(clock)
    daemon.refuses = "start"
    with pytest.raises(CallRefused, match="power flows"):
        walk(daemon, clock, person.say, None, "", "Eva Qualm")  # type: ignore[arg-type]
    assert daemon.names == ["start"]


def test_an_interrupted_test_is_aborted_so_that_the_breaker_may_close_again() -> None:
    clock = ManualClock()
    daemon = Daemon(clock)

    def interrupted(text: str) -> None:
        if "press the test button" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walk(daemon, clock, interrupted, None, "", "Eva Qualm")  # type: ignore[arg-type]
    assert daemon.names == ["start", "abort"]


def test_a_relay_without_a_stated_setting_is_said_to_have_none() -> None:
    clock, person = ManualClock(), Person(agrees=False)
    with pytest.raises(click.Abort):
        walk(Daemon(clock, setting_pu=None), clock, person.say, person.ask, None, "Eva Qualm")  # type: ignore[arg-type]
    assert "setting not stated" in person.heard[0]
