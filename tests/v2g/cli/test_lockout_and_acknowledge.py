"""``v2g-tool lockout``, and the acknowledgement that commissioning commands ask for."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec
import pytest

from v2g.cli import acknowledge
from v2g.cli.render import status_text, tool_status_text
from v2g.control.messages_lockout import LockLine, LockoutParams, LockoutResult

LOCKED = LockoutResult(
    locks=(LockLine(by="anna", at="2026-03-01T08:00:00+00:00", note="CT 2"),),
    message="the breaker is locked out by anna",
)


@pytest.mark.parametrize(
    ("words", "method", "params"),
    [
        ("lockout on --note CT2", "lockout.set", LockoutParams(enabled=True, note="CT2")),
        ("lockout off --yes --force ben", "lockout.set", LockoutParams(enabled=False, force="ben")),
        ("lockout", "lockout.show", None),
        ("lockout show", "lockout.show", None),
    ],
)
async def test_locks_are_set_and_shown_with_who_since_when_and_why(
    site_daemon: Any, words: str, method: str, params: LockoutParams | None
) -> None:
    site_daemon.answers[method] = LOCKED
    result = await site_daemon.run(words, tool_too=True)
    assert result.exit_code == 0, result.output
    assert params is None or site_daemon.received == [params]
    assert result.output.splitlines()[-1].split() == ["anna", "2026-03-01T08:00:00+00:00", "CT", "2"]


async def test_no_lock_is_said(site_daemon: Any) -> None:
    site_daemon.answers["lockout.show"] = LockoutResult(locks=())
    assert "not locked out" in (await site_daemon.run("--lockout", tool_too=True)).output


@pytest.mark.parametrize("command", ["calibrate-pll", "test-relay --yes", "test-discharge --evse US*V2G*E1"])
async def test_a_commissioning_command_without_a_terminal_needs_the_option(site_daemon: Any, command: str) -> None:
    result = await site_daemon.run(command, tool_too=True)
    assert result.exit_code == 2
    assert "--acknowledge NAME" in result.output
    assert site_daemon.received == []
    assert (await site_daemon.run(f"{command} --acknowledge=", tool_too=True)).exit_code == 2


def test_at_a_terminal_the_hazard_is_told_and_the_name_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    asked = []

    def prompt(text: str, **options: Any) -> str:
        asked.append(text)
        return " Anna Kranz "

    monkeypatch.setattr(click, "prompt", prompt)
    assert acknowledge.acknowledgement(None, "live parts") == "Anna Kranz"
    assert "HAZARD: live parts" in capsys.readouterr().err
    assert "qualified person" in asked[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"permit": "tripped", "trip": "EMERGENCY_STOP", "interlocks": {"emergency_stop": "open"}},
            ("EMERGENCY_STOP (emergency stop pressed)", "trip reset"),
        ),
        ({"permit": "interlock", "interlocks": {"door": "unknown"}}, ("no word from the contact of the door",)),
        ({"permit": "lockout", "locked_by": "anna"}, ("LOCKED OUT by anna", "v2g-tool lockout off")),
        (
            {"permit": "lockout", "locked_by": "anna", "trip": "DOOR", "interlocks": {"door": "open"}},
            ("LOCKED OUT by anna", "DOOR (door open)"),
        ),
        (
            {"permit": "tripped", "trip": "OV2", "trip_unit": "pu", "interlocks": {"emergency_stop": "open"}},
            ("OV2", "emergency stop pressed: find out"),
        ),
    ],
)
def test_the_status_says_which_interlock_and_whose_lock(
    site_daemon: Any, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    guard = msgspec.structs.replace(site_daemon.status.guard, **changes)
    status = msgspec.structs.replace(site_daemon.status, guard=guard)
    for text in (status_text(status), tool_status_text(status)):
        assert all(word in text for word in words), text
