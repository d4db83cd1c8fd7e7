"""Whether a vehicle's state of charge can be, by the energy that the EVSE's meter has counted. Pure.

The true state of charge is kept as an interval. It moves with every watt-hour of the meter, as far as tolerances let
it, and each value that is told narrows it; a value that misses it cannot be. An honest vehicle never misses: the
interval always holds its true value. What is told too high from the beginning and then follows the meter is not found,
nor is it that a vehicle does not charge where its auxiliaries could take as much as it gets (3.8 kW).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite, isnan, nan
from typing import Final

from v2g.dispatch.vehicle import (
    DISCHARGE_EFFICIENCY,
    LEAST_CAPACITY_WH,
    MOST_CAPACITY_WH,
    RESUME_ABOVE_PCT,
    VehicleData,
    believed_capacity_wh,
    floor_of,
    known_soc,
)
from v2g.dispatch.wants import Wants

CODE: Final = "SOC_IMPLAUSIBLE"
RESOLUTION_PCT: Final = 1.0
"""Told in whole percent, rounded down, up or to the nearest: so far a value may be from the truth. Two values: 2 %."""
LEAST_EFFICIENCY: Final = 0.8
"""Between meter and battery, either way: a DC EVSE's inverter and cable, or an on-board charger, and the battery."""
METER_ERROR: Final = 0.02
"""Class A of EN 50470-3."""
CAPACITY_ERROR: Final = 0.1
"""What is told may be the nominal capacity of a battery that has aged, or its usable part."""
AUXILIARY_W: Final = 3_000.0
"""Heating, cooling and preconditioning take as much from the battery, whether energy flows or not."""
UNMATCHED_WH: Final = 100.0
"""Meter and vehicle are not read at the same moment: a second of 360 kW, or a step of the meter's register."""
MOST_UNMATCHED_PCT: Final = 2.0
"""What that can be of a small battery, or of one whose capacity is not told."""
CAPACITY_CHANGE: Final = 0.02
"""What one battery's capacity may differ by within a session: rounding of a RationalNumber."""
NEW_METER_WH: Final = 1.0
"""A total that falls by more is another meter, or one that was reset."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``words``: why the state of charge is not believed, for people; empty: it is. ``code`` for grep, or empty."""

    words: str = ""

    @property
    def believed(self) -> bool:
        return not self.words

    @property
    def code(self) -> str:
        return CODE if self.words else ""


def discharge_found_wh(capacity_wh: float) -> float:
    """After so much discharge, at the meter, a state of charge that does not move is found."""
    battery_wh = 2.0 * RESOLUTION_PCT / 100.0 * capacity_wh * (1.0 + CAPACITY_ERROR)
    return (battery_wh + 2.0 * UNMATCHED_WH * (1.0 + CAPACITY_ERROR) / (1.0 - CAPACITY_ERROR)) / (1.0 - METER_ERROR)


class SocWatch:
    """One session. A verdict against the vehicle stays."""

    def __init__(self) -> None:
        self.verdict = Verdict()
        self._lo_pct, self._hi_pct = -inf, inf
        self._capacity_wh: float | None = None
        self._first: tuple[float, float, float] | None = None
        self._last: tuple[float, float, float, float] | None = None

    def observe(
        self, soc_pct: float | None, capacity_wh: float | None, charged_wh: float, discharged_wh: float, now_s: float
    ) -> Verdict:
        """What is told at ``now_s``, beside the EVSE's meter totals.

        ``soc_pct`` None: nothing is told. A capacity that no battery has counts as not told: then only what no battery
        between 1 kWh and 2 MWh could do is found. Totals that are no number are waited out; totals that fall are a new
        meter, and the balance begins anew.
        """
        if not self.verdict.believed or soc_pct is None:
            return self.verdict
        if not 0.0 <= soc_pct <= 100.0:
            return self._against(f"a state of charge of {soc_pct:g} % is impossible")
        if problem := self._other_capacity(capacity_wh):
            return self._against(problem)
        if not (isfinite(charged_wh) and isfinite(discharged_wh)):
            return self.verdict
        last = self._last
        if last is not None and (charged_wh < last[1] - NEW_METER_WH or discharged_wh < last[2] - NEW_METER_WH):
            self._lo_pct, self._hi_pct, self._first, last = -inf, inf, None, None
        least_wh, most_wh = self._capacities()
        if last is not None:
            self._move(charged_wh - last[1], discharged_wh - last[2], now_s - last[3], least_wh, most_wh)
        if self._first is None:
            self._first = soc_pct, charged_wh, discharged_wh
        error_pct = RESOLUTION_PCT + min(MOST_UNMATCHED_PCT, 100.0 * UNMATCHED_WH / least_wh)
        lo_pct, hi_pct = soc_pct - error_pct, soc_pct + error_pct
        if lo_pct > self._hi_pct or hi_pct < self._lo_pct:
            return self._against(self._words(soc_pct, charged_wh, discharged_wh))
        self._lo_pct, self._hi_pct = max(lo_pct, self._lo_pct), min(hi_pct, self._hi_pct)
        self._last = soc_pct, charged_wh, discharged_wh, now_s
        return self.verdict

    def _against(self, words: str) -> Verdict:
        self.verdict = Verdict(words)
        return self.verdict

    def _other_capacity(self, told_wh: float | None) -> str:
        if told_wh is None or not LEAST_CAPACITY_WH <= told_wh <= MOST_CAPACITY_WH:
            return ""
        if self._capacity_wh is None:
            self._capacity_wh = told_wh
        if abs(told_wh - self._capacity_wh) <= CAPACITY_CHANGE * self._capacity_wh:
            return ""
        return f"its battery capacity changed from {_kwh(self._capacity_wh)} to {_kwh(told_wh)} within the session"

    def _capacities(self) -> tuple[float, float]:
        """What the capacity may be, from and to."""
        if self._capacity_wh is None:
            return LEAST_CAPACITY_WH, MOST_CAPACITY_WH
        return self._capacity_wh * (1.0 - CAPACITY_ERROR), self._capacity_wh * (1.0 + CAPACITY_ERROR)

    def _move(self, charged_wh: float, discharged_wh: float, dt_s: float, least_wh: float, most_wh: float) -> None:
        charged_wh, discharged_wh = max(0.0, charged_wh), max(0.0, discharged_wh)
        gain_wh = charged_wh * (1.0 + METER_ERROR) - discharged_wh * (1.0 - METER_ERROR)
        loss_wh = (
            charged_wh * (1.0 - METER_ERROR) * LEAST_EFFICIENCY
            - discharged_wh * (1.0 + METER_ERROR) / LEAST_EFFICIENCY
            - AUXILIARY_W * max(0.0, dt_s) / 3600.0
        )
        self._hi_pct += 100.0 * gain_wh / (least_wh if gain_wh > 0.0 else most_wh)
        self._lo_pct += 100.0 * loss_wh / (most_wh if loss_wh > 0.0 else least_wh)

    def _words(self, soc_pct: float, charged_wh: float, discharged_wh: float) -> str:
        assert self._first is not None  # noqa: S101 (set by the first observation, which cannot miss)
        first_pct, charged_at_wh, discharged_at_wh = self._first
        last_pct, charged_last_wh, discharged_last_wh = self._first if self._last is None else self._last[:3]
        since_wh = charged_wh - charged_last_wh + (discharged_wh - discharged_last_wh) / LEAST_EFFICIENCY
        explained_pct = 2.0 * RESOLUTION_PCT + 100.0 * since_wh / self._capacities()[0]
        charged_wh, discharged_wh = charged_wh - charged_at_wh, discharged_wh - discharged_at_wh
        if self._lo_pct > 100.0 + RESOLUTION_PCT:
            what = "the vehicle took more energy than its battery can hold"
        elif abs(soc_pct - last_pct) > explained_pct:
            what = f"it jumped from {last_pct:g} % to {soc_pct:g} %"
        elif soc_pct > self._hi_pct and discharged_wh > charged_wh:
            what = f"it rises while the vehicle discharges ({soc_pct:g} %)"
            if soc_pct <= first_pct:
                what = f"it does not fall as the vehicle discharges ({soc_pct:g} %)"
        elif soc_pct > self._hi_pct:
            what = f"it rises by more than was charged ({soc_pct:g} %)"
        elif charged_wh > discharged_wh:
            what = f"it does not rise as the vehicle charges ({soc_pct:g} %)"
        else:
            what = f"it falls by more than was discharged ({soc_pct:g} %)"
        lo_pct, hi_pct = max(0.0, self._lo_pct), min(100.0, self._hi_pct)
        span = f"{lo_pct:.0f} to {hi_pct:.0f} %" if lo_pct <= hi_pct else "no state of charge"
        size = f" of a battery of {_kwh(self._capacity_wh)}" if self._capacity_wh is not None else ""
        return (
            f"{what}; by the meter it is {span}{size}: {_kwh(charged_wh)} charged, {_kwh(discharged_wh)} discharged "
            f"since {first_pct:g} %"
        )


class BatteryWatch:
    """What one session knows of its vehicle's battery beyond its last word: doubts, what has gone out since, its floor.

    :meth:`judge` each cycle before the bounds; the same arguments again give the same answer.
    """

    def __init__(self) -> None:
        self.soc = SocWatch()
        self._told: tuple[float, float | None] | None = None
        self._known: tuple[float, float, float] | None = None
        self._counted = False, False
        self._held = False

    @property
    def verdict(self) -> Verdict:
        return self.soc.verdict

    def judge(
        self, vehicle: VehicleData, wants: Wants, charged_wh: float, discharged_wh: float, now_s: float
    ) -> VehicleData:
        """``vehicle`` with what it cannot say itself. Totals of the EVSE's meter; NaN: it has no such total; both 0:
        it has counted nothing yet. Neither balances anything. A total that was above 0 and is 0 was not read."""
        counted = charged_wh > 0.0, discharged_wh > 0.0
        lost = any(before and not now for before, now in zip(self._counted, counted, strict=True))
        if lost or not any(counted) or not (isfinite(charged_wh) and isfinite(discharged_wh)):
            charged_wh = discharged_wh = nan
        else:
            self._counted = counted
        told = vehicle.soc_expires_at_s, vehicle.soc_pct
        if told != self._told:
            self._told = told
            self.soc.observe(vehicle.soc_pct, vehicle.capacity_wh, charged_wh, discharged_wh, now_s)
        soc_pct, known = known_soc(vehicle, now_s), self._known
        # A value that is only repeated says nothing new: what went out counts from where it was told first.
        if soc_pct is not None and (known is None or soc_pct != known[0] or isnan(known[1])):
            self._known = known = soc_pct, charged_wh, discharged_wh
        gone_wh = None
        if known is not None and charged_wh >= known[1] and discharged_wh >= known[2]:
            gone_wh = max(0.0, discharged_wh - known[2] - LEAST_EFFICIENCY * (charged_wh - known[1]))
        self._held = self._still_held(vehicle, wants, gone_wh, now_s)
        return replace(
            vehicle,
            discharged_since_soc_wh=gone_wh,
            held_at_floor=self._held,
            soc_doubt=self.soc.verdict.words,
        )

    def _still_held(self, vehicle: VehicleData, wants: Wants, gone_wh: float | None, now_s: float) -> bool:
        soc_pct = known_soc(vehicle, now_s)
        capacity_wh = believed_capacity_wh(vehicle) or wants.assumed_capacity_wh
        if soc_pct is None and self._known is not None:
            # Whoever told it once and does not any more is held to what he told, and to the meter.
            if gone_wh is None:
                return True
            soc_pct = self._known[0] - 100.0 * gone_wh / DISCHARGE_EFFICIENCY / capacity_wh
        if soc_pct is not None:
            floor_pct = floor_of(vehicle, wants)[0]
            return soc_pct <= floor_pct or (self._held and soc_pct <= floor_pct + RESUME_ABOVE_PCT)
        least_wh = vehicle.min_v2x_energy_wh
        if least_wh is None:
            return self._held
        return least_wh >= 0.0 or (self._held and -least_wh <= RESUME_ABOVE_PCT / 100.0 * capacity_wh)


def _kwh(energy_wh: float) -> str:
    return f"{energy_wh / 1e3:.1f} kWh"
