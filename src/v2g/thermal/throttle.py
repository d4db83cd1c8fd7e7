"""The permitted interval as it is handed out: narrower at once, wider slowly, and never to and fro. Pure.

The interval of :mod:`v2g.thermal.headroom` moves with every measurement. Handed out as it is, dispatch would follow its
noise, and at the edge it would oscillate. So an end that narrows is followed at once, an end that widens only once it
has been wider by ``hysteresis_w`` for ``hold_s``, and then no faster than ``release_w_s``. What relieves a transformer
(discharge up to the power of least |K| while the base load is what overloads it) is never held back.
"""

from __future__ import annotations

from dataclasses import dataclass

from v2g.thermal.headroom import PermittedInterval


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSettings:
    hysteresis_w: float
    hold_s: float = 120.0
    release_w_s: float
    """Widening, W a second of the caller's clock."""


class Throttle:
    """One transformer's. Starts with the first interval it is given."""

    def __init__(self, settings: ThrottleSettings) -> None:
        raise NotImplementedError

    def update(self, raw: PermittedInterval, relief_w: float, now_s: float) -> PermittedInterval:
        """``relief_w``: V2G power (signed) that leads to the least |K| of the present base load; ends that lie between
        0 and it are never held back while ``raw.base_source`` is set. The result is never wider than ``raw``; where
        it is narrower its source says ``<source>, held``. Unknown (``raw`` 0..0 by UNKNOWN) is followed at once; after
        it the throttle starts anew with the first known interval."""
        raise NotImplementedError
