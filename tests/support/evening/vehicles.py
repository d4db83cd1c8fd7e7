"""The vehicles of an evening, drawn from distributions that are written down here."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from v2g.dispatch.dispatcher import Phases

HOUR_S: Final = 3600.0
SITE_MIN_SOC_PCT: Final = 30.0
TAPER_ABOVE_PCT: Final = 80.0
TAPER_LEAST: Final = 0.15
"""Of its highest power a vehicle still takes at 100 %; linear from :data:`TAPER_ABOVE_PCT`."""
DC_STAGE_EFFICIENCY: Final = 0.97


class Kind(StrEnum):
    AC_1 = "AC 1~ 7.4 kW"
    AC_3_SMALL = "AC 3~ 11 kW"
    AC_3 = "AC 3~ 22 kW"
    DC = "DC 22-50 kW"


MIX: Final = (
    *(Kind.AC_1,) * 7,
    *(Kind.AC_3_SMALL,) * 5,
    *(Kind.AC_3,) * 3,
    *(Kind.DC,) * 5,
)
"""Of twenty. Of four there is one of each kind."""
RATED_W: Final = {Kind.AC_1: 7_360.0, Kind.AC_3_SMALL: 11_040.0, Kind.AC_3: 22_080.0}
MIN_CHARGE_W: Final = {Kind.AC_1: 1_400.0, Kind.AC_3_SMALL: 4_100.0, Kind.AC_3: 4_100.0, Kind.DC: 500.0}
"""6 A in each phase, as the control pilot has it; a DC stage goes lower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Truncated normal distributions, hours after midnight of the first day."""

    arrives_h: tuple[float, float] = (16.0, 20.0)
    arrives_mean_h: float = 17.75
    arrives_deviation_h: float = 1.0
    departs_h: tuple[float, float] = (29.5, 33.0)
    departs_mean_h: float = 31.25
    departs_deviation_h: float = 0.75


EVENING: Final = Times()
DAY: Final = Times(
    arrives_h=(6.5, 9.5),
    arrives_mean_h=8.0,
    arrives_deviation_h=0.6,
    departs_h=(15.5, 18.5),
    departs_mean_h=17.0,
    departs_deviation_h=0.6,
)
"""At work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One vehicle at its EVSE. Times in s after midnight of the first day; powers are magnitudes at the AC side.

    ``min_soc_pct``: its own; the site's counts where that is higher. Efficiencies are between AC side and battery.
    """

    evse_id: str
    kind: Kind
    rated_w: float
    phases: Phases
    capacity_wh: float
    arrives_s: float
    departs_s: float
    arrival_soc_pct: float
    target_soc_pct: float
    bidirectional: bool
    min_power_w: float
    efficiency: float
    delay_s: int
    ramp_w_s: float
    min_soc_pct: float
    tells_capacity: bool
    """AC vehicles may leave out capacity and target, and give only energy requests."""

    @property
    def floor_pct(self) -> float:
        return max(SITE_MIN_SOC_PCT, self.min_soc_pct)


def draw(count: int, seed: int, times: Times = EVENING) -> tuple[Spec, ...]:
    """``count`` vehicles, each at an EVSE of its own; two thirds of them bidirectional.

    Capacity 40-100 kWh, arrival 15-70 %, target 70, 80 or 90 %, efficiency 0.90-0.95 each way, delay 1-3 s, ramp from
    nothing to full power in 2-5 s, each uniform; a quarter have a min-SoC of their own of 20-40 %; one in ten does
    not tell capacity and target. Single-phase vehicles take their phase in turn.
    """
    rng = random.Random(seed)
    kinds = (
        [MIX[n % len(MIX)] for n in range(count)] if count >= len(MIX) else [list(Kind)[n % 4] for n in range(count)]
    )
    rng.shuffle(kinds)
    single = rng.randrange(3)
    made = []
    for n, kind in enumerate(kinds):
        rated_w = RATED_W.get(kind) or 1_000.0 * rng.randint(22, 50)
        phases: Phases = (1 / 3, 1 / 3, 1 / 3)
        if kind is Kind.AC_1:
            phases = (float(single % 3 == 0), float(single % 3 == 1), float(single % 3 == 2))
            single += 1
        made.append(
            Spec(
                evse_id=f"US*V2G*E{n + 1:02d}",
                kind=kind,
                rated_w=rated_w,
                phases=phases,
                capacity_wh=1_000.0 * rng.randint(40, 100),
                arrives_s=_within(rng, times.arrives_mean_h, times.arrives_deviation_h, times.arrives_h),
                departs_s=_within(rng, times.departs_mean_h, times.departs_deviation_h, times.departs_h),
                arrival_soc_pct=rng.uniform(15.0, 70.0),
                target_soc_pct=rng.choice((70.0, 80.0, 90.0)),
                bidirectional=n % 3 != 2,
                min_power_w=MIN_CHARGE_W[kind],
                efficiency=rng.uniform(0.90, 0.95),
                delay_s=rng.randint(1, 3),
                ramp_w_s=rated_w / rng.uniform(2.0, 5.0),
                min_soc_pct=rng.uniform(20.0, 40.0) if rng.random() < 0.25 else 0.0,
                tells_capacity=kind is Kind.DC or rng.random() >= 0.1,
            )
        )
    return tuple(made)


def _within(rng: random.Random, mean_h: float, deviation_h: float, ends_h: tuple[float, float]) -> float:
    while True:
        hour = rng.gauss(mean_h, deviation_h)
        if ends_h[0] <= hour <= ends_h[1]:
            return round(hour * HOUR_S)
