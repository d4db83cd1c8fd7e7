"""What an emergency stop, a lost contact and a lock are for sessions, orders and the status."""

from __future__ import annotations

from typing import Any

import pytest

from support.control_world import E1, World
from v2g.guard.interlocks import Interlock
from v2g.guard.status import GuardStatus, Permit
from v2g.orchestrator import status
from v2g.orchestrator.decide import reason_words

STOP: dict[str, Any] = {
    "permit": Permit.TRIPPED, "trip_element": "EMERGENCY_STOP", "interlocks_open": Interlock.EMERGENCY_STOP,
    "interlocks": Interlock.EMERGENCY_STOP | Interlock.DOOR,
}  # fmt: skip
DOOR: dict[str, Any] = {"permit": Permit.TRIPPED, "trip_element": "DOOR", "interlocks_open": Interlock.DOOR}
LOST: dict[str, Any] = {"permit": Permit.INTERLOCK, "interlocks_lost": Interlock.DOOR}
LOCKED: dict[str, Any] = {"permit": Permit.LOCKOUT, "locked_by": "anna, ben"}


def problems(world: World) -> tuple[str, ...]:
    return status.problems(world.site, world.clock.monotonic_s())


@pytest.mark.parametrize(("changes", "words"), [(STOP, "emergency stop pressed"), (LOCKED, "locked out by anna, ben")])
async def test_an_emergency_stop_and_a_lock_end_the_session_with_the_reason(
    world: World, changes: dict[str, Any], words: str
) -> None:
    world.charge(E1)
    await world.discharge()
    world.run(5)
    world.guard.changes.update(changes)
    world.run(2)
    assert world.power(E1) == 0.0
    procedure = world.site.bays[E1].procedure
    assert procedure is not None
    assert procedure.fault == words
    world.run(30)
    assert not next(s.command for s in world.wires.sent[-1].evses if s.evse_id == E1).close_contactors
    assert procedure.fault == words, "contactors that had to open are no fault of their own"
    assert sum(words in problem for problem in problems(world)) == 1


@pytest.mark.parametrize("changes", [DOOR, LOST])
async def test_a_door_and_a_lost_contact_take_the_power_and_leave_the_session(
    world: World, changes: dict[str, Any]
) -> None:
    world.charge(E1)
    await world.discharge()
    world.run(5)
    world.guard.changes.update(changes)
    world.run(5)
    assert world.power(E1) == 0.0
    assert world.site.bays[E1].fault is None
    assert (await world.discharge()).shortfalls[0].source == f"no permit: {reason_words(world.guard.read(0.0))}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (STOP, ("no energy: emergency stop pressed, breaker open and latched", "v2g-control trip reset")),
        (DOOR, ("no energy: door open",)),
        (LOST, ("no energy: no word from the contact of the door",)),
        (LOCKED, ("locked out by anna, ben", "v2g-tool lockout off")),
        ({**STOP, "trip_element": "OV2", "trip_unit": "pu"}, ("tripped by OV2", "emergency stop pressed: find out")),
        ({**LOCKED, "trip_element": "DOOR"}, ("locked out by anna, ben", "tripped by DOOR (door open) as well")),
    ],
)
def test_the_problems_name_it_with_the_remedy(world: World, changes: dict[str, Any], words: tuple[str, ...]) -> None:
    world.guard.changes.update(changes)
    world.run(2)
    told = "\n".join(problems(world))
    assert all(word in told for word in words), told


def test_the_status_has_each_interlock_s_position_and_the_locks(world: World) -> None:
    world.guard.changes.update({**STOP, "interlocks_lost": Interlock.DOOR, "locked_by": "anna"})
    world.run(2)
    line = world.api.snapshot().guard
    assert line.interlocks == {"emergency_stop": "open", "door": "unknown"}
    assert line.locked_by == "anna"


@pytest.mark.parametrize("permit", Permit)
def test_every_permit_has_words(permit: Permit) -> None:
    assert reason_words(GuardStatus(as_of_s=0.0, permit=permit, breaker_commanded_closed=False, breaker_closed=None))
