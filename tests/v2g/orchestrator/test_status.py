"""The site's status: what the guard says, and every problem with its remedy."""

from __future__ import annotations

from typing import Any

import pytest

from support.control_world import E1, E2, World
from v2g.control import messages
from v2g.control.guard_words import block_words, operation_words
from v2g.grid.protection import Block
from v2g.grid.settings import Operation
from v2g.guard.status import Permit


async def test_status_tells_vehicle_identity_power_and_orders(world: World) -> None:
    world.charge(E1)
    await world.discharge(5_000.0, E1)
    world.run(3)
    status = world.api.snapshot()
    line = status.evses[0]
    assert line.session is not None
    assert (line.session.state, line.session.vehicle, line.session.identity) == ("discharging", "WMIV1", "CN=WMIV1")
    assert (line.power_w, line.setpoint_w, line.granted_w, line.session.soc_pct) == (-5_000.0, -5_000.0, -5_000.0, 70)
    assert status.evses[1].session is None
    assert [(o.order_id, o.mode, o.granted_w, o.evse_id, o.by) for o in status.orders] == [
        (1, "discharge", -5_000.0, E1, "alice")
    ]
    assert status.transformer.discharge_limit_w < -50_000.0 < 50_000.0 < status.transformer.charge_limit_w
    assert status.guard.permit == "granted"
    assert status.problems == ("v2g-guard tick runs without real-time priority: see its journal",)
    assert messages.to_builtins(status)["evses"][0]["evse_id"] == E1


def test_status_before_the_first_cycle_says_starting(world: World) -> None:
    status = world.api.snapshot()
    assert status.problems == ("starting: nothing measured yet",)
    assert not status.guard.tick_alive


async def test_a_discharge_that_runs_goes_on_outside_the_alarm_window(world: World) -> None:
    world.charge(E1)
    world.charge(E2)
    await world.discharge(5_000.0, E1)
    world.run(2)
    world.guard.changes = {"blocks": int(Block.NEW_DISCHARGE)}
    await world.discharge(5_000.0, E2)
    world.run(3)
    assert (world.power(E1), world.power(E2)) == (-5_000.0, 0.0)
    assert any(
        problem.startswith("no new discharge: the frequency is outside") for problem in world.api.snapshot().problems
    )


@pytest.mark.parametrize("block", [block for block in Block if block is not Block.NEW_DISCHARGE])
async def test_a_block_ends_a_discharge_in_the_next_cycle_and_is_a_problem_with_its_remedy(
    world: World, block: Block
) -> None:
    world.charge(E1)
    await world.discharge()
    world.run()
    world.guard.changes = {"blocks": int(block)}
    world.run()
    assert world.power(E1) == 0.0
    status = world.api.snapshot()
    words = block_words((block.name or "").lower())
    assert f"no discharge: {words.what}; {words.remedy}" in status.problems
    assert status.guard.blocks == ((block.name or "").lower(),)


def test_every_block_and_operation_has_words_of_its_own() -> None:
    for block in Block:
        name = (block.name or "").lower()
        assert block_words(name).what != name.replace("_", " ")
    assert all(" " in operation_words(operation.name.lower()) for operation in Operation if operation.value)
    assert operation_words("continuous") == ""


async def test_the_status_carries_what_the_guard_says(world: World) -> None:
    world.guard.changes = {
        "profile": "ieee1547-III",
        "operation": int(Operation.MANDATORY),
        "curtail_discharge": 0.5,
        "relay_closed": True,
        "mains_present": False,
        "rocof_hz_s": 0.3,
        "feeder_a": (10.0, 11.0, 12.0),
        "inverter_angle_deg": (0.1, None, 0.2),
    }
    world.run()
    guard = world.api.snapshot().guard
    assert (guard.profile, guard.operation, guard.curtail_discharge) == ("ieee1547-III", "mandatory", 0.5)
    assert (guard.relay_closed, guard.mains_present, guard.rocof_hz_s) == (True, False, 0.3)
    assert (guard.feeder_a, guard.inverter_angle_deg) == ((10.0, 11.0, 12.0), (0.1, None, 0.2))
    problems = world.api.snapshot().problems
    assert any("discharge is curtailed to 50 %" in problem for problem in problems)
    assert any("loss-of-mains input" in problem for problem in problems)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"permit": Permit.NO_SETTINGS}, "v2g-tool grid profiles"),
        ({"permit": Permit.PERMIT_OFF}, "v2g-control permit on"),
        ({"permit": Permit.RELAY_OPEN, "relay_closed": False}, "hardware relay is open"),
        ({"permit": Permit.BREAKER_FAILED}, "FAILED TO OPEN"),
        ({"permit": Permit.TESTING}, "relay test runs"),
        ({"permit": Permit.NOT_SYNCHRONOUS}, "not in step"),
        (
            {
                "permit": Permit.TRIPPED,
                "trip_element": "Phase Mismatch",
                "trip_value": 120.0,
                "trip_unit": "deg",
                "trip_phase": "b",
            },
            "Phase Mismatch on phase b at +120.0 degrees; when the",
        ),
        ({"permit": Permit.TRIPPED, "trip_element": "LOM"}, "tripped by LOM; once the upstream switch is closed"),
        (
            {
                "permit": Permit.TRIPPED,
                "trip_element": "51 feeder",
                "trip_value": 180.2,
                "trip_unit": "A",
                "trip_phase": "a",
            },
            "51 feeder on phase a at 180 A",
        ),
    ],
)
async def test_each_reason_without_permit_names_its_remedy(world: World, changes: Any, words: str) -> None:
    world.guard.changes = changes
    world.run()
    assert words in world.api.snapshot().problems[0]


async def test_an_inverter_without_islanding_detection_is_a_problem_with_its_remedy(world: World) -> None:
    world.charge(E1)
    world.wires.inverters[E1]["anti_islanding"] = False
    world.run()
    result = await world.discharge()
    world.run(2)
    assert (world.power(E1), result.granted_w) == (0.0, 0.0)
    assert any(problem.startswith(f"{E1}: no discharge: no loss-of-mains") for problem in world.api.snapshot().problems)
