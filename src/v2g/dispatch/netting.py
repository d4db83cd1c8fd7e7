"""The last word on powers: what is granted in both directions together keeps every limit. Pure.

Shares are within all limits already; on the way there one side may count on power of the other that a ramp, a minimum
or a phase takes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import Final

from v2g.dispatch.claims import LEAST_W, Claim, stated
from v2g.dispatch.sharing import GroupLimit

_NEGLIGIBLE_W: Final = 1e-3
_ROUNDS: Final = 4


def hold_limits(charging: Sequence[Claim], discharging: Sequence[Claim], limits: Sequence[GroupLimit]) -> None:
    """Lower ``power_w`` of the side that exceeds a limit in net, in proportion; below its minimum a vehicle stops.

    A stop may uncover the other side, so this is repeated; sides that go on uncovering each other get 0 W.
    """
    if not (charging and discharging):
        return
    for _ in range(_ROUNDS):
        if True not in [_lowered(charging, discharging, limit) for limit in limits]:
            return
    for claim in (*charging, *discharging):
        claim.power_w = 0.0


def _lowered(charging: Sequence[Claim], discharging: Sequence[Claim], limit: GroupLimit) -> bool:
    up_w, down_w = _load_w(charging, limit), _load_w(discharging, limit)
    most_w, most_source = stated(limit.limits.hi_w, limit.limits.hi_source)
    least_w, least_source = stated(-limit.limits.lo_w, limit.limits.lo_source)
    if (over_w := up_w - down_w - max(0.0, most_w)) > _NEGLIGIBLE_W:
        side, source, part = charging, most_source, 1.0 - over_w / up_w
    elif (over_w := down_w - up_w - max(0.0, least_w)) > _NEGLIGIBLE_W:
        side, source, part = discharging, least_source, 1.0 - over_w / down_w
    else:
        return False
    for claim in side:
        if claim.power_w > 0.0 and limit.shares.get(claim.evse_id, 0.0) > 0.0:
            power_w = part * claim.power_w
            claim.power_w = power_w if power_w >= max(LEAST_W, claim.minimum_w) else 0.0
            claim.reason = source
    return True


def _load_w(claims: Sequence[Claim], limit: GroupLimit) -> float:
    return fsum(limit.shares.get(claim.evse_id, 0.0) * claim.power_w for claim in claims)
