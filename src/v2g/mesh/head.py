"""What a substation's head does with its own meters: it compares them with what the members tell. Pure.

The sum that members tell is taken on trust, and each state is signed by one that may lie. A meter at the head of the
feeder does not lie with them: what it shows beyond the sum is unexplained, whoever draws it, and is taken off the
limit that the members share, by a signed cap.
"""

from __future__ import annotations

from collections import deque
from math import isfinite
from typing import Final

from v2g.mesh.messages import Cap
from v2g.mesh.roster import Group

CONFIRM_S: Final = 3.0
"""Meter and states are not of the same moment: a difference counts once it has lasted."""
HOLD_S: Final = 60.0
"""And as long after it was seen last."""
LEAST_PU: Final = 0.02
"""Of the limit: less is the meters' own error."""


class Unexplained:
    """Of one group. ``excess_w``: what is measured beyond what is told, W; positive downstream, negative upstream."""

    def __init__(self) -> None:
        self.excess_w = 0.0
        self._recent: deque[tuple[float, float, float]] = deque()
        self._held: deque[tuple[float, float, float]] = deque()

    def cap(self, group: Group, flow_w: float, low_w: float, high_w: float, now_s: float) -> Cap | None:
        """``flow_w``: measured, positive downstream; ``low_w..high_w``: what the members can draw by what they tell.

        None: all is explained. A flow that is no number is a meter that says nothing: what it showed before is held as
        long as if it had gone.
        """
        if isfinite(flow_w):
            self._recent.append((now_s, max(0.0, flow_w - high_w), max(0.0, low_w - flow_w)))
        else:
            self._recent.clear()
        if self._recent and now_s - self._recent[0][0] >= CONFIRM_S:
            # The least of the time is what has lasted.
            lasting = min(each[1] for each in self._recent), min(each[2] for each in self._recent)
            self._held.append((now_s, *lasting))
            while now_s - self._recent[0][0] >= CONFIRM_S:
                self._recent.popleft()
        while self._held and now_s - self._held[0][0] > HOLD_S:
            self._held.popleft()
        down_w = _beyond(max((each[1] for each in self._held), default=0.0), group.import_w)
        up_w = _beyond(max((each[2] for each in self._held), default=0.0), group.export_w)
        self.excess_w = down_w if down_w >= up_w else -up_w
        if not down_w and not up_w:
            return None
        return Cap(
            group=group.id,
            import_w=_capped(group.import_w, down_w),
            export_w=_capped(group.export_w, up_w),
            reason=f"the meter shows {max(down_w, up_w) / 1e3:.1f} kW that no member tells of",
        )


def _beyond(excess_w: float, limit_w: float) -> float:
    return excess_w if isfinite(limit_w) and excess_w > LEAST_PU * limit_w else 0.0


def _capped(limit_w: float, excess_w: float) -> float:
    return max(0.0, limit_w - excess_w) if isfinite(limit_w) else 1e9
