"""The V2G feeder's measured power against what its EVSEs report: inverters of DC ones, meters of AC ones. Pure.

The base load is the transformer's power less the feeder's: with a feeder transducer that is dead or reversed, what the
vehicles take or give would be booked as customers' load, and the permitted interval would be wrong by as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite

from v2g.guard.status import GuardStatus, Permit
from v2g.sessions.watch import PowerReading, is_fresh

CONTRADICTION_S = 15.0
"""Powers may contradict each other for this long. Readings are of different moments and inverters ramp; and an inverter
that reports nonsense is found out by itself before, so that it costs its own EVSE and not the site. Heat has time."""
HELD_S = 900.0
"""At zero power everything agrees: what contradicted once is not believed again before this time has passed."""
TOLERANCE_OF_RATING = 0.02
"""A current transducer of class 1 at the low end of its range, twice."""
TOLERANCE_OF_POWER = 0.1
AUXILIARY_W = 300.0
"""What an EVSE's own supply takes from the feeder beside its inverter, and as much the other way."""


class FeederCheck:
    """Watches one feeder. :meth:`update` every cycle."""

    def __init__(self, rated_va: float, ratings_w: Mapping[str, float]) -> None:
        """``ratings_w``: by EVSE, the largest power in either direction; an EVSE without a reading may have it."""
        self._ratings_w = dict(ratings_w)
        self._floor_w = TOLERANCE_OF_RATING * rated_va + AUXILIARY_W * len(self._ratings_w)
        self._since_s: float | None = None
        self._held_until_s: float | None = None
        self._problem = ""

    def update(self, guard: GuardStatus, powers: Iterable[PowerReading], now_s: float) -> str | None:
        """Why the feeder's power is not to be believed, in words, or None.

        ``powers``: only those that are not in doubt themselves.
        """
        words = self._contradiction(guard, powers, now_s)
        if words is None:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        elif now_s - self._since_s >= CONTRADICTION_S:
            self._problem, self._held_until_s = words, now_s + HELD_S
        if self._held_until_s is not None and now_s >= self._held_until_s:
            self._held_until_s = None
        return self._problem if self._held_until_s is not None else None

    def _contradiction(self, guard: GuardStatus, powers: Iterable[PowerReading], now_s: float) -> str | None:
        if guard.permit is Permit.GUARD_STALE or not guard.load_measured or not isfinite(guard.feeder_w):
            return None
        fresh = {r.evse_id: r.power_w for r in powers if is_fresh(r, now_s) and isfinite(r.power_w)}
        known_w = sum(fresh.get(evse_id, 0.0) for evse_id in self._ratings_w)
        swing_w = sum(abs(fresh.get(evse_id, 0.0)) for evse_id in self._ratings_w)
        unknown_w = sum(rating_w for evse_id, rating_w in self._ratings_w.items() if evse_id not in fresh)
        if abs(guard.feeder_w - known_w) <= self._floor_w + TOLERANCE_OF_POWER * swing_w + unknown_w:
            return None
        return (
            f"the V2G feeder measures {guard.feeder_w / 1e3:.1f} kW, its EVSEs report {known_w / 1e3:.1f} kW: "
            "transformer load counts as unknown, no V2G power; check the feeder's current transducers (wiring, "
            "polarity, ratio) and the meters of inverters and AC EVSEs; tried again after "
            f"{HELD_S / 60:.0f} min, or by a restart"
        )
