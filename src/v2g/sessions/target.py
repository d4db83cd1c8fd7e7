"""What a vehicle in scheduled mode asks for at a DC EVSE, and whether that is its own choice. Pure.

Its target never passes the limits that it was told, and those follow its grant. Taken as a bound for dispatch as it
is, a target would keep the grant, and the grant the target, at the lowest that either ever was. So a target is the
vehicle's own choice only where it stays well below every limit of the last :data:`SETTLE_S`; where it is, the vehicle
is told a little more than it asks for, by which one that wants more can say so.

Powers are of the vehicle's side, W; limits are magnitudes.
"""

from __future__ import annotations

from collections import deque
from math import inf

from v2g.dispatch.constraints import Bound

SOURCE = "vehicle's target"
SETTLE_S = 2.0
"""A vehicle follows a new limit within this."""
OWN_BELOW = 0.9
"""Of the limit: a target below this is the vehicle's own."""
TELLING_W = 250.0
"""A lower limit tells nothing of what the vehicle wants."""
MORE_PU, MORE_W = 1.2, 500.0
"""What a vehicle is told beyond its own target: more than :data:`OWN_BELOW` leaves, or the bound would come and go."""
AS_ASKED = 0.95
"""A grant of so much of the target is bound by it: the target it was made for was that of a turn before."""


class VehicleTarget:
    """Of one session. :meth:`ask` with each charge-loop request, :meth:`tell` with each control cycle."""

    def __init__(self) -> None:
        self.power_w: float | None = None
        """What the vehicle asks for, negative to discharge; None: nothing yet."""
        self._told: deque[tuple[float, float, float]] = deque()
        self._owns_charge = self._owns_discharge = False

    def ask(self, power_w: float, now_s: float) -> None:
        self.power_w = power_w
        told = self._lowest_told(now_s)
        if told is None:
            return
        charge_w, discharge_w = told
        if charge_w >= TELLING_W:
            self._owns_charge = power_w < OWN_BELOW * charge_w
        if discharge_w >= TELLING_W:
            self._owns_discharge = -power_w < OWN_BELOW * discharge_w

    def tell(self, charge_w: float, discharge_w: float, now_s: float) -> None:
        told = self._told
        if not told or told[-1][1:] != (charge_w, discharge_w):
            told.append((now_s, charge_w, discharge_w))
        while len(told) > 1 and told[1][0] <= now_s - SETTLE_S:
            told.popleft()

    def _lowest_told(self, now_s: float) -> tuple[float, float] | None:
        """Of the last :data:`SETTLE_S`; None where they are not all known."""
        if not self._told or self._told[0][0] > now_s - SETTLE_S:
            return None
        return min(entry[1] for entry in self._told), min(entry[2] for entry in self._told)

    def bound(self, efficiency: float, expires_at_s: float) -> tuple[Bound, ...]:
        """What the vehicle's own choice leaves, at the inverter's AC terminals."""
        if self.power_w is None or not (self._owns_charge or self._owns_discharge):
            return ()
        hi_w = max(0.0, self.power_w) if self._owns_charge else inf
        lo_w = min(0.0, self.power_w) * efficiency if self._owns_discharge else -inf
        return (Bound(lo_w, hi_w, SOURCE, expires_at_s),)

    def within(self, power_w: float, efficiency: float) -> float:
        """``power_w`` at the AC terminals, no more than the vehicle asks for; nothing before it asked."""
        asked_w = self.power_w
        if asked_w is None:
            return 0.0
        return min(max(power_w, min(0.0, asked_w) * efficiency), max(0.0, asked_w))

    def limits(
        self, granted_w: float, efficiency: float, least_charge_w: float, least_discharge_w: float
    ) -> tuple[float, float]:
        """What the vehicle is told, (charge, discharge): its grant, and where its own target is what bounds that, so
        much more that it can ask for more than it does. ``least_*_w``: below it the vehicle asks for nothing."""
        asked_w = self.power_w or 0.0
        charge_w, discharge_w = max(0.0, granted_w), max(0.0, -granted_w) / efficiency
        if self._owns_charge and charge_w >= AS_ASKED * max(0.0, asked_w):
            charge_w = max(MORE_PU * max(charge_w, least_charge_w), charge_w + MORE_W)
        if self._owns_discharge and discharge_w >= AS_ASKED * max(0.0, -asked_w):
            discharge_w = max(MORE_PU * max(discharge_w, least_discharge_w), discharge_w + MORE_W)
        return charge_w, discharge_w
