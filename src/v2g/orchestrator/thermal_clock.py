"""The thermal engine's clock: the host's, or in a simulation one that runs faster."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, nan

from v2g.clock import Clock
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.transformer import Moment

SPEED_VARIABLE = "V2G_SIMULATION_THERMAL_SPEED"
BEGIN_VARIABLE = "V2G_SIMULATION_THERMAL_BEGIN"
"""Monotonic and Unix seconds at which compressed time began, so that a daemon that is started anew goes on with it."""


class ThermalClock:
    """Makes the :class:`Moment` of each cycle."""

    def __init__(
        self, clock: Clock, zone: SiteZone, *, speed: float = 1.0, begin: tuple[float, float] | None = None
    ) -> None:
        """``speed``: thermal seconds a second; other than 1 in simulations only. ``begin``: the host's monotonic and
        Unix time at which they were the same; default: now."""
        self._clock = clock
        self.zone = zone
        """The site's time zone."""
        self._speed = speed
        made_s = clock.monotonic_s()
        self._begin_s, self._begin_unix_s = begin or (made_s, clock.unix_s())
        self.begin = self.moment(made_s)
        """When this clock was made."""

    def moment(self, now_s: float) -> Moment:
        """``now_s``: CLOCK_MONOTONIC, this cycle's."""
        unix_s = self.unix_s(now_s)
        return Moment(thermal_s=self.thermal_s(now_s), unix_s=unix_s, local=self.zone.local(unix_s))

    def thermal_s(self, now_s: float) -> float:
        """The engine's monotonic time at ``now_s``."""
        return self._begin_s + (now_s - self._begin_s) * self._speed if self._speed != 1.0 else now_s

    def unix_s(self, now_s: float) -> float:
        """Unix time as the engine sees it; the host's, unless time is compressed."""
        if self._speed == 1.0:
            return self._clock.unix_s()
        return self._begin_unix_s + (now_s - self._begin_s) * self._speed

    def time_of_day(self, now_s: float, in_s: float) -> str:
        """``18:25``: the site's time ``in_s`` of the engine's seconds after ``now_s``."""
        return self.zone.time_of_day(self.unix_s(now_s) + in_s)


def simulated_speed(environment: Mapping[str, str], simulation: bool) -> float:
    """What :data:`SPEED_VARIABLE` asks for in a simulation, 1..3600; 1 otherwise. Raises ValueError for anything
    else."""
    text = environment.get(SPEED_VARIABLE, "")
    if not text or not simulation:
        return 1.0
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 1.0 <= speed <= 3600.0:
        raise ValueError(f"{SPEED_VARIABLE}={text!r}: give thermal seconds a second, 1..3600")
    return speed


def simulated_begin(environment: Mapping[str, str], simulation: bool) -> tuple[float, float] | None:
    """What :data:`BEGIN_VARIABLE` says in a simulation; None otherwise. Raises ValueError for anything else."""
    text = environment.get(BEGIN_VARIABLE, "")
    if not text or not simulation:
        return None
    try:
        monotonic_s, unix_s = (float(word) for word in text.split())
    except ValueError:
        monotonic_s = unix_s = nan
    if not (isfinite(monotonic_s) and isfinite(unix_s)):
        raise ValueError(f"{BEGIN_VARIABLE}={text!r}: give monotonic and Unix seconds")
    return monotonic_s, unix_s


def begin_text(clock: Clock) -> str:
    """For :data:`BEGIN_VARIABLE`: compressed time begins now."""
    return f"{clock.monotonic_s()!r} {clock.unix_s()!r}"
