"""A guard in injected time: one tick after the other, with what stays the same filled in."""

from __future__ import annotations

from dataclasses import replace

from v2g.grid import profiles
from v2g.grid.estimate import Estimate, Power, Validity
from v2g.grid.overcurrent import OvercurrentSettings
from v2g.grid.protection import GridEvent, Inputs, Protection, ProtectionSettings, RelaySettings, Verdict

TICK_S = 0.01
NORMAL = (1.0, 1.0, 1.0)
FEEDER = OvercurrentSettings(place="feeder", rated_a=100.0)
TRANSFORMER = OvercurrentSettings(place="transformer", rated_a=200.0, pickup_pu=1.5)
RELAY = RelaySettings(setting_pu=1.10, delay_s=0.16, feedback=True)


def protection_settings(
    category: str = "III", *, delay_s: float = 0.1, ramp_s: float = 0.0, random_delay_s: float = 0.0, **changes: object
) -> ProtectionSettings:
    grid = profiles.resolve(nominal_frequency_hz=60.0, category=category)
    enter = replace(grid.enter_service, delay_s=delay_s, ramp_s=ramp_s, random_delay_s=random_delay_s)
    settings = ProtectionSettings(
        grid=replace(grid, enter_service=enter),
        opening_time_s=0.05,
        feeder=FEEDER,
        transformer=TRANSFORMER,
        relay=RELAY,
    )
    return replace(settings, **changes)


def estimate(
    v: float | tuple[float, float, float] = 1.0,
    hz: float | None = 60.0,
    *,
    feeder_a: float = 0.0,
    feeder_w: float = 0.0,
    transformer_a: float = 0.0,
    transformer_w: float = 0.0,
    **fields: object,
) -> Estimate:
    return Estimate(
        Validity.VALID,
        v_pu=(v, v, v) if isinstance(v, float) else v,
        frequency_hz=hz,
        feeder=Power((feeder_w,) * 3, (0.0,) * 3, (0.0,) * 3),
        transformer=Power((transformer_w,) * 3, (0.0,) * 3, (0.0,) * 3),
        feeder_a=(feeder_a,) * 3,
        transformer_a=(transformer_a,) * 3,
        **fields,
    )


class Guarded:
    """Keeps the latch as the tick does. ``tick`` judges one; ``run`` many of the same kind and returns the last."""

    def __init__(self, settings: ProtectionSettings | None = None, draw=lambda: 0.5) -> None:
        self.protection = Protection(protection_settings() if settings is None else settings, draw)
        self.now_s = 0.0
        self.latched = False
        self.events: list[tuple[float, GridEvent]] = []
        self.trip = None
        self._before_s: float | None = None

    def tick(self, measured: Estimate | None = None, *, blind: bool = False, **inputs: object) -> Verdict:
        self.now_s = round(self.now_s + TICK_S, 6)
        if measured is None and not blind:
            measured = estimate()
        values = {"relay_closed": True, "latched": self.latched, "judged_from_s": self._before_s} | inputs
        verdict = self.protection.step(self.now_s, Inputs(estimate=measured, **values))
        self._before_s = self.now_s
        self.events += [(self.now_s, event) for event in verdict.events]
        if verdict.trip is not None:
            self.latched, self.trip = True, verdict.trip
        return verdict

    def run(self, seconds: float, measured: Estimate | None = None, **inputs: object) -> Verdict:
        for _ in range(round(seconds / TICK_S)):
            verdict = self.tick(measured, **inputs)
        return verdict

    def in_service(self) -> Guarded:
        assert self.run(0.2).close
        self.events.clear()
        return self

    def told(self, code: str) -> list[dict[str, object]]:
        return [{"level": e.level, "at_s": at_s, **dict(e.fields)} for at_s, e in self.events if e.code == code]
