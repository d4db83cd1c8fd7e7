"""Exact water-filling: one amount shared by weight, no share above its cap."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum


def water_fill(amount: float, caps: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Share ``amount`` in proportion to ``weights``; what a saturated share cannot take goes to the others.

    All arguments are >= 0 and finite. The shares total min(amount, sum of the caps with a weight above zero), none is
    above its cap, and the order of the arguments does not matter. O(n log n): shares saturate in the order of cap over
    weight, so one pass finds the level at which the rest is shared.
    """
    shares = [0.0] * len(caps)
    open_ = sorted(
        (i for i in range(len(caps)) if caps[i] > 0.0 and weights[i] > 0.0), key=lambda i: caps[i] / weights[i]
    )
    if amount >= fsum(caps[i] for i in open_):
        for i in open_:
            shares[i] = caps[i]
        return shares
    left, weight = amount, fsum(weights[i] for i in open_)
    for n, i in enumerate(open_):
        if caps[i] * weight > left * weights[i]:
            for j in open_[n:]:
                shares[j] = min(caps[j], left * (weights[j] / weight))
            break
        shares[i] = caps[i]
        left -= caps[i]
        weight -= weights[i]
    return shares
