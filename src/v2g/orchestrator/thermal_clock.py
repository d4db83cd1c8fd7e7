"""The thermal engine's clock: the host's, or in a simulation one that runs faster."""

from __future__ import annotations

from collections.abc import Mapping

from v2g.clock import Clock, Zone
from v2g.orchestrator.transformer import Moment

SPEED_VARIABLE = "V2G_SIMULATION_THERMAL_SPEED"


class ThermalClock:
    """Makes the :class:`Moment` of each cycle."""

    def __init__(self, clock: Clock, zone: Zone, *, speed: float = 1.0) -> None:
        """``speed``: thermal seconds a second; other than 1 in simulations only."""
        self._clock = clock
        self._zone = zone
        self._speed = speed
        self._begin_s = clock.monotonic_s()
        self._begin_unix_s = clock.unix_s()

    def moment(self, now_s: float) -> Moment:
        """``now_s``: CLOCK_MONOTONIC, this cycle's."""
        if self._speed == 1.0:
            thermal_s, unix_s = now_s, self._clock.unix_s()
        else:
            gone_s = (now_s - self._begin_s) * self._speed
            thermal_s, unix_s = self._begin_s + gone_s, self._begin_unix_s + gone_s
        return Moment(thermal_s=thermal_s, unix_s=unix_s, local=self._zone.local(unix_s))


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
