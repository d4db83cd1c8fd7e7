"""Parameters and results of ``lockout.set`` (operator; engineer to take away another's lock) and ``lockout.show``."""

from __future__ import annotations

import msgspec

from v2g.control.messages import Params


class LockoutParams(Params, frozen=True, kw_only=True):
    """``enabled``: lock out the V2G breaker in the caller's name; else take the caller's lock away.

    ``force``: whose lock to take away in his place; for engineers. ``note`` goes with the lock.
    """

    enabled: bool
    note: str = ""
    force: str = ""


class LockLine(msgspec.Struct, frozen=True, kw_only=True):
    """One lock. ``at``: ISO 8601, UTC."""

    by: str
    at: str
    note: str = ""


class LockoutResult(msgspec.Struct, frozen=True, kw_only=True):
    """``locks``: those that are on, oldest first. ``message``: what was done, in words."""

    locks: tuple[LockLine, ...]
    message: str = ""
