"""When contactors open whatever their sessions want, and for what."""

from __future__ import annotations

from typing import Any

import pytest

from v2g.guard.interlocks import Interlock
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.view import urgent, view

GRANTED: dict[str, Any] = {
    "as_of_s": 1.0, "permit": Permit.GRANTED, "breaker_commanded_closed": True, "breaker_closed": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "opens", "emergency"),
    [
        ({}, False, ""),
        ({"permit": Permit.BREAKER_FAILED}, True, ""),
        ({"permit": Permit.TRIPPED, "trip_element": "EMERGENCY_STOP"}, True, "emergency_stop"),
        ({"permit": Permit.TRIPPED, "trip_element": "OV2"}, False, ""),
        (
            {"permit": Permit.TRIPPED, "trip_element": "OV2", "interlocks_open": Interlock.EMERGENCY_STOP},
            True,
            "emergency_stop",
        ),
        ({"permit": Permit.TRIPPED, "trip_element": "DOOR", "interlocks_open": Interlock.DOOR}, False, ""),
        ({"permit": Permit.LOCKOUT, "locked_by": "anna"}, True, "lockout"),
        ({"permit": Permit.GUARD_STALE, "locked_by": "anna"}, True, "lockout"),
        ({"permit": Permit.GUARD_STALE, "interlocks_open": Interlock.EMERGENCY_STOP}, True, "emergency_stop"),
        ({"permit": Permit.INTERLOCK, "interlocks_lost": Interlock.EMERGENCY_STOP}, False, ""),
    ],
)
def test_an_emergency_stop_a_lock_and_a_breaker_that_failed_open_the_contactors(
    changes: dict[str, Any], opens: bool, emergency: str
) -> None:
    before, now = view(GuardStatus(**GRANTED)), view(GuardStatus(**{**GRANTED, **changes}))
    assert (now.open_contactors, now.emergency) == (opens, emergency)
    assert urgent(before, now) is bool(changes)
