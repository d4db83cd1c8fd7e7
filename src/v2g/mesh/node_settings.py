"""How a node of a mesh behaves. Seconds, W; per unit of what is said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """``period_s``: between two states; ``least_gap_s``: between two on change; ``valid_s``: how long one counts.

    ``ramp_w_s``: how fast what may be taken rises; ``reserve_pu``: of each limit, left free for base loads that change
    between two states; ``deaf_after_s``: a member that does not say for so long that it has seen us counts as absent;
    ``margin_w``: of the own base load, told beside it for its noise.
    """

    period_s: float = 1.0
    valid_s: float = 3.0
    least_gap_s: float = 0.2
    ramp_w_s: float
    reserve_pu: float = 0.02
    deaf_after_s: float = 5.0
    margin_w: float
