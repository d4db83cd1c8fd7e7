from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from v2g.cli import control
from v2g.control.messages import (
    CancelParams,
    CancelResult,
    DispatchParams,
    ShortfallLine,
    TripResetResult,
)
from v2g.control.server import Refused

DISPATCH = "--dispatch --mode=discharge --power=10kW"


def usage_error(command: str) -> str:
    result = CliRunner().invoke(control.cli, command.split(), env={"V2G_SOCKET": "/nowhere"})
    assert result.exit_code == 2
    return result.output


async def test_a_dispatch_is_sent_as_a_magnitude_with_its_mode_for_fifteen_minutes(site_daemon: Any) -> None:
    site_daemon.grants(-10_000.0)
    result = await site_daemon.run(DISPATCH)
    assert result.exit_code == 0
    assert site_daemon.received == [DispatchParams(mode="discharge", power_w=10_000.0, duration_s=900.0)]
    assert result.output == ("discharge 10.00 kW granted for 15 min: US*V2G*E1 10.00 kW (WMIV2G0001) (order 3)\n")


@pytest.mark.parametrize(
    "command",
    [
        "dispatch --mode=charge --power 1.5kW --evse US*V2G*E2 --duration 2h",
        "--dispatch --mode=CHARGE --power=1500W --evse=US*V2G*E2 --duration=120min",
        "—dispatch –mode=charge ––power=0.0015MW —evse=US*V2G*E2 —duration=7200s",
        "--mode charge --evse US*V2G*E2 --power 1.5kW --duration 2h --dispatch",
    ],
)
async def test_all_spellings_mean_the_same(site_daemon: Any, command: str) -> None:
    site_daemon.grants(1500.0, mode="charge", requested_w=1500.0)
    assert (await site_daemon.run(command)).exit_code == 0
    params = DispatchParams(mode="charge", power_w=1500.0, evse_id="US*V2G*E2", duration_s=7200.0)
    assert site_daemon.received == [params]


async def test_several_vehicles_are_shown_as_a_table(site_daemon: Any) -> None:
    site_daemon.grants(-5000.0, -5000.0)
    lines = (await site_daemon.run(DISPATCH)).output.splitlines()
    shares = "US*V2G*E1 5.00 kW (WMIV2G0001), US*V2G*E2 5.00 kW (WMIV2G0002)"
    assert lines[0] == f"discharge 10.00 kW granted for 15 min: {shares} (order 3)"
    assert lines[2].split() == ["EVSE", "VEHICLE", "SOC", "MIN-SOC", "TO", "SPARE", "GRANTED", "BOUND", "BY"]
    assert lines[4].split() == ["US*V2G*E2", "WMIV2G0002", "?", "?", "?", "discharge", "5.00", "kW"]


async def test_a_shortfall_is_named_with_constraint_and_code_and_some_power_is_success(site_daemon: Any) -> None:
    shortfall = ShortfallLine(code="REVERSE_FLOW_DENIED", source="thermal hot-spot", missing_w=7000.0)
    site_daemon.grants(-3000.0, shortfalls=(shortfall,))
    result = await site_daemon.run(DISPATCH)
    assert result.exit_code == 0
    assert result.output.splitlines()[0].startswith("discharge 3.00 kW of 10.00 kW granted for 15 min")
    assert result.output.splitlines()[1] == "7.00 kW short: REVERSE_FLOW_DENIED, bound by thermal hot-spot"


async def test_a_thermal_denial_says_why_and_until_when(site_daemon: Any) -> None:
    words = "top-oil 108.2 °C is above its limit of 105 °C; may be granted in about 25 min (18:25)"
    shortfall = ShortfallLine(code="REVERSE_FLOW_DENIED", source="thermal top-oil", missing_w=10_000.0, words=words)
    site_daemon.grants(shortfalls=(shortfall,))
    line = (await site_daemon.run(DISPATCH)).output.splitlines()[1]
    assert line == f"10.00 kW short: REVERSE_FLOW_DENIED, bound by thermal top-oil: {words}"


async def test_nothing_granted_is_exit_code_1_with_the_reason(site_daemon: Any) -> None:
    shortfall = ShortfallLine(code="NO_VEHICLE", source="no vehicle", missing_w=10_000.0, evse_id="US*V2G*E1")
    site_daemon.grants(shortfalls=(shortfall,))
    result = await site_daemon.run(DISPATCH)
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "discharge 10.00 kW: nothing granted (order 3 stands for 15 min)",
        "10.00 kW short at US*V2G*E1: NO_VEHICLE, bound by no vehicle",
    ]


async def test_idle_needs_no_power_and_succeeds(site_daemon: Any) -> None:
    site_daemon.grants(0.0, mode="idle", requested_w=0.0)
    result = await site_daemon.run("--dispatch --mode=idle")
    assert (result.exit_code, result.output) == (0, "idle for 15 min (order 3)\n")


async def test_no_answer_shows_a_sign(site_daemon: Any) -> None:
    site_daemon.grants(-5000.0, -5000.0)
    outputs = [(await site_daemon.run(c)).output for c in (DISPATCH, "status", "vehicles", "orders")]
    outputs.append((await site_daemon.run("status", tool_too=True)).output)
    assert not [word for text in outputs for word in text.split() if word[0] in "-−" and word[1:2].isdigit()]


async def test_a_refusal_is_exit_code_1_with_its_text(site_daemon: Any) -> None:
    site_daemon.answers["dispatch"] = Refused("there is no EVSE 'X'", code="UNKNOWN_EVSE")
    result = await site_daemon.run(DISPATCH)
    assert (result.exit_code, result.output) == (1, "v2g-control: there is no EVSE 'X'\n")
    result = await site_daemon.run(f"{DISPATCH} --json")
    assert json.loads(result.stdout) == {"error": {"code": "UNKNOWN_EVSE", "message": "there is no EVSE 'X'"}}


async def test_json_is_the_daemons_answer(site_daemon: Any) -> None:
    site_daemon.grants(-10_000.0)
    answer = json.loads((await site_daemon.run(f"{DISPATCH} --json")).stdout)
    assert (answer["granted_w"], answer["grants"][0]["evse_id"]) == (-10_000.0, "US*V2G*E1")
    assert json.loads((await site_daemon.run("status --json")).stdout)["transformer"]["top_oil_c"] == 54.2
    assert [line["evse_id"] for line in json.loads((await site_daemon.run("vehicles --json")).stdout)] == ["US*V2G*E1"]
    assert json.loads((await site_daemon.run("orders --json")).stdout)[0]["by"] == "alice"


def test_without_a_daemon_the_exit_code_is_3_and_the_text_helps(tmp_path: Path) -> None:
    for command in ("status", "dispatch --mode=idle", "cancel 1", "trip reset --yes"):
        socket = tmp_path / "control.sock"
        result = CliRunner().invoke(control.cli, [*command.split(), "--socket", str(socket)])
        assert result.exit_code == 3
        for part in (str(socket), "systemctl status v2g-orchestrator", "v2g-orchestrator --simulate"):
            assert part in result.output


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("dispatch --mode=discharge --power=10", "10kW or 10W?"),
        ("dispatch --mode=discharge --power=-10kW", "the mode says the direction"),
        ("dispatch --mode=discharge --power=10kVA", "unknown unit 'kVA'"),
        ("dispatch --mode=discharge --power=lots", "is not a quantity"),
        ("dispatch --mode=discharge --power=0kW", "write --mode=idle"),
        ("dispatch --mode=discharge", "--power is missing"),
        ("dispatch --power=10kW", "--mode"),
        ("dispatch --mode=fly --power=10kW", "'fly' is not one of"),
        ("dispatch --mode=charge --power=10kW --duration=15", "15min or 15s?"),
        ("dispatch --mode=charge --power=10kW --duration=0min", "above zero"),
        ("cancel first", "'first' is not a valid integer"),
        ("dispach", "No such command 'dispach'"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_exit_code_2(command: str, text: str) -> None:
    assert text in usage_error(command)


async def test_status_shows_the_site_at_a_glance(site_daemon: Any) -> None:
    text = (await site_daemon.run("--status")).output
    assert "maple-street-12 · v2g-orchestrator 0.1.0 · up 2 h 3 min · SIMULATION" in text
    assert "grid         energy may flow" in text
    assert "vehicles may discharge 120.00 kW, charge 90.00 kW (thermal hot-spot)" in text
    assert "US*V2G*E1  DC    WMIV2G0001  charge loop  64 %  discharge 9.98 kW  discharge 10.00 kW" in text
    assert "PROBLEMS\n  inverter US*V2G*E2 does not answer" in text


async def test_vehicles_and_orders_are_tables(site_daemon: Any) -> None:
    vehicle = (await site_daemon.run("vehicles")).output.splitlines()[1]
    assert "not authenticated" in vehicle
    assert "50.00 kW / 22.00 kW" in vehicle
    order = (await site_daemon.run("orders")).output.splitlines()[1]
    assert order.split() == [
        "3",
        "discharge",
        "10.00",
        "kW",
        "discharge",
        "10.00",
        "kW",
        "all",
        "now",
        "14",
        "min",
        "alice",
    ]


async def test_cancel_says_what_is_gone(site_daemon: Any) -> None:
    site_daemon.answers["cancel"] = CancelResult(cancelled=(3, 4))
    result = await site_daemon.run("cancel --yes")
    assert (result.exit_code, result.output) == (0, "cancelled orders 3, 4\n")
    site_daemon.answers["cancel"] = CancelResult(cancelled=())
    assert (await site_daemon.run("cancel --yes")).output == "there was no order to cancel\n"
    result = await site_daemon.run("cancel 7")
    assert (result.exit_code, result.output) == (1, "there is no order 7\n")
    assert [params.order_id for params in site_daemon.received] == [None, None, 7]
    assert isinstance(site_daemon.received[0], CancelParams)


async def test_a_trip_is_reset_and_named(site_daemon: Any) -> None:
    site_daemon.answers["trip.reset"] = TripResetResult(element="OV2")
    assert "trip OV2 reset" in (await site_daemon.run("trip reset --yes")).output
    site_daemon.answers["trip.reset"] = TripResetResult(element="")
    assert (await site_daemon.run("--trip reset --yes")).output == "there was no trip\n"


async def test_the_tool_shows_transformer_guard_outputs_and_devices(site_daemon: Any) -> None:
    text = (await site_daemon.run("--status", tool_too=True)).output
    for part in (
        "load         70.20 kW (K = 0.28)",
        "ambient      ?",
        "note: ambient sensor lost: 40 °C assumed",
        "frequency    60.002 Hz",
        "voltage      1.001 / 0.999 / 1.000 per unit",
        "tick         running, without real-time priority",
        "US*V2G*E1  evse1:15118  strict  402.1 V  24.9 A   closed      discharge 9.98 kW  discharge 10.00 kW",
        "inverter US*V2G*E2  192.0.2.2:502  OFFLINE  never        refused",
    ):
        assert part in text
