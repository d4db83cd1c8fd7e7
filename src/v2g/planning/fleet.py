"""The vehicles in the linear programme: charge, discharge and stored energy by step, in kW and kWh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from v2g.planning.programme import Programme
from v2g.planning.wishes import Wish

SEGMENTS: Final = 8
"""In which the energy that a driver misses is counted, each dearer than the one before: a shortage is shared."""
_DEARER: Final = 0.03
_LATER: Final = 0.01
_LATE: Final = 0.02
"""A kWh that comes in the last step of a stay only, against one that never comes: who leaves early, or takes less than
was thought, has it all the same."""
_ORDER: Final = 10.0
"""In stage ``limits``: a kW of an order against a kWh of the way up to min-SoC in one step."""
_SOONER: Final = 1e-3
_BOTH_KW: Final = 1e-3
_SLACK_KWH: Final = 1e-5
_ON_THE_WAY_KWH: Final = 1e-3


@dataclass(slots=True)
class Columns:
    """Of one vehicle; -1: there is none. One of each for every step of its stay."""

    charge: list[int] = field(default_factory=list)
    discharge: list[int] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)
    short: list[int] = field(default_factory=list)
    """What is missing of its floor, where it is below it now."""
    missing: list[int] = field(default_factory=list)
    """What is missing at departure, in segments."""
    unfollowed: list[int] = field(default_factory=list)
    late: int = -1
    """What is missing a step before it leaves."""
    most: int = -1
    """Its highest charge power, once :meth:`Fleet.hold_most` was called."""


class Fleet:
    """All vehicles of a programme."""

    def __init__(self, programme: Programme, wishes: Sequence[Wish], step_s: float) -> None:
        self._programme = programme
        self._hours = step_s / 3600.0
        self.wishes = wishes
        self._closed: set[int] = set()
        self.columns = [self._add(wish) for wish in wishes]

    def _add(self, wish: Wish) -> Columns:
        programme, vehicle, columns = self._programme, wish.vehicle, Columns()
        if not wish.steps:
            return columns
        e0, floor, ceiling = vehicle.energy_wh / 1e3, wish.floor_wh / 1e3, wish.ceiling_wh / 1e3
        lowest = min(floor, e0)
        stored_by, drawn_by = vehicle.efficiency_charge * self._hours, self._hours / vehicle.efficiency_discharge
        tapered, reach = self._tapered(wish), e0
        before: int | None = None
        short_before: int | None = None
        for n in range(wish.steps):
            charge_kw, discharge_kw, forced_kw = (
                series[n] / 1e3 for series in (wish.charge_w, wish.discharge_w, wish.forced_w)
            )
            if before is None:
                charge_kw = min(charge_kw, wish.takes_w(vehicle.energy_wh, self._hours * 3600.0) / 1e3)
            charge = programme.column(0.0, charge_kw) if charge_kw > 0.0 else -1
            discharge = programme.column(0.0, discharge_kw) if discharge_kw > 0.0 else -1
            stored = programme.column(lowest, ceiling)
            terms = [(stored, 1.0)]
            if charge >= 0:
                terms.append((charge, -stored_by))
            if discharge >= 0:
                terms.append((discharge, drawn_by))
            if before is not None:
                terms.append((before, -1.0))
            if charge >= 0 and before is not None and wish.taper is not None and reach > wish.taper.from_wh / 1e3:
                programme.row(-inf, tapered[0], ((charge, 1.0), (before, tapered[1])))
            reach += charge_kw * stored_by
            held = e0 if before is None else 0.0
            programme.row(held, held, terms)
            if wish.way_up_wh > 0.0:
                short = programme.column(0.0, wish.way_up_wh / 1e3)
                programme.row(floor, inf, ((stored, 1.0), (short, 1.0)))
                if short_before is not None:
                    programme.row(-inf, 0.0, ((short, 1.0), (short_before, -1.0)))
                columns.short.append(short)
                short_before = short
            if forced_kw:
                unfollowed = programme.column(0.0, abs(forced_kw))
                columns.unfollowed.append(unfollowed)
                does = charge if forced_kw > 0.0 else discharge
                if does >= 0:
                    programme.row(abs(forced_kw), inf, ((does, 1.0), (unfollowed, 1.0)))
            columns.charge.append(charge)
            columns.discharge.append(discharge)
            columns.stored.append(stored)
            before = stored
        if sum(column >= 0 for column in columns.charge) > 1:
            columns.most = programme.column(0.0, max(wish.charge_w) / 1e3)
        goal = wish.goal_wh / 1e3
        if goal > lowest:
            need = goal - lowest
            widths = (need / SEGMENTS,) * (SEGMENTS - 1) + (inf,)
            columns.missing = [programme.column(0.0, width) for width in widths]
            last = columns.stored[-1]
            programme.row(goal, inf, ((last, 1.0), *((column, 1.0) for column in columns.missing)))
            early = wish.early
            if early is not None:
                columns.late = programme.column(0.0, inf)
                programme.row(min(goal, ceiling), inf, ((columns.stored[early], 1.0), (columns.late, 1.0)))
        return columns

    def _tapered(self, wish: Wish) -> tuple[float, float]:
        """kW at no energy, and by how much less for each kWh held at a step's begin."""
        if wish.taper is None:
            return inf, 0.0
        at_none_w, per_wh_w = wish.taper.over(self._hours * 3600.0, wish.vehicle.efficiency_charge)
        return at_none_w / 1e3, per_wh_w

    def power_terms(self, vehicle: int, n: int) -> list[tuple[int, float]]:
        """Net power of one vehicle in a step, as terms of a row."""
        columns = self.columns[vehicle]
        if n >= len(columns.stored):
            return []
        terms = []
        if columns.charge[n] >= 0:
            terms.append((columns.charge[n], 1.0))
        if columns.discharge[n] >= 0:
            terms.append((columns.discharge[n], -1.0))
        return terms

    @property
    def has_duties(self) -> bool:
        """Somebody is below his floor, or under an order that forces power."""
        return any(columns.short or columns.unfollowed for columns in self.columns)

    def duty_costs(self) -> dict[int, float]:
        """Way up to min-SoC and orders, in stage ``limits``."""
        costs: dict[int, float] = {}
        for columns in self.columns:
            costs.update(dict.fromkeys(columns.short, 1.0))
            costs.update({column: _ORDER - _SOONER * n for n, column in enumerate(columns.unfollowed)})
        return costs

    def free_duties(self) -> None:
        """For stage ``limits``: everything open, but that nobody below his floor discharges at all."""
        bound = self._programme.bound_column
        for wish, columns in zip(self.wishes, self.columns, strict=True):
            for n, column in enumerate(columns.short):
                bound(column, 0.0, wish.way_up_wh / 1e3)
                if columns.discharge[n] >= 0:
                    bound(columns.discharge[n], 0.0, 0.0)
            forced = [abs(power_w) for power_w in wish.forced_w if power_w]
            for column, forced_w in zip(columns.unfollowed, forced, strict=True):
                bound(column, 0.0, forced_w / 1e3)

    def part_ways(self, values: Sequence[float], *, strictly: bool) -> bool:
        """Who charged and discharged in the same step, which turns energy into power that no vehicle takes, may do only
        the greater of both there; ``strictly``: he may not change his direction in any step. False: nobody did."""
        parted = False
        for columns in self.columns:
            pairs = [pair for pair in zip(columns.charge, columns.discharge, strict=True) if min(pair) >= 0]
            both = [pair for pair in pairs if min(values[pair[0]], values[pair[1]]) > _BOTH_KW]
            for charge, discharge in pairs if both and strictly else both:
                parted = True
                less = discharge if values[charge] >= values[discharge] else charge
                self._closed.add(less)
                self._programme.bound_column(less, 0.0, 0.0)
        return parted

    def fix_duties(self, values: Sequence[float]) -> None:
        """As stage ``limits`` found them: nobody falls back on his way up, and who has it behind him may discharge."""
        bound = self._programme.bound_column
        for wish, columns in zip(self.wishes, self.columns, strict=True):
            for n, column in enumerate(columns.short):
                short = max(0.0, values[column])
                bound(column, 0.0, short + _SLACK_KWH)
                discharge = columns.discharge[n]
                if short <= _ON_THE_WAY_KWH and discharge >= 0 and discharge not in self._closed:
                    bound(discharge, 0.0, wish.discharge_w[n] / 1e3)
            for column in columns.unfollowed:
                bound(column, 0.0, max(0.0, values[column]) + _SLACK_KWH)

    def missing_costs(self) -> dict[int, float]:
        """Energy that drivers miss: first that of who leaves first, shared by the segments."""
        leaving = sorted(range(len(self.wishes)), key=lambda at: self.wishes[at].steps)
        costs = {}
        for rank, at in enumerate(leaving):
            later = _LATER * (1.0 - rank / max(1, len(leaving)))
            for segment, column in enumerate(self.columns[at].missing):
                costs[column] = 1.0 + later + _DEARER * segment
            if self.columns[at].late >= 0:
                costs[self.columns[at].late] = _LATE
        return costs

    def throughput_costs(self) -> dict[int, float]:
        costs = {}
        for columns in self.columns:
            for column in (*columns.charge, *columns.discharge):
                if column >= 0:
                    costs[column] = self._hours
        return costs

    def spread_costs(self, share: float) -> dict[int, float]:
        """Each vehicle's highest charge power against the most it has. Where powers are only moved between vehicles or
        hours, the least of it has them charge side by side instead of one after the other."""
        return {columns.most: share / max(wish.charge_w) * 1e3 for wish, columns in self._several()}

    def hold_most(self) -> None:
        """Nobody charges above his ``most``: only from here on, as the rows would slow the stages before."""
        for _, columns in self._several():
            for charge in columns.charge:
                if charge >= 0:
                    self._programme.row(-inf, 0.0, ((charge, 1.0), (columns.most, -1.0)))

    def _several(self) -> Iterator[tuple[Wish, Columns]]:
        return (pair for pair in zip(self.wishes, self.columns, strict=True) if pair[1].most >= 0)

    def discharge_costs(self, price: float) -> dict[int, float]:
        """``price`` of each kWh that leaves a battery."""
        return {column: price * self._hours for columns in self.columns for column in columns.discharge if column >= 0}

    def powers_w(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        """Net power by vehicle for its stay. Charge and discharge at once are netted, which wastes less: what the
        battery cannot take of it, or what would take it below its floor, is left out."""
        powers = []
        for wish, columns in zip(self.wishes, self.columns, strict=True):
            energy_wh, series = wish.vehicle.energy_wh, []
            for n in range(wish.steps):
                net_w = 1e3 * sum(sign * values[column] for column, sign in self._signed(columns, n))
                net_w, energy_wh = kept(wish, net_w, energy_wh, self._hours)
                series.append(net_w)
            powers.append(tuple(series))
        return powers

    @staticmethod
    def _signed(columns: Columns, n: int) -> list[tuple[int, float]]:
        both = ((columns.charge[n], 1.0), (columns.discharge[n], -1.0))
        return [(column, sign) for column, sign in both if column >= 0]


def kept(wish: Wish, power_w: float, energy_wh: float, hours: float) -> tuple[float, float]:
    """A power as far as the battery goes with it, and its energy afterwards."""
    vehicle = wish.vehicle
    if power_w > 0.0:
        room_wh = max(0.0, wish.ceiling_wh - energy_wh)
        power_w = min(power_w, room_wh / (vehicle.efficiency_charge * hours))
        return power_w, energy_wh + power_w * vehicle.efficiency_charge * hours
    spare_wh = max(0.0, energy_wh - wish.floor_wh)
    power_w = max(power_w, -spare_wh * vehicle.efficiency_discharge / hours)
    return power_w + 0.0, energy_wh + power_w / vehicle.efficiency_discharge * hours
