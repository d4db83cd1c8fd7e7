"""What a plan was made under, and whether that has moved so far that another one is due. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from v2g.sessions.watch import Lasting

MATERIAL_PU: Final = 0.1
"""Of the transformer's rating: a smaller change of headroom or base load is one of every hour."""
MATERIAL_S: Final = 60.0
"""A change of headroom or base load counts when it has stood for so long."""
DEPARTURE_S: Final = 300.0
CLOCK_S: Final = 60.0
"""A plan's steps are of the calendar: a clock that was put right by more moves them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """``clock_s``: Unix less monotonic time. ``headroom_w``: V2G power that the transformer permits. ``departs_at_s``:
    monotonic, of vehicles that tell one, by EVSE."""

    clock_s: float
    headroom_w: tuple[float, float]
    base_w: float
    departs_at_s: Mapping[str, float]


class Drift:
    """:meth:`begin` with each request for a plan, :meth:`look` in between."""

    def __init__(self, rated_va: float) -> None:
        self._material_w = MATERIAL_PU * rated_va
        self._asked: Basis | None = None
        self._moved = Lasting()

    def begin(self, basis: Basis) -> None:
        self._asked = basis
        self._moved.update(False, 0.0)

    def look(self, basis: Basis, now_s: float) -> str:
        """Why another plan is due, in words; empty: none is."""
        asked = self._asked
        if asked is None:
            return ""
        if abs(basis.clock_s - asked.clock_s) > CLOCK_S:
            return "the clock was put right"
        for evse_id, departs_at_s in basis.departs_at_s.items():
            if abs(departs_at_s - asked.departs_at_s.get(evse_id, departs_at_s)) > DEPARTURE_S:
                return f"the vehicle at {evse_id} leaves at another time"
        now_w, then_w = (*basis.headroom_w, basis.base_w), (*asked.headroom_w, asked.base_w)
        moved = any(abs(now - then) > self._material_w for now, then in zip(now_w, then_w, strict=True))
        if self._moved.update(moved, now_s) < MATERIAL_S:
            return ""
        return "the transformer's headroom or base load has changed"
