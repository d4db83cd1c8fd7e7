"""Whether a vehicle keeps to what it was granted: pure bookkeeping of bounds and of what was measured.

A bound that was lowered stays allowed for ``limit_follow_s``, the time a vehicle has to follow; a raised one holds at
once. A vehicle passes its grant where the power measured exceeds every bound still allowed, by more than the tolerance.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from pyiso15118.events import LimitIgnored
from pyiso15118.schedules import PowerWatch
from pyiso15118.secc.config import SeccConfig

_Bounds = tuple[tuple[float, float], ...]


class Obedience(msgspec.Struct, frozen=True, kw_only=True):
    """What was granted and how it is kept. ``charge_w`` and ``discharge_w`` are magnitudes (W), those granted last.

    ``earlier_*``: higher bounds and until when (monotonic s) they are still allowed, the highest first. ``ignored``:
    the vehicle passes its grant. ``off_plan_since``: since when it does not keep to its power profile.
    """

    charge_w: float | None = None
    discharge_w: float = 0.0
    earlier_charge: _Bounds = ()
    earlier_discharge: _Bounds = ()
    ignored: bool = False
    off_plan_since: float | None = None

    def grant(self, charge_w: float, discharge_w: float, now: float, follow_s: float) -> Obedience:
        """After a response that allows so much; the same object where nothing changes."""
        if charge_w == self.charge_w and discharge_w == self.discharge_w:
            return self
        before_w = self.charge_w if self.charge_w is not None else charge_w
        return replace(
            self,
            charge_w=charge_w,
            discharge_w=discharge_w,
            earlier_charge=_lowered(self.earlier_charge, before_w, charge_w, now, follow_s),
            earlier_discharge=_lowered(self.earlier_discharge, self.discharge_w, discharge_w, now, follow_s),
        )

    def passed_bound(self, measured_w: float, now: float, config: SeccConfig) -> float | None:
        """The bound in W that ``measured_w`` passes, negative to discharge; None where it keeps within, or nothing was
        granted yet."""
        if self.charge_w is None:
            return None
        charging = measured_w >= 0
        bound_w = self.charge_w if charging else self.discharge_w
        if abs(measured_w) <= allowed(bound_w, config):
            return None
        for earlier_w, until in self.earlier_charge if charging else self.earlier_discharge:
            if now < until and abs(measured_w) <= allowed(earlier_w, config):
                return None
        return bound_w if charging else -bound_w


def judge(
    obedience: Obedience,
    measured_w: float,
    *,
    now: float,
    unix_s: float,
    config: SeccConfig,
    watch: PowerWatch | None = None,
) -> tuple[Obedience, tuple[LimitIgnored, ...], bool]:
    """What one measurement says: the bookkeeping after it (the same object where nothing changes), the event if passing
    the grant began with it, and whether the vehicle is off its power profile for longer than it may take to follow.

    ``now`` monotonic, ``unix_s`` calendar time. ``watch``: of scheduled mode.
    """
    bound_w = obedience.passed_bound(measured_w, now, config)
    events: tuple[LimitIgnored, ...] = ()
    if (bound_w is not None) is not obedience.ignored:
        obedience = replace(obedience, ignored=bound_w is not None)
        if bound_w is not None:
            events = (LimitIgnored(granted_w=bound_w, measured_w=measured_w),)
    if watch is None:
        return obedience, events, False
    if watch.problem(measured_w, unix_s) is None:
        if obedience.off_plan_since is not None:
            obedience = replace(obedience, off_plan_since=None)
        return obedience, events, False
    since = obedience.off_plan_since
    if since is None:
        since = now
        obedience = replace(obedience, off_plan_since=now)
    return obedience, events, now - since >= config.limit_follow_s


def allowed(bound_w: float, config: SeccConfig) -> float:
    """The power that is still taken for obedience to a bound, both magnitudes in W."""
    return bound_w * (1 + config.limit_tolerance) + config.limit_tolerance_w


def _lowered(earlier: _Bounds, before_w: float, bound_w: float, now: float, follow_s: float) -> _Bounds:
    kept = (*earlier, (before_w, now + follow_s))
    return tuple((w, until) for w, until in kept if w > bound_w and until > now)
