"""``v2g-tool test-discharge``: the first discharge of an EVSE, measured, judged and recorded."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from v2g.cli.acknowledge import acknowledge_option, acknowledgement
from v2g.cli.common import daemon, fail, json_option, print_json, say, socket_option
from v2g.cli.completion import complete_evse
from v2g.clock import SleepingClock, SystemClock
from v2g.control.client import ControlClient, ControlError
from v2g.control.messages_discharge import DischargeTestParams, DischargeTestRecord, DischargeTestResult
from v2g.units import format_power, parse_duration_s, parse_power_w

_NAME = "v2g-tool"
_ASK_EVERY_S = 1.0
HAZARD = (
    "the vehicle's battery feeds the grid over this EVSE for the first time: shock and arc flash at DC and AC\n"
    "terminals, also behind an open breaker. Doors shut, nobody inside, the emergency stop within reach."
)


@click.command("test-discharge")
@click.option(
    "--evse",
    "evse_id",
    shell_complete=complete_evse,
    required=True,
    help="The EVSE by its id; a vehicle is in its charge loop there.",
)
@click.option("--power", default="2kW", show_default=True, help="Magnitude with its unit.")
@click.option("--duration", default="30s", show_default=True, help="How long it is measured after settling.")
@acknowledge_option
@json_option
@socket_option
def test_discharge(
    evse_id: str, power: str, duration: str, acknowledge: str | None, as_json: bool, socket_path: Path | None
) -> None:
    """Discharge one vehicle at a small power: does the inverter follow, how efficient is it, is it protected?

    A qualified person has to answer for it. Below 97 % the EVSE's discharge is refused from then on, until a test is
    passed or inverter.accept_low_efficiency is set.

    \b
    Examples:
      v2g-tool test-discharge --evse 'US*V2G*E1'
      v2g-tool test-discharge --evse 'US*V2G*E1' --power 2kW --duration 60s --acknowledge 'A. Volta'

    Exit codes: 0 passed. 1 failed, or refused. 2 not acknowledged, or not understood. 3 the daemon is not reachable.
    """
    try:
        power_w, duration_s = parse_power_w(power), parse_duration_s(duration)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    person = acknowledgement(acknowledge, HAZARD)
    params = DischargeTestParams(
        step="start", evse_id=evse_id, power_w=power_w, duration_s=duration_s, acknowledge=person
    )
    with daemon(socket_path, _NAME, as_json) as client:
        result = follow(client, SystemClock(), params, _say)
    record = result.record
    if as_json:
        print_json(result)
    elif record is not None:
        say(record_text(record, result.recorded_in))
    else:
        fail(_NAME, "the test ended without a record; see daemon.log", 1)
    sys.exit(0 if record is not None and record.passed else 1)


def follow(
    client: ControlClient, clock: SleepingClock, params: DischargeTestParams, say: Callable[[str], None]
) -> DischargeTestResult:
    """The whole test. Whatever ends it early aborts it at the daemon."""
    result = _step(client, params)
    say(f"{params.evse_id} discharges {format_power(params.power_w)}; measured for {params.duration_s:g} s")
    try:
        while result.running:
            clock.sleep_until(clock.monotonic_s() + _ASK_EVERY_S)
            result = _step(client, DischargeTestParams(step="state"))
    except BaseException:
        with contextlib.suppress(ControlError):
            _step(client, DischargeTestParams(step="abort"))
        raise
    return result


def record_text(record: DischargeTestRecord, recorded_in: str) -> str:
    efficiency = "not measured" if record.efficiency is None else f"{100 * record.efficiency:.1f} %"
    deviation = "" if record.deviation is None else f" ({100 * record.deviation:+.1f} % from the order)"
    facts = (
        ("AC power", _power(record.ac_w) + deviation),
        ("DC power", _power(record.dc_w)),
        ("efficiency", efficiency),
        ("reversion", "armed" if record.reversion_armed else "NOT ARMED"),
        ("islanding", "watched" if record.islanding_watched else "NOT WATCHED"),
        ("readings", str(record.samples)),
    )
    lines = [f"{'passed' if record.passed else 'NOT PASSED'}: {record.evse_id}"]
    lines += [f"  {name:<11} {value}" for name, value in facts]
    lines += [f"  {text}" for text in (*record.reasons, *record.remarks)]
    lines.append(f"recorded in {recorded_in}" if recorded_in else "NOT RECORDED: see audit.log")
    return "\n".join(lines)


def _power(power_w: float | None) -> str:
    return "?" if power_w is None else format_power(abs(power_w))


def _step(client: ControlClient, params: DischargeTestParams) -> DischargeTestResult:
    return msgspec.convert(client.call("discharge.test", params), DischargeTestResult)


def _say(text: str) -> None:
    click.echo(text, err=True)
