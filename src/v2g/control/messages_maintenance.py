"""Parameters and results of ``maintenance.begin``, ``maintenance.end`` (engineer) and ``maintenance.show`` (viewer).

While maintenance lasts no new session is admitted at any EVSE. It ends by ``maintenance.end``, or by itself when its
lease runs out; ``maintenance.begin`` again by the same person renews the lease. Times in seconds from now.
"""

from __future__ import annotations

import msgspec

from v2g.control.messages import Params

LEASE_S = 900.0
LEASE_RANGE_S = (60.0, 14_400.0)


class MaintenanceParams(Params, frozen=True, kw_only=True):
    """``drain``: end the sessions that run, power at zero first; without it they are a reason to refuse."""

    reason: str
    """For people: 1..120 characters."""
    drain: bool = False
    lease_s: float = LEASE_S
    """Within :data:`LEASE_RANGE_S`."""


class MaintenanceSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that runs, or what became of one that was drained."""

    evse_id: str
    vehicle: str
    """The EVCCID it claims; empty before SessionSetup."""
    identity: str | None = None
    """What its certificate proves."""
    power_w: float | None = None
    """Measured when it was listed: positive charges; None: unknown."""
    became: str = "active"
    """``active``, ``paused`` (it may come back to its session), ``stopped`` (its own SessionStop), ``terminated`` (by
    us, as it did not follow in time)."""
    words: str = ""
    """Why, where there is something to tell."""


class MaintenanceResult(msgspec.Struct, frozen=True, kw_only=True):
    """State after the call. ``refused``: why ``maintenance.begin`` changed nothing, naming the sessions; else empty."""

    active: bool
    reason: str = ""
    by: str = ""
    """Who began it; empty: nobody."""
    remaining_s: float = 0.0
    """Of the lease."""
    sessions: tuple[MaintenanceSession, ...] = ()
    """``maintenance.begin``: all that ran when it was asked for; ``maintenance.show``: those that run now."""
    drained: bool = False
    """Contactors are open and power is at zero everywhere, and no session is left."""
    refused: str = ""
    """``maintenance.begin`` only."""
