"""``v2g-tool test-relay``: walks through a test of the hardware over-voltage relay and records it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from v2g.cli.acknowledge import acknowledge_option, acknowledgement
from v2g.cli.common import daemon, json_option, print_json, socket_option
from v2g.clock import SleepingClock, SystemClock
from v2g.control.client import ControlClient, ControlError
from v2g.control.messages import GridSettingsResult, RelayTestParams, RelayTestResult

_NAME = "v2g-tool"
WAIT_S = 120.0
"""So long for each of the two movements of the contact."""
_ASK_EVERY_S = 1.0
HAZARD = (
    "a voltage above 1.10 per unit is injected at live terminals, or the relay's button is pressed beside them: shock\n"
    "and arc flash. Work under a permit, in the protective equipment that the arc-flash label asks for."
)


@click.command("test-relay")
@click.option("--yes", "-y", is_flag=True, help="Do not ask: for scripts that operate the relay themselves.")
@click.option("--note", help="Goes into the record: the instrument, the value injected, who was there.")
@acknowledge_option
@json_option
@socket_option
def test_relay(yes: bool, note: str | None, acknowledge: str | None, as_json: bool, socket_path: Path | None) -> None:
    """Test the hardware over-voltage relay: open and close again, seen by its feedback, and recorded.

    The V2G breaker opens for the test and no power may flow. A qualified person has to answer for it.

    \b
    Examples:
      v2g-tool --test-relay
      v2g-tool test-relay --yes --note 'test set 7, 1.12 per unit' --acknowledge 'A. Volta'

    Exit codes: 0 passed. 1 failed, or refused. 2 not acknowledged. 3 the daemon is not reachable.
    """
    person = acknowledgement(acknowledge, HAZARD)
    with daemon(socket_path, _NAME, as_json) as client:
        result, passed = walk(client, SystemClock(), _say, None if yes else _ask, note, person)
    if as_json:
        print_json(result)
    sys.exit(0 if passed else 1)


Ask = Callable[[str, bool], str]
"""``(question, yes_or_no)``: the answer as text; a no to a yes-or-no question raises ``click.Abort``."""


def walk(
    client: ControlClient,
    clock: SleepingClock,
    say: Callable[[str], None],
    ask: Ask | None,
    note: str | None,
    acknowledge: str,
) -> tuple[RelayTestResult, bool]:
    """The whole test; the last result and whether it is passed. Whatever ends it early aborts it at the daemon."""
    relay = msgspec.convert(client.call("grid.settings"), GridSettingsResult).relay
    setting = f"{relay['setting_pu']:g} per unit" if isinstance(relay["setting_pu"], float | int) else "not stated"
    say(f"The hardware relay: setting {setting}, delay {relay['delay_s']:g} s.")
    say("The V2G breaker will open and stay open during the test; vehicles get no power. The test ends by itself after")
    say("ten minutes. You will have to press the relay's test button, or inject a voltage above its setting.")
    if ask is not None:
        ask("Begin?", True)
    _step(client, "start", acknowledge=acknowledge)
    try:
        say("The breaker opens. Now press the test button and hold it, or inject a voltage above the setting.")
        opened = _wait(client, clock, closed=False)
        if opened is not None:
            say(f"open, {opened:.2f} s after the start. Now release the button, or take the voltage away.")
        closed = _wait(client, clock, closed=True) if opened is not None else None
        if closed is not None:
            say(f"closed again, {closed:.2f} s after the start.")
        elif opened is None:
            say(f"NOT PASSED: the contact did not open within {WAIT_S / 60:g} min")
        else:
            say(f"NOT PASSED: the contact did not close within {WAIT_S / 60:g} min")
        passed = closed is not None
        if note is None:
            note = ask("Note for the record (instrument, value, who)", False) if ask is not None else ""
        result = _step(client, "finish", passed=passed, note=note)
    except BaseException:
        with contextlib.suppress(ControlError):
            _step(client, "abort")
        raise
    say(f"{'passed' if passed else 'not passed'}; recorded in {result.recorded_in}")
    return result, passed


def _wait(client: ControlClient, clock: SleepingClock, *, closed: bool) -> float | None:
    """When the contact was seen to move so, in s since the start; None when it did not come, or the test is over."""
    result = _step(client, "state")
    until_s = result.elapsed_s + WAIT_S
    while result.running and result.elapsed_s <= until_s:
        first = next((at_s for at_s, now_closed in result.operations if not now_closed), None)
        if first is not None:
            if not closed:
                return first
            last_s, now_closed = result.operations[-1]
            if now_closed:
                return last_s
        clock.sleep_until(clock.monotonic_s() + _ASK_EVERY_S)
        result = _step(client, "state")
    return None


def _step(
    client: ControlClient, step: str, *, passed: bool | None = None, note: str = "", acknowledge: str = ""
) -> RelayTestResult:
    params = RelayTestParams(step=step, passed=passed, note=note, acknowledge=acknowledge)
    answer = client.call("relay.test", params)
    return msgspec.convert(answer, RelayTestResult)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _ask(question: str, yes_or_no: bool) -> str:
    if yes_or_no:
        click.confirm(question, abort=True, err=True)
        return ""
    return str(click.prompt(question, default="", show_default=False, err=True))
